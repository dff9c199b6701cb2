package baseline

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/chart/loader"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/policy"
	"github.com/networkstack/networkstack/test/testcharts"
)

// calicoDefinitions is the chart with Calico's definitions of its own group, and the policies of admission that fill in fields there.
const calicoDefinitions, calicoDefinitionsVersion = "projectcalico.org.v3", "v3.32.1"

// everything is a set with a baseline of every type.
func everything(mode networkstackv1alpha1.PolicyMode) policy.Compiled {
	labels := &metav1.LabelSelector{MatchLabels: map[string]string{"team": "a"}}
	ports := []networkstackv1alpha1.PolicyPort{{Port: 80}, {Port: 8000, EndPort: 8100, Protocol: "UDP"}}
	list := []networkstackv1alpha1.Baseline{
		{Name: "no-in", Type: networkstackv1alpha1.BaselineDefaultDenyIngress}, {Name: "no-out", Type: networkstackv1alpha1.BaselineDefaultDenyEgress},
		{Name: "dns", Type: networkstackv1alpha1.BaselineAllowDNS}, {Name: "api", Type: networkstackv1alpha1.BaselineAllowAPIServer},
		{Name: "metadata", Type: networkstackv1alpha1.BaselineDenyCloudMetadata}, {Name: "same", Type: networkstackv1alpha1.BaselineAllowSameNamespace},
		{Name: "ingress", Type: networkstackv1alpha1.BaselineAllowFromIngress, Ports: ports},
		{Name: "monitoring", Type: networkstackv1alpha1.BaselineAllowFromMonitoring, Namespaces: labels},
		{Name: "from", Type: networkstackv1alpha1.BaselineAllowFromNamespaces, Namespaces: labels, Ports: ports},
		{Name: "to", Type: networkstackv1alpha1.BaselineAllowToNamespaces, Namespaces: labels},
		{Name: "cidrs", Type: networkstackv1alpha1.BaselineAllowToCIDRs, CIDRs: []string{"192.0.2.0/24", "2001:db8::/32"}, Ports: ports},
		{Name: "anywhere", Type: networkstackv1alpha1.BaselineAllowFromAnywhere, Ports: ports},
	}
	pods := policy.Peer{Namespaces: &metav1.LabelSelector{}, Pods: &metav1.LabelSelector{MatchLabels: map[string]string{"k8s-app": "kube-dns"}}}
	nodes := policy.Peer{Entity: policy.Nodes, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("2001:db8::1/128")}}
	dns := []policy.Port{{Protocol: "UDP", Port: 53}, {Protocol: "TCP", Port: 53}}
	return policy.Compile(&policy.Set{
		Stack: stackName, Mode: mode, API: networkstackv1alpha1.PolicyAPICalico,
		Namespaces: metav1.LabelSelector{MatchLabels: map[string]string{networkstackv1alpha1.BaselineLabel: enforced}, MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpNotIn, Values: []string{"kube-system"}},
		}},
		Rules: policy.FromBaselines(list, &policy.Surroundings{
			DNS:       []policy.Way{{Peers: []policy.Peer{pods, nodes}, Ports: dns}},
			APIServer: []policy.Way{{Peers: []policy.Peer{{Entity: policy.APIServer, Addresses: nodes.Addresses}}, Ports: []policy.Port{{Protocol: "TCP", Port: 6443}}}},
			Ingress:   []policy.Peer{pods, nodes}, Tunnel: []policy.Port{{Protocol: "TCP", Port: 15008}},
		}),
	})
}

// calico has Calico's own policies written, kept, pulled and removed by the definitions that Calico brings.
func calico(b *bench) {
	testcharts.UpstreamDir(b.t, calicoDefinitions, calicoDefinitionsVersion)
	b.check(b.writer.Want(Wish{Stack: stackName}))
	b.counts(0)
	b.definedCalico()
	audit, enforce := everything(networkstackv1alpha1.PolicyAudit), everything(networkstackv1alpha1.PolicyEnforce)
	for _, c := range []policy.Compiled{audit, enforce} {
		b.check(b.writer.Want(Wish{Stack: stackName, Compiled: &c}))
		b.complete()
		b.exactly(&c)
	}
	b.writesNothing(&enforce)
	b.writesNothingAnew(&enforce)
	b.restoresAll(&enforce)

	b.annotate("pulled")
	open := enforce
	denies := func(o *unstructured.Unstructured) bool { return o.GetLabels()[policy.EffectLabel] == policy.EffectDeny }
	open.Cluster = slices.DeleteFunc(slices.Clone(enforce.Cluster), denies)
	open.Namespaced = slices.DeleteFunc(slices.Clone(enforce.Namespaced), denies)
	if len(open.Cluster) == len(enforce.Cluster) || len(open.Cluster) < 3 {
		b.t.Fatalf("%d objects, of which %d open", len(enforce.Cluster), len(open.Cluster))
	}
	b.exactly(&open)
	b.annotate(nil)
	b.exactly(&enforce)
	b.complete()

	b.check(b.writer.Want(Wish{Stack: stackName, Compiled: &audit}))
	b.complete()
	b.exactly(&audit)
	b.restoresAll(&audit)
	b.check(b.writer.Want(Wish{Stack: stackName}))
	b.counts(0)
	b.exactly(&policy.Compiled{})
}

// defineCalico installs the definitions of the kinds that are written, and the policies of admission, where the chart is there. It is
// some seconds before these are at work.
func (b *bench) defineCalico() {
	b.t.Helper()
	dir, err := testcharts.CacheDir()
	if err != nil {
		return
	}
	chart, err := loader.LoadFile(filepath.Join(dir, calicoDefinitions+"-"+calicoDefinitionsVersion+".tgz"))
	if err != nil {
		return // calico says so
	}
	written := map[string]bool{}
	for _, k := range calicoKinds() {
		written[k.gvr().GroupResource().String()] = true
	}
	for _, file := range chart.Templates {
		for _, text := range strings.Split(string(file.Data), "\n---") {
			o := &unstructured.Unstructured{}
			b.check(yaml.Unmarshal([]byte(text), &o.Object))
			switch o.GetKind() {
			case "CustomResourceDefinition":
				if !written[o.GetName()] {
					continue
				}
			case "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding":
				o.SetAPIVersion("admissionregistration.k8s.io/v1") // the beta is no longer served by itself
				// Nothing reads the parameter, and the API server takes up to half a minute to find its kind.
				unstructured.RemoveNestedField(o.Object, "spec", "paramKind")
			case "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding":
			default:
				continue
			}
			b.check(b.client.Create(b.t.Context(), o))
		}
	}
}

// definedCalico waits until the policies of admission are at work: when one has filled in its field.
func (b *bench) definedCalico() {
	b.t.Helper()
	probe := object("projectcalico.org/v3", "GlobalNetworkPolicy", "default.probe", policy.EffectAllow, map[string]any{"selector": "none()"})
	probe.SetLabels(nil)
	b.eventually("the policies of admission", func() (bool, string) {
		o := probe.DeepCopy()
		err := b.client.Create(b.t.Context(), o, client.DryRunAll)
		return err == nil && o.GetLabels()["projectcalico.org/tier"] == "default", fmt.Sprint(err, o.Object)
	})
}

// calicoKinds are those that are written.
func calicoKinds() []*kind {
	return slices.DeleteFunc(slices.Clone(kinds), func(k *kind) bool { return k.gvk.Group != "projectcalico.org" })
}

// there is all of Calico's that there is, by kind, namespace and name.
func (b *bench) there() (map[string]*unstructured.Unstructured, error) {
	out := map[string]*unstructured.Unstructured{}
	for _, k := range calicoKinds() {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(k.gvk.GroupVersion().WithKind(k.gvk.Kind + "List"))
		if err := b.client.List(b.t.Context(), list); err != nil {
			return nil, err
		}
		for i := range list.Items {
			o := &list.Items[i]
			out[k.gvk.Kind+" "+o.GetNamespace()+"/"+o.GetName()] = o
		}
	}
	return out, nil
}

// wanted is what a compiled set comes to in the namespaces that are covered.
func (b *bench) wanted(c *policy.Compiled) map[string]*unstructured.Unstructured {
	b.t.Helper()
	out := map[string]*unstructured.Unstructured{}
	for _, o := range c.Cluster {
		out[o.GetKind()+" /"+o.GetName()] = o
	}
	if len(c.Namespaced) == 0 {
		return out
	}
	var list corev1.NamespaceList
	b.check(b.client.List(b.t.Context(), &list, client.MatchingLabelsSelector{Selector: c.Namespaces}))
	for i := range list.Items {
		for _, o := range c.Namespaced {
			if list.Items[i].DeletionTimestamp.IsZero() {
				out[o.GetKind()+" "+list.Items[i].Name+"/"+o.GetName()] = o
			}
		}
	}
	return out
}

// exactly waits until there is what a set comes to, and nothing else, each saying all that it is to say.
func (b *bench) exactly(c *policy.Compiled) {
	b.t.Helper()
	wanted := b.wanted(c)
	b.eventually("exactly what is wanted", func() (bool, string) {
		got, err := b.there()
		if err != nil {
			return false, err.Error()
		}
		for name, o := range got {
			w := wanted[name]
			if w == nil {
				return false, name + " is there"
			}
			if what := missing(w.Object["spec"], o.Object["spec"]); what != "" || o.GetLabels()[policy.Label] != stackName {
				return false, name + " lacks " + what
			}
		}
		return len(got) == len(wanted), fmt.Sprintf("%d of %d", len(got), len(wanted))
	})
}

// missing is what something does not say of what it is to say; it may say more, which was filled in.
func missing(wanted, got any) string {
	w, isMap := wanted.(map[string]any)
	g, ok := got.(map[string]any)
	if isMap && ok {
		for key, value := range w {
			if what := missing(value, g[key]); what != "" {
				return key + ": " + what
			}
		}
		return ""
	}
	a, _ := json.Marshal(wanted) //nolint:errchkjson // plain values
	z, _ := json.Marshal(got)    //nolint:errchkjson // plain values
	if string(a) == string(z) {
		return ""
	}
	return string(a) + ", has " + string(z)
}

// versions are the resource versions of all there is.
func (b *bench) versions() map[string]string {
	b.t.Helper()
	got, err := b.there()
	b.check(err)
	out := map[string]string{}
	for name, o := range got {
		out[name] = o.GetResourceVersion()
	}
	return out
}

// writesNothing wants the same wish to cost nothing.
func (b *bench) writesNothing(c *policy.Compiled) {
	b.t.Helper()
	before, from := b.versions(), time.Now()
	b.check(b.writer.Want(Wish{Stack: stackName, Compiled: c}))
	b.writer.everywhere(bulk)
	// A namespace that comes and leaves tells that the writer has come past all the others.
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "outside"}}
	for _, value := range []string{`"` + enforced + `"`, "null"} {
		data := `{"metadata":{"labels":{"` + networkstackv1alpha1.BaselineLabel + `":` + value + `}}}`
		b.check(b.client.Patch(b.t.Context(), ns, client.RawPatch(types.MergePatchType, []byte(data))))
		b.exactly(c)
	}
	b.complete()
	for _, r := range b.requests(from, "patch", "create", "delete", "update", "get", "list") {
		if !strings.Contains(r, " outside/") {
			b.t.Errorf("asked for with nothing to do: %s", r)
		}
	}
	b.same(before)
}

// same wants nothing to have been written that was there.
func (b *bench) same(before map[string]string) {
	b.t.Helper()
	for name, version := range b.versions() {
		if was := before[name]; was != "" && was != version {
			b.t.Errorf("%s was written with nothing to do", name)
		}
	}
}

// writesNothingAnew wants a new process to find all as it is to be.
func (b *bench) writesNothingAnew(c *policy.Compiled) {
	b.t.Helper()
	before := b.versions()
	b.stop()
	b.start()
	b.check(b.writer.Want(Wish{Stack: stackName, Compiled: c}))
	b.complete()
	b.same(before)
}

// restoresAll changes, strips and deletes one object of each kind and effect.
func (b *bench) restoresAll(c *policy.Compiled) {
	b.t.Helper()
	ctx := b.t.Context()
	b.complete()
	got, err := b.there()
	b.check(err)
	tampered := map[string]bool{}
	for name, was := range got {
		sort := was.GetKind() + " " + was.GetLabels()[policy.EffectLabel]
		if tampered[sort] {
			continue
		}
		tampered[sort] = true
		at := client.ObjectKeyFromObject(was)
		for what, patch := range map[string]string{
			"another order":               `{"spec":{"order":7}}`,
			"no label, and another order": `{"metadata":{"labels":{"` + policy.Label + `":null}},"spec":{"order":8}}`,
			"a field that nobody set":     `{"spec":{"` + addable(was) + `}}`,
		} {
			b.check(b.client.Patch(ctx, was.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(patch)), client.FieldOwner("intruder")))
			b.eventually(name+" to be restored after "+what, func() (bool, string) {
				is := &unstructured.Unstructured{}
				is.SetGroupVersionKind(was.GroupVersionKind())
				if err := b.client.Get(ctx, at, is); err != nil {
					return false, err.Error()
				}
				left := missing(was.Object["spec"], is.Object["spec"]) + missing(is.Object["spec"], was.Object["spec"])
				return left == "" && is.GetLabels()[policy.Label] == stackName, left
			})
		}
		b.check(b.client.Delete(ctx, was))
	}
	b.exactly(c)
	b.complete()
	if want := len(kindsIn(c)); len(tampered) < want {
		b.t.Errorf("tampered with no more than %v", tampered)
	}
}

// kindsIn are the kinds and effects of a compiled set.
func kindsIn(c *policy.Compiled) map[string]bool {
	out := map[string]bool{}
	for _, o := range slices.Concat(c.Cluster, c.Namespaced) {
		out[o.GetKind()+" "+o.GetLabels()[policy.EffectLabel]] = true
	}
	return out
}

// addable is a field of an object that has a value where there is none.
func addable(o *unstructured.Unstructured) string {
	if o.GetKind() == "Tier" {
		return `defaultAction":"Deny"`
	}
	return `serviceAccountSelector":"all()"`
}
