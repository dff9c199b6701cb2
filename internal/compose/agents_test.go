package compose

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chart"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/test/testcharts"
)

// everyAgent are settings that differ from what any chart has by itself.
func everyAgent() AgentSettings {
	return AgentSettings{
		Resources: &AgentResources{
			Requests: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("77Mi")},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("99Mi")},
		},
		Tolerations: []corev1.Toleration{
			{Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}, {Key: "a", Value: "b", Effect: corev1.TaintEffectNoExecute, TolerationSeconds: ptr[int64](30)},
		},
		NodeSelector: map[string]string{"pool": "gpu"}, MaxUnavailable: atMost("17%"),
	}
}

// TestAgentsRender lets every chart read the settings of agents: what counts is what its pods come to.
func TestAgentsRender(t *testing.T) {
	ours := cluster(func(s *facts.Snapshot) { s.Installed[0].Component = "kube-proxy" })
	embedded := func(name string) func(*testing.T) *chart.Chart {
		return func(t *testing.T) *chart.Chart { return testcharts.Embedded(t, name) }
	}
	upstream := func(name, version string) func(*testing.T) *chart.Chart {
		return func(t *testing.T) *chart.Chart { return testcharts.Upstream(t, name, version) }
	}
	set := agentSettings(everyAgent())
	for _, tc := range []struct {
		name, release string
		chart         func(*testing.T) *chart.Chart
		in            func(...func(*Input)) Input
		set           func(*Input)
		// agents by object, with the container that has the resources; the others have none of them.
		agents map[string]string
	}{
		{"Flannel", "flannel", embedded("flannel"), flannel, set, map[string]string{"DaemonSet kube-flannel-ds": "kube-flannel"}},
		{"Flannel that was taken over", "flannel", embedded("flannel"), func(edits ...func(*Input)) Input {
			return flannel(append([]func(*Input){kubectlFlannel, noPools, adopt}, edits...)...)
		}, set, map[string]string{"DaemonSet kube-flannel-ds": "kube-flannel"}},
		{"kube-proxy that was taken over", "kube-proxy", embedded("kube-proxy"), func(edits ...func(*Input)) Input {
			return flannel(append([]func(*Input){kubeadmProxy, mode(KubeProxyIPTables), adopt}, edits...)...)
		}, proxyAgents(everyAgent()), map[string]string{"DaemonSet kube-proxy": "kube-proxy"}},
		{"kube-proxy", "kube-proxy", embedded("kube-proxy"), func(edits ...func(*Input)) Input {
			return flannel(append([]func(*Input){ours, mode(KubeProxyIPTables)}, edits...)...)
		}, proxyAgents(everyAgent()), map[string]string{"DaemonSet kube-proxy": "kube-proxy"}},
		{"Cilium 1.20", "cilium", upstream("cilium", "1.20.0"), cilium, set, map[string]string{"DaemonSet cilium": "cilium-agent", "DaemonSet cilium-envoy": ""}},
		{"Cilium 1.19", "cilium", upstream("cilium", "1.19.6"), cilium, set, map[string]string{"DaemonSet cilium": "cilium-agent", "DaemonSet cilium-envoy": ""}},
		{"Cilium 1.18", "cilium", upstream("cilium", "1.18.12"), cilium, set, map[string]string{"DaemonSet cilium": "cilium-agent", "DaemonSet cilium-envoy": ""}},
		{"Weave Net", "weave-net", embedded("weave-net"), weave, set, map[string]string{"DaemonSet weave-net": "weave"}},
		{"AWS VPC CNI", "aws-vpc-cni", upstream("aws-vpc-cni", "1.22.4"), eks, set, map[string]string{"DaemonSet aws-node": "aws-node"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := tc.chart(t)
			r := accepted(t, tc.in(labelled(3, "pool", "gpu"), tc.set))
			for _, e := range r.Effective {
				if strings.Contains(e.Setting, "olerations") && !strings.HasPrefix(e.Reason, "from spec.") || strings.Contains(e.Setting, "updateStrategy.") {
					t.Errorf("%s is %s by %q", e.Setting, e.Value, e.Reason)
				}
			}
			rel, v := releaseNamed(t, r, tc.release)
			objects := render(t, c, rel, v)
			for name, container := range tc.agents {
				checkAgent(t, name, objects[name], container)
			}
			// Without the field, everything is as the chart has it.
			_, without := releaseNamed(t, accepted(t, tc.in(labelled(3, "pool", "gpu"))), tc.release)
			for _, paths := range [][]string{agentsOf[rel.Spec.Type].tolerations, agentsOf[rel.Spec.Type].nodeSelector, agentsOf[rel.Spec.Type].updateStrategy} {
				for _, path := range paths {
					if _, there := lookup(c.Values, path); !there {
						t.Errorf("the chart has no %s", path)
					}
				}
			}
			if _, there := lookup(without, agentsOf[rel.Spec.Type].resources); there && !strings.Contains(tc.name, "taken over") {
				t.Error("resources are set though nobody asked")
			}
		})
	}
}

// TestAgentsOfTakenOver wants what was found to stay only as long as the spec says nothing else: afterwards it is the chart's.
func TestAgentsOfTakenOver(t *testing.T) {
	found := func(edits ...func(*Input)) Result {
		return accepted(t, flannel(append([]func(*Input){kubectlFlannel, noPools, adopt}, edits...)...))
	}
	next := func(r Result, edits ...func(*Input)) map[string]any {
		rel, _ := releaseNamed(t, r, "flannel")
		_, v := releaseNamed(t, found(append(edits, func(in *Input) {
			in.Facts.Installed[len(in.Facts.Installed)-1].Component = "flannel"
			in.Existing = map[string]NetworkComponentSpec{"flannel": rel.Spec}
		})...), "flannel")
		return v
	}
	if v, _ := lookup(next(found()), "flannel.tolerations"); cmp.Diff([]any{object{"operator": "Exists", "effect": "NoSchedule"}}, v) != "" {
		t.Errorf("what was found is %v", v)
	}
	v := next(found(labelled(3, "pool", "gpu"), agentSettings(everyAgent())))
	for _, path := range []string{"flannel.tolerations", "updateStrategy"} {
		if got, there := lookup(v, path); there {
			t.Errorf("%s stays %v", path, got)
		}
	}
	if v["layout"] != "manifest" {
		t.Errorf("the layout is %v", v["layout"])
	}
}

// checkAgent wants a DaemonSet to be as everyAgent says.
func checkAgent(t *testing.T, name string, ds object, container string) {
	t.Helper()
	pod, _ := lookup(ds, "spec.template.spec")
	if pod == nil {
		t.Fatalf("%s is not rendered", name)
	}
	spec := pod.(object)
	strategy, _ := lookup(ds, "spec.updateStrategy")
	if diff := cmp.Diff(object{"type": "RollingUpdate", "rollingUpdate": object{"maxUnavailable": "17%", "maxSurge": 0.0}}, strategy); diff != "" {
		t.Errorf("%s: strategy: %s", name, diff)
	}
	tolerations := []any{object{"operator": "Exists", "effect": "NoSchedule"}, object{"key": "a", "value": "b", "effect": "NoExecute", "tolerationSeconds": 30.0}}
	if diff := cmp.Diff(tolerations, spec["tolerations"]); diff != "" {
		t.Errorf("%s: tolerations: %s", name, diff)
	}
	if selector, _ := spec["nodeSelector"].(object); selector["pool"] != "gpu" {
		t.Errorf("%s: node selector %v", name, spec["nodeSelector"])
	}
	if container == "" {
		return
	}
	containers := spec["containers"].([]any)
	i := slices.IndexFunc(containers, func(c any) bool { return c.(object)["name"] == container })
	if i < 0 {
		t.Fatalf("%s has no container %s", name, container)
	}
	if diff := cmp.Diff(object{"requests": object{"memory": "77Mi"}, "limits": object{"memory": "99Mi"}}, containers[i].(object)["resources"]); diff != "" {
		t.Errorf("%s: resources: %s", name, diff)
	}
}

// TestCalicoAgentsRender looks for the settings in the Installation, of which the tigera-operator makes the agents.
func TestCalicoAgentsRender(t *testing.T) {
	c := testcharts.Upstream(t, "tigera-operator", "v3.32.1")
	rel, v := releaseNamed(t, accepted(t, calico(labelled(3, "pool", "gpu"), agentSettings(everyAgent()))), "calico")
	installation := render(t, c, rel, v)["Installation default"]
	for path, want := range map[string]any{
		calicoNodePod + ".containers": []any{object{
			"name": "calico-node", "resources": object{"requests": object{"memory": "77Mi"}, "limits": object{"memory": "99Mi"}},
		}},
		calicoNodePod + ".tolerations": []any{
			object{"operator": "Exists", "effect": "NoSchedule"}, object{"key": "a", "value": "b", "effect": "NoExecute", "tolerationSeconds": 30.0},
		},
		calicoNodePod + ".nodeSelector":   object{"pool": "gpu"},
		"installation.nodeUpdateStrategy": object{"type": "RollingUpdate", "rollingUpdate": object{"maxUnavailable": "17%", "maxSurge": 0.0}},
	} {
		got, _ := lookup(installation, "spec."+strings.TrimPrefix(path, "installation."))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
}

// TestPolicyRenders looks for what enforces NetworkPolicies in what charts render, and for what status says.
func TestPolicyRenders(t *testing.T) {
	for _, tc := range []struct {
		name      string
		in        Input
		effective string // "" for what the user said himself
		enforces  bool
	}{
		{"Flannel", flannel(), "Disabled", false},
		{"Flannel Disabled", flannel(policies(Disabled)), "", false},
		{"Flannel Enabled", flannel(policies(Enabled)), "", true},
		{"Flannel by values", flannel(values(object{"netpol": object{"enabled": true}})), "Enabled", true},
		{"Cilium", cilium(), "Enabled", true},
		{"Cilium Disabled", cilium(policies(Disabled)), "", false},
		{"Cilium Enabled", cilium(policies(Enabled)), "", true},
		{"Cilium by values", cilium(values(object{"policyEnforcementMode": "never"})), "Disabled", false},
		{"Cilium by other values", cilium(values(object{"k8sNetworkPolicy": object{"enabled": false}})), "Disabled", false},
		{"AWS", eks(), "Disabled", false},
		{"AWS Enabled", eks(policies(Enabled)), "", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := accepted(t, tc.in)
			if got := effective(r, "spec.cni.networkPolicy"); got != tc.effective {
				t.Errorf("status says %q, want %q", got, tc.effective)
			}
			var enforces bool
			switch tc.in.Stack.Spec.CNI.Type {
			case CNIFlannel:
				rel, v := releaseNamed(t, r, "flannel")
				objects := render(t, testcharts.Embedded(t, "flannel"), rel, v)
				containers, _ := lookup(objects["DaemonSet kube-flannel-ds"], "spec.template.spec.containers")
				enforces = len(containers.([]any)) == 2
			case CNICilium:
				for _, version := range []string{"1.20.0", "1.19.6", "1.18.12"} {
					rel, v := releaseNamed(t, r, "cilium")
					data, _ := lookup(render(t, testcharts.Upstream(t, "cilium", version), rel, v)["ConfigMap cilium-config"], "data")
					config := data.(object)
					enforces = config["enable-policy"] == "default" && config["enable-k8s-networkpolicy"] == "true"
				}
			default:
				rel, v := releaseNamed(t, r, "aws-vpc-cni")
				objects := render(t, testcharts.Upstream(t, "aws-vpc-cni", "1.22.4"), rel, v)
				data, _ := lookup(objects["ConfigMap amazon-vpc-cni"], "data")
				enforces = data.(object)["enable-network-policy-controller"] == "true"
			}
			if enforces != tc.enforces {
				t.Errorf("enforced: %v, want %v", enforces, tc.enforces)
			}
		})
	}
	if got := effective(accepted(t, calico()), "spec.cni.networkPolicy"); got != "Enabled" {
		t.Errorf("Calico: %q", got)
	}
}

// TestIgnoresPolicies says when it matters that there are NetworkPolicies: exactly when it is warned of.
func TestIgnoresPolicies(t *testing.T) {
	for _, tc := range findings() {
		if tc.in.Stack == nil || tc.in.Facts == nil {
			continue
		}
		in := copyInput(tc.in)
		in.Facts.NetworkPolicies = 7
		warned := slices.ContainsFunc(Compose(in).Warnings, func(f Finding) bool { return f.Rule == "POLICY-IGNORED" })
		if IgnoresPolicies(tc.in) != warned {
			t.Errorf("%s: warned of NetworkPolicies: %v", tc.name, warned)
		}
	}
}

// effective is a setting's value in status; empty when it is not there.
func effective(r Result, setting string) string {
	for _, e := range r.Effective {
		if e.Setting == setting {
			return e.Value
		}
	}
	return ""
}

// TestMetricsRender looks for endpoints and monitors in what charts render. Auto makes monitors when the cluster defines them.
func TestMetricsRender(t *testing.T) {
	labels := map[string]string{"release": "prometheus"}
	for _, tc := range []struct {
		name     string
		metrics  *MetricsSpec
		defined  bool
		serve    bool // as far as the plugin does not serve them anyway
		monitors bool
	}{
		{"left out", nil, true, false, false},
		{"Auto without definitions", &MetricsSpec{ServiceMonitorLabels: labels}, false, true, false},
		{"Auto", &MetricsSpec{ServiceMonitorLabels: labels}, true, true, true},
		{"Auto by name", &MetricsSpec{Endpoints: Enabled, ServiceMonitors: MonitorsAuto, ServiceMonitorLabels: labels}, true, true, true},
		{"Enabled", &MetricsSpec{ServiceMonitors: MonitorsEnabled, ServiceMonitorLabels: labels}, true, true, true},
		{"no monitors", &MetricsSpec{ServiceMonitors: MonitorsDisabled}, true, true, false},
		{"no endpoints", &MetricsSpec{Endpoints: Disabled}, true, false, false},
	} {
		edit := func(in *Input) {
			in.Stack.Spec.CNI.Metrics = tc.metrics
			if tc.defined {
				prometheus(in)
			}
		}
		for _, version := range []string{"1.20.0", "1.19.6", "1.18.12"} {
			t.Run("Cilium "+version+" "+tc.name, func(t *testing.T) {
				rel, v := releaseNamed(t, accepted(t, cilium(edit)), "cilium")
				objects := render(t, testcharts.Upstream(t, "cilium", version), rel, v)
				data, _ := lookup(objects["ConfigMap cilium-config"], "data")
				if served := data.(object)["prometheus-serve-addr"] != nil; served != tc.serve {
					t.Errorf("the agents serve metrics: %v", served)
				}
				operator := data.(object)["operator-prometheus-serve-addr"] != nil
				if want := tc.serve || tc.metrics == nil; operator != want {
					t.Errorf("the operator serves metrics: %v", operator)
				}
				checkMonitors(t, objects, tc.monitors, "ServiceMonitor cilium-agent", "ServiceMonitor cilium-operator", "ServiceMonitor cilium-envoy")
			})
		}
		t.Run("AWS "+tc.name, func(t *testing.T) {
			rel, v := releaseNamed(t, accepted(t, eks(edit)), "aws-vpc-cni")
			objects := render(t, testcharts.Upstream(t, "aws-vpc-cni", "1.22.4"), rel, v)
			env := environmentOf(t, objects["DaemonSet aws-node"], "containers", "aws-node")
			if served := env["DISABLE_METRICS"] == "false"; served != (tc.serve || tc.metrics == nil) {
				t.Errorf("DISABLE_METRICS is %q", env["DISABLE_METRICS"])
			}
			checkMonitors(t, objects, tc.monitors, "PodMonitor aws-node")
		})
		if tc.metrics != nil && tc.metrics.ServiceMonitors == MonitorsEnabled {
			continue // refused with Calico
		}
		t.Run("Calico "+tc.name, func(t *testing.T) {
			rel, v := releaseNamed(t, accepted(t, calico(edit)), "calico")
			objects := render(t, testcharts.Upstream(t, "tigera-operator", "v3.32.1"), rel, v)
			felix, _ := lookup(objects["FelixConfiguration default"], "spec.prometheusMetricsEnabled")
			typha, _ := lookup(objects["Installation default"], "spec.typhaMetricsPort")
			if (felix == true) != tc.serve || (typha == 9093.0) != tc.serve {
				t.Errorf("Felix %v, Typha %v", felix, typha)
			}
		})
	}
}

// checkMonitors wants all of these objects, with the label that was asked for, or no monitor at all.
func checkMonitors(t *testing.T, objects map[string]object, wanted bool, names ...string) {
	t.Helper()
	for _, name := range names {
		label, _ := lookup(objects[name], "metadata.labels.release")
		if there := objects[name] != nil; there != wanted || wanted && label != "prometheus" {
			t.Errorf("%s: %v, with label %v", name, there, label)
		}
	}
	for name := range objects {
		if strings.Contains(name, "Monitor ") && !slices.Contains(names, name) {
			t.Errorf("%s is one too many", name)
		}
	}
}
