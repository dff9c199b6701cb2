// Package schema judges a NetworkStack as the API server does before it stores one: by the schema of its definition and by the CEL
// rules in it, with the API server's own libraries. It is pure.
package schema

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	"github.com/networkstack/networkstack/config/crd"
)

// Kind is what a problem is about.
type Kind string

// The kinds of problems.
const (
	// UnknownField is a field that there is not.
	UnknownField Kind = "unknown field"
	// Form is a value of another type or form than the schema wants.
	Form Kind = "form"
	// Rule is a CEL rule that does not hold.
	Rule Kind = "rule"
)

// Problem is one reason why the API server would not take an object.
type Problem struct {
	Kind Kind
	// Field is the path of what is wrong; empty for the object as a whole.
	Field string
	// Message says what is wrong.
	Message string
	// Unreadable says that the value is of another type than the field, so that the object cannot be read.
	Unreadable bool
}

// definition is what the API server makes of a custom resource definition.
type definition struct {
	structural *structuralschema.Structural
	form       validation.SchemaValidator
	rules      *cel.Validator
}

// load takes the definition apart, once. An error is a fault of the build.
var load = sync.OnceValues(func() (*definition, error) {
	var v1 apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(crd.NetworkStack, &v1); err != nil {
		return nil, err
	}
	if len(v1.Spec.Versions) != 1 {
		return nil, fmt.Errorf("the definition has %d versions, and one is known here", len(v1.Spec.Versions))
	}
	props := &apiextensions.JSONSchemaProps{}
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(
		v1.Spec.Versions[0].Schema.OpenAPIV3Schema, props, nil); err != nil {
		return nil, err
	}
	structural, err := structuralschema.NewStructural(props)
	if err != nil {
		return nil, err
	}
	form, _, err := validation.NewSchemaValidator(props)
	if err != nil {
		return nil, err
	}
	return &definition{
		structural: structural, form: form, rules: cel.NewValidator(structural, true, celconfig.PerCallLimit),
	}, nil
})

// Judge gives every reason why the API server would not take an object of the kind NetworkStack, ordered by field. As there, rules are
// judged only of an object whose form is right. With an old object, it is judged as a change of that one. Neither is changed.
func Judge(ctx context.Context, object, old map[string]any) ([]Problem, error) {
	d, err := load()
	if err != nil {
		return nil, fmt.Errorf("reading the definition of NetworkStacks: %w", err)
	}
	object = d.stored(object)
	var out []Problem
	for _, path := range d.unknownFields(object) {
		out = append(out, Problem{Kind: UnknownField, Field: path, Message: d.unknown(path)})
	}
	out = append(out, judgeMetadata(object)...)
	wrong := validation.ValidateCustomResource(nil, object, d.form)
	wrong = append(wrong, listtype.ValidateListSetsAndMaps(nil, d.structural, object)...)
	for _, e := range wrong {
		out = append(out, Problem{Kind: Form, Field: e.Field, Message: message(e), Unreadable: e.Type == field.ErrorTypeTypeInvalid})
	}
	if !blocks(wrong) {
		var before any
		if old != nil {
			before = d.stored(old)
		}
		rules, _ := d.rules.Validate(ctx, nil, d.structural, object, before, celconfig.RuntimeCELCostBudget)
		for _, e := range rules {
			out = append(out, Problem{Kind: Rule, Field: e.Field, Message: message(e)})
		}
	}
	for i := range out {
		if out[i].Field == "<nil>" {
			out[i].Field = "" // the object as a whole
		}
	}
	slices.SortStableFunc(out, func(a, b Problem) int { return cmp.Compare(a.Field, b.Field) })
	return slices.Compact(out), nil
}

// stored is an object as the API server takes it for judgement.
func (d *definition) stored(object map[string]any) map[string]any {
	object = runtime.DeepCopyJSON(object)
	delete(object, "status") // a subresource: dropped when an object is written
	defaulting.PruneNonNullableNullsWithoutDefaults(object, d.structural)
	defaulting.Default(object, d.structural)
	return object
}

// blocks says whether errors of form keep the API server from judging rules: their cost could not be bounded.
func blocks(wrong field.ErrorList) bool {
	return slices.ContainsFunc(wrong, func(e *field.Error) bool {
		switch e.Type {
		case field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong, field.ErrorTypeTooMany,
			field.ErrorTypeTypeInvalid:
			return true
		default:
			return false
		}
	})
}

// wrongType is how a value of a wrong type is reported.
var wrongType = regexp.MustCompile(`must be of type ([a-z]+): "([a-z]+)"$`)

// article puts "a" or "an" before the name of a type.
func article(name string) string {
	if strings.ContainsRune("aeio", rune(name[0])) {
		return "an " + name
	}
	return "a " + name
}

// typeText says what is there, what belongs there, and what to do.
func typeText(wanted, found string) string {
	text := fmt.Sprintf("is %s, and has to be %s", article(found), article(wanted))
	switch {
	case wanted == "string" && (found == "number" || found == "integer" || found == "boolean"):
		text += ": put it into quotes"
	case found == "string" && (wanted == "integer" || wanted == "number" || wanted == "boolean"):
		text += ": write it without quotes"
	case wanted == "array":
		text += ": write it as a list, [...]"
	}
	return text
}

// message is the text of an error without the field.
func message(e *field.Error) string {
	if m := wrongType.FindStringSubmatch(e.ErrorBody()); m != nil && e.Type == field.ErrorTypeTypeInvalid {
		return typeText(m[1], m[2])
	}
	text := strings.TrimSuffix(e.ErrorBody(), ": ")
	// An object is of no use in a message, and may hold what is nobody's business.
	if _, isMap := e.BadValue.(map[string]any); isMap && e.Detail != "" {
		text = e.Type.String() + ": " + e.Detail
	}
	return text
}

// judgeMetadata judges the name, and what of the metadata is no metadata.
func judgeMetadata(object map[string]any) []Problem {
	meta, found, unknown, err := objectmeta.GetObjectMetaWithOptions(object, objectmeta.ObjectMetaOptions{ReturnUnknownFieldPaths: true})
	if err != nil {
		return []Problem{metadataProblem(err)}
	}
	var out []Problem
	for _, path := range unknown {
		out = append(out, Problem{Kind: UnknownField, Field: path, Message: "there is no such field of metadata"})
	}
	if !found {
		return append(out, Problem{Kind: Form, Field: "metadata", Message: "Required value: name the object in metadata.name"})
	}
	name := field.NewPath("metadata", "name")
	switch {
	case meta.Name == "" && meta.GenerateName == "":
		out = append(out, Problem{Kind: Form, Field: name.String(), Message: "Required value: name the object"})
	case meta.Name != "":
		for _, problem := range apivalidation.NameIsDNSSubdomain(meta.Name, false) {
			problem, _, _ = strings.Cut(problem, " (e.g.")
			out = append(out, Problem{Kind: Form, Field: name.String(), Message: message(field.Invalid(name, meta.Name, problem))})
		}
	}
	if meta.Namespace != "" {
		out = append(out, Problem{
			Kind: Form, Field: "metadata.namespace", Message: "Forbidden: a NetworkStack belongs to no namespace: remove it",
		})
	}
	return out
}

// unreadable is how the decoder of metadata reports a value of a wrong type.
var unreadable = regexp.MustCompile(`cannot unmarshal ([a-z]+) into Go (?:struct field ObjectMeta\.(\S+)|value) of type (\S+)$`)

func metadataProblem(err error) Problem {
	out := Problem{Kind: Form, Field: "metadata", Unreadable: true, Message: err.Error()}
	var e *field.Error
	if errors.As(err, &e) {
		out.Message = message(e)
	}
	if m := unreadable.FindStringSubmatch(err.Error()); m != nil {
		found := map[string]string{"bool": "boolean"}[m[1]]
		wanted := map[string]string{"bool": "boolean", "int64": "integer", "string": "string"}[m[3]]
		out.Message = typeText(cmp.Or(wanted, "mapping"), cmp.Or(found, m[1]))
		if m[2] != "" {
			out.Field = "metadata." + m[2]
		}
	}
	return out
}

// unknownFields are the paths of fields that the schema does not have.
func (d *definition) unknownFields(object map[string]any) []string {
	copied := runtime.DeepCopyJSON(object)
	return pruning.PruneWithOptions(copied, d.structural, true, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
}
