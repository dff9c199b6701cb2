package compose

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// hostPort is a port of the nodes that a component takes for itself.
type hostPort struct {
	// key is the value that says which, as a number or as an address; empty when it is fixed. It is usual unless the value says otherwise.
	key   string
	usual int
	// on is the switch that it depends on, and by default what that is when nobody sets it; empty for none.
	on        string
	byDefault bool
	// udp and not TCP.
	udp bool
	// what it is for.
	what string
}

func (p hostPort) protocol() corev1.Protocol {
	if p.udp {
		return corev1.ProtocolUDP
	}
	return corev1.ProtocolTCP
}

// hostPorts are those of the components, by type. Ports that are opened on the loopback address alone are among them: nobody else
// can open them on all addresses then.
var hostPorts = map[string][]hostPort{
	TypeKubeProxy: {
		{key: "healthzBindAddress", usual: kubeProxyHealthPort, what: "kube-proxy's health"},
		{key: "metricsBindAddress", usual: 10249, what: "kube-proxy's metrics"},
	},
	TypeNodeAgent: {
		{key: "probePort", usual: 9813, what: "the node agent's probes"},
	},
	string(networkstackv1alpha1.CNICilium): {
		{key: "healthPort", usual: 9879, what: "the health of Cilium's agent"},
		{key: "clusterHealthPort", usual: 4240, what: "Cilium's health checks between nodes"},
		{key: "kubeProxyReplacementHealthzBindAddr", what: "the health of Cilium in kube-proxy's place"},
		{key: "hubble.peerService.targetPort", usual: 4244, on: "hubble.enabled", byDefault: true, what: "Hubble's server"},
		{key: "hubble.metrics.port", usual: 9965, on: "hubble.metrics.enabled", what: "Hubble's metrics"},
		{key: "prometheus.port", usual: 9962, on: "prometheus.enabled", what: "the metrics of Cilium's agent"},
		{key: "envoy.healthPort", usual: 9878, what: "the health of Cilium's Envoy"},
		{key: "envoy.prometheus.port", usual: 9964, on: "envoy.prometheus.enabled", byDefault: true, what: "the metrics of Cilium's Envoy"},
		{key: "operator.prometheus.port", usual: 9963, on: "operator.prometheus.enabled", byDefault: true,
			what: "the metrics of Cilium's operator"},
		{usual: 9234, what: "the health of Cilium's operator"},
		{usual: 9890, what: "the diagnostics of Cilium's agent"},
		{usual: 9891, what: "the diagnostics of Cilium's operator"},
		{key: "tunnelPort", udp: true, what: "Cilium's tunnels"},
	},
	string(networkstackv1alpha1.CNICalico): {
		{key: "defaultFelixConfiguration.healthPort", usual: 9099, what: "the health of Calico's agent"},
		{key: "defaultFelixConfiguration.prometheusMetricsPort", usual: 9091, on: "defaultFelixConfiguration.prometheusMetricsEnabled", what: "the metrics of Calico's agent"},
		{key: "installation.typhaMetricsPort", what: "the metrics of Calico's Typha"},
		{usual: 5473, what: "Calico's Typha"},
		{usual: 9098, what: "the health of Calico's Typha"},
		{usual: 179, on: "installation.calicoNetwork.bgp", what: "Calico's BGP"},
		{key: "defaultFelixConfiguration.vxlanPort", usual: 4789, udp: true, what: "Calico's VXLAN"},
	},
	string(networkstackv1alpha1.CNIFlannel): {
		{key: "flannel.healthz.port", usual: 8081, what: "Flannel's health"},
		{key: "flannel.backendPort", udp: true, what: "Flannel's backend"},
	},
	string(networkstackv1alpha1.CNIWeaveNet): {
		{key: "metricsPort", usual: 6782, what: "Weave Net's metrics"},
		{key: "npc.metricsPort", usual: 6781, what: "the metrics of Weave Net's policy controller"},
		{usual: 6783, what: "Weave Net's peers"},
		{usual: 6784, what: "Weave Net's status"},
	},
	string(networkstackv1alpha1.CNIAWSVPC): {
		{usual: 61678, what: "the metrics of the AWS VPC CNI"},
		{usual: 61679, what: "the introspection of the AWS VPC CNI"},
		{usual: 50051, what: "the AWS VPC CNI's address management"},
	},
	TypeConsul: {
		{key: "server.ports.serflan.port", usual: 8301, on: consulHostPorts, what: "the gossip of Consul's servers"},
		{key: "server.ports.serflan.port", usual: 8301, on: consulHostPorts, udp: true, what: "the gossip of Consul's servers"},
		{usual: 8302, on: consulHostPorts, what: "the gossip of Consul's datacenters"},
		{usual: 8302, on: consulHostPorts, udp: true, what: "the gossip of Consul's datacenters"},
		{usual: 8300, on: consulHostPorts, what: "Consul's servers among themselves"},
		{usual: 8502, on: consulHostPorts, what: "the gRPC of Consul's servers"},
	},
}

// portUse is a port of the nodes that a release takes.
type portUse struct {
	hostPort
	port int
	// of is the release, stated whether the user says which port it is, and at where its values are.
	of     string
	stated bool
	at     *field.Path
}

// text is what a port is for, and which value says so.
func (p portUse) text() string {
	if p.key == "" {
		return p.what
	}
	return fmt.Sprintf("%s (%s)", p.what, p.key)
}

// portsOf are those that a release takes, as far as its values say.
func (s *state) portsOf(r Release) []portUse {
	at := map[string]*field.Path{TypeKubeProxy: kubeProxyPath, TypeNodeAgent: nodeAgentPath, TypeConsul: meshPath}[r.Spec.Type]
	if at == nil {
		at = cniPath
	}
	user := s.userValues[at.String()]
	derived, err := ParseValues(r.Spec.DerivedValues)
	if err != nil {
		return nil
	}
	values := MergeValues(derived, user)
	var out []portUse
	for _, p := range hostPorts[r.Spec.Type] {
		if p.on != "" && !isOn(values, p.on, p.byDefault) {
			continue
		}
		v, stated := lookup(user, p.key)
		if !stated {
			v, _ = lookup(values, p.key)
		}
		port := portIn(v)
		if port == 0 && (v == nil || v == "") {
			port = p.usual
		}
		if port != 0 {
			out = append(out, portUse{p, port, r.Name, stated, at.Child("values")})
		}
	}
	return out
}

// isOn says whether a switch is on; a list is a switch as well.
func isOn(values map[string]any, key string, byDefault bool) bool {
	switch v, _ := lookup(values, key); v := v.(type) {
	case nil:
		return byDefault
	case []any:
		return len(v) > 0
	default:
		return v == true || v == "true" || v == string(networkstackv1alpha1.Enabled)
	}
}

// portIn reads a number, or the end of an address; 0 when there is none.
func portIn(v any) int {
	text := fmt.Sprint(v)
	port, err := strconv.ParseUint(text[strings.LastIndex(text, ":")+1:], 10, 16)
	if err != nil {
		return 0
	}
	return int(port)
}

// validateHostPorts refuses two owners of a port of the nodes, and warns of one that somebody else has.
func (s *state) validateHostPorts(releases []Release) {
	if !s.withFacts {
		return
	}
	var uses []portUse
	for _, r := range releases {
		for _, p := range s.portsOf(r) {
			for _, q := range uses {
				if p.port != q.port || p.udp != q.udp {
					continue
				}
				mine, other := p, q
				if !p.stated {
					mine, other = q, p
				}
				s.refuse(ruleHostPortTaken, field.Invalid(mine.at, mine.port, fmt.Sprintf(
					"%s has the port of %s, and both run in the network of each node: give one of them another port", mine.text(), other.text())))
			}
			for _, h := range s.facts.HostPorts {
				if h.ReleaseName == r.Spec.ReleaseName && h.ReleaseNamespace == r.Spec.Namespace {
					continue // of the release that is taken over
				}
				if p.port == h.Port && p.protocol() == h.Protocol {
					s.warn(ruleHostPortFound, p.at, "port %d of %s is taken by DaemonSet %s/%s on the nodes where it runs, and one of them cannot start there: give one another port, or keep that DaemonSet away",
						p.port, p.text(), h.Namespace, h.Name)
				}
			}
			uses = append(uses, p)
		}
	}
	s.validateIngressPorts(uses)
}

// validateIngressPorts refuses ports of ingress controllers that something else listens on: what every node has, a component, or
// another controller.
func (s *state) validateIngressPorts(uses []portUse) {
	taken := map[int64]string{10250: "the kubelet", 10248: "the kubelet", 6443: "the API server", 2379: "etcd", 2380: "etcd"}
	if s.kubeProxyMode == networkstackv1alpha1.KubeProxyUnmanaged {
		for _, p := range hostPorts[TypeKubeProxy] {
			taken[int64(p.usual)] = p.what
		}
	}
	for _, p := range uses {
		if !p.udp {
			taken[int64(p.port)] = p.what
		}
	}
	for n := range s.ingress {
		i := &s.ingress[n]
		if i.HostPorts == nil || !i.takes(ingressHostPorts) {
			continue
		}
		http, https := i.ports()
		for _, p := range []struct {
			name string
			port int64
		}{{"http", http}, {"https", https}} {
			if by, is := taken[p.port]; is {
				s.refuse(ruleIngressHostPortTaken, field.Invalid(i.at(ingressHostPorts).Child(p.name), p.port,
					"is the port of "+by+": use another"))
			}
			taken[p.port] = "HTTP"
		}
		taken[http], taken[https] = "controller "+i.Name, "controller "+i.Name
	}
}
