package compose

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
)

// baselines are policies that were Audit before and are Enforce now.
func baselines(list ...Baseline) func(*Input) {
	return func(in *Input) {
		in.Stack.Spec.Policies = &PoliciesSpec{Mode: PolicyEnforce, Baselines: list}
		in.Stack.Status.Policies = &PoliciesStatus{Mode: PolicyAudit}
		in.Catalog = defaults()
	}
}

func edited(edit func(*PoliciesSpec)) func(*Input) {
	return func(in *Input) { edit(in.Stack.Spec.Policies) }
}

var (
	noIngress = Baseline{Name: "no-ingress", Type: BaselineDefaultDenyIngress}
	noEgress  = Baseline{Name: "no-egress", Type: BaselineDefaultDenyEgress}
	dnsOpen   = Baseline{Name: "dns", Type: BaselineAllowDNS}
)

func clusterPolicies(in *Input) {
	values(object{"k8sClusterNetworkPolicy": object{"enabled": true}})(in)
	in.Facts.ClusterPolicies = true
}

const flannelUnenforced = `spec.policies.mode: Invalid value: "Enforce": Flannel does not enforce policies, so that they would have no effect: ` +
	`set cni.networkPolicy to Enabled, or use another cni.type [POLICIES-UNENFORCED]`

func baselineFindings() []finding {
	all := baselines(noIngress, noEgress, dnsOpen)
	api := func(api PolicyAPI) func(*Input) { return edited(func(p *PoliciesSpec) { p.API = api }) }
	return []finding{
		{name: "policies with Cilium", in: cilium(all)},
		{name: "policies with Calico", in: calico(all)},
		{name: "policies with Weave Net", in: weave(all), warnings: []string{weaveLegacy}},
		{name: "policies with Flannel that enforces none", in: flannel(all), errors: []string{flannelUnenforced}},
		{name: "policies with Flannel that enforces them", in: flannel(all, spec(func(s *NetworkStackSpec) { s.CNI.NetworkPolicy = Enabled }))},
		{name: "policies with Flannel, even if they are off", in: flannel(all, edited(func(p *PoliciesSpec) { p.Mode = PolicyOff })), errors: []string{
			`spec.policies.mode: Invalid value: "Off": Flannel does not enforce policies, so that they would have no effect: set cni.networkPolicy to Enabled, or use another cni.type [POLICIES-UNENFORCED]`,
		}},
		{name: "policies with a foreign Flannel", in: input(CNIExternal, all, cluster(func(s *facts.Snapshot) {
			s.Installed = append(s.Installed, facts.Installed{Type: facts.InstalledFlannel, Namespace: "kube-flannel", Name: "kube-flannel-ds"})
		})), errors: []string{
			`spec.policies.mode: Invalid value: "Enforce": Flannel does not enforce policies, so that they would have no effect: use another network plugin [POLICIES-UNENFORCED]`,
		}, warnings: []string{"spec.policies: whether the network plugin enforces them is not known: try it with a pod [POLICIES-UNKNOWN]"}},
		{name: "policies with a foreign Calico", in: external(all)},
		{name: "policies with a Cilium that enforces none", in: cilium(all, values(object{"policyEnforcementMode": "never"})), errors: []string{
			`spec.policies.mode: Invalid value: "Enforce": the network plugin leaves policies without effect (cni.networkPolicy is Disabled): set it to Enabled [POLICIES-UNENFORCED]`,
		}},
		{name: "policies with Cilium's audit mode", in: cilium(all, values(object{"policyAuditMode": true})), errors: []string{
			"spec.cni.values: Forbidden: policyAuditMode has Cilium enforce no policy of anybody on any node: remove it, and use policies.mode Audit [POLICIES-CILIUM-AUDIT]",
		}},
		{name: "policies off with Cilium's audit mode", in: cilium(all, edited(func(p *PoliciesSpec) { p.Mode = PolicyOff }), values(object{"policyAuditMode": true}))},
		{name: "policies that cut at once", in: cilium(all, func(in *Input) { in.Stack.Status.Policies = nil }), warnings: []string{
			"spec.policies.mode: is Enforce without having been Audit: set Audit first, and read status.policies [POLICIES-UNTRIED]",
		}},
		{name: "policies that cut after they were off", in: cilium(all, func(in *Input) { in.Stack.Status.Policies.Mode = PolicyOff }), warnings: []string{
			"spec.policies.mode: is Enforce without having been Audit: set Audit first, and read status.policies [POLICIES-UNTRIED]",
		}},
		{name: "policies that are tried first", in: cilium(all, edited(func(p *PoliciesSpec) { p.Mode = PolicyAudit }), func(in *Input) { in.Stack.Status.Policies = nil })},

		{name: "cluster policies with an old Cilium", in: cilium(all, api(PolicyAPIClusterNetworkPolicy), clusterPolicies,
			spec(func(s *NetworkStackSpec) { s.CNI.Version = "1.19.6" })), errors: []string{
			`spec.policies.api: Invalid value: "ClusterNetworkPolicy": Cilium enforces it from 1.20 on [POLICIES-CLUSTER-API]`,
		}, warnings: []string{
			"spec.cni.version: Cilium 1.19.6 is tested with Kubernetes 1.32 to 1.35; the cluster is 1.36 [VERSION-UNTESTED]",
		}},
		{name: "cluster policies that Cilium was not told of", in: cilium(all, api(PolicyAPIClusterNetworkPolicy)), errors: []string{
			`spec.policies.api: Invalid value: "ClusterNetworkPolicy": Cilium enforces it only with k8sClusterNetworkPolicy.enabled in cni.values [POLICIES-CLUSTER-API]`,
		}},
		{name: "cluster policies of no kind", in: cilium(all, api(PolicyAPIClusterNetworkPolicy), clusterPolicies, cluster(func(s *facts.Snapshot) { s.ClusterPolicies = false })), errors: []string{
			`spec.policies.api: Invalid value: "ClusterNetworkPolicy": the cluster does not have the kind ClusterNetworkPolicy of policy.networking.k8s.io/v1alpha2, which Cilium does not bring: install its definition [POLICIES-CLUSTER-API]`,
		}},
		{name: "cluster policies with Weave Net", in: weave(all, api(PolicyAPIClusterNetworkPolicy)), errors: []string{
			`spec.policies.api: Invalid value: "ClusterNetworkPolicy": the network plugin is not known to enforce it [POLICIES-CLUSTER-API]`,
		}, warnings: []string{weaveLegacy}},
		{name: "cluster policies with Calico", in: calico(baselines(noEgress, dnsOpen), api(PolicyAPIClusterNetworkPolicy))},
		{name: "cluster policies with an old Calico", in: calico(baselines(noEgress, dnsOpen), api(PolicyAPIClusterNetworkPolicy), spec(func(s *NetworkStackSpec) {
			s.CNI.Version = "3.31.7"
		})), errors: []string{
			`spec.cni.version: Invalid value: "3.31.7": Calico has its definitions in a chart of their own since 3.32, and older ones are not supported: use 3.32.0 or newer [CALICO-OLD]`,
			`spec.policies.api: Invalid value: "ClusterNetworkPolicy": Calico enforces it from 3.32 on [POLICIES-CLUSTER-API]`,
		}, warnings: []string{
			"spec.cni.version: Calico 3.31.7 is not in the catalogue (3.33.1, 3.32.3, 3.32.1): it was not tested with this operator and its chart is not checked against a digest [VERSION-UNKNOWN]",
		}},
		{name: "cluster policies that cannot cut what comes from outside", in: cilium(all, api(PolicyAPIClusterNetworkPolicy), clusterPolicies), warnings: []string{
			"spec.policies.api: ClusterNetworkPolicy cannot say what comes from nodes or from outside the cluster: a ClusterNetworkPolicy knows only pods as sources, so that this stays open (spec.policies.baselines[0]) [POLICIES-GAP]",
		}},
		{name: "cluster policies of the same namespace", in: cilium(baselines(noEgress, dnsOpen, Baseline{Name: "same", Type: BaselineAllowSameNamespace}),
			api(PolicyAPIClusterNetworkPolicy), clusterPolicies), errors: []string{
			`spec.policies.api: Invalid value: "ClusterNetworkPolicy": ClusterNetworkPolicy cannot say a pod's own namespace: a ClusterNetworkPolicy names namespaces by their labels alone, so that spec.policies.baselines[2] cannot be opened: remove api [POLICIES-UNSAYABLE]`,
		}},
		{name: "Calico's policies with Cilium", in: cilium(all, api(PolicyAPICalico)), errors: []string{
			`spec.policies.api: Invalid value: "Calico": the network plugin is not this stack's Calico [POLICIES-API]`,
		}},
		{name: "Cilium's policies with Calico", in: calico(all, api(PolicyAPICilium)), errors: []string{
			`spec.policies.api: Invalid value: "Cilium": the network plugin is not Cilium [POLICIES-API]`,
		}},
		{name: "NetworkPolicies with Cilium", in: cilium(all, api(PolicyAPINetworkPolicy)), errors: []string{
			`spec.policies.api: Invalid value: "NetworkPolicy": Cilium takes the addresses in them for those outside the cluster, so that nodes, the API server and Cilium's own proxies could not be opened [POLICIES-API]`,
		}},
		{name: "Cilium's policies where those that open would cut", in: cilium(all, api(PolicyAPICilium), values(object{"enableNonDefaultDenyPolicies": false})), errors: []string{
			`spec.policies.api: Invalid value: "Cilium": cni.values has enableNonDefaultDenyPolicies false, by which policies that open would cut [POLICIES-API]`,
		}},
		{name: "no policies that say it all", in: cilium(all, values(object{"enableNonDefaultDenyPolicies": false})), errors: []string{
			"spec.policies.api: Required value: nothing says all of the baselines here: not ClusterNetworkPolicy, because Cilium enforces it only with k8sClusterNetworkPolicy.enabled in cni.values; " +
				"not Cilium, because cni.values has enableNonDefaultDenyPolicies false, by which policies that open would cut; not Calico, because the network plugin is not this stack's Calico; " +
				"not NetworkPolicy, because Cilium takes the addresses in them for those outside the cluster, so that nodes, the API server and Cilium's own proxies could not be opened [POLICIES-API]",
		}},
		{name: "policies against metadata that others may open", in: weave(baselines(Baseline{Name: "metadata", Type: BaselineDenyCloudMetadata})), warnings: []string{
			weaveLegacy, "spec.policies.api: NetworkPolicy cannot say a denial that wins over users' NetworkPolicies: they add up, so that this stays open (spec.policies.baselines[0]) [POLICIES-GAP]",
		}},

		{name: "policies of no kind", in: cilium(baselines(noIngress, Baseline{Name: "x", Type: "AllowAll"},
			Baseline{Name: "y", Type: BaselineAllowSameNamespace, Ports: []PolicyPort{{Port: 1, Protocol: "ICMP"}}}), edited(func(p *PoliciesSpec) {
			p.Mode, p.API, p.Namespaces = "On", "Weave", &PolicyNamespaces{OptOut: "Maybe"}
		})), errors: []string{
			`spec.policies.mode: Unsupported value: "On": supported values: "Off", "Audit", "Enforce" [STACK-UNKNOWN-VALUE]`,
			`spec.policies.api: Unsupported value: "Weave": supported values: "ClusterNetworkPolicy", "Cilium", "Calico", "NetworkPolicy" [STACK-UNKNOWN-VALUE]`,
			`spec.policies.namespaces.optOut: Unsupported value: "Maybe": supported values: "Allowed", "Forbidden" [STACK-UNKNOWN-VALUE]`,
			`spec.policies.baselines[1].type: Unsupported value: "AllowAll": supported values: "AllowAPIServer", "AllowDNS", "AllowFromAnywhere", "AllowFromIngress", "AllowFromMonitoring", "AllowFromNamespaces", "AllowSameNamespace", "AllowToCIDRs", "AllowToNamespaces", "DefaultDenyEgress", "DefaultDenyIngress", "DenyCloudMetadata" [STACK-UNKNOWN-VALUE]`,
			`spec.policies.baselines[2].ports[0].protocol: Unsupported value: "ICMP": supported values: "TCP", "UDP", "SCTP" [STACK-UNKNOWN-VALUE]`,
		}},
		{name: "policies that cut nothing", in: cilium(baselines(dnsOpen)), errors: []string{
			"spec.policies.baselines: Required value: nothing is cut, so that there is nothing to open: add DefaultDenyIngress, DefaultDenyEgress or DenyCloudMetadata [POLICIES-NOTHING]",
		}, warnings: []string{
			"spec.policies.baselines[0]: has no effect, for nothing of that direction is cut: remove it, or add DefaultDenyEgress [POLICIES-UNNEEDED]",
		}},
		{name: "policies with names that are none", in: cilium(baselines(noIngress, Baseline{Name: "No", Type: BaselineDenyCloudMetadata}, noIngress)), errors: []string{
			`spec.policies.baselines[1].name: Invalid value: "No": is no name: use at most 40 lower-case letters, digits and "-" [POLICIES-NAME]`,
			`spec.policies.baselines[2].name: Duplicate value: "no-ingress": give each baseline a name of its own [POLICIES-NAME]`,
		}},
		{name: "policies with fields of others", in: cilium(baselines(
			Baseline{Name: "a", Type: BaselineDefaultDenyIngress, Ports: []PolicyPort{{Port: 80}}, CIDRs: []string{"10.0.0.0/8"}, Namespaces: &metav1.LabelSelector{}},
			noEgress, dnsOpen, Baseline{Name: "b", Type: BaselineAllowFromNamespaces}, Baseline{Name: "c", Type: BaselineAllowToCIDRs},
			Baseline{Name: "d", Type: BaselineAllowFromAnywhere},
		)), errors: []string{
			"spec.policies.baselines[0].namespaces: Forbidden: namespaces are for AllowFromNamespaces, AllowToNamespaces and AllowFromMonitoring: remove them [POLICIES-FIELD]",
			"spec.policies.baselines[0].cidrs: Forbidden: cidrs are for AllowToCIDRs: remove them [POLICIES-FIELD]",
			"spec.policies.baselines[0].ports: Forbidden: the ports of this baseline are derived: remove them [POLICIES-FIELD]",
			"spec.policies.baselines[3].namespaces: Required value: say which namespaces: an empty selector has all [POLICIES-FIELD]",
			"spec.policies.baselines[4].cidrs: Required value: AllowToCIDRs needs cidrs: say to which addresses [POLICIES-FIELD]",
			"spec.policies.baselines[5].ports: Required value: AllowFromAnywhere needs ports: say which ones everybody may reach [POLICIES-FIELD]",
		}},
		{name: "policies with addresses and ports that are none", in: cilium(baselines(noEgress, dnsOpen, Baseline{Name: "c", Type: BaselineAllowToCIDRs,
			CIDRs: []string{"10.0.0.1/8", "here"}, Ports: []PolicyPort{{Port: 80, EndPort: 70}, {}}})), errors: []string{
			`spec.policies.baselines[2].cidrs[0]: Invalid value: "10.0.0.1/8": has bits beyond its length: write 10.0.0.0/8 [POLICIES-CIDR]`,
			`spec.policies.baselines[2].cidrs[1]: Invalid value: "here": is no range of addresses: write one such as 192.0.2.0/24 [POLICIES-CIDR]`,
			`spec.policies.baselines[2].ports[0].endPort: Invalid value: 70: ends no range that begins with port: use port to 65535 [POLICIES-PORT]`,
			`spec.policies.baselines[2].ports[1].port: Invalid value: 0: is no port: use 1 to 65535 [POLICIES-PORT]`,
		}},
		{name: "policies with selectors that are none", in: cilium(baselines(noIngress), edited(func(p *PoliciesSpec) {
			p.Namespaces = &PolicyNamespaces{Exempt: []string{"Shop"}, Selector: &metav1.LabelSelector{
				MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "team", Operator: "Is"}}}}
		})), errors: []string{
			`spec.policies.namespaces.selector: Invalid value: is no selector ("Is" is not a valid label selector operator): correct it [POLICIES-SELECTOR]`,
			`spec.policies.namespaces.exempt[0]: Invalid value: "Shop": is no name of a namespace: correct it [POLICIES-SELECTOR]`,
		}},

		{name: "policies that open the ingress that there is not", in: cilium(baselines(noIngress, Baseline{Name: "in", Type: BaselineAllowFromIngress})), warnings: []string{
			"spec.policies.baselines[1]: opens nothing, for the stack has no ingress controller: use AllowFromNamespaces for one of others [POLICIES-NO-INGRESS]",
		}},
		{name: "policies that open what monitors, and nothing does", in: cilium(baselines(noIngress, Baseline{Name: "in", Type: BaselineAllowFromMonitoring})), errors: []string{
			"spec.policies.baselines[1].namespaces: Required value: no add-on of the stack has a Prometheus: say in which namespaces it is [POLICIES-NO-MONITORING]",
		}},
		{name: "policies that open an API server that nobody knows", in: weave(baselines(noEgress, dnsOpen, Baseline{Name: "api", Type: BaselineAllowAPIServer}),
			cluster(func(s *facts.Snapshot) { s.APIServer.Host = "api.example.com" })), errors: []string{
			`spec.policies.baselines[2].type: Invalid value: "AllowAPIServer": the API server's addresses are not known: set cluster.apiServer to an IP address [POLICIES-NO-API-SERVER]`,
		}, warnings: []string{weaveLegacy}},
		{name: "policies that open an API server that Cilium knows", in: cilium(baselines(noEgress, dnsOpen, Baseline{Name: "api", Type: BaselineAllowAPIServer}),
			cluster(func(s *facts.Snapshot) { s.APIServer.Host = "api.example.com" }))},
		{name: "policies that cut DNS", in: cilium(baselines(noEgress)), errors: []string{
			"spec.policies.baselines: Required value: covered pods could resolve no names: add AllowDNS, or the finding dns to acknowledgedFindings [POLICIES-NO-DNS]",
		}},
		{name: "policies that cut DNS, even if they are off", in: cilium(baselines(noEgress), edited(func(p *PoliciesSpec) { p.Mode = PolicyOff })), errors: []string{
			"spec.policies.baselines: Required value: covered pods could resolve no names: add AllowDNS, or the finding dns to acknowledgedFindings [POLICIES-NO-DNS]",
		}},
		{name: "policies that cut DNS knowingly", in: cilium(baselines(noEgress), acknowledged("dns"))},
		{name: "policies that cut DNS knowingly, and nobody is cut off yet", in: cilium(baselines(noEgress), acknowledged("dns"), cutting())},
		{name: "policies that cut a DNS of the stack's own", in: cilium(baselines(noEgress), spec(func(s *NetworkStackSpec) { s.DNS = &DNSSpec{Type: DNSCoreDNS} }))},

		{name: "policies for the system", in: cilium(all, edited(func(p *PoliciesSpec) {
			p.Namespaces = &PolicyNamespaces{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: "kube-system"}}}
		})), errors: []string{
			`spec.policies.namespaces.selector: Invalid value: "kube-system": this namespace is never covered, for it is the system's, the operator's or a component's, and denying it traffic would harm the cluster: remove it [POLICIES-EXEMPT]`,
		}},
		{name: "policies for the system, the operator and a component by name", in: cilium(all, edited(func(p *PoliciesSpec) {
			p.Namespaces = &PolicyNamespaces{Exempt: []string{"legacy"}, Selector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{
				Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpIn, Values: []string{"shop", "legacy", "networkstack-system", "olm", "cilium-secrets"}}}}}
		}), func(in *Input) { in.OperatorNamespace = "networkstack-system" }), errors: []string{
			`spec.policies.namespaces.selector: Invalid value: "networkstack-system": this namespace is never covered, for it is the system's, the operator's or a component's, and denying it traffic would harm the cluster: remove it [POLICIES-EXEMPT]`,
			`spec.policies.namespaces.selector: Invalid value: "olm": this namespace is never covered, for it is the system's, the operator's or a component's, and denying it traffic would harm the cluster: remove it [POLICIES-EXEMPT]`,
			`spec.policies.namespaces.selector: Invalid value: "cilium-secrets": this namespace is never covered, for it is the system's, the operator's or a component's, and denying it traffic would harm the cluster: remove it [POLICIES-EXEMPT]`,
		}},
		{name: "policies for all but the system", in: cilium(all, edited(func(p *PoliciesSpec) {
			p.Namespaces = &PolicyNamespaces{Selector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{
				Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpNotIn, Values: []string{"kube-system"}}}}}
		}))},
		{name: "policies against metadata on Google's nodes", in: cilium(baselines(Baseline{Name: "metadata", Type: BaselineDenyCloudMetadata}),
			cluster(func(s *facts.Snapshot) { s.Cloud = facts.CloudGCP })), warnings: []string{
			"spec.policies.baselines: DenyCloudMetadata also cuts the way by which pods of GKE get their identity: leave namespaces with such pods out [POLICIES-IDENTITY]",
		}},
	}
}

// TestPolicyAPI wants the strongest API that says everything.
func TestPolicyAPI(t *testing.T) {
	all := baselines(noIngress, noEgress, dnsOpen)
	for _, tc := range []struct {
		name string
		in   Input
		want PolicyAPI
	}{
		{"Cilium", cilium(all), PolicyAPICilium},
		{"Cilium that knows cluster policies, and something that these cannot cut", cilium(all, clusterPolicies), PolicyAPICilium},
		{"Cilium that knows cluster policies", cilium(baselines(noEgress, dnsOpen), clusterPolicies), PolicyAPIClusterNetworkPolicy},
		{"Cilium, and something that cluster policies have no words for", cilium(baselines(noEgress, dnsOpen, Baseline{Name: "s", Type: BaselineAllowSameNamespace}), clusterPolicies), PolicyAPICilium},
		{"Calico", calico(all), PolicyAPICalico},
		{"Calico, and what cluster policies say", calico(baselines(noEgress, dnsOpen)), PolicyAPIClusterNetworkPolicy},
		{"Weave Net", weave(all), PolicyAPINetworkPolicy},
		{"a foreign Calico", external(all), PolicyAPINetworkPolicy},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := accepted(t, tc.in)
			if r.Policies == nil || r.Policies.API != tc.want || r.Policies.Stack != "cluster" || r.Policies.Mode != PolicyEnforce {
				t.Errorf("%+v, want %s", r.Policies, tc.want)
			}
			if diff := cmp.Diff(tc.in.Stack.Spec.Policies.API, PolicyAPI("")); diff != "" {
				t.Error(diff)
			}
		})
	}
	if r := accepted(t, cilium(all, edited(func(p *PoliciesSpec) { p.Mode = PolicyOff }))); r.Policies != nil {
		t.Error("there are policies that are off")
	}
	if r := accepted(t, cilium()); r.Policies != nil {
		t.Error("there are policies that nobody asked for")
	}
}
