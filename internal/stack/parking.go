package stack

import (
	"context"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/internal/plan"
)

// A kube-proxy that the operator did not install is parked by a node selector that no node satisfies: it keeps
// its object and its configuration, and one patch brings it back. The selector has a field manager of its own,
// so that taking it back touches nothing else.

// parkKubeProxy parks or unparks a kube-proxy of somebody else, as the composition says. It is parked only when every
// component is Ready, so that Services are never without somebody who programs them.
func (r *Reconciler) parkKubeProxy(ctx context.Context, s *scope) (parked bool, err error) {
	found := s.facts.KubeProxy()
	if found == nil || found.Component != "" {
		return false, nil
	}
	if !s.result.ParkKubeProxy {
		if found.Parked {
			return false, r.unparkKubeProxy(ctx, s.stack)
		}
		return false, nil
	}
	if found.Parked {
		return true, nil
	}
	for _, step := range s.steps {
		c := s.component(step.Name)
		if step.Action != plan.Keep || c == nil || !plan.Ready(c) {
			return false, nil
		}
	}
	if err := r.applyParking(ctx, found.Namespace, found.Name, map[string]any{facts.ParkedNodeSelector: "true"}); err != nil {
		return false, err
	}
	r.event(s.stack, "Normal", networkstackv1alpha1.ReasonKubeProxyParked, "Park",
		"DaemonSet %s/%s parked by node selector: the CNI programs Services now", found.Namespace, found.Name)
	return true, nil
}

// unparkKubeProxy takes the node selector back where it was set.
func (r *Reconciler) unparkKubeProxy(ctx context.Context, stack *networkstackv1alpha1.NetworkStack) error {
	var ds appsv1.DaemonSet
	err := r.Get(ctx, client.ObjectKey{Namespace: "kube-system", Name: "kube-proxy"}, &ds)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading DaemonSet kube-system/kube-proxy: %w", err)
	}
	if _, parked := ds.Spec.Template.Spec.NodeSelector[facts.ParkedNodeSelector]; !parked {
		return nil
	}
	if err := r.applyParking(ctx, ds.Namespace, ds.Name, nil); err != nil {
		return err
	}
	r.event(stack, "Normal", networkstackv1alpha1.ReasonKubeProxyUnparked, "Unpark", "DaemonSet %s/%s runs again", ds.Namespace, ds.Name)
	return nil
}

func (r *Reconciler) applyParking(ctx context.Context, namespace, name string, selector map[string]any) error {
	intent := map[string]any{
		"apiVersion": "apps/v1", "kind": "DaemonSet",
		"metadata": map[string]any{"namespace": namespace, "name": name},
	}
	if selector != nil {
		intent["spec"] = map[string]any{"template": map[string]any{"spec": map[string]any{"nodeSelector": selector}}}
	}
	data, err := json.Marshal(intent)
	if err != nil {
		return err
	}
	ds := &appsv1.DaemonSet{}
	ds.Namespace, ds.Name = namespace, name
	err = r.Patch(ctx, ds, client.RawPatch(types.ApplyPatchType, data), client.FieldOwner(networkstackv1alpha1.ParkingFieldManager), client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("changing the node selector of DaemonSet %s/%s: %w", namespace, name, err)
	}
	return nil
}
