package matrix_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/test/testcharts"
)

// commonCell is one combination of what all network plugins have in common.
type commonCell struct {
	cni     CNIType
	policy  Toggle
	metrics *MetricsSpec
	// defined says that the cluster has the kinds of Prometheus' operator.
	defined bool
	agents  bool
}

func (c commonCell) String() string {
	text := fmt.Sprintf("%s policy=%s defined=%v agents=%v", c.cni, c.policy, c.defined, c.agents)
	if c.metrics != nil {
		text += fmt.Sprintf(" endpoints=%s monitors=%s", c.metrics.Endpoints, c.metrics.ServiceMonitors)
	}
	return text
}

func commonCells(cni CNIType) []commonCell {
	all := []*MetricsSpec{nil}
	for _, endpoints := range []Toggle{"", Disabled} {
		for _, monitors := range []MonitorMode{"", MonitorsAuto, MonitorsEnabled, MonitorsDisabled} {
			all = append(all, &MetricsSpec{Endpoints: endpoints, ServiceMonitors: monitors})
		}
	}
	var out []commonCell
	for _, policy := range []Toggle{"", Enabled, Disabled} {
		for _, metrics := range all {
			for _, defined := range []bool{false, true} {
				out = append(out, commonCell{cni, policy, metrics, defined, false})
				if policy == "" { // with the others they have nothing to do
					out = append(out, commonCell{cni, policy, metrics, defined, true})
				}
			}
		}
	}
	return out
}

// served says whether metrics are asked for.
func (c commonCell) served() bool { return c.metrics != nil && c.metrics.Endpoints != Disabled }

func (c commonCell) makesMonitors() bool { return c.cni == CNICilium || c.cni == CNIAWSVPC }

// refused are the fields that have to be refused, found out without the composition.
func (c commonCell) refused() []string {
	fields := map[string]bool{}
	if c.cni == CNICalico && c.policy == Disabled {
		fields["spec.cni.networkPolicy"] = true
	}
	if c.cni == CNIWeaveNet && c.metrics != nil && !c.served() {
		fields["spec.cni.metrics.endpoints"] = true
	}
	if c.cni == CNIFlannel && c.served() {
		fields["spec.cni.metrics"] = true
	} else if c.metrics != nil && c.metrics.ServiceMonitors == MonitorsEnabled && (!c.served() || !c.makesMonitors() || !c.defined) {
		fields["spec.cni.metrics.serviceMonitors"] = true
	}
	return slices.Sorted(maps.Keys(fields))
}

func (c commonCell) input() compose.Input {
	in := settings{families: []IPFamily{IPv4}, encryption: EncryptionNone, mode: KubeProxyUnmanaged}.input()
	s := &in.Stack.Spec
	s.CNI.Type, s.CNI.NetworkPolicy, s.CNI.Metrics = c.cni, c.policy, c.metrics
	in.Facts.ServiceMonitors, in.Facts.PodMonitors = c.defined, c.defined
	in.Facts.Nodes[0].PodCIDRs = []netip.Prefix{netip.MustParsePrefix("10.244.3.0/24")}
	in.Facts.Nodes[0].Labels = map[string]string{"pool": "gpu"}
	if c.cni == CNIWeaveNet {
		s.CNI.WeaveNet = &WeaveNetSpec{AcknowledgeLegacy: true}
	}
	if c.cni == CNIAWSVPC {
		s.IPPools = nil
		in.Facts.Cloud, in.Facts.Distribution = facts.CloudAWS, facts.DistributionEKS
	}
	if c.agents {
		pace := intstr.FromString("17%")
		s.CNI.Agents = &AgentSettings{
			Resources: &AgentResources{
				Requests: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("77Mi")}, Limits: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1500m")},
			},
			Tolerations:  []corev1.Toleration{{Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}},
			NodeSelector: map[string]string{"pool": "gpu"}, MaxUnavailable: &pace,
		}
	}
	return in
}

// TestCommonSurface goes through what all network plugins have in common, with each one's own chart.
func TestCommonSurface(t *testing.T) {
	server := newStacks(t)
	for _, plugin := range []struct {
		cni            CNIType
		release        string
		chart          func(*testing.T) *chart.Chart
		composed, rule int
	}{
		{CNIFlannel, "flannel", func(t *testing.T) *chart.Chart { return testcharts.Embedded(t, "flannel") }, 30, 2},
		{CNICilium, "cilium", func(t *testing.T) *chart.Chart { return testcharts.Upstream(t, "cilium", "1.20.0") }, 60, 2},
		{CNICalico, "calico", func(t *testing.T) *chart.Chart {
			for _, o := range render(t, testcharts.Upstream(t, "crd.projectcalico.org.v1", calicoVersion), compose.Release{Name: "calico-crds"}) {
				server.apply(o, false)
			}
			server.waitFor("operator.tigera.io/v1", "Installation")
			server.waitFor("crd.projectcalico.org/v1", "FelixConfiguration")
			return testcharts.Upstream(t, "tigera-operator", calicoVersion)
		}, 35, 3},
		{CNIWeaveNet, "weave-net", func(t *testing.T) *chart.Chart { return testcharts.Embedded(t, "weave-net") }, 30, 3},
		{CNIAWSVPC, "aws-vpc-cni", func(t *testing.T) *chart.Chart { return testcharts.Upstream(t, "aws-vpc-cni", awsVersion) }, 60, 2},
	} {
		t.Run(string(plugin.cni), func(t *testing.T) {
			for _, kind := range []string{"ServiceMonitor", "PodMonitor"} {
				server.apply(monitorDefinition(t, kind), false)
				server.waitFor("monitoring.coreos.com/v1", kind)
			}
			for _, name := range []string{"kube-flannel", "tigera-operator", "cilium-secrets"} {
				server.apply(&unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name}}}, false)
			}
			matrix[commonCell]{
				cells: commonCells(plugin.cni), release: plugin.release, upstream: plugin.chart(t), composed: plugin.composed, rules: plugin.rule,
				varies: func(o *unstructured.Unstructured) bool {
					return slices.Contains([]string{"DaemonSet", "ConfigMap", "ClusterRole", "ServiceMonitor", "PodMonitor", "Installation", "FelixConfiguration"}, o.GetKind())
				},
			}.run(t, server)
		})
	}
}

func monitorDefinition(t *testing.T, kind string) *unstructured.Unstructured {
	t.Helper()
	text := strings.ReplaceAll(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: PLURAL.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  scope: Namespaced
  names: {kind: KIND, plural: PLURAL}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
`, "PLURAL", strings.ToLower(kind)+"s")
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(strings.ReplaceAll(text, "KIND", kind)), &o.Object); err != nil {
		t.Fatal(err)
	}
	return o
}

// check looks for what was asked for.
func (c commonCell) check(t *testing.T, objects []*unstructured.Unstructured) {
	t.Helper()
	find := func(kind, name string) map[string]any {
		i := slices.IndexFunc(objects, func(o *unstructured.Unstructured) bool { return o.GetKind() == kind && o.GetName() == name })
		if i < 0 {
			t.Fatalf("%s: no %s %s", c, kind, name)
		}
		return objects[i].Object
	}
	text := func(o map[string]any, path ...string) string {
		v, _, _ := unstructured.NestedFieldNoCopy(o, path...)
		return fmt.Sprint(v)
	}
	monitors, want := 0, 0
	for _, o := range objects {
		if strings.HasSuffix(o.GetKind(), "Monitor") {
			monitors++
		}
	}
	if c.served() && c.defined && c.metrics.ServiceMonitors != MonitorsDisabled {
		want = map[CNIType]int{CNICilium: 3, CNIAWSVPC: 1}[c.cni]
	}
	if monitors != want {
		t.Errorf("%s: %d monitors, want %d", c, monitors, want)
	}
	var workload map[string]any
	strategy, pod := []string{"spec", "updateStrategy"}, []string{"spec", "template", "spec"}
	var enforced, served bool
	switch c.cni {
	case CNICilium:
		workload = find("DaemonSet", "cilium")
		data := find("ConfigMap", "cilium-config")
		enforced, served = text(data, "data", "enable-policy") == "default", text(data, "data", "prometheus-serve-addr") != "<nil>"
	case CNICalico:
		workload = find("Installation", "default")
		strategy, pod = []string{"spec", "nodeUpdateStrategy"}, []string{"spec", "calicoNodeDaemonSet", "spec", "template", "spec"}
		enforced, served = true, text(find("FelixConfiguration", "default"), "spec", "prometheusMetricsEnabled") == "true"
	case CNIWeaveNet:
		workload, served = find("DaemonSet", "weave-net"), true
		enforced = strings.Contains(text(workload, "spec", "template", "spec", "containers"), "weave-npc")
	case CNIAWSVPC:
		workload = find("DaemonSet", "aws-node")
		enforced = text(find("ConfigMap", "amazon-vpc-cni"), "data", "enable-network-policy-controller") == "true"
		served = strings.Contains(text(workload, "spec", "template", "spec", "containers"), "map[name:DISABLE_METRICS value:false]")
	default:
		workload = find("DaemonSet", "kube-flannel-ds")
		enforced = strings.Contains(text(workload, "spec", "template", "spec", "containers"), "kube-network-policies")
	}
	byItself := c.cni == CNICilium || c.cni == CNICalico || c.cni == CNIWeaveNet
	if wanted := c.policy == Enabled || c.policy == "" && byItself; enforced != wanted {
		t.Errorf("%s: enforced: %v", c, enforced)
	}
	if wanted := c.served() || c.metrics == nil && c.cni == CNIAWSVPC || c.cni == CNIWeaveNet; served != wanted {
		t.Errorf("%s: metrics are served: %v", c, served)
	}
	if (text(workload, append(strategy, "rollingUpdate", "maxUnavailable")...) == "17%") != c.agents ||
		(text(workload, append(pod, "nodeSelector", "pool")...) == "gpu") != c.agents ||
		(text(workload, append(pod, "tolerations")...) == "[map[effect:NoSchedule operator:Exists]]") != c.agents ||
		strings.Contains(text(workload, append(pod, "containers")...), "map[limits:map[cpu:1500m] requests:map[memory:77Mi]]") != c.agents {
		t.Errorf("%s: agents %v %v", c, text(workload, strategy...), text(workload, pod...))
	}
}
