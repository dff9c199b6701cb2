package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/client-go/util/jsonpath"
	"sigs.k8s.io/yaml"

	"github.com/networkstack/networkstack/internal/telemetry"
)

const root = "../.."

// TestRegistered holds the definitions to what the operator's parts register.
func TestRegistered(t *testing.T) {
	t.Parallel()
	all, err := registered()
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, d := range all {
		if strings.HasPrefix(d.name, "networkstack_") {
			got = append(got, fmt.Sprint(d.name, d.labels, d.help))
		}
	}
	for _, m := range telemetry.All() {
		labels := []string{}
		for _, l := range m.Labels {
			labels = append(labels, l.Name)
		}
		want = append(want, fmt.Sprint(m.Name, labels, m.Help))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-defined +registered):\n%s", diff)
	}
}

func alerts(t *testing.T) map[string]rule {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, rulesFile))
	if err != nil {
		t.Fatal(err)
	}
	file, err := parseRules(data)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]rule{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if _, twice := all[r.Alert]; twice || r.Alert == "" {
				t.Errorf("alert %q is there twice, or has no name", r.Alert)
			}
			all[r.Alert] = r
		}
	}
	if len(all) == 0 {
		t.Fatal("no alerts")
	}
	return all
}

func TestAlerts(t *testing.T) {
	t.Parallel()
	for name, r := range alerts(t) {
		if !strings.HasPrefix(name, "NetworkStack") {
			t.Errorf("%s does not say whose it is", name)
		}
		if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) {
			t.Errorf("%s has severity %q", name, r.Labels["severity"])
		}
		if r.For == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s lacks for, summary or description", name)
		}
		if want := "https://github.com/networkstack/networkstack/blob/main/docs/runbooks/" + name + ".md"; r.Annotations["runbook_url"] != want {
			t.Errorf("%s has runbook_url %q, want %q", name, r.Annotations["runbook_url"], want)
		}
	}
}

// TestAlertsAreTested wants a test with series for each alert firing, and one for it not firing.
func TestAlertsAreTested(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join(root, "config/prometheus/rules_test.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Tests []struct {
			Alerts []struct {
				Name string           `json:"alertname"`
				Want []map[string]any `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		} `json:"tests"`
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, test := range file.Tests {
		for _, a := range test.Alerts {
			if len(a.Want) > 0 {
				fires[a.Name] = true
			} else {
				silent[a.Name] = true
			}
		}
	}
	for name := range alerts(t) {
		if !fires[name] || !silent[name] {
			t.Errorf("%s: a test in which it fires: %v, in which it does not: %v", name, fires[name], silent[name])
		}
	}
}

// TestRunbooks wants a page for each alert and an alert for each page, all with the same parts.
func TestRunbooks(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(root, "docs/runbooks/*.md"))
	if err != nil {
		t.Fatal(err)
	}
	pages := map[string]string{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pages[strings.TrimSuffix(filepath.Base(file), ".md")] = string(data)
	}
	index := pages["README"]
	delete(pages, "README")
	all := alerts(t)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(all)), slices.Sorted(maps.Keys(pages))); diff != "" {
		t.Errorf("(-alerts +pages):\n%s", diff)
	}
	heading := regexp.MustCompile(`(?m)^#+ .*$`)
	for name, page := range pages {
		want := []string{"# " + name, "## Meaning", "## Impact", "## Diagnosis", "## Mitigation"}
		if diff := cmp.Diff(want, heading.FindAllString(strings.ReplaceAll(page, "```sh\n", ""), -1)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		severity := all[name].Labels["severity"]
		if severity != "" && !strings.Contains(page, "\n"+strings.ToUpper(severity[:1])+severity[1:]+", when ") {
			t.Errorf("%s does not begin with its severity, %s", name, severity)
		}
		if !strings.Contains(index, "("+name+".md)") {
			t.Errorf("README.md does not list %s", name)
		}
	}
}

// TestRunbookCommands wants the commands to name fields that there are, and links to lead somewhere.
func TestRunbookCommands(t *testing.T) {
	t.Parallel()
	schemas := map[string]*apiextensionsv1.JSONSchemaProps{}
	for resource, file := range map[string]string{"netstack": "networkstacks", "netcomp": "networkcomponents"} {
		data, err := os.ReadFile(filepath.Join(root, "config/crd/bases/networkstack.io_"+file+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var definition apiextensionsv1.CustomResourceDefinition
		if err := yaml.Unmarshal(data, &definition); err != nil {
			t.Fatal(err)
		}
		schemas[resource] = definition.Spec.Versions[0].Schema.OpenAPIV3Schema
	}
	files, err := filepath.Glob(filepath.Join(root, "docs/runbooks/*.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```sh\n(.*?)```")
	template := regexp.MustCompile(`-o jsonpath='([^']*)'`)
	field := regexp.MustCompile(`\{((?:\.\w+)+)`)
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	commands := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range block.FindAllStringSubmatch(string(data), -1) {
			for line := range strings.SplitSeq(strings.TrimSpace(b[1]), "\n") {
				commands++
				words := strings.Fields(line)
				if words[0] != "kubectl" {
					t.Errorf("%s: %s", file, line)
				}
				m := template.FindStringSubmatch(line)
				if m == nil {
					continue
				}
				if err := jsonpath.New(line).Parse(m[1]); err != nil {
					t.Errorf("%s: %s: %v", file, line, err)
				}
				for _, f := range field.FindAllStringSubmatch(m[1], -1) {
					if schema := schemas[words[2]]; schema == nil || !hasField(schema, strings.Split(f[1], ".")[1:]) {
						t.Errorf("%s: %s: there is no field %s", file, line, f[1])
					}
				}
			}
		}
		for _, l := range link.FindAllStringSubmatch(string(data), -1) {
			target, err := os.ReadFile(filepath.Join(filepath.Dir(file), l[1]))
			if err != nil {
				t.Errorf("%s: %v", file, err)
			}
			if l[2] != "" && !slices.Contains(anchors(string(target)), l[2]) {
				t.Errorf("%s: %s has no heading %s", file, l[1], l[2])
			}
		}
	}
	if commands < len(files) {
		t.Errorf("%d commands in %d pages", commands, len(files))
	}
}

func hasField(schema *apiextensionsv1.JSONSchemaProps, path []string) bool {
	if len(path) == 0 || path[0] == "metadata" {
		return true
	}
	next, ok := schema.Properties[path[0]]
	return ok && hasField(&next, path[1:])
}

// anchors are those that a page's headings have.
func anchors(page string) []string {
	var out []string
	for _, h := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(page, -1) {
		text := regexp.MustCompile("[^a-z0-9 _-]").ReplaceAllString(strings.ToLower(h[1]), "")
		out = append(out, "#"+strings.ReplaceAll(text, " ", "-"))
	}
	return out
}

func TestGeneratedIsCurrent(t *testing.T) {
	t.Parallel()
	if err := run(root, true); err != nil {
		t.Error(err)
	}
	copied := t.TempDir()
	for _, file := range []string{rulesFile, ruleObject, dashboardFile, metricsPage} {
		data, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		if file == ruleObject {
			data = append(data, '#')
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(copied, file)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(copied, file), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := run(copied, true); err == nil || !strings.Contains(err.Error(), ruleObject) {
		t.Errorf("a changed file: %v", err)
	}
}

// TestDashboard looks at what Grafana goes by; its queries are judged by Prometheus' parser, in hack/tools/promtool.
func TestDashboard(t *testing.T) {
	t.Parallel()
	data, err := dashboard()
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Title, UID string
		Panels     []struct {
			ID      int
			GridPos struct{ X, Y, W, H int }
		}
	}
	if err := json.Unmarshal(data, &board); err != nil {
		t.Fatal(err)
	}
	if board.Title == "" || board.UID == "" {
		t.Error("no title, or nothing that it is known by")
	}
	taken := map[[2]int]int{}
	for i, p := range board.Panels {
		if p.ID != i+1 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d at %+v", p.ID, p.GridPos)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != 0 {
					t.Fatalf("panel %d lies over %d", p.ID, other)
				}
				taken[[2]int{x, y}] = p.ID
			}
		}
	}
}
