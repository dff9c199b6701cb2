// Package ignore says which fields of which objects others may change: paths into objects as they are shown to
// users, and rules made of them.
package ignore

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Path is a way into an object. It is written as
//
//	.spec.template.spec.containers[name="agent"].env[name="MTU"].value
//	.data["net-conf.json"]
//	.webhooks[*].clientConfig.caBundle
//
// Elements of keyed lists are named by their keys, elements of sets by their value ([="x"]), elements of other lists by
// their index ([0]). In a pattern, .* stands for any field and [*] for any element.
type Path []Step

// Step is one step of a Path: ".name" for a field, "[…]" for an element of a list, in canonical spelling.
type Step string

const (
	anyField   Step = ".*"
	anyElement Step = "[*]"
)

func (s Step) isField() bool { return strings.HasPrefix(string(s), ".") }

// plainName matches names of fields that need no quotes.
var plainName = regexp.MustCompile(`^[A-Za-z0-9_$-]+$`)

// String spells the path so that Parse reads it back.
func (p Path) String() string {
	if len(p) == 0 {
		return "."
	}
	var b strings.Builder
	for _, s := range p {
		name, field := strings.CutPrefix(string(s), ".")
		if !field || s == anyField || plainName.MatchString(name) {
			b.WriteString(string(s))
			continue
		}
		b.WriteString("[" + quote(name) + "]")
	}
	return b.String()
}

// quote is a JSON string, without escapes for HTML.
func quote(v any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil {
		return strconv.Quote(fmt.Sprint(v))
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// FromFieldPath is the Path of a path in managed fields.
func FromFieldPath(in fieldpath.Path) Path {
	out := make(Path, 0, len(in))
	for _, e := range in {
		out = append(out, fromElement(e))
	}
	return out
}

func fromElement(e fieldpath.PathElement) Step {
	switch {
	case e.FieldName != nil:
		return Step("." + *e.FieldName)
	case e.Key != nil:
		keys := make([]string, 0, len(*e.Key))
		for _, k := range *e.Key {
			keys = append(keys, k.Name+"="+quote(k.Value.Unstructured()))
		}
		return keyStep(keys)
	case e.Value != nil:
		return Step("[=" + quote((*e.Value).Unstructured()) + "]")
	case e.Index != nil:
		return Step("[" + strconv.Itoa(*e.Index) + "]")
	}
	return anyElement
}

func keyStep(keys []string) Step {
	slices.Sort(keys)
	return Step("[" + strings.Join(keys, ",") + "]")
}

// Covers says whether p, as a pattern, names the path or something that holds it.
func (p Path) Covers(path Path) bool {
	if len(p) > len(path) {
		return false
	}
	for i, s := range p {
		switch {
		case s == path[i]:
		case s == anyField && path[i].isField():
		case s == anyElement && !path[i].isField():
		default:
			return false
		}
	}
	return true
}

// Parse reads a path or pattern.
func Parse(text string) (Path, error) {
	if text == "" || text[0] != '.' && text[0] != '[' {
		return nil, fmt.Errorf("%q does not start with a dot: write it as .spec.replicas or .data[\"my.key\"]", text)
	}
	var out Path
	for rest := text; rest != "" && rest != "."; {
		step, left, err := next(rest)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", text, err)
		}
		out, rest = append(out, step), left
	}
	return out, nil
}

func next(text string) (Step, string, error) {
	if text[0] == '.' {
		name := text[1:]
		if n := strings.IndexAny(name, ".["); n >= 0 {
			name = name[:n]
		}
		switch {
		case name == "" && strings.HasPrefix(text, ".["):
			return next(text[1:])
		case name == "*":
			return anyField, text[2:], nil
		case !plainName.MatchString(name):
			return "", "", fmt.Errorf("%q is not the name of a field: put it into [\"…\"]", name)
		}
		return Step("." + name), text[1+len(name):], nil
	}
	if text[0] != '[' {
		return "", "", fmt.Errorf("a dot or a bracket is missing before %q", text)
	}
	body, rest, err := bracket(text)
	if err != nil {
		return "", "", err
	}
	step, err := element(body)
	return step, rest, err
}

// bracket cuts text at the bracket that closes its first one, taking no notice of brackets in quotes.
func bracket(text string) (body, rest string, err error) {
	quoted, escaped := false, false
	for i, r := range text {
		switch {
		case escaped:
			escaped = false
		case quoted && r == '\\':
			escaped = true
		case r == '"':
			quoted = !quoted
		case r == ']' && !quoted:
			return text[1:i], text[i+1:], nil
		}
	}
	return "", "", fmt.Errorf("a bracket is not closed")
}

// element reads what is between brackets.
func element(body string) (Step, error) {
	if body == "*" {
		return anyElement, nil
	}
	if n, err := strconv.Atoi(body); err == nil && n >= 0 {
		return Step("[" + strconv.Itoa(n) + "]"), nil
	}
	if strings.HasPrefix(body, `"`) {
		var name string
		if err := json.Unmarshal([]byte(body), &name); err != nil || name == "" {
			return "", fmt.Errorf("[%s] is not a quoted name", body)
		}
		return Step("." + name), nil
	}
	if v, ok := strings.CutPrefix(body, "="); ok {
		literal, err := canonicalLiteral(v)
		if err != nil {
			return "", fmt.Errorf("[%s]: %w", body, err)
		}
		return Step("[=" + literal + "]"), nil
	}
	return keyElement(body)
}

// keyElement reads key=value pairs, values being JSON.
func keyElement(body string) (Step, error) {
	var keys []string
	for rest := body; ; {
		name, after, ok := strings.Cut(rest, "=")
		if !ok || !plainName.MatchString(name) {
			return "", fmt.Errorf(`[%s] names no element: write [name="x"], [0], [="x"], [*], or ["key"]`, body)
		}
		dec := json.NewDecoder(strings.NewReader(after))
		dec.UseNumber()
		var v any
		if err := dec.Decode(&v); err != nil {
			return "", fmt.Errorf("[%s]: the value of %s is not JSON: put text into quotes", body, name)
		}
		keys = append(keys, name+"="+quote(v))
		rest = after[dec.InputOffset():]
		if rest == "" {
			return keyStep(keys), nil
		}
		if rest, ok = strings.CutPrefix(rest, ","); !ok {
			return "", fmt.Errorf("[%s]: a comma is missing before %q", body, rest)
		}
	}
}

func canonicalLiteral(text string) (string, error) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil || int(dec.InputOffset()) != len(text) {
		return "", fmt.Errorf("%s is not JSON: put text into quotes", text)
	}
	return quote(v), nil
}
