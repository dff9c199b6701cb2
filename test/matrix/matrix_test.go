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
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/operator"
)

// combination is a cell of a matrix.
type combination interface {
	fmt.Stringer
	input() compose.Input
	// refused are the fields that have to be refused, in order, found out without the composition.
	refused() []string
	// check looks in what was rendered for what was asked for.
	check(*testing.T, []*unstructured.Unstructured)
}

// settings are what the combinations of most network plugins have.
type settings struct {
	families      []IPFamily
	encapsulation Encapsulation
	// encryption is left out where it is empty.
	encryption EncryptionType
	mode       KubeProxyMode
}

func (s settings) String() string {
	return fmt.Sprintf("%v %s %s %s", s.families, s.encapsulation, s.encryption, s.mode)
}

func (s settings) has(f IPFamily) bool { return slices.Contains(s.families, f) }

// encapsulations are all there are.
var encapsulations = []Encapsulation{
	EncapsulationVXLAN, EncapsulationVXLANCrossSubnet, EncapsulationGeneve, EncapsulationIPIP, EncapsulationIPIPCrossSubnet, EncapsulationNone,
}

// every is all families and modes of kube-proxy with each of these encapsulations and encryptions.
func every(encapsulations []Encapsulation, encryptions ...EncryptionType) []settings {
	var out []settings
	for _, families := range [][]IPFamily{{IPv4}, {IPv6}, {IPv4, IPv6}, {IPv6, IPv4}} {
		for _, encapsulation := range encapsulations {
			for _, encryption := range encryptions {
				for _, mode := range []KubeProxyMode{KubeProxyIPTables, KubeProxyNFTables, KubeProxyIPVS, KubeProxyReplaced, KubeProxyUnmanaged} {
					out = append(out, settings{families, encapsulation, encryption, mode})
				}
			}
		}
	}
	return out
}

// shipped is the operator's catalogue, which composing does not change.
var shipped = catalog.Default()

var cidrs = map[IPFamily]string{IPv4: "10.244.0.0/16", IPv6: "fd00:10:244::/56"}

// input is a stack with these settings, of no type yet, on a cluster of these families.
func (s settings) input() compose.Input {
	services := map[IPFamily]string{IPv4: "10.96.0.0/12", IPv6: "fd00:10:96::/112"}
	nodes := map[IPFamily]string{IPv4: "192.168.10.11", IPv6: "fd00:192::11"}
	stack := &NetworkStack{ObjectMeta: metav1.ObjectMeta{Name: "cluster"}}
	stack.SetGroupVersionKind(GroupVersion.WithKind("NetworkStack"))
	pool := IPPool{Name: "default"}
	f := &facts.Snapshot{KubernetesVersion: "v1.36.3", APIServer: Endpoint{Host: "192.168.10.10", Port: 6443}}
	n := facts.Node{Name: "n1", OS: "linux", KernelVersion: "6.12.0", MTU: 1500}
	for _, family := range s.families {
		pool.CIDRs = append(pool.CIDRs, cidrs[family])
		f.ServiceCIDRs = append(f.ServiceCIDRs, netip.MustParsePrefix(services[family]))
		n.InternalIPs = append(n.InternalIPs, netip.MustParseAddr(nodes[family]))
	}
	f.ServiceIP, f.Nodes = f.ServiceCIDRs[0].Addr().Next(), []facts.Node{n}
	stack.Spec.IPFamilies, stack.Spec.IPPools = s.families, []IPPool{pool}
	stack.Spec.CNI.Encapsulation = s.encapsulation
	if s.encryption != "" {
		stack.Spec.CNI.Encryption = &EncryptionSpec{Type: s.encryption}
	}
	stack.Spec.KubeProxy = &KubeProxySpec{Mode: s.mode}
	return compose.Input{Stack: stack, Facts: f, Catalog: shipped}
}

// matrix goes through all combinations of a network plugin's settings.
type matrix[C combination] struct {
	cells []C
	// release is the name of the one that upstream's chart is rendered for, and releases are the names of all that a cell comes to,
	// where not every cell has that one.
	release  string
	releases func(C) []string
	upstream *chart.Chart
	// varies tells which objects differ from cell to cell; the others are given to the API server once.
	varies func(*unstructured.Unstructured) bool
	// composed cells and rules that refuse are at least these many.
	composed, rules int
}

// run wants what cannot be refused, at the field that says so, and the rest composed, rendered, and taken by the API server
// with strict validation, with what was asked for in it.
func (m matrix[C]) run(t *testing.T, server *server) {
	t.Helper()
	composed, refused, byServer := 0, map[string]int{}, 0
	// Cells that come to the same values are rendered once.
	rendered := map[string][]*unstructured.Unstructured{}
	for _, c := range m.cells {
		in := c.input()
		result := compose.Compose(in)
		var fields []string
		for _, e := range result.Errors {
			fields = append(fields, e.Field)
			refused[e.Rule]++
		}
		slices.Sort(fields)
		if fields = slices.Compact(fields); !slices.Equal(fields, c.refused()) {
			t.Fatalf("%s: refused for %v, want %v: %v", c, fields, c.refused(), result.Errors)
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
		if m.releases != nil {
			var names []string
			for _, r := range result.Releases {
				names = append(names, r.Name)
			}
			if want := m.releases(c); !slices.Equal(names, want) {
				t.Fatalf("%s: the releases %v, want %v", c, names, want)
			} else if !slices.Contains(want, m.release) {
				continue
			}
		}
		i := slices.IndexFunc(result.Releases, func(r compose.Release) bool { return r.Name == m.release })
		values := string(result.Releases[i].Spec.DerivedValues.Raw)
		objects, known := rendered[values]
		if !known {
			objects = render(t, m.upstream, result.Releases[i])
			rendered[values] = objects
		}
		for _, o := range objects {
			if !known && (len(rendered) == 1 || m.varies(o)) {
				server.apply(o, true)
			}
		}
		c.check(t, objects)
		if t.Failed() {
			t.FailNow()
		}
	}
	t.Logf("%d cells: %d composed to %d renderings, %d refused, %d of these by the API server already",
		len(m.cells), composed, len(rendered), len(m.cells)-composed, byServer)
	t.Logf("%d rules refuse", len(refused))
	for _, rule := range slices.Sorted(maps.Keys(refused)) {
		t.Logf("%5d × %s", refused[rule], rule)
	}
	if composed < m.composed || len(refused) < m.rules {
		t.Errorf("%d cells are composed, and %d rules refuse", composed, len(refused))
	}
}

// render gives the objects of a release, without hooks, in their order.
func render(t *testing.T, c *chart.Chart, rel compose.Release) []*unstructured.Unstructured {
	t.Helper()
	return renderWith(t, c, rel, chartutil.DefaultCapabilities)
}

// renderWith is render for a cluster with these capabilities.
func renderWith(t *testing.T, c *chart.Chart, rel compose.Release, capabilities *chartutil.Capabilities) []*unstructured.Unstructured {
	t.Helper()
	values := map[string]any{}
	if rel.Spec.DerivedValues != nil {
		if err := json.Unmarshal(rel.Spec.DerivedValues.Raw, &values); err != nil {
			t.Fatal(err)
		}
	}
	all, err := chartutil.ToRenderValues(c, values, chartutil.ReleaseOptions{
		Name: rel.Name, Namespace: cmp.Or(rel.Spec.Namespace, "tigera-operator"), Revision: 1, IsInstall: true,
	}, capabilities)
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
	config.QPS, config.WarningHandler = -1, rest.NoWarnings{}
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

// judgesAlike wants the API server to refuse a stack with all of these texts, and the operator without its help to refuse it,
// too; no texts mean that both take it.
func (s *server) judgesAlike(t *testing.T, stack *NetworkStack, texts ...string) {
	t.Helper()
	err := s.sendStack(stack)
	errs, _ := compose.ValidateObject(stack)
	if len(texts) == 0 {
		if err != nil || len(errs) > 0 {
			t.Errorf("refused: %v; %v", err, errs)
		}
		return
	}
	for _, text := range texts {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("the API server says %v, want %q", err, text)
		}
	}
	if len(errs) == 0 {
		t.Error("the operator would take it")
	}
}

// newStacks is an API server that knows NetworkStacks.
func newStacks(t *testing.T) *server {
	t.Helper()
	cp := controlplane.ForTest(t, controlplane.Options{})
	s := newServer(t, cp)
	if err := operator.Install(t.Context(), cp.RESTConfig()); err != nil {
		t.Fatal(err)
	}
	s.waitFor(GroupVersion.String(), "NetworkStack")
	return s
}
