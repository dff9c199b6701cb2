package baseline

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// kind is a kind of objects that baseline policies are written as.
type kind struct {
	gvk      schema.GroupVersionKind
	resource string
	// builtIn kinds are always served; the others have a definition.
	builtIn bool
	// behind is the definition of what an API server of its own keeps such objects as, where one serves them; it may not be up when that
	// is there.
	behind string
}

func (k *kind) gvr() schema.GroupVersionResource {
	return k.gvk.GroupVersion().WithResource(k.resource)
}

// definedBy says whether a definition of a name is one of its kind.
func (k *kind) definedBy(name string) bool {
	return !k.builtIn && (name == k.gvr().GroupResource().String() || name == k.behind)
}

// served says whether objects of the kind can be there at all, by the definitions that there are.
func (k *kind) served(defined map[string]bool) bool {
	return k.builtIn || defined[k.gvr().GroupResource().String()] || k.behind != "" && defined[k.behind]
}

// kinds are all that may have been written, now or by an earlier process: what is left of an API that is not used any more is looked
// for among them.
var kinds = []*kind{
	{gvk: gvk("networking.k8s.io", "v1", "NetworkPolicy"), resource: "networkpolicies", builtIn: true},
	{gvk: gvk("policy.networking.k8s.io", "v1alpha2", "ClusterNetworkPolicy"), resource: "clusternetworkpolicies"},
	{gvk: gvk("cilium.io", "v2", "CiliumClusterwideNetworkPolicy"), resource: "ciliumclusterwidenetworkpolicies"},
	{gvk: gvk("cilium.io", "v2", "CiliumNetworkPolicy"), resource: "ciliumnetworkpolicies"},
	{gvk: gvk("projectcalico.org", "v3", "Tier"), resource: "tiers", behind: "tiers.crd.projectcalico.org"},
	{gvk: gvk("projectcalico.org", "v3", "GlobalNetworkPolicy"), resource: "globalnetworkpolicies", behind: "globalnetworkpolicies.crd.projectcalico.org"},
	{gvk: gvk("projectcalico.org", "v3", "StagedGlobalNetworkPolicy"), resource: "stagedglobalnetworkpolicies", behind: "stagedglobalnetworkpolicies.crd.projectcalico.org"},
	{gvk: gvk("projectcalico.org", "v3", "NetworkPolicy"), resource: "networkpolicies", behind: "networkpolicies.crd.projectcalico.org"},
	{gvk: gvk("projectcalico.org", "v3", "StagedNetworkPolicy"), resource: "stagednetworkpolicies", behind: "stagednetworkpolicies.crd.projectcalico.org"},
}

func gvk(group, version, name string) schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: group, Version: version, Kind: name}
}

func kindOf(gvk schema.GroupVersionKind) *kind {
	for _, k := range kinds {
		if k.gvk == gvk {
			return k
		}
	}
	return nil
}

// Resources are all that may be written.
func Resources() []schema.GroupVersionResource {
	out := make([]schema.GroupVersionResource, 0, len(kinds))
	for _, k := range kinds {
		out = append(out, k.gvr())
	}
	return out
}
