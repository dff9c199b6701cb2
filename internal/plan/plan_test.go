package plan

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/compose"
)

func want(name string, stage int32, changes ...func(*networkstackv1alpha1.NetworkComponentSpec)) compose.Release {
	r := compose.Release{Name: name, Spec: networkstackv1alpha1.NetworkComponentSpec{
		Type: name, Stage: stage, Chart: networkstackv1alpha1.ResolvedChart{Name: name, Version: "1.0.0"}}}
	for _, change := range changes {
		change(&r.Spec)
	}
	return r
}

// have is a component that is installed as want says, and Ready.
func have(name string, stage int32, changes ...func(*networkstackv1alpha1.NetworkComponent)) networkstackv1alpha1.NetworkComponent {
	c := networkstackv1alpha1.NetworkComponent{Spec: want(name, stage).Spec}
	c.Name, c.Generation = name, 3
	c.Status.ObservedGeneration = 3
	c.Status.Conditions = []metav1.Condition{{Type: networkstackv1alpha1.ConditionReady, Status: metav1.ConditionTrue}}
	for _, change := range changes {
		change(&c)
	}
	return c
}

// beside is a release that does not wait for the readiness of another one.
func beside(r compose.Release, name string) compose.Release {
	r.Beside = []string{name}
	return r
}

// needs is a release of what stands on the network.
func needs(r compose.Release, names ...string) compose.Release {
	r.Needs = names
	return r
}

func suspend(s *networkstackv1alpha1.NetworkComponentSpec) { s.Suspend = true }

func version2(s *networkstackv1alpha1.NetworkComponentSpec) { s.Chart.Version = "2.0.0" }

func unready(c *networkstackv1alpha1.NetworkComponent) {
	c.Status.Conditions[0].Status = metav1.ConditionFalse
}

// unseen is a component whose new spec nobody has looked at yet: its Ready speaks of the old one.
func unseen(c *networkstackv1alpha1.NetworkComponent) { c.Generation++ }

func terminating(c *networkstackv1alpha1.NetworkComponent) {
	now := metav1.Now()
	c.DeletionTimestamp = &now
}

func isSuspended(c *networkstackv1alpha1.NetworkComponent) {
	c.Spec.Suspend = true
	unready(c)
}

func TestMake(t *testing.T) {
	type components = []networkstackv1alpha1.NetworkComponent
	type releases = []compose.Release
	for _, tc := range []struct {
		name      string
		wanted    releases
		installed components
		want      []Step // without Wanted
	}{
		{name: "nothing", want: nil},
		{"first installation: one stage at a time",
			releases{want("dns", 2), want("kube-proxy", 1), want("cni", 0), want("policy", 1)}, nil,
			[]Step{
				{Name: "cni", Action: Install},
				{Name: "kube-proxy", Action: Install, Stage: 1, WaitingFor: []string{"cni"}},
				{Name: "policy", Action: Install, Stage: 1, WaitingFor: []string{"cni"}},
				{Name: "dns", Action: Install, Stage: 2, WaitingFor: []string{"cni", "kube-proxy", "policy"}},
			}},
		{"the lower stage is installed, not Ready",
			releases{want("cni", 0), want("kube-proxy", 1)}, components{have("cni", 0, unready)},
			[]Step{{Name: "cni", Action: Keep}, {Name: "kube-proxy", Action: Install, Stage: 1, WaitingFor: []string{"cni"}}}},
		{"the lower stage is Ready for an earlier spec",
			releases{want("cni", 0), want("kube-proxy", 1)}, components{have("cni", 0, unseen)},
			[]Step{{Name: "cni", Action: Keep}, {Name: "kube-proxy", Action: Install, Stage: 1, WaitingFor: []string{"cni"}}}},
		{"beside a lower stage: not before that is wanted as it is",
			releases{want("cni", 0), beside(want("pools", 1), "cni"), want("dns", 2)}, nil,
			[]Step{
				{Name: "cni", Action: Install},
				{Name: "pools", Action: Install, Stage: 1, WaitingFor: []string{"cni"}},
				{Name: "dns", Action: Install, Stage: 2, WaitingFor: []string{"cni", "pools"}},
			}},
		{"beside a lower stage: before that is Ready",
			releases{want("proxy", 0), want("cni", 0), beside(want("pools", 1), "cni"), want("dns", 2)}, components{have("cni", 0, unready), have("proxy", 0, unready)},
			[]Step{
				{Name: "proxy", Action: Keep},
				{Name: "cni", Action: Keep},
				{Name: "pools", Action: Install, Stage: 1, WaitingFor: []string{"proxy"}},
				{Name: "dns", Action: Install, Stage: 2, WaitingFor: []string{"proxy", "cni", "pools"}},
			}},
		{"the lower stage is Ready",
			releases{want("cni", 0), want("kube-proxy", 1)}, components{have("cni", 0)},
			[]Step{{Name: "cni", Action: Keep}, {Name: "kube-proxy", Action: Install, Stage: 1}}},
		{"one stage installs side by side",
			releases{want("a", 1), want("b", 1)}, nil,
			[]Step{{Name: "a", Action: Install, Stage: 1}, {Name: "b", Action: Install, Stage: 1}}},
		{"everything as wanted",
			releases{want("cni", 0), want("kube-proxy", 1)}, components{have("kube-proxy", 1), have("cni", 0)},
			[]Step{{Name: "cni", Action: Keep}, {Name: "kube-proxy", Action: Keep, Stage: 1}}},
		// What is as wanted waits for nobody, ready or not.
		{"upgrades go stage by stage",
			releases{want("cni", 0, version2), want("kube-proxy", 1, version2), want("dns", 2)},
			components{have("cni", 0), have("kube-proxy", 1), have("dns", 2)},
			[]Step{
				{Name: "cni", Action: Upgrade},
				{Name: "kube-proxy", Action: Upgrade, Stage: 1, WaitingFor: []string{"cni"}},
				{Name: "dns", Action: Keep, Stage: 2},
			}},
		{"an upper stage that is not Ready does not hold up a lower one",
			releases{want("cni", 0, version2), want("kube-proxy", 1)}, components{have("cni", 0), have("kube-proxy", 1, unready)},
			[]Step{{Name: "cni", Action: Upgrade}, {Name: "kube-proxy", Action: Keep, Stage: 1}}},
		{"a broken component may be upgraded",
			releases{want("cni", 0, version2)}, components{have("cni", 0, unready)}, []Step{{Name: "cni", Action: Upgrade}}},
		{"a suspended component holds nobody up",
			releases{want("cni", 0, suspend), want("kube-proxy", 1)}, components{have("cni", 0, isSuspended)},
			[]Step{{Name: "cni", Action: Keep}, {Name: "kube-proxy", Action: Install, Stage: 1}}},
		{"neither does one that was never installed",
			releases{want("cni", 0, suspend), want("kube-proxy", 1)}, nil,
			[]Step{{Name: "cni", Action: Install}, {Name: "kube-proxy", Action: Install, Stage: 1}}},
		{"a component that is suspended in the cluster alone does",
			releases{want("cni", 0), want("kube-proxy", 1)}, components{have("cni", 0, isSuspended)},
			[]Step{{Name: "cni", Action: Upgrade}, {Name: "kube-proxy", Action: Install, Stage: 1, WaitingFor: []string{"cni"}}}},
		{"a component on its way out is installed again, and waited for",
			releases{want("cni", 0), want("kube-proxy", 1)}, components{have("cni", 0, terminating)},
			[]Step{{Name: "cni", Action: Install}, {Name: "kube-proxy", Action: Install, Stage: 1, WaitingFor: []string{"cni"}}}},
		{"removal comes after everything is settled",
			releases{want("cilium", 0), want("dns", 5)}, components{have("flannel", 0), have("dns", 5)},
			[]Step{
				{Name: "cilium", Action: Install}, {Name: "dns", Action: Keep, Stage: 5},
				{Name: "flannel", Action: Remove, WaitingFor: []string{"cilium"}},
			}},
		{"removal waits for what is kept and not Ready",
			releases{want("cilium", 0)}, components{have("flannel", 0), have("cilium", 0, unready)},
			[]Step{{Name: "cilium", Action: Keep}, {Name: "flannel", Action: Remove, WaitingFor: []string{"cilium"}}}},
		{"removal does not wait for what is suspended",
			releases{want("cilium", 0, suspend)}, components{have("flannel", 0), have("cilium", 0, isSuspended)},
			[]Step{{Name: "cilium", Action: Keep}, {Name: "flannel", Action: Remove}}},
		{"removal in reverse, one stage at a time",
			releases{want("cilium", 0)},
			components{have("a", 0), have("b", 1), have("d", 2), have("c", 2), have("cilium", 0)},
			[]Step{
				{Name: "cilium", Action: Keep},
				{Name: "c", Action: Remove, Stage: 2}, {Name: "d", Action: Remove, Stage: 2},
				{Name: "b", Action: Remove, Stage: 1, WaitingFor: []string{"c", "d"}},
				{Name: "a", Action: Remove, WaitingFor: []string{"c", "d", "b"}},
			}},
		{"on the network, a release waits for what it needs and for nothing else",
			releases{want("cni", 20), needs(want("dns", 50), "cni"), needs(want("ingress", 80), "cni", "certificates"), needs(want("certificates", 100), "cni"),
				needs(want("mesh", 70), "cni")},
			components{have("cni", 20), have("dns", 50, unready)},
			[]Step{
				{Name: "cni", Action: Keep, Stage: 20}, {Name: "dns", Action: Keep, Stage: 50}, {Name: "mesh", Action: Install, Stage: 70},
				{Name: "ingress", Action: Install, Stage: 80, WaitingFor: []string{"certificates"}},
				{Name: "certificates", Action: Install, Stage: 100},
			}},
		{"what is needed and leaves is waited for",
			releases{want("cni", 20), needs(want("mesh", 70), "cni")}, components{have("cni", 20, terminating)},
			[]Step{{Name: "cni", Action: Install, Stage: 20}, {Name: "mesh", Action: Install, Stage: 70, WaitingFor: []string{"cni"}}}},
		{"on the network, a removal waits for its own area, and add-ons for nothing",
			releases{want("cni", 20), want("dns", 50), want("mesh-2", 72)},
			components{have("cni", 20), have("dns", 50, unready), have("mesh-1", 70), have("addon", 101), have("proxy", 10), have("mesh-2", 72, unready)},
			[]Step{
				{Name: "cni", Action: Keep, Stage: 20}, {Name: "dns", Action: Keep, Stage: 50}, {Name: "mesh-2", Action: Keep, Stage: 72},
				{Name: "addon", Action: Remove, Stage: 101},
				{Name: "mesh-1", Action: Remove, Stage: 70, WaitingFor: []string{"mesh-2", "addon"}},
				{Name: "proxy", Action: Remove, Stage: 10, WaitingFor: []string{"addon", "mesh-1"}},
			}},
		{"the first stage on the network waits for what it needs alone",
			releases{want("cni", 20), want("cleanup", 49), needs(want("dns", 50), "cni")}, components{have("cni", 20)},
			[]Step{{Name: "cni", Action: Keep, Stage: 20}, {Name: "cleanup", Action: Install, Stage: 49}, {Name: "dns", Action: Install, Stage: 50}}},
		{"an area is ten stages",
			releases{want("mesh-2", 70)}, components{have("mesh-2", 70, unready), have("mesh-1", 79), have("gateways", 69)},
			[]Step{
				{Name: "mesh-2", Action: Keep, Stage: 70},
				{Name: "mesh-1", Action: Remove, Stage: 79, WaitingFor: []string{"mesh-2"}},
				{Name: "gateways", Action: Remove, Stage: 69, WaitingFor: []string{"mesh-1"}},
			}},
		{"an add-on is removed whatever becomes of others",
			releases{want("addon-1", 100), want("addon-3", 104)}, components{have("addon-1", 100, unready), have("addon-2", 100), have("addon-3", 104, unready)},
			[]Step{{Name: "addon-1", Action: Keep, Stage: 100}, {Name: "addon-3", Action: Keep, Stage: 104}, {Name: "addon-2", Action: Remove, Stage: 100}}},
		{"what is leaving already is waited for until it is gone",
			nil, components{have("a", 0), have("b", 1, terminating)},
			[]Step{{Name: "b", Action: Remove, Stage: 1}, {Name: "a", Action: Remove, WaitingFor: []string{"b"}}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := Make(tc.wanted, tc.installed)
			for i := range got {
				var spec *networkstackv1alpha1.NetworkComponentSpec
				for j := range tc.wanted {
					if tc.wanted[j].Name == got[i].Name {
						spec = &tc.wanted[j].Spec
					}
				}
				if diff := cmp.Diff(spec, got[i].Wanted); diff != "" {
					t.Errorf("%s: wanted spec (-want +got):\n%s", got[i].Name, diff)
				}
				if got[i].Allowed() != (len(got[i].WaitingFor) == 0) {
					t.Errorf("%s waits for %v, and is allowed: %v", got[i].Name, got[i].WaitingFor, got[i].Allowed())
				}
				got[i].Wanted = nil
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestMakeKeepsItsInput because releases and components belong to the caller, the latter to a cache.
func TestMakeKeepsItsInput(t *testing.T) {
	wanted := []compose.Release{want("b", 1), want("a", 0, version2)}
	installed := []networkstackv1alpha1.NetworkComponent{have("a", 0), have("c", 2)}
	Make(wanted, installed)
	if diff := cmp.Diff([]compose.Release{want("b", 1), want("a", 0, version2)}, wanted); diff != "" {
		t.Errorf("releases were changed:\n%s", diff)
	}
	if diff := cmp.Diff([]networkstackv1alpha1.NetworkComponent{have("a", 0), have("c", 2)}, installed); diff != "" {
		t.Errorf("components were changed:\n%s", diff)
	}
}

func TestReady(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*networkstackv1alpha1.NetworkComponent)
		want   bool
	}{
		{"ready", func(*networkstackv1alpha1.NetworkComponent) {}, true},
		{"not ready", unready, false},
		{"unknown", func(c *networkstackv1alpha1.NetworkComponent) {
			c.Status.Conditions[0].Status = metav1.ConditionUnknown
		}, false},
		{"no condition", func(c *networkstackv1alpha1.NetworkComponent) { c.Status.Conditions = nil }, false},
		{"ready for an earlier spec", unseen, false},
		{"never looked at", func(c *networkstackv1alpha1.NetworkComponent) { c.Status.ObservedGeneration = -1 }, false},
		{"leaving", terminating, false},
	} {
		c := have("a", 0, tc.change)
		if got := Ready(&c); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

func TestSame(t *testing.T) {
	values := func(text string) *apiextensionsv1.JSON {
		if text == "" {
			return nil
		}
		return &apiextensionsv1.JSON{Raw: []byte(text)}
	}
	for _, tc := range []struct {
		name, a, b string
		want       bool
	}{
		{"none", "", "", true},
		{"equal to the letter", `{"a":1}`, `{"a":1}`, true},
		{"other order and spaces", `{"a":1,"b":{"c":[1,2]}}`, "{ \"b\": {\"c\": [1, 2]},\n \"a\": 1 }", true},
		{"other spelling of a number", `{"a":1}`, `{"a":1.0}`, true},
		{"other number", `{"a":1}`, `{"a":2}`, false},
		{"number and string", `{"a":1}`, `{"a":"1"}`, false},
		{"null is a value", `{"a":null}`, `{}`, false},
		{"order of a list matters", `{"a":[1,2]}`, `{"a":[2,1]}`, false},
		{"some and none", `{"a":1}`, "", false},
		{"none and some", "", `{"a":1}`, false},
		{"unreadable, equal", `{"a"`, `{"a"`, true},
		{"unreadable, different", `{"a"`, `{"b"`, false},
	} {
		for field, set := range map[string]func(*networkstackv1alpha1.NetworkComponentSpec, *apiextensionsv1.JSON){
			"values":        func(s *networkstackv1alpha1.NetworkComponentSpec, v *apiextensionsv1.JSON) { s.Values = v },
			"derivedValues": func(s *networkstackv1alpha1.NetworkComponentSpec, v *apiextensionsv1.JSON) { s.DerivedValues = v },
		} {
			t.Run(tc.name+"/"+field, func(t *testing.T) {
				a, b := want("x", 0).Spec, want("x", 0).Spec
				set(&a, values(tc.a))
				set(&b, values(tc.b))
				if got := Same(&a, &b); got != tc.want {
					t.Errorf("Same = %v", got)
				}
				if tc.a != "" && a.Values == nil && a.DerivedValues == nil {
					t.Error("the comparison took the values away")
				}
			})
		}
	}
}

// TestSameSeesEveryField changes one field after the other.
func TestSameSeesEveryField(t *testing.T) {
	for name, change := range map[string]func(*networkstackv1alpha1.NetworkComponentSpec){
		"type":            func(s *networkstackv1alpha1.NetworkComponentSpec) { s.Type = "Other" },
		"stage":           func(s *networkstackv1alpha1.NetworkComponentSpec) { s.Stage = 7 },
		"chart":           version2,
		"releaseName":     func(s *networkstackv1alpha1.NetworkComponentSpec) { s.ReleaseName = "other" },
		"namespace":       func(s *networkstackv1alpha1.NetworkComponentSpec) { s.Namespace = "other" },
		"namespaceLabels": func(s *networkstackv1alpha1.NetworkComponentSpec) { s.NamespaceLabels = map[string]string{"a": "b"} },
		"valuesFrom": func(s *networkstackv1alpha1.NetworkComponentSpec) {
			s.ValuesFrom = []networkstackv1alpha1.ValuesReference{{Name: "other"}}
		},
		"controlledValues": func(s *networkstackv1alpha1.NetworkComponentSpec) {
			s.ControlledValues = []networkstackv1alpha1.ControlledValue{{Path: "a"}}
		},
		"sources": func(s *networkstackv1alpha1.NetworkComponentSpec) {
			s.Sources = &networkstackv1alpha1.Sources{ImageRegistry: "r"}
		},
		"driftMode": func(s *networkstackv1alpha1.NetworkComponentSpec) { s.DriftMode = networkstackv1alpha1.DriftWarn },
		"replacement": func(s *networkstackv1alpha1.NetworkComponentSpec) {
			s.Replacement = networkstackv1alpha1.ReplacementDisruptive
		},
		"deletionPolicy": func(s *networkstackv1alpha1.NetworkComponentSpec) {
			s.DeletionPolicy = networkstackv1alpha1.DeletionDelete
		},
		"suspend": suspend,
	} {
		a, b := want("x", 0).Spec, want("x", 0, change).Spec
		if Same(&a, &b) {
			t.Errorf("another %s makes no difference", name)
		}
	}
	// What the API server leaves out and what was never there are the same.
	a, b := want("x", 0).Spec, want("x", 0).Spec
	b.NamespaceLabels, b.ValuesFrom = map[string]string{}, []networkstackv1alpha1.ValuesReference{}
	if !Same(&a, &b) {
		t.Error("empty and absent differ")
	}
}
