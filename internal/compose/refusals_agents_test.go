package compose

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
)

// agentSettings sets those of the network plugin.
func agentSettings(a AgentSettings) func(*Input) {
	return func(in *Input) { in.Stack.Spec.CNI.Agents = &a }
}

// proxyAgents sets those of kube-proxy.
func proxyAgents(a AgentSettings) func(*Input) {
	return func(in *Input) { in.Stack.Spec.KubeProxy.Agents = &a }
}

func policies(p Toggle) func(*Input) { return func(in *Input) { in.Stack.Spec.CNI.NetworkPolicy = p } }

func metrics(m MetricsSpec) func(*Input) { return func(in *Input) { in.Stack.Spec.CNI.Metrics = &m } }

// prometheus is a cluster with the definitions of Prometheus' operator.
func prometheus(in *Input) { in.Facts.ServiceMonitors, in.Facts.PodMonitors = true, true }

// policyCount are NetworkPolicies of the cluster.
func policyCount(n int) func(*Input) { return func(in *Input) { in.Facts.NetworkPolicies = n } }

func atMost(text string) *intstr.IntOrString { return ptr(intstr.Parse(text)) }

func pace(text string) func(*Input) {
	return agentSettings(AgentSettings{MaxUnavailable: atMost(text)})
}

// tolerating are these tolerations, and that of nodes that are not ready.
func tolerating(t ...corev1.Toleration) func(*Input) {
	return agentSettings(AgentSettings{Tolerations: append([]corev1.Toleration{notReady}, t...)})
}

var (
	notReady = corev1.Toleration{Key: "node.kubernetes.io/not-ready", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}
	all      = corev1.Toleration{Operator: corev1.TolerationOpExists}
)

// labelled gives nodes a label, the first n of them.
func labelled(n int, key, value string) func(*Input) {
	return func(in *Input) {
		for i := range in.Facts.Nodes[:n] {
			in.Facts.Nodes[i].Labels = map[string]string{key: value}
		}
	}
}

// tainted taints the first n nodes.
func tainted(n int, taints ...corev1.Taint) func(*Input) {
	return func(in *Input) {
		for i := range in.Facts.Nodes[:n] {
			in.Facts.Nodes[i].Taints = taints
		}
	}
}

// manyNodes are n nodes alike.
func manyNodes(n int) func(*Input) {
	return func(in *Input) {
		for i := len(in.Facts.Nodes); i < n; i++ {
			node := in.Facts.Nodes[0]
			node.Name = fmt.Sprintf("n%d", i+1)
			node.PodCIDRs, node.InternalIPs = prefixes(fmt.Sprintf("10.244.%d.0/24", i)), addrs(fmt.Sprintf("192.168.11.%d", i))
			in.Facts.Nodes = append(in.Facts.Nodes, node)
		}
	}
}

func withAgents(cni CNIType, in ...func(*Input)) Input {
	if cni == CNIAWSVPC {
		return eks(in...)
	}
	return input(cni, in...)
}

func agentFindings() []finding {
	ours := func(in *Input) { in.Facts.Installed[0].Component = "kube-proxy" }
	proxy := func(edits ...func(*Input)) Input {
		return flannel(append([]func(*Input){mode(KubeProxyIPTables), ours}, edits...)...)
	}
	gpu := map[string]string{"pool": "gpu"}
	list := func(pairs ...string) corev1.ResourceList {
		out := corev1.ResourceList{}
		for i := 0; i < len(pairs); i += 2 {
			out[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
		}
		return out
	}
	controlPlane := corev1.Taint{Key: "node-role.kubernetes.io/control-plane", Effect: corev1.TaintEffectNoSchedule}
	dedicated := corev1.Taint{Key: "dedicated", Value: "db", Effect: corev1.TaintEffectNoExecute}
	var out []finding
	for _, cni := range []CNIType{CNIFlannel, CNICilium, CNICalico, CNIAWSVPC} {
		out = append(out, finding{name: fmt.Sprintf("agents of %s: everything", cni), in: withAgents(cni, labelled(3, "pool", "gpu"), agentSettings(AgentSettings{
			Resources:   &AgentResources{Requests: list("cpu", "200m", "hugepages-2Mi", "4Mi"), Limits: list("cpu", "1", "example.com/device", "1")},
			Tolerations: []corev1.Toleration{all}, NodeSelector: gpu, MaxUnavailable: atMost("50%"),
		}))}, finding{name: fmt.Sprintf("agents of %s: 13 no pace", cni), in: withAgents(cni, pace("0")), errors: []string{
			`spec.cni.agents.maxUnavailable: Invalid value: "0": with 0 no agent is ever replaced: use 1 or more [ROLLOUT-STUCK]`,
		}}, finding{name: fmt.Sprintf("agents of %s: nowhere", cni), in: withAgents(cni, agentSettings(AgentSettings{NodeSelector: gpu})), errors: []string{
			`spec.cni.agents.nodeSelector: Invalid value: "pool=gpu": none of the 3 Linux nodes has these labels, so there would be no agent at all: correct it, or label nodes first [AGENTS-NOWHERE]`,
		}})
	}
	return append(out, []finding{
		{name: "agents of Weave Net: 13 no pace", in: weave(pace("0")), errors: []string{
			`spec.cni.agents.maxUnavailable: Invalid value: "0": with 0 no agent is ever replaced: use 1 or more [ROLLOUT-STUCK]`,
		}, warnings: []string{weaveLegacy}},
		{name: "agents: 13 share of none", in: flannel(pace("0%")), errors: []string{
			`spec.cni.agents.maxUnavailable: Invalid value: "0%": with 0 no agent is ever replaced: use 1 or more [ROLLOUT-STUCK]`,
		}},
		{name: "agents: 13 all at once", in: cilium(pace("100%")), errors: []string{
			`spec.cni.agents.maxUnavailable: Invalid value: "100%": a change would stop the agents of all nodes at once: use a number, or a smaller share [AGENTS-ALL-AT-ONCE]`,
		}},
		{name: "agents: no pace at all", in: cilium(pace("fast")), errors: []string{
			`spec.cni.agents.maxUnavailable: Invalid value: "fast": write a number such as 2, or a share such as 10% [AGENTS-PACE]`,
		}},
		{name: "agents: two of three", in: cilium(pace("2"))},
		{name: "agents: three of three", in: cilium(pace("3")), warnings: []string{
			"spec.cni.agents.maxUnavailable: 3 of 3 agents lets a change stop all of them at once: use less [ROLLOUT-ALL-AT-ONCE]",
		}},
		{name: "agents: a share that is all of three", in: cilium(pace("70%")), warnings: []string{
			"spec.cni.agents.maxUnavailable: 70% of 3 agents lets a change stop all of them at once: use less [ROLLOUT-ALL-AT-ONCE]",
		}},
		{name: "agents: one of one", in: cilium(pace("1"), cluster(func(s *facts.Snapshot) { s.Nodes = s.Nodes[:1] }))},
		{name: "agents: the pace of upstream's Flannel", in: flannel(pace("1"), func(in *Input) {
			in.Stack.Spec.CNI.Chart = &ChartReference{Repository: "https://flannel-io.github.io/flannel"}
		}), errors: []string{
			"spec.cni.agents.maxUnavailable: Forbidden: Flannel's upstream chart has no update strategy: remove it, or cni.chart to have the operator's own [AGENTS-PACE-UNKNOWN]",
		}},
		{name: "agents: on one node", in: flannel(labelled(1, "pool", "gpu"), agentSettings(AgentSettings{NodeSelector: gpu})), warnings: []string{
			"spec.cni.agents.nodeSelector: 2 of 3 Linux nodes (nodes n2 and n3) get no agent, and pods there have no network: label them too, or see to it otherwise [AGENTS-UNSELECTED-NODES]",
		}},
		{name: "agents: on one node, in place of kube-proxy", in: cilium(mode(KubeProxyReplaced), labelled(1, "pool", "gpu"), agentSettings(AgentSettings{NodeSelector: gpu})), warnings: []string{
			"spec.cni.agents.nodeSelector: 2 of 3 Linux nodes (nodes n2 and n3) get no agent, and pods there have no network and nobody programs Services: label them too, or see to it otherwise [AGENTS-UNSELECTED-NODES]",
		}},
		{name: "agents: on most of many", in: cilium(manyNodes(12), labelled(7, "pool", "gpu"), agentSettings(AgentSettings{NodeSelector: gpu, MaxUnavailable: atMost("7")})), warnings: []string{
			"spec.cni.agents.nodeSelector: 5 of 12 Linux nodes (nodes n8, n9, n10 and 2 more) get no agent, and pods there have no network: label them too, or see to it otherwise [AGENTS-UNSELECTED-NODES]",
			"spec.cni.agents.maxUnavailable: 7 of 7 agents lets a change stop all of them at once: use less [ROLLOUT-ALL-AT-ONCE]",
		}},
		{name: "agents: nodes of Windows are not missed", in: flannel(labelled(3, "pool", "gpu"), agentSettings(AgentSettings{NodeSelector: gpu}), cluster(func(s *facts.Snapshot) {
			s.Nodes[2].OS, s.Nodes[2].Labels = "windows", nil
		})), warnings: []string{"spec.cni.type: node n3 runs Windows; Flannel is installed on Linux nodes only [WINDOWS-NODES]"}},
		{name: "agents: labels that are none", in: flannel(agentSettings(AgentSettings{NodeSelector: map[string]string{"a b": "x", "c": "not so"}}), cluster(func(s *facts.Snapshot) {
			for i := range s.Nodes {
				s.Nodes[i].Labels = map[string]string{"a b": "x", "c": "not so"}
			}
		})), errors: []string{
			`spec.cni.agents.nodeSelector: Invalid value: "a b": is not the key of a label: write a name such as example.com/role [AGENTS-LABELS]`,
			`spec.cni.agents.nodeSelector[c]: Invalid value: "not so": is not the value of a label: use at most 63 letters, digits, -, _ and dots [AGENTS-LABELS]`,
		}},
		{name: "agents: what new nodes are tainted with", in: flannel(agentSettings(AgentSettings{Tolerations: []corev1.Toleration{{Key: "dedicated", Operator: corev1.TolerationOpExists}}})), errors: []string{
			"spec.cni.agents.tolerations: Invalid value: no toleration of node.kubernetes.io/not-ready:NoSchedule, the taint of a node on which the network plugin does not run yet, so it never would: add {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoSchedule} [AGENTS-NOT-READY]",
		}},
		{name: "agents: what Cilium taints new nodes with", in: cilium(tolerating()), errors: []string{
			"spec.cni.agents.tolerations: Invalid value: no toleration of node.cilium.io/agent-not-ready:NoSchedule, the taint of a node on which the network plugin does not run yet, so it never would: add {key: node.cilium.io/agent-not-ready, operator: Exists, effect: NoSchedule} [AGENTS-NOT-READY]",
		}},
		{name: "agents: Cilium's taint by another name", in: cilium(values(object{"agentNotReadyTaintKey": "example.com/starting"}), tolerating(corev1.Toleration{Key: "example.com/starting", Operator: corev1.TolerationOpExists}))},
		{name: "agents: tolerations are enough", in: calico(tainted(3, controlPlane, dedicated, corev1.Taint{Key: "x", Effect: corev1.TaintEffectPreferNoSchedule}),
			tolerating(corev1.Toleration{Key: controlPlane.Key, Operator: corev1.TolerationOpExists}, corev1.Toleration{Key: "dedicated", Value: "db", Effect: corev1.TaintEffectNoExecute}))},
		{name: "agents: tainted nodes", in: calico(tainted(2, controlPlane, dedicated),
			tolerating(corev1.Toleration{Key: controlPlane.Key, Operator: corev1.TolerationOpExists}, corev1.Toleration{Key: "dedicated", Value: "web"})), warnings: []string{
			"spec.cni.agents.tolerations: 2 of 3 Linux nodes (nodes n1 and n2) get no agent, and pods there have no network: tolerate their taints, such as dedicated=db:NoExecute, or see to it otherwise [AGENTS-TAINTED-NODES]",
		}},
		{name: "agents: tainted nodes that are not selected", in: calico(tainted(1, dedicated), func(in *Input) {
			for i := range in.Facts.Nodes[1:] {
				in.Facts.Nodes[1+i].Labels = gpu
			}
			in.Stack.Spec.CNI.Agents = &AgentSettings{Tolerations: []corev1.Toleration{notReady}, NodeSelector: gpu}
		}), warnings: []string{
			"spec.cni.agents.nodeSelector: 1 of 3 Linux nodes (node n1) gets no agent, and pods there have no network: label it too, or see to it otherwise [AGENTS-UNSELECTED-NODES]",
		}},
		{name: "agents: tolerations that are none", in: flannel(tolerating(
			corev1.Toleration{Key: "a", Operator: "Lt", Value: "3"}, corev1.Toleration{Key: "a", Operator: corev1.TolerationOpExists, Value: "x"},
			corev1.Toleration{Value: "x"}, corev1.Toleration{Key: "a b", Value: "not so"}, corev1.Toleration{Key: "a", Effect: "Never"},
			corev1.Toleration{Key: "a", Effect: corev1.TaintEffectNoSchedule, TolerationSeconds: ptr[int64](3)})), errors: []string{
			`spec.cni.agents.tolerations[1].operator: Invalid value: "Lt": use Exists or Equal [AGENTS-TOLERATION]`,
			`spec.cni.agents.tolerations[2].value: Invalid value: "x": has no meaning with operator Exists: remove it, or use Equal [AGENTS-TOLERATION]`,
			`spec.cni.agents.tolerations[3].operator: Invalid value: "": without a key it has to be Exists, which tolerates every taint [AGENTS-TOLERATION]`,
			`spec.cni.agents.tolerations[4].key: Invalid value: "a b": is not the key of a taint: write it as the node has it, such as example.com/dedicated [AGENTS-TOLERATION]`,
			`spec.cni.agents.tolerations[4].value: Invalid value: "not so": is not the value of a taint: use at most 63 letters, digits, -, _ and dots [AGENTS-TOLERATION]`,
			`spec.cni.agents.tolerations[5].effect: Invalid value: "Never": use NoSchedule, PreferNoSchedule or NoExecute, or leave it out for all of them [AGENTS-TOLERATION]`,
			"spec.cni.agents.tolerations[6].tolerationSeconds: Invalid value: 3: goes with effect NoExecute alone: remove it [AGENTS-TOLERATION]",
		}},
		{name: "agents: resources that are none", in: flannel(agentSettings(AgentSettings{Resources: &AgentResources{
			Requests: list("cpu", "2", "memory", "-1", "pods", "3"), Limits: list("cpu", "1500m", "memory", "1Gi"),
		}})), errors: []string{
			`spec.cni.agents.resources.requests[cpu]: Invalid value: "2": is more than the limit, 1500m: lower it, or raise that [AGENTS-RESOURCES]`,
			`spec.cni.agents.resources.requests[memory]: Invalid value: "-1": must not be negative [AGENTS-RESOURCES]`,
			`spec.cni.agents.resources.requests: Invalid value: "pods": is not a resource of containers: use cpu, memory, ephemeral-storage, hugepages-2Mi, or an extended resource such as example.com/device [AGENTS-RESOURCES]`,
		}},
		{name: "agents: values beside", in: flannel(pace("1"), values(object{"updateStrategy": object{"type": "OnDelete"}})), errors: []string{
			"spec.cni.values: Forbidden: values.updateStrategy is controlled by spec.cni.agents.maxUnavailable; remove it [VALUES-CONTROLLED]",
		}},
		{name: "agents: of somebody else", in: external(agentSettings(AgentSettings{}), policies(Enabled), metrics(MetricsSpec{})), errors: []string{
			"spec.cni.agents: Forbidden: with type External the CNI is not managed here: remove it, or name the CNI in type [CNI-EXTERNAL-FIELD]",
			"spec.cni.networkPolicy: Forbidden: with type External the CNI is not managed here: remove it, or name the CNI in type [CNI-EXTERNAL-FIELD]",
			"spec.cni.metrics: Forbidden: with type External the CNI is not managed here: remove it, or name the CNI in type [CNI-EXTERNAL-FIELD]",
		}},
		{name: "agents of kube-proxy: everything", in: proxy(labelled(3, "pool", "gpu"), proxyAgents(AgentSettings{
			Resources: &AgentResources{Limits: list("memory", "1Gi")}, Tolerations: []corev1.Toleration{all}, NodeSelector: gpu, MaxUnavailable: atMost("2"),
		}))},
		{name: "agents of kube-proxy: on one node, none of it", in: proxy(labelled(1, "pool", "gpu"), proxyAgents(AgentSettings{
			Tolerations: []corev1.Toleration{{Key: "x", Value: "y"}}, NodeSelector: gpu, MaxUnavailable: atMost("0"),
		})), errors: []string{
			"spec.kubeProxy.agents.tolerations: Invalid value: no toleration of node.kubernetes.io/not-ready:NoSchedule, the taint of a node on which the network plugin does not run yet, so it never would: add {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoSchedule} [AGENTS-NOT-READY]",
			`spec.kubeProxy.agents.maxUnavailable: Invalid value: "0": with 0 no agent is ever replaced: use 1 or more [ROLLOUT-STUCK]`,
		}, warnings: []string{
			"spec.kubeProxy.agents.nodeSelector: 2 of 3 Linux nodes (nodes n2 and n3) get no agent, and nobody programs Services there: label them too, or see to it otherwise [AGENTS-UNSELECTED-NODES]",
		}},
		{name: "agents of a kube-proxy that is not installed", in: cilium(mode(KubeProxyReplaced), ours, proxyAgents(AgentSettings{})), errors: []string{
			"spec.kubeProxy.agents: Forbidden: with mode Replaced no kube-proxy is installed: remove it, or choose IPTables or NFTables [PROXY-FIELD]",
		}},
	}...)
}

func policyFindings() []finding {
	return []finding{
		{name: "policies: of Flannel", in: flannel(policies(Enabled))},
		{name: "policies: not of Flannel", in: flannel(policies(Disabled))},
		{name: "policies: of Cilium", in: cilium(policies(Enabled))},
		{name: "policies: not of Cilium", in: cilium(policies(Disabled))},
		{name: "policies: of Calico", in: calico(policies(Enabled))},
		{name: "policies: not of Calico", in: calico(policies(Disabled)), errors: []string{
			`spec.cni.networkPolicy: Invalid value: "Disabled": Calico always enforces NetworkPolicies: remove it, or use another type [POLICY-CALICO]`,
		}},
		{name: "policies: 37 that Flannel ignores", in: flannel(policyCount(3)), warnings: []string{
			"spec.cni.networkPolicy: nothing enforces the NetworkPolicies of the cluster, of which there are 3: set it to Enabled, or delete them [POLICY-IGNORED]",
		}},
		{name: "policies: 37 very many that Cilium is to ignore", in: cilium(policyCount(1000), policies(Disabled)), warnings: []string{
			"spec.cni.networkPolicy: nothing enforces the NetworkPolicies of the cluster, of which there are 1000 or more: set it to Enabled, or delete them [POLICY-IGNORED]",
		}},
		{name: "policies: 37 that Flannel's agents enforce", in: flannel(policyCount(3), policies(Enabled))},
		{name: "policies: 37 that Calico enforces", in: calico(policyCount(3))},
		{name: "policies: 37 that Calico enforces beside AWS", in: eks(policyCount(3), there(
			facts.Installed{Type: facts.InstalledAWSVPC, Namespace: "kube-system", Name: "aws-node", Component: "aws-vpc-cni"},
			facts.Installed{Type: facts.InstalledCalico, Namespace: "calico-system", Name: "calico-node"}))},
		{name: "policies: not of Weave Net", in: weave(policies(Disabled)), warnings: []string{weaveLegacy}},
		{name: "policies: values beside", in: cilium(policies(Enabled), values(object{"policyEnforcementMode": "always"})), errors: []string{
			"spec.cni.values: Forbidden: values.policyEnforcementMode is controlled by spec.cni.networkPolicy; remove it [VALUES-CONTROLLED]",
		}},
		{name: "policies: something else", in: flannel(policies("Sometimes")), errors: []string{
			`spec.cni.networkPolicy: Unsupported value: "Sometimes": supported values: "Enabled", "Disabled" [STACK-UNKNOWN-VALUE]`,
		}},
	}
}

func metricsFindings() []finding {
	release := map[string]string{"release": "prometheus"}
	return []finding{
		{name: "metrics: of Cilium", in: cilium(metrics(MetricsSpec{}))},
		{name: "metrics: of Calico", in: calico(metrics(MetricsSpec{ServiceMonitors: MonitorsAuto}))},
		{name: "metrics: of the AWS VPC CNI", in: eks(prometheus, metrics(MetricsSpec{ServiceMonitors: MonitorsEnabled, ServiceMonitorLabels: release}))},
		{name: "metrics: not of Flannel", in: flannel(metrics(MetricsSpec{Endpoints: Disabled}))},
		{name: "metrics: of Flannel", in: flannel(metrics(MetricsSpec{})), errors: []string{
			"spec.cni.metrics: Forbidden: Flannel serves no metrics: remove it, or use type Cilium or Calico [METRICS-FLANNEL]",
		}},
		{name: "metrics: monitors of nothing", in: cilium(prometheus, metrics(MetricsSpec{Endpoints: Disabled, ServiceMonitors: MonitorsEnabled})), errors: []string{
			`spec.cni.metrics.serviceMonitors: Invalid value: "Enabled": there is nothing to scrape while endpoints is Disabled: enable endpoints, or remove serviceMonitors [METRICS-NOTHING]`,
		}},
		{name: "metrics: monitors of Calico", in: calico(prometheus, metrics(MetricsSpec{ServiceMonitors: MonitorsEnabled})), errors: []string{
			`spec.cni.metrics.serviceMonitors: Invalid value: "Enabled": Calico's chart makes none: remove it, and make Services and ServiceMonitors beside the stack, as the user guide has them [METRICS-NO-MONITORS]`,
		}},
		{name: "metrics: of Weave Net", in: weave(metrics(MetricsSpec{})), warnings: []string{weaveLegacy}},
		{name: "metrics: neither of Weave Net nor monitors", in: weave(prometheus, metrics(MetricsSpec{Endpoints: Disabled})), errors: []string{
			`spec.cni.metrics.endpoints: Invalid value: "Disabled": Weave Net always serves metrics: remove it, or use another type [METRICS-ALWAYS]`,
		}, warnings: []string{weaveLegacy}},
		{name: "metrics: monitors of Weave Net", in: weave(prometheus, metrics(MetricsSpec{ServiceMonitors: MonitorsEnabled})), errors: []string{
			`spec.cni.metrics.serviceMonitors: Invalid value: "Enabled": WeaveNet's chart makes none: remove it, and make Services and ServiceMonitors beside the stack, as the user guide has them [METRICS-NO-MONITORS]`,
		}, warnings: []string{weaveLegacy}},
		{name: "metrics: 13 monitors without a definition", in: cilium(metrics(MetricsSpec{ServiceMonitors: MonitorsEnabled}), cluster(func(s *facts.Snapshot) { s.PodMonitors = true })), errors: []string{
			`spec.cni.metrics.serviceMonitors: Invalid value: "Enabled": the cluster has no kind ServiceMonitor (monitoring.coreos.com): install Prometheus' operator or its definitions, or use Auto [METRICS-MONITORS-UNDEFINED]`,
		}},
		{name: "metrics: 13 monitors of pods without a definition", in: eks(metrics(MetricsSpec{ServiceMonitors: MonitorsEnabled}), cluster(func(s *facts.Snapshot) { s.ServiceMonitors = true })), errors: []string{
			`spec.cni.metrics.serviceMonitors: Invalid value: "Enabled": the cluster has no kind PodMonitor (monitoring.coreos.com): install Prometheus' operator or its definitions, or use Auto [METRICS-MONITORS-UNDEFINED]`,
		}},
		{name: "metrics: labels wait for a definition", in: cilium(metrics(MetricsSpec{ServiceMonitorLabels: release}))},
		{name: "metrics: labels of nothing", in: cilium(metrics(MetricsSpec{ServiceMonitors: MonitorsDisabled, ServiceMonitorLabels: map[string]string{"release": "a b"}})), errors: []string{
			`spec.cni.metrics.serviceMonitorLabels[release]: Invalid value: "a b": is not the value of a label: use at most 63 letters, digits, -, _ and dots [AGENTS-LABELS]`,
		}, warnings: []string{
			"spec.cni.metrics.serviceMonitorLabels: has no effect, for no ServiceMonitors are made: remove it [METRICS-LABELS-UNUSED]",
		}},
		{name: "metrics: values beside", in: cilium(metrics(MetricsSpec{}), values(object{"prometheus": object{"enabled": false}})), errors: []string{
			"spec.cni.values: Forbidden: values.prometheus.enabled is controlled by spec.cni.metrics.endpoints; remove it [VALUES-CONTROLLED]",
		}},
		{name: "metrics: something else", in: cilium(metrics(MetricsSpec{Endpoints: "On", ServiceMonitors: "On"})), errors: []string{
			`spec.cni.metrics.endpoints: Unsupported value: "On": supported values: "Enabled", "Disabled" [STACK-UNKNOWN-VALUE]`,
			`spec.cni.metrics.serviceMonitors: Unsupported value: "On": supported values: "Auto", "Enabled", "Disabled" [STACK-UNKNOWN-VALUE]`,
		}},
	}
}
