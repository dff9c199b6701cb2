package matrix_test

import (
	"encoding/json"
	"slices"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/test/testcharts"
)

// installedByOthers are the components whose chart has no pods: somebody makes them later.
var installedByOthers = []string{"Calico"}

// TestMetricsPods wants the catalogue to know the pods that the charts make, and the ports that they serve metrics on: with monitors
// turned on, each selector finds pods of the rendered chart, and a port that the chart declares is the one that is monitored.
func TestMetricsPods(t *testing.T) {
	for _, tc := range metricsCases() {
		t.Run(tc.name, func(t *testing.T) {
			c := tc.chart(t)
			in := tc.input
			in.Stack.Spec.Observability = &ObservabilitySpec{Monitors: MonitorsEnabled}
			in.Facts.ServiceMonitors = true
			result := compose.Compose(in)
			if len(result.Errors) > 0 {
				t.Fatal(result.Errors)
			}
			find := func(name string) compose.Release {
				i := slices.IndexFunc(result.Releases, func(r compose.Release) bool { return r.Name == name })
				if i < 0 {
					t.Fatalf("there is no release %s", name)
				}
				return result.Releases[i]
			}
			var values struct {
				Monitors []struct {
					Name     string
					Port     int64
					Selector map[string]string
				}
			}
			if err := json.Unmarshal(find("observability").Spec.DerivedValues.Raw, &values); err != nil {
				t.Fatal(err)
			}
			release := find(tc.release)
			objects := render(t, c, release)
			for _, m := range values.Monitors {
				if slices.Contains(installedByOthers, release.Spec.Type) {
					continue
				}
				found, declared := false, false
				var ports []int64
				for _, o := range objects {
					labels, _, _ := unstructured.NestedStringMap(o.Object, "spec", "template", "metadata", "labels")
					if len(labels) == 0 || !within(m.Selector, labels) {
						continue
					}
					found = true
					containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
					for _, container := range containers {
						list, _, _ := unstructured.NestedSlice(container.(map[string]any), "ports")
						for _, p := range list {
							port, _, _ := unstructured.NestedInt64(p.(map[string]any), "containerPort")
							ports = append(ports, port)
							declared = declared || port == m.Port
						}
					}
				}
				if !found {
					t.Errorf("%s: no pod has the labels %v", m.Name, m.Selector)
				}
				if !declared && !slices.Contains(tc.undeclared, m.Name) {
					t.Errorf("%s: no container declares port %d, but %v", m.Name, m.Port, ports)
				}
			}
			if len(values.Monitors) != tc.monitors {
				t.Errorf("%d monitors, want %d: %+v", len(values.Monitors), tc.monitors, values.Monitors)
			}
		})
	}
}

type metricsCase struct {
	name, release string
	chart         func(t *testing.T) *chart.Chart
	input         compose.Input
	monitors      int
	// undeclared are the jobs whose port no container declares.
	undeclared []string
}

func metricsCases() []metricsCase {
	upstream := func(name, version string) func(*testing.T) *chart.Chart {
		return func(t *testing.T) *chart.Chart { return testcharts.Upstream(t, name, version) }
	}
	own := func(name string) func(*testing.T) *chart.Chart {
		return func(t *testing.T) *chart.Chart { return testcharts.Embedded(t, name) }
	}
	s := settings{[]IPFamily{IPv4}, "", "", KubeProxyIPTables}
	hubble := ciliumCells()[0].input()
	hubble.Stack.Spec.CNI.Values = nil
	awsInput := awsCell{settings: s}.input()
	weave := weaveCell{settings: s}.input()
	proxy := flannelCell{settings: s}.input()
	proxy.Stack.Spec.KubeProxy.Values = &apiextensionsv1.JSON{Raw: []byte(`{"metricsBindAddress":"0.0.0.0:10249"}`)}
	return []metricsCase{
		{"Cilium", "cilium", upstream("cilium", "1.20.0"), hubble, 3, nil},
		{"AWS VPC CNI", "aws-vpc-cni", upstream("aws-vpc-cni", awsVersion), awsInput, 1, nil},
		{"Weave Net", "weave-net", own("weave-net"), weave, 2, nil},
		{"kube-proxy", "kube-proxy", own("kube-proxy"), proxy, 1, []string{"kube-proxy"}},
	}
}

// within says whether all of some labels are among others.
func within(some, all map[string]string) bool {
	for k, v := range some {
		if all[k] != v {
			return false
		}
	}
	return true
}
