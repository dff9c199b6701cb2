package stack

import (
	"context"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/internal/survey"
	"github.com/networkstack/networkstack/internal/webhook"
)

// Judge says of a stack what Reconcile would, by what the cache and the last pass know: it asks the API server nothing. What takes a
// look at the cluster that nobody has taken yet is left to Reconcile, so that nothing is refused here that is accepted there.
func (r *Reconciler) Judge(ctx context.Context, stack *networkstackv1alpha1.NetworkStack) (webhook.Verdict, error) {
	in, missing, err := r.knowledge(ctx, stack)
	if err != nil {
		return webhook.Verdict{}, err
	}
	if missing != "" {
		errs, warnings := compose.ValidateObject(stack)
		return webhook.Verdict{Errors: errs, Warnings: warnings,
			Partial: "judged by itself alone, because " + missing + "; status.conditions will say whether it fits the cluster"}, nil
	}
	result := compose.Compose(in)
	return webhook.Verdict{Errors: result.Errors, Warnings: result.Warnings}, nil
}

// Warm has the cache hold what Judge reads, in a process that does not reconcile.
func (r *Reconciler) Warm(ctx context.Context) error {
	_, _, err := r.knowledge(ctx, &networkstackv1alpha1.NetworkStack{})
	return err
}

// knowledge is what a stack is to be composed from, or what is missing of it.
func (r *Reconciler) knowledge(ctx context.Context, stack *networkstackv1alpha1.NetworkStack) (
	in compose.Input, missing string, err error,
) {
	in = compose.Input{Stack: stack, OperatorImage: r.OperatorImage, OperatorNamespace: r.OperatorNamespace}
	if in.OtherStack, err = r.olderStack(ctx, stack); err != nil || in.OtherStack != "" {
		return in, "", err
	}
	components, err := r.componentsOf(ctx, stack.Name)
	if err != nil {
		return in, "", err
	}
	survey.Components(&in, components)
	known, err := r.Catalog.Current(ctx)
	if err != nil {
		return in, "", err
	}
	if known.Problem != nil && !known.Problem.Kept && len(components) > 0 {
		return in, "the catalogue is not known", nil // as in a pass, see catalogUnknown
	}
	in.Catalog = known.Catalog
	last := r.last.Load()
	if last != nil && last.Stack.Name == stack.Name {
		in.Facts = last.Facts // compose takes what was looked at for another spec alone, such as its keys, for that one's
	} else {
		last = nil
		if in.Facts, err = r.Facts.Discover(ctx); err != nil {
			return in, "", err
		}
	}
	return in, notLookedAt(in, last), nil
}

// notLookedAt says what a composition depends on that the facts at hand do not tell; empty when there is nothing. last is what they were
// gathered for; nil when they are what is always known.
func notLookedAt(in compose.Input, last *compose.Input) string {
	meshed := func(i *compose.Input) bool { return i.Stack.Spec.Mesh != nil || compose.HasMesh(i.Existing) }
	switch {
	case in.Facts.NodeStatesPending:
		return "the nodes' interfaces have not been looked at yet"
	case compose.NeedsDNS(in) && (last == nil || !compose.NeedsDNS(*last)):
		return "the cluster's DNS has not been looked at yet"
	case meshed(&in) && (last == nil || !meshed(last)):
		return "the namespaces have not been looked at yet"
	case slices.ContainsFunc(in.Facts.Installed, func(i facts.Installed) bool { return compose.NeedsFound(in, i) && i.Found == nil }):
		return "what is to be taken over has not been looked at yet"
	}
	return ""
}

// remember keeps what a pass composes from.
func (r *Reconciler) remember(in compose.Input) {
	in.Stack = &networkstackv1alpha1.NetworkStack{
		ObjectMeta: metav1.ObjectMeta{Name: in.Stack.Name}, Spec: *in.Stack.Spec.DeepCopy(),
	}
	r.last.Store(&in)
}
