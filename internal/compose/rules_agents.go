package compose

// Rules about the agents of network plugins and kube-proxy, and what they enforce and report.
var (
	ruleHostPortTaken = refuses(AreaAgents, Rule{
		ID:     "HOST-PORT-TAKEN",
		When:   "The values give two of the components the same port of the nodes.",
		Remedy: "Give one of them another port.",
		Source: "Both run in the network of each node: the second one to come cannot open the port, or is not scheduled.",
	})
	ruleHostPortFound = warns(AreaAgents, Rule{
		ID:     "HOST-PORT-FOUND",
		When:   "A component takes a port of the nodes that a DaemonSet of others declares.",
		Remedy: "Give one of them another port, or keep that DaemonSet away from the nodes.",
		Source: "Kubernetes schedules no two pods with the same host port on a node.",
	})
	ruleAgentsResources = refuses(AreaAgents, Rule{
		ID:     "AGENTS-RESOURCES",
		When:   "The agents' resources have a negative or unknown entry, or request more than the limit.",
		Remedy: "Write quantities of cpu, memory, ephemeral-storage, huge pages, or of extended resources with their domain.",
		Source: "Kubernetes refuses such pods.",
	})
	ruleAgentsToleration = refuses(AreaAgents, Rule{
		ID:     "AGENTS-TOLERATION",
		When:   "A toleration of the agents is not one that Kubernetes takes.",
		Remedy: "Write key, operator (Exists or Equal), value and effect as in a pod.",
		Source: "Kubernetes, taints and tolerations.",
	})
	ruleAgentsNotReady = refuses(AreaAgents, Rule{
		ID:     "AGENTS-NOT-READY",
		When:   "The agents' tolerations do not tolerate the taint that a node has until its network plugin runs.",
		Remedy: "Add a toleration of it, as the message has it.",
		Source: "Kubernetes taints nodes that are not ready, and the DaemonSet controller adds a toleration for the effect NoExecute only; Cilium's operator taints nodes without an agent.",
	})
	ruleAgentsTainted = warns(AreaAgents, Rule{
		ID:     "AGENTS-TAINTED-NODES",
		When:   "Nodes have taints that the agents' tolerations do not tolerate.",
		Remedy: "Add tolerations of them, or have somebody else serve these nodes.",
		Source: "A node without an agent gives pods no network, or no Services.",
	})
	ruleAgentsLabels = refuses(AreaAgents, Rule{
		ID:     "AGENTS-LABELS",
		When:   "Labels of nodeSelector or serviceMonitorLabels are no labels.",
		Remedy: "Write keys such as example.com/role, and values of at most 63 letters, digits, -, _ and dots.",
		Source: "Kubernetes, labels: their syntax.",
	})
	ruleAgentsNowhere = refuses(AreaAgents, Rule{
		ID:     "AGENTS-NOWHERE",
		When:   "No Linux node has the labels of the agents' nodeSelector.",
		Remedy: "Correct it, label nodes first, or remove it.",
		Source: "A DaemonSet that no node matches: the cluster would have no network, or lose the one it has.",
	})
	ruleAgentsSomewhere = warns(AreaAgents, Rule{
		ID:     "AGENTS-UNSELECTED-NODES",
		When:   "Linux nodes lack the labels of the agents' nodeSelector.",
		Remedy: "Label them too, or have somebody else serve these nodes.",
		Source: "A node without an agent gives pods no network, or no Services.",
	})
	ruleAgentsPace = refuses(AreaAgents, Rule{
		ID:        "AGENTS-PACE",
		APIServer: true,
		When:      "maxUnavailable of the agents is neither a number nor a share.",
		Remedy:    "Write a number such as 2, or a share such as 10%.",
		Source:    "Kubernetes, DaemonSet rolling update.",
	})
	ruleAgentsAllAtOnce = refuses(AreaAgents, Rule{
		ID:        "AGENTS-ALL-AT-ONCE",
		APIServer: true,
		When:      "maxUnavailable of the agents is 100% or more.",
		Remedy:    "Use a number, or a smaller share.",
		Source:    "Kubernetes, DaemonSet rolling update: a version that does not start takes the network of every node.",
	})
	ruleAgentsPaceUnknown = refuses(AreaAgents, Rule{
		ID:     "AGENTS-PACE-UNKNOWN",
		When:   "maxUnavailable is set, and Flannel's chart is not the operator's own.",
		Remedy: "Remove cni.chart, or maxUnavailable.",
		Source: "Flannel's upstream chart has no update strategy: its agents are replaced one by one.",
	})

	rulePolicyCalico = refuses(AreaAgents, Rule{
		ID:        "POLICY-CALICO",
		APIServer: true,
		When:      "networkPolicy is Disabled with Calico.",
		Remedy:    "Remove networkPolicy, or use another type.",
		Source:    "Calico, Felix: enforcement cannot be turned off.",
	})
	rulePolicyIgnored = warns(AreaAgents, Rule{
		ID:     "POLICY-IGNORED",
		When:   "The cluster has NetworkPolicies, and nothing enforces them.",
		Remedy: "Set networkPolicy to Enabled, or delete them.",
		Source: "Kubernetes, network policies: one without a plugin that implements it has no effect, and nothing says so.",
	})

	ruleMetricsFlannel = refuses(AreaAgents, Rule{
		ID:        "METRICS-FLANNEL",
		APIServer: true,
		When:      "metrics is set with Flannel.",
		Remedy:    "Remove it, or use type Cilium or Calico.",
		Source:    "flanneld has no endpoint of metrics.",
	})
	ruleMetricsNothing = refuses(AreaAgents, Rule{
		ID:        "METRICS-NOTHING",
		APIServer: true,
		When:      "serviceMonitors is Enabled, and endpoints is Disabled.",
		Remedy:    "Enable endpoints, or remove serviceMonitors.",
		Source:    "There would be nothing to scrape.",
	})
	ruleMetricsAlways = refuses(AreaAgents, Rule{
		ID:        "METRICS-ALWAYS",
		APIServer: true,
		When:      "endpoints is Disabled with WeaveNet.",
		Remedy:    "Remove it, or use another type.",
		Source:    "Weave Net's agents and its controller always serve metrics, on ports 6782 and 6781.",
	})
	ruleMetricsNoMonitors = refuses(AreaAgents, Rule{
		ID:        "METRICS-NO-MONITORS",
		APIServer: true,
		When:      "serviceMonitors is Enabled with Calico or WeaveNet.",
		Remedy:    "Remove it, and make Services and ServiceMonitors beside the stack; the user guide has them.",
		Source:    "Their charts have no ServiceMonitors, and no Services that these could select.",
	})
	ruleMetricsUndefined = refuses(AreaAgents, Rule{
		ID:     "METRICS-MONITORS-UNDEFINED",
		When:   "serviceMonitors is Enabled, or values ask for monitors, and the cluster lacks the kind ServiceMonitor or PodMonitor that the chart makes.",
		Remedy: "Install Prometheus' operator or its definitions first, or use Auto, and remove such values.",
		Source: "Cilium's chart does not render without it, and no object of an unknown kind can be applied.",
	})
	ruleMetricsLabels = warns(AreaAgents, Rule{
		ID:     "METRICS-LABELS-UNUSED",
		When:   "serviceMonitorLabels is set, and no ServiceMonitors are made whatever happens.",
		Remedy: "Remove it.",
		Source: "Nothing reads it: serviceMonitors or endpoints is Disabled, or the plugin's chart makes none.",
	})
)
