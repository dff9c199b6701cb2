package importer

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/networkstack/networkstack/internal/ownership"
	"github.com/networkstack/networkstack/internal/release"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// pageSize of lists of Helm's records, of which there may be many.
const pageSize = 500

// Read reads what an import takes beside facts: Helm's releases, and objects that set up the network. What may not be read is remarked.
func Read(ctx context.Context, config *rest.Config) (releases []Release, objects []Objects, remarks []Remark, err error) {
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, nil, nil, err
	}
	heads, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, nil, nil, err
	}
	releases, remarks, err = readReleases(ctx, kube, heads)
	if err != nil {
		return nil, nil, nil, err
	}
	served, err := kube.Discovery().ServerGroups()
	if err != nil {
		return nil, nil, nil, err
	}
	objects, more, err := readObjects(ctx, heads, served)
	return releases, objects, append(remarks, more...), err
}

// record is a revision of a release.
type record struct {
	name   string
	number int
	status string
}

func readReleases(ctx context.Context, kube kubernetes.Interface, heads metadata.Interface) ([]Release, []Remark, error) {
	secrets := schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	newest, deployed := map[string]record{}, map[string]record{}
	spaces := map[string]string{}
	options := metav1.ListOptions{LabelSelector: "owner=helm", Limit: pageSize}
	for {
		list, err := heads.Resource(secrets).List(ctx, options)
		if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
			return nil, []Remark{{
				Severity: Unexpressed, Object: "Helm releases",
				What:   "Helm's releases may not be read, so nothing that Helm has installed is described",
				Remedy: "import again with the permission to list and get Secrets in all namespaces, in which Helm keeps them",
			}}, nil
		}
		if err != nil {
			return nil, nil, fmt.Errorf("listing Helm's releases: %w", err)
		}
		for n := range list.Items {
			s := &list.Items[n]
			number, err := strconv.Atoi(s.Labels["version"])
			if err != nil || s.Labels["name"] == "" {
				continue
			}
			id := s.Namespace + "/" + s.Labels["name"]
			spaces[id] = s.Namespace
			r := record{s.Name, number, s.Labels["status"]}
			if r.number > newest[id].number {
				newest[id] = r
			}
			if r.status == "deployed" && r.number > deployed[id].number {
				deployed[id] = r
			}
		}
		if options.Continue = list.Continue; options.Continue == "" {
			break
		}
	}
	var out []Release
	var remarks []Remark
	for _, id := range sortedKeys(newest) {
		d, ok := deployed[id]
		if !ok {
			if newest[id].status != "uninstalled" {
				remarks = append(remarks, Remark{
					Severity: Unexpressed, Object: "Helm release " + id,
					What:   fmt.Sprintf("Helm release %s is %s and was never deployed: it is not described", id, newest[id].status),
					Remedy: "finish or uninstall it",
				})
			}
			continue
		}
		rel, err := release.ReadRecord(kube.CoreV1().Secrets(spaces[id]), d.name)
		if err != nil || rel.Chart == nil || rel.Chart.Metadata == nil {
			remarks = append(remarks, Remark{
				Severity: Unexpressed, Object: "Helm release " + id,
				What:   "the record of Helm release " + id + " cannot be read: it is not described",
				Remedy: "see whether helm get values reads it, and whether you may get Secrets in that namespace",
			})
			continue
		}
		if s := newest[id].status; s != "deployed" {
			remarks = append(remarks, Remark{
				Severity: Unexpressed, Object: "Helm release " + id,
				What: fmt.Sprintf("revision %d of Helm release %s is %s: revision %d, which is deployed, is described",
					newest[id].number, id, s, d.number),
				Remedy: "roll back or finish it first",
			})
		}
		m := rel.Chart.Metadata
		out = append(out, Release{
			Name: rel.Name, Namespace: spaces[id], Revision: d.number, Values: normal(rel.Config),
			Chart: Chart{
				Name: m.Name, Version: m.Version, About: append(slices.Clone(m.Sources), m.Home), Keywords: m.Keywords,
				Defaults: normal(rel.Chart.Values),
			},
		})
	}
	return out, remarks, nil
}

// resources are those whose objects set up the network beside what is installed.
var resources = []struct {
	kind     string
	resource schema.GroupVersionResource
}{
	{"IPAddressPool.metallb.io", gvr("metallb.io", "v1beta1", "ipaddresspools")},
	{"L2Advertisement.metallb.io", gvr("metallb.io", "v1beta1", "l2advertisements")},
	{"BGPAdvertisement.metallb.io", gvr("metallb.io", "v1beta1", "bgpadvertisements")},
	{"BGPPeer.metallb.io", gvr("metallb.io", "v1beta2", "bgppeers")},
	{"CiliumLoadBalancerIPPool.cilium.io", gvr("cilium.io", "v2", "ciliumloadbalancerippools")},
	{"CiliumL2AnnouncementPolicy.cilium.io", gvr("cilium.io", "v2alpha1", "ciliuml2announcementpolicies")},
	{"CiliumBGPClusterConfig.cilium.io", gvr("cilium.io", "v2", "ciliumbgpclusterconfigs")},
	{"CiliumBGPPeerConfig.cilium.io", gvr("cilium.io", "v2", "ciliumbgppeerconfigs")},
	{"CiliumBGPAdvertisement.cilium.io", gvr("cilium.io", "v2", "ciliumbgpadvertisements")},
	{"CiliumPodIPPool.cilium.io", gvr("cilium.io", "v2alpha1", "ciliumpodippools")},
	{"IngressClass.networking.k8s.io", gvr("networking.k8s.io", "v1", "ingressclasses")},
	{"IPPool.crd.projectcalico.org", gvr("crd.projectcalico.org", "v1", "ippools")},
	{"Installation.operator.tigera.io", gvr("operator.tigera.io", "v1", "installations")},
	{"NetworkAttachmentDefinition.k8s.cni.cncf.io", gvr("k8s.cni.cncf.io", "v1", "network-attachment-definitions")},
}

func gvr(group, version, resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: group, Version: version, Resource: resource}
}

func readObjects(ctx context.Context, heads metadata.Interface, served *metav1.APIGroupList) ([]Objects, []Remark, error) {
	var out []Objects
	var remarks []Remark
	for _, r := range resources {
		// Who may not list a kind is told so, whether there is such a kind or not.
		if !slices.ContainsFunc(served.Groups, func(g metav1.APIGroup) bool { return g.Name == r.resource.Group }) {
			continue
		}
		list, err := heads.Resource(r.resource).List(ctx, metav1.ListOptions{Limit: pageSize})
		switch {
		case apierrors.IsNotFound(err) || meta.IsNoMatchError(err):
			continue
		case apierrors.IsForbidden(err):
			remarks = append(remarks, Remark{
				Severity: Unexpressed, Object: r.kind, What: "objects of this kind may not be read, so nothing is said of them",
				Remedy: "import again with the permission to list them",
			})
			continue
		case err != nil:
			return nil, nil, fmt.Errorf("listing objects of %s: %w", r.kind, err)
		}
		o := Objects{Kind: r.kind}
		for n := range list.Items {
			item := &list.Items[n]
			if item.Annotations[ownership.ReleaseNameAnnotation] != "" {
				continue // a part of a release
			}
			if item.Namespace != "" {
				o.Names = append(o.Names, item.Namespace+"/"+item.Name)
			} else {
				o.Names = append(o.Names, item.Name)
			}
		}
		if len(o.Names) > 0 {
			out = append(out, o)
		}
	}
	return out, remarks, nil
}
