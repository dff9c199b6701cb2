package facts

import (
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

func TestNeighbours(t *testing.T) {
	s := discover(t,
		daemonSet("metallb-system", "metallb-speaker", "speaker"), daemonSet("kubevirt", "virt-handler", "virt-handler"),
		daemonSet("longhorn-system", "longhorn-manager", "longhorn-manager"),
		// Neither the name nor the container alone makes one.
		daemonSet("music", "loudspeaker", "speaker"), daemonSet("a", "speaker", "loud"), daemonSet("kube-system", "cilium", "cilium-agent"),
	)
	want := []Neighbour{
		{Of: "KubeVirt", Namespace: "kubevirt", Name: "virt-handler", Migrates: true},
		{Of: "Longhorn", Namespace: "longhorn-system", Name: "longhorn-manager", Mounts: true},
		{Of: "MetalLB", Namespace: "metallb-system", Name: "metallb-speaker", Announces: true},
	}
	if diff := cmp.Diff(want, s.Neighbours); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(s.Installed) != 1 {
		t.Errorf("a neighbour counts as an agent: %v", s.Installed)
	}
}

// TestNested tells nodes that are containers of a machine from machines.
func TestNested(t *testing.T) {
	for id, want := range map[string]bool{"kind://docker/kind/a": true, "": false, "aws:///x/i-1": false} {
		if got := nodeFrom(&corev1.Node{Spec: corev1.NodeSpec{ProviderID: id}}).Nested; got != want {
			t.Errorf("%q: %v", id, got)
		}
	}
}

// TestAgentAnnotations wants what the node agent tells to be read, and nonsense to be nothing.
func TestAgentAnnotations(t *testing.T) {
	read := func(services, bridges string) (int, string) {
		n := nodeFrom(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{
			networkstackv1alpha1.NodeIPVSAnnotation: services, networkstackv1alpha1.NodeBridgesAnnotation: bridges}}})
		if n.Bridges == nil {
			return n.IPVSServices, ""
		}
		return n.IPVSServices, strconv.FormatBool(*n.Bridges)
	}
	for _, tc := range []struct {
		services, bridges string
		want              int
		wantBridges       string
	}{{"2", "false", 2, "false"}, {"0", "true", 0, "true"}, {"-1", "maybe", 0, ""}, {"", "", 0, ""}} {
		if services, bridges := read(tc.services, tc.bridges); services != tc.want || bridges != tc.wantBridges {
			t.Errorf("%+v: %d %q", tc, services, bridges)
		}
	}
}

func TestHostPorts(t *testing.T) {
	with := func(ds *appsv1.DaemonSet, ports ...corev1.ContainerPort) *appsv1.DaemonSet {
		ds.Spec.Template.Spec.Containers[0].Ports = ports
		return ds
	}
	ours := with(daemonSet("kube-system", "ours"), corev1.ContainerPort{HostPort: 9813})
	ours.Labels = map[string]string{networkstackv1alpha1.ComponentLabel: "node-agent"}
	agent := with(daemonSet("kube-system", "agent"), corev1.ContainerPort{HostPort: 8080})
	agent.Spec.Template.Spec.HostNetwork = true
	agent.Annotations = map[string]string{"meta.helm.sh/release-name": "agents", "meta.helm.sh/release-namespace": "apps"}
	s := discover(t, ours, agent,
		with(daemonSet("monitoring", "node-exporter"), corev1.ContainerPort{ContainerPort: 9100, HostPort: 9100, Protocol: "TCP"}, corev1.ContainerPort{ContainerPort: 8080}),
		with(daemonSet("kube-system", "node-local-dns"), corev1.ContainerPort{HostPort: 53, Protocol: "UDP"}, corev1.ContainerPort{HostPort: 53}),
		// The ports of network agents are the agents' affair: another rule says whether two of them go together.
		with(daemonSet("kube-system", "kube-proxy", "kube-proxy"), corev1.ContainerPort{HostPort: 10256}),
	)
	want := []HostPort{
		{Port: 53, Protocol: "TCP", Mapped: true, Namespace: "kube-system", Name: "node-local-dns"},
		{Port: 53, Protocol: "UDP", Mapped: true, Namespace: "kube-system", Name: "node-local-dns"},
		{Port: 8080, Protocol: "TCP", Namespace: "kube-system", Name: "agent", ReleaseName: "agents", ReleaseNamespace: "apps"},
		{Port: 9100, Protocol: "TCP", Mapped: true, Namespace: "monitoring", Name: "node-exporter"},
	}
	if diff := cmp.Diff(want, s.HostPorts); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
