package analysis

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/policy"
)

const (
	tcp = networkstackv1alpha1.PolicyProtocol("TCP")
	udp = networkstackv1alpha1.PolicyProtocol("UDP")
)

// Analyse says what a set would cut in a cluster. Not judged are: what comes from a pod's own node (the kubelet's probes), which every
// network plugin lets through; what a user's policy isolates already; and what serves a component of the stack, whose namespaces are
// never covered.
func Analyse(set *policy.Set, cluster *Cluster) Report {
	a := &analysis{judge: newJudge(set, cluster), found: map[string]*Finding{}}
	a.webhooks()
	a.aggregated()
	a.dns()
	a.meshes()
	a.probes()
	a.ingress()
	a.outside()
	a.scrapes()
	a.callers()
	out := Report{Findings: make([]Finding, 0, len(a.found)), Clashes: clashes(set, cluster)}
	for _, f := range a.found {
		out.Findings = append(out.Findings, *f)
	}
	slices.SortFunc(out.Findings, func(x, y Finding) int {
		return cmp.Or(cmp.Compare(x.Severity, y.Severity), cmp.Compare(x.Name, y.Name)) // Danger comes before Notice
	})
	return out
}

// Covered is how many namespaces of a cluster a set is for.
func Covered(set *policy.Set, cluster *Cluster) int {
	namespaces, n := selector(&set.Namespaces, true), 0
	for _, l := range cluster.Namespaces {
		if namespaces.Matches(labels.Set(l)) {
			n++
		}
	}
	return n
}

// clashes are the ClusterNetworkPolicies of others that have the tier and priority of one that the set is written as.
func clashes(set *policy.Set, cluster *Cluster) []ClusterPolicy {
	if set.API != networkstackv1alpha1.PolicyAPIClusterNetworkPolicy {
		return nil
	}
	places := policy.Places(set)
	var out []ClusterPolicy
	for _, p := range cluster.ClusterPolicies {
		if slices.Contains(places, policy.Place{Tier: p.Tier, Priority: p.Priority}) {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(x, y ClusterPolicy) int { return cmp.Compare(x.Name, y.Name) })
	return out
}

type analysis struct {
	*judge
	found map[string]*Finding
}

// add adds a finding. What has the same name is the same, and as bad as the worst of it.
func (a *analysis) add(f Finding) {
	for text := range a.doubts {
		f.Unjudged = append(f.Unjudged, text)
	}
	slices.Sort(f.Unjudged)
	clear(a.doubts)
	before := a.found[f.Name]
	if before == nil {
		a.found[f.Name] = &f
		return
	}
	if f.Severity == networkstackv1alpha1.SeverityDanger && before.Severity != f.Severity {
		before.Severity, before.What = f.Severity, f.What
	}
	before.Unjudged = slices.Compact(slices.Sorted(slices.Values(slices.Concat(before.Unjudged, f.Unjudged))))
	for _, o := range f.Openings {
		before.Openings = merge(before.Openings, o)
	}
}

// merge adds a baseline to others; the ports of one of the same type and namespaces are joined.
func merge(list []networkstackv1alpha1.Baseline, more networkstackv1alpha1.Baseline) []networkstackv1alpha1.Baseline {
	for i := range list {
		o := &list[i]
		if o.Type != more.Type || (o.Namespaces == nil) != (more.Namespaces == nil) ||
			o.Namespaces != nil && !maps.Equal(o.Namespaces.MatchLabels, more.Namespaces.MatchLabels) {
			continue
		}
		if len(o.Ports) == 0 || len(more.Ports) == 0 {
			o.Ports = nil
			return list
		}
		for _, p := range more.Ports {
			if !slices.Contains(o.Ports, p) {
				o.Ports = append(o.Ports, p)
			}
		}
		slices.SortFunc(o.Ports, func(x, y networkstackv1alpha1.PolicyPort) int {
			return cmp.Or(cmp.Compare(x.Port, y.Port), cmp.Compare(x.Protocol, y.Protocol))
		})
		return list
	}
	more.Ports = slices.Clone(more.Ports)
	return append(list, more)
}

// target is a pod and the port on it that a port of a Service leads to; port 0 when it is not known.
type target struct {
	pod  *Pod
	port policy.Port
}

// targets are what a port of a Service leads to. Where there are no pods at the moment, there is one as the Service's selector has it.
func (a *analysis) targets(s *Service, p ServicePort) []target {
	if len(s.Selector) == 0 {
		return nil // somebody writes its endpoints
	}
	var out []target
	want := labels.SelectorFromSet(s.Selector)
	for _, i := range a.judge.pods[s.Namespace] {
		if pod := &a.cluster.Pods[i]; want.Matches(labels.Set(pod.Labels)) {
			out = append(out, target{pod, portOf(pod, p)})
		}
	}
	if len(out) == 0 {
		pod := &Pod{Namespace: s.Namespace, Labels: s.Selector}
		out = append(out, target{pod, portOf(pod, p)})
	}
	return out
}

// portOf is the port of a pod that a port of a Service leads to.
func portOf(pod *Pod, p ServicePort) policy.Port {
	out := policy.Port{Protocol: cmp.Or(p.Protocol, tcp)}
	switch {
	case p.Target.Type == intstr.String && p.Target.StrVal != "":
		out.Port = named(pod, p.Target.StrVal, out.Protocol)
	case p.Target.IntVal != 0:
		out.Port = p.Target.IntVal
	default:
		out.Port = p.Port
	}
	return out
}

func named(pod *Pod, name string, protocol networkstackv1alpha1.PolicyProtocol) int32 {
	for _, p := range pod.Ports {
		if p.Name == name && cmp.Or(p.Protocol, tcp) == protocol {
			return p.Port
		}
	}
	return 0
}

// referred is the Service, and what it leads to, of a reference; nil when there is no such thing.
func (a *analysis) referred(r ServiceRef) (*Service, []target) {
	s := a.services[r.Namespace+"/"+r.Name]
	if s == nil {
		return nil, nil
	}
	for _, p := range s.Ports {
		if r.PortName != "" && p.Name == r.PortName || r.PortName == "" && p.Port == r.Port {
			return s, a.targets(s, p)
		}
	}
	return s, nil
}

// cutPorts are the ports of those targets that an end is cut off from, and whether there are any.
func (a *analysis) cutPorts(from end, targets []target) (ports []policy.Port, cut bool) {
	for _, t := range targets {
		if !a.cuts(from, a.of(t.pod), t.port) {
			continue
		}
		cut = true
		if t.port.Port > 0 && !slices.Contains(ports, t.port) {
			ports = append(ports, t.port)
		}
	}
	slices.SortFunc(ports, func(x, y policy.Port) int {
		return cmp.Or(cmp.Compare(x.Port, y.Port), cmp.Compare(x.Protocol, y.Protocol))
	})
	return ports, cut
}

// opening is a baseline for ports; none where one of them has to be known and is not.
func opening(name string, kind networkstackv1alpha1.BaselineType, ports []policy.Port) []networkstackv1alpha1.Baseline {
	b := networkstackv1alpha1.Baseline{Name: name, Type: kind}
	for _, p := range ports {
		out := networkstackv1alpha1.PolicyPort{Port: p.Port}
		if p.Protocol != tcp {
			out.Protocol = p.Protocol
		}
		b.Ports = append(b.Ports, out)
	}
	if kind == networkstackv1alpha1.BaselineAllowFromAnywhere && len(b.Ports) == 0 {
		return nil
	}
	return []networkstackv1alpha1.Baseline{b}
}

// place names a Service.
func place(s *Service, ports []policy.Port) string {
	text := "Service " + s.Namespace + "/" + s.Name
	if len(ports) > 0 {
		text += fmt.Sprintf(", port %d/%s of its pods", ports[0].Port, ports[0].Protocol)
	}
	return text
}

// workload names a pod's workload.
func workload(p *Pod) string { return p.Namespace + "/" + cmp.Or(p.Owner, "pods to come") }
