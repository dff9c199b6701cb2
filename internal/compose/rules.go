package compose

import (
	"cmp"
	"slices"
)

// Severity is what follows when a rule applies.
type Severity string

const (
	// Refused stacks are not installed.
	Refused Severity = "refused"
	// Warned is a remark that stops nothing.
	Warned Severity = "warned"
)

// Area is what a rule is about.
type Area string

// The areas, in the order in which the documentation has them.
const (
	AreaObject    Area = "The object"
	AreaSources   Area = "Charts, values and versions"
	AreaFamilies  Area = "IP families"
	AreaPools     Area = "Address pools"
	AreaMTU       Area = "MTU"
	AreaEndpoint  Area = "Address of the API server"
	AreaKubeProxy Area = "kube-proxy"
	AreaCNI       Area = "Network plugins in general"
	AreaAgents    Area = "Agents, policies and metrics"
	AreaCloud     Area = "Clouds and distributions"
	AreaAdoption  Area = "Adoption"
	AreaFlannel   Area = "Flannel"
	AreaCilium    Area = "Cilium"
	AreaCalico    Area = "Calico"
	AreaWeaveNet  Area = "Weave Net"
	AreaAWSVPC    Area = "AWS VPC CNI"
	AreaSecondary Area = "Secondary networks"
	AreaDNS       Area = "DNS"
	AreaMesh      Area = "Service mesh"
	AreaIngress   Area = "Ingress"
	AreaAddons    Area = "Add-ons"

	AreaObservability Area = "Monitors and dashboards"
)

var areas = []Area{
	AreaObject, AreaSources, AreaFamilies, AreaPools, AreaMTU, AreaEndpoint, AreaKubeProxy, AreaCNI, AreaAgents, AreaCloud, AreaAdoption,
	AreaFlannel, AreaCilium, AreaCalico, AreaWeaveNet, AreaAWSVPC, AreaSecondary, AreaDNS,
	AreaLoadBalancer, AreaGatewayAPI, AreaMesh, AreaIngress, AreaAddons, AreaObservability,
	AreaPolicies,
}

// Rule is one thing that is refused or warned of. Its ID is part of the API: it is shown with every finding, does not change, and is
// never given to another rule.
type Rule struct {
	ID       string
	Area     Area
	Severity Severity
	// APIServer says that the API server refuses it too, in whole or in part, before it stores the object.
	APIServer bool
	// When says what is refused, as a sentence.
	When string
	// Remedy says what to do.
	Remedy string
	// Source says where it comes from: what breaks, and who says so.
	Source string
}

// refusal and warning are rules that findings can be made with. There is no finding without one.
type (
	refusal struct{ *Rule }
	warning struct{ *Rule }
)

// table holds every rule of the package. The variables of the files rules_*.go fill it, and nothing changes it afterwards.
var table []*Rule

func refuses(area Area, r Rule) refusal {
	r.Area, r.Severity = area, Refused
	table = append(table, &r)
	return refusal{&r}
}

func warns(area Area, r Rule) warning {
	r.Area, r.Severity = area, Warned
	table = append(table, &r)
	return warning{&r}
}

// Rules are all rules there are, by area and ID.
func Rules() []Rule {
	out := make([]Rule, len(table))
	for i, r := range table {
		out[i] = *r
	}
	slices.SortFunc(out, func(a, b Rule) int {
		return cmp.Or(cmp.Compare(slices.Index(areas, a.Area), slices.Index(areas, b.Area)), cmp.Compare(a.ID, b.ID))
	})
	return out
}
