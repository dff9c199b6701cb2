package importer

import (
	"encoding/json"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/release"
)

// sensitive says whether a value looks like a secret, by its name or by the names below it.
func sensitive(name string, v any) bool {
	switch v := v.(type) {
	case string:
		return v != "" && release.SensitiveName(name)
	case []any:
		return release.HoldsSensitive(v)
	default:
		return false
	}
}

// secrets moves what looks like a secret out of the stack, which others read, to where valuesFrom finds it.
func (i *importing) secrets() {
	for n := range i.described {
		d := &i.described[n]
		settings := d.settings()
		values, err := parse(settings.Values)
		if err != nil {
			continue
		}
		moved := map[string]any{}
		var names []string
		var paths [][]string
		var walk func(path []string, m map[string]any)
		walk = func(path []string, m map[string]any) {
			for k, v := range m {
				at := append(slices.Clone(path), k)
				if below, ok := v.(map[string]any); ok {
					walk(at, below)
				} else if sensitive(k, v) {
					put(moved, at, v)
					names, paths = append(names, strings.Join(at, ".")), append(paths, at)
				}
			}
		}
		walk(nil, values)
		if len(names) == 0 {
			continue
		}
		slices.Sort(names)
		for _, path := range paths {
			drop(values, path)
		}
		settings.Values = nil
		if data, err := json.Marshal(values); err == nil && len(values) > 0 {
			settings.Values = &apiextensionsv1.JSON{Raw: data}
		}
		secret := "imported-" + d.release.Name
		if i.Secrets[secret] != nil {
			secret += "-" + d.release.Namespace
		}
		if i.Secrets == nil {
			i.Secrets = map[string]map[string]any{}
		}
		i.Secrets[secret] = moved
		settings.ValuesFrom = []networkstackv1alpha1.ValuesReference{{Kind: networkstackv1alpha1.ValuesFromSecret, Name: secret}}
		what := "looks like a secret"
		if len(names) > 1 {
			what = "look like secrets"
		}
		i.remark(Remark{
			Severity: Decide, Field: d.field + ".valuesFrom", Object: "Helm release " + d.release.ID(),
			What: "of its values, " + strings.Join(names, ", ") + " " + what +
				", and the stack refers to Secret " + i.OperatorNamespace + "/" + secret + " for that",
			Remedy: "apply the Secret, which --secrets FILE writes, before the stack",
		})
		if refused := i.refusedFrom(d, moved); len(refused) > 0 {
			i.remark(Remark{
				Severity: Decide, Field: d.field + ".valuesFrom", Object: "Helm release " + d.release.ID(),
				What: strings.Join(refused, "; ") + ", where a Secret may not set it",
			})
		}
	}
}

// refusedFrom says which values of a Secret the component does not take.
func (i *importing) refusedFrom(d *described, moved map[string]any) []string {
	for _, r := range i.composed().Releases {
		if r.Spec.ReleaseName == d.release.Name && r.Spec.Namespace == d.release.Namespace {
			return compose.CheckValues(moved, r.Spec.ControlledValues, "valuesFrom")
		}
	}
	return nil
}
