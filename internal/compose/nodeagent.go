package compose

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// TypeNodeAgent is the component type of the agent that tells the nodes' MTU, and its name in the catalogue.
const TypeNodeAgent = "NodeAgent"

var nodeAgentPath = specPath.Child("nodeAgent")

// usesNodeAgent says whether the agent is a component of this stack.
func (s *state) usesNodeAgent() bool {
	return s.spec.NodeAgent != nil && s.spec.NodeAgent.Mode == networkstackv1alpha1.Enabled
}

// nodeAgentRelease is the agent. Its image is taken from where the operator has it: that one could be pulled.
func (s *state) nodeAgentRelease() Release {
	stage := int32(stageNodeAgent)
	if s.kubeProxyMode == networkstackv1alpha1.KubeProxyNFTables {
		stage = stageFirstAgent
	}
	r := s.release(nameNodeAgent, TypeNodeAgent, stage, nodeAgentPath, s.spec.NodeAgent.ComponentSettings, s.nodeAgentValues())
	if r.Spec.Sources != nil {
		r.Spec.Sources.ImageRegistry = ""
	}
	return r
}

// nodeAgentValues are the values of our node-agent chart.
func (s *state) nodeAgentValues() *valuesBuilder {
	b := newValues("node-agent")
	if s.operatorImage != "" {
		b.set("image", s.operatorImage, "the operator's own image")
	}
	if s.endpoint.Host != "" && s.needsEndpoint() {
		b.set("apiServer.host", s.endpoint.Host, "%s; the agent comes before whatever programs Services", s.endpointReason())
		b.set("apiServer.port", int64(s.endpoint.Port), "%s", s.endpointReason())
	}
	return b
}

// validateNodeAgent refuses an agent that could not run, and tells of one that serves nobody.
func (s *state) validateNodeAgent() {
	n := s.spec.NodeAgent
	if n == nil {
		return
	}
	if n.Mode != networkstackv1alpha1.Enabled {
		for _, f := range []struct {
			name string
			set  bool
		}{
			{"version", n.Version != ""}, {"namespace", n.Namespace != ""}, {"chart", n.Chart != nil},
			{"values", n.Values != nil}, {"valuesFrom", n.ValuesFrom != nil},
		} {
			if f.set {
				s.refuse(ruleNodeAgentField, field.Forbidden(nodeAgentPath.Child(f.name),
					"with mode Disabled there is no agent: remove it, or set mode to Enabled"))
			}
		}
		return
	}
	_, stated := lookup(s.userValues[nodeAgentPath.String()], "image")
	if s.withFacts && s.operatorImage == "" && !stated && len(n.ValuesFrom) == 0 {
		s.refuse(ruleNodeAgentImage, field.Required(nodeAgentPath.Child("values"),
			"the operator does not run in a pod and so does not know its own image: state values.image, or start it with --operator-image"))
	}
	if v := parseVersion(s.facts.KubernetesVersion); v != nil && !atLeast(v, 1, 30) {
		s.refuse(ruleNodeAgentKubernetes, field.Invalid(nodeAgentPath.Child("mode"), n.Mode,
			"the agent is held to its own node by a ValidatingAdmissionPolicy, which Kubernetes has from 1.30: use Disabled, and annotate the nodes or pin cluster.nodeMTU"))
	}
	if s.cni == networkstackv1alpha1.CNIFlannel || s.kubeProxyMode == networkstackv1alpha1.KubeProxyNFTables {
		return // it tells of the kernel, too
	}
	switch {
	case s.pinned().NodeMTU > 0:
		s.warn(ruleNodeAgentNoEffect, nodeAgentPath, "has no effect: cluster.nodeMTU is pinned, so that what the agent tells is not used")
	case s.cni != "" && !s.installsCNI():
		s.warn(ruleNodeAgentNoEffect, nodeAgentPath, "has no effect: with cni.type %s the MTU is not decided here", s.cni)
	}
}
