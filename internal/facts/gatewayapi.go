package facts

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/networkstack/networkstack/internal/ownership"
)

// The annotations in which definitions of the Gateway API say of which bundle they are.
const (
	gatewayBundleAnnotation  = "gateway.networking.k8s.io/bundle-version"
	gatewayChannelAnnotation = "gateway.networking.k8s.io/channel"
)

// The API groups of the Gateway API: what is standard or on its way there, and what is tried out.
const (
	gatewayGroup             = "gateway.networking.k8s.io"
	gatewayExperimentalGroup = "gateway.networking.x-k8s.io"
)

// The channels of the Gateway API.
const (
	GatewayStandard     = "standard"
	GatewayExperimental = "experimental"
)

// GatewayAPI is what there is of the Gateway API. It is zero when nothing of it is defined.
type GatewayAPI struct {
	// Definitions are the names of its definitions, ordered.
	Definitions []string `json:"definitions,omitzero"`
	// Version of the bundle that they are of, such as "v1.5.1": the oldest one, when they are of several. Empty when none says so.
	Version string `json:"version,omitzero"`
	// Newest is the newest one of them.
	Newest string `json:"newest,omitzero"`
	// Channel is experimental when one of them is of the experimental channel, else standard; empty when none says so.
	Channel string `json:"channel,omitzero"`
	// Component is the component of ours that has them; empty when none has.
	Component string `json:"component,omitzero"`
	// Manager is who else keeps one of them, as its marks say; empty when there is no mark.
	Manager string `json:"manager,omitzero"`
	// Classes are the GatewayClasses, ordered by name; Known says that they have been looked at.
	Classes      []GatewayClass `json:"classes,omitzero"`
	ClassesKnown bool           `json:"classesKnown,omitzero"`
}

// Present says whether anything is defined.
func (g *GatewayAPI) Present() bool { return len(g.Definitions) > 0 }

// GatewayClass is what matters of an object of this kind.
type GatewayClass struct {
	Name string `json:"name,omitzero"`
	// Controller that implements it, such as io.cilium/gateway-controller.
	Controller string `json:"controller,omitzero"`
	// Accepted is what the controller says of it: True, False or Unknown; empty when it says nothing.
	Accepted string `json:"accepted,omitzero"`
	// Reason that the controller gives.
	Reason string `json:"reason,omitzero"`
}

// IsGatewayDefinition says whether a definition of this name is the Gateway API's.
func IsGatewayDefinition(name string) bool {
	return strings.HasSuffix(name, "."+gatewayGroup) || strings.HasSuffix(name, "."+gatewayExperimentalGroup)
}

// TrimDefinition keeps what facts read from a definition: that there is such a one, and of those of the Gateway API which bundle
// they are of and whose they are.
func TrimDefinition(d *metav1.PartialObjectMetadata) {
	kept := metav1.ObjectMeta{Name: d.Name, UID: d.UID, ResourceVersion: d.ResourceVersion, DeletionTimestamp: d.DeletionTimestamp}
	if IsGatewayDefinition(d.Name) {
		kept.Labels, kept.Annotations, kept.OwnerReferences = d.Labels, d.Annotations, d.OwnerReferences
		for _, f := range d.ManagedFields {
			kept.ManagedFields = append(kept.ManagedFields, metav1.ManagedFieldsEntry{
				Manager: f.Manager, Operation: f.Operation, Subresource: f.Subresource,
			})
		}
		delete(kept.Annotations, "kubectl.kubernetes.io/last-applied-configuration")
	}
	d.ObjectMeta = kept
}

// gatewayAPI reads what there is of the Gateway API from the metadata of its definitions.
func (d *Discoverer) gatewayAPI(ctx context.Context) (GatewayAPI, error) {
	list := &metav1.PartialObjectMetadataList{TypeMeta: Definition().TypeMeta}
	list.Kind += "List"
	if err := d.Reader.List(ctx, list); err != nil {
		return GatewayAPI{}, err
	}
	var out GatewayAPI
	for i := range list.Items {
		if crd := &list.Items[i]; IsGatewayDefinition(crd.Name) && crd.DeletionTimestamp.IsZero() {
			out.add(crd)
		}
	}
	slices.Sort(out.Definitions)
	if d.Gateways != nil {
		out.Classes, out.ClassesKnown = d.Gateways.Classes()
	}
	return out, nil
}

// add takes one definition into account.
func (g *GatewayAPI) add(crd *metav1.PartialObjectMetadata) {
	g.Definitions = append(g.Definitions, crd.Name)
	mark := ownership.Of(crd)
	g.Component = cmp.Or(g.Component, mark.Component)
	switch {
	case mark.Component != "":
	case mark.Manager != "":
		g.Manager = cmp.Or(g.Manager, mark.Manager)
	case mark.ReleaseName != "":
		g.Manager = cmp.Or(g.Manager, "Helm release "+mark.ReleaseNamespace+"/"+mark.ReleaseName)
	}
	if channel := crd.Annotations[gatewayChannelAnnotation]; channel == GatewayExperimental || g.Channel == "" {
		// Those of the other group are there in the experimental channel alone.
		g.Channel = channel
	}
	version := crd.Annotations[gatewayBundleAnnotation]
	if version == "" {
		return
	}
	if g.Version == "" || olderBundle(version, g.Version) {
		g.Version = version
	}
	if g.Newest == "" || olderBundle(g.Newest, version) {
		g.Newest = version
	}
}

// olderBundle says whether version a comes before b. What is no version comes before all that are.
func olderBundle(a, b string) bool {
	va, errA := semver.NewVersion(a)
	vb, errB := semver.NewVersion(b)
	switch {
	case errB != nil:
		return false
	case errA != nil:
		return true
	default:
		return va.LessThan(vb)
	}
}
