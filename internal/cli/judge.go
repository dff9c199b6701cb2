package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/schema"
)

const stackKind = "NetworkStack"

// class is what a document is to these commands.
type class int

const (
	// other is a document of somebody else's, which is passed over.
	other class = iota
	// stackDocument is a NetworkStack, or is meant to be one.
	stackDocument
	// unreadable is no YAML, so that nobody knows what it is.
	unreadable
)

// kindOf says what a document is, and what is wrong with its kind.
func kindOf(d *located) (class, string) {
	if d.Object == nil {
		return unreadable, ""
	}
	kind, _ := d.Object["kind"].(string)
	version, _ := d.Object["apiVersion"].(string)
	group, _, _ := strings.Cut(version, "/")
	wanted := networkstackv1alpha1.GroupVersion.String()
	spec, _ := d.Object["spec"].(map[string]any)
	switch _, hasCNI := spec["cni"].(map[string]any); {
	case group == networkstackv1alpha1.GroupVersion.Group && kind == "NetworkComponent":
		return other, ""
	case kind == stackKind && version == wanted:
		return stackDocument, ""
	case kind == stackKind && group == networkstackv1alpha1.GroupVersion.Group:
		return stackDocument, fmt.Sprintf("there is no version %q of NetworkStacks: write apiVersion: %s", version, wanted)
	case kind == stackKind && version == "":
		return stackDocument, "has no apiVersion: write apiVersion: " + wanted
	case kind == stackKind || kind != "" && group != networkstackv1alpha1.GroupVersion.Group:
		return other, "" // of another group
	case kind == "" && (group == networkstackv1alpha1.GroupVersion.Group || version == "" && hasCNI):
		return stackDocument, "has no kind: write kind: NetworkStack"
	case group == networkstackv1alpha1.GroupVersion.Group:
		return stackDocument, fmt.Sprintf("there is no kind %q in %s: write kind: NetworkStack", kind, group)
	default:
		return other, ""
	}
}

// described names a document that is passed over.
func described(d *located) string {
	kind, _ := d.Object["kind"].(string)
	if kind == "" {
		return "an object without a kind"
	}
	meta, _ := d.Object["metadata"].(map[string]any)
	if name, _ := meta["name"].(string); name != "" {
		return kind + " " + name
	}
	return kind
}

// at makes a finding about a field of a document.
func at(d *located, severity, rule, field, message string) finding {
	place := d.Place(field)
	return finding{
		File: d.file, Line: place.Line, Column: place.Column, Document: d.number, Name: nameOf(d),
		Severity: severity, Rule: rule, Field: field, Message: message, Remedy: remedy(rule),
	}
}

func nameOf(d *located) string {
	meta, _ := d.Object["metadata"].(map[string]any)
	name, _ := meta["name"].(string)
	return name
}

// textFindings are what is wrong with a document as a text.
func textFindings(d *located) []finding {
	var out []finding
	for _, p := range d.Problems {
		f := at(d, severityError, ruleSyntax, "", p.Message)
		if p.Field != "" {
			f.Rule, f.Field = ruleDuplicate, p.Field
			f.Remedy = remedy(ruleDuplicate)
		}
		f.Line, f.Column = p.Line, p.Column
		out = append(out, f)
	}
	return out
}

// schemaRules are the rules that problems of the definition are reported by.
var schemaRules = map[schema.Kind]string{schema.UnknownField: ruleUnknown, schema.Form: ruleForm, schema.Rule: ruleCEL}

// judgement is what there is to say of one NetworkStack.
type judgement struct {
	document *located
	findings []finding
	// stack is nil when it cannot be read.
	stack *networkstackv1alpha1.NetworkStack
	// result is what it comes to; nil when no facts are known, or the stack cannot be read.
	result *compose.Result
	// half says that only the text and the definition were judged: values of wrong types keep the rest from being read.
	half bool
}

// judge gives every finding of a document that is a NetworkStack. Without facts, in.Facts is nil. With an old object, it is judged as
// a change of that one.
func judge(ctx context.Context, d *located, in compose.Input, old map[string]any) (judgement, error) {
	out := judgement{document: d, findings: textFindings(d)}
	_, wrong := kindOf(d)
	object := d.Object
	if wrong != "" {
		field := "kind"
		if strings.Contains(wrong, "apiVersion") {
			field = "apiVersion"
		}
		out.findings = append(out.findings, at(d, severityError, ruleKind, field, wrong))
		object = cloned(object)
		object["apiVersion"], object["kind"] = networkstackv1alpha1.GroupVersion.String(), stackKind
	}
	problems, err := schema.Judge(ctx, object, old)
	if err != nil {
		return out, err
	}
	data, err := json.Marshal(object)
	if err != nil {
		return out, err
	}
	var stack networkstackv1alpha1.NetworkStack
	readErr := json.Unmarshal(data, &stack)
	var found, remarks []compose.Finding
	out.half = readErr != nil || slices.ContainsFunc(problems, func(p schema.Problem) bool { return p.Unreadable })
	if !out.half {
		out.stack = &stack
		in.Stack = &stack
		if in.Facts == nil {
			found, remarks = compose.ValidateObject(&stack)
		} else {
			result := compose.Compose(in)
			out.result = &result
			found, remarks = result.Errors, result.Warnings
		}
	}
	for _, p := range problems {
		if p.Kind == schema.UnknownField || !covered(p, found) {
			out.findings = append(out.findings, at(d, severityError, schemaRules[p.Kind], p.Field, p.Message))
		}
	}
	if readErr != nil && len(problems) == 0 {
		out.findings = append(out.findings, at(d, severityError, ruleForm, "", readErr.Error()))
	}
	for _, f := range found {
		out.findings = append(out.findings, at(d, severityError, f.Rule, f.Field, f.Message))
	}
	for _, f := range remarks {
		out.findings = append(out.findings, at(d, severityWarning, f.Rule, f.Field, f.Message))
	}
	sortFindings(out.findings)
	return out, nil
}

// covered says that a rule of the operator's speaks of what the definition refuses, and says more.
func covered(p schema.Problem, found []compose.Finding) bool {
	return slices.ContainsFunc(found, func(f compose.Finding) bool {
		rest, below := strings.CutPrefix(f.Field, p.Field)
		return apiServerRules()[f.Rule] && below && (rest == "" || rest[0] == '.' || rest[0] == '[' || p.Field == "")
	})
}

// apiServerRules are those that the definition has too.
func apiServerRules() map[string]bool {
	out := map[string]bool{}
	for _, r := range compose.Rules() {
		out[r.ID] = r.APIServer
	}
	return out
}

func cloned(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}
