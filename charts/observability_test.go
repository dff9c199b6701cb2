package charts_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// TestObservabilityChart wants Prometheus to find the Service that finds the pods, and Grafana the dashboard.
func TestObservabilityChart(t *testing.T) {
	rendered, err := render(t, "observability", "monitoring", `
monitors:
- {name: cilium-agent, namespace: kube-system, selector: {k8s-app: cilium}, port: 9962}
- {name: metallb, namespace: metallb-system, selector: {app: metallb}, port: 7472, path: /m, scheme: https, token: true}
monitorLabels: {release: prometheus}
interval: 15s
dashboards: [{name: cilium, json: '{"title":"a \"b\""}'}]
dashboardAnnotations: {folder: network}
`)
	if err != nil {
		t.Fatal(err)
	}
	var core []string
	var monitors []map[string]any
	for doc := range strings.SplitSeq(rendered, "---\n") {
		if !strings.Contains(doc, "kind:") {
			continue
		}
		if !strings.Contains(doc, "kind: ServiceMonitor") {
			core = append(core, doc)
			continue
		}
		var m map[string]any
		if err := yaml.UnmarshalStrict([]byte(doc), &m); err != nil {
			t.Fatal(err)
		}
		monitors = append(monitors, m)
	}
	objects := decode(t, strings.Join(core, "---\n"))
	var services []*corev1.Service
	for _, o := range objects {
		if s, is := o.(*corev1.Service); is {
			services = append(services, s)
		}
	}
	if len(services) != 2 || len(monitors) != 2 {
		t.Fatalf("%d Services and %d ServiceMonitors", len(services), len(monitors))
	}
	for i, s := range services {
		if s.Spec.ClusterIP != corev1.ClusterIPNone || len(s.Spec.Selector) != 1 {
			t.Errorf("%+v", s.Spec)
		}
		if p := s.Spec.Ports[0]; p.TargetPort.IntValue() != int(p.Port) {
			t.Errorf("%s: port %d is %s of the pods, where none may have that name", s.Name, p.Port, p.TargetPort.String())
		}
		m := monitors[i]["metadata"].(map[string]any)
		spec := monitors[i]["spec"].(map[string]any)
		selector := spec["selector"].(map[string]any)["matchLabels"].(map[string]any)
		if len(selector) != len(s.Labels) {
			t.Errorf("%s: Services with some of its labels alone are monitored, too: %v", s.Name, selector)
		}
		for k, v := range selector {
			if s.Labels[k] != v {
				t.Errorf("%s: the Service has no label %s=%v", s.Name, k, v)
			}
		}
		if m["namespace"] != s.Namespace || m["labels"].(map[string]any)["release"] != "prometheus" || s.Labels[spec["jobLabel"].(string)]+"-metrics" != s.Name {
			t.Errorf("%v", monitors[i])
		}
	}
	https := map[string]any{"port": "metrics", "path": "/m", "scheme": "https", "interval": "15s",
		"bearerTokenFile": "/var/run/secrets/kubernetes.io/serviceaccount/token", "tlsConfig": map[string]any{"insecureSkipVerify": true}}
	if diff := cmp.Diff([]any{https}, monitors[1]["spec"].(map[string]any)["endpoints"]); diff != "" || services[1].Spec.Ports[0].Port != 7472 {
		t.Error(diff)
	}
	dashboard := find[*corev1.ConfigMap](t, objects)
	if dashboard.Namespace != "monitoring" || dashboard.Labels["grafana_dashboard"] != "1" || dashboard.Annotations["folder"] != "network" || dashboard.Data["networkstack-cilium.json"] != `{"title":"a \"b\""}` {
		t.Errorf("%+v", dashboard)
	}
	refuses(t, "observability", `{monitors: [{name: a, namespace: b, selector: {}, port: 1}]}`, "selector")
	refuses(t, "observability", `{monitors: [{name: a, namespace: b, selector: {c: d}, port: 0}]}`, "port")
	refuses(t, "observability", `{monitors: [{name: a, namespace: b, selector: {c: d}, port: 1, authority: {name: e, key: f}}]}`, "serverName")
	refuses(t, "observability", `{monitors: [{name: a, namespace: b, selector: {c: d}, port: 1, credentials: {name: e}}]}`, "key")
	refuses(t, "observability", `{colour: red}`, "colour")
}
