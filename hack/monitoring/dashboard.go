package main

import (
	"cmp"
	"encoding/json"
	"strings"
)

// graph is one panel of the dashboard.
type graph struct {
	title, unit string
	// kind is Grafana's; timeseries when it is empty.
	kind    string
	queries []query
}

type query struct{ expr, legend string }

type row struct {
	title  string
	graphs []graph
}

func one(title, unit, expr, legend string) graph {
	return graph{title: title, unit: unit, queries: []query{{expr, legend}}}
}

// rows of the dashboard. $job chooses among several operators.
var rows = []row{
	{"Stack", []graph{
		{title: "Ready", kind: "stat", queries: []query{
			{`max by (stack) (networkstack_stack_condition{job=~"$job", type="Ready", status="True"})`, "{{stack}}"},
		}},
		one("Conditions of stacks that are True", "", `max by (stack, type) (networkstack_stack_condition{job=~"$job", status="True"})`, "{{stack}} {{type}}"),
		one("Suspended", "", `max by (stack) (networkstack_stack_suspended{job=~"$job"})`, "{{stack}}"),
	}},
	{"Components", []graph{
		one("Ready", "", `max by (component) (networkstack_component_condition{job=~"$job", type="Ready", status="True"})`, "{{component}}"),
		one("Attempts that failed", "", `max by (component) (networkstack_component_failed_attempts{job=~"$job"})`, "{{component}}"),
		one("Pods that are not available", "",
			`max by (component) (networkstack_component_pods{job=~"$job", state="desired"})`+
				` - max by (component) (networkstack_component_pods{job=~"$job", state="available"})`, "{{component}}"),
		one("Operations", "ops", `sum by (operation, result) (rate(networkstack_operations_total{job=~"$job"}[$__rate_interval]))`,
			"{{operation}} {{result}}"),
		one("How long operations take (95 %)", "s",
			`histogram_quantile(0.95, sum by (le, operation) (rate(networkstack_operation_duration_seconds_bucket{job=~"$job"}[$__rate_interval])))`,
			"{{operation}}"),
		{title: "Versions", kind: "table", queries: []query{
			{`max by (component, type, chart, version) (networkstack_component_info{job=~"$job"})`, ""},
		}},
	}},
	{"Drift", []graph{
		one("Objects that others changed", "ops", `sum by (component, manager) (rate(networkstack_drifts_total{job=~"$job"}[$__rate_interval]))`,
			"{{component}} by {{manager}}"),
		one("From a change to its correction (95 %)", "s",
			`histogram_quantile(0.95, sum by (le) (rate(networkstack_drift_correction_seconds_bucket{job=~"$job"}[$__rate_interval])))`, "95 %"),
		one("Contested fields", "", `max by (component) (networkstack_contested_fields{job=~"$job"})`, "{{component}}"),
	}},
	{"Addresses, policies and certificates", []graph{
		one("How full pools are", "percentunit",
			`max by (pool, family, unit) (networkstack_ippool_allocated{job=~"$job"})`+
				` / max by (pool, family, unit) (networkstack_ippool_capacity{job=~"$job"})`, "{{pool}} {{family}} {{unit}}"),
		{title: "Namespaces with baseline policies", queries: []query{
			{`max(networkstack_policy_namespaces{job=~"$job"})`, "covered"},
			{`max(networkstack_policy_namespaces_pending{job=~"$job"})`, "not as wanted yet"},
		}},
		{title: "Policies", queries: []query{
			{`sum by (reason) (rate(networkstack_policy_corrections_total{job=~"$job"}[$__rate_interval]))`, "{{reason}}"},
			{`sum by (verb) (rate(networkstack_policy_writes_total{job=~"$job"}[$__rate_interval]))`, "{{verb}}"},
			{`max(networkstack_policy_pulled{job=~"$job"})`, "glass broken"},
		}},
		one("Time until certificates expire", "s",
			`min by (component, secret) (networkstack_certificate_expiration_timestamp_seconds{job=~"$job"}) - time()`, "{{component}} {{secret}}"),
	}},
	{"Operator", []graph{
		{title: "Leader and version", kind: "table", queries: []query{
			{`leader_election_master_status{job=~"$job", name="networkstack-operator"}`, ""},
			{`networkstack_build_info{job=~"$job"}`, ""},
		}},
		one("Reconciles", "ops", `sum by (controller, result) (rate(controller_runtime_reconcile_total{job=~"$job"}[$__rate_interval]))`,
			"{{controller}} {{result}}"),
		one("How long reconciles take (95 %)", "s",
			`histogram_quantile(0.95, sum by (le, controller) (rate(controller_runtime_reconcile_time_seconds_bucket{job=~"$job"}[$__rate_interval])))`,
			"{{controller}}"),
		one("Queues", "", `sum by (name) (workqueue_depth{job=~"$job"})`, "{{name}}"),
		one("Requests to the API server", "reqps", `sum by (method, code) (rate(rest_client_requests_total{job=~"$job"}[$__rate_interval]))`,
			"{{method}} {{code}}"),
		one("Resident memory", "bytes", `process_resident_memory_bytes{job=~"$job"}`, "{{instance}}"),
		one("CPU", "percentunit", `rate(process_cpu_seconds_total{job=~"$job"}[$__rate_interval])`, "{{instance}}"),
		one("Goroutines", "", `go_goroutines{job=~"$job"}`, "{{instance}}"),
	}},
}

// dashboardSchema is the version of Grafana's dashboard model that the dashboard is written in (Grafana 10 and newer).
const dashboardSchema = 38

// dashboard is that of the operator, for Grafana.
func dashboard() ([]byte, error) {
	const width, height, columns = 8, 7, 3
	source := map[string]any{"type": "prometheus", "uid": "${datasource}"}
	var panels []any
	y := 0
	for _, r := range rows {
		panels = append(panels, map[string]any{
			"type": "row", "title": r.title, "collapsed": false, "panels": []any{}, "id": len(panels) + 1,
			"gridPos": map[string]any{"x": 0, "y": y, "w": width * columns, "h": 1},
		})
		y++
		for i, g := range r.graphs {
			kind := cmp.Or(g.kind, "timeseries")
			var targets []any
			for n, q := range g.queries {
				target := map[string]any{"refId": string(rune('A' + n)), "datasource": source, "expr": q.expr, "legendFormat": q.legend}
				if kind == "table" {
					target["format"], target["instant"] = "table", true
				}
				targets = append(targets, target)
			}
			panels = append(panels, map[string]any{
				"type": kind, "title": g.title, "id": len(panels) + 1, "datasource": source, "targets": targets,
				"gridPos":     map[string]any{"x": i % columns * width, "y": y + i/columns*height, "w": width, "h": height},
				"fieldConfig": map[string]any{"defaults": map[string]any{"unit": cmp.Or(g.unit, "short")}, "overrides": []any{}},
			})
		}
		y += (len(r.graphs) + columns - 1) / columns * height
	}
	variable := func(name, kind, ask string) map[string]any {
		return map[string]any{"name": name, "type": kind, "query": ask}
	}
	job := variable("job", "query", "label_values(networkstack_build_info, job)")
	job["datasource"], job["includeAll"], job["multi"], job["refresh"] = source, true, true, 2
	job["current"] = map[string]any{"text": "All", "value": "$__all"}
	var out strings.Builder
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	err := e.Encode(map[string]any{
		"title": "NetworkStack / Operator", "uid": "networkstack-operator", "tags": []string{"networkstack"},
		"schemaVersion": dashboardSchema, "timezone": "browser", "refresh": "30s", "panels": panels,
		"time":       map[string]any{"from": "now-1h", "to": "now"},
		"templating": map[string]any{"list": []any{variable("datasource", "datasource", "prometheus"), job}},
	})
	return []byte(out.String()), err
}
