package policy_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/policy"
	"github.com/networkstack/networkstack/test/testcharts"
)

// TestDefinitions gives the objects of Calico's API, and ClusterNetworkPolicies, to upstream's definitions of their kinds: they have no field
// that those do not have, and no value that those refuse.
func TestDefinitions(t *testing.T) {
	definitions := map[schema.GroupVersionKind]*apiextensionsv1.JSONSchemaProps{}
	var texts []string
	for _, name := range []string{"projectcalico.org.v3", "crd.projectcalico.org.v1"} {
		chart := testcharts.Upstream(t, name, "v3.32.1")
		for _, f := range chart.Templates {
			texts = append(texts, strings.Split(string(f.Data), "\n---")...)
		}
		for _, f := range chart.CRDObjects() {
			texts = append(texts, strings.Split(string(f.File.Data), "\n---")...)
		}
	}
	for _, text := range texts {
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.Unmarshal([]byte(text), &crd); err != nil || crd.Kind != "CustomResourceDefinition" {
			continue
		}
		for _, v := range crd.Spec.Versions {
			definitions[schema.GroupVersionKind{Group: crd.Spec.Group, Version: v.Name, Kind: crd.Spec.Names.Kind}] = v.Schema.OpenAPIV3Schema
		}
	}
	kinds := map[string]int{}
	for _, api := range []networkstackv1alpha1.PolicyAPI{networkstackv1alpha1.PolicyAPIClusterNetworkPolicy, networkstackv1alpha1.PolicyAPICalico} {
		for _, mode := range []networkstackv1alpha1.PolicyMode{networkstackv1alpha1.PolicyAudit, networkstackv1alpha1.PolicyEnforce} {
			for _, truth := range truths {
				c := policy.Compile(&policy.Set{Stack: "default", Mode: mode, API: api, Namespaces: covered,
					Rules: policy.FromBaselines(truth.baselines, &surroundings)})
				for _, o := range slices.Concat(c.Cluster, c.Namespaced) {
					props := definitions[o.GroupVersionKind()]
					if props == nil {
						t.Fatalf("there is no definition of %s among %d", o.GroupVersionKind(), len(definitions))
					}
					kinds[o.GetKind()]++
					raw, err := json.Marshal(o.Object["spec"])
					if err != nil {
						t.Fatal(err)
					}
					var spec any
					if err := json.Unmarshal(raw, &spec); err != nil {
						t.Fatal(err)
					}
					for _, problem := range judge("spec", spec, props.Properties["spec"]) {
						t.Errorf("%s %s: %s", o.GetKind(), o.GetName(), problem)
					}
				}
			}
		}
	}
	if len(kinds) != 6 {
		t.Errorf("kinds %v", kinds)
	}
	t.Log(kinds)
}

// judge holds a value against a schema: unknown and missing fields, types, enumerations, patterns, lengths and bounds.
func judge(path string, v any, s apiextensionsv1.JSONSchemaProps) []string {
	var out []string
	problem := func(format string, args ...any) { out = append(out, path+": "+fmt.Sprintf(format, args...)) }
	if len(s.Enum) > 0 {
		raw, _ := json.Marshal(v)
		if !slices.ContainsFunc(s.Enum, func(e apiextensionsv1.JSON) bool { return string(e.Raw) == string(raw) }) {
			problem("%s is not among those that there are", raw)
		}
	}
	switch v := v.(type) {
	case map[string]any:
		if s.Type != "object" {
			problem("is an object, not %s", s.Type)
		}
		for _, name := range s.Required {
			if _, has := v[name]; !has {
				problem("lacks %s", name)
			}
		}
		if s.MaxProperties != nil && int64(len(v)) > *s.MaxProperties || s.MinProperties != nil && int64(len(v)) < *s.MinProperties {
			problem("has %d fields", len(v))
		}
		for name, value := range v {
			switch prop, known := s.Properties[name]; {
			case known:
				out = append(out, judge(path+"."+name, value, prop)...)
			case s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil:
				out = append(out, judge(path+"."+name, value, *s.AdditionalProperties.Schema)...)
			default:
				problem("there is no field %s", name)
			}
		}
	case []any:
		if s.Type != "array" || s.Items == nil {
			problem("is a list, not %s", s.Type)
			break
		}
		if s.MaxItems != nil && int64(len(v)) > *s.MaxItems || s.MinItems != nil && int64(len(v)) < *s.MinItems {
			problem("has %d elements", len(v))
		}
		for i := range v {
			out = append(out, judge(fmt.Sprintf("%s[%d]", path, i), v[i], *s.Items.Schema)...)
		}
	case string:
		if s.Type != "string" && !s.XIntOrString {
			problem("is a string, not %s", s.Type)
		}
		if s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(v) {
			problem("%q is not %s", v, s.Pattern)
		}
		if s.MaxLength != nil && int64(len(v)) > *s.MaxLength {
			problem("%q is too long", v)
		}
	case float64:
		if s.Type != "integer" && s.Type != "number" && !s.XIntOrString {
			problem("is a number, not %s", s.Type)
		}
		if s.Minimum != nil && v < *s.Minimum || s.Maximum != nil && v > *s.Maximum {
			problem("%v is out of bounds", v)
		}
	case bool:
		if s.Type != "boolean" {
			problem("is true or false, not %s", s.Type)
		}
	}
	return out
}
