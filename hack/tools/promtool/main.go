// Command promtool checks with Prometheus' own parsers what is made for Prometheus and Grafana: that each expression of the alert rules
// and of the dashboard is one, and names metrics that the page of metrics has. It is a module of its own for what Prometheus needs.
// Its argument is the root of the repository.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: promtool ROOT")
		os.Exit(2)
	}
	if err := check(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func check(root string) error {
	page, err := os.ReadFile(filepath.Join(root, "docs", "metrics.md"))
	if err != nil {
		return err
	}
	known := metricsOf(string(page))
	if len(known) == 0 {
		return errors.New("docs/metrics.md has no metrics")
	}
	rules, errs := rulefmt.ParseFile(filepath.Join(root, "config", "prometheus", "rules.yaml"), false, model.UTF8Validation,
		parser.NewParser(parser.Options{}), slog.Default())
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	var all []error
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			if err := expression(r.Expr, known); err != nil {
				all = append(all, fmt.Errorf("rules.yaml: %s: %w", r.Alert, err))
			}
		}
	}
	data, err := os.ReadFile(filepath.Join(root, "config", "prometheus", "dashboard.json"))
	if err != nil {
		return err
	}
	return errors.Join(errors.Join(all...), dashboard(data, known))
}

// row is one of a table of metrics.
var row = regexp.MustCompile("(?m)^\\| `([a-z][a-z0-9]*_[a-z0-9_]+)` \\|")

func metricsOf(page string) map[string]bool {
	known := map[string]bool{}
	for _, m := range row.FindAllStringSubmatch(page, -1) {
		known[m[1]] = true
	}
	return known
}

// expression parses one and looks for its metrics.
func expression(text string, known map[string]bool) error {
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	if err != nil {
		return err
	}
	var unknown []error
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if s, ok := node.(*parser.VectorSelector); ok {
			name := nameOf(s)
			if !has(known, name) {
				unknown = append(unknown, fmt.Errorf("docs/metrics.md has no %q", name))
			}
		}
		return nil
	})
	return errors.Join(unknown...)
}

func nameOf(s *parser.VectorSelector) string {
	for _, m := range s.LabelMatchers {
		if m.Name == labels.MetricName && m.Type == labels.MatchEqual {
			return m.Value
		}
	}
	return ""
}

// has knows that histograms have several series.
func has(known map[string]bool, name string) bool {
	if known[name] {
		return true
	}
	return slices.ContainsFunc([]string{"_bucket", "_sum", "_count"}, func(suffix string) bool {
		base, cut := strings.CutSuffix(name, suffix)
		return cut && known[base] && strings.HasSuffix(base, "_seconds")
	})
}

// dashboard checks every query of every panel.
func dashboard(data []byte, known map[string]bool) error {
	var board struct {
		Panels []struct {
			Title   string
			Type    string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(data, &board); err != nil {
		return fmt.Errorf("dashboard.json: %w", err)
	}
	var all []error
	queries := 0
	for _, p := range board.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			all = append(all, fmt.Errorf("dashboard.json: %s: no query", p.Title))
		}
		for _, t := range p.Targets {
			queries++
			// What Grafana puts in.
			if err := expression(strings.ReplaceAll(t.Expr, "$__rate_interval", "5m"), known); err != nil {
				all = append(all, fmt.Errorf("dashboard.json: %s: %w", p.Title, err))
			}
		}
	}
	if queries == 0 {
		all = append(all, errors.New("dashboard.json: no queries"))
	}
	return errors.Join(all...)
}
