package compose

import (
	"encoding/json"
	"slices"

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
	// Multus is what its daemons leave; nil when there are none. NodeLocalDNS is what the caches of DNS leave; nil likewise.
	Multus       *MultusLeftovers
	NodeLocalDNS *NodeLocalDNSLeftovers
	// NodeSelector is on which nodes they run; nil for all of Linux.
	NodeSelector map[string]string
	// PullSecrets are the names of those in the namespace of the clean-up by which images are pulled.
	PullSecrets []string
}

// MultusLeftovers are what Multus's daemons leave.
type MultusLeftovers struct {
	// ConfDir and BinDir are where they have written, on the node; empty for the usual directories.
	ConfDir, BinDir string
	// Books says that what is remembered of pods' attachments goes as well, and Networks names those of the stack's attachments.
	Books    bool
	Networks []string
}

// NodeLocalDNSLeftovers are what caches of DNS leave that were killed.
type NodeLocalDNSLeftovers struct {
	// Image is what they run.
	Image string
	// Addresses are those that they answer on.
	Addresses []string
}

// Any says whether there is anything to remove.
func (l Leftovers) Any() bool {
	return l.FlannelImage != "" || l.KubeProxyImage != "" || l.Multus != nil || l.NodeLocalDNS != nil
}

// NetworksOf are the names of the networks that a component's attachments are to, as those who give out addresses know them.
func NetworksOf(attachments *networkstackv1alpha1.NetworkComponentSpec) []string {
	values, _ := ParseValues(attachments.DerivedValues) // we wrote them
	list, _ := values["attachments"].([]any)
	var out []string
	for _, entry := range list {
		fields, _ := entry.(map[string]any)
		text, _ := fields["config"].(string)
		var config struct{ Name string }
		if json.Unmarshal([]byte(text), &config) == nil && config.Name != "" {
			out = append(out, config.Name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

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
	if m := l.Multus; m != nil {
		b.set("multus.enabled", true, "there are daemons of Multus")
		b.set("multus.books", m.Books, "whether there is a pod afterwards that could be let go of")
		if m.ConfDir != "" {
			b.set("multus.cniConfDir", m.ConfDir, "that of the daemons")
		}
		if m.BinDir != "" {
			b.set("multus.cniBinDir", m.BinDir, "that of the daemons")
		}
		if len(m.Networks) > 0 {
			b.set("multus.networks", anyStrings(m.Networks), "those of the attachments")
		}
	}
	if d := l.NodeLocalDNS; d != nil {
		b.set("nodeLocalDNS.image", d.Image, "that of the caches")
		b.set("nodeLocalDNS.addresses", anyStrings(d.Addresses), "those of the caches")
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
var cleanedAgents = map[string]string{
	string(networkstackv1alpha1.CNIFlannel): "flannel", TypeKubeProxy: "kubeProxy", TypeMultus: "multus", TypeNodeLocalDNS: "nodeLocalDNS",
}

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
	return err == nil && values[cleanedAgents[typ]] != nil
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
