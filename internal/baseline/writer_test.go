package baseline

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/policy"
	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/operator"
)

const (
	patience  = 3 * time.Minute
	stackName = "default"
	enforced  = "enforced"
)

// bench is a control plane with a writer at work on it as the operator's account.
type bench struct {
	t       *testing.T
	cp      *controlplane.ControlPlane
	account *rest.Config
	client  client.Client
	writer  *Writer
	stop    func()
	events  *heard
}

// heard are events that were told.
type heard struct {
	events.EventRecorder
	mu    sync.Mutex
	notes []string
}

// Eventf keeps an event.
func (h *heard) Eventf(_, _ runtime.Object, _, reason, _, note string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notes = append(h.notes, reason+" "+fmt.Sprintf(note, args...))
}

func (h *heard) has(words ...string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.notes, func(n string) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(n, w) })
	})
}

func (b *bench) start() {
	b.t.Helper()
	scheme := runtime.NewScheme()
	b.check(clientgoscheme.AddToScheme(scheme))
	b.check(networkstackv1alpha1.AddToScheme(scheme))
	skip := true
	mgr, err := ctrl.NewManager(b.account, ctrl.Options{
		Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}, Logger: logr.Discard(), Controller: config.Controller{SkipNameValidation: &skip},
	})
	b.check(err)
	c, err := dynamic.NewForConfig(b.account)
	b.check(err)
	b.events = &heard{}
	b.writer = &Writer{Client: c, Cache: mgr.GetCache(), Recorder: b.events, Log: logr.Discard(), Wake: func() {}}
	b.check(b.writer.SetupWithManager(mgr))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	b.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			b.t.Error(err)
		}
	}
}

func (b *bench) check(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// in runs a part of the test so that its failures count as that part's.
func (b *bench) in(t *testing.T, run func(*bench)) {
	outer := b.t
	b.t = t
	defer func() { b.t = outer }()
	run(b)
}

func (b *bench) eventually(what string, condition func() (done bool, last string)) {
	b.t.Helper()
	last := ""
	err := wait.PollUntilContextTimeout(b.t.Context(), 20*time.Millisecond, patience, true, func(context.Context) (done bool, err error) {
		done, last = condition()
		return done, nil
	})
	if err != nil {
		b.t.Fatalf("waiting for %s: %v; last seen: %s; state: %+v", what, err, last, b.writer.State())
	}
}

func (b *bench) complete() {
	b.t.Helper()
	b.eventually("everything to be as it is wanted", func() (bool, string) { return b.writer.State().Complete, "" })
}

// counts waits until so many objects are there, those of namespaces on their way out not among them any more.
func (b *bench) counts(objects int) {
	b.t.Helper()
	b.eventually("the number of objects", func() (bool, string) {
		s := b.writer.State()
		return s.Objects == objects && s.Problem == "", fmt.Sprint(s.Objects)
	})
}

func (b *bench) namespace(name string, marks map[string]string) {
	b.t.Helper()
	b.check(b.client.Create(b.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: marks}}))
}

// names are the NetworkPolicies of a namespace.
func (b *bench) names(namespace string) []string {
	b.t.Helper()
	var list networkingv1.NetworkPolicyList
	b.check(b.client.List(b.t.Context(), &list, client.InNamespace(namespace)))
	var out []string
	for i := range list.Items {
		out = append(out, list.Items[i].Name)
	}
	slices.Sort(out)
	return out
}

func (b *bench) has(namespace string, names ...string) {
	b.t.Helper()
	slices.Sort(names)
	b.eventually(fmt.Sprintf("namespace %s to have %v", namespace, names), func() (bool, string) {
		got := b.names(namespace)
		return slices.Equal(got, names), fmt.Sprint(got)
	})
}

func (b *bench) get(namespace, name string) *networkingv1.NetworkPolicy {
	b.t.Helper()
	var p networkingv1.NetworkPolicy
	b.check(b.client.Get(b.t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, &p))
	return &p
}

// restored waits until an object says again what it said.
func (b *bench) restored(was *networkingv1.NetworkPolicy) {
	b.t.Helper()
	want := text(was)
	b.eventually(was.Name+" to be restored", func() (bool, string) {
		var is networkingv1.NetworkPolicy
		if err := b.client.Get(b.t.Context(), client.ObjectKeyFromObject(was), &is); err != nil {
			return false, err.Error()
		}
		return text(&is) == want, text(&is)
	})
}

func text(p *networkingv1.NetworkPolicy) string {
	data, _ := json.Marshal(map[string]any{"labels": p.Labels, "spec": p.Spec}) //nolint:errchkjson // it is made of plain values
	return string(data)
}

// requests are those of the operator's account since a moment, such as "patch networkpolicies a/x".
func (b *bench) requests(since time.Time, verbs ...string) []string {
	b.t.Helper()
	all, err := b.cp.Audit(b.t.Context())
	b.check(err)
	slices.SortStableFunc(all, func(a, b controlplane.AuditEvent) int { return a.Time.Compare(b.Time) })
	var out []string
	for _, e := range all {
		if strings.HasSuffix(e.User, ":"+operator.ServiceAccount) && !e.Time.Before(since) && slices.Contains(verbs, e.Verb) && e.Code < 300 {
			out = append(out, e.Verb+" "+e.Resource+" "+strings.TrimPrefix(e.Namespace+"/"+e.Name, "/"))
		}
	}
	return out
}

func (b *bench) annotate(value any) {
	b.t.Helper()
	data, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{networkstackv1alpha1.BreakGlassAnnotation: value}}})
	b.check(err)
	stack := &networkstackv1alpha1.NetworkStack{ObjectMeta: metav1.ObjectMeta{Name: stackName}}
	b.check(b.client.Patch(b.t.Context(), stack, client.RawPatch(types.MergePatchType, data)))
}

func object(apiVersion, kind, name, effect string, spec map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": apiVersion, "kind": kind, "spec": spec,
		"metadata": map[string]any{"name": name, "labels": map[string]any{policy.Label: stackName, policy.EffectLabel: effect}},
	}}
}

func covered() labels.Selector {
	return labels.SelectorFromSet(labels.Set{networkstackv1alpha1.BaselineLabel: enforced})
}

// perNamespace has one object that allows and one that denies in each namespace.
func perNamespace() *policy.Compiled {
	here := map[string]any{"from": []any{map[string]any{"podSelector": map[string]any{}}}, "ports": []any{map[string]any{"port": int64(80)}}}
	return &policy.Compiled{
		API: networkstackv1alpha1.PolicyAPINetworkPolicy, Namespaces: covered(),
		Namespaced: []*unstructured.Unstructured{
			object("networking.k8s.io/v1", "NetworkPolicy", "networkstack-deny", policy.EffectDeny,
				map[string]any{"podSelector": map[string]any{}, "policyTypes": []any{"Ingress"}}),
			object("networking.k8s.io/v1", "NetworkPolicy", "networkstack-allow", policy.EffectAllow,
				map[string]any{"podSelector": map[string]any{}, "ingress": []any{here}}),
		},
	}
}

// clusterWide has one of each for all of them.
func clusterWide() *policy.Compiled {
	one := func(name, effect, action string, priority int64) *unstructured.Unstructured {
		return object("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy", name, effect, map[string]any{
			"tier": "Baseline", "priority": priority, "subject": map[string]any{"namespaces": map[string]any{}},
			"ingress": []any{map[string]any{"action": action, "from": []any{map[string]any{"namespaces": map[string]any{}}}}},
		})
	}
	return &policy.Compiled{
		API: networkstackv1alpha1.PolicyAPIClusterNetworkPolicy, Namespaces: covered(),
		Cluster: []*unstructured.Unstructured{
			one("networkstack-allow", policy.EffectAllow, "Accept", 600), one("networkstack-deny", policy.EffectDeny, "Deny", 990),
		},
	}
}

// definition of ClusterNetworkPolicies, without what they are made of.
func definition() *apiextensionsv1.CustomResourceDefinition {
	yes := true
	d := &apiextensionsv1.CustomResourceDefinition{}
	d.Name = "clusternetworkpolicies.policy.networking.k8s.io"
	d.Annotations = map[string]string{apiextensionsv1.KubeAPIApprovedAnnotation: "unapproved, for a test"}
	d.Spec = apiextensionsv1.CustomResourceDefinitionSpec{
		Group: "policy.networking.k8s.io", Scope: apiextensionsv1.ClusterScoped,
		Names: apiextensionsv1.CustomResourceDefinitionNames{
			Plural: "clusternetworkpolicies", Singular: "clusternetworkpolicy", Kind: "ClusterNetworkPolicy", ListKind: "ClusterNetworkPolicyList",
		},
		Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
			Name: "v1alpha2", Served: true, Storage: true,
			Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
				Type: "object", XPreserveUnknownFields: &yes,
			}},
		}},
	}
	return d
}

// TestWriter has a writer go through its life on a real API server, as the operator's account.
func TestWriter(t *testing.T) {
	t.Parallel()
	ctrl.SetLogger(logr.Discard())
	dir := t.TempDir()
	b := &bench{t: t, cp: controlplane.ForTest(t, controlplane.Options{AuditLog: filepath.Join(dir, "audit.log")})}
	b.check(operator.Install(t.Context(), b.cp.RESTConfig()))
	var err error
	b.account, _, err = b.cp.ServiceAccountConfig(t.Context(), operator.Namespace, operator.ServiceAccount)
	b.check(err)
	b.account.QPS = -1
	scheme := runtime.NewScheme()
	b.check(clientgoscheme.AddToScheme(scheme))
	b.check(networkstackv1alpha1.AddToScheme(scheme))
	b.check(apiextensionsv1.AddToScheme(scheme))
	admin := b.cp.RESTConfig()
	admin.QPS = -1
	b.client, err = client.New(admin, client.Options{Scheme: scheme})
	b.check(err)
	b.check(b.client.Create(t.Context(), &networkstackv1alpha1.NetworkStack{
		ObjectMeta: metav1.ObjectMeta{Name: stackName},
		Spec:       networkstackv1alpha1.NetworkStackSpec{CNI: networkstackv1alpha1.CNISpec{Type: networkstackv1alpha1.CNIExternal}},
	}))
	b.defineCalico()
	b.namespace("shop", map[string]string{networkstackv1alpha1.BaselineLabel: enforced})
	b.namespace("bank", map[string]string{networkstackv1alpha1.BaselineLabel: enforced})
	b.namespace("outside", nil)
	b.check(b.client.Create(t.Context(), &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "own"}, Spec: networkingv1.NetworkPolicySpec{},
	}))
	own := b.get("shop", "own").ResourceVersion
	b.start()
	defer func() { b.stop() }()
	for _, step := range []struct {
		name string
		run  func(*bench)
	}{
		{"what allows is written before what denies", covers},
		{"while what denies is kept, none is written", keepsDenies},
		{"namespaces come, go, and move", moves},
		{"what is tampered with is restored", restores},
		{"the same wish writes nothing", idles},
		{"the glass is broken and mended", breaksGlass},
		{"an object of somebody else's is left alone", leavesForeign},
		{"a new writer goes on", goesOn},
		{"one API takes the place of the other without a gap", changesAPI},
		{"what is released stays", releases},
		{"what denies goes first", removes},
		{"Calico's own policies", calico},
		{"what belongs to no stack goes", orphans},
	} {
		if !t.Run(step.name, func(t *testing.T) { b.in(t, step.run) }) {
			t.FailNow()
		}
	}
	if got := b.get("shop", "own").ResourceVersion; got != own {
		t.Error("a user's own policy was written to")
	}
}

func covers(b *bench) {
	from := time.Now()
	b.check(b.writer.Want(Wish{Stack: stackName, Compiled: perNamespace()}))
	b.complete()
	if s := b.writer.State(); s.Namespaces != 2 || s.Pending != 0 || s.Objects != 4 || s.Denying != 2 || s.Problem != "" {
		b.t.Errorf("state %+v", s)
	}
	b.has("outside")
	for _, ns := range []string{"shop", "bank"} {
		first := func(name string) int {
			return slices.Index(b.requests(from, "patch"), "patch networkpolicies "+ns+"/"+name)
		}
		b.eventually("the audit log", func() (bool, string) { return first("networkstack-deny") >= 0, "" })
		if allow, deny := first("networkstack-allow"), first("networkstack-deny"); allow < 0 || deny < allow {
			b.t.Errorf("namespace %s: allowed as request %d, denied as %d", ns, allow, deny)
		}
	}
}

func keepsDenies(b *bench) {
	b.namespace("later", map[string]string{networkstackv1alpha1.BaselineLabel: enforced})
	b.has("later", "networkstack-allow", "networkstack-deny")
	b.check(b.writer.Want(Wish{Stack: stackName, Compiled: perNamespace(), Keep: true}))
	b.complete()
	b.check(b.client.Delete(b.t.Context(), b.get("later", "networkstack-deny")))
	b.check(b.client.Delete(b.t.Context(), b.get("later", "networkstack-allow")))
	b.has("later", "networkstack-allow")
	b.has("bank", "networkstack-allow", "networkstack-deny")
	b.check(b.writer.Want(Wish{Stack: stackName, Compiled: perNamespace()}))
	b.has("later", "networkstack-allow", "networkstack-deny")
	b.check(b.client.Delete(b.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "later"}}))
}

func moves(b *bench) {
	label := func(value any) {
		data, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": map[string]any{networkstackv1alpha1.BaselineLabel: value}}})
		b.check(err)
		b.check(b.client.Patch(b.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "outside"}},
			client.RawPatch(types.MergePatchType, data)))
	}
	label(enforced)
	b.has("outside", "networkstack-allow", "networkstack-deny")
	from := time.Now()
	label(nil)
	b.has("outside")
	b.eventually("the audit log", func() (bool, string) {
		got := b.requests(from, "delete")
		want := []string{"delete networkpolicies outside/networkstack-deny", "delete networkpolicies outside/networkstack-allow"}
		return slices.Equal(got, want), fmt.Sprint(got)
	})
}

func restores(b *bench) {
	ctx, by := b.t.Context(), client.FieldOwner("intruder")
	b.complete()
	for _, name := range []string{"networkstack-deny", "networkstack-allow"} {
		was := b.get("bank", name)
		for what, tamper := range map[string]func(p *networkingv1.NetworkPolicy){
			"a rule that opens everything": func(p *networkingv1.NetworkPolicy) {
				p.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{}}
			},
			"other pods":      func(p *networkingv1.NetworkPolicy) { p.Spec.PodSelector.MatchLabels = map[string]string{"a": "b"} },
			"no effect label": func(p *networkingv1.NetworkPolicy) { delete(p.Labels, policy.EffectLabel) },
			"no label": func(p *networkingv1.NetworkPolicy) {
				delete(p.Labels, policy.Label)
				p.Spec.PodSelector.MatchLabels = map[string]string{"a": "c"}
			},
			"nobody's fields, and other pods": func(p *networkingv1.NetworkPolicy) {
				p.ManagedFields = []metav1.ManagedFieldsEntry{{}}
				p.Spec.PodSelector.MatchLabels = map[string]string{"a": "d"}
			},
		} {
			b.eventually(what, func() (bool, string) {
				p := b.get("bank", name)
				tamper(p)
				err := b.client.Update(ctx, p, by)
				return err == nil, fmt.Sprint(err)
			})
			b.restored(was)
		}
		b.check(b.client.Delete(ctx, was))
		b.restored(was)
	}
	b.eventually("events", func() (bool, string) {
		return b.events.has("DriftCorrected", "bank/networkstack-deny", "changed by intruder") && b.events.has("ObjectRestored", "bank/networkstack-deny"),
			fmt.Sprint(b.events.notes)
	})
}

func idles(b *bench) {
	b.complete()
	from := time.Now()
	before := b.get("bank", "networkstack-deny").ResourceVersion
	b.check(b.writer.Want(Wish{Stack: stackName, Compiled: perNamespace()}))
	// A namespace that is covered tells that the writer has come past all the others.
	b.writer.everywhere(bulk)
	b.namespace("probe", map[string]string{networkstackv1alpha1.BaselineLabel: enforced})
	b.has("probe", "networkstack-allow", "networkstack-deny")
	b.complete()
	for _, r := range b.requests(from, "patch", "create", "delete", "update", "get", "list") {
		if !strings.Contains(r, " probe/") {
			b.t.Errorf("asked for with nothing to do: %s", r)
		}
	}
	if after := b.get("bank", "networkstack-deny").ResourceVersion; after != before {
		b.t.Error("written with nothing to do")
	}
	b.check(b.client.Delete(b.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "probe"}}))
}

func breaksGlass(b *bench) {
	b.annotate("") // any value does
	for _, ns := range []string{"shop", "bank"} {
		b.eventually("what denies to be gone", func() (bool, string) {
			got := b.names(ns)
			return !slices.Contains(got, "networkstack-deny") && slices.Contains(got, "networkstack-allow"), fmt.Sprint(got)
		})
	}
	if s := b.writer.State(); !s.Pulled {
		b.t.Errorf("state %+v", s)
	}
	b.namespace("new", map[string]string{networkstackv1alpha1.BaselineLabel: enforced})
	b.has("new", "networkstack-allow")
	b.annotate(nil)
	b.has("new", "networkstack-allow", "networkstack-deny")
	b.has("bank", "networkstack-allow", "networkstack-deny")
	b.complete()
	// Frozen, nothing comes back before there is a new wish, but the glass can be broken.
	b.writer.Freeze()
	b.annotate("again")
	b.has("bank", "networkstack-allow")
	b.annotate(nil)
	b.eventually("the annotation to be seen", func() (bool, string) { return !b.writer.State().Pulled, "" })
	b.check(b.writer.Want(Wish{Stack: stackName, Compiled: perNamespace()}))
	b.has("bank", "networkstack-allow", "networkstack-deny")
	b.complete()
}

func leavesForeign(b *bench) {
	ctx := b.t.Context()
	b.namespace("foreign", nil)
	theirs := &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: "foreign", Name: "networkstack-allow"},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}, PolicyTypes: []networkingv1.PolicyType{"Ingress"},
		},
	}
	b.check(b.client.Create(ctx, theirs))
	// A copy of one of ours under another name is theirs as well.
	dup := b.get("bank", "networkstack-deny")
	dup.ObjectMeta = metav1.ObjectMeta{Namespace: "foreign", Name: "copy", Labels: dup.Labels}
	b.check(b.client.Create(ctx, dup))
	was := text(b.get("foreign", "networkstack-allow"))
	data := []byte(`{"metadata":{"labels":{"` + networkstackv1alpha1.BaselineLabel + `":"` + enforced + `"}}}`)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "foreign"}}
	b.check(b.client.Patch(ctx, ns, client.RawPatch(types.MergePatchType, data)))
	b.eventually("the problem to be told", func() (bool, string) {
		s := b.writer.State()
		return s.Pending == 1 && strings.Contains(s.Problem, "NetworkPolicy foreign/networkstack-allow is somebody else's"), s.Problem
	})
	if got := text(b.get("foreign", "networkstack-allow")); got != was {
		b.t.Errorf("somebody else's object was changed: %s", got)
	}
	b.has("foreign", "networkstack-allow", "copy")
	b.check(b.client.Delete(ctx, ns))
	b.complete()
}

func goesOn(b *bench) {
	b.stop()
	was := b.get("shop", "networkstack-deny")
	changed := was.DeepCopy()
	changed.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{}}
	b.check(b.client.Update(b.t.Context(), changed, client.FieldOwner("intruder")))
	gone := b.get("bank", "networkstack-allow")
	b.check(b.client.Delete(b.t.Context(), gone))
	b.start()
	b.eventually("what there is to be read", func() (bool, string) { return b.writer.State().Known, "" })
	// Before it is known what is wanted, nothing is touched.
	if got := b.names("bank"); !slices.Equal(got, []string{"networkstack-deny"}) {
		b.t.Errorf("there is %v", got)
	}
	b.check(b.writer.Want(Wish{Stack: stackName, Compiled: perNamespace()}))
	b.restored(was)
	b.restored(gone)
	b.complete()
}

func changesAPI(b *bench) {
	from := time.Now()
	b.check(b.writer.Want(Wish{Stack: stackName, Compiled: clusterWide()}))
	b.eventually("the problem to be told", func() (bool, string) {
		s := b.writer.State()
		return s.Pending == s.Namespaces && s.Namespaces == 3 && strings.Contains(s.Problem, "ClusterNetworkPolicy"), s.Problem
	})
	b.has("bank", "networkstack-allow", "networkstack-deny")
	d := definition()
	b.check(b.client.Create(b.t.Context(), d))
	b.complete()
	b.has("bank")
	b.eventually("the audit log", func() (bool, string) {
		got := b.requests(from, "patch", "delete")
		allow := slices.Index(got, "patch clusternetworkpolicies networkstack-allow")
		deny := slices.Index(got, "patch clusternetworkpolicies networkstack-deny")
		gone := slices.IndexFunc(got, func(r string) bool { return strings.HasPrefix(r, "delete ") })
		return allow >= 0 && allow < deny && deny < gone, fmt.Sprint(got)
	})
	// And back. What is defined no more is no obstacle.
	b.check(b.writer.Want(Wish{Stack: stackName, Compiled: perNamespace()}))
	b.has("bank", "networkstack-allow", "networkstack-deny")
	b.complete()
	b.counts(6)
	b.check(b.client.Delete(b.t.Context(), d))
}

func releases(b *bench) {
	b.check(b.writer.Want(Wish{Stack: stackName, Release: true}))
	b.eventually("everything to be released", func() (bool, string) { return b.writer.State().Objects == 0, "" })
	p := b.get("bank", "networkstack-deny")
	if len(p.Labels) > 0 || b.get("shop", "networkstack-allow").Labels != nil {
		b.t.Errorf("labels %v", p.Labels)
	}
	// It can be taken up again.
	b.check(b.writer.Want(Wish{Stack: stackName, Compiled: perNamespace()}))
	b.complete()
	b.counts(6)
}

func removes(b *bench) {
	from := time.Now()
	b.check(b.writer.Want(Wish{Stack: stackName}))
	b.eventually("everything to be gone", func() (bool, string) { return b.writer.State().Objects == 0, "" })
	b.has("bank")
	b.has("shop", "own")
	b.eventually("the audit log", func() (bool, string) {
		got := b.requests(from, "delete")
		allow, deny := slices.Index(got, "delete networkpolicies bank/networkstack-allow"), slices.Index(got, "delete networkpolicies bank/networkstack-deny")
		return deny >= 0 && deny < allow, fmt.Sprint(got)
	})
}

func orphans(b *bench) {
	b.check(b.writer.Want(Wish{Stack: stackName, Compiled: perNamespace()}))
	b.complete()
	b.stop()
	b.check(b.client.Delete(b.t.Context(), &networkstackv1alpha1.NetworkStack{ObjectMeta: metav1.ObjectMeta{Name: stackName}}))
	b.start()
	b.has("bank")
	b.has("shop", "own")
}
