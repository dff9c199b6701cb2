package compose

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
)

func TestWeaveValues(t *testing.T) {
	plain := func(over object) object {
		return MergeValues(object{
			"ipallocRange": "10.244.0.0/16", "mtu": int64(1376), "password": object{"secretName": ""}, "npc": object{"enabled": true},
		}, over)
	}
	made := func(rotation string) []GeneratedSecret {
		return []GeneratedSecret{{SecretName: "weave-net-password", Kind: SecretPassword, Rotation: rotation, RevisionValue: "password.revision"}}
	}
	podSubnets := func(texts ...string) func(*Input) {
		return cluster(func(s *facts.Snapshot) { s.PodSubnets = prefixes(texts...) })
	}
	for _, tc := range []struct {
		name   string
		in     Input
		values object
		made   []GeneratedSecret
	}{
		{"nothing said", weave(), plain(object{}), nil},
		{"nodes of 1500", weave(nodeMTUs(1500, 1500, 1500)), plain(object{"mtu": int64(1416)}), nil},
		{"nodes of 1460", weave(nodeMTUs(1500, 1460, 1500)), plain(object{"mtu": int64(1376)}), nil},
		{"nodes of 9001, less what would be padding", weave(nodeMTUs(9001, 9001, 9001)), plain(object{"mtu": int64(8916)}), nil},
		{"an MTU", weave(mtu(1300), nodeMTUs(1500, 1500, 1500)), plain(object{"mtu": int64(1300)}), nil},
		{"a password to be made", weave(encrypted(EncryptionSpec{Type: EncryptionPassword})), plain(object{"password": object{"secretName": "weave-net-password"}}), made("")},
		{"a password to be rotated", weave(encrypted(EncryptionSpec{Type: EncryptionPassword, Rotation: "b"})), plain(object{"password": object{"secretName": "weave-net-password"}}), made("b")},
		{"somebody's password", weave(encrypted(EncryptionSpec{Type: EncryptionPassword, Rotation: "b", Password: &PasswordSpec{SecretName: "mine"}})),
			plain(object{"password": object{"secretName": "mine", "revision": "b"}}), nil},
		{"no policies", weave(policies(Disabled)), plain(object{"npc": object{"enabled": false}}), nil},
		{"no kube-proxy anywhere", weave(withoutKubeProxy), plain(object{"kubeApi": object{"host": "192.168.10.10", "port": int64(6443)}}), nil},
		{"kubeadm's range", weave(withoutPools, podSubnets("10.200.0.0/16")), plain(object{"ipallocRange": "10.200.0.0/16"}), nil},
		{"its own range", weave(withoutPools, podSubnets()), plain(object{"ipallocRange": "10.32.0.0/12"}), nil},
		{"the range that is there", weave(withoutPools, podSubnets("10.200.0.0/16"), before(object{"ipallocRange": "10.64.0.0/13"})), plain(object{"ipallocRange": "10.64.0.0/13"}), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rel, values := releaseNamed(t, accepted(t, tc.in), "weave-net")
			if diff := cmp.Diff(tc.values, values); diff != "" {
				t.Errorf("values (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.made, rel.Spec.GeneratedSecrets); diff != "" {
				t.Errorf("generated Secrets (-want +got):\n%s", diff)
			}
			if rel.Spec.Namespace != "kube-system" || rel.Spec.Stage != stageCNI || rel.Spec.Chart.Version != "2.9.0" {
				t.Errorf("%+v", rel.Spec)
			}
			// Whatever the range and the password come from, no Secret of values may change them.
			for _, path := range []string{"ipallocRange", "password.secretName", "password.revision", "password.key"} {
				if len(CheckValues(nested(path, "x"), rel.Spec.ControlledValues, "a Secret")) == 0 {
					t.Errorf("%s may be set", path)
				}
			}
		})
	}
}

// nested is a value at a path.
func nested(path string, value any) object {
	b := newValues("x")
	b.put(path, value, false, "")
	return b.values
}

// TestWeaveKubeProxy wants kube-proxy to know Weave Net's pods by its range, else by its bridge.
func TestWeaveKubeProxy(t *testing.T) {
	_, values := releaseNamed(t, accepted(t, weave(mode(KubeProxyIPTables), withoutKubeProxy)), "kube-proxy")
	if got, _ := lookup(values, "clusterCIDR"); got != "10.244.0.0/16" {
		t.Errorf("clusterCIDR is %v", got)
	}
	for name, in := range map[string]Input{
		"ours": weave(mode(KubeProxyIPTables), withoutKubeProxy, withoutPools),
		"somebody's": input(CNIExternal, mode(KubeProxyIPTables), withoutPools, cluster(func(s *facts.Snapshot) {
			s.Installed = []facts.Installed{{Type: facts.InstalledWeaveNet, Namespace: "kube-system", Name: "weave-net"}}
		})),
	} {
		_, values := releaseNamed(t, accepted(t, in), "kube-proxy")
		detect, _ := lookup(values, "detectLocal.bridgeInterface")
		if m, _ := lookup(values, "detectLocalMode"); m != "BridgeInterface" || detect != "weave" {
			t.Errorf("%s: %v %v", name, m, detect)
		}
	}
}

// TestWeaveMultus wants Multus to wait for Weave Net's configuration, and to be of its version.
func TestWeaveMultus(t *testing.T) {
	_, values := releaseNamed(t, accepted(t, weave(spec(func(s *NetworkStackSpec) {
		s.SecondaryNetworks = &SecondaryNetworksSpec{Type: SecondaryNetworksMultus}
	}))), "multus")
	config, _ := lookup(values, "config")
	want := object{"readinessIndicatorFile": "10-weave.conflist", "masterPlugin": "10-weave.conflist"}
	for k, v := range want {
		if config.(object)[k] != v {
			t.Errorf("%s is %v, want %v", k, config.(object)[k], v)
		}
	}
}

// TestWeaveRangeOverlaps wants its own default to be looked at as any other range.
func TestWeaveRangeOverlaps(t *testing.T) {
	r := Compose(weave(withoutPools, cluster(func(s *facts.Snapshot) { s.ServiceCIDRs = []netip.Prefix{netip.MustParsePrefix("10.40.0.0/16")} })))
	if len(r.Errors) != 1 || r.Errors[0].Rule != rulePoolOverlapsServices.ID {
		t.Errorf("%v", r.Errors)
	}
}

// TestWeavePasswordNamed wants a Secret that was made to stay when it is named: what is no longer wanted is deleted.
func TestWeavePasswordNamed(t *testing.T) {
	named := func(secret string) func(*Input) {
		return func(in *Input) {
			in.Stack.Spec.CNI.Encryption = &EncryptionSpec{Type: EncryptionPassword, Password: &PasswordSpec{SecretName: secret}}
		}
	}
	made, _ := releaseNamed(t, accepted(t, weave(encryption(EncryptionPassword))), "weave-net")
	there := func(in *Input) { in.Existing = map[string]NetworkComponentSpec{"weave-net": made.Spec} }
	for name, tc := range map[string]struct {
		in   Input
		made bool
	}{
		"made":                          {weave(encryption(EncryptionPassword)), true},
		"named from the beginning":      {weave(named("weave-net-password")), false},
		"made, and named":               {weave(there, named("weave-net-password")), true},
		"made, and another one instead": {weave(there, named("mine")), false},
	} {
		rel, _ := releaseNamed(t, accepted(t, tc.in), "weave-net")
		if got := len(rel.Spec.GeneratedSecrets) > 0; got != tc.made {
			t.Errorf("%s: it is made: %v", name, got)
		}
	}
}
