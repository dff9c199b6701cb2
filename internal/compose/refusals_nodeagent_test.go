package compose

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
)

// withAgent has the node agent, by an operator that knows its image.
func withAgent(in *Input) {
	in.OperatorImage = "registry.example.com/networkstack-operator:v1"
	in.Stack.Spec.NodeAgent = &NodeAgentSpec{Mode: Enabled}
}

func nodeAgentFindings() []finding {
	noImage := func(in *Input) { in.OperatorImage = "" }
	agent := func(edit func(*NodeAgentSpec)) func(*Input) { return func(in *Input) { edit(in.Stack.Spec.NodeAgent) } }
	return []finding{
		{name: "node agent", in: cilium(withAgent)},
		{name: "node agent without an image", in: cilium(withAgent, noImage), errors: []string{
			"spec.nodeAgent.values: Required value: the operator does not run in a pod and so does not know its own image: state values.image, or start it with --operator-image [NODE-AGENT-IMAGE]",
		}},
		{name: "node agent with the user's image", in: cilium(withAgent, noImage, agent(func(n *NodeAgentSpec) { n.Values = rawValues(object{"image": "a/b:1"}) }))},
		{name: "node agent on an old Kubernetes", in: flannel(withAgent, cluster(func(s *facts.Snapshot) { s.KubernetesVersion = "v1.29.3" })), errors: []string{
			`spec.nodeAgent.mode: Invalid value: "Enabled": the agent is held to its own node by a ValidatingAdmissionPolicy, which Kubernetes has from 1.30: use Disabled, and annotate the nodes or pin cluster.nodeMTU [NODE-AGENT-KUBERNETES]`,
		}},
		{name: "node agent beside a pin", in: cilium(withAgent, pinned(PinnedFacts{NodeMTU: 1500})), warnings: []string{
			"spec.nodeAgent: has no effect: cluster.nodeMTU is pinned, so that what the agent tells is not used [NODE-AGENT-NO-EFFECT]",
		}},
		{name: "node agent beside a pin, for Flannel", in: flannel(withAgent, pinned(PinnedFacts{NodeMTU: 1500}))},
		{name: "node agent beside an external CNI, for kube-proxy", in: external(withAgent, func(in *Input) { in.Facts.Installed = in.Facts.Installed[1:] },
			func(in *Input) { in.Facts.Installed[0].Type = facts.InstalledFlannel }, mode(KubeProxyNFTables))},
		{name: "node agent beside an external CNI", in: external(withAgent), warnings: []string{
			"spec.nodeAgent: has no effect: with cni.type External the MTU is not decided here [NODE-AGENT-NO-EFFECT]",
		}},
		{name: "node agent disabled, with settings", in: cilium(withAgent, agent(func(n *NodeAgentSpec) {
			n.Mode, n.Version, n.Values = Disabled, "1.0.0", rawValues(object{})
		})), errors: []string{
			"spec.nodeAgent.version: Forbidden: with mode Disabled there is no agent: remove it, or set mode to Enabled [NODE-AGENT-FIELD]",
			"spec.nodeAgent.values: Forbidden: with mode Disabled there is no agent: remove it, or set mode to Enabled [NODE-AGENT-FIELD]",
		}},
		{name: "node agent in no mode", in: cilium(withAgent, agent(func(n *NodeAgentSpec) { n.Mode = "Auto" })), errors: []string{
			`spec.nodeAgent.mode: Unsupported value: "Auto": supported values: "Enabled", "Disabled" [STACK-UNKNOWN-VALUE]`,
		}},
	}
}

// TestNodeAgent wants the agent before the CNI and after kube-proxy, with the operator's image as the operator has it, and with
// an address of the API server that works before anything programs Services.
func TestNodeAgent(t *testing.T) {
	registry := spec(func(s *NetworkStackSpec) { s.Sources = &Sources{ImageRegistry: "mirror.example.com"} })
	r := accepted(t, cilium(withAgent, registry, mode(KubeProxyReplaced)))
	var stages []int32
	var names []string
	for _, release := range r.Releases {
		stages, names = append(stages, release.Spec.Stage), append(names, release.Name)
	}
	if diff := cmp.Diff([]string{"node-agent", "cilium"}, names); diff != "" || stages[0] <= stageKubeProxy || stages[0] >= stageDefinitions {
		t.Errorf("%v at %v: %s", names, stages, diff)
	}
	// What a kube-proxy in nftables mode removes when it starts has to be known before.
	first := accepted(t, flannel(withoutKubeProxy, withAgent, mode(KubeProxyNFTables)))
	before, _ := releaseNamed(t, first, "node-agent")
	proxy, _ := releaseNamed(t, first, "kube-proxy")
	if before.Spec.Stage >= proxy.Spec.Stage {
		t.Errorf("the agent is at stage %d, kube-proxy at %d", before.Spec.Stage, proxy.Spec.Stage)
	}
	release, got := releaseNamed(t, r, "node-agent")
	want := map[string]any{"image": "registry.example.com/networkstack-operator:v1", "apiServer": map[string]any{"host": "192.168.10.10", "port": int64(6443)}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if release.Spec.Sources.ImageRegistry != "" {
		t.Error("the operator's own image is looked for elsewhere")
	}
	if cilium, _ := releaseNamed(t, r, "cilium"); cilium.Spec.Sources.ImageRegistry == "" {
		t.Error("all images are taken from where they are")
	}
	// A kube-proxy that is left alone answers at the Service's address.
	if _, got := releaseNamed(t, accepted(t, cilium(withAgent)), "node-agent"); got["apiServer"] != nil {
		t.Errorf("%v", got)
	}
}
