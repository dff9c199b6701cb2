package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/intent"
	"github.com/networkstack/networkstack/internal/plan"
	"github.com/networkstack/networkstack/internal/release"
)

func definedKinds(c *component) []string { return release.DefinedKinds(c.rendered.All()) }

// compareSpecs finds what two components ask for differently.
func compareSpecs(from, to *networkstackv1alpha1.NetworkComponentSpec) []fieldChange {
	read := func(spec *networkstackv1alpha1.NetworkComponentSpec) map[string]any {
		data, err := json.Marshal(spec)
		var out map[string]any
		if err != nil || json.Unmarshal(data, &out) != nil {
			return nil
		}
		delete(out, "controlledValues") // which values only the spec may change follows from the rest
		return out
	}
	out := compareMaps("", read(from), read(to))
	for i := range out {
		out[i].From, out[i].To = hideSecrets(out[i].Path, out[i].From), hideSecrets(out[i].Path, out[i].To)
	}
	return out
}

// hideSecrets hides values of charts that may be secrets, by their names.
func hideSecrets(path string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k := range v {
			out[k] = hideSecrets(path+"."+k, v[k])
		}
		return out
	case string:
		if hidden(path) {
			return masked
		}
	}
	return v
}

// settings are those of the stack in a cluster; none without one.
func (c *cluster) settings(ctx context.Context, name string) ([]networkstackv1alpha1.EffectiveSetting, error) {
	stacks, err := c.stacks(ctx)
	if err != nil {
		return nil, err
	}
	for i := range stacks {
		if stacks[i].Name == name {
			stated, err := statedIn(&stacks[i].Spec, func(string) string { return "stated in the cluster" })
			return append(stated, stacks[i].Status.Effective...), err
		}
	}
	return nil, nil
}

// stacks are the NetworkStacks of a cluster; none where the kind is not known.
func (c *cluster) stacks(ctx context.Context) ([]networkstackv1alpha1.NetworkStack, error) {
	var list networkstackv1alpha1.NetworkStackList
	if err := c.client.List(ctx, &list); err != nil && !meta.IsNoMatchError(err) && !apierrors.IsNotFound(err) {
		return nil, clusterError(c.config.Host, fmt.Errorf("listing NetworkStacks: %w", err))
	}
	return list.Items, nil
}

// stored is the stack of a name as the cluster has it; nil without one.
func (c *cluster) stored(ctx context.Context, name string) (map[string]any, error) {
	stacks, err := c.stacks(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(stacks, func(s networkstackv1alpha1.NetworkStack) bool { return s.Name == name })
	if i < 0 {
		return nil, nil
	}
	return runtime.DefaultUnstructuredConverter.ToUnstructured(&stacks[i])
}

// olderStack is the stack of another name that takes effect in place of one of this name; empty without one.
func (c *cluster) olderStack(ctx context.Context, name string) (string, error) {
	stacks, err := c.stacks(ctx)
	if err != nil || len(stacks) == 0 {
		return "", err
	}
	oldest := slices.MinFunc(stacks, func(a, b networkstackv1alpha1.NetworkStack) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	if oldest.Name == name {
		return "", nil
	}
	return oldest.Name, nil
}

// inspect finds the objects that a step would change in the cluster.
func (w *world) inspect(ctx context.Context, engine *release.Engine, s plan.Step) ([]objectChange, error) {
	i := slices.IndexFunc(w.cluster.components, func(c networkstackv1alpha1.NetworkComponent) bool { return c.Name == s.Name })
	if s.Action == plan.Remove {
		if i < 0 {
			return nil, nil
		}
		spec := w.cluster.components[i].Spec
		m, err := engine.Load(ctx, spec.ReleaseName, spec.Namespace)
		if errors.Is(err, release.ErrNotDeployed) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		var out []objectChange
		for _, o := range m.Objects() {
			out = append(out, reported(s.Name, removed, o))
		}
		sortObjects(out)
		return out, nil
	}
	report, secrets, err := w.compare(ctx, engine, s.Name, s.Wanted)
	if err != nil {
		return nil, err
	}
	return changesOf(s.Name, &report, secrets), nil
}

// compare holds what a component wants against what is in the cluster. Beside the report it gives the texts that must not be shown.
func (w *world) compare(
	ctx context.Context, engine *release.Engine, name string, wanted *networkstackv1alpha1.NetworkComponentSpec,
) (release.AdoptionReport, []string, error) {
	values, secrets, err := intent.Values(wanted, w.namespace, w.referenced(ctx))
	if err != nil {
		return release.AdoptionReport{}, nil, err
	}
	i := slices.IndexFunc(w.cluster.components, func(c networkstackv1alpha1.NetworkComponent) bool { return c.Name == name })
	if i >= 0 {
		values = intent.WithRevisions(values, wanted.GeneratedSecrets, w.cluster.components[i].Status.GeneratedSecrets)
	}
	loaded, err := w.charts.Load(ctx, intent.Chart(wanted, w.dirs))
	if err != nil {
		return release.AdoptionReport{}, nil, err
	}
	report, err := engine.Inspect(ctx, w.releaseSpec(compose.Release{Name: name, Spec: *wanted}, values, loaded))
	return report, secrets, err
}

// changesOf are the objects of a report that would change.
func changesOf(component string, report *release.AdoptionReport, secrets []string) []objectChange {
	var out []objectChange
	for _, o := range report.Objects {
		var c objectChange
		switch o.State {
		case release.ObjectSame:
			continue
		case release.ObjectNew:
			c = reported(component, added, o.Object)
		case release.ObjectUnknown:
			c = reported(component, removed, o.Object)
		case release.ObjectDiffers:
			c = reported(component, changed, o.Object)
		}
		c.Restarts, c.Problem = o.Restarts, o.Problem
		for _, f := range o.Fields {
			field := reportedField(f)
			field.From, field.To = maskTexts(field.From, secrets), maskTexts(field.To, secrets)
			c.Fields = append(c.Fields, field)
		}
		out = append(out, c)
	}
	sortObjects(out)
	return out
}

func reported(component, change string, o release.Object) objectChange {
	return objectChange{
		Component: component, Change: change, APIVersion: o.GVK.GroupVersion().String(), Kind: o.GVK.Kind,
		Namespace: o.Namespace, Name: o.Name,
	}
}

// reportedField is a field as the engine reports it, which masks what is secret.
func reportedField(f release.FieldReport) fieldChange {
	out := fieldChange{Path: f.Path, Change: changed}
	read := func(text string) any {
		var v any
		if json.Unmarshal([]byte(text), &v) == nil {
			return v
		}
		return text
	}
	if f.Live != "" {
		out.From = read(f.Live)
	}
	if f.Wanted != "" {
		out.To = read(f.Wanted)
	}
	switch {
	case f.State == release.FieldUnknown || out.To == nil && out.From != nil:
		out.Change, out.To = removed, nil
	case out.From == nil:
		out.Change = added
	}
	return out
}
