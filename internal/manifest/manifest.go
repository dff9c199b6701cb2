// Package manifest reads YAML documents and knows where in the text each field stands.
package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	yaml3 "go.yaml.in/yaml/v3"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

// MaxSize is how long a file may be. The API server takes no object beyond 3 MiB.
const MaxSize = 8 << 20

// Problem is what is wrong with a text, so that it is no YAML document as it is meant.
type Problem struct {
	Line, Column int
	// Field is the path of what is there twice; empty for text that is no YAML.
	Field   string
	Message string
}

// Document is one object of a file.
type Document struct {
	// Line is where it begins, counted from 1.
	Line int
	// Object is what it says; nil when it cannot be read.
	Object map[string]any
	// Problems are what is wrong with it as a text.
	Problems []Problem

	root *yaml3.Node
	// above is the number of lines before the text that root was read from.
	above int
}

// Place is a position in a file, counted from 1.
type Place struct{ Line, Column int }

// sizeError says that a text is longer than one that is read.
type sizeError struct{}

func (sizeError) Error() string {
	return fmt.Sprintf("is longer than %d MiB, which no file of NetworkStacks is", MaxSize>>20)
}

// Read takes a text apart. The error says that it cannot be read at all, or is no text.
func Read(r io.Reader) ([]Document, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxSize {
		return nil, sizeError{}
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
		return nil, fmt.Errorf("is no text in UTF-8")
	}
	var out []Document
	for _, c := range split(data) {
		out = append(out, c.documents()...)
	}
	return out, nil
}

// chunk is the text of one document.
type chunk struct {
	above int
	text  []byte
}

// split cuts a text where documents begin. A document that is no YAML so spoils no other.
func split(data []byte) []chunk {
	var out []chunk
	var current chunk
	n := 0
	for line := range bytes.Lines(data) {
		if begins(line) {
			out = append(out, current)
			current = chunk{above: n}
		}
		current.text = append(current.text, line...)
		n++
	}
	return append(out, current)
}

func begins(line []byte) bool {
	rest, ok := bytes.CutPrefix(bytes.TrimRight(line, "\r\n"), []byte("---"))
	return ok && (len(rest) == 0 || rest[0] == ' ' || rest[0] == '\t')
}

// empty says that there is nothing in it but comments, directives and marks.
func (c chunk) empty() bool {
	for line := range bytes.Lines(c.text) {
		text := strings.TrimSpace(string(line))
		if begins(line) {
			text = strings.TrimSpace(strings.TrimPrefix(text, "---"))
		}
		if text != "" && text != "..." && text[0] != '#' && text[0] != '%' {
			return false
		}
	}
	return true
}

func (c chunk) documents() []Document {
	if c.empty() {
		return nil
	}
	doc := Document{Line: c.firstLine(), above: c.above}
	var node yaml3.Node
	decoder := yaml3.NewDecoder(bytes.NewReader(c.text))
	if err := decoder.Decode(&node); err != nil {
		doc.Problems = []Problem{c.syntax(err, doc.Line)}
		return []Document{doc}
	}
	var second yaml3.Node
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		p := Problem{Line: c.above + second.Line, Column: 1}
		if err != nil {
			p = c.syntax(err, doc.Line)
		}
		p.Message = "another document begins after this one without ---: put it between the two"
		doc.Problems = append(doc.Problems, p)
	}
	doc.root = content(&node)
	doc.duplicates(doc.root, "", 0)
	// The values are read as kubectl does, for which on is a boolean, and 010 is 8.
	data, err := yaml.YAMLToJSON(c.text)
	if err != nil {
		doc.Problems = append(doc.Problems, c.syntax(err, doc.Line))
		return []Document{doc}
	}
	var value any
	if err := utiljson.Unmarshal(data, &value); err != nil {
		doc.Problems = append(doc.Problems, Problem{Line: doc.Line, Column: 1, Message: err.Error()})
		return []Document{doc}
	}
	object, ok := value.(map[string]any)
	if !ok {
		doc.Problems = append(doc.Problems, Problem{
			Line: doc.Line, Column: 1, Message: "holds no object: an object begins with apiVersion and kind",
		})
		return []Document{doc}
	}
	doc.Object = object
	return doc.items()
}

func (c chunk) firstLine() int {
	n := c.above
	for line := range bytes.Lines(c.text) {
		n++
		if text := strings.TrimSpace(string(line)); text != "" && text[0] != '#' && !begins(line) {
			return n
		}
	}
	return c.above + 1
}

// yamlLine is how the parsers say where something is wrong.
var yamlLine = regexp.MustCompile(`(?s)^(?:error converting YAML to JSON: )?yaml: (?:unmarshal errors:\s*)?(?:line (\d+): )?(.*)$`)

func (c chunk) syntax(err error, line int) Problem {
	out := Problem{Line: line, Column: 1, Message: err.Error()}
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			out.Line = c.above + n
		}
		out.Message = m[2]
	}
	for n, text := range c.lines() {
		indent := text[:len(text)-len(strings.TrimLeft(text, " \t"))]
		if c.above+n >= out.Line-1 && c.above+n <= out.Line+1 && strings.Contains(indent, "\t") {
			out.Line, out.Message = c.above+n, "indentation has a tab: YAML is indented with spaces"
		}
	}
	return out
}

// lines are the lines of a chunk, counted from 1.
func (c chunk) lines() func(func(int, string) bool) {
	return func(yield func(int, string) bool) {
		n := 0
		for line := range bytes.Lines(c.text) {
			n++
			if !yield(n, string(line)) {
				return
			}
		}
	}
}

// items takes a List apart, as kubectl does.
func (d Document) items() []Document {
	kind, _ := d.Object["kind"].(string)
	items, ok := d.Object["items"].([]any)
	if !ok || !strings.HasSuffix(kind, "List") {
		return []Document{d}
	}
	_, node := entry(d.root, "items")
	out := []Document{}
	for i, item := range items {
		object, ok := item.(map[string]any)
		if !ok || node == nil || node.Kind != yaml3.SequenceNode || i >= len(node.Content) {
			continue
		}
		one := Document{Line: d.above + node.Content[i].Line, Object: object, root: resolve(node.Content[i]), above: d.above}
		prefix := fmt.Sprintf("items[%d]", i)
		for _, p := range d.Problems {
			if rest, ok := strings.CutPrefix(p.Field, prefix+"."); ok {
				p.Field = rest
				one.Problems = append(one.Problems, p)
			}
		}
		out = append(out, one)
	}
	return out
}
