package lifecycle

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/controlplane"
)

// TestRefusals gives a real cluster what it must not be given. What needs the object alone is refused by the API server
// itself; what needs the cluster, by the operator. Every error is named, and nothing in the cluster changes.
func TestRefusals(t *testing.T) {
	t.Parallel()
	hook := newHook(t)
	e := newEnv(t, controlplane.Options{ServiceCIDRs: []string{"10.96.0.0/16"}, Node: controlplane.NodeOptions{
		MTU: 1500,
		Override: func(i int, node *corev1.Node) {
			if i == 1 {
				node.Status.NodeInfo.KernelVersion = "5.4.0-150-generic"
			}
		},
	}}, "--operator-image", agentImage, "--webhook-bind-address", hook.address())
	hook.install(e, dryRunsAlone)
	base := func() *networkstackv1alpha1.NetworkStack {
		s := smallStack(t)
		s.Spec.IPFamilies = []networkstackv1alpha1.IPFamily{networkstackv1alpha1.IPv4}
		s.Spec.IPPools[0].CIDRs = []string{"10.244.0.0/16"}
		s.Spec.IPPools[0].NodeMaskSizes.IPv6 = nil
		s.Spec.KubeProxy.Mode = networkstackv1alpha1.KubeProxyIPTables
		return s
	}
	type change func(*networkstackv1alpha1.NetworkStackSpec)

	t.Run("by the API server", func(t *testing.T) {
		for _, tc := range []struct {
			name string
			edit change
			want []string
		}{
			{"row 2: host bits", func(s *networkstackv1alpha1.NetworkStackSpec) { s.IPPools[0].CIDRs = []string{"10.244.0.5/16"} },
				[]string{"spec.ipPools[0].cidrs", "has host bits set"}},
			{"row 2: leading zeros", func(s *networkstackv1alpha1.NetworkStackSpec) { s.IPPools[0].CIDRs = []string{"010.244.0.0/16"} },
				[]string{"spec.ipPools[0].cidrs", "not a CIDR", "without leading zeros"}},
			{"row 20: MTU", func(s *networkstackv1alpha1.NetworkStackSpec) { s.MTU = 500 }, []string{"spec.mtu", "below 576"}},
			{"row 25: unknown mode", func(s *networkstackv1alpha1.NetworkStackSpec) { s.KubeProxy.Mode = "Userspace" },
				[]string{"spec.kubeProxy.mode", "IPTables"}},
			{"rows 32 and 33: replaced by whom", func(s *networkstackv1alpha1.NetworkStackSpec) {
				s.KubeProxy.Mode = networkstackv1alpha1.KubeProxyReplaced
			},
				[]string{"spec.kubeProxy.mode", "set cni.type to Cilium"}},
			{"several at once", func(s *networkstackv1alpha1.NetworkStackSpec) {
				s.MTU = 500
				s.IPPools[0].CIDRs = []string{"10.244.0.5/16"}
				s.CNI.Encapsulation = networkstackv1alpha1.EncapsulationGeneve
			}, []string{"spec.mtu", "spec.ipPools[0].cidrs", "spec.cni.encapsulation"}},
		} {
			t.Run(tc.name, func(t *testing.T) {
				e.in(t, func() {
					s := base()
					tc.edit(&s.Spec)
					e.mentions(e.tryApply(s), tc.want...)
				})
			})
		}
	})

	before := e.fingerprint()
	table := []struct {
		name string
		edit change
		want []string
	}{
		{"row 5: overlap with the Service range", func(s *networkstackv1alpha1.NetworkStackSpec) { s.IPPools[0].CIDRs = []string{"10.96.0.0/12"} },
			[]string{"spec.ipPools[0].cidrs[0]", "overlaps", "10.96.0.0/16"}},
		{"row 6: link-local", func(s *networkstackv1alpha1.NetworkStackSpec) { s.IPPools[0].CIDRs = []string{"169.254.0.0/16"} },
			[]string{"spec.ipPools[0].cidrs[0]", "link-local"}},
		{"rows 8 and 9: dual-stack pods, single-stack Services", func(s *networkstackv1alpha1.NetworkStackSpec) {
			s.IPFamilies = append(s.IPFamilies, networkstackv1alpha1.IPv6)
			s.IPPools[0].CIDRs = append(s.IPPools[0].CIDRs, "fd00:10:244::/56")
		}, []string{"IPv6", "--service-cluster-ip-range"}},
		{"row 21: MTU too large", func(s *networkstackv1alpha1.NetworkStackSpec) { s.MTU = 1480 }, []string{"spec.mtu", "1450"}},
		{"row 28: kernel too old for nftables", func(s *networkstackv1alpha1.NetworkStackSpec) {
			s.KubeProxy.Mode = networkstackv1alpha1.KubeProxyNFTables
		},
			[]string{"spec.kubeProxy.mode", "node-1", "5.4", "5.13"}},
		{"row 57: controlled values", func(s *networkstackv1alpha1.NetworkStackSpec) {
			s.CNI.Values = rawJSON(`{"flannel":{"backend":"host-gw"}}`)
		}, []string{"spec.cni.values", "flannel.backend", "remove it"}},
		{"several at once", func(s *networkstackv1alpha1.NetworkStackSpec) {
			s.MTU = 1480
			s.KubeProxy.Mode = networkstackv1alpha1.KubeProxyNFTables
			s.CNI.Values = rawJSON(`{"flannel":{"backend":"host-gw"}}`)
		}, []string{"spec.mtu", "spec.kubeProxy.mode", "spec.cni.values"}},
	}
	said := map[string]string{}
	for i, tc := range table {
		t.Run(tc.name, func(t *testing.T) {
			e.in(t, func() {
				s := base()
				tc.edit(&s.Spec)
				// The webhook knows as much of the cluster as the controller has looked at.
				asked := hook.judge(e, s)
				if i == 0 {
					asked.passedWith(t, "judged by itself alone, because the cluster's DNS has not been looked at yet")
				}
				e.apply(s)
				refused := e.waitCondition(s.Name, networkstackv1alpha1.ConditionAccepted, metav1.ConditionFalse, networkstackv1alpha1.ReasonInvalid)
				accepted := findCondition(refused, networkstackv1alpha1.ConditionAccepted)
				for _, want := range tc.want {
					if !strings.Contains(accepted.Message, want) {
						t.Errorf("the message does not say %q:\n%s", want, accepted.Message)
					}
				}
				if said[tc.name] = accepted.Message; i > 0 {
					asked.refusedWith(t, accepted.Message)
				}
				if stalled := findCondition(refused, networkstackv1alpha1.ConditionStalled); stalled.Status != metav1.ConditionTrue {
					t.Error("a refused stack is not Stalled")
				}
				if after := e.fingerprint(); after != before {
					t.Errorf("the refused stack changed the cluster:\n%s\nwas:\n%s", after, before)
				}
			})
		})
	}

	first := base()
	table[0].edit(&first.Spec)
	hook.judge(e, first).refusedWith(t, said[table[0].name])
	// What is refused already is in nobody's way.
	known := e.stack(first.Name)
	known.Spec.Suspend = true
	hook.judge(e, known).passedWith(t, said[table[len(table)-1].name])

	// The same object, put right, is taken; what is refused afterwards leaves what runs alone.
	good := base()
	e.apply(good)
	ready := e.waitReady(good.Name)
	running := e.fingerprint()
	bad := base()
	bad.Spec.MTU = 1480
	e.apply(bad)
	e.waitCondition(bad.Name, networkstackv1alpha1.ConditionAccepted, metav1.ConditionFalse, networkstackv1alpha1.ReasonInvalid)
	if after := e.fingerprint(); after != running {
		t.Errorf("a refused change changed what runs:\n%s\nwas:\n%s", after, running)
	}
	if len(e.stack(bad.Name).Status.Components) != len(ready.Status.Components) {
		t.Error("a refused change dropped the components from status")
	}
	tellMTU(t, e, base())

	e.apply(base())
	e.waitReady(good.Name)
	keepToOperator(t, e, good.Name)
	hook.install(e, everything)
	hookLives(t, e, hook, base(), bad)
}

// mentions checks that an error says all of the texts.
func (e *env) mentions(err error, texts ...string) {
	e.t.Helper()
	if err == nil {
		e.t.Fatal("it was accepted")
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			e.t.Errorf("the error does not say %q: %v", text, err)
		}
	}
}

// fingerprint is what the operator could have changed: its components, and every DaemonSet, as generations.
func (e *env) fingerprint() string {
	e.t.Helper()
	var components networkstackv1alpha1.NetworkComponentList
	e.check(e.client.List(e.t.Context(), &components))
	var sets appsv1.DaemonSetList
	e.check(e.client.List(e.t.Context(), &sets))
	var secrets corev1.SecretList
	e.check(e.client.List(e.t.Context(), &secrets))
	out := map[string]int64{}
	for i := range components.Items {
		out["NetworkComponent "+components.Items[i].Name] = components.Items[i].Generation
	}
	for i := range sets.Items {
		out["DaemonSet "+sets.Items[i].Namespace+"/"+sets.Items[i].Name] = sets.Items[i].Generation
	}
	for i := range secrets.Items {
		out["Secret "+secrets.Items[i].Namespace+"/"+secrets.Items[i].Name] = 0
	}
	return toJSON(out)
}
