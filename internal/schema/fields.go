package schema

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
)

// unknown says of a field that there is none of this name, and which one may be meant.
func (d *definition) unknown(path string) string {
	parent, name := "", path
	if i := strings.LastIndex(path, "."); i >= 0 {
		parent, name = path[:i], path[i+1:]
	}
	s := d.at(parent)
	if s == nil {
		return "there is no such field"
	}
	names := slices.Sorted(maps.Keys(s.Properties))
	if parent == "" {
		names = append(names, "apiVersion", "kind", "metadata")
	}
	if meant := closest(name, names); meant != "" {
		return fmt.Sprintf("there is no such field: is %s meant?", meant)
	}
	if elsewhere := d.elsewhere(name); len(elsewhere) > 0 {
		return "there is no such field here: there is " + strings.Join(elsewhere, " and ")
	}
	if len(names) == 0 {
		return "there is no such field"
	}
	return "there is no such field: there are " + strings.Join(names, ", ")
}

// at is the schema of what is at a path, such as spec.ipPools[0]; nil where there is none.
func (d *definition) at(path string) *structuralschema.Structural {
	s := d.structural
	for _, step := range strings.FieldsFunc(path, func(c rune) bool { return c == '.' || c == '[' }) {
		if s == nil {
			return nil
		}
		if strings.HasSuffix(step, "]") {
			if s.Items != nil {
				s = s.Items
				continue
			}
			if s.AdditionalProperties != nil {
				s = s.AdditionalProperties.Structural
				continue
			}
			return nil
		}
		next, ok := s.Properties[step]
		if !ok {
			return nil
		}
		s = &next
	}
	return s
}

// elsewhere are the paths of a field of this name, at most two levels below the spec; none when there are many.
func (d *definition) elsewhere(name string) []string {
	const most = 2
	var out []string
	spec := d.structural.Properties["spec"]
	if _, ok := spec.Properties[name]; ok {
		out = append(out, "spec."+name)
	}
	for _, block := range slices.Sorted(maps.Keys(spec.Properties)) {
		if _, ok := spec.Properties[block].Properties[name]; ok {
			out = append(out, "spec."+block+"."+name)
		}
	}
	if len(out) > most {
		return nil
	}
	return out
}

// closest is the name that somebody who wrote another one probably meant; empty when none is near.
func closest(name string, names []string) string {
	best, distance := "", len(name)/3+1
	for _, n := range names {
		if strings.EqualFold(n, name) {
			return n
		}
		if d := edits(strings.ToLower(name), strings.ToLower(n)); d <= distance && (best == "" || d < distance) {
			best, distance = n, d
		}
	}
	return best
}

// edits is how many letters have to be put in, left out, changed, or swapped with their neighbour to make b of a.
func edits(a, b string) int {
	x, y := []rune(a), []rune(b)
	rows := make([][]int, len(x)+1)
	for i := range rows {
		rows[i] = make([]int, len(y)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(x); i++ {
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(x)][len(y)]
}
