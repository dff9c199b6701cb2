package compose

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"

	"go4.org/netipx"
	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// Component types of MetalLB and its custom resources, and their names in the catalogue.
const (
	TypeMetalLB          = "MetalLB"
	TypeMetalLBResources = "MetalLBResources"
)

var (
	loadBalancerPath = specPath.Child("loadBalancer")
	lbPoolsPath      = loadBalancerPath.Child("pools")
)

// lbRange is one entry of a pool's addresses.
type lbRange struct {
	// index of the pool, and path of the entry.
	index int
	path  *field.Path
	// text is what the user wrote, and given are the addresses.
	text  string
	given netipx.IPRange
	// cidr is what was written, when it was one.
	cidr netip.Prefix
}

func (r lbRange) family() networkstackv1alpha1.IPFamily { return familyOf(r.given.From()) }

// loadBalancerSpec is the user's block; never nil.
func (s *state) loadBalancerSpec() *networkstackv1alpha1.LoadBalancerSpec {
	if s.spec.LoadBalancer == nil {
		return &networkstackv1alpha1.LoadBalancerSpec{}
	}
	return s.spec.LoadBalancer
}

// balances says whether a type gives Services their addresses.
func (s *state) balances(t networkstackv1alpha1.LoadBalancerType) bool {
	return s.loadBalancerSpec().Type == t
}

// lbMode is how addresses are announced.
func (s *state) lbMode() networkstackv1alpha1.LoadBalancerMode {
	return cmp.Or(s.loadBalancerSpec().Mode, networkstackv1alpha1.LoadBalancerL2)
}

// deriveLoadBalancer reads the pools' addresses. What is wrong with one of them alone is refused.
func (s *state) deriveLoadBalancer() {
	l := s.spec.LoadBalancer
	if l == nil || l.Type == networkstackv1alpha1.LoadBalancerUnmanaged {
		return
	}
	if l.Mode == "" {
		s.note(loadBalancerPath.Child("mode"), networkstackv1alpha1.LoadBalancerL2, "default: it asks nothing of the routers")
	}
	for i := range l.Pools {
		for j, text := range l.Pools[i].Addresses {
			path := lbPoolsPath.Index(i).Child("addresses").Index(j)
			r, problem := parseAddresses(text)
			if problem != "" {
				s.refuse(ruleLBAddresses, field.Invalid(path, text, problem))
				continue
			}
			r.index, r.path, r.text = i, path, text
			if s.validateLBReserved(r) {
				s.lbRanges = append(s.lbRanges, r)
			}
		}
	}
}

// parseAddresses reads a CIDR, or first and last address.
func parseAddresses(text string) (lbRange, string) {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		p, problem := parseCIDR(text)
		if problem != "" {
			return lbRange{}, problem
		}
		return lbRange{given: netipx.RangeOfPrefix(p), cidr: p}, ""
	}
	from, err1 := netip.ParseAddr(strings.TrimSpace(first))
	to, err2 := netip.ParseAddr(strings.TrimSpace(last))
	switch {
	case err1 != nil || err2 != nil || from.Zone() != "" || to.Zone() != "" || from.Is4In6() || to.Is4In6():
		return lbRange{}, "is not first and last address: write a CIDR such as 192.168.10.0/26, or 192.168.10.10-192.168.10.40"
	case from.Is4() != to.Is4():
		return lbRange{}, "has addresses of two families: write a range of each"
	case to.Less(from):
		return lbRange{}, "ends before it begins: exchange the addresses"
	}
	return lbRange{given: netipx.IPRangeFrom(from, to)}, ""
}

// validateLBReserved refuses addresses that no client can reach.
func (s *state) validateLBReserved(r lbRange) bool {
	for _, bad := range reserved {
		if r.given.Overlaps(netipx.RangeOfPrefix(bad.prefix)) {
			s.refuse(ruleLBAddresses, field.Invalid(r.path, r.text, fmt.Sprintf(
				"has addresses of %s, which is %s: use addresses that clients reach", bad.prefix, bad.what)))
			return false
		}
	}
	return true
}

// usesStrictARP says whether kube-proxy must not answer ARP for the addresses of Services.
func (s *state) usesStrictARP() bool {
	return s.balances(networkstackv1alpha1.LoadBalancerMetalLB) && s.lbMode() == networkstackv1alpha1.LoadBalancerL2
}

// strictARP has a kube-proxy in mode IPVS, where every node has the addresses of all Services, leave the answer to MetalLB.
func (s *state) strictARP(b *valuesBuilder) {
	if s.kubeProxyMode == networkstackv1alpha1.KubeProxyIPVS && s.usesStrictARP() {
		b.control("ipvs.strictARP", loadBalancerPath.Child("type").String(), true, "MetalLB answers ARP for the addresses of Services, on one node each")
	}
}

// loadBalancerReleases are MetalLB and its pools. These are a release of their own: they come after MetalLB's definitions and its
// webhook, and go before it.
func (s *state) loadBalancerReleases(network []string) []Release {
	if !s.balances(networkstackv1alpha1.LoadBalancerMetalLB) {
		return nil
	}
	l := s.spec.LoadBalancer
	b := newValues(nameMetalLB)
	bgp := s.lbMode() == networkstackv1alpha1.LoadBalancerBGP
	const by = "spec.loadBalancer.mode"
	if bgp {
		b.set("frrk8s.enabled", true, "mode is BGP; FRR speaks it, for both families")
	} else {
		b.control("frrk8s.enabled", by, false, "mode is L2, so nothing speaks BGP")
	}
	b.set("speaker.frr.enabled", false, "the older way to have FRR, which excludes frrk8s")
	b.control("crds.enabled", loadBalancerPath.Child("pools").String(), true, "component %s has the pools", nameMetalLBResources)
	if l.Class != "" {
		b.control("loadBalancerClass", loadBalancerPath.Child("class").String(), l.Class, "class is given")
	} else {
		b.reserve("loadBalancerClass", loadBalancerPath.Child("class").String())
	}
	main := s.release(nameMetalLB, TypeMetalLB, stageLoadBalancer, loadBalancerPath, l.ComponentSettings, b)
	main.Needs = network

	resources := newValues(nameMetalLBResources)
	s.metalLBResources(resources)
	settings := networkstackv1alpha1.ComponentSettings{Namespace: main.Spec.Namespace, DriftMode: l.DriftMode, Suspend: l.Suspend}
	pools := s.release(nameMetalLBResources, TypeMetalLBResources, stageLoadBalancer+1, lbPoolsPath, settings, resources)
	pools.Needs = append([]string{nameMetalLB}, network...)
	return []Release{main, pools}
}

// metalLBResources are the chart values of MetalLB's custom resources.
func (s *state) metalLBResources(b *valuesBuilder) {
	l := s.spec.LoadBalancer
	pools := make([]any, len(l.Pools))
	names := make([]string, len(l.Pools))
	for i, p := range l.Pools {
		names[i] = p.Name
		entry := map[string]any{"name": p.Name, "addresses": anyStrings(p.Addresses)}
		if p.AutoAssign != "" {
			entry["autoAssign"] = p.AutoAssign == networkstackv1alpha1.Enabled
		}
		if p.ServiceSelector != nil {
			entry["serviceSelector"] = selectorValue(p.ServiceSelector)
		}
		pools[i] = entry
	}
	// The pools themselves would only fill the status.
	b.reserve("pools", lbPoolsPath.String())
	b.values["pools"] = pools
	s.note(lbPoolsPath, strings.Join(names, ", "), "IPAddressPools, announced by %s", s.lbMode())
	if s.lbMode() == networkstackv1alpha1.LoadBalancerBGP {
		b.values["bgp"] = s.metalLBBGP()
		return
	}
	b.values["l2"] = l2Values(l.L2)
}

// l2Values are where addresses are answered for, and nothing that was not said.
func l2Values(l *networkstackv1alpha1.LoadBalancerL2Spec) map[string]any {
	out := map[string]any{}
	if l != nil && len(l.Interfaces) > 0 {
		out["interfaces"] = anyStrings(l.Interfaces)
	}
	if l != nil && l.NodeSelector != nil {
		out["nodeSelector"] = selectorValue(l.NodeSelector)
	}
	return out
}

func (s *state) metalLBBGP() map[string]any {
	bgp := s.spec.LoadBalancer.BGP
	if bgp == nil {
		return nil // refused
	}
	peers := make([]any, len(bgp.Peers))
	for i, p := range bgp.Peers {
		entry := map[string]any{"name": p.Name, "address": p.Address, "asn": p.ASN}
		for key, n := range map[string]int32{
			"port": p.Port, "holdTimeSeconds": p.HoldTimeSeconds, "keepAliveTimeSeconds": p.KeepAliveTimeSeconds,
		} {
			if n != 0 {
				entry[key] = int64(n)
			}
		}
		for key, t := range map[string]networkstackv1alpha1.Toggle{"ebgpMultihop": p.EBGPMultihop, "gracefulRestart": p.GracefulRestart} {
			if t == networkstackv1alpha1.Enabled {
				entry[key] = true
			}
		}
		if p.PasswordSecretName != "" {
			entry["passwordSecretName"] = p.PasswordSecretName
		}
		if p.NodeSelector != nil {
			entry["nodeSelector"] = selectorValue(p.NodeSelector)
		}
		peers[i] = entry
	}
	out := map[string]any{"localASN": bgp.LocalASN, "peers": peers}
	if len(bgp.Communities) > 0 {
		out["communities"] = anyStrings(bgp.Communities)
	}
	return out
}

// Cilium's agents ask the API server for each Service that they announce by L2, once per renewal of its lease. These rates are enough
// for a hundred Services on one node, beside what the agents ask for anyway.
const (
	ciliumL2QPS   = 30
	ciliumL2Burst = 60
)

// ciliumLoadBalancer are the chart values of Cilium as load balancer, and of Cilium beside another one.
func (s *state) ciliumLoadBalancer(b *valuesBuilder) {
	by := loadBalancerPath.Child("type").String()
	switch {
	case s.balances(networkstackv1alpha1.LoadBalancerCilium):
		b.control("enableLBIPAM", by, true, "component %s has the pools of Services' addresses", nameCiliumResources)
		l2 := s.lbMode() == networkstackv1alpha1.LoadBalancerL2
		b.control("l2announcements.enabled", loadBalancerPath.Child("mode").String(), l2, "mode is %s", s.lbMode())
		if l2 {
			const why = "each Service that a node answers for costs its agent a request every 5 seconds; enough for a hundred of them"
			b.set("k8sClientRateLimit.qps", int64(ciliumL2QPS), why)
			b.set("k8sClientRateLimit.burst", int64(ciliumL2Burst), why)
		}
	case s.balances(networkstackv1alpha1.LoadBalancerMetalLB) && s.loadBalancerSpec().Class == "":
		b.set("defaultLBServiceIPAM", "none", "MetalLB gives Services without a class their addresses")
	}
}

// ciliumLoadBalancerValues are what the chart of Cilium's resources takes; nil when there are none.
func (s *state) ciliumLoadBalancerValues() map[string]any {
	if !s.balances(networkstackv1alpha1.LoadBalancerCilium) {
		return nil
	}
	l := s.spec.LoadBalancer
	pools := make([]any, len(l.Pools))
	names := make([]string, len(l.Pools))
	for i, p := range l.Pools {
		names[i] = p.Name
		var blocks []any
		for _, r := range s.lbRanges {
			switch {
			case r.index != i:
			case r.cidr.IsValid():
				blocks = append(blocks, map[string]any{"cidr": r.cidr.String()})
			default:
				blocks = append(blocks, map[string]any{"start": r.given.From().String(), "stop": r.given.To().String()})
			}
		}
		entry := map[string]any{"name": p.Name, "blocks": blocks}
		if p.ServiceSelector != nil {
			entry["serviceSelector"] = selectorValue(p.ServiceSelector)
		}
		pools[i] = entry
	}
	s.note(lbPoolsPath, strings.Join(names, ", "), "CiliumLoadBalancerIPPools, announced by %s", s.lbMode())
	out := map[string]any{"pools": pools}
	if s.lbMode() == networkstackv1alpha1.LoadBalancerL2 {
		out["l2"] = l2Values(l.L2)
	}
	return out
}
