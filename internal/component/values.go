package component

import (
	"context"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/intent"
	"github.com/networkstack/networkstack/internal/release"
)

// values merges what the component's values come from. All problems are reported at once, and never with a value in the message.
// Beside the values it gives the texts among them that must not be shown to anybody.
func (r *Reconciler) values(ctx context.Context, c *networkstackv1alpha1.NetworkComponent) (map[string]any, []string, error) {
	merged, secrets, err := intent.Values(&c.Spec, r.Namespace, intent.Read(ctx, r.Client, r.Namespace))
	if err != nil {
		return nil, nil, err
	}
	return merged, append(secrets, release.Sensitive(merged)...), nil
}
