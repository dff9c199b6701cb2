package nodecleanup

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr/testr"
	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
)

// TestNodeLocalDNSClean wants a cache's link to go, twice, and one that is called like it or has its address to stay.
func TestNodeLocalDNSClean(t *testing.T) {
	for name, tc := range map[string]struct {
		link netlink.Link
		gone bool
	}{
		"the cache's":     {&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: cacheLink}}, true},
		"of another kind": {&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: cacheLink}}, false},
		"of another name": {&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: "kube-ipvs0"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			inOwnNetwork(t)
			link(t, tc.link, "169.254.20.10/32")
			var ran []string
			n := &NodeLocalDNS{
				Addresses: []netip.Addr{netip.MustParseAddr("169.254.20.10")}, Log: testr.New(t),
				run: func(_ context.Context, input, name string, args ...string) (string, error) {
					ran = append(ran, strings.TrimSpace(name+" "+strings.Join(args, " ")))
					if name == "iptables-save" && len(ran) == 1 {
						return "*raw\n-A OUTPUT -s 169.254.20.10/32 -p tcp -m tcp --sport 53 -j NOTRACK\nCOMMIT\n", nil
					}
					if name == "iptables-restore" && !strings.Contains(input, "-D OUTPUT -s 169.254.20.10/32") {
						t.Errorf("restored: %s", input)
					}
					return "", nil
				},
			}
			for range 2 {
				if err := n.Clean(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if gone := !slices.Contains(linksOf(t), tc.link.Attrs().Name); gone != tc.gone {
				t.Errorf("gone: %v", gone)
			}
			if diff := cmp.Diff([]string{"iptables-save", "iptables-restore --noflush --wait", "iptables-save"}, ran); diff != "" {
				t.Error(diff)
			}
		})
	}
}
