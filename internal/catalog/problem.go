package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Problem is one thing that is wrong with a file of the catalogue.
type Problem struct {
	// File is the file's name, or the key of a ConfigMap.
	File string
	// Line in it; 0 when it is about the whole.
	Line int
	// Message says what is wrong and what to do.
	Message string
}

// String is "cilium.yaml, line 4: …".
func (p Problem) String() string {
	if p.Line == 0 {
		return p.File + ": " + p.Message
	}
	return fmt.Sprintf("%s, line %d: %s", p.File, p.Line, p.Message)
}

// Problems are all that is wrong.
type Problems []Problem

// Error has one problem a line.
func (p Problems) Error() string {
	out := make([]string, len(p))
	for i := range p {
		out[i] = p[i].String()
	}
	return strings.Join(out, "\n")
}

// orNil is an error only when there is a problem.
func (p Problems) orNil() error {
	if len(p) == 0 {
		return nil
	}
	return p
}

// document is a file that was read: where its fields are, and what is wrong with it.
type document struct {
	file     string
	root     *yaml.Node
	problems Problems
}

// decode reads one YAML document strictly. Whatever is wrong with its form is among the problems of the result.
func decode(file string, raw []byte, into any) *document {
	d := &document{file: file}
	decoder := yaml.NewDecoder(strings.NewReader(string(raw)))
	decoder.KnownFields(true)
	err := decoder.Decode(into)
	var types *yaml.TypeError
	switch {
	case errors.Is(err, io.EOF):
		d.add("is empty: remove it, or fill it in")
		return d
	case errors.As(err, &types):
		for _, text := range types.Errors {
			d.addYAML(text)
		}
	case err != nil:
		d.addYAML(err.Error())
		return d
	}
	if err := decoder.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		d.add("has more than one document: give each a file of its own")
	}
	var root yaml.Node
	if yaml.Unmarshal(raw, &root) == nil && len(root.Content) > 0 {
		d.root = root.Content[0]
	}
	return d
}

var unknownField = regexp.MustCompile(`field (\S+) not found in type \S+`)

// addYAML takes the line out of what the parser says.
func (d *document) addYAML(text string) {
	text = strings.TrimPrefix(text, "yaml: ")
	p := Problem{File: d.file, Message: text + ": correct it"}
	if _, err := fmt.Sscanf(text, "line %d: ", &p.Line); err == nil {
		_, text, _ = strings.Cut(text, ": ")
		p.Message = text + ": correct it"
	}
	if m := unknownField.FindStringSubmatch(text); m != nil {
		p.Message = fmt.Sprintf("unknown field %s: remove it, or correct its name", m[1])
	}
	d.problems = append(d.problems, p)
}

// add notes what is wrong with the whole file.
func (d *document) add(format string, args ...any) {
	d.problems = append(d.problems, Problem{File: d.file, Message: fmt.Sprintf(format, args...)})
}

// at notes what is wrong with a field, found by keys and indices from the top.
func (d *document) at(path []any, format string, args ...any) {
	d.problems = append(d.problems, Problem{File: d.file, Line: d.line(path), Message: fmt.Sprintf(format, args...)})
}

// line of a field, or of the nearest one above it.
func (d *document) line(path []any) int {
	node, line := d.root, 0
	for _, step := range path {
		if node == nil {
			break
		}
		var next *yaml.Node
		switch step := step.(type) {
		case string:
			for i := 0; node.Kind == yaml.MappingNode && i+1 < len(node.Content); i += 2 {
				if node.Content[i].Value == step {
					next, line = node.Content[i+1], node.Content[i].Line
				}
			}
		case int:
			if node.Kind == yaml.SequenceNode && step < len(node.Content) {
				next = node.Content[step]
				line = next.Line
			}
		}
		node = next
	}
	return line
}

// sorted by file and line.
func (p Problems) sorted() Problems {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return p
}
