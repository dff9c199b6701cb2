package compose

// Rules about what baseline policies cut.
var (
	rulePolicyDangerous = warns(AreaPolicies, Rule{
		ID:     "POLICIES-DANGEROUS",
		When:   "Policies are enforced, and would cut something that the whole cluster lives on: a webhook that must answer, an aggregated API, DNS, the control plane of a mesh, or probes.",
		Remedy: "Add the baseline that status.policies names with each finding, exempt the namespace, or write the finding's name into acknowledgedFindings.",
		Source: "Kubernetes calls webhooks and aggregated APIs from the addresses of the control plane's nodes, which no policy selects as pods; a default deny cuts them, and nobody can write what they are asked about.",
	})
	rulePolicyAcknowledged = warns(AreaPolicies, Rule{
		ID:     "POLICIES-ACKNOWLEDGED",
		When:   "acknowledgedFindings has a name that no finding has.",
		Remedy: "Remove it: a finding that comes back under this name would be cut without a word.",
		Source: "Names of findings are those of Services and webhooks, which others may have again.",
	})
)
