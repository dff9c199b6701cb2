package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	kjson "sigs.k8s.io/json"

	"github.com/networkstack/networkstack/internal/facts"
)

// readFacts reads a file of facts: a facts.Snapshot, as kubectl networkstack facts writes it.
func (a *app) readFacts(file string) (*facts.Snapshot, error) {
	documents, err := a.read(file)
	if err != nil {
		return nil, err
	}
	switch {
	case len(documents) == 0:
		return nil, fmt.Errorf("%s: is empty, and is to hold the facts of a cluster", shown(file))
	case len(documents) > 1:
		return nil, fmt.Errorf("%s: holds %d documents, and is to hold the facts of one cluster", shown(file), len(documents))
	}
	d := &documents[0]
	var problems []string
	say := func(field, message string, place func(string) (int, int)) {
		line, column := place(field)
		problems = append(problems, fmt.Sprintf("%s:%d:%d: %s", d.file, line, column, strings.TrimPrefix(field+": "+message, ": ")))
	}
	where := func(field string) (int, int) { p := d.Place(field); return p.Line, p.Column }
	for _, p := range d.Problems {
		say(p.Field, p.Message, func(string) (int, int) { return p.Line, p.Column })
	}
	if kind, _ := d.Object["kind"].(string); kind != "" {
		return nil, fmt.Errorf("%s: holds a %s, and is to hold the facts of a cluster: %s facts writes them", shown(file), kind, a.display)
	}
	var out facts.Snapshot
	if len(problems) == 0 {
		for _, err := range decodeStrict(d.Object, &out) {
			field, message := factsProblem(err)
			if field == "" {
				field = strings.Join(culprits(d.Object), ", ")
			}
			say(field, message, where)
		}
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("the facts cannot be read:\n%s", strings.Join(problems, "\n"))
	}
	return &out, nil
}

// decodeStrict reads an object into a struct whose fields it must not go beyond.
func decodeStrict(object map[string]any, into any) []error {
	data, err := json.Marshal(object)
	if err != nil {
		return []error{err}
	}
	strict, err := kjson.UnmarshalStrict(data, into)
	if err != nil {
		return []error{err}
	}
	return strict
}

// culprits are the fields of an object that cannot be read, for errors that name none.
func culprits(object map[string]any) []string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(object)) {
		var s facts.Snapshot
		data, err := json.Marshal(map[string]any{key: object[key]})
		if err == nil && json.Unmarshal(data, &s) != nil {
			out = append(out, key)
		}
	}
	return out
}

var unknownFact = regexp.MustCompile(`^unknown field "(.*)"$`)

func factsProblem(err error) (field, message string) {
	var kind *json.UnmarshalTypeError
	switch m := unknownFact.FindStringSubmatch(err.Error()); {
	case m != nil:
		return m[1], "there is no such fact"
	case errors.As(err, &kind):
		return kind.Field, fmt.Sprintf("a %s cannot be read as %s", kind.Value, kind.Type)
	default:
		return "", strings.TrimPrefix(err.Error(), "json: ")
	}
}
