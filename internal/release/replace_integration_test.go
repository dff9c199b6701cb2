package release

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// workload is a template of a workload whose selector and pod labels are values, as flow maps.
func workload(kind, more string) string {
	return `apiVersion: apps/v1
kind: ` + kind + `
metadata: {name: w}
spec:
  selector: {matchLabels: {{ .Values.selector }}}
  template:
    metadata: {labels: {{ .Values.labels }}}
    spec: {containers: [{name: main, image: "quay.io/a/b:{{ .Values.tag | default "1" }}"}]}
` + more
}

func workloadChart(kind, more string) *chart.Chart {
	return memoryChart("work", "1.0.0", map[string]string{"w.yaml": workload(kind, more)})
}

// pods are those that are not being deleted, by UID, each with its controller.
func (e *env) pods() map[types.UID]string {
	e.t.Helper()
	list, err := e.kube.CoreV1().Pods(e.ns).List(e.t.Context(), metav1.ListOptions{})
	if err != nil {
		e.t.Fatal(err)
	}
	out := map[types.UID]string{}
	for _, p := range list.Items {
		if p.DeletionTimestamp != nil {
			continue
		}
		out[p.UID] = "nobody"
		if c := metav1.GetControllerOf(&p); c != nil {
			out[p.UID] = c.Kind + " " + string(c.UID)
		}
	}
	return out
}

func uids(pods map[types.UID]string) []types.UID {
	var out []types.UID
	for u := range pods {
		out = append(out, u)
	}
	slices.Sort(out)
	return out
}

// uidOf is the UID of the workload w.
func (e *env) uidOf(ctx context.Context, kind string) (types.UID, error) {
	var m metav1.Object
	var err error
	switch kind {
	case "DaemonSet":
		m, err = e.kube.AppsV1().DaemonSets(e.ns).Get(ctx, "w", metav1.GetOptions{})
	case "Deployment":
		m, err = e.kube.AppsV1().Deployments(e.ns).Get(ctx, "w", metav1.GetOptions{})
	case "StatefulSet":
		m, err = e.kube.AppsV1().StatefulSets(e.ns).Get(ctx, "w", metav1.GetOptions{})
	default:
		m, err = e.kube.AppsV1().ReplicaSets(e.ns).Get(ctx, "w", metav1.GetOptions{})
	}
	if err != nil {
		return "", err
	}
	return m.GetUID(), nil
}

// settled waits until n pods are Ready, all of them controlled by the workload w or by ReplicaSets of it, and nothing that
// workloads make is left without a controller.
func (e *env) settled(kind string, n int) {
	e.t.Helper()
	var why string
	defer func() {
		if e.t.Failed() {
			e.t.Log(why)
		}
	}()
	e.eventually("all is adopted", func(ctx context.Context) (bool, error) {
		uid, err := e.uidOf(ctx, kind)
		if err != nil {
			return false, err
		}
		owners := map[types.UID]bool{uid: true}
		sets, err := e.kube.AppsV1().ReplicaSets(e.ns).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		for _, rs := range sets.Items {
			if rs.UID == uid {
				continue
			}
			if c := metav1.GetControllerOf(&rs); c == nil || c.UID != uid {
				why = fmt.Sprintf("ReplicaSet %s has the controller %v", rs.Name, c)
				return false, nil
			}
			owners[rs.UID] = true
		}
		revisions, err := e.kube.AppsV1().ControllerRevisions(e.ns).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		for _, r := range revisions.Items {
			if c := metav1.GetControllerOf(&r); c == nil || c.UID != uid {
				why = fmt.Sprintf("ControllerRevision %s has the controller %v", r.Name, c)
				return false, nil
			}
		}
		pods, err := e.kube.CoreV1().Pods(e.ns).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		ready := 0
		for _, p := range pods.Items {
			c := metav1.GetControllerOf(&p)
			if c == nil || !owners[c.UID] || p.DeletionTimestamp != nil {
				why = fmt.Sprintf("Pod %s has the controller %v", p.Name, c)
				return false, nil
			}
			if p.Status.Phase == corev1.PodRunning {
				ready++
			}
		}
		why = fmt.Sprintf("%d of %d pods, %d are running", len(pods.Items), n, ready)
		return len(pods.Items) == n && ready == n, nil
	})
	if got := e.configMaps(); len(got) > 0 {
		e.t.Errorf("left: %v", got)
	}
}

type change struct {
	name, kind, more string
	before, after    map[string]any
	moreAfter        string
	pods             int
	fields           string
	class            ReplacementClass
	keepsPods        bool
}

const claims = `  serviceName: %s
  replicas: 2
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: %s}}}
`

func values(selector, labels string) map[string]any {
	return map[string]any{"selector": selector, "labels": labels}
}

// workloadChanges are changes of workloads that the API server refuses.
func workloadChanges() []change {
	narrow, narrower, labels := `{app: x}`, `{app: x, tier: web}`, `{app: x, tier: web}`
	stateful := fmt.Sprintf(claims, "w", "1Gi")
	return []change{
		{name: "narrower selector", kind: "DaemonSet", before: values(narrow, labels), after: values(narrower, labels), pods: 3, fields: "spec.selector", class: ReplaceAdoptable, keepsPods: true},
		{name: "wider selector", kind: "DaemonSet", before: values(narrower, labels), after: values(narrow, labels), pods: 3, fields: "spec.selector", class: ReplaceAdoptable, keepsPods: true},
		{name: "other labels", kind: "DaemonSet", before: values(`{app: x}`, `{app: x}`), after: values(`{k8s-app: z}`, `{k8s-app: z}`), pods: 3, fields: "spec.selector", class: ReplaceAdoptable},
		{name: "another value", kind: "DaemonSet", before: values(`{app: x}`, `{app: x}`), after: values(`{app: z}`, `{app: z}`), pods: 3, fields: "spec.selector", class: ReplaceAdoptable},
		{name: "narrower selector", kind: "Deployment", more: "  replicas: 2\n", before: values(narrow, labels), after: values(narrower, labels), pods: 2, fields: "spec.selector", class: ReplaceAdoptable, keepsPods: true},
		{name: "another value", kind: "Deployment", more: "  replicas: 2\n", before: values(`{app: x}`, `{app: x}`), after: values(`{app: z}`, `{app: z}`), pods: 2, fields: "spec.selector", class: ReplaceAdoptable},
		{name: "narrower selector", kind: "ReplicaSet", more: "  replicas: 2\n", before: values(narrow, labels), after: values(narrower, labels), pods: 2, fields: "spec.selector", class: ReplaceAdoptable, keepsPods: true},
		{name: "larger claims", kind: "StatefulSet", more: stateful, moreAfter: fmt.Sprintf(claims, "w", "2Gi"), before: values(narrow, labels), after: values(narrow, labels), pods: 2, fields: "spec.volumeClaimTemplates", class: ReplaceAdoptable, keepsPods: true},
		{name: "another service", kind: "StatefulSet", more: stateful, moreAfter: fmt.Sprintf(claims, "other", "1Gi"), before: values(narrow, labels), after: values(narrow, labels), pods: 2, fields: "spec.serviceName", class: ReplaceAdoptable},
		{name: "narrower selector", kind: "StatefulSet", more: stateful, before: values(narrow, labels), after: values(narrower, labels), pods: 2, fields: "spec.selector", class: ReplaceAdoptable, keepsPods: true},
		{name: "another claim", kind: "StatefulSet", more: stateful, moreAfter: strings.Replace(stateful, "name: data", "name: other", 1), before: values(narrow, labels), after: values(narrow, labels), pods: 2, fields: "spec.volumeClaimTemplates", class: ReplaceDisruptive},
	}
}

// volumes for the claims of a StatefulSet: nothing provisions them here.
func (e *env) volumes() {
	e.t.Helper()
	for _, claim := range []string{"data-w-0", "data-w-1", "other-w-0", "other-w-1"} {
		pv := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: e.ns + "-" + claim}, Spec: corev1.PersistentVolumeSpec{
			Capacity:               corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("5Gi")},
			AccessModes:            []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/none"}},
			ClaimRef:               &corev1.ObjectReference{Namespace: e.ns, Name: claim},
		}}
		if _, err := e.kube.CoreV1().PersistentVolumes().Create(e.t.Context(), pv, metav1.CreateOptions{}); err != nil {
			e.t.Fatal(err)
		}
	}
}

func (c change) specs(e *env) (before, after Spec) {
	e.t.Helper()
	if c.kind == "StatefulSet" {
		e.volumes()
	}
	before = e.spec("work", workloadChart(c.kind, c.more), c.before)
	after = before
	if c.moreAfter != "" {
		after.Chart = workloadChart(c.kind, c.moreAfter)
	}
	after.Values = c.after
	if c.class == ReplaceDisruptive {
		after.Replacement = ReplacementDisruptive
	}
	return before, after
}

func TestReplaceWorkloads(t *testing.T) {
	for _, c := range workloadChanges() {
		t.Run(c.kind+" "+c.name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			eng := e.engine()
			before, after := c.specs(e)
			e.apply(eng, before)
			e.settled(c.kind, c.pods)
			old, had := e.pods(), e.mustUID(c.kind)
			var mu sync.Mutex
			var announced []string
			after.Announce = func(r Replacement) {
				mu.Lock()
				defer mu.Unlock()
				if e.mustUID(c.kind) != had {
					t.Error("announced after the deletion")
				}
				announced = append(announced, r.String())
			}
			out := e.apply(eng, after)
			if len(out.Replaced) != 1 || out.Replaced[0].Class != c.class || strings.Join(out.Replaced[0].Fields, ",") != c.fields || len(announced) != 1 ||
				announced[0] != out.Replaced[0].String() {
				t.Errorf("replaced %+v, announced %v", out.Replaced, announced)
			}
			if e.mustUID(c.kind) == had {
				t.Error("it was not replaced")
			}
			e.settled(c.kind, c.pods)
			if c.class == ReplaceDisruptive {
				for u := range e.pods() {
					if old[u] != "" {
						t.Errorf("pod %s is still there", u)
					}
				}
			}
			if now := e.pods(); c.keepsPods && !slices.Equal(uids(now), uids(old)) {
				t.Errorf("pods before %v, after %v", uids(old), uids(now))
			}
			if again := e.apply(eng, after); len(again.Replaced) > 0 {
				t.Errorf("replaced again: %v", again.Replaced)
			}
			if c.keepsPods && c.kind != "ReplicaSet" {
				// The new controller has had its time to start a roll-out, if it were to.
				after.Values = map[string]any{"selector": c.after["selector"], "labels": c.after["labels"], "tag": "2"}
				e.apply(eng, after)
				e.eventually("the roll-out", func(context.Context) (bool, error) {
					for u := range e.pods() {
						if old[u] != "" {
							return false, nil
						}
					}
					return true, nil
				})
				e.settled(c.kind, c.pods)
			}
		})
	}
}

func (e *env) mustUID(kind string) types.UID {
	e.t.Helper()
	uid, err := e.uidOf(e.t.Context(), kind)
	if err != nil {
		e.t.Fatal(err)
	}
	return uid
}

// An autoscaler's number of replicas outlives the replacement, and so do the pods.
func TestReplaceKeepsReplicas(t *testing.T) {
	e := newEnv(t)
	eng := e.engine()
	spec := e.spec("work", workloadChart("Deployment", ""), values(`{app: x}`, `{app: x, tier: web}`))
	e.apply(eng, spec)
	if _, err := e.kube.AppsV1().Deployments(e.ns).Patch(t.Context(), "w", types.MergePatchType, []byte(`{"spec":{"replicas":3}}`),
		metav1.PatchOptions{FieldManager: "kube-controller-manager"}, "scale"); err != nil {
		t.Fatal(err)
	}
	e.settled("Deployment", 3)
	before := e.pods()
	spec.Values = values(`{app: x, tier: web}`, `{app: x, tier: web}`)
	for range 2 {
		e.apply(eng, spec)
		e.settled("Deployment", 3)
		if !slices.Equal(uids(e.pods()), uids(before)) {
			t.Errorf("pods before %v, after %v", before, e.pods())
		}
	}
}

// Interrupted at any write of a replacement, the next action finishes it: wanted alike, otherwise, or not at all.
func TestReplacementInterrupted(t *testing.T) {
	for _, c := range workloadChanges() {
		if c.name == "wider selector" || c.name == "another service" || c.kind == "ReplicaSet" {
			continue
		}
		t.Run(c.kind+" "+c.name, func(t *testing.T) {
			t.Parallel()
			for k := int64(1); ; k++ {
				e := newEnv(t)
				before, after := c.specs(e)
				e.apply(e.engine(), before)
				e.settled(c.kind, c.pods)
				old := e.pods()
				b := &breaker{at: k, late: k%2 == 0}
				_, err := e.broken(b).Apply(t.Context(), after)
				if !b.dead.Load() {
					if err != nil {
						t.Error(err)
					}
					t.Logf("%d writes", b.writes.Load())
					return
				}
				switch k % 3 {
				case 0: // something else by now, but the same workload
					after.Values = map[string]any{"selector": c.after["selector"], "labels": c.after["labels"], "tag": "2"}
					e.apply(e.engine(), after)
				case 1:
					e.apply(e.engine(), after)
				default: // no workload at all
					after.Chart = memoryChart("work", "2.0.0", nil)
					if k%4 == 0 {
						if err := e.engine().Uninstall(t.Context(), "work", e.ns, "work"); err != nil {
							t.Errorf("write %d: %v", k, err)
						}
					} else {
						e.apply(e.engine(), after)
					}
					e.eventually("all is gone", func(ctx context.Context) (bool, error) {
						sets, err := e.kube.AppsV1().ReplicaSets(e.ns).List(ctx, metav1.ListOptions{})
						revisions, err2 := e.kube.AppsV1().ControllerRevisions(e.ns).List(ctx, metav1.ListOptions{})
						return len(e.pods()) == 0 && len(sets.Items) == 0 && len(revisions.Items) == 0, errors.Join(err, err2)
					})
					if got := e.configMaps(); len(got) > 0 {
						t.Errorf("left: %v", got)
					}
					continue
				}
				e.settled(c.kind, c.pods)
				if c.keepsPods && k%3 == 1 && !slices.Equal(uids(e.pods()), uids(old)) {
					t.Errorf("write %d: pods before %v, after %v", k, old, e.pods())
				}
				if t.Failed() {
					t.Fatalf("killed at write %d", k)
				}
			}
		})
	}
}

// one is an object whose wanted form the API server refuses to make of the live one.
type one struct {
	before, after string
	class         ReplacementClass
	field         string
}

func fixedObjects(ns string) map[string]one {
	name := "fixed-" + ns
	job := func(image string) string {
		return "apiVersion: batch/v1\nkind: Job\nmetadata: {name: x}\nspec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: " + image + "}]}}}"
	}
	binding := func(role string) string {
		return "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: x}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: " + role + "}\nsubjects: []"
	}
	clusterBinding := func(role string) string {
		return strings.NewReplacer("RoleBinding", "ClusterRoleBinding", "kind: Role,", "kind: ClusterRole,", "name: x", "name: "+name).Replace(binding(role))
	}
	class := func(group, kind, fields string) string {
		return "apiVersion: " + group + "/v1\nkind: " + kind + "\nmetadata: {name: " + name + "}\n" + fields
	}
	service := func(ip string) string {
		return "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {type: NodePort, clusterIP: " + ip + ", ports: [{port: 80, nodePort: %PORT%}]}"
	}
	return map[string]one{
		"Job":                {job("a"), job("b"), ReplaceRerun, "spec.template"},
		"RoleBinding":        {binding("a"), binding("b"), ReplaceRecreate, "roleRef"},
		"ClusterRoleBinding": {clusterBinding("a"), clusterBinding("b"), ReplaceRecreate, "roleRef"},
		"ConfigMap":          {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\nimmutable: true\ndata: {a: b}", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\nimmutable: true\ndata: {a: c}", ReplaceRecreate, "data"},
		"Secret":             {"apiVersion: v1\nkind: Secret\nmetadata: {name: x}\ntype: a.b/c\nstringData: {a: hunter22}", "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\ntype: a.b/d\nstringData: {a: hunter23}", ReplaceRecreate, "type"},
		"PriorityClass":      {class("scheduling.k8s.io", "PriorityClass", "value: 10"), class("scheduling.k8s.io", "PriorityClass", "value: 20"), ReplaceRecreate, "value"},
		"StorageClass":       {class("storage.k8s.io", "StorageClass", "provisioner: a\nparameters: {a: b}"), class("storage.k8s.io", "StorageClass", "provisioner: b\nparameters: {a: c}"), ReplaceRecreate, "parameters"},
		"CSIDriver":          {class("storage.k8s.io", "CSIDriver", "spec: {attachRequired: true}"), class("storage.k8s.io", "CSIDriver", "spec: {attachRequired: false}"), ReplaceRecreate, "spec.attachedRequired"},
		"IngressClass":       {class("networking.k8s.io", "IngressClass", "spec: {controller: a.b/c}"), class("networking.k8s.io", "IngressClass", "spec: {controller: a.b/d}"), ReplaceRecreate, "spec.controller"},
		"RuntimeClass":       {class("node.k8s.io", "RuntimeClass", "handler: a"), class("node.k8s.io", "RuntimeClass", "handler: b"), ReplaceRecreate, "handler"},
		"Service":            {service("%IP1%"), service("%IP2%"), ReplaceDisruptive, "spec.clusterIPs[0]"},
		"Pod": {"apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{name: c, image: a}]}",
			"apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {hostNetwork: true, containers: [{name: c, image: a}]}", ReplaceDisruptive, "spec"},
		"PersistentVolumeClaim": {"apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: x}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}",
			"apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: x}\nspec: {accessModes: [ReadWriteMany], resources: {requests: {storage: 1Gi}}}", ReplaceRefused, "spec"},
		"ConfigMap that is to be kept": {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kept, annotations: {helm.sh/resource-policy: keep}}\nimmutable: true\ndata: {a: b}",
			"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kept, annotations: {helm.sh/resource-policy: keep}}\nimmutable: true\ndata: {a: c}", ReplaceRefused, "data"},
	}
}

func TestReplaceObjects(t *testing.T) {
	e := newEnv(t)
	eng := e.engine()
	if _, err := e.kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: e.ns}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	// Addresses and a port that are free.
	var ips []string
	port := int32(0)
	for range 2 {
		svc, err := e.kube.CoreV1().Services(e.ns).Create(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{GenerateName: "s-"},
			Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 80}}}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		ips, port = append(ips, svc.Spec.ClusterIP), svc.Spec.Ports[0].NodePort
		if err := e.kube.CoreV1().Services(e.ns).Delete(t.Context(), svc.Name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	fill := strings.NewReplacer("%IP1%", ips[0], "%IP2%", ips[1], "%PORT%", fmt.Sprint(port))
	for name, o := range fixedObjects(e.ns) {
		t.Run(name, func(t *testing.T) {
			id := strings.ToLower(strings.ReplaceAll(name, " ", "-"))
			build := func(text string) Spec {
				s := e.spec(id, memoryChart("c", "1.0.0", map[string]string{"o.yaml": fill.Replace(text), "real.yaml": strings.Replace(realMap, "name: real", "name: "+id, 1)}), nil)
				s.NamespaceLabels = nil
				return s
			}
			first, err := eng.Apply(t.Context(), build(o.before))
			if err != nil {
				t.Fatal(err)
			}
			uid := func(out Outcome) (u string) {
				for _, a := range out.Objects {
					if a.Object.Name != id {
						u = a.UID
					}
				}
				return u
			}
			announced := 0
			spec := build(o.after)
			spec.Announce = func(Replacement) { announced++ }
			out, err := eng.Apply(t.Context(), spec)
			if o.class == ReplaceDisruptive || o.class == ReplaceRefused {
				var fixed *ImmutableFieldError
				if !errors.As(err, &fixed) || fixed.Class != o.class || !slices.Contains(fixed.Fields, o.field) || fixed.Remedy == "" || !Permanent(err) || announced > 0 {
					t.Fatalf("got %v", err)
				}
				spec.Replacement = ReplacementDisruptive
				out, err = eng.Apply(t.Context(), spec)
				if o.class == ReplaceRefused {
					if !errors.As(err, &fixed) || announced > 0 {
						t.Errorf("got %v", err)
					}
					again, err := eng.Apply(t.Context(), build(o.before))
					if err != nil || uid(again) != uid(first) || len(again.Replaced) > 0 {
						t.Errorf("afterwards %+v %v", again, err)
					}
					return
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(out.Replaced) != 1 || out.Replaced[0].Class != o.class || !slices.Contains(out.Replaced[0].Fields, o.field) || announced != 1 {
				t.Errorf("replaced %+v, announced %d", out.Replaced, announced)
			}
			if uid(out) == uid(first) || uid(out) == "" {
				t.Errorf("%v, then %v", uid(first), uid(out))
			}
		})
	}
}

// Nothing is deleted that could not be made again, nor what is not ours.
func TestReplacementRefused(t *testing.T) {
	e := newEnv(t)
	eng := e.engine()
	binding := func(name, kind, role string) Spec {
		return e.spec("c", memoryChart("c", "1.0.0", map[string]string{"b.yaml": "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: " + name +
			"}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: " + kind + ", name: " + role + "}"}), nil)
	}
	first := e.apply(eng, binding("x", "Role", "a"))
	_, err := eng.Apply(t.Context(), binding("x", "Nonsense", "b"))
	var fixed *ImmutableFieldError
	if !errors.As(err, &fixed) || !strings.Contains(fixed.Remedy, "would be refused") || !strings.Contains(fixed.Remedy, "Nonsense") {
		t.Errorf("got %v", err)
	}
	live, err := e.kube.RbacV1().RoleBindings(e.ns).Get(t.Context(), "x", metav1.GetOptions{})
	if err != nil || string(live.UID) != first.Objects[0].UID {
		t.Fatalf("%v %v", live.UID, err)
	}
	// Somebody has put his own in its place.
	if err := e.kube.RbacV1().RoleBindings(e.ns).Delete(t.Context(), "x", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	live.ObjectMeta = metav1.ObjectMeta{Name: "x"}
	live.RoleRef.Name = "theirs"
	if live, err = e.kube.RbacV1().RoleBindings(e.ns).Create(t.Context(), live, metav1.CreateOptions{FieldManager: "somebody"}); err != nil {
		t.Fatal(err)
	}
	_, err = eng.Apply(t.Context(), binding("x", "Role", "b"))
	var conflict *ConflictError
	if !errors.As(err, &conflict) || !strings.Contains(conflict.Owner, "somebody") {
		t.Errorf("got %v", err)
	}
	if now, err := e.kube.RbacV1().RoleBindings(e.ns).Get(t.Context(), "x", metav1.GetOptions{}); err != nil || now.UID != live.UID {
		t.Errorf("%v %v", now.UID, err)
	}
}

// Looking after objects never replaces one.
func TestVerifyDoesNotReplace(t *testing.T) {
	e := newEnv(t)
	eng := e.engine()
	e.apply(eng, e.spec("work", workloadChart("DaemonSet", ""), values(`{app: x}`, `{app: x, tier: web}`)))
	m, err := eng.Load(t.Context(), "work", e.ns)
	if err != nil {
		t.Fatal(err)
	}
	ds, err := e.kube.AppsV1().DaemonSets(e.ns).Get(t.Context(), "w", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.kube.AppsV1().DaemonSets(e.ns).Delete(t.Context(), "w", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	other := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "w", Labels: ds.Labels, Annotations: ds.Annotations}, Spec: ds.Spec}
	other.Spec.Selector.MatchLabels["tier"] = "web"
	if other, err = e.kube.AppsV1().DaemonSets(e.ns).Create(t.Context(), other, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	_, _, err = eng.Verify(t.Context(), Check{Component: "work", Manifest: m})
	var fixed *ImmutableFieldError
	if !errors.As(err, &fixed) || !slices.Equal(fixed.Fields, []string{"spec.selector"}) {
		t.Errorf("got %v", err)
	}
	if e.mustUID("DaemonSet") != other.UID {
		t.Error("it was replaced")
	}
}

// The scope of a CRD cannot be changed without the loss of all its objects.
func TestCRDScope(t *testing.T) {
	for _, where := range []string{"crds", "templates"} {
		e := newEnv(t)
		eng := e.engine()
		definition := crd("scoped"+where, "Scoped"+where, "v1")
		e.apply(eng, e.spec("c", carrier("a", "a/1.0.0", where, definition), nil))
		spec := e.spec("c", carrier("a", "a/1.1.0", where, strings.Replace(definition, "Namespaced", "Cluster", 1)), nil)
		spec.Replacement = ReplacementDisruptive
		_, err := eng.Apply(t.Context(), spec)
		var fixed *ImmutableFieldError
		if !errors.As(err, &fixed) || fixed.Class != ReplaceRefused || !slices.Equal(fixed.Fields, []string{"spec.scope"}) || !strings.Contains(fixed.Remedy, "all deleted") {
			t.Errorf("%s: %v", where, err)
		}
	}
}
