package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/compose"
)

// remove carries out the deletion policy and says whether the stack is gone. The components order their removal
// among themselves.
func (r *Reconciler) remove(ctx context.Context, s *scope) (bool, error) {
	if !controllerutil.ContainsFinalizer(s.stack, networkstackv1alpha1.Finalizer) {
		return true, nil
	}
	policy := s.stack.Spec.DeletionPolicy
	if policy == "" {
		policy = networkstackv1alpha1.DeletionOrphan
	}
	if s.stack.Spec.Suspend && policy == networkstackv1alpha1.DeletionDelete {
		return false, nil
	}
	// What denies goes while the network is there that would enforce it.
	if left, err := r.leavePolicies(s, policy); err != nil || !left { //nolint:contextcheck // watches of policies outlive the pass
		return false, err
	}
	if policy == networkstackv1alpha1.DeletionDelete && s.component(compose.NameKubeProxyCleanup) == nil {
		// Services need somebody to program them before the CNI that did goes. What cleans up behind kube-proxy would take its
		// rules, and goes in its turn, which is before the CNI's.
		if err := r.unparkKubeProxy(ctx, s.stack); err != nil {
			return false, err
		}
	}
	if policy == networkstackv1alpha1.DeletionDelete {
		// A namespace must not name a webhook that nobody serves.
		if left, err := r.leaveMesh(ctx, s); err != nil || !left {
			return false, err
		}
	}
	cleanup := s.component(compose.NameNodeCleanup)
	agents := slices.DeleteFunc(slices.Clone(s.components), func(c networkstackv1alpha1.NetworkComponent) bool {
		return c.Name == compose.NameNodeCleanup
	})
	if len(agents) > 0 {
		if policy == networkstackv1alpha1.DeletionDelete && cleanup == nil {
			if err := r.planCleaning(ctx, s); err != nil {
				return false, err
			}
		}
		var failed []error
		for _, c := range leavingNow(agents, policy) {
			s.deleting = append(s.deleting, c.Name)
			failed = append(failed, r.removeComponent(ctx, c, policy))
		}
		return false, errors.Join(failed...)
	}
	if cleanup != nil {
		return false, r.cleanNodes(ctx, s, cleanup, policy)
	}
	controllerutil.RemoveFinalizer(s.stack, networkstackv1alpha1.Finalizer)
	if err := r.writeFinalizers(ctx, s.stack); err != nil {
		return false, fmt.Errorf("removing the finalizer: %w", err)
	}
	return true, nil
}

// leavingNow are the components to remove now: all of them when they keep running, else those of the last stage, for
// what was installed first goes last.
func leavingNow(
	components []networkstackv1alpha1.NetworkComponent, policy networkstackv1alpha1.DeletionPolicy,
) []*networkstackv1alpha1.NetworkComponent {
	last := components[0].Spec.Stage
	for i := range components {
		last = max(last, components[i].Spec.Stage)
	}
	var out []*networkstackv1alpha1.NetworkComponent
	for i := range components {
		if c := &components[i]; policy == networkstackv1alpha1.DeletionOrphan || c.Spec.Stage == last {
			out = append(out, c)
		}
	}
	return out
}

// removeComponent deletes a component under a policy. The policy is written first, in a call of its own, so that a
// deletion never goes ahead under another one.
func (r *Reconciler) removeComponent(ctx context.Context, c *networkstackv1alpha1.NetworkComponent,
	policy networkstackv1alpha1.DeletionPolicy,
) error {
	if c == nil {
		return nil
	}
	c = c.DeepCopy()
	if c.Name == compose.NameNodeCleanup && c.Spec.Suspend {
		// It has installed nothing, and must not begin to.
		policy = networkstackv1alpha1.DeletionOrphan
	}
	if c.Spec.DeletionPolicy != policy || c.Spec.Suspend && policy == networkstackv1alpha1.DeletionDelete {
		c.Spec.DeletionPolicy = policy
		if policy == networkstackv1alpha1.DeletionDelete {
			c.Spec.Suspend = false
		}
		if err := r.Update(ctx, c); err != nil {
			return client.IgnoreNotFound(err)
		}
	}
	if !c.DeletionTimestamp.IsZero() {
		return nil
	}
	return client.IgnoreNotFound(r.Delete(ctx, c, client.Preconditions{UID: &c.UID}))
}

func (r *Reconciler) writeFinalizers(ctx context.Context, stack *networkstackv1alpha1.NetworkStack) error {
	data, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"finalizers": stack.Finalizers, "resourceVersion": stack.ResourceVersion}})
	if err != nil {
		return err
	}
	target := stack.DeepCopy()
	if err := r.Patch(ctx, target, client.RawPatch(types.MergePatchType, data)); err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	stack.ResourceVersion = target.ResourceVersion
	return nil
}
