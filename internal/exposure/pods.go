package exposure

import (
	"maps"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/internal/policy/analysis"
)

// ownLabels tell pods of one workload from each other, and are no matter.
var ownLabels = []string{
	"pod-template-hash", "controller-revision-hash", "pod-template-generation", "statefulset.kubernetes.io/pod-name",
	"apps.kubernetes.io/pod-index",
}

// podFrom is what is kept of a pod.
func podFrom(p *corev1.Pod) analysis.Pod {
	out := analysis.Pod{
		Namespace: p.Namespace, Owner: owner(p), Labels: maps.Clone(p.Labels), HostNetwork: p.Spec.HostNetwork,
		Scraped: scraped(p.Annotations),
	}
	for _, k := range ownLabels {
		delete(out.Labels, k)
	}
	for _, ip := range p.Status.PodIPs {
		out.Addresses = append(out.Addresses, addresses([]string{ip.IP})...)
	}
	for _, list := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range list {
			container(&out, &list[i])
		}
	}
	switch {
	case out.Mesh == analysis.MeshIstio:
		out.Revision = facts.RevisionOfProxy(p.Annotations)
	case p.Annotations["ambient.istio.io/redirection"] == "enabled":
		out.Mesh = analysis.MeshAmbient
	}
	return out
}

// proxies are the containers that take a pod into a mesh.
var proxies = map[string]analysis.Mesh{
	"istio-proxy": analysis.MeshIstio, "linkerd-proxy": analysis.MeshLinkerd, "consul-dataplane": analysis.MeshConsul,
}

func container(out *analysis.Pod, c *corev1.Container) {
	if mesh := proxies[c.Name]; mesh != analysis.MeshNone {
		out.Mesh = mesh
	}
	for _, p := range c.Ports {
		out.Ports = append(out.Ports, analysis.PodPort{
			Name: p.Name, Protocol: networkstackv1alpha1.PolicyProtocol(p.Protocol), Port: p.ContainerPort,
		})
	}
	for _, probe := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
		switch {
		case probe == nil:
		case probe.HTTPGet != nil:
			out.Probes = append(out.Probes, probed(probe.HTTPGet.Port))
		case probe.TCPSocket != nil:
			out.Probes = append(out.Probes, probed(probe.TCPSocket.Port))
		case probe.GRPC != nil:
			out.Probes = append(out.Probes, analysis.PodPort{Port: probe.GRPC.Port})
		}
	}
}

func probed(p intstr.IntOrString) analysis.PodPort {
	return analysis.PodPort{Name: p.StrVal, Port: p.IntVal}
}

// owner names the workload that a pod is of.
func owner(p *corev1.Pod) string {
	ref := metav1.GetControllerOf(p)
	if ref == nil {
		return "Pod " + p.Name
	}
	if hash := p.Labels["pod-template-hash"]; ref.Kind == "ReplicaSet" && hash != "" && strings.HasSuffix(ref.Name, "-"+hash) {
		return "Deployment " + strings.TrimSuffix(ref.Name, "-"+hash)
	}
	return ref.Kind + " " + ref.Name
}

// hasToken says whether a pod can show the API server who it is.
func hasToken(p *corev1.Pod) bool {
	for i := range p.Spec.Volumes {
		v := &p.Spec.Volumes[i]
		if v.Projected == nil {
			continue
		}
		for _, s := range v.Projected.Sources {
			if s.ServiceAccountToken != nil && s.ServiceAccountToken.Audience == "" {
				return true
			}
		}
	}
	return false
}

// scraped is the port that annotations ask to be scraped; 0 for none.
func scraped(annotations map[string]string) int32 {
	if annotations["prometheus.io/scrape"] != "true" {
		return 0
	}
	port, err := strconv.ParseUint(annotations["prometheus.io/port"], 10, 16)
	if err != nil {
		return 0
	}
	return int32(port)
}
