package importer

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// chartOf is a chart that is known to be a part of the network, or of what a platform has beside it.
type chartOf struct {
	name string
	// mark is in the home page or the sources that the chart states: charts of others have the same name.
	mark       string
	repository string
	// of is the part of a stack that installs the like, under names of its own; empty when there is none.
	of string
	// after are charts that come before it.
	after []string
}

// charts are those that are described as add-ons.
var charts = []chartOf{
	{"traefik", "traefik/traefik", "https://traefik.github.io/charts", "spec.ingress", nil},
	{"ingress-nginx", "kubernetes/ingress-nginx", "https://kubernetes.github.io/ingress-nginx", "spec.ingress", nil},
	{"nginx-ingress", "nginx/kubernetes-ingress", "oci://ghcr.io/nginx/charts", "spec.ingress", nil},
	{"nginx-gateway-fabric", "nginx/nginx-gateway-fabric", "oci://ghcr.io/nginx/charts", "", nil},
	{"kubernetes-ingress", "haproxytech/", "https://haproxytech.github.io/helm-charts", "spec.ingress", nil},
	{"haproxy-ingress", "haproxy-ingress", "https://haproxy-ingress.github.io/charts", "spec.ingress", nil},
	{"gateway-helm", "envoyproxy/gateway", "oci://docker.io/envoyproxy", "spec.ingress", []string{"gateway-crds-helm"}},
	{"gateway-crds-helm", "envoyproxy/gateway", "oci://docker.io/envoyproxy", "spec.gatewayAPI", nil},
	{"contour", "projectcontour/", "https://projectcontour.github.io/helm-charts", "", nil},
	{"kong", "Kong/", "https://charts.konghq.com", "", nil},
	{"metallb", "metallb/metallb", "https://metallb.github.io/metallb", "spec.loadBalancer", nil},
	{"kube-vip", "kube-vip/", "https://kube-vip.github.io/helm-charts", "", nil},
	{"coredns", "coredns/", "https://coredns.github.io/helm", "spec.dns", nil},
	{"external-dns", "kubernetes-sigs/external-dns", "https://kubernetes-sigs.github.io/external-dns", "", nil},
	{"cert-manager", "cert-manager/cert-manager", "https://charts.jetstack.io", "", nil},
	{"trust-manager", "cert-manager/trust-manager", "https://charts.jetstack.io", "", []string{"cert-manager"}},
	{"metrics-server", "kubernetes-sigs/metrics-server", "https://kubernetes-sigs.github.io/metrics-server", "", nil},
	{"base", "istio/istio", istioRepository, "spec.mesh", nil},
	{"istiod", "istio/istio", istioRepository, "spec.mesh", []string{"base"}},
	{"cni", "istio/istio", istioRepository, "spec.mesh", []string{"base", "istiod"}},
	{"ztunnel", "istio/istio", istioRepository, "spec.mesh", []string{"cni"}},
	{"gateway", "istio/istio", istioRepository, "spec.ingress", []string{"istiod"}},
	{"linkerd-crds", "linkerd", linkerdRepository, "spec.mesh", nil},
	{"linkerd2-cni", "linkerd", linkerdRepository, "spec.mesh", nil},
	{"linkerd-control-plane", "linkerd", linkerdRepository, "spec.mesh", []string{"linkerd-crds", "linkerd2-cni"}},
	{"consul", "consul", "https://helm.releases.hashicorp.com", "spec.mesh", nil},
}

const (
	istioRepository   = "https://blob.istio.io/istio-release/charts"
	linkerdRepository = "https://helm.linkerd.io/edge"
	bitnamiRepository = "oci://registry-1.docker.io/bitnamicharts"
)

// known is what is known of the chart of a release; nil when it is none of these.
func known(r *Release) *chartOf {
	n := slices.IndexFunc(charts, func(c chartOf) bool {
		return c.name == r.Chart.Name && slices.ContainsFunc(r.Chart.About, func(a string) bool { return strings.Contains(a, c.mark) })
	})
	bitnami := slices.ContainsFunc(r.Chart.About, func(a string) bool { return strings.Contains(a, "bitnami") })
	switch {
	case n >= 0 && !bitnami:
		return &charts[n]
	case bitnami && networkWords.MatchString(r.Chart.Name):
		return &chartOf{name: r.Chart.Name, repository: bitnamiRepository}
	default:
		return nil
	}
}

// networkWords are in the names and keywords of charts that are about the network.
var networkWords = regexp.MustCompile(
	`(?i)(^|[-_ ])(ingress|gateway|mesh|cni|dns|metallb|load-?balancer|contour|envoy|proxy|multus|whereabouts|sriov|submariner|vpn|egress|bgp)`)

// notAddons are charts that the network is made of, with what is set in their place.
var notAddons = []string{"cilium", "flannel", "aws-vpc-cni", "kube-proxy", "multus"}

var (
	labelForm   = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	versionForm = regexp.MustCompile(`^v?[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]+)?$`)
)

const maxAddonName = 47

// addons describes what else of Helm's belongs to the network.
func (i *importing) addons() {
	byChart := map[string][]string{}
	var made []*chartOf
	var elsewhere, fields []string
	for n := range i.Releases {
		r := &i.Releases[n]
		if i.taken[r.ID()] {
			continue
		}
		c, why := i.addonOf(r)
		if c == nil {
			i.leave(r, why)
			continue
		}
		a := networkstackv1alpha1.AddonSpec{Name: r.Name}
		a.Version = r.Chart.Version
		a.Chart = &networkstackv1alpha1.ChartReference{Repository: c.repository}
		if r.Chart.Name != r.Name {
			a.Chart.Name = r.Chart.Name
		}
		if r.Namespace != r.Name {
			a.Namespace = r.Namespace
		}
		at := len(i.spec.Addons)
		field := fmt.Sprintf("spec.addons[%d]", at)
		i.spec.Addons = append(i.spec.Addons, a)
		made = append(made, c)
		byChart[r.Chart.Name] = append(byChart[r.Chart.Name], r.Name)
		i.origin(field, "Helm release %s: chart %s %s", r.ID(), r.Chart.Name, r.Chart.Version)
		settings := func() *networkstackv1alpha1.ComponentSettings { return &i.spec.Addons[at].ComponentSettings }
		i.describe(r, field, settings)
		if c.of != "" {
			elsewhere = append(elsewhere, r.Name)
			if !slices.Contains(fields, c.of) {
				fields = append(fields, c.of)
			}
		}
	}
	if len(elsewhere) > 0 {
		i.remark(Remark{
			Severity: Note, Field: "spec.addons", Object: "Helm releases " + strings.Join(elsewhere, ", "),
			What: "add-ons keep their releases, and the names of their objects; " + strings.Join(fields, ", ") +
				" would install the like under names of their own, beside what is there",
		})
	}
	if len(i.spec.Addons) > 0 {
		i.remark(Remark{
			Severity: Note, Field: "spec.addons", What: "the operator takes over what it may write, and charts may hold objects that it may not",
			Remedy: "docs/security.md says how it is granted what add-ons take",
		})
	}
	for n, c := range made {
		for _, before := range c.after {
			for _, name := range byChart[before] {
				if name != i.spec.Addons[n].Name {
					i.spec.Addons[n].After = append(i.spec.Addons[n].After, name)
				}
			}
		}
	}
}

// addonOf is what is known of a release that can be an add-on; or why it cannot be one, empty when it is no part of the network.
func (i *importing) addonOf(r *Release) (c *chartOf, why string) {
	c = known(r)
	if repository := i.Addons[r.ID()]; repository != "" {
		own := chartOf{name: r.Chart.Name}
		if c != nil {
			own = *c
		}
		own.repository = repository
		c = &own
	}
	switch {
	case i.Leave[r.ID()] != "":
		return nil, i.Leave[r.ID()]
	case slices.Contains(notAddons, r.Chart.Name) || slices.Contains(calicoCharts, r.Chart.Name):
		return nil, "is a chart that the network is made of, and nothing was found that it has installed"
	case c == nil && i.looksLikeNetwork(r):
		return nil, "looks like a part of the network, and nobody has said where its chart comes from"
	case c == nil:
		return nil, ""
	case !labelForm.MatchString(r.Name) || len(r.Name) > maxAddonName:
		return nil, "has a name that an add-on cannot have"
	case !versionForm.MatchString(r.Chart.Version):
		return nil, fmt.Sprintf("is of chart version %q, which is none that an add-on can have", r.Chart.Version)
	case slices.ContainsFunc(i.spec.Addons, func(a networkstackv1alpha1.AddonSpec) bool { return a.Name == r.Name }):
		return nil, "has the name of another release in another namespace, and names of add-ons are unique"
	default:
		return c, ""
	}
}

func (i *importing) looksLikeNetwork(r *Release) bool {
	return networkWords.MatchString(r.Chart.Name) || slices.ContainsFunc(r.Chart.Keywords, networkWords.MatchString)
}

// leave notes a release that the stack does not have.
func (i *importing) leave(r *Release, why string) {
	if why == "" {
		i.Others = append(i.Others, r.ID())
		return
	}
	remedy := ""
	if strings.HasPrefix(why, "looks like") {
		remedy = fmt.Sprintf("--addon %s=REPOSITORY makes it an add-on", r.ID())
	}
	i.remark(Remark{
		Severity: Unexpressed, Field: "spec.addons", Object: "Helm release " + r.ID(), Remedy: remedy,
		What: fmt.Sprintf("Helm release %s (chart %s %s) %s: it goes on as it is, and the stack says nothing of it",
			r.ID(), r.Chart.Name, r.Chart.Version, why),
	})
}

// objectsOf says what of a stack makes objects of a kind.
var objectsOf = map[string]string{
	"IPAddressPool.metallb.io":                    "spec.loadBalancer",
	"L2Advertisement.metallb.io":                  "spec.loadBalancer",
	"BGPAdvertisement.metallb.io":                 "spec.loadBalancer",
	"BGPPeer.metallb.io":                          "spec.loadBalancer",
	"CiliumLoadBalancerIPPool.cilium.io":          "spec.loadBalancer",
	"CiliumL2AnnouncementPolicy.cilium.io":        "spec.loadBalancer",
	"CiliumBGPClusterConfig.cilium.io":            "spec.cni.cilium.bgp",
	"CiliumBGPPeerConfig.cilium.io":               "spec.cni.cilium.bgp",
	"CiliumBGPAdvertisement.cilium.io":            "spec.cni.cilium.bgp",
	"IngressClass.networking.k8s.io":              "spec.ingress",
	"CiliumPodIPPool.cilium.io":                   "spec.ipPools",
	"IPPool.crd.projectcalico.org":                "spec.ipPools",
	"Installation.operator.tigera.io":             "spec.cni.calico",
	"NetworkAttachmentDefinition.k8s.cni.cncf.io": "spec.secondaryNetworks.attachments",
}

// objects names what is set up by objects that the stack leaves to whoever made them.
func (i *importing) objects() {
	slices.SortFunc(i.Objects, func(a, b Objects) int { return cmp.Compare(a.Kind, b.Kind) })
	for _, o := range i.Objects {
		const named = 5
		names := slices.Sorted(slices.Values(o.Names))
		more := ""
		if len(names) > named {
			names, more = names[:named], fmt.Sprintf(" and %d more", len(o.Names)-named)
		}
		kind, _, _ := strings.Cut(o.Kind, ".")
		i.remark(Remark{
			Severity: Unexpressed, Field: objectsOf[o.Kind], Object: kind + " " + strings.Join(names, ", ") + more,
			What:   "made beside what is installed, and left to whoever made it",
			Remedy: "go on keeping it where it is kept; " + objectsOf[o.Kind] + " makes its like, which is better begun with after the take-over",
		})
	}
}
