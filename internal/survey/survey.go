// Package survey completes the facts of a cluster by what one stack needs to know beside those that are always known.
package survey

import (
	"context"
	"fmt"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/internal/plan"
)

// Existing are the specs of components by name; those on their way out are as good as gone.
func Existing(components []networkstackv1alpha1.NetworkComponent) map[string]networkstackv1alpha1.NetworkComponentSpec {
	out := make(map[string]networkstackv1alpha1.NetworkComponentSpec, len(components))
	for i := range components {
		if components[i].DeletionTimestamp.IsZero() {
			out[components[i].Name] = components[i].Spec
		}
	}
	return out
}

// Components tells a composition what there is of components.
func Components(in *compose.Input, components []networkstackv1alpha1.NetworkComponent) {
	in.Existing = Existing(components)
	for i := range components {
		c := &components[i]
		if !c.DeletionTimestamp.IsZero() {
			in.Leaving = append(in.Leaving, c.Name)
			continue
		}
		in.CleanedOfMultus = in.CleanedOfMultus || compose.CleansMultus(&c.Spec) && plan.Ready(c)
	}
}

// Agents reads how the agents are configured on which the composition depends.
func Agents(ctx context.Context, in compose.Input, d *facts.Discoverer) error {
	for n := range in.Facts.Installed {
		i := &in.Facts.Installed[n]
		if !compose.NeedsFound(in, *i) {
			continue
		}
		if err := d.Examine(ctx, i); err != nil {
			return fmt.Errorf("looking at what is to be taken over: %w", err)
		}
	}
	return nil
}

// DNS looks at what answers the cluster's DNS queries, where the stack is to manage that.
func DNS(ctx context.Context, in compose.Input, d *facts.Discoverer) error {
	if !compose.NeedsDNS(in) {
		return nil
	}
	return d.ExamineDNS(ctx, in.Facts)
}

// AdminPolicies counts those that a network plugin would enforce no longer.
func AdminPolicies(ctx context.Context, in compose.Input, d *facts.Discoverer) error {
	if !compose.IgnoresAdminPolicies(in) {
		return nil
	}
	var err error
	if in.Facts.AdminPolicyCount, err = d.CountAdminPolicies(ctx); err != nil {
		return fmt.Errorf("counting AdminNetworkPolicies: %w", err)
	}
	return nil
}

// OwnKeys looks at the user's own keys, if the stack encrypts by such.
func OwnKeys(ctx context.Context, in compose.Input, d *facts.Discoverer) error {
	at, own := compose.OwnKeys(in)
	if !own {
		return nil
	}
	found, err := d.OwnKeys(ctx, at)
	if err != nil {
		return err
	}
	in.Facts.OwnKeys = found
	return nil
}

// Once completes the facts for those who look once and watch nothing: d reads from the API server itself. What only a watch or a
// node's own eyes can tell stays unknown: GatewayClasses, interfaces of nodes, the API server's certificate, and who uses a control
// plane of a mesh.
func Once(ctx context.Context, in compose.Input, d *facts.Discoverer) error {
	for _, look := range []func(context.Context, compose.Input, *facts.Discoverer) error{Agents, DNS, OwnKeys, AdminPolicies} {
		if err := look(ctx, in, d); err != nil {
			return err
		}
	}
	var err error
	if compose.IgnoresPolicies(in) {
		if in.Facts.NetworkPolicies, err = d.CountPolicies(ctx); err != nil {
			return fmt.Errorf("counting NetworkPolicies: %w", err)
		}
	}
	if in.Stack.Spec.Mesh != nil || compose.HasMesh(in.Existing) {
		if in.Facts.Namespaces, err = d.ListNamespaces(ctx); err != nil {
			return fmt.Errorf("listing namespaces: %w", err)
		}
	}
	return nil
}
