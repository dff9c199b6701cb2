package compose

import (
	"fmt"
	"net/netip"

	"go4.org/netipx"
	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// validateIPAM judges where an attachment's addresses come from, and gives those that pods may get.
func (s *state) validateIPAM(path *field.Path, a *networkstackv1alpha1.NetworkAttachment) []span {
	s.validateIPAMPlugin(path, a)
	if a.IPAM == nil {
		return nil
	}
	var spans []span
	gateways := 0
	whereabouts := a.IPAM.Type == networkstackv1alpha1.AttachmentWhereabouts
	for i := range a.IPAM.Ranges {
		r := &a.IPAM.Ranges[i]
		at := path.Child("ranges").Index(i)
		if len(r.Exclude) > 0 && !whereabouts {
			s.refuse(ruleSecondaryIPAM, field.Forbidden(at.Child("exclude"),
				"only type Whereabouts takes it: use rangeStart and rangeEnd, or set type to Whereabouts"))
		}
		if r.Gateway != "" {
			if gateways++; gateways > 1 && whereabouts {
				s.refuse(ruleSecondaryIPAM, field.Forbidden(at.Child("gateway"), "Whereabouts takes one gateway: leave it out of the other ranges"))
			}
		}
		if parsed, ok := s.parseRange(at, r); ok {
			parsed.inCluster = whereabouts
			spans = append(spans, parsed)
		}
	}
	for i := range a.IPAM.Addresses {
		if parsed, ok := s.parseAddress(path.Child("addresses").Index(i), &a.IPAM.Addresses[i]); ok {
			spans = append(spans, parsed)
		}
	}
	for i := range a.IPAM.Routes {
		s.validateRoute(path.Child("routes").Index(i), &a.IPAM.Routes[i])
	}
	return spans
}

// parseRange reads a range and refuses what it says against itself.
func (s *state) parseRange(path *field.Path, r *networkstackv1alpha1.AttachmentRange) (span, bool) {
	at := path.Child("subnet")
	subnet, problem := parseCIDR(r.Subnet)
	if problem != "" {
		s.refuse(ruleSecondaryAddress, field.Invalid(at, r.Subnet, problem))
		return span{}, false
	}
	if !s.validateUnreserved(at, r.Subnet, subnet) {
		return span{}, false
	}
	found := len(s.errs)
	whole := netipx.RangeOfPrefix(subnet)
	from, to := whole.From(), whole.To()
	if addr, ok := s.parseInside(path.Child("rangeStart"), r.RangeStart, subnet); ok {
		from = addr
	}
	if addr, ok := s.parseInside(path.Child("rangeEnd"), r.RangeEnd, subnet); ok {
		to = addr
	}
	gateway, hasGateway := s.parseInside(path.Child("gateway"), r.Gateway, subnet)
	if to.Less(from) {
		s.refuse(ruleSecondaryAddress, field.Invalid(path.Child("rangeStart"), r.RangeStart,
			fmt.Sprintf("comes after rangeEnd, %s: exchange them", to)))
	}
	var excluded []netip.Prefix
	for i, text := range r.Exclude {
		p, problem := parseCIDR(text)
		switch {
		case problem != "":
			s.refuse(ruleSecondaryAddress, field.Invalid(path.Child("exclude").Index(i), text, problem))
		case !subnet.Overlaps(p):
			s.refuse(ruleSecondaryAddress, field.Invalid(path.Child("exclude").Index(i), text,
				fmt.Sprintf("is not part of %s: remove it", subnet)))
		default:
			excluded = append(excluded, p)
		}
	}
	if len(s.errs) > found {
		return span{}, false
	}
	var b netipx.IPSetBuilder
	b.AddRange(netipx.IPRangeFrom(from, to))
	// Network and broadcast addresses are nobody's. Point-to-point networks have neither.
	if subnet.Addr().Is4() && subnet.Bits() < 31 {
		b.Remove(whole.From())
		b.Remove(whole.To())
	}
	if hasGateway {
		b.Remove(gateway)
	}
	for _, p := range excluded {
		b.RemovePrefix(p)
	}
	given, err := b.IPSet()
	if err != nil || len(given.Ranges()) == 0 {
		s.refuse(ruleSecondaryAddress, field.Invalid(at, r.Subnet, "has no address left to hand out: use a larger network, or exclude less"))
		return span{}, false
	}
	return span{path: at, subnet: subnet, given: given, text: r.Subnet}, true
}

// parseAddress reads an address of type Static.
func (s *state) parseAddress(path *field.Path, a *networkstackv1alpha1.AttachmentAddress) (span, bool) {
	at := path.Child("address")
	p, err := netip.ParsePrefix(a.Address)
	if err != nil || p.Addr().Is4In6() {
		s.refuse(ruleSecondaryAddress, field.Invalid(at, a.Address, "is no address with the prefix length of its network: write it such as 192.168.50.10/24"))
		return span{}, false
	}
	subnet := p.Masked()
	if !s.validateUnreserved(at, a.Address, subnet) {
		return span{}, false
	}
	if _, ok := s.parseInside(path.Child("gateway"), a.Gateway, subnet); !ok && a.Gateway != "" {
		return span{}, false
	}
	var b netipx.IPSetBuilder
	b.Add(p.Addr())
	given, err := b.IPSet()
	return span{path: at, subnet: subnet, given: given, text: a.Address}, err == nil
}

// parseInside reads an address that has to be in the network. Nothing is no address, and no error.
func (s *state) parseInside(path *field.Path, text string, subnet netip.Prefix) (netip.Addr, bool) {
	if text == "" {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(text)
	switch {
	case err != nil || addr.Is4In6() || addr.Zone() != "":
		s.refuse(ruleSecondaryAddress, field.Invalid(path, text, "is no IP address"))
		return netip.Addr{}, false
	case !subnet.Contains(addr):
		s.refuse(ruleSecondaryAddress, field.Invalid(path, text, fmt.Sprintf("is not in %s: use an address of that network", subnet)))
		return netip.Addr{}, false
	}
	return addr, true
}

func (s *state) validateUnreserved(path *field.Path, text string, p netip.Prefix) bool {
	for _, r := range reserved {
		if p.Overlaps(r.prefix) {
			s.refuse(ruleSecondaryReserved, field.Invalid(path, text,
				fmt.Sprintf("overlaps %s, which is %s: use another range", r.prefix, r.what)))
			return false
		}
	}
	return true
}

// validateRoute refuses routes that take traffic away from the primary network.
func (s *state) validateRoute(path *field.Path, r *networkstackv1alpha1.AttachmentRoute) {
	at := path.Child("destination")
	to, problem := parseCIDR(r.Destination)
	if problem != "" {
		s.refuse(ruleSecondaryAddress, field.Invalid(at, r.Destination, problem))
		return
	}
	f := familyOf(to.Addr())
	if r.Gateway != "" {
		if gw, err := netip.ParseAddr(r.Gateway); err != nil || gw.Is4In6() || familyOf(gw) != f {
			s.refuse(ruleSecondaryAddress, field.Invalid(path.Child("gateway"), r.Gateway,
				fmt.Sprintf("is no %s address, as its destination is", f)))
		}
	}
	take := func(format string, args ...any) {
		s.refuse(ruleSecondaryRoute, field.Invalid(at, r.Destination, fmt.Sprintf(format, args...)))
	}
	if to.Bits() == 0 {
		if s.has(f) {
			take("is the default route, which pods have on their primary interface: remove it; a pod that wants it here says default-route in its annotation")
		}
		return
	}
	if p := s.overlapsPods(to); p != nil {
		take("leads to the pods' range %s (%s) as well: use narrower routes", p.prefix, p.path)
	}
	if svc := s.overlapsServices(to); svc != "" {
		take("leads to %s as well: use narrower routes", svc)
	}
}

// intersect says whether two sets have an address in common.
func intersect(a, b *netipx.IPSet) bool {
	for _, r := range a.Ranges() {
		if b.OverlapsRange(r) {
			return true
		}
	}
	return false
}
