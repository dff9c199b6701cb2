// Command monitoring writes what comes of the operator's metrics and of its alert rules: docs/metrics.md, the PrometheusRule and the
// dashboard in config/prometheus. It is run from the root of the repository.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// What is written, and from what.
const (
	rulesFile     = "config/prometheus/rules.yaml"
	ruleObject    = "config/prometheus/prometheusrule.yaml"
	dashboardFile = "config/prometheus/dashboard.json"
	metricsPage   = "docs/metrics.md"
)

func main() {
	check := flag.Bool("check", false, "write nothing; fail when a file is not as it would be written")
	flag.Parse()
	if err := run(".", *check); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(root string, check bool) error {
	files, err := generate(root)
	if err != nil {
		return err
	}
	var stale []error
	for name, data := range files {
		file := filepath.Join(root, name)
		if !check {
			if err := os.WriteFile(file, data, 0o644); err != nil {
				return err
			}
			continue
		}
		if have, err := os.ReadFile(file); err != nil || !bytes.Equal(have, data) {
			stale = append(stale, fmt.Errorf("%s is not up to date: run make monitoring", name))
		}
	}
	return errors.Join(stale...)
}

// generate returns the files by their path from the root.
func generate(root string) (map[string][]byte, error) {
	rules, err := os.ReadFile(filepath.Join(root, rulesFile))
	if err != nil {
		return nil, err
	}
	object, err := prometheusRule(rules)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", rulesFile, err)
	}
	board, err := dashboard()
	if err != nil {
		return nil, err
	}
	page, err := page()
	if err != nil {
		return nil, err
	}
	return map[string][]byte{ruleObject: object, dashboardFile: board, metricsPage: page}, nil
}
