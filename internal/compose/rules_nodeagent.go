package compose

// Rules about the agent that tells the nodes' MTU.
var (
	ruleNodeAgentField = refuses(AreaMTU, Rule{
		ID:        "NODE-AGENT-FIELD",
		APIServer: true,
		When:      "Settings of the node agent, with mode Disabled.",
		Remedy:    "Remove them, or set mode to Enabled.",
		Source:    "The operator's API.",
	})
	ruleNodeAgentImage = refuses(AreaMTU, Rule{
		ID:     "NODE-AGENT-IMAGE",
		When:   "The node agent is wanted, and the operator does not know its own image.",
		Remedy: "State values.image, or start the operator with --operator-image.",
		Source: "The agent is in the operator's image, which an operator outside of a pod cannot find out.",
	})
	ruleNodeAgentKubernetes = refuses(AreaMTU, Rule{
		ID:     "NODE-AGENT-KUBERNETES",
		When:   "The node agent is wanted on Kubernetes before 1.30.",
		Remedy: "Annotate the nodes with networkstack.io/mtu, or pin cluster.nodeMTU.",
		Source: "Kubernetes 1.30: ValidatingAdmissionPolicy is stable, and tokens of pods name their node.",
	})
	ruleNodeAgentNoEffect = warns(AreaMTU, Rule{
		ID:     "NODE-AGENT-NO-EFFECT",
		When:   "The node agent is wanted, and nothing uses what it tells.",
		Remedy: "Remove nodeAgent, or what stands against it.",
		Source: "The operator's API: a pinned MTU comes first, and the MTU of a CNI that is managed elsewhere is not decided here. What it tells of the kernel matters with Flannel, and for kube-proxy in mode NFTables.",
	})
)
