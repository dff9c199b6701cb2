package charts_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	podsecurity "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"

	"github.com/networkstack/networkstack/charts"
	"github.com/networkstack/networkstack/test/operator"
)

// operatorChart is the chart that installs the operator itself, which the operator does not carry.
func operatorChart(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.LoadDir("networkstack")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// operatorObjects are those of the operator's chart, by kind and name.
func operatorObjects(t *testing.T, values string) (map[string]*unstructured.Unstructured, error) {
	t.Helper()
	var v map[string]any
	if err := yaml.UnmarshalStrict([]byte(values), &v); err != nil {
		t.Fatal(err)
	}
	c := operatorChart(t)
	toRender, err := chartutil.ToRenderValues(c, v,
		chartutil.ReleaseOptions{Name: "networkstack", Namespace: operator.Namespace, Revision: 1, IsInstall: true}, nil)
	if err != nil {
		return nil, err
	}
	rendered, err := engine.Render(c, toRender)
	if err != nil {
		return nil, err
	}
	objects := map[string]*unstructured.Unstructured{}
	for file, text := range rendered {
		if filepath.Ext(file) != ".yaml" {
			continue
		}
		for doc := range strings.SplitSeq("\n"+text, "\n---\n") {
			data, err := yaml.YAMLToJSONStrict([]byte(doc))
			if err != nil {
				t.Fatalf("%s: %v in\n%s", file, err, doc)
			}
			if string(data) == "null" {
				continue
			}
			object := &unstructured.Unstructured{}
			if err := object.UnmarshalJSON(data); err != nil {
				t.Fatalf("%s: %v in\n%s", file, err, doc)
			}
			objects[object.GetKind()+" "+object.GetName()] = object
		}
	}
	return objects, nil
}

func mustRender(t *testing.T, values string) map[string]*unstructured.Unstructured {
	t.Helper()
	objects, err := operatorObjects(t, values)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// withoutMarks leaves out what Helm's releases are marked with, and nothing else.
func withoutMarks(o *unstructured.Unstructured) map[string]any {
	o = o.DeepCopy()
	labels := o.GetLabels()
	for _, key := range []string{"helm.sh/chart", "app.kubernetes.io/managed-by", "app.kubernetes.io/instance", "app.kubernetes.io/version",
		"app.kubernetes.io/name", "app.kubernetes.io/part-of"} {
		delete(labels, key)
	}
	o.SetLabels(labels)
	annotations := o.GetAnnotations()
	delete(annotations, "helm.sh/resource-policy")
	o.SetAnnotations(annotations)
	return o.Object
}

// TestOperatorChartIsWhatKustomizeInstalls holds the chart with its defaults against config/default.
func TestOperatorChartIsWhatKustomizeInstalls(t *testing.T) {
	want, err := operator.Build("../config/default")
	if err != nil {
		t.Fatal(err)
	}
	got := mustRender(t, "{}")
	for _, object := range want {
		name := object.GetKind() + " " + object.GetName()
		if object.GetKind() == "Namespace" {
			continue // whoever installs a chart says in which namespace
		}
		if got[name] == nil {
			t.Errorf("the chart has no %s", name)
			continue
		}
		if diff := cmp.Diff(withoutMarks(object), withoutMarks(got[name])); diff != "" {
			t.Errorf("%s (-config +chart):\n%s", name, diff)
		}
		for _, key := range []string{"app.kubernetes.io/name", "app.kubernetes.io/part-of", "helm.sh/chart"} {
			if got[name].GetLabels()[key] == "" {
				t.Errorf("%s has no label %s", name, key)
			}
		}
		if object.GetKind() == "CustomResourceDefinition" && got[name].GetAnnotations()["helm.sh/resource-policy"] != "keep" {
			t.Errorf("%s goes when the chart is uninstalled, and every NetworkStack with it", name)
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("config/default has no %s", name)
	}
}

func TestOperatorChartLints(t *testing.T) {
	for _, mode := range []string{"Bootstrap", "Ordinary"} {
		result := lint.AllWithKubeVersion("networkstack", map[string]any{"mode": mode}, operator.Namespace,
			&chartutil.KubeVersion{Version: "v1.37.1", Major: "1", Minor: "37"})
		for _, message := range result.Messages {
			if message.Severity > support.InfoSev {
				t.Errorf("%s: %v", mode, message)
			}
		}
	}
}

func TestOperatorChartVersion(t *testing.T) {
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	metadata := operatorChart(t).Metadata
	if want := "VERSION ?= " + metadata.Version + "\n"; !strings.Contains(string(makefile), want) || metadata.AppVersion != "v"+metadata.Version {
		t.Errorf("the chart is of version %s for the operator %s, and the Makefile does not say %q", metadata.Version, metadata.AppVersion, want)
	}
}

// TestChartBundleByKustomize holds the component that mounts a bundle against the chart's values that do.
func TestChartBundleByKustomize(t *testing.T) {
	config, err := filepath.Abs("../config")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	// Kustomize takes no absolute paths.
	if config, err = filepath.Rel(dir, config); err != nil {
		t.Fatal(err)
	}
	overlay := "resources: [" + config + "/default]\ncomponents: [" + config + "/components/chart-bundle]\n"
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(overlay), 0o600); err != nil {
		t.Fatal(err)
	}
	built, err := operator.Build(dir)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(built, func(o *unstructured.Unstructured) bool { return o.GetKind() == "Deployment" })
	rendered := mustRender(t, `{charts: {hostPath: {path: /opt/networkstack, type: Directory}}, chartBundle: charts.tar.gz}`)
	want := podOf(t, rendered).Spec
	got := podOf(t, map[string]*unstructured.Unstructured{"Deployment networkstack-operator": built[i]}).Spec
	slices.Sort(want.Containers[0].Args)
	slices.Sort(got.Containers[0].Args)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-chart +kustomize):\n%s", diff)
	}
}

// TestOperatorChartIsNotCarried keeps the binary from carrying what installs it.
func TestOperatorChartIsNotCarried(t *testing.T) {
	if _, err := fs.Stat(charts.FS, "networkstack"); err == nil {
		t.Error("charts.FS has the operator's own chart")
	}
}

// podOf is the operator's pod.
func podOf(t *testing.T, objects map[string]*unstructured.Unstructured) *corev1.PodTemplateSpec {
	t.Helper()
	template, _, err := unstructured.NestedMap(objects["Deployment networkstack-operator"].Object, "spec", "template")
	if err != nil {
		t.Fatal(err)
	}
	pod := &corev1.PodTemplateSpec{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(template, pod, true); err != nil {
		t.Fatal(err)
	}
	return pod
}

// TestOperatorChartPodSecurity asks the evaluator of the API server's own admission plugin.
func TestOperatorChartPodSecurity(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		values string
		level  podsecurity.Level
		allow  bool
	}{
		{`{mode: Ordinary}`, podsecurity.LevelRestricted, true},
		{`{mode: Ordinary, metrics: {enabled: true}, charts: {image: {reference: a}}}`, podsecurity.LevelBaseline, true},
		{`{mode: Bootstrap}`, podsecurity.LevelBaseline, false},
		{`{mode: Bootstrap}`, podsecurity.LevelPrivileged, true},
	} {
		pod := podOf(t, mustRender(t, test.values))
		results := evaluator.EvaluatePod(podsecurity.LevelVersion{Level: test.level, Version: podsecurity.LatestVersion()}, &pod.ObjectMeta, &pod.Spec)
		if result := policy.AggregateCheckResults(results); result.Allowed != test.allow {
			t.Errorf("%s at the level %s: allowed %v: %s", test.values, test.level, result.Allowed, result.ForbiddenDetail())
		}
	}
}

// apiServerHost says what is wrong unless the operator is told of the API server at a host, in the form that clients take.
func apiServerHost(host string) func(map[string]*unstructured.Unstructured, *corev1.PodTemplateSpec) string {
	return func(_ map[string]*unstructured.Unstructured, pod *corev1.PodTemplateSpec) string {
		env := map[string]string{}
		for _, e := range pod.Spec.Containers[0].Env {
			env[e.Name] = e.Value
		}
		if env["KUBERNETES_SERVICE_HOST"] != host || env["KUBERNETES_SERVICE_PORT"] != "7445" {
			return fmt.Sprint(env)
		}
		return ""
	}
}

func TestOperatorChartValues(t *testing.T) {
	all := slices.Sorted(maps.Keys(mustRender(t, "{}")))
	for _, test := range []struct {
		name, values string
		// check says what is wrong.
		check func(objects map[string]*unstructured.Unstructured, pod *corev1.PodTemplateSpec) string
	}{
		{"an ordinary pod", `{mode: Ordinary}`, func(o map[string]*unstructured.Unstructured, pod *corev1.PodTemplateSpec) string {
			replicas, _, _ := unstructured.NestedFieldNoCopy(o["Deployment networkstack-operator"].Object, "spec", "replicas")
			switch {
			case pod.Spec.HostNetwork || pod.Spec.DNSPolicy != "" || len(pod.Spec.Tolerations) > 0 || pod.Spec.Affinity != nil:
				return "it is not ordinary"
			case fmt.Sprint(replicas) != "2" || len(pod.Spec.TopologySpreadConstraints) != 1:
				return fmt.Sprintf("%v replicas", replicas)
			case o["PodDisruptionBudget networkstack-operator"] == nil:
				return "no budget"
			case !slices.Contains(pod.Spec.Containers[0].Args, "--health-probe-bind-address=:9811"):
				return "nobody can ask for its health"
			}
			return ""
		}},
		{"two on hosts", `{replicas: 2}`, func(o map[string]*unstructured.Unstructured, _ *corev1.PodTemplateSpec) string {
			if o["PodDisruptionBudget networkstack-operator"] == nil {
				return "no budget"
			}
			return ""
		}},
		{"no budget", `{replicas: 2, podDisruptionBudget: false}`, func(o map[string]*unstructured.Unstructured, _ *corev1.PodTemplateSpec) string {
			if o["PodDisruptionBudget networkstack-operator"] != nil {
				return "a budget"
			}
			return ""
		}},
		{"an address without kube-proxy", `{apiServer: {host: api.example.com, port: 7445}}`, apiServerHost("api.example.com")},
		{"an IPv6 address", `{apiServer: {host: "fd00:99::1", port: 7445}}`, apiServerHost("fd00:99::1")},
		{"one in brackets", `{apiServer: {host: "[fd00:99::1]", port: 7445}}`, apiServerHost("fd00:99::1")},
		{"a digest", `{image: {repository: r/o, tag: v9, digest: "sha256:` + strings.Repeat("a", 64) + `"}}`, func(_ map[string]*unstructured.Unstructured, pod *corev1.PodTemplateSpec) string {
			if image := pod.Spec.Containers[0].Image; image != "r/o@sha256:"+strings.Repeat("a", 64) {
				return image
			}
			return ""
		}},
		{"metrics on the host", `{metrics: {enabled: true}}`, func(o map[string]*unstructured.Unstructured, pod *corev1.PodTemplateSpec) string {
			if !slices.Contains(pod.Spec.Containers[0].Args, "--metrics-bind-address=127.0.0.1:9812") || o["Service networkstack-operator-metrics"] != nil {
				return fmt.Sprint(pod.Spec.Containers[0].Args)
			}
			return ""
		}},
		{"metrics for all", `{mode: Ordinary, metrics: {enabled: true, port: 9000, serviceMonitor: true, serviceMonitorLabels: {release: p}}}`,
			func(o map[string]*unstructured.Unstructured, pod *corev1.PodTemplateSpec) string {
				switch monitor := o["ServiceMonitor networkstack-operator"]; {
				case !slices.Contains(pod.Spec.Containers[0].Args, "--metrics-bind-address=:9000"):
					return fmt.Sprint(pod.Spec.Containers[0].Args)
				case o["Service networkstack-operator-metrics"] == nil:
					return "no Service"
				case monitor == nil || monitor.GetLabels()["release"] != "p":
					return "no ServiceMonitor, or not with the labels"
				}
				return ""
			}},
		{"alerts and a dashboard", `{metrics: {enabled: true, rules: true, rulesLabels: {release: p}, dashboard: true, dashboardLabels: {grafana_dashboard: "yes"}}}`,
			func(o map[string]*unstructured.Unstructured, _ *corev1.PodTemplateSpec) string {
				rules, board := o["PrometheusRule networkstack-operator"], o["ConfigMap networkstack-operator-dashboard"]
				if rules == nil || board == nil {
					return "one of them is missing"
				}
				data, _, _ := unstructured.NestedString(board.Object, "data", "networkstack-operator.json")
				groups, _, _ := unstructured.NestedSlice(rules.Object, "spec", "groups")
				switch {
				case rules.GetLabels()["release"] != "p" || rules.GetNamespace() != operator.Namespace || rules.GetLabels()["helm.sh/chart"] == "":
					return fmt.Sprint(rules.GetLabels())
				case board.GetLabels()["grafana_dashboard"] != "yes" || !json.Valid([]byte(data)):
					return fmt.Sprint(board.GetLabels(), data)
				case len(groups) == 0 || !strings.Contains(fmt.Sprint(groups), "{{ $labels.component }}"):
					return "the rules are not as they were written"
				}
				return ""
			}},
		{"a dashboard by its usual label", `{metrics: {enabled: true, dashboard: true}}`, func(o map[string]*unstructured.Unstructured, _ *corev1.PodTemplateSpec) string {
			if o["ConfigMap networkstack-operator-dashboard"].GetLabels()["grafana_dashboard"] != "1" || o["PrometheusRule networkstack-operator"] != nil {
				return "no label, or rules that nobody asked for"
			}
			return ""
		}},
		{"profiles", `{mode: Ordinary, pprof: {enabled: true, port: 6060}}`, func(_ map[string]*unstructured.Unstructured, pod *corev1.PodTemplateSpec) string {
			if args := pod.Spec.Containers[0].Args; !slices.Contains(args, "--pprof-bind-address=127.0.0.1:6060") {
				return fmt.Sprint(args)
			}
			return ""
		}},
		{"charts and a level", `{charts: {persistentVolumeClaim: {claimName: c}}, logLevel: debug, extraArgs: [--a=b]}`, func(_ map[string]*unstructured.Unstructured, pod *corev1.PodTemplateSpec) string {
			args := pod.Spec.Containers[0].Args
			if !slices.Contains(args, "--charts=/charts") || !slices.Contains(args, "--zap-log-level=debug") || !slices.Contains(args, "--a=b") ||
				pod.Spec.Volumes[2].PersistentVolumeClaim == nil || pod.Spec.Containers[0].VolumeMounts[2].MountPath != "/charts" {
				return fmt.Sprint(args)
			}
			return ""
		}},
		{"a bundle of charts", `{charts: {hostPath: {path: /opt/charts}}, chartBundle: charts.tar.gz}`, func(_ map[string]*unstructured.Unstructured, pod *corev1.PodTemplateSpec) string {
			if c := pod.Spec.Containers[0]; !slices.Contains(c.Args, "--charts=/charts/charts.tar.gz") || c.VolumeMounts[2].MountPath != "/charts" || !c.VolumeMounts[2].ReadOnly {
				return fmt.Sprint(c.Args)
			}
			return ""
		}},
		{"less permissions", `{rbac: {leaveOut: [consul, ingress-haproxy]}}`, func(o map[string]*unstructured.Unstructured, _ *corev1.PodTemplateSpec) string {
			var gone []string
			for _, name := range all {
				if o[name] == nil {
					gone = append(gone, name)
				}
			}
			return cmp.Diff([]string{
				"ClusterRole networkstack-operator-consul", "ClusterRole networkstack-operator-ingress-haproxy",
				"ClusterRoleBinding networkstack-operator-consul", "ClusterRoleBinding networkstack-operator-ingress-haproxy",
			}, gone)
		}},
		{"permissions of somebody else", `{rbac: {create: false}, crds: {install: false}, serviceAccount: {annotations: {a: b}}}`,
			func(o map[string]*unstructured.Unstructured, _ *corev1.PodTemplateSpec) string {
				account := o["ServiceAccount networkstack-operator"]
				if account == nil || account.GetAnnotations()["a"] != "b" || account.GetNamespace() != operator.Namespace {
					return "no ServiceAccount, or another one"
				}
				maps.DeleteFunc(o, func(name string, _ *unstructured.Unstructured) bool {
					return strings.HasPrefix(name, "ValidatingAdmissionPolicy")
				})
				return cmp.Diff([]string{"Deployment networkstack-operator", "ResourceQuota networkstack-critical-pods", "ServiceAccount networkstack-operator"},
					slices.Sorted(maps.Keys(o)))
			}},
		{"any chart", `{rbac: {anyChart: true}}`, func(o map[string]*unstructured.Unstructured, _ *corev1.PodTemplateSpec) string {
			if o["ClusterRoleBinding networkstack-operator-any-chart"] == nil {
				return "no binding"
			}
			return ""
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			objects := mustRender(t, test.values)
			if wrong := test.check(objects, podOf(t, objects)); wrong != "" {
				t.Error(wrong)
			}
		})
	}
}

func TestOperatorChartRefuses(t *testing.T) {
	for values, want := range map[string]string{
		`{mode: Both}`:                                "mode",
		`{replica: 2}`:                                "replica",
		`{replicas: two}`:                             "replicas",
		`{image: {digest: "sha256:1"}}`:               "digest",
		`{metrics: {port: 9811}}`:                     "port",
		`{rbac: {leaveOut: [konsul]}}`:                `there is no part "konsul"`,
		`{rbac: {leaveOut: [components]}}`:            "does not work without components",
		`{metrics: {serviceMonitor: true}}`:           "nothing can be scraped",
		`{metrics: {rules: true}}`:                    "there are no metrics",
		`{chartBundle: charts.tar.gz}`:                "set charts as well",
		`{charts: {emptyDir: {}}, chartBundle: ../a}`: "chartBundle",
		`{apiServer: {host: a, port: 70000}}`:         "port",
		`{apiServer: {host: "https://a"}}`:            "without a scheme",
		`{apiServer: {host: "a:6443"}}`:               "apiServer.port",
		`{apiServer: {host: "[fd00::1]:6443"}}`:       "apiServer.port",
	} {
		if _, err := operatorObjects(t, values); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", values, err, want)
		}
	}
}
