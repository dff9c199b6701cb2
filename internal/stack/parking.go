package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/internal/plan"
)

// A kube-proxy that the operator did not install is parked by a node selector that no node satisfies: it keeps
// its object and its configuration, and one patch brings it back.

// parkKubeProxy parks a kube-proxy of somebody else when the composition says so. It is parked only when every
// component is Ready, so that Services are never without somebody who programs them.
func (r *Reconciler) parkKubeProxy(ctx context.Context, s *scope) (parked bool, err error) {
	found := s.strayKubeProxy()
	if found == nil || !s.parks() {
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
	if err := r.patchSelector(ctx, found.Namespace, found.Name, "true"); err != nil {
		return false, err
	}
	r.event(s.stack, "Normal", networkstackv1alpha1.ReasonKubeProxyParked, "Park",
		"DaemonSet %s/%s parked by node selector: the CNI programs Services now", found.Namespace, found.Name)
	return true, nil
}

// bringBackKubeProxy unparks a kube-proxy that is wanted again, and says whether the CNI has to go on programming
// Services until it runs.
func (r *Reconciler) bringBackKubeProxy(ctx context.Context, s *scope) (hold bool, err error) {
	found := s.strayKubeProxy()
	if found == nil || s.parks() {
		return false, nil
	}
	if found.Parked {
		return true, r.unparkKubeProxy(ctx, s.stack)
	}
	replaced := slices.ContainsFunc(s.components, func(c networkstackv1alpha1.NetworkComponent) bool {
		return compose.ReplacesKubeProxy(&c.Spec)
	})
	if !replaced {
		return false, nil
	}
	var ds appsv1.DaemonSet
	if err := r.Get(ctx, client.ObjectKey{Namespace: found.Namespace, Name: found.Name}, &ds); err != nil {
		return true, fmt.Errorf("reading DaemonSet %s/%s: %w", found.Namespace, found.Name, err)
	}
	st := ds.Status
	runs := st.ObservedGeneration == ds.Generation && st.DesiredNumberScheduled > 0 &&
		st.UpdatedNumberScheduled == st.DesiredNumberScheduled && st.NumberAvailable == st.DesiredNumberScheduled
	return !runs, nil
}

// endCleanup removes what cleans up behind kube-proxy before one can run again, whose rules it would take, and what cleans nodes where a
// deletion was broken off. It says whether either is still there.
func (r *Reconciler) endCleanup(ctx context.Context, s *scope) (clearing bool, err error) {
	var failed []error
	for _, name := range []string{compose.NameKubeProxyCleanup, compose.NameNodeCleanup} {
		c := s.component(name)
		if c == nil || slices.ContainsFunc(s.result.Releases, func(r compose.Release) bool { return r.Name == name }) {
			continue
		}
		clearing = true
		failed = append(failed, r.removeComponent(ctx, c, networkstackv1alpha1.DeletionDelete))
	}
	return clearing, errors.Join(failed...)
}

// strayKubeProxy is a kube-proxy that was found and is no component now: somebody else's, or one of ours that was left
// running. It is nil when there is none.
func (s *scope) strayKubeProxy() *facts.Installed {
	found := s.facts.KubeProxy()
	if found == nil || found.Component != "" && s.component(found.Component) != nil {
		return nil
	}
	return found
}

// parks says whether a stray kube-proxy is to be parked.
func (s *scope) parks() bool {
	stray := s.strayKubeProxy()
	return s.result.ParkKubeProxy ||
		s.result.KubeProxy == networkstackv1alpha1.KubeProxyReplaced && stray != nil && stray.Component != ""
}

// unparkKubeProxy takes the node selector back wherever it was set.
func (r *Reconciler) unparkKubeProxy(ctx context.Context, stack *networkstackv1alpha1.NetworkStack) error {
	var list appsv1.DaemonSetList
	if err := r.List(ctx, &list); err != nil {
		return fmt.Errorf("listing DaemonSets: %w", err)
	}
	for i := range list.Items {
		ds := &list.Items[i]
		if _, parked := ds.Spec.Template.Spec.NodeSelector[facts.ParkedNodeSelector]; !parked {
			continue
		}
		if err := r.patchSelector(ctx, ds.Namespace, ds.Name, nil); err != nil {
			return err
		}
		r.event(stack, "Normal", networkstackv1alpha1.ReasonKubeProxyUnparked, "Unpark",
			"DaemonSet %s/%s runs again", ds.Namespace, ds.Name)
	}
	return nil
}

// patchSelector sets the parking key of the node selector, or removes it when the value is nil. It is a merge patch,
// because a node selector is atomic to server-side apply: applying one key would drop the others.
func (r *Reconciler) patchSelector(ctx context.Context, namespace, name string, value any) error {
	data, err := json.Marshal(map[string]any{"spec": map[string]any{"template": map[string]any{"spec": map[string]any{
		"nodeSelector": map[string]any{facts.ParkedNodeSelector: value}}}}})
	if err != nil {
		return err
	}
	ds := &appsv1.DaemonSet{}
	ds.Namespace, ds.Name = namespace, name
	err = r.Patch(ctx, ds, client.RawPatch(types.MergePatchType, data), client.FieldOwner(networkstackv1alpha1.ParkingFieldManager))
	if err != nil {
		return fmt.Errorf("changing the node selector of DaemonSet %s/%s: %w", namespace, name, err)
	}
	return nil
}
