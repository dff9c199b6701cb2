package release

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/preinstalled"
	"github.com/networkstack/networkstack/test/testcharts"
)

// plain is a client of no operator's.
func (e *env) plain() client.Client {
	e.t.Helper()
	c, err := client.New(e.cfg, client.Options{})
	if err != nil {
		e.t.Fatal(err)
	}
	return c
}

// observed counts what an engine writes.
type observed struct {
	next   http.RoundTripper
	mu     sync.Mutex
	writes []string
}

func (o *observed) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet && req.URL.Query().Get("dryRun") != metav1.DryRunAll {
		o.mu.Lock()
		o.writes = append(o.writes, req.Method+" "+req.URL.Path)
		o.mu.Unlock()
	}
	return o.next.RoundTrip(req)
}

func (o *observed) taken() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := o.writes
	o.writes = nil
	return out
}

// watched is an engine whose writes are counted.
func (e *env) watched() (*Engine, *observed) {
	e.t.Helper()
	o := &observed{}
	cfg := rest.CopyConfig(e.cfg)
	cfg.WrapTransport = func(next http.RoundTripper) http.RoundTripper { o.next = next; return o }
	eng, err := NewEngine(cfg, Options{})
	if err != nil {
		e.t.Fatal(err)
	}
	return eng, o
}

// podsOf waits until a workload's pods are there and answers what must not change.
func (e *env) podsOf(namespace, selector string, pods int) []string {
	e.t.Helper()
	var got []string
	e.eventually("the pods of "+selector, func(ctx context.Context) (bool, error) {
		list, err := e.kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
		if err != nil || len(list.Items) != pods {
			return false, nil //nolint:nilerr // tried again
		}
		for i := range list.Items {
			if list.Items[i].DeletionTimestamp != nil {
				return false, nil
			}
		}
		got, err = preinstalled.Pods(ctx, e.kube, namespace, selector)
		return err == nil, err
	})
	return got
}

// caughtUp waits until the controllers have seen the current generation of a DaemonSet or Deployment.
func (e *env) caughtUp(kind, namespace, name string) {
	e.t.Helper()
	e.eventually(kind+" "+name+" to be observed", func(ctx context.Context) (bool, error) {
		if kind == "DaemonSet" {
			d, err := e.kube.AppsV1().DaemonSets(namespace).Get(ctx, name, metav1.GetOptions{})
			return err == nil && d.Status.ObservedGeneration == d.Generation, err
		}
		d, err := e.kube.AppsV1().Deployments(namespace).Get(ctx, name, metav1.GetOptions{})
		return err == nil && d.Status.ObservedGeneration == d.Generation, err
	})
}

// plainCase is something that was installed without Helm.
type plainCase struct {
	name               string
	manifest           string
	kubectl            bool
	source             string
	kind               string
	namespace          string
	workload, selector string
	pods               int
	spec               Spec
}

func plainCases(t *testing.T) []plainCase {
	data := func(manifest, name string) map[string]any {
		for _, u := range preinstalled.Objects(manifest) {
			if u.GetKind() == "ConfigMap" && u.GetName() == name {
				d, _ := u.Object["data"].(map[string]any)
				return d
			}
		}
		t.Fatalf("no ConfigMap %s", name)
		return nil
	}
	proxy := preinstalled.Manifest("kube-proxy", "v1.37.1")
	flannel := preinstalled.Manifest("flannel", "")
	coreDNS := preinstalled.Manifest("coredns", "")
	strategy := map[string]any{"type": "RollingUpdate", "rollingUpdate": map[string]any{"maxUnavailable": int64(1), "maxSurge": int64(0)}}
	return []plainCase{
		{
			name: "kubeadm's kube-proxy", manifest: proxy, source: "kubeadm", kind: "DaemonSet",
			namespace: "kube-system", workload: "kube-proxy", selector: "k8s-app=kube-proxy", pods: 3,
			spec: Spec{Component: "kube-proxy", Name: "kube-proxy", Namespace: "kube-system", Chart: testcharts.Embedded(t, "kube-proxy"), Values: map[string]any{
				"layout": "kubeadm", "mode": "iptables", "resources": nil, "updateStrategy": strategy,
				"image":     map[string]any{"tag": "v1.37.1"},
				"apiServer": map[string]any{"host": "api.example.com", "port": int64(6443)},
				"found":     map[string]any{"config": data(proxy, "kube-proxy")["config.conf"], "kubeconfig": data(proxy, "kube-proxy")["kubeconfig.conf"]},
			}},
		},
		{
			name: "Flannel of kubectl apply", manifest: flannel, kubectl: true, source: "kubectl", kind: "DaemonSet",
			namespace: "kube-flannel", workload: "kube-flannel-ds", selector: "app=flannel", pods: 3,
			spec: Spec{Component: "flannel", Name: "flannel", Namespace: "kube-flannel", NamespaceLabels: map[string]string{"pod-security.kubernetes.io/enforce": "privileged"},
				Chart: testcharts.Embedded(t, "flannel"), Values: map[string]any{
					"layout": "manifest", "updateStrategy": strategy, "podCidr": "10.244.0.0/16",
					"flannel": map[string]any{
						"cniConf":     data(flannel, "kube-flannel-cfg")["cni-conf.json"],
						"tolerations": []any{map[string]any{"operator": "Exists", "effect": "NoSchedule"}},
					},
					"found": map[string]any{"cniConf": data(flannel, "kube-flannel-cfg")["cni-conf.json"], "netConf": data(flannel, "kube-flannel-cfg")["net-conf.json"]},
				}},
		},
		{
			name: "kubeadm's CoreDNS", manifest: coreDNS, source: "kubeadm", kind: "Deployment",
			namespace: "kube-system", workload: "coredns", selector: "k8s-app=kube-dns", pods: 2,
			spec: Spec{Component: "coredns", Name: "coredns", Namespace: "kube-system", Chart: memoryChart("coredns", "1.0.0", map[string]string{"all.yaml": coreDNS})},
		},
	}
}

func (e *env) preinstall(tc *plainCase) {
	e.t.Helper()
	c := e.plain()
	var err error
	if tc.kubectl {
		err = preinstalled.Kubectl(e.t.Context(), shared.cp.Binaries().Kubectl, shared.cp.Kubeconfig(), tc.manifest)
	} else {
		err = preinstalled.Create(e.t.Context(), c, "kubeadm", tc.manifest)
	}
	if err != nil {
		e.t.Fatal(err)
	}
}

// What kubeadm and kubectl made is compared, refused untouched, and taken over without a single pod noticing; a second
// time changes nothing; drift of it is corrected; a field that is not rendered any more goes.
func TestAdoptPlainObjects(t *testing.T) {
	for _, tc := range plainCases(t) {
		t.Run(tc.name, func(t *testing.T) {
			e := newEnv(t)
			c := e.plain()
			e.preinstall(&tc)
			before := e.podsOf(tc.namespace, tc.selector, tc.pods)
			versions, err := preinstalled.Versions(t.Context(), c, tc.manifest)
			if err != nil {
				t.Fatal(err)
			}
			eng, o := e.watched()

			report, err := eng.Inspect(t.Context(), tc.spec)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range report.Objects {
				if r.State != ObjectSame {
					t.Errorf("%s %s: %v %s", r.Object, r.State, r.Fields, r.Problem)
				}
			}
			if report.Source != tc.source || report.Restarts() || len(report.Objects) < 4 || len(report.Refused) > 0 {
				t.Errorf("report: %+v", report)
			}
			if _, err := eng.Apply(t.Context(), tc.spec); !Permanent(err) || !strings.Contains(err.Error(), "set spec.adoption to Adopt") {
				t.Errorf("refusal: %v", err)
			}
			if w := o.taken(); len(w) > 0 {
				t.Errorf("a report and a refusal wrote: %v", w)
			}
			after, err := preinstalled.Versions(t.Context(), c, tc.manifest)
			if diff := cmp.Diff(versions, after); err != nil || diff != "" {
				t.Errorf("touched: %v %s", err, diff)
			}

			spec := tc.spec
			spec.Adopt = true
			out := e.apply(eng, spec)
			if out.State.Revision != 1 || !out.State.Ours {
				t.Errorf("state: %+v", out.State)
			}
			unchanged := func(when string) {
				t.Helper()
				e.caughtUp(tc.kind, tc.namespace, tc.workload)
				if diff := cmp.Diff(before, e.podsOf(tc.namespace, tc.selector, tc.pods)); diff != "" {
					t.Errorf("pods were restarted %s:\n%s", when, diff)
				}
			}
			unchanged("by the take-over")
			for _, u := range preinstalled.Objects(tc.manifest) {
				if u.GetKind() == "Namespace" {
					continue
				}
				if err := c.Get(t.Context(), client.ObjectKeyFromObject(u), u); err != nil {
					t.Fatal(err)
				}
				if u.GetLabels()[v1alpha1.ComponentLabel] != spec.Component || eng.foreignFields(u.GetManagedFields()) {
					t.Errorf("%s %s: labels %v, managers %v", u.GetKind(), u.GetName(), u.GetLabels(), managers(u.GetManagedFields()))
				}
			}

			// Again, and with Refuse: nothing.
			o.taken()
			for _, adopt := range []bool{true, false} {
				spec.Adopt = adopt
				if out := e.apply(eng, spec); out.State.Revision != 1 {
					t.Errorf("revision %d", out.State.Revision)
				}
				report, err := eng.Inspect(t.Context(), spec)
				if err != nil || report.Needed() || report.Count(ObjectSame) != len(report.Objects) {
					t.Errorf("afterwards: %+v, %v", report, err)
				}
			}
			unchanged("by a second take-over")

			// Drift.
			m, err := eng.Load(t.Context(), spec.Name, spec.Namespace)
			if err != nil {
				t.Fatal(err)
			}
			workload := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: tc.namespace, Name: tc.workload}}
			if tc.kind == "DaemonSet" {
				if err := c.Patch(t.Context(), workload, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"updateStrategy":{"rollingUpdate":{"maxUnavailable":2}}}}`)), client.FieldOwner("somebody")); err != nil {
					t.Fatal(err)
				}
				findings, _, err := eng.Verify(t.Context(), Check{Component: spec.Component, Manifest: m})
				if err != nil || len(findings) != 1 || findings[0].Manager != "somebody" {
					t.Errorf("drift: %+v, %v", findings, err)
				}
				unchanged("by drift correction")
			}

			if err := eng.Uninstall(t.Context(), spec.Name, spec.Namespace, spec.Component); err != nil {
				t.Fatal(err)
			}
			for _, u := range preinstalled.Objects(tc.manifest) {
				err := c.Get(t.Context(), client.ObjectKeyFromObject(u), u)
				if gone := client.IgnoreNotFound(err) == nil && err != nil || u.GetDeletionTimestamp() != nil; gone == (u.GetKind() == "Namespace") {
					t.Errorf("after uninstalling: %s %s: %v", u.GetKind(), u.GetName(), err)
				}
			}
			if err := preinstalled.Delete(t.Context(), c, tc.manifest); err != nil {
				t.Fatal(err)
			}
			e.podsOf(tc.namespace, tc.selector, 0)
		})
	}
}

func (e *Engine) foreignFields(entries []metav1.ManagedFieldsEntry) bool {
	_, from, _ := takeFields(entries, e.opts.FieldManager)
	return from != nil
}

func managers(entries []metav1.ManagedFieldsEntry) []string {
	var out []string
	for _, f := range entries {
		out = append(out, f.Manager+"/"+string(f.Operation)+"/"+f.Subresource)
	}
	return out
}

// Fields are handed over whatever way they were written, and an upgrade of objects that nobody else wrote asks nothing more.
func TestHandOver(t *testing.T) {
	e := newEnv(t)
	eng, o := e.watched()
	e.apply(eng, e.spec("maps", mapsChart(), names("a", "b", "c", "d")))
	data := func(name string) map[string]string {
		t.Helper()
		m, err := e.kube.CoreV1().ConfigMaps(e.ns).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return m.Data
	}
	write := func(name string, kind types.PatchType, manager, body string) {
		t.Helper()
		options := metav1.PatchOptions{FieldManager: manager}
		if _, err := e.kube.CoreV1().ConfigMaps(e.ns).Patch(t.Context(), name, kind, []byte(body), options); err != nil {
			t.Fatal(err)
		}
	}
	o.taken()
	spec := e.spec("maps", mapsChart(), names("a", "b", "c", "d"))
	spec.Values["value"] = "1"
	e.apply(eng, spec)
	quiet := len(o.taken())

	write("a", types.ApplyPatchType, "helm", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"left":"x"}}`) // as Helm 4 does
	write("b", types.MergePatchType, "kubectl-client-side-apply", `{"data":{"left":"x"}}`)
	write("c", types.JSONPatchType, "somebody", `[{"op":"add","path":"/data/left","value":"x"},{"op":"replace","path":"/metadata/managedFields","value":[{}]}]`)
	write("d", types.MergePatchType, "cainjector", `{"data":{"left":"x"}}`)
	spec.Values["value"] = "2"
	e.apply(eng, spec)
	for name, want := range map[string]map[string]string{
		"a": {"value": "2"}, "b": {"value": "2"}, "c": {"value": "2"}, "d": {"value": "2", "left": "x"},
	} {
		if diff := cmp.Diff(want, data(name)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	o.taken()
	spec.Values["value"] = "3"
	e.apply(eng, spec)
	if n := len(o.taken()); n != quiet {
		t.Errorf("%d writes, %d before anything was handed over", n, quiet)
	}
}

// Whatever belongs to somebody who looks after it is refused, with Adopt as well, and nothing is touched.
func TestAdoptNeverGrabs(t *testing.T) {
	for name, mark := range map[string]string{
		"Argo CD application net":    `{"metadata":{"annotations":{"argocd.argoproj.io/tracking-id":"net:v1/ConfigMap:x/b"}}}`,
		"Flux Kustomization fl/net":  `{"metadata":{"labels":{"kustomize.toolkit.fluxcd.io/name":"net","kustomize.toolkit.fluxcd.io/namespace":"fl"}}}`,
		"Flux HelmRelease fl/net":    `{"metadata":{"labels":{"helm.toolkit.fluxcd.io/name":"net","helm.toolkit.fluxcd.io/namespace":"fl"}}}`,
		"the cloud's add-on manager": `{"metadata":{"labels":{"addonmanager.kubernetes.io/mode":"Reconcile"}}}`,
		"k3s or RKE2":                `{"metadata":{"annotations":{"objectset.rio.cattle.io/id":"x"}}}`,
		"Namespace kube-system":      `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"Namespace","name":"kube-system","uid":"UID","controller":true}]}}`,
		"tigera-operator":            `{"metadata":{"labels":{"app.kubernetes.io/managed-by":"tigera-operator"}}}`,
	} {
		for _, helm := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, Helm %v", name, helm), func(t *testing.T) {
				e := newEnv(t)
				e.helmInstalled("maps", mapsChart(), names("a", "b"))
				system, err := e.kube.CoreV1().Namespaces().Get(t.Context(), "kube-system", metav1.GetOptions{})
				if err != nil {
					t.Fatal(err)
				}
				mark := strings.ReplaceAll(mark, "UID", string(system.UID))
				if _, err := e.kube.CoreV1().ConfigMaps(e.ns).Patch(t.Context(), "b", types.MergePatchType, []byte(mark), metav1.PatchOptions{FieldManager: "x"}); err != nil {
					t.Fatal(err)
				}
				if !helm {
					// Plain objects: the release is forgotten, its objects stay.
					if err := e.kube.CoreV1().Secrets(e.ns).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "owner=helm"}); err != nil {
						t.Fatal(err)
					}
				}
				eng, o := e.watched()
				spec := e.spec("maps", mapsChart(), names("a", "b", "c"))
				spec.Adopt = true
				report, err := eng.Inspect(t.Context(), spec)
				if err != nil || len(report.Refused) != 1 || report.Refused[0].Owner != name || report.Refused[0].Adoptable {
					t.Errorf("report: %+v %v", report.Refused, err)
				}
				_, err = eng.Apply(t.Context(), spec)
				var conflict *ConflictError
				if !errors.As(err, &conflict) || conflict.Owner != name || conflict.Remedy == "" || conflict.Object.Name != "b" {
					t.Errorf("refusal: %v", err)
				}
				if w := o.taken(); len(w) > 0 {
					t.Errorf("written: %v", w)
				}
				if err := e.kube.CoreV1().Namespaces().Delete(t.Context(), e.ns, metav1.DeleteOptions{}); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}
