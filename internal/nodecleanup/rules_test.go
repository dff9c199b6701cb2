package nodecleanup

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestWithoutChains wants Flannel's chains to go with what leads to them, and nothing else to be touched.
func TestWithoutChains(t *testing.T) {
	for _, tc := range []struct {
		name, saved string
		portmap     bool
		want        []string
	}{
		{name: "nothing"},
		{name: "others alone", saved: `*nat
:POSTROUTING ACCEPT [0:0]
:KUBE-POSTROUTING - [0:0]
-A POSTROUTING -m comment --comment "not for FLANNEL-POSTRTG" -j KUBE-POSTROUTING
COMMIT`},
		{
			name: "Flannel's",
			saved: `# Generated
*filter
:FORWARD ACCEPT [0:0]
:FLANNEL-FWD - [0:0]
-A FORWARD -j SOMEBODY
-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
-A FLANNEL-FWD -s 10.244.0.0/16 -j ACCEPT
COMMIT
*nat
:POSTROUTING ACCEPT [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
:FLANNEL-POSTRTG - [0:0]
-A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
-A FLANNEL-POSTRTG -j MASQUERADE --random-fully
COMMIT`,
			want: []string{
				"*filter", `-D FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD`, "-F FLANNEL-FWD", "-X FLANNEL-FWD", "COMMIT",
				"*nat", `-D POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG`, "-F FLANNEL-POSTRTG", "-X FLANNEL-POSTRTG", "COMMIT",
			},
		},
		{
			name: "ports of the host", portmap: true,
			saved: `*nat
:PREROUTING ACCEPT [0:0]
:CNI-DN-0f - [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A CNI-HOSTPORT-DNAT -p tcp -j CNI-DN-0f
-A CNI-DN-0f -p tcp -j DNAT --to-destination 10.244.0.2:80
COMMIT`,
			want: []string{
				"*nat", "-D PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
				"-F CNI-DN-0f", "-F CNI-HOSTPORT-DNAT", "-X CNI-DN-0f", "-X CNI-HOSTPORT-DNAT", "COMMIT",
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for line := range strings.Lines(withoutChains(tc.saved, chainsOf(tc.portmap))) {
				got = append(got, strings.TrimSpace(line))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTablesOf(t *testing.T) {
	const listed = "table ip nat\ntable ip flannel-ipv4\ntable inet flannel-ipv4\ntable ip6 flannel-ipv6\ntable ip kube-proxy\ntable ip cni_hostport\n"
	if diff := cmp.Diff([]string{"ip flannel-ipv4", "ip6 flannel-ipv6"}, tablesOf(listed, false)); diff != "" {
		t.Error(diff)
	}
	if got := tablesOf(listed, true); len(got) != 3 || got[2] != "ip cni_hostport" {
		t.Errorf("with ports of the host: %v", got)
	}
}
