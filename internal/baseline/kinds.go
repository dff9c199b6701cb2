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
}

func (k *kind) gvr() schema.GroupVersionResource {
	return k.gvk.GroupVersion().WithResource(k.resource)
}

// definition is the name of the definition of its kind.
func (k *kind) definition() string { return k.gvr().GroupResource().String() }

// kinds are all that may have been written, now or by an earlier process: what is left of an API that is not used any more is looked
// for among them.
var kinds = []*kind{
	{gvk: gvk("networking.k8s.io", "v1", "NetworkPolicy"), resource: "networkpolicies", builtIn: true},
	{gvk: gvk("policy.networking.k8s.io", "v1alpha2", "ClusterNetworkPolicy"), resource: "clusternetworkpolicies"},
	{gvk: gvk("cilium.io", "v2", "CiliumClusterwideNetworkPolicy"), resource: "ciliumclusterwidenetworkpolicies"},
	{gvk: gvk("cilium.io", "v2", "CiliumNetworkPolicy"), resource: "ciliumnetworkpolicies"},
	{gvk: gvk("crd.projectcalico.org", "v1", "Tier"), resource: "tiers"},
	{gvk: gvk("crd.projectcalico.org", "v1", "GlobalNetworkPolicy"), resource: "globalnetworkpolicies"},
	{gvk: gvk("crd.projectcalico.org", "v1", "StagedGlobalNetworkPolicy"), resource: "stagedglobalnetworkpolicies"},
	{gvk: gvk("crd.projectcalico.org", "v1", "NetworkPolicy"), resource: "networkpolicies"},
	{gvk: gvk("crd.projectcalico.org", "v1", "StagedNetworkPolicy"), resource: "stagednetworkpolicies"},
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
