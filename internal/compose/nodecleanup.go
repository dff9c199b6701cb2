package compose

import (
	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// TypeNodeCleanup is the component type of what removes from nodes what the agents of a deleted stack left there, and its name in the
// catalogue.
const TypeNodeCleanup = "NodeCleanup"

// NameNodeCleanup is the name of that component.
const NameNodeCleanup = "node-cleanup"

// Leftovers are what the agents of a stack leave on nodes, told by what they run.
type Leftovers struct {
	// FlannelImage and KubeProxyImage are what the agents run; empty when there are none.
	FlannelImage, KubeProxyImage string
	// ConfDir and BinDir are where Flannel has written, on the node.
	ConfDir, BinDir string
	// NodeSelector is on which nodes they run; nil for all of Linux.
	NodeSelector map[string]string
	// PullSecrets are the names of those in the namespace of the clean-up by which images are pulled.
	PullSecrets []string
}

// Any says whether there is anything to remove.
func (l Leftovers) Any() bool { return l.FlannelImage != "" || l.KubeProxyImage != "" }

// NodeCleanup is what removes them. It is suspended: whoever has it run knows that the agents are gone. ok is false when the catalogue
// does not have it.
func NodeCleanup(in Input, l Leftovers) (out Release, ok bool) {
	s := newState(in, true)
	if _, known := s.catalog[TypeNodeCleanup]; !known || in.Stack == nil {
		return Release{}, false
	}
	b := newValues(NameNodeCleanup)
	b.set("image", in.OperatorImage, "the operator's own image")
	if l.FlannelImage != "" {
		b.set("flannel.image", l.FlannelImage, "that of the agents")
		if l.ConfDir != "" {
			b.set("flannel.cniConfDir", l.ConfDir, "that of the agents")
		}
		if l.BinDir != "" {
			b.set("flannel.cniBinDir", l.BinDir, "that of the agents")
		}
	}
	if l.KubeProxyImage != "" {
		b.set("kubeProxy.image", l.KubeProxyImage, "that of the agents")
	}
	if l.NodeSelector != nil {
		selector := map[string]any{}
		for key, value := range l.NodeSelector {
			selector[key] = value
		}
		b.set("nodeSelector", selector, "that of the agents")
	}
	var secrets []any
	for _, name := range l.PullSecrets {
		secrets = append(secrets, map[string]any{"name": name})
	}
	if len(secrets) > 0 {
		b.set("imagePullSecrets", secrets, "those of the agents")
	}
	out = s.release(NameNodeCleanup, TypeNodeCleanup, stageNodeCleanup, specPath, networkstackv1alpha1.ComponentSettings{}, b)
	if out.Spec.Sources != nil {
		out.Spec.Sources.ImageRegistry = "" // the images are where they were pulled from
	}
	out.Spec.DeletionPolicy, out.Spec.Suspend = networkstackv1alpha1.DeletionDelete, true
	return out, true
}

// cleanedAgents are the values under which a clean-up has what agents left removed, by the agents' type.
var cleanedAgents = map[string]string{string(networkstackv1alpha1.CNIFlannel): "flannel", TypeKubeProxy: "kubeProxy"}

// WithoutAgent is a clean-up that leaves alone what agents of a type left; more is false when nothing else is left to do.
func WithoutAgent(spec *networkstackv1alpha1.NetworkComponentSpec, typ string) (more bool, err error) {
	values, err := ParseValues(spec.DerivedValues)
	if err != nil {
		return false, err
	}
	delete(values, cleanedAgents[typ])
	b := newValues(NameNodeCleanup)
	b.values = values
	if spec.DerivedValues, err = b.json(); err != nil {
		return false, err
	}
	for other := range cleanedAgents {
		more = more || Cleans(spec, other)
	}
	return more, nil
}

// Cleans says whether a clean-up removes what agents of a type left.
func Cleans(spec *networkstackv1alpha1.NetworkComponentSpec, typ string) bool {
	values, err := ParseValues(spec.DerivedValues)
	image, _ := lookup(values, cleanedAgents[typ]+".image")
	return err == nil && image != nil
}

// NodesOfCleanup are the labels of the nodes that a clean-up is for: its chart's, and those of the agents.
func NodesOfCleanup(spec *networkstackv1alpha1.NetworkComponentSpec) map[string]string {
	out := map[string]string{"kubernetes.io/os": "linux"}
	values, _ := ParseValues(spec.DerivedValues) // we wrote them
	selector, _ := values["nodeSelector"].(map[string]any)
	for key, value := range selector {
		out[key], _ = value.(string)
	}
	return out
}
