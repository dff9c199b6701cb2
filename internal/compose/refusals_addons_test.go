package compose

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
)

// addons are these add-ons, each with a chart.
func addons(list ...AddonSpec) func(*Input) {
	return func(in *Input) {
		for i := range list {
			if list[i].Chart == nil {
				list[i].Chart = &ChartReference{Repository: "https://charts.example.com"}
			}
			if list[i].Version == "" {
				list[i].Version = "1.2.3"
			}
		}
		in.Stack.Spec.Addons = list
	}
}

func after(name string, others ...string) AddonSpec { return AddonSpec{Name: name, After: others} }

func addonFindings() []finding {
	spare := func(edit func(*AddonSpec)) func(*Input) {
		return func(in *Input) { edit(&in.Stack.Spec.Addons[0]) }
	}
	return []finding{
		{name: "add-ons", in: flannel(addons(after("b", "a", "flannel"), after("a")))},
		{name: "add-on without a name", in: flannel(addons(after("Cert_Manager"))), errors: []string{
			`spec.addons[0].name: Invalid value: "Cert_Manager": is no name: use at most 47 lower-case letters, digits and "-" [ADDON-NAME]`,
		}},
		{name: "add-on with a name that leaves no room", in: flannel(addons(after(strings.Repeat("a", 48)), after(strings.Repeat("b", 47)))), errors: []string{
			`spec.addons[0].name: Invalid value: "` + strings.Repeat("a", 48) + `": is no name: use at most 47 lower-case letters, digits and "-" [ADDON-NAME]`,
		}},
		{name: "add-on twice", in: flannel(addons(after("a"), after("a"))), errors: []string{
			`spec.addons[1].name: Duplicate value: "a": give each add-on a name of its own [ADDON-TWICE]`,
		}},
		{name: "add-on without a chart and a version", in: flannel(addons(after("a")), spare(func(a *AddonSpec) { a.Chart, a.Version = nil, "" })), errors: []string{
			"spec.addons[0].version: Required value: set the version of the chart: an add-on is upgraded when you say so, and never by itself [ADDON-CHART]",
			"spec.addons[0].chart: Required value: an add-on is a chart: name its repository in chart.repository [ADDON-CHART]",
		}},
		{name: "add-on after what there is not", in: flannel(addons(after("a", "b", "flannel", "cilium"), after("c"))), errors: []string{
			`spec.addons[0].after[0]: Invalid value: "b": there is no such add-on, nor such a component: name one of c, flannel [ADDON-AFTER]`,
			`spec.addons[0].after[2]: Invalid value: "cilium": there is no such add-on, nor such a component: name one of c, flannel [ADDON-AFTER]`,
		}},
		{name: "add-on after itself", in: flannel(addons(after("a", "a"))), errors: []string{
			"spec.addons[0].after: Invalid value: a would wait for itself (a after a): remove one of these names from an after [ADDON-CIRCLE]",
		}},
		{name: "add-ons in a circle", in: flannel(addons(after("a", "b"), after("b", "c", "d"), after("c", "a"), after("d", "a"), after("e", "a"))), errors: []string{
			"spec.addons[0].after: Invalid value: a would wait for itself (a after b after c after a): remove one of these names from an after [ADDON-CIRCLE]",
			"spec.addons[3].after: Invalid value: d would wait for itself (d after a after b after d): remove one of these names from an after [ADDON-CIRCLE]",
		}},
		{name: "the network as an add-on", in: flannel(addons(after("cilium"), AddonSpec{
			Name: "proxy", ComponentSettings: ComponentSettings{Chart: &ChartReference{Repository: "https://charts.example.com", Name: "kube-proxy"}}})), errors: []string{
			`spec.addons[0].chart.name: Invalid value: "cilium": is the chart of Cilium, which the network is made of: set cni.type in its place [ADDON-NETWORK]`,
			`spec.addons[1].chart.name: Invalid value: "kube-proxy": is the chart of KubeProxy, which the network is made of: set kubeProxy.mode in its place [ADDON-NETWORK]`,
		}},
		{name: "other parts of a network as add-ons", in: flannel(addons(after("tigera-operator"), after("flannel"), after("aws-vpc-cni"), after("multus")),
			func(in *Input) { in.Catalog = defaults() }), errors: []string{
			`spec.addons[0].chart.name: Invalid value: "tigera-operator": is the chart of Calico, which the network is made of: set cni.type in its place [ADDON-NETWORK]`,
			`spec.addons[1].chart.name: Invalid value: "flannel": is the chart of Flannel, which the network is made of: set cni.type in its place [ADDON-NETWORK]`,
			`spec.addons[2].chart.name: Invalid value: "aws-vpc-cni": is the chart of AWSVPC, which the network is made of: set cni.type in its place [ADDON-NETWORK]`,
			`spec.addons[3].chart.name: Invalid value: "multus": is the chart of Multus, which the network is made of: set secondaryNetworks.type in its place [ADDON-NETWORK]`,
		}},
		{name: "add-on with a release of another component's name, elsewhere", in: cilium(addons(AddonSpec{
			Name: "cilium", ComponentSettings: ComponentSettings{
				Chart: &ChartReference{Repository: "https://charts.example.com", Name: "other"}, Namespace: "elsewhere"}}))},
		{name: "add-on in another component's release", in: cilium(addons(AddonSpec{
			Name: "cilium", ComponentSettings: ComponentSettings{
				Chart: &ChartReference{Repository: "https://charts.example.com", Name: "other"}, Namespace: "kube-system"}})), errors: []string{
			`spec.addons[0].name: Invalid value: "cilium": is the Helm release of component cilium in namespace kube-system: choose another name or namespace [ADDON-RELEASE]`,
		}},
		{name: "add-on with bad settings", in: flannel(addons(AddonSpec{Name: "a", ComponentSettings: ComponentSettings{
			Version: "latest", Namespace: "A", Values: rawValues([]any{1})}})), errors: []string{
			`spec.addons[0].version: Invalid value: "latest": is not a version: write three numbers, such as 1.20.0 [VERSION-FORM]`,
			`spec.addons[0].namespace: Invalid value: "A": is not the name of a namespace: use lower-case letters, digits and "-" [NAMESPACE-FORM]`,
			"spec.addons[0].values: Invalid value: must be a map of Helm values, not a list [VALUES-FORM]",
		}},
	}
}

// TestAddons wants each add-on with its chart as it is written, after the network, and after what it comes after.
func TestAddons(t *testing.T) {
	values := rawValues(object{"replicas": 2})
	r := accepted(t, flannel(
		addons(
			AddonSpec{Name: "monitoring", ComponentSettings: ComponentSettings{
				Chart:   &ChartReference{Repository: "oci://registry.example.com/charts", Name: "kube-prometheus-stack", Digest: digest("a")},
				Version: "88.5.3", Values: values, DriftMode: DriftWarn, Suspend: true}},
			after("dashboards", "monitoring"),
			after("more", "dashboards", "flannel", "monitoring"),
		),
		spec(func(s *NetworkStackSpec) { s.Adoption = AdoptionAdopt }),
	))
	type line struct {
		Name, Release, Namespace string
		Chart                    ResolvedChart
		Depth                    int32
		Needs                    []string
	}
	var got []line
	for _, release := range r.Releases {
		if s := release.Spec; s.Type == TypeAddon {
			got = append(got, line{release.Name, s.ReleaseName, s.Namespace, s.Chart, s.Stage - StageAddons, release.Needs})
		}
	}
	other := func(name string) ResolvedChart {
		return ResolvedChart{Repository: "https://charts.example.com", Name: name, Version: "1.2.3"}
	}
	if diff := cmp.Diff([]line{
		{"addon-monitoring", "monitoring", "monitoring", ResolvedChart{
			Repository: "oci://registry.example.com/charts", Name: "kube-prometheus-stack", Version: "88.5.3", Digest: digest("a")}, 0, []string{"flannel"}},
		{"addon-dashboards", "dashboards", "dashboards", other("dashboards"), 1, []string{"flannel", "addon-monitoring"}},
		{"addon-more", "more", "more", other("more"), 2, []string{"flannel", "addon-dashboards", "addon-monitoring"}},
	}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	s := r.Releases[len(r.Releases)-3].Spec
	if s.DriftMode != DriftWarn || !s.Suspend || s.Adoption != AdoptionAdopt || string(s.Values.Raw) != string(values.Raw) || s.DeletionPolicy != DeletionOrphan {
		t.Errorf("%+v", s)
	}
}

// TestAddonAfterWhatMayCome leaves an add-on that comes after a component which only the cluster can tell of.
func TestAddonAfterWhatMayCome(t *testing.T) {
	in := flannel(addons(after("a", "observability")))
	in.Stack.Spec.Observability = &ObservabilitySpec{}
	if errs, _ := ValidateObject(in.Stack); len(errs) > 0 {
		t.Errorf("refused without a cluster: %v", errs)
	}
}
