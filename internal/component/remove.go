package component

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// remove carries out the deletion policy and says whether the component is gone. Only a policy of Delete uninstalls
// anything, so that a NetworkComponent deleted by mistake costs nothing: its stack writes it again.
func (r *Reconciler) remove(ctx context.Context, rec *record, c *networkstackv1alpha1.NetworkComponent) (bool, error) {
	r.Drift.Forget(c.Name)
	rec.tracked = false
	if !controllerutil.ContainsFinalizer(c, networkstackv1alpha1.Finalizer) {
		return true, nil
	}
	if rec.job != nil {
		return false, nil
	}
	policy, stackGoes, err := r.deletionPolicy(ctx, c)
	if err != nil {
		return false, err
	}
	if policy == networkstackv1alpha1.DeletionDelete && !rec.uninstalled {
		if c.Spec.Suspend {
			return false, nil
		}
		above, err := r.leavingBefore(ctx, c, stackGoes)
		if err != nil {
			return false, err
		}
		rec.waitingFor = above
		if rec.failedFor != "" {
			// What could not be applied does not matter any more.
			rec.succeeded()
		}
		if len(above) > 0 || rec.failure != nil && time.Now().Before(rec.next) {
			return false, nil
		}
		rec.job = r.startUninstall(c.DeepCopy())
		return false, nil
	}
	controllerutil.RemoveFinalizer(c, networkstackv1alpha1.Finalizer)
	err = r.Patch(ctx, c, client.RawPatch("application/merge-patch+json", finalizerPatch(c.Finalizers, c.ResourceVersion)))
	if err != nil && !apierrors.IsNotFound(err) {
		return false, fmt.Errorf("removing the finalizer: %w", err)
	}
	if policy == networkstackv1alpha1.DeletionDelete {
		r.wakeTheRest(ctx, c)
	}
	return true, nil
}

// deletionPolicy is the component's own, or that of its stack when the stack itself is going: whatever deletes the
// components of such a stack (a foreground deletion, say), the stack's policy holds.
func (r *Reconciler) deletionPolicy(ctx context.Context, c *networkstackv1alpha1.NetworkComponent) (
	policy networkstackv1alpha1.DeletionPolicy, stackGoes bool, err error,
) {
	var stack networkstackv1alpha1.NetworkStack
	err = r.Get(ctx, client.ObjectKey{Name: c.Labels[networkstackv1alpha1.StackLabel]}, &stack)
	if err != nil && !apierrors.IsNotFound(err) {
		return "", false, fmt.Errorf("reading the component's NetworkStack: %w", err)
	}
	stackGoes = err == nil && !stack.DeletionTimestamp.IsZero() && stack.Spec.DeletionPolicy == networkstackv1alpha1.DeletionDelete
	if stackGoes || c.Spec.DeletionPolicy == networkstackv1alpha1.DeletionDelete {
		return networkstackv1alpha1.DeletionDelete, stackGoes, nil
	}
	return networkstackv1alpha1.DeletionOrphan, false, nil
}

// leavingBefore are the components of the same stack that were installed later and are on their way out too, as all
// are when the stack goes.
func (r *Reconciler) leavingBefore(ctx context.Context, c *networkstackv1alpha1.NetworkComponent, all bool) ([]string, error) {
	others, err := r.siblings(ctx, c)
	if err != nil {
		return nil, err
	}
	var out []string
	for i := range others {
		if o := &others[i]; (all || !o.DeletionTimestamp.IsZero()) && o.Spec.Stage > c.Spec.Stage {
			out = append(out, o.Name)
		}
	}
	return out, nil
}

func (r *Reconciler) wakeTheRest(ctx context.Context, c *networkstackv1alpha1.NetworkComponent) {
	others, err := r.siblings(ctx, c)
	if err != nil {
		return
	}
	for i := range others {
		r.wakes.Wake(others[i].Name)
	}
}

func (r *Reconciler) siblings(ctx context.Context, c *networkstackv1alpha1.NetworkComponent) (
	[]networkstackv1alpha1.NetworkComponent, error,
) {
	var list networkstackv1alpha1.NetworkComponentList
	if err := r.List(ctx, &list, client.MatchingLabels{
		networkstackv1alpha1.StackLabel: c.Labels[networkstackv1alpha1.StackLabel]}); err != nil {
		return nil, fmt.Errorf("listing the stack's components: %w", err)
	}
	out := list.Items[:0]
	for i := range list.Items {
		if list.Items[i].Name != c.Name {
			out = append(out, list.Items[i])
		}
	}
	return out, nil
}

func finalizerPatch(finalizers []string, resourceVersion string) []byte {
	data, err := json.Marshal(map[string]any{"metadata": map[string]any{"finalizers": finalizers, "resourceVersion": resourceVersion}})
	if err != nil {
		panic("marshalling strings: " + err.Error())
	}
	return data
}

func waitingText(names []string) string {
	return "waiting until " + strings.Join(names, ", ") + " is gone"
}
