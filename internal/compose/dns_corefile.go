package compose

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/corefile"
	"github.com/networkstack/networkstack/internal/facts"
)

// Settings of a Corefile where nothing is said; kubeadm has the same.
const (
	dnsTTL           = 30
	dnsCacheSeconds  = 30
	dnsCacheCapacity = 9984
	dnsLameduck      = "5s"
	dnsConcurrent    = 1000
	resolvConf       = "/etc/resolv.conf"
)

// deriveCorefile composes CoreDNS's servers: kubeadm's, or those that were found, with what the spec says in place of them. When it says
// nothing, a Corefile that was found stays to the letter.
func (s *state) deriveCorefile() {
	d := s.spec.DNS
	s.validateDNSNumbers()
	s.validateAutopath()
	extra := s.parseServerBlocks()
	s.validateUpstreams()
	s.validateRewrites()
	base := stockServers(s.dnsDomain())
	if text, found := s.foundCorefile(); found {
		if !setsCorefile(d) {
			return
		}
		parsed, err := corefile.Parse(text)
		if err != nil {
			s.refuse(ruleDNSFoundCorefile, field.Forbidden(dnsPath, fmt.Sprintf(
				"the Corefile of the CoreDNS that is there cannot be changed from here (%s): remove the fields of dns that say what is in it, or write it anew first", err)))
			return
		}
		base = parsed
	}
	s.dns.main = slices.IndexFunc(base, func(b corefile.Server) bool { return b.Find("kubernetes") != nil })
	if s.dns.main < 0 {
		s.refuse(ruleDNSFoundCorefile, field.Forbidden(dnsPath,
			"the Corefile of the CoreDNS that is there has no block with the plugin kubernetes, so it does not know the cluster's names: add one first"))
		return
	}
	s.changeMain(&base[s.dns.main])
	for i := range d.StubDomains {
		extra = append(extra, stubServer(&d.StubDomains[i]))
	}
	// A block that was found makes room for one of the spec's for the same zone.
	kept := base[:0:0]
	for i := range base {
		taken := i != s.dns.main && slices.ContainsFunc(base[i].Zones, func(z corefile.Zone) bool {
			return slices.ContainsFunc(extra, func(e corefile.Server) bool { return e.Serves(z.Name) })
		})
		if taken {
			continue
		}
		if i == s.dns.main {
			s.dns.main = len(kept)
		}
		kept = append(kept, base[i])
	}
	s.dns.servers = slices.Concat(kept, extra)
	of := func(f Finding) bool {
		return f.Field == dnsPath.String() || strings.HasPrefix(f.Field, dnsPath.String()+".")
	}
	if !slices.ContainsFunc(s.errs, of) { // what is wrong with a part is wrong with the whole, and was said
		s.checkServers()
	}
}

// foundCorefile is that of a CoreDNS that was taken over, or is to be.
func (s *state) foundCorefile() (string, bool) {
	in := s.inherit(TypeCoreDNS)
	if in == nil {
		return "", false
	}
	if _, set := s.userValues[dnsPath.String()]["layout"]; set {
		return "", false
	}
	text, _ := in.values["found.corefile"].(string)
	return text, text != ""
}

// setsCorefile says whether a spec says anything about what is in the Corefile.
func setsCorefile(d *networkstackv1alpha1.DNSSpec) bool {
	return d.Forward != nil || len(d.StubDomains) > 0 || len(d.Rewrites) > 0 || d.Cache != nil || d.TTL != nil || d.PodRecords != "" ||
		d.Autopath != "" || d.QueryLog != "" || d.Lameduck != nil || len(d.ServerBlocks) > 0
}

// stockServers are those of kubeadm's Corefile.
func stockServers(domain string) []corefile.Server {
	reverse := []string{"in-addr.arpa", "ip6.arpa"}
	return []corefile.Server{{
		Zones: []corefile.Zone{{Name: ".", Port: "53"}},
		Plugins: []corefile.Plugin{
			{Name: "errors"},
			{Name: "health", Block: [][]string{{"lameduck", dnsLameduck}}},
			{Name: "ready"},
			{Name: "kubernetes", Args: append([]string{domain}, reverse...), Block: [][]string{
				{"pods", "insecure"}, append([]string{"fallthrough"}, reverse...), {"ttl", strconv.Itoa(dnsTTL)},
			}},
			{Name: "prometheus", Args: []string{":9153"}},
			{Name: "forward", Args: []string{".", resolvConf}, Block: [][]string{{"max_concurrent", strconv.Itoa(dnsConcurrent)}}},
			{Name: "cache", Args: []string{strconv.Itoa(dnsCacheSeconds)}, Block: [][]string{
				{"disable", "success", domain}, {"disable", "denial", domain},
			}},
			{Name: "loop"},
			{Name: "reload"},
			{Name: "loadbalance"},
		},
	}}
}

// changeMain puts what the spec says into the server that knows the cluster's names.
func (s *state) changeMain(main *corefile.Server) {
	d := s.spec.DNS
	if d.Forward != nil {
		main.Set("forward", forwardPlugin(d.Forward))
	}
	if d.Cache != nil {
		if main.Find("cache") == nil {
			main.Set("cache", corefile.Plugin{Name: "cache"})
		}
		changeCache(main.Find("cache"), d.Cache)
	}
	kubernetes := main.Find("kubernetes")
	if d.TTL != nil {
		kubernetes.SetOption("ttl", strconv.Itoa(int(*d.TTL)))
	}
	if d.PodRecords != "" {
		kubernetes.SetOption("pods", strings.ToLower(string(d.PodRecords)))
	}
	switch d.Autopath {
	case networkstackv1alpha1.Enabled:
		main.Set("autopath", corefile.Plugin{Name: "autopath", Args: []string{"@kubernetes"}})
	case networkstackv1alpha1.Disabled:
		main.Set("autopath")
	}
	switch d.QueryLog {
	case networkstackv1alpha1.Enabled:
		main.Set("log", corefile.Plugin{Name: "log"})
	case networkstackv1alpha1.Disabled:
		main.Set("log")
	}
	if d.Lameduck != nil {
		if main.Find("health") == nil {
			main.Set("health", corefile.Plugin{Name: "health"})
		}
		main.Find("health").SetOption("lameduck", d.Lameduck.Duration.String())
	}
	if len(d.Rewrites) > 0 {
		var rules []corefile.Plugin
		for _, r := range d.Rewrites {
			rules = append(rules, rewritePlugin(r))
		}
		main.Set("rewrite", rules...)
	}
}

func changeCache(p *corefile.Plugin, c *networkstackv1alpha1.DNSCache) {
	number := func(v *int32, otherwise int64) string { return strconv.FormatInt(or32(v, otherwise), 10) }
	if c.SuccessCapacity != nil || c.SuccessSeconds != nil {
		p.SetOption("success", number(c.SuccessCapacity, dnsCacheCapacity), number(c.SuccessSeconds, dnsCacheSeconds))
	}
	if c.DenialCapacity != nil || c.DenialSeconds != nil {
		p.SetOption("denial", number(c.DenialCapacity, dnsCacheCapacity), number(c.DenialSeconds, dnsCacheSeconds))
	}
	if c.Prefetch != nil {
		p.SetOption("prefetch", number(c.Prefetch, 0))
	}
	if c.ServeStale != nil {
		p.SetOption("serve_stale", c.ServeStale.Duration.String())
	}
}

// forwardPlugin asks upstream servers for everything.
func forwardPlugin(f *networkstackv1alpha1.DNSForward) corefile.Plugin {
	p := corefile.Plugin{Name: "forward", Args: []string{"."}}
	for _, server := range f.Servers {
		if f.Protocol == networkstackv1alpha1.DNSOverTLS {
			server = "tls://" + server
		}
		p.Args = append(p.Args, server)
	}
	p.SetOption("max_concurrent", strconv.FormatInt(or32(f.MaxConcurrent, dnsConcurrent), 10))
	switch f.Policy {
	case networkstackv1alpha1.ForwardRoundRobin:
		p.SetOption("policy", "round_robin")
	case networkstackv1alpha1.ForwardSequential:
		p.SetOption("policy", "sequential")
	case networkstackv1alpha1.ForwardRandom:
		p.SetOption("policy", "random")
	}
	switch f.Protocol {
	case networkstackv1alpha1.DNSOverTCP:
		p.Block = append(p.Block, []string{"force_tcp"})
	case networkstackv1alpha1.DNSPreferUDP:
		p.Block = append(p.Block, []string{"prefer_udp"})
	case networkstackv1alpha1.DNSOverTLS:
		if f.TLSServerName != "" {
			p.SetOption("tls_servername", f.TLSServerName)
		}
	}
	return p
}

func stubServer(d *networkstackv1alpha1.DNSStubDomain) corefile.Server {
	return corefile.Server{
		Zones: []corefile.Zone{{Name: d.Domain, Port: "53"}},
		Plugins: []corefile.Plugin{
			{Name: "errors"},
			{Name: "cache", Args: []string{strconv.FormatInt(or32(d.CacheSeconds, dnsCacheSeconds), 10)}},
			forwardPlugin(&d.DNSForward),
		},
	}
}

// rewritePlugin looks a name up under another one, and puts the answer under the first again.
func rewritePlugin(r networkstackv1alpha1.DNSRewrite) corefile.Plugin {
	match := "exact"
	if r.Match != "" {
		match = strings.ToLower(string(r.Match))
	}
	rule := []string{"name", match, r.From, r.To}
	if match == "exact" { // which does so by itself
		return corefile.Plugin{Name: "rewrite", Args: append([]string{"stop"}, rule...)}
	}
	return corefile.Plugin{Name: "rewrite", Args: []string{"stop"}, Block: [][]string{rule, {"answer", "auto"}}}
}

// parseServerBlocks reads the server blocks of the spec.
func (s *state) parseServerBlocks() []corefile.Server {
	var out []corefile.Server
	for i, text := range s.spec.DNS.ServerBlocks {
		path := dnsPath.Child("serverBlocks").Index(i)
		servers, err := corefile.Parse(text)
		switch {
		case errors.Is(err, corefile.ErrImport), errors.Is(err, corefile.ErrImports), errors.Is(err, corefile.ErrEnvironment):
			s.refuse(ruleDNSBlock, field.Invalid(path, field.OmitValueType{}, err.Error()+": write out what is meant"))
			continue
		case err != nil:
			s.refuse(ruleDNSBlock, field.Invalid(path, field.OmitValueType{}, "CoreDNS cannot read it: "+err.Error()+": correct it"))
			continue
		}
		for j := range servers {
			s.validateZones(path, &servers[j])
		}
		out = append(out, servers...)
	}
	for i := range s.spec.DNS.StubDomains {
		server := stubServer(&s.spec.DNS.StubDomains[i])
		s.validateZones(dnsPath.Child("stubDomains").Index(i).Child("domain"), &server)
	}
	return out
}

// validateZones refuses to answer the cluster's own names elsewhere, and what no client would reach.
func (s *state) validateZones(path *field.Path, server *corefile.Server) {
	own := strings.ToLower(s.dnsDomain())
	for _, z := range server.Zones {
		name := z.Domain()
		within := func(inner, outer string) bool { return inner == outer || strings.HasSuffix(inner, "."+outer) }
		switch {
		case name == "":
			s.refuse(ruleDNSOwnZone, field.Invalid(path, z.String(),
				"all names that no other block is for are answered by the block that this operator writes: use forward, rewrites and cache"))
			continue
		case within(name, own) || within(own, name):
			s.refuse(ruleDNSOwnZone, field.Invalid(path, z.String(), fmt.Sprintf(
				"takes names from the cluster's own domain %s, so that Services were not found any more: use another domain", own)))
			continue
		case z.EffectivePort() != "53" || z.Scheme != "" && z.Scheme != "dns://":
			s.refuse(ruleDNSBlockPort, field.Invalid(path, z.String(), "the Service kube-dns has plain DNS at port 53 and nothing else: leave out scheme and port"))
		}
		reversed := reverseZone(name)
		if i := slices.IndexFunc(s.services, reversed.Overlaps); reversed.IsValid() && i >= 0 {
			s.warn(ruleDNSReverse, path, "%s takes the names of Services' addresses (%s): they are looked up there, and not in the cluster", name, s.services[i])
		}
	}
}

// reverseZone is the range whose names are in a zone; invalid when it is no reverse zone.
func reverseZone(zone string) netip.Prefix {
	if p, err := netip.ParsePrefix(zone); err == nil {
		return p.Masked() // CoreDNS takes this form, too
	}
	labels, isV4 := strings.CutSuffix(zone, ".in-addr.arpa")
	if !isV4 {
		return netip.Prefix{}
	}
	parts := strings.Split(labels, ".")
	slices.Reverse(parts)
	bits := 8 * len(parts)
	for len(parts) < 4 {
		parts = append(parts, "0")
	}
	addr, err := netip.ParseAddr(strings.Join(parts, "."))
	if err != nil || bits > addr.BitLen() {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(addr, bits)
}

// validateUpstreams refuses servers that are none, or that are the cluster's DNS itself.
func (s *state) validateUpstreams() {
	d := s.spec.DNS
	if d.Forward != nil {
		s.validateForward(dnsPath.Child("forward"), d.Forward)
	}
	for i := range d.StubDomains {
		s.validateForward(dnsPath.Child("stubDomains").Index(i), &d.StubDomains[i].DNSForward)
	}
}

// ownDNS are the addresses at which CoreDNS answers, itself or by way of the caches.
func (s *state) ownDNS() []netip.Addr {
	out := slices.Clone(s.dns.ips)
	if s.dns.local.IsValid() {
		out = append(out, s.dns.local)
	}
	return out
}

func (s *state) validateForward(path *field.Path, f *networkstackv1alpha1.DNSForward) {
	servers := path.Child("servers")
	if len(f.Servers) == 0 {
		s.refuse(ruleDNSUpstream, field.Required(servers, "name at least one server"))
	}
	if len(f.Servers) > corefile.MaxUpstreams {
		s.refuse(ruleDNSUpstream, field.TooMany(servers, len(f.Servers), corefile.MaxUpstreams))
	}
	if f.TLSServerName != "" && f.Protocol != networkstackv1alpha1.DNSOverTLS {
		s.refuse(ruleDNSTLSName, field.Forbidden(path.Child("tlsServerName"), "it is read only with protocol TLS: remove it, or set protocol to TLS"))
	}
	for i, text := range f.Servers {
		at := servers.Index(i)
		addr, err := corefile.Upstream(text)
		switch {
		case strings.Contains(text, "://") || strings.Contains(text, "%"):
			s.refuse(ruleDNSUpstream, field.Invalid(at, text, "write the address alone: how it is asked is said by protocol and tlsServerName"))
		case err != nil:
			s.refuse(ruleDNSUpstream, field.Invalid(at, text, "is no address: write one such as 10.0.0.53 or [fd00::53]:5353"))
		case addr.IsLoopback() || addr.IsUnspecified():
			s.refuse(ruleDNSLoop, field.Invalid(at, text,
				"is the pod of CoreDNS itself, which would ask itself without end, and stops when it notices: name the servers that the resolver on the node asks"))
		case slices.Contains(s.ownDNS(), addr):
			s.refuse(ruleDNSLoop, field.Invalid(at, text,
				"is the cluster's DNS itself, which would ask itself without end: name a server outside of the cluster"))
		}
	}
}

// validateRewrites refuses what CoreDNS does not start with.
func (s *state) validateRewrites() {
	group := regexp.MustCompile(`\{[0-9]+\}`)
	for i, r := range s.spec.DNS.Rewrites {
		path := dnsPath.Child("rewrites").Index(i)
		plain := group.ReplaceAllString(r.To, "")
		if strings.ContainsAny(plain, "{}") || r.Match != networkstackv1alpha1.RewriteRegex && plain != r.To {
			s.refuse(ruleDNSRewrite, field.Invalid(path.Child("to"), r.To, "braces stand for groups of a Regex alone, such as {1}: remove them"))
		}
		if r.Match != networkstackv1alpha1.RewriteRegex {
			continue
		}
		expression, err := regexp.Compile(r.From)
		if err != nil {
			s.refuse(ruleDNSRewrite, field.Invalid(path.Child("from"), r.From, "is no regular expression (RE2): "+err.Error()))
			continue
		}
		for _, g := range group.FindAllString(r.To, -1) {
			if n, err := strconv.Atoi(strings.Trim(g, "{}")); err != nil || n > expression.NumSubexp() {
				s.refuse(ruleDNSRewrite, field.Invalid(path.Child("to"), r.To, fmt.Sprintf("there is no group %s in from: add it, or correct the number", g)))
			}
		}
	}
}

// checkServers refuses a configuration with which CoreDNS would not start, or would not answer.
func (s *state) checkServers() {
	upstream := s.overridesChart(s.spec.DNS.Chart, TypeCoreDNS)
	for _, problem := range corefile.Check(s.dns.servers, corefile.Context{Own: s.ownDNS(), Files: upstream}) {
		s.refuse(ruleDNSCorefile, field.Invalid(dnsPath, field.OmitValueType{}, problem))
	}
	// What was put together reads as it was meant.
	if again, err := corefile.Parse(corefile.Text(s.dns.servers)); err != nil || len(again) != len(s.dns.servers) {
		s.refuse(ruleDNSCorefile, field.Invalid(dnsPath, field.OmitValueType{}, "the Corefile that it comes to cannot be read: look for braces in names"))
	}
	main := &s.dns.servers[s.dns.main]
	for _, name := range []string{"ready", "health", "reload"} {
		if main.Find(name) == nil {
			s.warn(ruleDNSPluginMissing, dnsPath, "the Corefile that was found has no plugin %s: %s", name, map[string]string{
				"ready": "replicas get queries before they can answer", "health": "a replica that hangs is not restarted",
				"reload": "a change is taken up by new pods alone",
			}[name])
		}
	}
}

// foundDNS are the values with which our chart writes a CoreDNS as it was found.
func foundDNS(i *facts.Installed) map[string]any {
	f := i.Found
	template, _ := plain(f.Template).(map[string]any)
	if metadata, ok := template["metadata"].(map[string]any); ok {
		delete(metadata, "creationTimestamp")
	}
	strategy, _ := plain(f.Strategy).(map[string]any)
	out := map[string]any{
		"layout": "kubeadm", "found.corefile": f.Data[facts.CorefileKey], "found.template": template, "found.strategy": strategy,
		"replicaCount": int64(defaultDNSReplicas), "image.repository": imageRepository(i.Image), "image.tag": imageVersionOf(i.Image),
		"resources": nil, "tolerations": nil, "affinity": nil, "nodeSelector": nil, "podDisruptionBudget": nil,
	}
	if f.Replicas != nil {
		out["replicaCount"] = int64(*f.Replicas)
	}
	return out
}

// imageVersionOf is what an image has after its repository: a tag, or a digest with its "@".
func imageVersionOf(image string) string {
	rest := strings.TrimPrefix(image, imageRepository(image))
	return strings.TrimPrefix(rest, ":")
}
