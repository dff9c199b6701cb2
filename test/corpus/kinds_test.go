package corpus

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
)

// kinds are all kinds of the cluster whose objects can be listed.
func (c *cluster) kinds() ([]schema.GroupVersionKind, error) {
	d, err := discovery.NewDiscoveryClientForConfig(c.ControlPlane.RESTConfig())
	if err != nil {
		return nil, err
	}
	lists, err := d.ServerPreferredResources()
	// Aggregated APIs of the charts are served by nobody here.
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) {
		return nil, err
	}
	var out []schema.GroupVersionKind
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, err
		}
		for i := range list.APIResources {
			r := &list.APIResources[i]
			if slices.Contains(r.Verbs, "list") && slices.Contains(r.Verbs, "watch") && gv.Group != "events.k8s.io" && r.Kind != "Event" {
				out = append(out, gv.WithKind(r.Kind))
			}
		}
	}
	return out, nil
}
