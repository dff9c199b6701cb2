package compose

// AreaPolicies is what is about baseline policies.
const AreaPolicies Area = "Baseline policies"

// Rules about baseline policies.
var (
	rulePoliciesUnenforced = refuses(AreaPolicies, Rule{
		ID:     "POLICIES-UNENFORCED",
		When:   "Nothing enforces policies: Flannel without its container for them, kubenet, or a network plugin that was told not to.",
		Remedy: "Set cni.networkPolicy to Enabled, or use another network plugin.",
		Source: "A policy that does nothing is worse than an error. Flannel routes and filters nothing; Cilium's policyEnforcementMode never lets everything through.",
	})
	rulePoliciesClusterAPI = refuses(AreaPolicies, Rule{
		ID:     "POLICIES-CLUSTER-API",
		When:   "api is ClusterNetworkPolicy, and the network plugin is too old or was not told to enforce it, or the cluster has no such kind.",
		Remedy: "Remove api, or bring what is missing.",
		Source: "policy.networking.k8s.io/v1alpha2: Cilium from 1.20 with k8sClusterNetworkPolicy.enabled, Calico from 3.32; anybody else ignores such objects.",
	})
	rulePoliciesAPI = refuses(AreaPolicies, Rule{
		ID:     "POLICIES-API",
		When:   "api is what the network plugin does not know, or NetworkPolicy with Cilium.",
		Remedy: "Remove api.",
		Source: "Objects of another plugin are read by nobody. Cilium's ipBlock matches neither nodes nor the API server.",
	})
	rulePoliciesUnsayable = refuses(AreaPolicies, Rule{
		ID:     "POLICIES-UNSAYABLE",
		When:   "A baseline opens what the api that was asked for has no words for.",
		Remedy: "Remove api.",
		Source: "ClusterNetworkPolicies select namespaces by labels; there is none for \"the same\".",
	})
	rulePoliciesGap = warns(AreaPolicies, Rule{
		ID:     "POLICIES-GAP",
		When:   "A baseline cuts what the api has no words for, so that it stays open.",
		Remedy: "Remove api where another one says more; otherwise know it.",
		Source: "ClusterNetworkPolicies know only pods as sources. NetworkPolicies only allow, and those of users add to ours.",
	})
	rulePoliciesCiliumAudit = refuses(AreaPolicies, Rule{
		ID:     "POLICIES-CILIUM-AUDIT",
		When:   "cni.values turns on Cilium's policyAuditMode.",
		Remedy: "Remove it, and use policies.mode Audit.",
		Source: "Cilium's audit mode enforces no policy of anybody, on every node.",
	})
	rulePoliciesUntried = warns(AreaPolicies, Rule{
		ID:     "POLICIES-UNTRIED",
		When:   "mode goes from nothing to Enforce.",
		Remedy: "Set Audit first, and read status.policies.",
		Source: "Default deny cuts what nobody has thought of; Audit shows it before it does.",
	})
	rulePoliciesNothing = refuses(AreaPolicies, Rule{
		ID: "POLICIES-NOTHING", APIServer: true,
		When:   "No baseline cuts anything.",
		Remedy: "Add DefaultDenyIngress, DefaultDenyEgress or DenyCloudMetadata.",
		Source: "Everything is open where nothing is cut.",
	})
	rulePoliciesName = refuses(AreaPolicies, Rule{
		ID: "POLICIES-NAME", APIServer: true,
		When:   "A baseline has no valid name, or that of another one.",
		Remedy: "Use at most 40 lower-case letters, digits and \"-\", once.",
		Source: "It is a part of the names of objects.",
	})
	rulePoliciesField = refuses(AreaPolicies, Rule{
		ID: "POLICIES-FIELD", APIServer: true,
		When:   "A baseline has a field that is not for its type, or lacks one that it needs.",
		Remedy: "Remove it, or set it.",
		Source: "A field that nothing reads promises what does not happen.",
	})
	rulePoliciesCIDR = refuses(AreaPolicies, Rule{
		ID:     "POLICIES-CIDR",
		When:   "cidrs has something that is no range of addresses, or one with bits beyond its length.",
		Remedy: "Write it as 192.0.2.0/24.",
		Source: "The APIs of policies refuse it, or read it as another range than was meant.",
	})
	rulePoliciesPort = refuses(AreaPolicies, Rule{
		ID: "POLICIES-PORT", APIServer: true,
		When:   "A port is none, or a range ends before it begins.",
		Remedy: "Use 1 to 65535, the lower one first.",
		Source: "The APIs of policies refuse it.",
	})
	rulePoliciesExempt = refuses(AreaPolicies, Rule{
		ID:     "POLICIES-EXEMPT",
		When:   "namespaces.selector asks by its name for a namespace of the system, of the operator, of a component or of OLM.",
		Remedy: "Remove it.",
		Source: "Such namespaces are left out of every selector; one that names them expects what does not happen.",
	})
	rulePoliciesPriority = refuses(AreaPolicies, Rule{
		ID:     "POLICIES-PRIORITY",
		When:   "A ClusterNetworkPolicy of somebody else's has a tier and priority that those of the baselines need, before they are in force.",
		Remedy: "Give that one another priority.",
		Source: "policy.networking.k8s.io/v1alpha2: in which order policies of the same tier and priority decide is not defined.",
	})
	rulePoliciesPriorityTaken = warns(AreaPolicies, Rule{
		ID:     "POLICIES-PRIORITY-TAKEN",
		When:   "The same, when the baselines are in force already, or only tried.",
		Remedy: "Give that one another priority.",
		Source: "Who may write ClusterNetworkPolicies must not be able to hold up the whole stack.",
	})
	rulePoliciesSelector = refuses(AreaPolicies, Rule{
		ID: "POLICIES-SELECTOR", APIServer: true,
		When:   "A selector of namespaces, or the name of an exempt one, cannot be read.",
		Remedy: "Correct it.",
		Source: "Nothing is selected by it, so that nothing, or everything, would be cut.",
	})
	rulePoliciesUnneeded = warns(AreaPolicies, Rule{
		ID:     "POLICIES-UNNEEDED",
		When:   "A baseline opens what nothing cuts.",
		Remedy: "Remove it, or add the denial.",
		Source: "Without DefaultDenyIngress or DefaultDenyEgress that direction is open.",
	})
	rulePoliciesNoIngress = warns(AreaPolicies, Rule{
		ID:     "POLICIES-NO-INGRESS",
		When:   "AllowFromIngress, and the stack has no ingress controller.",
		Remedy: "Use AllowFromNamespaces for a controller of somebody else's.",
		Source: "The operator knows the pods of controllers that it installs.",
	})
	rulePoliciesNoMonitoring = refuses(AreaPolicies, Rule{
		ID:     "POLICIES-NO-MONITORING",
		When:   "AllowFromMonitoring without namespaces, and no add-on of the stack has a Prometheus.",
		Remedy: "Say in which namespaces it is.",
		Source: "The operator knows the add-ons that it installs.",
	})
	rulePoliciesNoAPIServer = refuses(AreaPolicies, Rule{
		ID:     "POLICIES-NO-API-SERVER",
		When:   "AllowAPIServer, and the API server's addresses are not known.",
		Remedy: "Set cluster.apiServer to an IP address.",
		Source: "All APIs but Cilium's tell it by its addresses, from the EndpointSlices of default/kubernetes.",
	})
	rulePoliciesNoDNS = refuses(AreaPolicies, Rule{
		ID: "POLICIES-NO-DNS", APIServer: true,
		When:   "DefaultDenyEgress without AllowDNS, and DNS is not the stack's.",
		Remedy: "Add AllowDNS, or acknowledge the finding dns.",
		Source: "The stack's own DNS is opened by itself. Without it, nearly nothing works.",
	})
	rulePoliciesIdentity = warns(AreaPolicies, Rule{
		ID:     "POLICIES-IDENTITY",
		When:   "DenyCloudMetadata on Google's nodes.",
		Remedy: "Leave namespaces out whose pods have an identity of Google's.",
		Source: "GKE's workload identity is asked for at the metadata service's address.",
	})
	rulePoliciesUnknown = warns(AreaPolicies, Rule{
		ID:     "POLICIES-UNKNOWN",
		When:   "The network plugin is somebody else's, and it is not known whether it enforces policies.",
		Remedy: "Try it with a pod.",
		Source: "Clouds turn enforcement on by settings of their own.",
	})
)
