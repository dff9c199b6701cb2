package main

import (
	"os"
	"strings"
	"testing"

	"github.com/networkstack/networkstack/internal/compose"
)

// TestPage wants the page in docs to be the one that the rules make, with every rule on it.
func TestPage(t *testing.T) {
	var want strings.Builder
	if err := write(&want, compose.Rules()); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../docs/refusals.md")
	if err != nil {
		t.Fatal(err)
	}
	if want.String() != string(got) {
		t.Error("docs/refusals.md is not up to date: run make refusals")
	}
	for _, r := range compose.Rules() {
		for _, text := range []string{"`" + r.ID + "` | " + string(r.Severity), r.When, r.Remedy, r.Source} {
			if !strings.Contains(want.String(), text) {
				t.Errorf("%s lacks %q", r.ID, text)
			}
		}
	}
}
