package analysis

import (
	"cmp"
	"net/netip"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/policy"
)

// end is one end of traffic.
type end struct {
	kind endKind
	// pod, of the cluster's network.
	pod *Pod
	// at are its addresses; traffic flows when it does so for each of them. Everybody outside is a range.
	at []netip.Prefix
}

type endKind int

const (
	endPod endKind = iota
	// endNodes are all nodes, and what runs in their network.
	endNodes
	endAPIServer
	// endGateway is the network plugin's own proxy.
	endGateway
	// endOutside are addresses of nobody in the cluster.
	endOutside
)

// everywhere are all addresses there are.
var everywhere = []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}

func single(addresses []netip.Addr) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(addresses))
	for _, a := range addresses {
		out = append(out, netip.PrefixFrom(a, a.BitLen()))
	}
	return out
}

// rule is a policy.Rule with its selectors compiled.
type rule struct {
	*policy.Rule
	pods  labels.Selector
	peers []peer
}

type peer struct {
	policy.Peer
	namespaces, pods labels.Selector
}

// userPolicy is a Policy with its selector compiled.
type userPolicy struct {
	Policy
	pods labels.Selector
}

// judge evaluates a set on a cluster.
type judge struct {
	api     networkstackv1alpha1.PolicyAPI
	cluster *Cluster
	// covered are the namespaces that the set is for.
	covered map[string]bool
	rules   map[policy.Direction][]rule
	// ranged says of a direction that rules in it have ranges of addresses, so that these matter.
	ranged map[policy.Direction]bool
	// users are the policies of users, by namespace.
	users map[string][]userPolicy
	// pods of each namespace, as places in the cluster's list.
	pods     map[string][]int
	services map[string]*Service
	// doubts are policies of users that are not judged and are for pods that something was found to be denied of.
	doubts map[string]bool
}

// selector is a LabelSelector compiled. One that cannot be read selects what is the worst: everything to deny, nothing to open.
func selector(s *metav1.LabelSelector, deny bool) labels.Selector {
	out, err := metav1.LabelSelectorAsSelector(s)
	if err != nil && deny {
		return labels.Everything()
	}
	if err != nil {
		return labels.Nothing()
	}
	return out
}

func newJudge(set *policy.Set, cluster *Cluster) *judge {
	j := &judge{
		api: set.API, cluster: cluster, covered: map[string]bool{}, rules: map[policy.Direction][]rule{},
		ranged: map[policy.Direction]bool{}, users: map[string][]userPolicy{}, pods: map[string][]int{}, services: map[string]*Service{},
		doubts: map[string]bool{},
	}
	namespaces := selector(&set.Namespaces, true)
	for name, l := range cluster.Namespaces {
		if namespaces.Matches(labels.Set(l)) {
			j.covered[name] = true
		}
	}
	for i := range set.Rules {
		r := &set.Rules[i]
		compiled := rule{Rule: r, pods: selector(&r.Pods, r.Deny)}
		for _, p := range r.Peers {
			c := peer{Peer: p}
			j.ranged[r.Direction] = j.ranged[r.Direction] || p.CIDR.IsValid()
			if p.Namespaces != nil {
				c.namespaces = selector(p.Namespaces, r.Deny)
			}
			if p.Pods != nil {
				c.pods = selector(p.Pods, r.Deny)
			}
			compiled.peers = append(compiled.peers, c)
		}
		j.rules[r.Direction] = append(j.rules[r.Direction], compiled)
	}
	for _, p := range cluster.Policies {
		j.users[p.Namespace] = append(j.users[p.Namespace], userPolicy{Policy: p, pods: selector(&p.Pods, false)})
	}
	for i := range cluster.Pods {
		namespace := cluster.Pods[i].Namespace
		j.pods[namespace] = append(j.pods[namespace], i)
	}
	for i := range cluster.Services {
		s := &cluster.Services[i]
		j.services[s.Namespace+"/"+s.Name] = s
	}
	return j
}

// subject says whether a pod is one that the set is for.
func (j *judge) subject(p *Pod) bool { return p != nil && !p.HostNetwork && j.covered[p.Namespace] }

// cuts says whether traffic to a port is cut that was not before, at either end.
func (j *judge) cuts(from, to end, port policy.Port) bool {
	return from.kind == endPod && j.denies(policy.Egress, from.pod, to, port) ||
		to.kind == endPod && j.denies(policy.Ingress, to.pod, from, port)
}

// denies says whether the set cuts traffic between one of its pods and the other end.
func (j *judge) denies(d policy.Direction, p *Pod, other end, port policy.Port) bool {
	if !j.subject(p) {
		return false
	}
	addresses := other.at
	if len(addresses) == 0 || !j.ranged[d] || !j.ranges(other.kind) {
		addresses = []netip.Prefix{{}} // not known, or of no matter: no range has it
	}
	isolated := j.isolated(d, p)
	cut := slices.ContainsFunc(addresses, func(at netip.Prefix) bool {
		denied, opened := false, false
		for i := range j.rules[d] {
			r := &j.rules[d][i]
			switch {
			case !j.matches(r, p, other, at, port):
			case r.Deny && !r.Default:
				return true
			case r.Deny:
				denied = true
			default:
				opened = true
			}
		}
		// What a user's policy isolates is the user's affair, before as after: with tiers it is asked first, and elsewhere it adds up.
		return denied && !opened && !isolated
	})
	if cut {
		j.doubt(d, p)
	}
	return cut
}

// doubt notes the policies that are not judged, and may be for a pod.
func (j *judge) doubt(d policy.Direction, p *Pod) {
	for _, namespace := range []string{p.Namespace, ""} {
		for i := range j.users[namespace] {
			if u := &j.users[namespace][i]; u.Unjudged != "" && u.of(d) {
				j.doubts[u.Unjudged] = true
			}
		}
	}
}

// of says whether a policy is about a direction.
func (u *userPolicy) of(d policy.Direction) bool {
	return d == policy.Ingress && u.Ingress || d == policy.Egress && u.Egress
}

// isolated says whether a user's policy decides already what a pod may do.
func (j *judge) isolated(d policy.Direction, p *Pod) bool {
	isolates := func(u userPolicy) bool { return u.Unjudged == "" && u.of(d) && u.pods.Matches(labels.Set(p.Labels)) }
	return slices.ContainsFunc(j.users[p.Namespace], isolates) || slices.ContainsFunc(j.users[""], isolates)
}

func (j *judge) matches(r *rule, p *Pod, other end, at netip.Prefix, port policy.Port) bool {
	if !r.pods.Matches(labels.Set(p.Labels)) || !hasPort(r.Ports, port) {
		return false
	}
	return len(r.peers) == 0 || slices.ContainsFunc(r.peers, func(c peer) bool { return j.reaches(c, p, other, at) })
}

// hasPort says whether a rule is for a port. A port that is not known is in none but all.
func hasPort(ports []policy.Port, port policy.Port) bool {
	return len(ports) == 0 || slices.ContainsFunc(ports, func(p policy.Port) bool {
		return cmp.Or(p.Protocol, tcp) == port.Protocol && p.Port <= port.Port && port.Port <= max(p.Port, p.EndPort)
	})
}

// reaches says whether a peer of a rule for a pod is the other end.
func (j *judge) reaches(c peer, p *Pod, other end, at netip.Prefix) bool {
	switch {
	case c.CIDR.IsValid():
		return j.ranges(other.kind) && within(c.Peer, at)
	case c.Entity == policy.Nodes:
		return other.kind == endNodes || other.kind == endAPIServer && j.onNodes()
	case c.Entity == policy.APIServer:
		return other.kind == endAPIServer
	case c.Entity == policy.Gateway:
		return other.kind == endGateway
	case other.kind != endPod:
		return false
	case c.SameNamespace:
		return other.pod.Namespace == p.Namespace && podsMatch(c, other.pod)
	case c.namespaces != nil:
		l, known := j.cluster.Namespaces[other.pod.Namespace]
		return known && c.namespaces.Matches(labels.Set(l)) && podsMatch(c, other.pod)
	}
	return false
}

func podsMatch(c peer, p *Pod) bool { return c.pods == nil || c.pods.Matches(labels.Set(p.Labels)) }

// ranges says whether ranges of addresses are for an end. Cilium's are for what is outside of the cluster alone, and those of
// NetworkPolicies for pods only by accident.
func (j *judge) ranges(k endKind) bool {
	switch k {
	case endPod:
		return j.api == networkstackv1alpha1.PolicyAPIClusterNetworkPolicy || j.api == networkstackv1alpha1.PolicyAPICalico
	case endNodes, endAPIServer:
		return j.api != networkstackv1alpha1.PolicyAPICilium
	case endGateway:
		return false
	case endOutside:
	}
	return true
}

// within says whether a peer's range has all of another.
func within(p policy.Peer, at netip.Prefix) bool {
	return at.IsValid() && p.CIDR.Bits() <= at.Bits() && p.CIDR.Contains(at.Addr()) &&
		!slices.ContainsFunc(p.Except, func(e netip.Prefix) bool { return e.Overlaps(at) })
}

// onNodes says whether the API server runs on nodes of the cluster.
func (j *judge) onNodes() bool {
	return len(j.cluster.APIServer) > 0 &&
		!slices.ContainsFunc(j.cluster.APIServer, func(a netip.Addr) bool { return !slices.Contains(j.cluster.Nodes, a) })
}

// of is the end that a pod is: one in the network of its node is that node to others.
func (j *judge) of(p *Pod) end {
	if p.HostNetwork {
		return j.nodes()
	}
	return end{kind: endPod, pod: p, at: single(p.Addresses)}
}

func (j *judge) nodes() end     { return end{kind: endNodes, at: single(j.cluster.Nodes)} }
func (j *judge) apiServer() end { return end{kind: endAPIServer, at: single(j.cluster.APIServer)} }
