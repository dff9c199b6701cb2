// Package exposure looks at a cluster for an analysis of baseline policies: in pages, keeping what matters, beside everything else that the
// operator does, and again when something has changed that matters.
package exposure

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/networkstack/networkstack/internal/policy/analysis"
)

// pageSize is how many objects are asked for at once. Pods are some kilobytes each.
const pageSize = 250

// Collect reads from the API server what an analysis needs.
func Collect(ctx context.Context, reader client.Reader, known analysis.Known) (*analysis.Cluster, error) {
	c := &collector{
		Reader: reader, cluster: &analysis.Cluster{Namespaces: map[string]map[string]string{}, Known: known},
		granted: map[string]bool{}, pods: map[string]*analysis.Pod{},
	}
	for _, part := range []struct {
		what string
		read func(context.Context) error
	}{
		{"namespaces", c.namespaces}, {"Services", c.services}, {"the API server's addresses", c.apiServer},
		{"ValidatingWebhookConfigurations", c.validating}, {"MutatingWebhookConfigurations", c.mutating}, {"APIServices", c.apiServices},
		{"CustomResourceDefinitions", c.conversions}, {"Ingresses", c.ingresses}, {"routes", c.routes},
		{"NetworkPolicies", c.policies}, {"policies of the network plugin", c.otherPolicies},
		{"monitors", c.monitors}, {"ClusterNetworkPolicies", c.clusterPolicies},
		{"who is granted something", c.grants}, {"pods", c.allPods},
	} {
		if err := part.read(ctx); err != nil {
			return nil, fmt.Errorf("reading %s: %w", part.what, err)
		}
	}
	for _, key := range sorted(c.pods) {
		c.cluster.Pods = append(c.cluster.Pods, *c.pods[key])
	}
	return c.cluster, nil
}

type collector struct {
	client.Reader
	cluster *analysis.Cluster
	// granted are the ServiceAccounts that some role is bound to, as namespace/name.
	granted map[string]bool
	// pods are the workloads seen so far, by all that is kept of them.
	pods map[string]*analysis.Pod
}

// pages lists objects page by page; each is called for every page.
func (c *collector) pages(ctx context.Context, list client.ObjectList, each func(), opts ...client.ListOption) error {
	next := ""
	for {
		if err := c.List(ctx, list, append([]client.ListOption{client.Limit(pageSize), client.Continue(next)}, opts...)...); err != nil {
			return err
		}
		each()
		if next = list.GetContinue(); next == "" {
			return nil
		}
	}
}

// optional is an error, unless it says that there is no such kind.
func optional(err error) error {
	if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func (c *collector) namespaces(ctx context.Context) error {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NamespaceList"))
	return c.pages(ctx, list, func() {
		for i := range list.Items {
			c.cluster.Namespaces[list.Items[i].Name] = list.Items[i].Labels
		}
	})
}

// apiServer reads the API server's own addresses, which are behind the Service default/kubernetes.
func (c *collector) apiServer(ctx context.Context) error {
	list := &discoveryv1.EndpointSliceList{}
	err := c.List(ctx, list, client.InNamespace(metav1.NamespaceDefault), client.MatchingLabels{discoveryv1.LabelServiceName: "kubernetes"})
	for i := range list.Items {
		for _, p := range list.Items[i].Ports {
			if p.Port != nil {
				c.cluster.APIServerPort = *p.Port
			}
		}
		for _, e := range list.Items[i].Endpoints {
			c.cluster.APIServer = append(c.cluster.APIServer, addresses(e.Addresses)...)
		}
	}
	return err
}

func addresses(texts []string) []netip.Addr {
	var out []netip.Addr
	for _, t := range texts {
		if a, err := netip.ParseAddr(t); err == nil {
			out = append(out, a.Unmap())
		}
	}
	return out
}

// grants finds the ServiceAccounts that are bound to a role by name. What is granted to groups is granted to all of them: little.
func (c *collector) grants(ctx context.Context) error {
	note := func(namespace string, subjects []rbacv1.Subject) {
		for _, s := range subjects {
			if s.Kind == rbacv1.ServiceAccountKind {
				c.granted[cmp.Or(s.Namespace, namespace)+"/"+s.Name] = true
			}
		}
	}
	everywhere := &rbacv1.ClusterRoleBindingList{}
	if err := c.pages(ctx, everywhere, func() {
		for i := range everywhere.Items {
			note("", everywhere.Items[i].Subjects)
		}
	}); err != nil {
		return err
	}
	list := &rbacv1.RoleBindingList{}
	return c.pages(ctx, list, func() {
		for i := range list.Items {
			note(list.Items[i].Namespace, list.Items[i].Subjects)
		}
	})
}

// running are pods whose containers have not ended.
var running = client.MatchingFieldsSelector{Selector: fields.AndSelectors(
	fields.OneTermNotEqualSelector("status.phase", string(corev1.PodSucceeded)),
	fields.OneTermNotEqualSelector("status.phase", string(corev1.PodFailed)),
)}

func (c *collector) allPods(ctx context.Context) error {
	list := &corev1.PodList{}
	return c.pages(ctx, list, func() {
		for i := range list.Items {
			c.pod(&list.Items[i])
		}
	}, running)
}

// pod adds a pod to those that are like it.
func (c *collector) pod(p *corev1.Pod) {
	kept := podFrom(p)
	kept.CallsAPI = hasToken(p) && c.granted[p.Namespace+"/"+p.Spec.ServiceAccountName]
	own := kept.Addresses
	kept.Addresses = nil
	key := fmt.Sprintf("%s\x00%s\x00%+v", kept.Namespace, kept.Owner, kept)
	same := c.pods[key]
	if same == nil {
		same = &kept
		c.pods[key] = same
	}
	same.Count++
	// One of each family is enough where all are ordinary; ranges that cut a workload in two are for nobody.
	for _, a := range own {
		if !slices.ContainsFunc(same.Addresses, func(b netip.Addr) bool { return a.Is4() == b.Is4() }) {
			same.Addresses = append(same.Addresses, a)
		}
	}
}

func sorted[T any](m map[string]T) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, strings.Compare)
	return keys
}
