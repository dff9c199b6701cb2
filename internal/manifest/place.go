package manifest

import (
	"fmt"
	"strconv"
	"strings"

	yaml3 "go.yaml.in/yaml/v3"
)

// Place finds a field by its path, such as spec.ipPools[0].cidrs. Where it is left out, it is the place of what it would be in.
func (d *Document) Place(path string) Place {
	at := d.root
	place := Place{Line: d.Line, Column: 1}
	for node := d.root; node != nil && path != ""; {
		key, value, rest := next(node, path)
		if value == nil {
			break
		}
		at, node, path = key, resolve(value), rest
	}
	if at != nil && at != d.root {
		place = Place{Line: d.above + at.Line, Column: at.Column}
	}
	return place
}

// next takes one step of a path: the node that shows where, that of the value, and the rest of the path.
func next(node *yaml3.Node, path string) (key, value *yaml3.Node, rest string) {
	path = strings.TrimPrefix(path, ".")
	if inner, after, ok := bracket(path); ok {
		if n, err := strconv.Atoi(inner); err == nil && node.Kind == yaml3.SequenceNode && n >= 0 && n < len(node.Content) {
			return node.Content[n], node.Content[n], after
		}
		key, value = entry(node, inner)
		return key, value, after
	}
	if node.Kind != yaml3.MappingNode {
		return nil, nil, ""
	}
	// Keys may have dots themselves: the longest one that fits is meant.
	for i := 0; i+1 < len(node.Content); i += 2 {
		k := node.Content[i]
		after, ok := strings.CutPrefix(path, k.Value)
		fits := ok && (after == "" || after[0] == '.' || after[0] == '[')
		if fits && (key == nil || len(k.Value) > len(key.Value)) {
			key, value, rest = k, node.Content[i+1], after
		}
	}
	return key, value, rest
}

func bracket(path string) (inner, after string, ok bool) {
	if !strings.HasPrefix(path, "[") {
		return "", "", false
	}
	inner, after, ok = strings.Cut(path[1:], "]")
	return inner, after, ok
}

// entry finds a key of a mapping.
func entry(node *yaml3.Node, name string) (key, value *yaml3.Node) {
	if node == nil || node.Kind != yaml3.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == name {
			return node.Content[i], resolve(node.Content[i+1])
		}
	}
	return nil, nil
}

// content is what a document node holds.
func content(node *yaml3.Node) *yaml3.Node {
	if node.Kind == yaml3.DocumentNode && len(node.Content) > 0 {
		return resolve(node.Content[0])
	}
	return resolve(node)
}

// resolve follows an alias to what it stands for.
func resolve(node *yaml3.Node) *yaml3.Node {
	if node != nil && node.Kind == yaml3.AliasNode {
		return node.Alias
	}
	return node
}

// deepest is how deep a document may be nested; the text is from anybody.
const deepest = 200

// duplicates finds keys that are there twice: all but the last would silently be lost.
func (d *Document) duplicates(node *yaml3.Node, path string, depth int) {
	if node == nil || depth > deepest {
		return
	}
	switch node.Kind { //nolint:exhaustive // scalars have no keys, and what an alias stands for is gone through where it is
	case yaml3.MappingNode:
		first := map[string]int{}
		for i := 0; i+1 < len(node.Content); i += 2 {
			key := node.Content[i]
			at := strings.TrimPrefix(path+"."+key.Value, ".")
			if line, twice := first[key.Value]; twice && key.Tag != "!!merge" {
				d.Problems = append(d.Problems, Problem{
					Line: d.above + key.Line, Column: key.Column, Field: at,
					Message: fmt.Sprintf("is there twice, in line %d too: keep one of them", d.above+line),
				})
			} else {
				first[key.Value] = key.Line
			}
			d.duplicates(node.Content[i+1], at, depth+1)
		}
	case yaml3.SequenceNode:
		for i, item := range node.Content {
			d.duplicates(item, fmt.Sprintf("%s[%d]", path, i), depth+1)
		}
	}
}

// Value is what stands at a path; false where nothing does.
func (d *Document) Value(path string) (any, bool) {
	node := d.root
	for path != "" {
		if node == nil {
			return nil, false
		}
		_, value, rest := next(node, path)
		if value == nil {
			return nil, false
		}
		node, path = resolve(value), rest
	}
	var out any
	if node == nil || node.Decode(&out) != nil {
		return nil, false
	}
	return out, true
}
