package component

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/release"
)

const defaultValuesKey = "values.yaml"

// values merges what the component's values come from: what the stack derived, then the references in
// order, then the inline values, each over the last. All
// problems are reported at once, and never with a value in the message. Beside the values it gives the texts among them
// that must not be shown to anybody.
func (r *Reconciler) values(ctx context.Context, c *networkstackv1alpha1.NetworkComponent) (map[string]any, []string, error) {
	merged, err := compose.ParseValues(c.Spec.DerivedValues)
	if err != nil {
		return nil, nil, valuesErrorf("spec.derivedValues: %s", err)
	}
	var problems, secrets []string
	for _, ref := range c.Spec.ValuesFrom {
		where := string(ref.Kind) + " " + r.Namespace + "/" + ref.Name
		text, problem, err := r.referenced(ctx, ref, where)
		if err != nil {
			return nil, nil, err
		}
		if problem != "" {
			problems = append(problems, problem)
			continue
		}
		from, err := parseYAML(text)
		if err != nil {
			// The parser's message may quote the text, which may be a secret.
			problems = append(problems, where+" does not hold a YAML mapping: correct it")
			continue
		}
		problems = append(problems, compose.CheckValues(from, c.Spec.ControlledValues, where)...)
		merged = compose.MergeValues(merged, from)
		if ref.Kind == networkstackv1alpha1.ValuesFromSecret {
			secrets = append(secrets, release.AllText(from)...)
		}
	}
	if len(problems) > 0 {
		return nil, nil, valuesErrorf("%s", strings.Join(problems, "; "))
	}
	inline, err := compose.ParseValues(c.Spec.Values)
	if err != nil {
		return nil, nil, valuesErrorf("spec.values: %s", err)
	}
	merged = compose.MergeValues(merged, inline)
	return merged, append(secrets, release.Sensitive(merged)...), nil
}

// referenced is the text that a reference names, or the problem with it. An error means that it could not be read now.
func (r *Reconciler) referenced(ctx context.Context, ref networkstackv1alpha1.ValuesReference, where string) (
	text, problem string, err error,
) {
	key := ref.Key
	if key == "" {
		key = defaultValuesKey
	}
	name := client.ObjectKey{Namespace: r.Namespace, Name: ref.Name}
	found := false
	switch ref.Kind {
	case networkstackv1alpha1.ValuesFromSecret:
		var s corev1.Secret
		err = r.Get(ctx, name, &s)
		var data []byte
		data, found = s.Data[key]
		text = string(data)
	default:
		var cm corev1.ConfigMap
		err = r.Get(ctx, name, &cm)
		text, found = cm.Data[key]
	}
	switch {
	case apierrors.IsNotFound(err):
		return "", where + " does not exist: create it, or remove it from valuesFrom", nil
	case err != nil:
		return "", "", fmt.Errorf("reading %s: %w", where, err)
	case !found:
		return "", where + " has no key " + key + ": add it, or name another key in valuesFrom", nil
	}
	return text, "", nil
}

// parseYAML keeps whole numbers whole, which a template would otherwise print as 1e+07.
func parseYAML(text string) (map[string]any, error) {
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return nil, err
	}
	return compose.ParseValues(&apiextensionsv1.JSON{Raw: data})
}
