// Package matrix_test composes every combination of a network plugin's settings, and has a real API server judge what the
// plugin's own chart makes of it.
package matrix_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/releaseutil"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/operator"
	"github.com/networkstack/networkstack/test/testcharts"
)

const calicoVersion = "v3.32.1"

// cell is one combination.
type cell struct {
	families      []IPFamily
	encapsulation Encapsulation
	encryption    EncryptionType
	mode          KubeProxyMode
	bgp           Toggle
}

func (c cell) String() string {
	return fmt.Sprintf("%v %s %s %s bgp=%s", c.families, c.encapsulation, c.encryption, c.mode, c.bgp)
}

func calicoCells() []cell {
	var out []cell
	for _, families := range [][]IPFamily{{IPv4}, {IPv6}, {IPv4, IPv6}, {IPv6, IPv4}} {
		for _, encapsulation := range []Encapsulation{
			EncapsulationVXLAN, EncapsulationVXLANCrossSubnet, EncapsulationGeneve, EncapsulationIPIP, EncapsulationIPIPCrossSubnet, EncapsulationNone,
		} {
			for _, encryption := range []EncryptionType{EncryptionNone, EncryptionWireGuard, EncryptionIPsec} {
				for _, mode := range []KubeProxyMode{KubeProxyIPTables, KubeProxyNFTables, KubeProxyIPVS, KubeProxyReplaced, KubeProxyUnmanaged} {
					for _, bgp := range []Toggle{"", Enabled, Disabled} {
						out = append(out, cell{families, encapsulation, encryption, mode, bgp})
					}
				}
			}
		}
	}
	return out
}

func (c cell) has(f IPFamily) bool { return slices.Contains(c.families, f) }

func (c cell) ipip() bool { return strings.HasPrefix(string(c.encapsulation), "IPIP") }

// refused are the fields that have to be refused, found out without the composition.
func (c cell) refused() []string {
	fields := map[string]bool{}
	if c.encapsulation == EncapsulationGeneve || c.ipip() && c.has(IPv6) ||
		c.bgp == Disabled && (c.ipip() || c.encapsulation == EncapsulationNone) {
		fields["spec.cni.encapsulation"] = true
	}
	if c.encryption == EncryptionIPsec {
		fields["spec.cni.encryption.type"] = true
	}
	return slices.Sorted(maps.Keys(fields))
}

// mtu of pods on nodes of 1500, by Calico's guide.
func (c cell) mtu() int64 {
	least := int64(1500)
	less := func(v4, v6 int64) {
		if c.has(IPv4) {
			least = min(least, 1500-v4)
		}
		if c.has(IPv6) {
			least = min(least, 1500-v6)
		}
	}
	if strings.HasPrefix(string(c.encapsulation), "VXLAN") || c.mode == KubeProxyReplaced {
		less(50, 70)
	}
	if c.ipip() {
		less(20, 0)
	}
	if c.encryption == EncryptionWireGuard {
		less(60, 80)
	}
	return least
}

var cidrs = map[IPFamily]string{IPv4: "10.244.0.0/16", IPv6: "fd00:10:244::/56"}

// input is the combination on a cluster of these families.
func (c cell) input() compose.Input {
	services := map[IPFamily]string{IPv4: "10.96.0.0/12", IPv6: "fd00:10:96::/112"}
	nodes := map[IPFamily]string{IPv4: "192.168.10.11", IPv6: "fd00:192::11"}
	s := &NetworkStack{ObjectMeta: metav1.ObjectMeta{Name: "cluster"}}
	s.SetGroupVersionKind(GroupVersion.WithKind("NetworkStack"))
	pool := IPPool{Name: "default"}
	f := &facts.Snapshot{KubernetesVersion: "v1.36.3", APIServer: Endpoint{Host: "192.168.10.10", Port: 6443}}
	n := facts.Node{Name: "n1", OS: "linux", KernelVersion: "6.12.0", MTU: 1500}
	for _, family := range c.families {
		pool.CIDRs = append(pool.CIDRs, cidrs[family])
		f.ServiceCIDRs = append(f.ServiceCIDRs, netip.MustParsePrefix(services[family]))
		n.InternalIPs = append(n.InternalIPs, netip.MustParseAddr(nodes[family]))
	}
	f.ServiceIP, f.Nodes = f.ServiceCIDRs[0].Addr().Next(), []facts.Node{n}
	s.Spec.IPFamilies, s.Spec.IPPools = c.families, []IPPool{pool}
	s.Spec.CNI = CNISpec{Type: CNICalico, Encapsulation: c.encapsulation, Encryption: &EncryptionSpec{Type: c.encryption}}
	if c.bgp != "" {
		s.Spec.CNI.Calico = &CalicoSpec{BGP: c.bgp}
	}
	s.Spec.KubeProxy = &KubeProxySpec{Mode: c.mode}
	return compose.Input{Stack: s, Facts: f, Catalog: catalog.Default()}
}

// TestCalico goes through all combinations: what cannot be is refused, at the field that says so, and the rest is composed,
// rendered with upstream's chart, and taken by the API server with strict validation, with what was asked for in it.
func TestCalico(t *testing.T) {
	definitions := testcharts.Upstream(t, "crd.projectcalico.org.v1", calicoVersion)
	upstream := testcharts.Upstream(t, "tigera-operator", calicoVersion)
	cp := controlplane.ForTest(t, controlplane.Options{})
	server := newServer(t, cp)
	if err := operator.Install(t.Context(), cp.RESTConfig()); err != nil {
		t.Fatal(err)
	}
	for _, o := range render(t, definitions, compose.Release{Name: "calico-crds"}) {
		server.apply(o, false)
	}
	server.apply(&unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "tigera-operator"}}}, false)
	server.waitFor("operator.tigera.io/v1", "Installation")
	server.waitFor("crd.projectcalico.org/v1", "FelixConfiguration")

	cells := calicoCells()
	composed, refused, byServer := 0, map[string]int{}, 0
	for _, c := range cells {
		in := c.input()
		result := compose.Compose(in)
		var fields []string
		for _, e := range result.Errors {
			fields = append(fields, e.Field)
			refused[e.Rule]++
		}
		slices.Sort(fields)
		if fields = slices.Compact(fields); !slices.Equal(fields, c.refused()) {
			t.Errorf("%s: refused for %v, want %v: %v", c, fields, c.refused(), result.Errors)
			continue
		}
		// What the API server refuses at once is refused by the operator as well.
		taken := server.takes(in.Stack)
		if !taken {
			byServer++
		}
		if !taken && len(fields) == 0 {
			t.Errorf("%s: the API server refuses what can be composed", c)
		}
		if len(fields) > 0 {
			continue
		}
		composed++
		i := slices.IndexFunc(result.Releases, func(r compose.Release) bool { return r.Name == "calico" })
		objects := render(t, upstream, result.Releases[i])
		for _, o := range objects {
			// The rest is the same for all but for the API server's address.
			if composed == 1 || o.GroupVersionKind().Group == "operator.tigera.io" || o.GroupVersionKind().Group == "crd.projectcalico.org" || o.GetKind() == "ConfigMap" {
				server.apply(o, true)
			}
		}
		c.check(t, objects)
		if t.Failed() {
			t.FailNow()
		}
	}
	t.Logf("%d cells: %d composed, %d refused, %d of these by the API server already", len(cells), composed, len(cells)-composed, byServer)
	for _, rule := range slices.Sorted(maps.Keys(refused)) {
		t.Logf("%5d × %s", refused[rule], rule)
	}
	if composed < 300 || len(refused) < 4 {
		t.Errorf("%d cells are composed, and %d rules refuse", composed, len(refused))
	}
}

// check looks for what was asked for.
func (c cell) check(t *testing.T, objects []*unstructured.Unstructured) {
	t.Helper()
	find := func(kind string) map[string]any {
		i := slices.IndexFunc(objects, func(o *unstructured.Unstructured) bool { return o.GetKind() == kind })
		if i < 0 {
			return nil
		}
		return objects[i].Object
	}
	network, _, _ := unstructured.NestedMap(find("Installation"), "spec", "calicoNetwork")
	dataplane := map[KubeProxyMode]string{KubeProxyNFTables: "Nftables", KubeProxyReplaced: "BPF"}[c.mode]
	if dataplane == "" {
		dataplane = "Iptables"
	}
	bgp := c.bgp
	if bgp == "" {
		bgp = Disabled
		if c.ipip() || c.encapsulation == EncapsulationNone {
			bgp = Enabled
		}
	}
	if network["linuxDataplane"] != dataplane || network["bgp"] != string(bgp) || network["mtu"] != c.mtu() {
		t.Errorf("%s: data plane %v, BGP %v, MTU %v; want %s, %s, %d", c, network["linuxDataplane"], network["bgp"], network["mtu"], dataplane, bgp, c.mtu())
	}
	pools, _ := network["ipPools"].([]any)
	if len(pools) != len(c.families) {
		t.Errorf("%s: pools %v", c, pools)
		return
	}
	for i, f := range c.families {
		if p, _ := pools[i].(map[string]any); p["cidr"] != cidrs[f] || p["encapsulation"] != string(c.encapsulation) {
			t.Errorf("%s: pool %v", c, p)
		}
		if network["nodeAddressAutodetectionV"+strings.TrimPrefix(string(f), "IPv")] == nil {
			t.Errorf("%s: nodes have no way to find their %s address", c, f)
		}
	}
	felix, _, _ := unstructured.NestedMap(find("FelixConfiguration"), "spec")
	wireguard := c.encryption == EncryptionWireGuard
	if felix["wireguardEnabled"] != (wireguard && c.has(IPv4)) || felix["wireguardEnabledV6"] != (wireguard && c.has(IPv6)) {
		t.Errorf("%s: Felix %v", c, felix)
	}
	if endpoint := find("ConfigMap") != nil; endpoint != (c.mode == KubeProxyReplaced || c.mode == KubeProxyUnmanaged) {
		t.Errorf("%s: the API server's address is written out: %v", c, endpoint)
	}
}

// render gives the objects of a release, without hooks, in their order.
func render(t *testing.T, c *chart.Chart, rel compose.Release) []*unstructured.Unstructured {
	t.Helper()
	values := map[string]any{}
	if rel.Spec.DerivedValues != nil {
		if err := json.Unmarshal(rel.Spec.DerivedValues.Raw, &values); err != nil {
			t.Fatal(err)
		}
	}
	all, err := chartutil.ToRenderValues(c, values, chartutil.ReleaseOptions{
		Name: rel.Name, Namespace: cmp.Or(rel.Spec.Namespace, "tigera-operator"), Revision: 1, IsInstall: true,
	}, chartutil.DefaultCapabilities)
	if err != nil {
		t.Fatal(err)
	}
	files, err := engine.Render(c, all)
	if err != nil {
		t.Fatal(err)
	}
	var out []*unstructured.Unstructured
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if strings.HasSuffix(path, "/NOTES.txt") {
			continue
		}
		documents := releaseutil.SplitManifests(files[path])
		for _, key := range slices.Sorted(maps.Keys(documents)) {
			data, err := yaml.YAMLToJSON([]byte(documents[key]))
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			o := &unstructured.Unstructured{}
			if string(data) == "null" {
				continue
			}
			if err := o.UnmarshalJSON(data); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if o.GetAnnotations()["helm.sh/hook"] == "" {
				out = append(out, o)
			}
		}
	}
	return out
}

// server is a real API server.
type server struct {
	t      *testing.T
	client dynamic.Interface
	mapper *restmapper.DeferredDiscoveryRESTMapper
}

func newServer(t *testing.T, cp *controlplane.ControlPlane) *server {
	t.Helper()
	config := cp.RESTConfig()
	config.QPS = -1
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	known, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return &server{t: t, client: client, mapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(known))}
}

// send applies an object with strict validation.
func (s *server) send(o *unstructured.Unstructured, dry bool) error {
	kind := o.GroupVersionKind()
	mapping, err := s.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return err
	}
	data, err := o.MarshalJSON()
	if err != nil {
		return err
	}
	options := metav1.PatchOptions{FieldManager: FieldManager, Force: new(true), FieldValidation: metav1.FieldValidationStrict}
	if dry {
		options.DryRun = []string{metav1.DryRunAll}
	}
	var resource dynamic.ResourceInterface = s.client.Resource(mapping.Resource)
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		namespace := o.GetNamespace()
		if namespace == "" {
			namespace = corev1.NamespaceDefault
		}
		resource = s.client.Resource(mapping.Resource).Namespace(namespace)
	}
	_, err = resource.Patch(s.t.Context(), o.GetName(), types.ApplyPatchType, data, options)
	return err
}

func (s *server) apply(o *unstructured.Unstructured, dry bool) {
	s.t.Helper()
	if err := s.send(o, dry); err != nil {
		s.t.Fatalf("%s %s: %v", o.GetKind(), o.GetName(), err)
	}
}

// takes says whether the API server takes a stack.
func (s *server) takes(stack *NetworkStack) bool {
	s.t.Helper()
	err := s.sendStack(stack)
	if err != nil && !apierrors.IsInvalid(err) {
		s.t.Fatal(err)
	}
	return err == nil
}

// sendStack is what the API server says to a stack.
func (s *server) sendStack(stack *NetworkStack) error {
	s.t.Helper()
	data, err := json.Marshal(map[string]any{
		"apiVersion": GroupVersion.String(), "kind": "NetworkStack", "metadata": map[string]any{"name": stack.Name}, "spec": stack.Spec,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	o := &unstructured.Unstructured{}
	if err := o.UnmarshalJSON(data); err != nil {
		s.t.Fatal(err)
	}
	return s.send(o, true)
}

// waitFor waits until a kind is served.
func (s *server) waitFor(apiVersion, kind string) {
	s.t.Helper()
	o := &unstructured.Unstructured{}
	o.SetAPIVersion(apiVersion)
	o.SetKind(kind)
	var last error
	err := wait.PollUntilContextTimeout(s.t.Context(), 50*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		s.mapper.Reset()
		mapping, err := s.mapper.RESTMapping(o.GroupVersionKind().GroupKind(), o.GroupVersionKind().Version)
		if err == nil {
			_, err = s.client.Resource(mapping.Resource).List(s.t.Context(), metav1.ListOptions{Limit: 1})
		}
		last = err
		return err == nil, nil
	})
	if err != nil {
		s.t.Fatalf("%s is not served: %v", kind, last)
	}
}
