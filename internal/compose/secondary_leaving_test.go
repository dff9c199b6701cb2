package compose

import (
	"slices"
	"testing"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
)

// TestMultusLeaves wants a Multus that is no longer wanted to make room for what cleans nodes, when its attachments are gone and until
// every node is done; and one that takes its configuration along to go at once.
func TestMultusLeaves(t *testing.T) {
	ours := func(in *Input) { in.OperatorImage = "a/operator:v1" }
	installed := accepted(t, flannel(secondary(bridge("a")), ours, multusValue(object{"config": object{"logLevel": "debug"}}), func(in *Input) {
		in.Stack.Spec.Sources = &Sources{ImageRegistry: "mirror.example.com"}
	}))
	multus, values := releaseNamed(t, installed, "multus")
	attachments, _ := releaseNamed(t, installed, "network-attachments")
	if values["keepConfiguration"] != true {
		t.Fatalf("values %v", values)
	}
	there := func(in *Input) { in.Existing = map[string]NetworkComponentSpec{"multus": multus.Spec} }
	both := func(in *Input) {
		in.Existing = map[string]NetworkComponentSpec{"multus": multus.Spec, "network-attachments": attachments.Spec}
	}
	leaving := func(in *Input) { in.Leaving = []string{"network-attachments"} }
	takesAlong := func(in *Input) {
		in.Existing = map[string]NetworkComponentSpec{"multus": {Type: TypeMultus, DerivedValues: rawJSON([]byte("{}"))}}
	}
	done := func(in *Input) { in.CleanedOfMultus = true }
	for _, tc := range []struct {
		name string
		in   Input
		want string
	}{
		{"there was none", flannel(ours), "gone"},
		{"it was never asked for", flannel(ours, takesAlong), "gone"},
		{"attachments are there", flannel(ours, both), "as it is"},
		{"attachments are on their way out", flannel(ours, there, leaving), "as it is"},
		{"attachments are gone", flannel(ours, there), "cleans"},
		{"attachments stay, with a Multus of somebody else's", flannel(ours, both, secondary(bridge("a")), externalMultus), "cleans"},
		{"every node is done", flannel(ours, there, done), "gone"},
		{"nobody could clean", flannel(there), "gone"},
		{"it is wanted again", flannel(ours, there, secondary()), "daemons"},
		{"it is wanted again, and nodes are clean", flannel(ours, there, secondary(), done), "daemons"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := accepted(t, tc.in)
			at := slices.IndexFunc(r.Releases, func(r Release) bool { return r.Name == "multus" })
			if at < 0 {
				if tc.want != "gone" {
					t.Errorf("it is removed, and nodes are not clean")
				}
				return
			}
			got := r.Releases[at].Spec
			_, values := releaseNamed(t, r, "multus")
			image, _ := lookup(values, "cleanup.image")
			switch tc.want {
			case "gone":
				t.Errorf("it stays: %s", got.DerivedValues.Raw)
			case "as it is":
				if image != nil || string(got.DerivedValues.Raw) != string(multus.Spec.DerivedValues.Raw) || CleansMultus(&got) {
					t.Errorf("it changes: %s", got.DerivedValues.Raw)
				}
			case "cleans":
				if image != "a/operator:v1" || !CleansMultus(&got) || got.Sources.ImageRegistry != "" || got.Values == nil || got.Stage != stageSecondary {
					t.Errorf("values %s, %+v", got.DerivedValues.Raw, got)
				}
			case "daemons":
				if image != nil || CleansMultus(&got) {
					t.Errorf("values %s", got.DerivedValues.Raw)
				}
			}
		})
	}
}

// TestMultusKeeps wants daemons to leave their configuration only where somebody comes after them.
func TestMultusKeeps(t *testing.T) {
	for name, tc := range map[string]struct {
		in   Input
		want bool
	}{
		"with an image": {flannel(secondary(), func(in *Input) { in.OperatorImage = "a" }), true},
		"without":       {flannel(secondary()), false},
		"with a chart of the user's": {flannel(secondary(), func(in *Input) {
			in.OperatorImage = "a"
			in.Stack.Spec.SecondaryNetworks.Chart = &ChartReference{Repository: "https://charts.example.com", Name: "multus"}
		}), false},
	} {
		if _, values := releaseNamed(t, accepted(t, tc.in), "multus"); (values[keepConfiguration] == true) != tc.want {
			t.Errorf("%s: %v", name, values)
		}
	}
}

func TestNetworksOf(t *testing.T) {
	attachments, _ := releaseNamed(t, accepted(t, flannel(secondary(bridge("b"), bridge("a", func(a *NetworkAttachment) { a.IPAM = nil })))), "network-attachments")
	if got := NetworksOf(&attachments.Spec); !slices.Equal(got, []string{"default.a", "default.b"}) {
		t.Errorf("%v", got)
	}
	if got := NetworksOf(&NetworkComponentSpec{}); len(got) > 0 {
		t.Errorf("%v of none", got)
	}
}
