package facts

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// TestSnapshotJSON wants a Snapshot to come back from JSON as it was, and fields of it to be written as Kubernetes writes its own.
func TestSnapshotJSON(t *testing.T) {
	yes := true
	want := Snapshot{
		KubernetesVersion: "v1.37.1", ServiceCIDRs: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/12")},
		MoreServiceCIDRs: []ServiceRange{{Prefix: netip.MustParsePrefix("fd00::/112"), Source: "ServiceCIDR/more"}},
		DNSIPs:           []netip.Addr{netip.MustParseAddr("10.96.0.10")}, APIServer: networkstackv1alpha1.Endpoint{Host: "a", Port: 6443},
		Certificate: &ServerCertificate{Covers: true, Names: []string{"a"}},
		Nodes: []Node{{
			Name: "n", InternalIPs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, MTU: 1500, Bridges: &yes, Server: &ServerArgs{NoKubeProxy: true},
			Taints: []corev1.Taint{{Key: "k", Effect: corev1.TaintEffectNoSchedule}},
		}},
		OwnKeys:    &OwnKeys{KeysAt: KeysAt{Namespace: "a", Name: "b"}, Problem: "it does not exist"},
		GatewayAPI: GatewayAPI{Version: "v1.5.1", Classes: []GatewayClass{{Name: "c"}}}, HostPorts: []HostPort{{Port: 80, Protocol: corev1.ProtocolTCP}},
		Installed: []Installed{{Type: InstalledCilium, Namespace: "kube-system", Found: &Found{Data: map[string]string{"a": "b"}}}},
	}
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{`"nodes"`, `"internalIPs"`, `"mtu"`, `"dnsIPs"`, `"serviceCIDRs"`, `"apiServer"`, `"noKubeProxy"`, `"hostPorts"`} {
		if !strings.Contains(string(data), key+":") {
			t.Errorf("%s is not in %s", key, data)
		}
	}
	var got Snapshot
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if empty, err := json.Marshal(Snapshot{}); err != nil || string(empty) != "{}" {
		t.Errorf("nothing known is written as %s (%v)", empty, err)
	}
	named(t, reflect.TypeFor[Snapshot](), map[reflect.Type]bool{})
}

// named wants all fields of a struct of this package, and of those in it, to have a name in JSON.
func named(t *testing.T, s reflect.Type, seen map[reflect.Type]bool) {
	for s.Kind() == reflect.Pointer || s.Kind() == reflect.Slice {
		s = s.Elem()
	}
	if s.Kind() != reflect.Struct || s.PkgPath() != reflect.TypeFor[Snapshot]().PkgPath() || seen[s] {
		return
	}
	seen[s] = true
	for i := range s.NumField() {
		f := s.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.Anonymous && (name == "" || name != "-" && name[0] >= 'A' && name[0] <= 'Z') {
			t.Errorf("%s.%s has no name in JSON", s.Name(), f.Name)
		}
		if name != "-" {
			named(t, f.Type, seen)
		}
	}
}
