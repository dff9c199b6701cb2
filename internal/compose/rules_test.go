package compose

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestRules holds the table to what its readers rely on.
func TestRules(t *testing.T) {
	form := regexp.MustCompile(`^[A-Z0-9]+(-[A-Z0-9]+)+$`)
	seen := map[string]bool{}
	for _, r := range Rules() {
		if !form.MatchString(r.ID) {
			t.Errorf("the ID %q is no words in capitals", r.ID)
		}
		if seen[r.ID] {
			t.Errorf("two rules are %s", r.ID)
		}
		seen[r.ID] = true
		if !slices.Contains(areas, r.Area) {
			t.Errorf("%s is in no area", r.ID)
		}
		if r.Severity != Refused && r.Severity != Warned {
			t.Errorf("%s has severity %q", r.ID, r.Severity)
		}
		for what, text := range map[string]string{"When": r.When, "Remedy": r.Remedy, "Source": r.Source} {
			if len(text) < 4 || !strings.HasSuffix(text, ".") || strings.TrimSpace(text) != text || strings.ContainsAny(text, "\n|") {
				t.Errorf("%s of %s is no sentence: %q", what, r.ID, text)
			}
		}
	}
}

// TestEveryRuleIsTested wants every rule to be cited by a finding that TestFindings expects, and by nothing that says otherwise
// whether it is refused.
func TestEveryRuleIsTested(t *testing.T) {
	cited := map[string]Severity{}
	note := func(name string, texts []string, severity Severity) {
		for _, text := range texts {
			at := strings.LastIndex(text, " [")
			id, closed := strings.CutSuffix(text[at+1:], "]")
			if at < 0 || !closed {
				t.Errorf("%s: no rule is cited by %q", name, text)
				continue
			}
			cited[id[1:]] = severity
		}
	}
	for _, tc := range findings() {
		note(tc.name, tc.errors, Refused)
		note(tc.name, tc.warnings, Warned)
	}
	for _, r := range Rules() {
		switch cited[r.ID] {
		case "":
			t.Errorf("no finding of the tables cites %s", r.ID)
		case r.Severity:
		default:
			t.Errorf("%s is to be %s, and was %s", r.ID, r.Severity, cited[r.ID])
		}
		delete(cited, r.ID)
	}
	for id := range cited {
		t.Errorf("%s is in no table", id)
	}
}

// TestClusterRules holds the list of rules that need a cluster to what is found without one.
func TestClusterRules(t *testing.T) {
	without := map[string]bool{}
	for _, tc := range findings() {
		errs, warnings := ValidateObject(tc.in.Stack)
		for _, f := range slices.Concat(errs, warnings) {
			without[f.Rule] = true
		}
	}
	known := map[string]bool{}
	for _, r := range Rules() {
		known[r.ID] = true
		if r.Cluster == without[r.ID] {
			t.Errorf("%s is found without a cluster: %v; clusterRules (rules_cluster.go) says the opposite", r.ID, without[r.ID])
		}
	}
	for id := range clusterRules {
		if !known[id] {
			t.Errorf("%s is in clusterRules and in no table", id)
		}
	}
}
