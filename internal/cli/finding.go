package cli

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"k8s.io/cli-runtime/pkg/printers"

	"github.com/networkstack/networkstack/internal/compose"
)

// Severities of findings.
const (
	severityError   = "error"
	severityWarning = "warning"
)

// finding is one thing that is wrong with a file, or remarkable, as programs read it.
type finding struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
	// Document is the number of the document in the file, from 1.
	Document int `json:"document"`
	// Name of the NetworkStack; empty for what is none.
	Name     string `json:"name,omitempty"`
	Severity string `json:"severity"`
	Rule     string `json:"rule"`
	// Field is empty for what is wrong with the text.
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
	Remedy  string `json:"remedy"`
}

// Rules of the text and of the definition, which come before those of the composition.
const (
	ruleSyntax    = "YAML-SYNTAX"
	ruleDuplicate = "YAML-DUPLICATE-KEY"
	ruleKind      = "SCHEMA-KIND"
	ruleUnknown   = "SCHEMA-UNKNOWN-FIELD"
	ruleForm      = "SCHEMA-FORM"
	ruleCEL       = "SCHEMA-RULE"
)

const areaFile compose.Area = "The file"

// fileRules are those of the text and of the definition.
var fileRules = []compose.Rule{
	{
		ID: ruleSyntax, Area: areaFile, Severity: compose.Refused, When: "The text is no YAML, or no object.",
		Remedy: "Correct the text at the line that is named, or shortly before it.", Source: "kubectl and the API server read nothing of such a document.",
	},
	{
		ID: ruleDuplicate, Area: areaFile, Severity: compose.Refused, When: "A key is in one mapping twice.",
		Remedy: "Keep one of the two.", Source: "YAML wants keys once; programs that do not mind take the last one, and the other is lost without a word.",
	},
	{
		ID: ruleKind, Area: areaFile, Severity: compose.Refused, APIServer: true,
		When:   "The kind or the version of an object of networkstack.io is none that there is.",
		Remedy: "Write apiVersion: networkstack.io/v1alpha1 and kind: NetworkStack.", Source: "The operator's API.",
	},
	{
		ID: ruleUnknown, Area: areaFile, Severity: compose.Refused, APIServer: true, When: "There is no field of this name.",
		Remedy: "Correct the name, or move the field to where it belongs; docs/api.md has all fields.",
		Source: "The definition's schema. kubectl refuses such fields; others have the API server drop them without a word.",
	},
	{
		ID: ruleForm, Area: areaFile, Severity: compose.Refused, APIServer: true,
		When:   "A value has not the type or the form that the field has, or a field that must be there is missing.",
		Remedy: "Write what the message asks for; docs/api.md has the type of every field.", Source: "The definition's schema.",
	},
	{
		ID: ruleCEL, Area: areaFile, Severity: compose.Refused, APIServer: true, When: "A CEL rule of the definition does not hold.",
		Remedy: "Do what the message says.", Source: "The definition's x-kubernetes-validations.",
	},
}

// rules are all that a finding may cite.
func rules() []compose.Rule { return slices.Concat(fileRules, compose.Rules()) }

// remedy is what the rule says to do.
func remedy(id string) string {
	all := rules()
	if i := slices.IndexFunc(all, func(r compose.Rule) bool { return r.ID == id }); i >= 0 {
		return all[i].Remedy
	}
	return ""
}

func sortFindings(list []finding) {
	slices.SortStableFunc(list, func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.Document, b.Document), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Severity, b.Severity))
	})
}

func count(list []finding, severity string) int {
	n := 0
	for i := range list {
		if list[i].Severity == severity {
			n++
		}
	}
	return n
}

// text is a finding in one line, as compilers write theirs, so that editors find the place.
func (f finding) text(p painter) string {
	color := red
	if f.Severity == severityWarning {
		color = yellow
	}
	message := f.Message
	if f.Field != "" {
		message = p.paint(bold, f.Field) + ": " + message
	}
	return fmt.Sprintf("%s:%d:%d: %s %s %s", f.File, f.Line, f.Column, p.paint(color, f.Severity+":"), message, p.paint(faint, "["+f.Rule+"]"))
}

// findingTable prints findings in columns.
func findingTable(out io.Writer, list []finding) error {
	w := printers.GetNewTabWriter(out)
	fmt.Fprintln(w, "PLACE\tSEVERITY\tRULE\tFIELD\tMESSAGE")
	for _, f := range list {
		fmt.Fprintf(w, "%s:%d\t%s\t%s\t%s\t%s\n", f.File, f.Line, f.Severity, f.Rule, cmp.Or(f.Field, "<none>"),
			strings.ReplaceAll(f.Message, "\n", " "))
	}
	return w.Flush()
}

// plural is "1 error" or "2 errors".
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
