package catalog

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// FlowRole is what a flow is a part of, where a baseline speaks of that without saying where it is.
type FlowRole string

// The roles.
const (
	// FlowDNS is asking the cluster's DNS.
	FlowDNS FlowRole = "DNS"
	// FlowIngress is what ingress controllers and gateways pass on to workloads.
	FlowIngress FlowRole = "Ingress"
	// FlowMonitoring is scraping what a component runs in the pods of workloads: it has ports alone.
	FlowMonitoring FlowRole = "Monitoring"
	// FlowTunnel is a port that carries connections to other ports, so that it is open wherever any port is open between pods.
	FlowTunnel FlowRole = "Tunnel"
)

// Flow is traffic that pods of workloads have because of a component, as a network policy sees it.
type Flow struct {
	// Name of it in the component.
	Name string `yaml:"name"`
	// Why it is needed, as the end of a sentence.
	Why string `yaml:"why"`
	// Role is empty for what is needed whatever the baselines say.
	Role FlowRole `yaml:"role,omitempty"`
	// Subject are labels of the workloads' pods that it is for; empty for all.
	Subject map[string]string `yaml:"subject,omitempty"`
	// To is where pods of workloads connect to, or From what connects to them.
	To   *FlowEnd `yaml:"to,omitempty"`
	From *FlowEnd `yaml:"from,omitempty"`
	// Ports such as TCP/8080 or TCP/8500-8502; empty for all.
	Ports []string `yaml:"ports,omitempty"`
}

// FlowEnd is the end of a flow that is no workload.
type FlowEnd struct {
	// Selector finds pods of the release's namespace by their labels. In values, $release and $namespace stand for
	// those of the Helm release.
	Selector map[string]string `yaml:"selector,omitempty"`
	// EveryPod has the pods, or those with the labels, of all namespaces.
	EveryPod bool `yaml:"everyPod,omitempty"`
	// HostNetwork are the paths of chart values of which any puts these pods in the network of their nodes.
	HostNetwork []string `yaml:"hostNetwork,omitempty"`
	// Addresses are not of pods.
	Addresses []string `yaml:"addresses,omitempty"`
	// AddressValues are paths of chart values that are addresses. With Nodes, they are those of nodes.
	AddressValues []string `yaml:"addressValues,omitempty"`
	Nodes         bool     `yaml:"nodes,omitempty"`
	// Anywhere is everybody.
	Anywhere bool `yaml:"anywhere,omitempty"`
}

// FlowPort is a port of a flow, or a range of them.
type FlowPort struct {
	Protocol    string
	First, Last int32
}

// ParsePort reads a port such as TCP/8080 or TCP/8500-8502.
func ParsePort(text string) (FlowPort, bool) {
	protocol, numbers, ok := strings.Cut(text, "/")
	if !ok || !slices.Contains([]string{"TCP", "UDP", "SCTP"}, protocol) {
		return FlowPort{}, false
	}
	first, last, isRange := strings.Cut(numbers, "-")
	if !isRange {
		last = first
	}
	low, err1 := strconv.ParseUint(first, 10, 16)
	high, err2 := strconv.ParseUint(last, 10, 16)
	return FlowPort{Protocol: protocol, First: int32(low), Last: int32(high)}, err1 == nil && err2 == nil && low > 0 && low <= high
}

// validateFlows judges what an entry says of flows.
func validateFlows(list []Flow, d *document) {
	for i := range list {
		f, at := &list[i], func(field string) []any { return []any{"flows", i, field} }
		if f.Name == "" || !metricsName.MatchString(f.Name) {
			d.at(at("name"), "%q is no name: use at most 32 lower-case letters, digits and \"-\"", f.Name)
		}
		if slices.ContainsFunc(list[:i], func(o Flow) bool { return o.Name == f.Name }) {
			d.at(at("name"), "%q is there twice: give each flow a name of its own", f.Name)
		}
		if f.Why == "" {
			d.at(at("why"), "says not what it is for: state it")
		}
		for _, p := range f.Ports {
			if _, ok := ParsePort(p); !ok {
				d.at(at("ports"), "%q is no port: write one such as TCP/8080 or TCP/8500-8502", p)
			}
		}
		f.validateEnds(d, at)
	}
}

func (f *Flow) validateEnds(d *document, at func(string) []any) {
	switch f.Role {
	case FlowTunnel, FlowMonitoring:
		if f.To != nil || f.From != nil || len(f.Subject) > 0 || len(f.Ports) == 0 {
			d.at(at("role"), "%s has ports and nothing else: remove to, from and subject", f.Role)
		}
		return
	case "", FlowDNS, FlowIngress:
	default:
		d.at(at("role"), "%q is no role: use DNS, Ingress, Monitoring or Tunnel, or leave it out", f.Role)
	}
	if (f.To == nil) == (f.From == nil) || f.Role == FlowDNS && f.To == nil || f.Role == FlowIngress && f.From == nil {
		d.at(at("name"), "a flow goes one way: say where to, or where from (DNS is asked, and ingress comes)")
		return
	}
	end, field := f.To, "to"
	if end == nil {
		end, field = f.From, "from"
	}
	for _, a := range end.Addresses {
		if p, err := netip.ParsePrefix(a); err != nil || p != p.Masked() {
			d.at(at(field), "%q is no range of addresses: write one such as 169.254.7.127/32", a)
		}
	}
	kinds := 0
	for _, is := range []bool{len(end.Selector) > 0 || end.EveryPod, len(end.Addresses)+len(end.AddressValues) > 0, end.Anywhere} {
		if is {
			kinds++
		}
	}
	if kinds != 1 || end.Nodes && len(end.AddressValues) == 0 || len(end.HostNetwork) > 0 && len(end.Selector) == 0 {
		d.at(at(field), "an end is of one kind: pods (selector, everyPod), addresses (addresses, addressValues) or anywhere")
	}
}
