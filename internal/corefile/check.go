package corefile

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MaxUpstreams is how many servers CoreDNS forwards to, in one directive.
const MaxUpstreams = 15

// MaxTTL is the greatest time to live that CoreDNS takes for its own records, in seconds.
const MaxTTL = 3600

// plugins are those in CoreDNS's own image (plugin.cfg of 1.14). Others need an image of one's own.
var plugins = []string{
	"acl", "any", "auto", "autopath", "azure", "bind", "bufsize", "cache", "cancel", "chaos", "clouddns", "debug", "dns64", "dnssec",
	"dnstap", "erratic", "errors", "etcd", "file", "forward", "geoip", "grpc", "grpc_server", "header", "health", "hosts", "https",
	"https3", "k8s_external", "kubernetes", "loadbalance", "local", "log", "loop", "metadata", "minimal",
	"multisocket", "nomad", "nsid", "on",
	"pprof", "prometheus", "proxyproto", "quic", "ready", "reload", "rewrite", "root", "route53", "secondary", "shed", "sign", "template",
	"timeouts", "tls", "trace", "transfer", "tsig", "view", "whoami",
}

// answering are the plugins that give answers of their own, or get them elsewhere. A server without any refuses every query.
var answering = []string{
	"any", "auto", "azure", "chaos", "clouddns", "erratic", "etcd", "file", "forward", "grpc", "hosts", "k8s_external", "kubernetes",
	"nomad", "route53", "secondary", "template", "whoami",
}

// once are the plugins that CoreDNS takes once in a server block.
var once = []string{
	"cache", "dnssec", "errors", "grpc", "hosts", "kubernetes", "loop", "nsid", "pprof", "prometheus", "ready", "shed", "tsig", "view",
}

// secrets and files cannot be had inside of the pod, whose only volume is the Corefile itself.
var fileOf = map[string]int{"file": 0, "auto": -1, "sign": 0, "geoip": 0, "tls": 0}

var zoneName = regexp.MustCompile(`^(\.|[A-Za-z0-9_*]([-A-Za-z0-9_]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?)*\.?)$`)

// Context is what a Corefile has to agree with.
type Context struct {
	// Own are addresses at which the server itself answers: to forward there is a loop.
	Own []netip.Addr
	// Files says that other files may be in the pod than those of the image.
	Files bool
}

// Check says what CoreDNS would refuse, and what it would take but never answer, one message each; none when all is well.
// What a plugin makes of its options is checked of the most common ones.
func Check(servers []Server, in Context) []string {
	var out []string
	seen := map[string]bool{}
	for i := range servers {
		s := &servers[i]
		if len(s.Zones) == 0 {
			out = append(out, "a server block has no zone")
			continue
		}
		name := s.Zones[0].String()
		say := func(format string, args ...any) { out = append(out, fmt.Sprintf("block "+name+": "+format, args...)) }
		for _, z := range s.Zones {
			key := z.Scheme + z.Domain() + ":" + z.EffectivePort()
			if seen[key] {
				say("%s is answered by another block already", z)
			}
			seen[key] = true
			if _, err := netip.ParsePrefix(z.Name); err != nil && (!zoneName.MatchString(z.Name) || len(z.Name) > 253) {
				say("%q is not a domain name", z.Name)
			}
		}
		s.check(in, say)
	}
	return out
}

func (s *Server) check(in Context, say func(string, ...any)) {
	count := map[string]int{}
	answers := false
	for i := range s.Plugins {
		p := &s.Plugins[i]
		count[p.Name]++
		answers = answers || slices.Contains(answering, p.Name)
		if !slices.Contains(plugins, p.Name) {
			say("there is no plugin %q in CoreDNS", p.Name)
			continue
		}
		if count[p.Name] == 2 && slices.Contains(once, p.Name) {
			say("%s can be there only once", p.Name)
		}
		if at, reads := fileOf[p.Name]; reads && !in.Files && (at < 0 || at < len(p.Args)) {
			say("%s reads a file, and there is none in the pod", p.Name)
		}
		switch p.Name {
		case "forward":
			p.checkForward(in, say)
		case "cache":
			p.checkCache(say)
		case "kubernetes":
			p.checkKubernetes(say)
		case "health":
			p.checkLameduck(say)
		case "autopath":
			k := s.Find("kubernetes")
			if slices.Contains(p.Args, "@kubernetes") && (k == nil || !k.has("pods", "verified")) {
				say("autopath @kubernetes needs kubernetes with pods verified")
			}
		}
	}
	if !answers {
		say("nothing in it answers a query: add forward, kubernetes, hosts or the like")
	}
}

// has says whether a plugin's block has a line of these words.
func (p *Plugin) has(words ...string) bool {
	return slices.ContainsFunc(p.Block, func(line []string) bool { return slices.Equal(line, words) })
}

// option are the arguments of the first line of a block that begins with a word.
func (p *Plugin) option(name string) ([]string, bool) {
	for _, line := range p.Block {
		if len(line) > 0 && line[0] == name {
			return line[1:], true
		}
	}
	return nil, false
}

func (p *Plugin) checkForward(in Context, say func(string, ...any)) {
	if len(p.Args) < 2 {
		say("forward needs a zone and at least one server")
		return
	}
	to := p.Args[1:]
	if len(to) > MaxUpstreams {
		say("forward has %d servers, and CoreDNS takes %d", len(to), MaxUpstreams)
	}
	for _, text := range to {
		if strings.HasPrefix(text, "/") {
			if text != "/etc/resolv.conf" && !in.Files {
				say("forward reads %s, and there is no such file in the pod: use /etc/resolv.conf, or addresses", text)
			}
			continue
		}
		addr, err := Upstream(text)
		switch {
		case err != nil:
			say("forward: %s", err)
		case addr.IsLoopback() || addr.IsUnspecified():
			say("forward to %s is a loop: in the pod that is CoreDNS itself", text)
		case slices.Contains(in.Own, addr):
			say("forward to %s is a loop: at that address it is CoreDNS that answers", text)
		}
	}
	for _, name := range []string{"max_concurrent", "max_fails"} {
		if args, ok := p.option(name); ok {
			if n, err := strconv.Atoi(strings.Join(args, " ")); err != nil || n < 0 {
				say("forward: %s takes a number", name)
			}
		}
	}
	for _, name := range []string{"expire", "health_check"} {
		if args, ok := p.option(name); ok {
			if len(args) == 0 || !duration(args[0]) {
				say("forward: %s takes a duration, such as 10s", name)
			}
		}
	}
	if args, ok := p.option("policy"); ok && (len(args) != 1 || !slices.Contains([]string{"random", "round_robin", "sequential"}, args[0])) {
		say("forward: policy is random, round_robin or sequential")
	}
}

// Upstream is the address of a server that is forwarded to, with or without a scheme, a port, and a name for its certificate.
func Upstream(text string) (netip.Addr, error) {
	rest := text
	if scheme, after, ok := strings.Cut(text, "://"); ok {
		if !slices.Contains([]string{"dns", "tls", "https"}, scheme) {
			return netip.Addr{}, fmt.Errorf("%q is not an address: the schemes are dns, tls and https", text)
		}
		if scheme == "https" {
			return netip.Addr{}, nil // a name
		}
		rest = after
	}
	rest, _, _ = strings.Cut(rest, "%")
	if addr, err := netip.ParseAddr(rest); err == nil {
		return addr.Unmap(), nil
	}
	if bracketed := strings.TrimPrefix(rest, "["); bracketed != rest && strings.HasSuffix(bracketed, "]") {
		if addr, err := netip.ParseAddr(strings.TrimSuffix(bracketed, "]")); err == nil {
			return addr.Unmap(), nil
		}
	}
	if addr, err := netip.ParseAddrPort(rest); err == nil && addr.Port() > 0 {
		return addr.Addr().Unmap(), nil
	}
	return netip.Addr{}, fmt.Errorf("%q is not an address: write one such as 10.0.0.53 or [fd00::53]:5353", text)
}

func (p *Plugin) checkCache(say func(string, ...any)) {
	if len(p.Args) > 0 {
		if n, err := strconv.Atoi(p.Args[0]); err == nil && n <= 0 {
			say("cache: a time of %d seconds is none", n)
		}
	}
	for _, line := range p.Block {
		if len(line) == 0 {
			continue
		}
		args := line[1:]
		switch line[0] {
		case "success", "denial":
			none := func(a string) bool { n, err := strconv.Atoi(a); return err != nil || n < 0 }
			if len(args) == 0 || len(args) > 3 || slices.ContainsFunc(args, none) {
				say("cache: %s takes a capacity, and the longest and shortest time in seconds", line[0])
			} else if len(args) > 1 && args[1] == "0" {
				say("cache: a time of 0 seconds is none")
			}
		case "prefetch":
			if n, err := strconv.Atoi(strings.Join(args[:min(1, len(args))], "")); err != nil || n < 0 || len(args) > 3 {
				say("cache: prefetch takes a number of queries, a duration and a percentage")
			}
		case "serve_stale":
			if len(args) > 0 && !duration(args[0]) {
				say("cache: serve_stale takes a duration, such as 1h")
			}
		case "servfail":
			d, err := time.ParseDuration(strings.Join(args, " "))
			if err != nil || d < 0 || d > 5*time.Minute {
				say("cache: servfail takes a duration of at most 5m")
			}
		case "disable":
			if len(args) == 0 || args[0] != "success" && args[0] != "denial" {
				say("cache: disable is for success or denial")
			}
		case "keepttl", "serve_stale_policy":
		default:
			say("cache has no option %s", line[0])
		}
	}
}

func (p *Plugin) checkKubernetes(say func(string, ...any)) {
	if args, ok := p.option("ttl"); ok {
		if n, err := strconv.Atoi(strings.Join(args, " ")); err != nil || n < 0 || n > MaxTTL {
			say("kubernetes: ttl is from 0 to %d seconds", MaxTTL)
		}
	}
	if args, ok := p.option("pods"); ok && (len(args) != 1 || !slices.Contains([]string{"disabled", "insecure", "verified"}, args[0])) {
		say("kubernetes: pods is disabled, insecure or verified")
	}
}

func (p *Plugin) checkLameduck(say func(string, ...any)) {
	if args, ok := p.option("lameduck"); ok && (len(args) != 1 || !duration(args[0])) {
		say("health: lameduck takes a duration, such as 5s")
	}
}

func duration(text string) bool {
	d, err := time.ParseDuration(text)
	return err == nil && d >= 0
}
