package nodecleanup

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/go-logr/logr"
)

// cacheLink is the dummy link that a cache of DNS gives its addresses to.
const cacheLink = "nodelocaldns"

// NodeLocalDNS is what a cache of DNS on every node leaves there when it is killed; one that is asked to stop leaves nothing.
type NodeLocalDNS struct {
	// Addresses are those that it answered on.
	Addresses []netip.Addr
	Log       logr.Logger

	// run runs a program; nil for really.
	run func(ctx context.Context, input, name string, args ...string) (string, error)
}

// Clean removes all of it. It can be repeated at any point.
func (n *NodeLocalDNS) Clean(ctx context.Context) error {
	if n.run == nil {
		n.run = execute
	}
	without := func(saved string) string { return withoutCache(saved, n.Addresses) }
	// With the link packets for its addresses would end here; the rules alone do no harm.
	failed := []error{n.link()}
	for _, family := range []struct {
		program string
		has     func(netip.Addr) bool
	}{{"iptables", netip.Addr.Is4}, {"ip6tables", netip.Addr.Is6}} {
		if slices.ContainsFunc(n.Addresses, family.has) {
			failed = append(failed, takeOut(ctx, n.run, n.Log, family.program, without))
		}
	}
	return errors.Join(failed...)
}

// withoutCache is what iptables-restore takes, without flushing, to remove a cache's rules from rules as iptables-save writes them. It is
// empty when there are none.
func withoutCache(saved string, addresses []netip.Addr) string {
	var out strings.Builder
	var table string
	var removed []string
	for line := range strings.Lines(saved) {
		line = strings.TrimSpace(line)
		rule, isRule := strings.CutPrefix(line, "-A ")
		switch {
		case strings.HasPrefix(line, "*"):
			table, removed = line, nil
		case isRule && ofCache(table, rule, addresses):
			removed = append(removed, "-D "+rule)
		case line == "COMMIT" && len(removed) > 0:
			out.WriteString(strings.Join(append(append([]string{table}, removed...), "COMMIT"), "\n") + "\n")
		}
	}
	return out.String()
}

// ofCache says whether a rule is one of a cache: it keeps packets of one of its addresses and ports from being tracked, or accepts them for
// they are not, and says nothing else.
func ofCache(table, rule string, addresses []netip.Addr) bool {
	chains := map[string][]string{"*raw": {"PREROUTING", "OUTPUT"}, "*filter": {"INPUT", "OUTPUT"}}
	targets := map[string][]string{"*raw": {"NOTRACK", "CT"}, "*filter": {"ACCEPT"}}
	fields := strings.Fields(withoutComment(rule))
	if len(fields) == 0 || !slices.Contains(chains[table], fields[0]) {
		return false
	}
	var address, port, target bool
	for i := 1; i < len(fields); i++ {
		if fields[i] == "--notrack" {
			continue
		}
		if i+1 == len(fields) {
			return false
		}
		value := fields[i+1]
		switch fields[i] {
		case "-p", "-m":
			if value != "tcp" && value != "udp" {
				return false
			}
		case "-s", "-d":
			prefix, err := netip.ParsePrefix(value)
			address = err == nil && prefix.IsSingleIP() && slices.Contains(addresses, prefix.Addr())
		case "--sport", "--dport":
			port = value == "53" || value == "8080"
		case "-j":
			target = slices.Contains(targets[table], value)
		default:
			return false
		}
		i++
	}
	return address && port && target
}

// withoutComment is a rule without the remark that iptables-save writes with it.
func withoutComment(rule string) string {
	before, rest, found := strings.Cut(rule, ` -m comment --comment "`)
	if !found {
		return rule
	}
	_, after, _ := strings.Cut(rest, `"`)
	return before + after
}
