package corpus

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/testcharts"
)

// The controllers of these charts do not run on simulated nodes, so the test plays their parts: it writes what they
// write, under the names under which they write it.
var (
	// webhookWriters fill in the certificate authority of the webhooks of a release.
	webhookWriters = map[string]string{
		"istio-base": "pilot-discovery", "istiod": "pilot-discovery", "ingress-nginx": "kube-webhook-certgen",
		"monitoring": "kube-webhook-certgen", "consul": "consul-k8s-control-plane", "keda": "keda", "metallb": "controller",
		"external-secrets": "external-secrets", "antrea": "antrea-controller",
		"cert-manager": "cert-manager-cainjector",
	}
	// failClosed say that the same controllers also set the failure policy to Fail, once the webhook answers. The admission
	// webhook of the Prometheus operator would then have to answer for PrometheusRules of the same release, which nobody
	// here does; it is played on the webhook for AlertmanagerConfigs, which the release has none of.
	failClosed = map[string]string{
		"istio-base": "", "istiod": "rev.validation.istio.io", "monitoring": "alertmanagerconfigsvalidate.monitoring.coreos.com",
	}
	// secretWriters fill in Secrets that a release has without data.
	secretWriters = map[string]string{
		"argo-cd": "argocd-server", "external-secrets": "external-secrets", "metallb": "controller",
	}
	// defaulters are operators that complete custom resources of a release, by kind.
	defaulters = map[string]struct{ manager, patch string }{
		"Installation":          {"operator", `{"metadata":{"finalizers":["operator.tigera.io/installation-controller"]},"spec":{"flexVolumePath":"None"}}`},
		"BackupStorageLocation": {"velero-server", `{"spec":{"validationFrequency":"1m0s"}}`},
	}
)

// mark is a field that a controller wrote, and that has to stay as it wrote it.
type mark struct {
	object *unstructured.Unstructured
	by     string
	fields map[string]any // by JSON pointer
}

// play writes what controllers would write and answers what they wrote.
func (c *cluster) play(charts []testcharts.Real) []mark {
	c.t.Helper()
	var marks []mark
	kinds, err := c.kinds()
	check(c.t, err)
	releases := map[string]bool{}
	for _, r := range charts {
		releases[r.Release] = true
	}
	for _, gvk := range kinds {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(gvk)
		check(c.t, c.Client.List(c.t.Context(), list, client.HasLabels{networkstackv1alpha1.ComponentLabel}))
		for i := range list.Items {
			u := &list.Items[i]
			if releases[u.GetLabels()[networkstackv1alpha1.ComponentLabel]] && ownedByUs(u) {
				marks = append(marks, c.playOn(u)...)
			}
		}
	}
	byManager := map[string]int{}
	for _, m := range marks {
		byManager[m.by]++
	}
	c.t.Logf("played on %d objects: %v", len(marks), byManager)
	return marks
}

func ownedByUs(o client.Object) bool {
	for _, e := range o.GetManagedFields() {
		if e.Manager == networkstackv1alpha1.FieldManager && e.Operation == metav1.ManagedFieldsOperationApply {
			return true
		}
	}
	return false
}

// playOn writes what the controllers of an object's kind write into it.
func (c *cluster) playOn(u *unstructured.Unstructured) []mark {
	c.t.Helper()
	component := u.GetLabels()[networkstackv1alpha1.ComponentLabel]
	switch kind := u.GetKind(); kind {
	case "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration":
		return c.playWebhooks(u, component)
	case "APIService":
		if by := webhookWriters[component]; by != "" {
			return c.written(by, u, c.mergePatch(by, u, `{"spec":{"caBundle":"`+c.authority()+`"}}`), "/spec/caBundle")
		}
	case "CustomResourceDefinition":
		strategy, _, _ := unstructured.NestedString(u.Object, "spec", "conversion", "strategy")
		if by := webhookWriters[component]; by != "" && strategy == "Webhook" {
			patch := `{"spec":{"conversion":{"webhook":{"clientConfig":{"caBundle":"` + c.authority() + `"}}}}}`
			return c.written(by, u, c.mergePatch(by, u, patch), "/spec/conversion/webhook/clientConfig/caBundle")
		}
	case "Secret":
		if by := secretWriters[component]; by != "" && u.Object["data"] == nil {
			return c.written(by, u, c.mergePatch(by, u, `{"data":{"ca.crt":"`+c.authority()+`"}}`), "/data/ca.crt")
		}
	case "HorizontalPodAutoscaler":
		return c.playAutoscaler(u)
	case "Service":
		if t, _, _ := unstructured.NestedString(u.Object, "spec", "type"); t == "LoadBalancer" {
			const by = "cloud-controller-manager"
			patch := `{"metadata":{"annotations":{"cloud.example.com/load-balancer":"lb-1"},"finalizers":["cloud.example.com/load-balancer"]}}`
			return c.written(by, u, c.mergePatch(by, u, patch), "/metadata/annotations/cloud.example.com~1load-balancer", "/metadata/finalizers")
		}
	case "Lease":
		patch := fmt.Sprintf(`{"spec":{"holderIdentity":"pod-1","leaseDurationSeconds":15,"renewTime":%q}}`, time.Now().UTC().Format("2006-01-02T15:04:05.000000Z"))
		return c.written("nginx-ingress", u, c.mergePatch("nginx-ingress", u, patch), "/spec/holderIdentity", "/spec/renewTime")
	default:
		if d, ok := defaulters[kind]; ok {
			patched := c.mergePatch(d.manager, u, d.patch)
			var content map[string]any
			check(c.t, json.Unmarshal([]byte(d.patch), &content))
			return c.written(d.manager, u, patched, pointers("", content)...)
		}
	}
	return nil
}

// playWebhooks fills in the certificate authority, by the way the chart's controller does it, and fails closed.
func (c *cluster) playWebhooks(u *unstructured.Unstructured, component string) []mark {
	c.t.Helper()
	by := webhookWriters[component]
	if by == "" {
		return nil
	}
	webhooks, _, _ := unstructured.NestedSlice(u.Object, "webhooks")
	which, closes := failClosed[component]
	var operations, applied []any
	var paths []string
	for i, w := range webhooks {
		w, _ := w.(map[string]any)
		name, _ := w["name"].(string)
		applied = append(applied, map[string]any{"name": name, "clientConfig": map[string]any{"caBundle": c.authority()}})
		path := fmt.Sprintf("/webhooks/%d/clientConfig/caBundle", i)
		operations = append(operations, map[string]any{"op": "add", "path": path, "value": c.authority()})
		paths = append(paths, path)
		if closes && u.GetKind() == "ValidatingWebhookConfiguration" && (which == "" || which == name) {
			path := fmt.Sprintf("/webhooks/%d/failurePolicy", i)
			operations = append(operations, map[string]any{"op": "add", "path": path, "value": "Fail"})
			paths = append(paths, path)
		}
	}
	if by == "cert-manager-cainjector" {
		// The one that applies server-side, and by force.
		apply := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": u.GetAPIVersion(), "kind": u.GetKind(), "metadata": map[string]any{"name": u.GetName()}, "webhooks": applied,
		}}
		check(c.t, c.Client.Apply(c.t.Context(), client.ApplyConfigurationFromUnstructured(apply), client.FieldOwner(by), client.ForceOwnership))
		return c.written(by, u, c.live(u), paths...)
	}
	data, err := json.Marshal(operations)
	check(c.t, err)
	patched := u.DeepCopy()
	check(c.t, c.Client.Patch(c.t.Context(), patched, client.RawPatch(types.JSONPatchType, data), client.FieldOwner(by)))
	return c.written(by, u, patched, paths...)
}

// playAutoscaler scales what an autoscaler targets, as the controller manager does.
func (c *cluster) playAutoscaler(u *unstructured.Unstructured) []mark {
	c.t.Helper()
	const by, replicas = "kube-controller-manager", 3
	kind, _, _ := unstructured.NestedString(u.Object, "spec", "scaleTargetRef", "kind")
	name, _, _ := unstructured.NestedString(u.Object, "spec", "scaleTargetRef", "name")
	if kind != "Deployment" {
		c.t.Fatalf("%s scales a %s: that is not played yet", u.GetName(), kind)
	}
	clients, err := kubernetes.NewForConfig(c.ControlPlane.RESTConfig())
	check(c.t, err)
	deployments := clients.AppsV1().Deployments(u.GetNamespace())
	// Other controllers write to the Deployment, too.
	check(c.t, retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		scale, err := deployments.GetScale(c.t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		scale.Spec.Replicas = replicas
		_, err = deployments.UpdateScale(c.t.Context(), name, scale, metav1.UpdateOptions{FieldManager: by})
		return err
	}))
	target := &unstructured.Unstructured{}
	target.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind(kind))
	target.SetNamespace(u.GetNamespace())
	target.SetName(name)
	return c.written(by, target, c.live(target), "/spec/replicas")
}

func (c *cluster) mergePatch(by string, u *unstructured.Unstructured, patch string) *unstructured.Unstructured {
	c.t.Helper()
	out := u.DeepCopy()
	check(c.t, c.Client.Patch(c.t.Context(), out, client.RawPatch(types.MergePatchType, []byte(patch)), client.FieldOwner(by)))
	return out
}

func (c *cluster) live(u *unstructured.Unstructured) *unstructured.Unstructured {
	c.t.Helper()
	out := &unstructured.Unstructured{}
	out.SetGroupVersionKind(u.GroupVersionKind())
	check(c.t, c.Client.Get(c.t.Context(), client.ObjectKeyFromObject(u), out))
	return out
}

// written notes what fields a controller gave which values.
func (c *cluster) written(by string, u, now *unstructured.Unstructured, paths ...string) []mark {
	c.t.Helper()
	m := mark{object: u, by: by, fields: map[string]any{}}
	for _, path := range paths {
		v, ok := at(now.Object, path)
		if !ok {
			c.t.Fatalf("%s %s has no %s after %s wrote it", u.GetKind(), u.GetName(), path, by)
		}
		m.fields[path] = v
	}
	return []mark{m}
}

// stillThere fails when the operator took something back that a controller wrote.
func (c *cluster) stillThere(marks []mark) {
	c.t.Helper()
	for _, m := range marks {
		now := c.live(m.object)
		for path, want := range m.fields {
			if got, _ := at(now.Object, path); !reflect.DeepEqual(got, want) {
				c.t.Errorf("%s %s: %s wrote %s=%v, and now it is %v", m.object.GetKind(), m.object.GetName(), m.by, path, short(want), short(got))
			}
		}
	}
}

func short(v any) string {
	const most = 40
	text := fmt.Sprint(v)
	return text[:min(len(text), most)]
}

// at finds the value at a JSON pointer.
func at(v any, pointer string) (any, bool) {
	for step := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		step = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
		switch in := v.(type) {
		case map[string]any:
			next, ok := in[step]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			var i int
			if _, err := fmt.Sscan(step, &i); err != nil || i >= len(in) {
				return nil, false
			}
			v = in[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// pointers are the JSON pointers of all leaves.
func pointers(prefix string, v any) []string {
	in, ok := v.(map[string]any)
	if !ok {
		return []string{prefix}
	}
	var out []string
	for name, v := range in {
		out = append(out, pointers(prefix+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(name), v)...)
	}
	return out
}

// authority is a real certificate authority, as base64: the API server takes nothing else for one.
func (c *cluster) authority() string {
	return base64.StdEncoding.EncodeToString(c.ControlPlane.RESTConfig().CAData)
}
