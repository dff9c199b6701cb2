package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
)

// Changes of settings, objects and fields.
const (
	added   = "added"
	removed = "removed"
	changed = "changed"
)

// fieldChange is a field of an object that is another one, or was not there, or is no more.
type fieldChange struct {
	Path   string `json:"path"`
	Change string `json:"change"`
	From   any    `json:"from,omitempty"`
	To     any    `json:"to,omitempty"`
}

// compareValues finds the fields in which two values differ, ordered by path. Items of lists that have names are held against those of
// the same name.
func compareValues(path string, from, to any) []fieldChange {
	switch a := from.(type) {
	case map[string]any:
		if b, ok := to.(map[string]any); ok {
			return compareMaps(path, a, b)
		}
	case []any:
		if b, ok := to.([]any); ok {
			return compareLists(path, a, b)
		}
	}
	if same(from, to) {
		return nil
	}
	return []fieldChange{{Path: path, Change: changed, From: from, To: to}}
}

// same compares values however their numbers were read.
func same(a, b any) bool {
	if reflect.DeepEqual(a, b) {
		return true
	}
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

func compareMaps(path string, from, to map[string]any) []fieldChange {
	var out []fieldChange
	keys := map[string]bool{}
	for k := range from {
		keys[k] = true
	}
	for k := range to {
		keys[k] = true
	}
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		out = append(out, compareEntries(path+fieldStep(k), from, to, k)...)
	}
	return out
}

func compareEntries(path string, from, to map[string]any, key string) []fieldChange {
	a, inA := from[key]
	b, inB := to[key]
	switch {
	case !inA:
		return []fieldChange{{Path: path, Change: added, To: b}}
	case !inB:
		return []fieldChange{{Path: path, Change: removed, From: a}}
	default:
		return compareValues(path, a, b)
	}
}

var plainKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// fieldStep is a step into a map: .name, or ["na.me"].
func fieldStep(key string) string {
	if plainKey.MatchString(key) {
		return "." + key
	}
	return "[" + strconv.Quote(key) + "]"
}

func compareLists(path string, from, to []any) []fieldChange {
	key := listKey(from, to)
	if key == "" {
		return compareByIndex(path, from, to)
	}
	a, b := map[string]any{}, map[string]any{}
	var order []string
	for _, list := range []struct {
		items []any
		into  map[string]any
	}{{from, a}, {to, b}} {
		for _, item := range list.items {
			name := itemName(item, key)
			if !slices.Contains(order, name) {
				order = append(order, name)
			}
			list.into[name] = item
		}
	}
	var out []fieldChange
	for _, name := range order {
		out = append(out, compareEntries(fmt.Sprintf("%s[%s=%s]", path, key, name), a, b, name)...)
	}
	if len(out) == 0 && len(from) == len(to) && !same(from, to) {
		return []fieldChange{{Path: path, Change: changed, From: names(from, key), To: names(to, key)}} // the order alone
	}
	return out
}

func names(items []any, key string) []any {
	out := make([]any, len(items))
	for i := range items {
		out[i] = itemName(items[i], key)
	}
	return out
}

func itemName(item any, key string) string {
	m, _ := item.(map[string]any)
	name, _ := m[key].(string)
	return name
}

// listKey is the field by which the items of two lists are told apart; empty when there is none.
func listKey(from, to []any) string {
	for _, key := range []string{"name", "mountPath", "key"} {
		if keyed(from, key) && keyed(to, key) && len(from)+len(to) > 0 {
			return key
		}
	}
	return ""
}

func keyed(list []any, key string) bool {
	seen := map[string]bool{}
	for _, item := range list {
		name := itemName(item, key)
		if name == "" || seen[name] {
			return false
		}
		seen[name] = true
	}
	return true
}

func compareByIndex(path string, from, to []any) []fieldChange {
	if !slices.ContainsFunc(slices.Concat(from, to), func(v any) bool { _, isMap := v.(map[string]any); return isMap }) {
		if same(from, to) {
			return nil
		}
		return []fieldChange{{Path: path, Change: changed, From: from, To: to}}
	}
	var out []fieldChange
	for i := range max(len(from), len(to)) {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case i >= len(from):
			out = append(out, fieldChange{Path: at, Change: added, To: to[i]})
		case i >= len(to):
			out = append(out, fieldChange{Path: at, Change: removed, From: from[i]})
		default:
			out = append(out, compareValues(at, from[i], to[i])...)
		}
	}
	return out
}

// text is a change of a field as people read it, in lines.
func (f fieldChange) text(p painter) []string {
	from, fromText := f.From.(string)
	to, toText := f.To.(string)
	if f.Change == changed && fromText && toText && strings.Contains(from+to, "\n") {
		return append([]string{f.Path + ":"}, lineDiff(from, to, p)...)
	}
	switch f.Change {
	case added:
		return []string{p.paint(green, "+ "+f.Path+": "+shortValue(f.To))}
	case removed:
		return []string{p.paint(red, "- "+f.Path+": "+shortValue(f.From))}
	default:
		return []string{f.Path + ": " + p.paint(red, shortValue(f.From)) + " -> " + p.paint(green, shortValue(f.To))}
	}
}

// lineDiff shows the lines that differ, without those around them.
func lineDiff(from, to string, p painter) []string {
	m := difflib.NewMatcher(difflib.SplitLines(from), difflib.SplitLines(to))
	a, b := difflib.SplitLines(from), difflib.SplitLines(to)
	var out []string
	for _, op := range m.GetOpCodes() {
		if op.Tag == 'e' {
			continue
		}
		for _, line := range a[op.I1:op.I2] {
			out = append(out, p.paint(red, "  - "+strings.TrimRight(line, "\n")))
		}
		for _, line := range b[op.J1:op.J2] {
			out = append(out, p.paint(green, "  + "+strings.TrimRight(line, "\n")))
		}
	}
	return out
}

// shortValue is a value in one line of bearable length.
func shortValue(v any) string {
	const longest = 160
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil {
		return fmt.Sprint(v)
	}
	text := []rune(strings.TrimSpace(b.String()))
	if len(text) > longest {
		return string(text[:longest]) + fmt.Sprintf("... (%d characters)", len(text))
	}
	return string(text)
}
