package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// tigeraManager is the field manager of the real tigera-operator, after its binary's name.
	tigeraManager   = "operator"
	tigeraFinalizer = "tigera.io/operator-cleanup"
	// tigeraBeat is how often the player looks. The real one watches.
	tigeraBeat = 50 * time.Millisecond
)

// tigera plays the tigera-operator: on simulated nodes no container runs, so nobody else would. What it does to the objects
// that the tests look at is what the real one does: it fills in defaults of the Installation, keeps it by a finalizer, makes
// the agents' DaemonSet, and reports in TigeraStatus objects how far that has come, of which generation. It looks at nothing
// but the API server, and does nothing while the operator's Deployment has no pod.
type tigera struct {
	client client.Client

	mu sync.Mutex
	// degraded is what it reports to be wrong; empty for nothing.
	degraded string
	// early says that the Installation was left to it while its Deployment was gone already.
	early bool
	// cleaned counts the Installations that it has cleaned up after.
	cleaned int
	// failure is the last error that the API server gave it and that does not pass.
	failure error
}

func playTigera(t *testing.T, c client.Client) *tigera {
	t.Helper()
	p := &tigera{client: c}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			err := p.beat(ctx)
			p.mu.Lock()
			p.failure = err
			p.mu.Unlock()
			select {
			case <-ctx.Done():
			case <-time.After(tigeraBeat):
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		if t.Failed() {
			t.Logf("the player of the tigera-operator: cleaned up %d times, last error %v", p.cleaned, p.failure)
		}
	})
	return p
}

func (p *tigera) degrade(message string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.degraded = message
}

func tigeraObject(kind, name string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(schema.GroupVersionKind{Group: "operator.tigera.io", Version: "v1", Kind: kind})
	u.SetName(name)
	return u
}

// find reads an object; nil when there is none, or no such kind.
func (p *tigera) find(ctx context.Context, u *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	err := p.client.Get(ctx, client.ObjectKeyFromObject(u), u)
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		return nil, nil
	}
	return u, err
}

func (p *tigera) beat(ctx context.Context) error {
	installation, err := p.find(ctx, tigeraObject("Installation", "default"))
	if err != nil || installation == nil {
		return err
	}
	var deployment appsv1.Deployment
	err = p.client.Get(ctx, client.ObjectKey{Namespace: "tigera-operator", Name: "tigera-operator"}, &deployment)
	if client.IgnoreNotFound(err) != nil {
		return err
	}
	gone := apierrors.IsNotFound(err)
	if installation.GetDeletionTimestamp() != nil {
		p.mu.Lock()
		p.early = p.early || gone
		p.mu.Unlock()
		return p.cleanUp(ctx, installation)
	}
	if gone || deployment.Status.AvailableReplicas == 0 {
		return nil
	}
	if !slices.Contains(installation.GetFinalizers(), tigeraFinalizer) {
		return p.complete(ctx, installation)
	}
	ready, err := p.agents(ctx, installation)
	if err != nil {
		return err
	}
	api, err := p.find(ctx, tigeraObject("APIServer", "default"))
	if err != nil {
		return err
	}
	errs := []error{p.report(ctx, "calico", installation, ready), p.report(ctx, "ippools", installation, true)}
	if api != nil {
		errs = append(errs, p.report(ctx, "apiserver", api, ready))
	}
	return errors.Join(errs...)
}

// complete fills in what the Installation leaves out.
func (p *tigera) complete(ctx context.Context, u *unstructured.Unstructured) error {
	body := fmt.Sprintf(`{"metadata":{"finalizers":[%q]},"spec":{"variant":"Calico","kubernetesProvider":"Kind","flexVolumePath":"None",
		"cni":{"binDir":"/opt/cni/bin","confDir":"/etc/cni/net.d"},
		"calicoNetwork":{"windowsDataplane":"Disabled","hostPorts":"Enabled","multiInterfaceMode":"None"},
		"nodeUpdateStrategy":{"type":"RollingUpdate","rollingUpdate":{"maxUnavailable":1}}}}`, tigeraFinalizer)
	return p.client.Patch(ctx, u, client.RawPatch(types.MergePatchType, []byte(body)), client.FieldOwner(tigeraManager))
}

// agents makes the DaemonSet and says whether its pods are available.
func (p *tigera) agents(ctx context.Context, owner *unstructured.Unstructured) (bool, error) {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "calico-system"}}
	if err := p.client.Create(ctx, namespace); err != nil && !apierrors.IsAlreadyExists(err) {
		return false, err
	}
	labels := map[string]string{"k8s-app": "calico-node"}
	ds := &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "calico-system", Name: "calico-node", OwnerReferences: []metav1.OwnerReference{{
			APIVersion: owner.GetAPIVersion(), Kind: owner.GetKind(), Name: owner.GetName(), UID: owner.GetUID(),
			Controller: new(true), BlockOwnerDeletion: new(true),
		}}},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					HostNetwork: true, Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
					Containers: []corev1.Container{{Name: "calico-node", Image: "quay.io/calico/node:v3.32.1"}},
				},
			},
		},
	}
	if err := p.client.Create(ctx, ds, client.FieldOwner(tigeraManager)); err != nil && !apierrors.IsAlreadyExists(err) {
		return false, err
	}
	if err := p.client.Get(ctx, client.ObjectKeyFromObject(ds), ds); err != nil {
		return false, err
	}
	s := ds.Status
	return s.DesiredNumberScheduled > 0 && s.NumberAvailable == s.DesiredNumberScheduled, nil
}

// report writes a TigeraStatus about an object, when it says something new.
func (p *tigera) report(ctx context.Context, name string, of *unstructured.Unstructured, ready bool) error {
	p.mu.Lock()
	degraded := p.degraded
	p.mu.Unlock()
	said := func(kind string, yes bool, message string) map[string]any {
		status := "False"
		if yes {
			status = "True"
		}
		return map[string]any{
			"type": kind, "status": status, "reason": "Played", "message": message, "observedGeneration": of.GetGeneration(),
			"lastTransitionTime": "2026-01-01T00:00:00Z",
		}
	}
	wanted := []any{
		said("Available", ready && degraded == "", ""), said("Progressing", !ready, ""), said("Degraded", degraded != "", degraded),
	}
	u, err := p.find(ctx, tigeraObject("TigeraStatus", name))
	if err != nil {
		return err
	}
	if u == nil {
		u = tigeraObject("TigeraStatus", name)
		u.Object["spec"] = map[string]any{}
		if err := p.client.Create(ctx, u, client.FieldOwner(tigeraManager)); err != nil {
			return err
		}
	}
	have, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	if toJSON(have) == toJSON(wanted) {
		return nil
	}
	if err := unstructured.SetNestedSlice(u.Object, wanted, "status", "conditions"); err != nil {
		return err
	}
	return p.client.Status().Update(ctx, u, client.FieldOwner(tigeraManager))
}

// cleanUp takes down what it has made, and lets the Installation go.
func (p *tigera) cleanUp(ctx context.Context, installation *unstructured.Unstructured) error {
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "calico-system", Name: "calico-node"}}
	if err := client.IgnoreNotFound(p.client.Delete(ctx, ds, client.PropagationPolicy(metav1.DeletePropagationForeground))); err != nil {
		return err
	}
	if err := p.client.Get(ctx, client.ObjectKeyFromObject(ds), ds); !apierrors.IsNotFound(err) {
		return err // on its way out
	}
	for _, name := range []string{"calico", "ippools", "apiserver"} {
		if err := client.IgnoreNotFound(p.client.Delete(ctx, tigeraObject("TigeraStatus", name))); err != nil {
			return err
		}
	}
	body := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
	if err := p.client.Patch(ctx, installation, body, client.FieldOwner(tigeraManager)); err != nil {
		return client.IgnoreNotFound(err)
	}
	p.mu.Lock()
	p.cleaned++
	p.mu.Unlock()
	return nil
}
