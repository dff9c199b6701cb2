package nodecleanup

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"strings"

	"github.com/go-logr/logr"
)

// Chains of iptables that Flannel makes, and those of the plugin portmap, which serves the ports of the host that pods ask for.
var (
	flannelChains   = []string{"FLANNEL-POSTRTG", "FLANNEL-FWD"}
	portmapPrefixes = []string{"CNI-HOSTPORT-", "CNI-DN-"}
)

// Tables of nftables that Flannel makes, those of the enforcer of NetworkPolicies beside it, and those of portmap.
var (
	flannelTables = []string{
		"ip flannel-ipv4", "ip6 flannel-ipv6", "inet kube-network-policies", "inet kube-network-policies-dnscache",
	}
	portmapTables = []string{"ip cni_hostport", "ip6 cni_hostport"}
)

// withoutChains is what iptables-restore takes, without flushing, to remove chains and what leads to them from rules as iptables-save
// writes them. It is empty when there is nothing to remove.
func withoutChains(saved string, ours func(chain string) bool) string {
	var out strings.Builder
	var table string
	var chains, jumps []string
	for line := range strings.Lines(saved) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "*"):
			table, chains, jumps = line, nil, nil
		case strings.HasPrefix(line, ":"):
			if chain, _, _ := strings.Cut(line[1:], " "); ours(chain) {
				chains = append(chains, chain)
			}
		case strings.HasPrefix(line, "-A "):
			rule := strings.TrimPrefix(line, "-A ")
			if in, _, _ := strings.Cut(rule, " "); !ours(in) && ours(target(rule)) {
				jumps = append(jumps, "-D "+rule)
			}
		case line == "COMMIT" && len(chains) > 0:
			lines := append([]string{table}, jumps...)
			for _, flag := range []string{"-F ", "-X "} {
				for _, chain := range chains {
					lines = append(lines, flag+chain)
				}
			}
			out.WriteString(strings.Join(append(lines, "COMMIT"), "\n") + "\n")
		}
	}
	return out.String()
}

// target is where a rule leads to.
func target(rule string) string {
	fields := strings.Fields(rule)
	for i := len(fields) - 2; i >= 0; i-- {
		if fields[i] == "-j" || fields[i] == "-g" {
			return fields[i+1]
		}
	}
	return ""
}

// chainsOf says which chains are to be removed.
func chainsOf(portmap bool) func(string) bool {
	return func(chain string) bool {
		return slices.Contains(flannelChains, chain) ||
			portmap && slices.ContainsFunc(portmapPrefixes, func(p string) bool { return strings.HasPrefix(chain, p) })
	}
}

// tablesOf are the tables to be removed of those that `nft list tables` tells.
func tablesOf(listed string, portmap bool) []string {
	wanted := slices.Clone(flannelTables)
	if portmap {
		wanted = append(wanted, portmapTables...)
	}
	var out []string
	for line := range strings.Lines(listed) {
		if table, found := strings.CutPrefix(strings.TrimSpace(line), "table "); found && slices.Contains(wanted, table) {
			out = append(out, table)
		}
	}
	return out
}

// takeOut removes rules by iptables or ip6tables: those lines that without answers with for iptables-restore, of what is there.
func takeOut(ctx context.Context, run func(ctx context.Context, input, name string, args ...string) (string, error), log logr.Logger,
	program string, without func(saved string) string,
) error {
	saved, err := run(ctx, "", program+"-save")
	switch {
	case errors.Is(err, exec.ErrNotFound):
		log.Info("this program is not in this image, so that it made no rules", "program", program)
		return nil
	case err != nil && program == "ip6tables":
		log.Info("the kernel tells no rules for IPv6", "reason", err.Error())
		return nil
	case err != nil:
		return err
	}
	input := without(saved)
	if input == "" {
		return nil
	}
	log.Info("removing", "by", program, "rules", input)
	_, err = run(ctx, input, program+"-restore", "--noflush", "--wait")
	return err
}
