package compose

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// agentKeys are the paths where a chart's values have the settings of its agents.
type agentKeys struct {
	resources string
	// container is the agent's name, when resources is the path of a list of containers.
	container string
	// requests are what the chart asks for by itself. Its values and ours are merged, so what is not wanted has to be
	// taken out.
	requests []corev1.ResourceName
	// The others may be needed at several paths: Cilium's Envoy runs beside each agent.
	tolerations, nodeSelector, updateStrategy []string
}

var agentsOf = map[string]agentKeys{
	TypeKubeProxy: {
		resources: "resources", requests: []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory},
		tolerations: []string{"tolerations"}, nodeSelector: []string{"nodeSelector"}, updateStrategy: []string{"updateStrategy"},
	},
	string(networkstackv1alpha1.CNIFlannel): {
		resources: "flannel.resources", requests: []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory},
		tolerations: []string{"flannel.tolerations"}, nodeSelector: []string{"flannel.nodeSelector"},
		updateStrategy: []string{"updateStrategy"},
	},
	string(networkstackv1alpha1.CNICilium): {
		resources:      "resources",
		tolerations:    []string{"tolerations", "envoy.tolerations"},
		nodeSelector:   []string{"nodeSelector", "envoy.nodeSelector"},
		updateStrategy: []string{"updateStrategy", "envoy.updateStrategy"},
	},
	string(networkstackv1alpha1.CNICalico): {
		resources: calicoNodePod + ".containers", container: "calico-node",
		tolerations: []string{calicoNodePod + ".tolerations"}, nodeSelector: []string{calicoNodePod + ".nodeSelector"},
		updateStrategy: []string{"installation.nodeUpdateStrategy"},
	},
	string(networkstackv1alpha1.CNIWeaveNet): {
		resources: "resources", requests: []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory},
		tolerations: []string{"tolerations"}, nodeSelector: []string{"nodeSelector"}, updateStrategy: []string{"updateStrategy"},
	},
	string(networkstackv1alpha1.CNIAWSVPC): {
		resources: "resources", requests: []corev1.ResourceName{corev1.ResourceCPU},
		tolerations: []string{"tolerations"}, nodeSelector: []string{"nodeSelector"}, updateStrategy: []string{"updateStrategy"},
	},
}

// calicoNodePod is the pod of Calico's agents, as the Installation has it.
const calicoNodePod = "installation.calicoNodeDaemonSet.spec.template.spec"

// agentValues puts the settings of a component's agents where its chart reads them.
func agentValues(b *valuesBuilder, typ string, path *field.Path, a *networkstackv1alpha1.AgentSettings) {
	keys, known := agentsOf[typ]
	if a == nil || !known {
		return
	}
	const from = "from %s"
	if a.Resources != nil {
		at := path.Child("resources")
		var value any = keys.resourcesOf(a.Resources)
		if keys.container != "" {
			value = []any{map[string]any{"name": keys.container, "resources": value}}
		}
		b.control(keys.resources, at.String(), value, from, at)
	}
	if len(a.Tolerations) > 0 {
		at := path.Child("tolerations")
		for _, key := range keys.tolerations {
			b.control(key, at.String(), plain(a.Tolerations), from, at)
		}
	}
	if len(a.NodeSelector) > 0 {
		at := path.Child("nodeSelector")
		for _, key := range keys.nodeSelector {
			b.control(key, at.String(), plain(a.NodeSelector), from, at)
		}
	}
	if a.MaxUnavailable != nil {
		at := path.Child("maxUnavailable")
		for _, key := range keys.updateStrategy {
			// The host network leaves no room for a second agent on a node.
			b.control(key, at.String(), map[string]any{"type": "RollingUpdate", "rollingUpdate": map[string]any{
				"maxUnavailable": plain(a.MaxUnavailable), "maxSurge": int64(0),
			}}, from, at)
		}
	}
}

// resourcesOf are the wanted resources as values, with null for what the chart would ask for beside them.
func (k agentKeys) resourcesOf(r *networkstackv1alpha1.AgentResources) map[string]any {
	list := func(in corev1.ResourceList) map[string]any {
		out := map[string]any{}
		for name, quantity := range in {
			out[string(name)] = quantity.String()
		}
		return out
	}
	requests := list(r.Requests)
	for _, name := range k.requests {
		if _, wanted := r.Requests[name]; !wanted {
			requests[string(name)] = nil
		}
	}
	out := map[string]any{}
	if len(requests) > 0 {
		out["requests"] = requests
	}
	if len(r.Limits) > 0 {
		out["limits"] = list(r.Limits)
	}
	return out
}

// agents are those of one component, as they are to be judged.
type agents struct {
	*networkstackv1alpha1.AgentSettings
	path *field.Path
	// without says what a node without an agent lacks.
	without string
}

// validateAgents refuses settings of agents that leave nodes without one.
func (s *state) validateAgents() {
	if a := s.spec.CNI.Agents; a != nil && s.takesCNISettings() {
		without := "pods there have no network"
		if s.kubeProxyMode == networkstackv1alpha1.KubeProxyReplaced {
			without += " and nobody programs Services" // a kube-proxy is parked on every node
		}
		s.validateAgentsOf(agents{a, cniPath.Child("agents"), without})
		if a.MaxUnavailable != nil && s.cni == networkstackv1alpha1.CNIFlannel && s.overridesChart(s.spec.CNI.Chart, s.cni) {
			s.refuse(ruleAgentsPaceUnknown, field.Forbidden(cniPath.Child("agents", "maxUnavailable"),
				"Flannel's upstream chart has no update strategy: remove it, or cni.chart to have the operator's own"))
		}
	}
	if k := s.spec.KubeProxy; k != nil && k.Agents != nil && s.managesKubeProxy() {
		s.validateAgentsOf(agents{k.Agents, kubeProxyPath.Child("agents"), "nobody programs Services there"})
	}
}

func (s *state) validateAgentsOf(a agents) {
	s.validateResources(a)
	s.validateLabels(a.path.Child("nodeSelector"), a.NodeSelector)
	selected := s.validateSelection(a)
	if len(a.Tolerations) > 0 {
		s.validateTolerations(a, selected)
	}
	if a.MaxUnavailable != nil {
		s.validatePace(a.path.Child("maxUnavailable"), *a.MaxUnavailable, len(selected))
	}
}

// validateSelection answers which Linux nodes get an agent by their labels.
func (s *state) validateSelection(a agents) []selectedNode {
	var selected []selectedNode
	var others []string
	for _, n := range s.linux {
		matches := true
		for key, value := range a.NodeSelector {
			has, there := n.Labels[key]
			matches = matches && there && has == value
		}
		if matches {
			selected = append(selected, selectedNode{n.Name, n.Taints})
		} else {
			others = append(others, n.Name)
		}
	}
	path := a.path.Child("nodeSelector")
	switch {
	case len(others) == 0:
	case len(selected) == 0:
		s.refuse(ruleAgentsNowhere, field.Invalid(path, labelText(a.NodeSelector), fmt.Sprintf(
			"none of the %d Linux nodes has these labels, so there would be no agent at all: correct it, or label nodes first", len(others))))
	default:
		s.warn(ruleAgentsSomewhere, path, "%s: label %s too, or see to it otherwise",
			a.left(others, len(s.linux)), verb(others, "it", "them"))
	}
	return selected
}

// selectedNode is a node that gets an agent unless its taints keep it away.
type selectedNode struct {
	name   string
	taints []corev1.Taint
}

// left says which nodes get no agent, and what of it.
func (a agents) left(names []string, of int) string {
	return fmt.Sprintf("%d of %d Linux nodes (%s) %s no agent, and %s",
		len(names), of, nodeList(names), verb(names, "gets", "get"), a.without)
}

// labelText is a selector as kubectl takes it.
func labelText(labels map[string]string) string {
	text := ""
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		text += "," + key + "=" + labels[key]
	}
	return text[min(1, len(text)):]
}

// validatePace refuses a roll-out that never moves, or that stops every agent at once.
func (s *state) validatePace(path *field.Path, pace intstr.IntOrString, nodes int) {
	share := pace.Type == intstr.String
	count, err := intstr.GetScaledValueFromIntOrPercent(&pace, nodes, true)
	percent := 0
	if share && err == nil {
		percent, err = intstr.GetScaledValueFromIntOrPercent(&pace, hundred, false)
	}
	switch {
	case err != nil || percent < 0:
		s.refuse(ruleAgentsPace, field.Invalid(path, pace.String(), "write a number such as 2, or a share such as 10%"))
	case share && percent == 0 || !share && pace.IntVal < 1:
		s.refuse(ruleRolloutStuck, field.Invalid(path, pace.String(), "with 0 no agent is ever replaced: use 1 or more"))
	case percent >= hundred:
		s.refuse(ruleAgentsAllAtOnce, field.Invalid(path, pace.String(),
			"a change would stop the agents of all nodes at once: use a number, or a smaller share"))
	case nodes > 1 && count >= nodes:
		s.warn(ruleRolloutAtOnce, path, "%s of %d agents lets a change stop all of them at once: use less", pace.String(), nodes)
	}
}

const hundred = 100

// Taints that nodes have until a network plugin runs on them.
const (
	ciliumNotReadyTaint = "node.cilium.io/agent-not-ready"
	ciliumTaintKey      = "agentNotReadyTaintKey"
)

// initialTaints are those that every agent has to tolerate, or it never starts on a new node.
func (s *state) initialTaints() []corev1.Taint {
	out := []corev1.Taint{{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule}}
	if s.cni == networkstackv1alpha1.CNICilium {
		key, _ := lookup(s.userValues[cniPath.String()], ciliumTaintKey)
		text, _ := key.(string)
		out = append(out, corev1.Taint{Key: cmp.Or(text, ciliumNotReadyTaint), Effect: corev1.TaintEffectNoSchedule})
	}
	return out
}

// validateTolerations refuses a list by which no agent starts on a new node, and warns of nodes that it leaves out.
func (s *state) validateTolerations(a agents, selected []selectedNode) {
	path := a.path.Child("tolerations")
	for i, t := range a.Tolerations {
		s.validateToleration(path.Index(i), t)
	}
	for _, taint := range s.initialTaints() {
		if !tolerated(a.Tolerations, taint) {
			s.refuse(ruleAgentsNotReady, field.Invalid(path, field.OmitValueType{}, fmt.Sprintf(
				"no toleration of %s, the taint of a node on which the network plugin does not run yet, so it never would: add {key: %s, operator: Exists, effect: %s}",
				taint.ToString(), taint.Key, taint.Effect)))
		}
	}
	var kept []string
	example := ""
	for _, n := range selected {
		for _, taint := range n.taints {
			if taint.Effect != corev1.TaintEffectPreferNoSchedule && !tolerated(a.Tolerations, taint) {
				kept = append(kept, n.name)
				example = cmp.Or(example, taint.ToString())
				break
			}
		}
	}
	if len(kept) > 0 {
		s.warn(ruleAgentsTainted, path, "%s: tolerate %s taints, such as %s, or see to it otherwise",
			a.left(kept, len(s.linux)), verb(kept, "its", "their"), example)
	}
}

// tolerated says whether one of the tolerations is for a taint.
func tolerated(tolerations []corev1.Toleration, taint corev1.Taint) bool {
	return slices.ContainsFunc(tolerations, func(t corev1.Toleration) bool {
		equal := (t.Operator == "" || t.Operator == corev1.TolerationOpEqual) && t.Value == taint.Value
		return (t.Effect == "" || t.Effect == taint.Effect) && (t.Key == "" || t.Key == taint.Key) &&
			(t.Operator == corev1.TolerationOpExists || equal)
	})
}
