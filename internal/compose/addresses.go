package compose

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go4.org/netipx"
	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
)

const (
	ipv4 = networkstackv1alpha1.IPv4
	ipv6 = networkstackv1alpha1.IPv6
)

// pool is one CIDR of the pods' address ranges.
type pool struct {
	prefix netip.Prefix
	family networkstackv1alpha1.IPFamily
	// index of the pool in spec.ipPools, -1 for a range derived from the nodes.
	index int
	path  *field.Path
}

// familyOf an address.
func familyOf(addr netip.Addr) networkstackv1alpha1.IPFamily {
	if addr.Is4() {
		return ipv4
	}
	return ipv6
}

func otherFamily(f networkstackv1alpha1.IPFamily) networkstackv1alpha1.IPFamily {
	if f == ipv4 {
		return ipv6
	}
	return ipv4
}

// familiesOf prefixes, in order of first appearance.
func familiesOf(prefixes []netip.Prefix) []networkstackv1alpha1.IPFamily {
	var out []networkstackv1alpha1.IPFamily
	for _, p := range prefixes {
		if f := familyOf(p.Addr()); !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	return out
}

// ofFamily keeps the prefixes of one family.
func ofFamily(prefixes []netip.Prefix, f networkstackv1alpha1.IPFamily) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range prefixes {
		if familyOf(p.Addr()) == f {
			out = append(out, p)
		}
	}
	return out
}

// familyWords is "IPv4", or "IPv4 and IPv6" in the given order.
func familyWords(families []networkstackv1alpha1.IPFamily) string {
	words := make([]string, len(families))
	for i, f := range families {
		words[i] = string(f)
	}
	return strings.Join(words, " and ")
}

// poolsOf are the pods' ranges of one family, in order.
func (s *state) poolsOf(f networkstackv1alpha1.IPFamily) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range s.pools {
		if p.family == f {
			out = append(out, p.prefix)
		}
	}
	return out
}

// dualStack says whether both families are wanted.
func (s *state) dualStack() bool { return len(s.families) == 2 }

// primary is the first family; IPv4 while none is known.
func (s *state) primary() networkstackv1alpha1.IPFamily {
	if len(s.families) == 0 {
		return ipv4
	}
	return s.families[0]
}

// has says whether a family is wanted.
func (s *state) has(f networkstackv1alpha1.IPFamily) bool { return slices.Contains(s.families, f) }

// parseCIDR reads a CIDR that must be written canonically. When it is not, the second result says so and
// how to write it.
func parseCIDR(text string) (netip.Prefix, string) {
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		if _, err := netip.ParseAddr(text); err == nil {
			return netip.Prefix{}, "has no prefix length: write a CIDR such as 10.244.0.0/16"
		}
		if p, err := netip.ParsePrefix(withoutLeadingZeros(text)); err == nil {
			return netip.Prefix{}, fmt.Sprintf("has leading zeros; did you mean %q?", p.Masked())
		}
		return netip.Prefix{}, "is not a CIDR: write an address and a prefix length, such as 10.244.0.0/16"
	case p.Addr().Is4In6():
		if p.Bits() < 96 {
			return netip.Prefix{}, "is not a usable IPv6 range: ::ffff:0:0/96 holds IPv4 addresses; write an IPv4 CIDR"
		}
		plain := netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96).Masked()
		return netip.Prefix{}, fmt.Sprintf("is an IPv4 range written as IPv6; did you mean %q?", plain)
	case p != p.Masked():
		return netip.Prefix{}, fmt.Sprintf("has host bits set; did you mean %q?", p.Masked())
	}
	return p, ""
}

// withoutLeadingZeros of dotted numbers and of the prefix length: "010.0.0.0/08" becomes "10.0.0.0/8".
func withoutLeadingZeros(text string) string {
	addr, bits, _ := strings.Cut(text, "/")
	parts := strings.Split(addr, ".")
	for i, part := range parts {
		parts[i] = trimZeros(part)
	}
	return strings.Join(parts, ".") + "/" + trimZeros(bits)
}

func trimZeros(number string) string {
	trimmed := strings.TrimLeft(number, "0")
	if trimmed == "" && number != "" {
		return "0"
	}
	return trimmed
}

// reserved ranges can never be pod addresses. Kubernetes refuses Endpoints that are loopback, link-local,
// unspecified or link-local multicast; the rest is not routable by any data plane.
var reserved = []struct {
	prefix netip.Prefix
	what   string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "reserved for \"this network\" (RFC 1122)"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved (RFC 1112)"},
	{netip.MustParsePrefix("::/128"), "the unspecified address"},
	{netip.MustParsePrefix("::1/128"), "loopback"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("fec0::/10"), "deprecated site-local (RFC 3879)"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
}

// documentation ranges of RFC 5737 and RFC 3849.
var documentation = mustIPSet("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")

// dockerBridge is the default network of Docker on a host.
var dockerBridge = netip.MustParsePrefix("172.17.0.0/16")

// private ranges are those that are not routed on the Internet: RFC 1918, RFC 6598, RFC 2544 and RFC 4193.
var private = mustIPSet("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15", "fc00::/7")

func mustIPSet(cidrs ...string) *netipx.IPSet {
	var b netipx.IPSetBuilder
	for _, c := range cidrs {
		b.AddPrefix(netip.MustParsePrefix(c))
	}
	set, err := b.IPSet()
	if err != nil {
		panic(err)
	}
	return set
}

// setOf prefixes as one set of addresses; nil when it cannot be built.
func setOf(prefixes []netip.Prefix) *netipx.IPSet {
	var b netipx.IPSetBuilder
	for _, p := range prefixes {
		if p.IsValid() {
			b.AddPrefix(p)
		}
	}
	set, err := b.IPSet()
	if err != nil {
		return &netipx.IPSet{}
	}
	return set
}

// parseServiceCIDRs takes the Service ranges from the pinned facts, else from the discovered ones.
func (s *state) parseServiceCIDRs() {
	path := clusterPath.Child("serviceCIDRs")
	var pinned []netip.Prefix
	for i, text := range s.pinned().ServiceCIDRs {
		p, problem := parseCIDR(text)
		switch {
		case problem != "":
			s.refuse(ruleCIDRForm, field.Invalid(path.Index(i), text, problem))
		case len(ofFamily(pinned, familyOf(p.Addr()))) > 0:
			s.refuse(ruleServiceRangeTwice, field.Invalid(path.Index(i), text, fmt.Sprintf(
				"there is an %s range already; list at most one IPv4 and one IPv6 range", familyOf(p.Addr()))))
		default:
			s.validateServiceRangeSize(path.Index(i), p)
			pinned = append(pinned, p)
		}
	}
	if len(s.pinned().ServiceCIDRs) > 0 {
		s.services, s.serviceSource = pinned, path.String()
		if ip := s.facts.ServiceIP; ip.IsValid() && len(pinned) > 0 && !setOf(pinned).Contains(ip) {
			s.warn(ruleServiceRangeWrong, path, "the Service default/kubernetes has %s, which is in none of these ranges: check them", ip)
		}
		return
	}
	for _, p := range s.facts.ServiceCIDRs {
		if p.IsValid() {
			s.services = append(s.services, p.Masked())
		}
	}
	s.serviceSource = s.facts.ServiceCIDRSource
}

// Prefix lengths of Service ranges: the longest that hold eight addresses, the shortest of API servers that keep their books in one
// bitmap of 20 bits, and the shortest IPv6 ones of those that do not.
const (
	longestServiceIPv4, longestServiceIPv6 = 29, 125
	bitmapServiceIPv4, bitmapServiceIPv6   = 12, 108
	shortestServiceIPv6                    = 64
)

// validateServiceRangeSize refuses a range that no API server of this version serves.
func (s *state) validateServiceRangeSize(path *field.Path, p netip.Prefix) {
	shortest, longest := bitmapServiceIPv4, longestServiceIPv4
	if p.Addr().Is6() {
		shortest, longest = bitmapServiceIPv6, longestServiceIPv6
	}
	who := "an API server before 1.34"
	if v := parseVersion(s.facts.KubernetesVersion); v == nil || atLeast(v, 1, 34) {
		who, shortest = "the API server", 0
		if p.Addr().Is6() {
			shortest = shortestServiceIPv6
		}
	}
	switch {
	case p.Bits() < shortest:
		s.refuse(ruleServiceRangeSize, field.Invalid(path, p.String(), fmt.Sprintf(
			"is larger than /%d, and %s takes no such range: write its --service-cluster-ip-range, or remove it to have the ranges discovered", shortest, who)))
	case p.Bits() > longest:
		s.refuse(ruleServiceRangeSize, field.Invalid(path, p.String(),
			"has fewer than 8 addresses, and the API server takes no such range: write its --service-cluster-ip-range, or remove it to have the ranges discovered"))
	}
}

// serviceRanges are all ranges of Services, those that were added to the API server's as objects among them.
func (s *state) serviceRanges() []facts.ServiceRange {
	var out []facts.ServiceRange
	for _, p := range s.services {
		out = append(out, facts.ServiceRange{Prefix: p, Source: s.serviceSource})
	}
	for _, r := range s.facts.MoreServiceCIDRs {
		if r.Prefix.IsValid() {
			r.Prefix = r.Prefix.Masked()
			out = append(out, r)
		}
	}
	return out
}

// deriveFamilies follows the spec, else the pools, else the Service ranges, else the nodes.
func (s *state) deriveFamilies() {
	path := specPath.Child("ipFamilies")
	for _, f := range s.spec.IPFamilies {
		if (f == ipv4 || f == ipv6) && !slices.Contains(s.families, f) {
			s.families = append(s.families, f)
		}
	}
	if len(s.spec.IPFamilies) > 0 {
		return
	}
	prefixes := make([]netip.Prefix, len(s.pools))
	for i := range s.pools {
		prefixes[i] = s.pools[i].prefix
	}
	reason := ""
	switch {
	case len(s.pools) > 0:
		s.families, reason = familiesOf(prefixes), "the families of ipPools, in their order"
	case len(s.services) > 0:
		s.families, reason = familiesOf(s.services), "the families of the cluster's Service ranges"
	case s.facts.ServiceIP.IsValid():
		s.families = []networkstackv1alpha1.IPFamily{familyOf(s.facts.ServiceIP.Unmap())}
		reason = "the family of the Service default/kubernetes"
	default:
		s.families, reason = facts.NodeFamilies(s.linux), "the families in which every node has an internal address"
	}
	if len(s.families) > 0 {
		s.note(path, familiesText(s.families), "%s", reason)
	} else if s.withFacts && s.installsCNI() && len(s.spec.IPPools) == 0 {
		s.refuse(ruleFamilyUnknown, field.Required(path, "neither pools, Service ranges nor nodes say which IP families the cluster has: list IPv4, IPv6, or both"))
	}
}

func familiesText(families []networkstackv1alpha1.IPFamily) string {
	words := make([]string, len(families))
	for i, f := range families {
		words[i] = string(f)
	}
	return strings.Join(words, ", ")
}

// derivePools takes what the nodes have when the spec names no pools.
func (s *state) derivePools() {
	if len(s.spec.IPPools) > 0 {
		return
	}
	switch s.spec.CNI.Type {
	case networkstackv1alpha1.CNICalico:
		s.derivePodSubnets()
		return
	case networkstackv1alpha1.CNIWeaveNet:
		s.deriveWeaveRange()
		return
	case networkstackv1alpha1.CNIAWSVPC:
		return // pods have addresses of the nodes' subnets
	default:
	}
	for _, p := range facts.PodCIDRs(s.linux) {
		f := familyOf(p.Addr())
		if s.has(f) && len(s.poolsOf(f)) == 0 {
			s.pools = append(s.pools, pool{prefix: p, family: f, index: -1, path: poolsPath})
		}
	}
	slices.SortStableFunc(s.pools, func(a, b pool) int {
		return slices.Index(s.families, a.family) - slices.Index(s.families, b.family)
	})
	if len(s.pools) == 0 {
		return
	}
	s.poolsFromNodes = true
	texts := make([]string, len(s.pools))
	for i, p := range s.pools {
		texts[i] = p.prefix.String()
	}
	s.note(poolsPath, strings.Join(texts, ", "),
		"the smallest range of each family that holds the spec.podCIDRs of the %d nodes", len(s.linux))
}
