// Package intent says what a NetworkComponent asks for, in the words of those who do it: the chart to load, the values to render it
// with, and the release to make of it.
package intent

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/chart"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/release"
)

// DefaultValuesKey is where an object has values when the reference names no key.
const DefaultValuesKey = "values.yaml"

// Chart is the chart to load. Directories are searched first, before those of the component.
func Chart(spec *networkstackv1alpha1.NetworkComponentSpec, dirs []string) chart.Request {
	req := chart.Request{
		Ref:  chart.Ref{Repository: spec.Chart.Repository, Name: spec.Chart.Name, Version: spec.Chart.Version, Digest: spec.Chart.Digest},
		Dirs: slices.Clone(dirs),
	}
	if spec.Sources != nil {
		if spec.Sources.ChartsDirectory != "" {
			req.Dirs = append(req.Dirs, spec.Sources.ChartsDirectory)
		}
		for _, m := range spec.Sources.Mirrors {
			req.Mirrors = append(req.Mirrors, chart.Mirror{Source: m.Source, Mirror: m.Mirror})
		}
	}
	return req
}

// Release is the release to make, but for the chart and for what the catalogue says of it.
func Release(name string, c *networkstackv1alpha1.NetworkComponentSpec, values map[string]any) release.Spec {
	spec := release.Spec{
		Adopt:       c.Adoption == networkstackv1alpha1.AdoptionAdopt,
		Replacement: release.ReplacementPolicy(c.Replacement),
		Component:   name, Name: c.ReleaseName, Namespace: c.Namespace, NamespaceLabels: c.NamespaceLabels, Values: values,
	}
	if spec.NamespaceLabels == nil && spec.Namespace != metav1.NamespaceSystem {
		spec.NamespaceLabels = map[string]string{} // it is made where there is none
	}
	if c.Sources != nil {
		spec.ImageRegistry = c.Sources.ImageRegistry
	}
	return spec
}

// ObjectNames are objects of a chart, as the catalogue has them.
func ObjectNames(list []catalog.ObjectName) []release.ObjectName {
	var out []release.ObjectName
	for _, o := range list {
		out = append(out, release.ObjectName{Kind: o.Kind, Name: o.Name})
	}
	return out
}

// ValuesError says why the values of a component cannot be used. It holds no value.
type ValuesError struct{ message string }

// Error names everything that is wrong.
func (e *ValuesError) Error() string { return e.message }

// ValuesErrorf makes a ValuesError.
func ValuesErrorf(format string, args ...any) error {
	return &ValuesError{fmt.Sprintf(format, args...)}
}

// Referenced gives the text that a reference names, or the problem with it. An error means that it could not be read now.
type Referenced func(ref networkstackv1alpha1.ValuesReference, key string) (text, problem string, err error)

// Values merges what the component's values come from: what the stack derived, then the references in
// order, then the inline values, each over the last. All
// problems are reported at once, and never with a value in the message. Beside the values it gives the texts that are from Secrets.
func Values(spec *networkstackv1alpha1.NetworkComponentSpec, namespace string, referenced Referenced) (map[string]any, []string, error) {
	merged, err := compose.ParseValues(spec.DerivedValues)
	if err != nil {
		return nil, nil, ValuesErrorf("spec.derivedValues: %s", err)
	}
	var problems, secrets []string
	for _, ref := range spec.ValuesFrom {
		where := string(ref.Kind) + " " + namespace + "/" + ref.Name
		key := ref.Key
		if key == "" {
			key = DefaultValuesKey
		}
		text, problem, err := referenced(ref, key)
		if err != nil {
			return nil, nil, err
		}
		if problem != "" {
			problems = append(problems, where+" "+problem)
			continue
		}
		from, err := parseYAML(text)
		if err != nil {
			// The parser's message may quote the text, which may be a secret.
			problems = append(problems, where+" does not hold a YAML mapping: correct it")
			continue
		}
		problems = append(problems, compose.CheckValues(from, spec.ControlledValues, where)...)
		merged = compose.MergeValues(merged, from)
		if ref.Kind == networkstackv1alpha1.ValuesFromSecret {
			secrets = append(secrets, release.AllText(from)...)
		}
	}
	if len(problems) > 0 {
		return nil, nil, ValuesErrorf("%s", strings.Join(problems, "; "))
	}
	inline, err := compose.ParseValues(spec.Values)
	if err != nil {
		return nil, nil, ValuesErrorf("spec.values: %s", err)
	}
	merged = compose.MergeValues(merged, inline)
	return merged, secrets, nil
}

// parseYAML keeps whole numbers whole, which a template would otherwise print as 1e+07.
func parseYAML(text string) (map[string]any, error) {
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return nil, err
	}
	return compose.ParseValues(&apiextensionsv1.JSON{Raw: data})
}

// Read reads what references name, by a client of Kubernetes.
func Read(ctx context.Context, c client.Reader, namespace string) Referenced {
	return func(ref networkstackv1alpha1.ValuesReference, key string) (text, problem string, err error) {
		name := client.ObjectKey{Namespace: namespace, Name: ref.Name}
		found := false
		switch ref.Kind {
		case networkstackv1alpha1.ValuesFromSecret:
			var s corev1.Secret
			err = c.Get(ctx, name, &s)
			var data []byte
			data, found = s.Data[key]
			text = string(data)
		default:
			var cm corev1.ConfigMap
			err = c.Get(ctx, name, &cm)
			text, found = cm.Data[key]
		}
		switch {
		case apierrors.IsNotFound(err):
			return "", "does not exist: create it, or remove it from valuesFrom", nil
		case err != nil:
			return "", "", fmt.Errorf("reading %s %s: %w", ref.Kind, name, err)
		case !found:
			return "", "has no key " + key + ": add it, or name another key in valuesFrom", nil
		}
		return text, "", nil
	}
}

// WithRevisions puts the revisions of generated Secrets among the values, where they are asked for.
func WithRevisions(values map[string]any, wanted []networkstackv1alpha1.GeneratedSecret,
	made []networkstackv1alpha1.GeneratedSecretStatus,
) map[string]any {
	for _, g := range wanted {
		i := slices.IndexFunc(made, func(s networkstackv1alpha1.GeneratedSecretStatus) bool { return s.SecretName == g.SecretName })
		if g.RevisionValue == "" || i < 0 {
			continue
		}
		values = WithValue(values, g.RevisionValue, made[i].Revision)
	}
	return values
}

// WithValue puts one value at a dot-separated path.
func WithValue(values map[string]any, at string, value any) map[string]any {
	path := strings.Split(at, ".")
	slices.Reverse(path)
	for _, key := range path {
		value = map[string]any{key: value}
	}
	m, _ := value.(map[string]any)
	return compose.MergeValues(values, m)
}
