package policy_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/policy"
	"github.com/networkstack/networkstack/test/evaluate"
)

func everyBaseline() []networkstackv1alpha1.Baseline {
	out := list(denyIn, denyOut, networkstackv1alpha1.BaselineAllowDNS, networkstackv1alpha1.BaselineAllowSameNamespace,
		networkstackv1alpha1.BaselineAllowFromIngress, networkstackv1alpha1.BaselineAllowAPIServer, networkstackv1alpha1.BaselineDenyCloudMetadata)
	return append(out, networkstackv1alpha1.Baseline{Name: "cidrs", Type: networkstackv1alpha1.BaselineAllowToCIDRs, CIDRs: []string{"10.0.0.0/8"}})
}

// TestSame holds that the same set gives the same objects, whatever the order of its rules, and that nothing of the set is changed.
func TestSame(t *testing.T) {
	for _, api := range apis {
		rules := policy.FromBaselines(everyBaseline(), &surroundings)
		set := &policy.Set{Stack: "default", Mode: networkstackv1alpha1.PolicyEnforce, API: api, Namespaces: covered, Rules: rules}
		before, err := json.Marshal(set)
		if err != nil {
			t.Fatal(err)
		}
		text := func(s *policy.Set) string {
			c := policy.Compile(s)
			raw, err := json.Marshal([]any{c.Cluster, c.Namespaced})
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range slices.Concat(c.Cluster, c.Namespaced) {
				o.SetAnnotations(map[string]string{"changed": "by whoever has it"})
			}
			return string(raw)
		}
		first := text(set)
		for range 20 {
			if again := text(set); again != first {
				t.Fatalf("%s: not the same twice", api)
			}
		}
		turned := *set
		turned.Rules = slices.Clone(rules)
		slices.Reverse(turned.Rules)
		if text(&turned) != first {
			t.Errorf("%s: the order of rules matters", api)
		}
		if after, _ := json.Marshal(set); string(after) != string(before) {
			t.Errorf("%s: the set has changed", api)
		}
	}
}

// TestMarks holds what every object carries, and that those which deny come last.
func TestMarks(t *testing.T) {
	for _, api := range apis {
		for _, mode := range []networkstackv1alpha1.PolicyMode{networkstackv1alpha1.PolicyAudit, networkstackv1alpha1.PolicyEnforce} {
			c := policy.Compile(&policy.Set{Stack: "mine", Mode: mode, API: api, Namespaces: covered,
				Rules: policy.FromBaselines(everyBaseline(), &surroundings)})
			names := map[string]bool{}
			for _, group := range [][]*unstructured.Unstructured{c.Cluster, c.Namespaced} {
				denies := false
				for _, o := range group {
					name := o.GetKind() + "/" + o.GetName()
					if names[name] {
						t.Errorf("%s: %s is there twice", api, name)
					}
					names[name] = true
					if o.GetLabels()[policy.Label] != "mine" || o.GetNamespace() != "" {
						t.Errorf("%s: %s: %v", api, name, o.Object["metadata"])
					}
					effect := o.GetLabels()[policy.EffectLabel]
					staged := strings.HasPrefix(o.GetKind(), "Staged")
					switch {
					case staged != (effect == policy.EffectStaged):
						t.Errorf("%s: %s has the effect %q", api, name, effect)
					case effect == policy.EffectDeny:
						denies = true
					case denies:
						t.Errorf("%s: %s comes after what denies", api, name)
					}
					if mode == networkstackv1alpha1.PolicyAudit && effect == policy.EffectDeny {
						t.Errorf("%s: %s denies", api, name)
					}
				}
			}
			for ns, want := range map[string]bool{"shop": true, "kube-system": false} {
				if got := c.Namespaces.Matches(labels.Set{"kubernetes.io/metadata.name": ns}); got != want {
					t.Errorf("%s: %s is covered: %v", api, ns, got)
				}
			}
		}
	}
	if c := policy.Compile(nil); c.Namespaces.Matches(labels.Set{}) || len(c.Cluster)+len(c.Namespaced) > 0 {
		t.Error("no set has objects, or namespaces")
	}
}

// TestMany holds that many peers and ports stay within what the APIs take, and are all open.
func TestMany(t *testing.T) {
	var nodes []netip.Prefix
	var ends []*evaluate.Endpoint
	for i := range 1300 {
		a := netip.AddrFrom4([4]byte{192, 168, byte(i / 250), byte(i % 250)})
		nodes = append(nodes, netip.PrefixFrom(a, 32))
		ends = append(ends, &evaluate.Endpoint{Name: a.String(), Kind: evaluate.Node, Addresses: []netip.Addr{a}})
	}
	var many []policy.Port
	for i := range int32(60) {
		many = append(many, policy.Port{Port: 1000 + 2*i})
	}
	rules := []policy.Rule{
		{Name: "deny", Direction: policy.Egress, Deny: true, Default: true},
		{Name: "nodes", Direction: policy.Egress, Peers: []policy.Peer{{Entity: policy.Nodes, Addresses: nodes}}, Ports: many},
	}
	for i := range 60 {
		rules = append(rules, policy.Rule{Name: fmt.Sprintf("r%d", i), Direction: policy.Egress,
			Peers: []policy.Peer{{Namespaces: named(fmt.Sprintf("ns%d", i))}}})
	}
	for _, api := range apis {
		policies := compiled(t, &policy.Set{Stack: "default", Mode: networkstackv1alpha1.PolicyEnforce, API: api, Namespaces: covered, Rules: rules})
		for i, want := range map[int]bool{1000: true, 1118: true, 1001: false, 1120: false} {
			for _, end := range []*evaluate.Endpoint{ends[0], ends[700], ends[1299]} {
				got, err := policies.One(evaluate.Connection{From: subject, To: end, Protocol: "TCP", Port: i}, false)
				if err != nil || got != want {
					t.Errorf("%s: %s at %d: open is %v (%v)", api, end.Name, i, got, err)
				}
			}
		}
	}
}

// TestPods holds rules for some pods only: none opens other pods, and each has what is open for all.
func TestPods(t *testing.T) {
	web := metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	rules := []policy.Rule{
		{Name: "deny", Direction: policy.Ingress, Deny: true, Default: true},
		{Name: "all", Direction: policy.Ingress, Peers: []policy.Peer{{Namespaces: named("legacy")}}},
		{Name: "web", Direction: policy.Ingress, Pods: web, Peers: []policy.Peer{{Namespaces: named("pay")}}},
	}
	for _, api := range apis {
		policies := compiled(t, &policy.Set{Stack: "default", Mode: networkstackv1alpha1.PolicyEnforce, API: api, Namespaces: covered, Rules: rules})
		for _, tc := range []struct {
			from, to string
			want     bool
		}{{"legacy/app", "shop/web", true}, {"legacy/app", "shop/db", true}, {"pay/api", "shop/web", true}, {"pay/api", "shop/db", false}} {
			got, err := policies.One(evaluate.Connection{From: end(tc.from), To: end(tc.to), Protocol: "TCP", Port: 80}, true)
			if err != nil || got != tc.want {
				t.Errorf("%s: %s to %s: open is %v (%v)", api, tc.from, tc.to, got, err)
			}
		}
	}
	// With NetworkPolicies the first object to be written must not isolate pods from what is open for all.
	c := policy.Compile(&policy.Set{Stack: "default", Mode: networkstackv1alpha1.PolicyEnforce, API: networkstackv1alpha1.PolicyAPINetworkPolicy,
		Namespaces: covered, Rules: rules})
	for n := range len(c.Namespaced) + 1 {
		p, err := evaluate.Read(evaluate.Instantiate(nil, c.Namespaced[:n], c.Namespaces, []*evaluate.Endpoint{subject}))
		if err != nil {
			t.Fatal(err)
		}
		for _, from := range []string{"legacy/app", "pay/api"} {
			if got, err := p.One(evaluate.Connection{From: end(from), To: subject, Protocol: "TCP", Port: 80}, true); err != nil || !got {
				t.Errorf("after %d objects, %s is cut (%v)", n, from, err)
			}
		}
	}
}

func end(name string) *evaluate.Endpoint {
	if name == subject.Name {
		return subject
	}
	return ends[slices.IndexFunc(ends, func(e *evaluate.Endpoint) bool { return e.Name == name })]
}

// TestGaps holds what APIs cannot say.
func TestGaps(t *testing.T) {
	rules := policy.FromBaselines(everyBaseline(), &surroundings)
	for api, want := range map[networkstackv1alpha1.PolicyAPI]string{
		networkstackv1alpha1.PolicyAPIClusterNetworkPolicy: "b0 true, b3 false, b3-2 false",
		networkstackv1alpha1.PolicyAPICilium:               "",
		networkstackv1alpha1.PolicyAPICalico:               "",
		networkstackv1alpha1.PolicyAPINetworkPolicy:        "b6 true",
	} {
		var got []string
		for _, g := range policy.Gaps(api, rules) {
			got = append(got, fmt.Sprintf("%s %v", g.Rule, g.Open))
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s: %v, want %s", api, got, want)
		}
	}
}

// TestNames holds that the rules of a baseline never take another one's name.
func TestNames(t *testing.T) {
	rules := policy.FromBaselines([]networkstackv1alpha1.Baseline{
		{Name: "same", Type: networkstackv1alpha1.BaselineAllowSameNamespace}, {Name: "same-2", Type: denyIn}}, &surroundings)
	var got []string
	for _, r := range rules {
		got = append(got, r.Name+" "+r.Source)
	}
	if want := "same spec.policies.baselines[0], same-3 spec.policies.baselines[0], same-2 spec.policies.baselines[1]"; strings.Join(got, ", ") != want {
		t.Errorf("%v, want %s", got, want)
	}
}

// TestNobody holds that what opens for somebody who is not there, or whom an API has no words for, opens for nobody: an empty list of peers
// would be everybody.
func TestNobody(t *testing.T) {
	types := list(denyIn, denyOut, networkstackv1alpha1.BaselineAllowDNS, networkstackv1alpha1.BaselineAllowFromIngress,
		networkstackv1alpha1.BaselineAllowFromMonitoring, networkstackv1alpha1.BaselineAllowAPIServer)
	if rules := policy.FromBaselines(types, &policy.Surroundings{}); len(rules) != 2 {
		t.Errorf("rules that open for nobody: %+v", rules)
	}
	around := policy.Surroundings{
		Ingress: []policy.Peer{{Entity: policy.Gateway}}, Monitoring: []policy.Peer{{Entity: policy.Nodes}},
		APIServer: []policy.Way{{Peers: []policy.Peer{{Entity: policy.APIServer}}}}, DNS: []policy.Way{{Peers: []policy.Peer{{Entity: policy.Nodes}}}},
	}
	for _, api := range apis {
		policies := compiled(t, &policy.Set{Stack: "default", Mode: networkstackv1alpha1.PolicyEnforce, API: api, Namespaces: covered,
			Rules: policy.FromBaselines(types, &around)})
		for _, name := range []string{"legacy/app", "shop/db"} {
			for _, ingress := range []bool{true, false} {
				c := evaluate.Connection{From: end(name), To: subject, Protocol: "TCP", Port: 80}
				if !ingress {
					c.From, c.To = c.To, c.From
				}
				if got, err := policies.One(c, ingress); err != nil || got {
					t.Errorf("%s: %s is open, ingress %v (%v)", api, name, ingress, err)
				}
			}
		}
	}
}

// TestExcept holds addresses without some of them, in every API.
func TestExcept(t *testing.T) {
	outside := func(a string) *evaluate.Endpoint {
		return &evaluate.Endpoint{Name: a, Kind: evaluate.Outside, Addresses: []netip.Addr{netip.MustParseAddr(a)}}
	}
	rules := []policy.Rule{
		{Name: "deny", Direction: policy.Egress, Deny: true, Default: true},
		{Name: "some", Direction: policy.Egress, Peers: []policy.Peer{
			{CIDR: netip.MustParsePrefix("172.20.0.0/16"), Except: []netip.Prefix{netip.MustParsePrefix("172.20.3.0/24")}},
			{CIDR: netip.MustParsePrefix("2001:db8::/32"), Except: []netip.Prefix{netip.MustParsePrefix("2001:db8:3::/48")}},
		}},
	}
	for _, api := range apis {
		policies := compiled(t, &policy.Set{Stack: "default", Mode: networkstackv1alpha1.PolicyEnforce, API: api, Namespaces: covered, Rules: rules})
		for a, want := range map[string]bool{"172.20.2.9": true, "172.20.3.9": false, "172.21.0.1": false, "2001:db8:2::1": true, "2001:db8:3::1": false} {
			to := outside(a)
			got, err := policies.One(evaluate.Connection{From: subject, To: to, Protocol: "TCP", Port: 80, IPv6: to.Addresses[0].Is6()}, false)
			if err != nil || got != want {
				t.Errorf("%s: %s: open is %v, want %v (%v)", api, a, got, want, err)
			}
		}
	}
}
