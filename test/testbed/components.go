package testbed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/testcharts"
)

// Component is the NetworkComponent that installs a chart.
func Component(r testcharts.Real) (*networkstackv1alpha1.NetworkComponent, error) {
	out := &networkstackv1alpha1.NetworkComponent{
		ObjectMeta: metav1.ObjectMeta{Name: r.Release},
		Spec: networkstackv1alpha1.NetworkComponentSpec{
			Type:        "Addon",
			Chart:       networkstackv1alpha1.ResolvedChart{Name: r.Name, Version: r.Version},
			ReleaseName: r.Release, Namespace: r.Namespace,
		},
	}
	if r.NotReady != "" {
		// That it does not come up is expected, and no news in the middle of a test.
		out.Spec.ProgressDeadline = &metav1.Duration{Duration: 24 * time.Hour}
	}
	if !r.Embedded {
		// A chart without a repository is one that the operator carries. This one never answers.
		out.Spec.Chart.Repository = "https://charts.invalid"
	}
	if !r.Shared {
		out.Spec.NamespaceLabels = map[string]string{"pod-security.kubernetes.io/enforce": "privileged"}
	}
	if len(r.Values) > 0 {
		raw, err := json.Marshal(r.Values)
		if err != nil {
			return nil, err
		}
		out.Spec.Values = &apiextensionsv1.JSON{Raw: raw}
	}
	return out, nil
}

// Available splits charts into those whose archives are there and those whose are not.
func Available(charts []testcharts.Real) (there, missing []testcharts.Real, err error) {
	for _, r := range charts {
		switch _, err := r.Archive(); {
		case err == nil:
			there = append(there, r)
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, r)
		default:
			return nil, nil, err
		}
	}
	return there, missing, nil
}

// Get reads a component.
func (b *Bed) Get(ctx context.Context, name string) (*networkstackv1alpha1.NetworkComponent, error) {
	var c networkstackv1alpha1.NetworkComponent
	err := b.Client.Get(ctx, client.ObjectKey{Name: name}, &c)
	return &c, err
}

// WaitApplied waits until a component's objects are as its spec wants them, whether or not its workloads have come up.
func (b *Bed) WaitApplied(ctx context.Context, name string) error {
	return b.Eventually(ctx, "component "+name+" to be applied", func(ctx context.Context) (bool, string, error) {
		c, err := b.Get(ctx, name)
		if err != nil {
			return false, err.Error(), nil //nolint:nilerr // the API server may be busy; asked again, and shown at the end
		}
		done := c.Status.ObservedGeneration == c.Generation &&
			(c.Status.Phase == networkstackv1alpha1.PhaseReady || c.Status.Phase == networkstackv1alpha1.PhaseRollingOut)
		stalled := meta.IsStatusConditionTrue(c.Status.Conditions, networkstackv1alpha1.ConditionStalled)
		if stalled && c.Status.Phase == networkstackv1alpha1.PhaseFailed {
			return false, "", errors.New(Describe(c))
		}
		return done, Describe(c), nil
	})
}

// WaitReady waits until a component is Ready.
func (b *Bed) WaitReady(ctx context.Context, name string) error {
	return b.Eventually(ctx, "component "+name+" to be Ready", func(ctx context.Context) (bool, string, error) {
		c, err := b.Get(ctx, name)
		if err != nil {
			return false, err.Error(), nil //nolint:nilerr // the API server may be busy; asked again, and shown at the end
		}
		return Ready(c), Describe(c), nil
	})
}

// Ready says whether a component is Ready as it is wanted now.
func Ready(c *networkstackv1alpha1.NetworkComponent) bool {
	condition := meta.FindStatusCondition(c.Status.Conditions, networkstackv1alpha1.ConditionReady)
	return condition != nil && condition.Status == metav1.ConditionTrue && condition.ObservedGeneration == c.Generation
}

// Describe is a component's phase and conditions, for a person to read.
func Describe(c *networkstackv1alpha1.NetworkComponent) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", c.Name, c.Status.Phase)
	for _, condition := range c.Status.Conditions {
		fmt.Fprintf(&b, "; %s=%s %s: %s", condition.Type, condition.Status, condition.Reason, condition.Message)
	}
	return b.String()
}
