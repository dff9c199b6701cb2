package main

import (
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	if err := check("../../.."); err != nil {
		t.Error(err)
	}
}

func TestFindsMistakes(t *testing.T) {
	t.Parallel()
	known := metricsOf("| `a_total` | | |\n| `b_seconds` | | |\n")
	for expr, want := range map[string]string{
		"sum(rate(a_total[5m]))":                              "",
		"histogram_quantile(0.9, rate(b_seconds_bucket[5m]))": "",
		"a_total and on (job) c_info":                         `no "c_info"`,
		"a_total_count":                                       "no",
		"sum(rate(a_total))":                                  "expected type range vector",
		"a_total >":                                           "unexpected",
	} {
		if err := expression(expr, known); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", expr, err, want)
		}
	}
	for board, want := range map[string]string{
		`{`:             "unexpected end",
		`{"panels":[]}`: "no queries",
		`{"panels":[{"title":"A","type":"stat","targets":[]}]}`:                   "A: no query",
		`{"panels":[{"title":"A","type":"stat","targets":[{"expr":"x_total"}]}]}`: `A: docs/metrics.md has no "x_total"`,
	} {
		if err := dashboard([]byte(board), known); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", board, err, want)
		}
	}
}
