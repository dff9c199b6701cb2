package compose

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
)

// Keys of the ConfigMaps that kubeadm and Flannel write.
const (
	kubeProxyConfig     = "config.conf"
	kubeProxyKubeconfig = "kubeconfig.conf"
	flannelCNIConf      = "cni-conf.json"
	flannelNetConf      = "net-conf.json"
)

// The names of our components.
const (
	nameKubeProxy = "kube-proxy"
	nameFlannel   = "flannel"
	nameCilium    = "cilium"
	nameCalico    = "calico"
	nameAWSVPC    = "aws-vpc-cni"
	nameWeaveNet  = "weave-net"
	// nameCalicoCRDs is the release with Calico's definitions.
	nameCalicoCRDs = "calico-crds"
	nameMultus     = "multus"
	nameNodeAgent  = "node-agent"
	// nameAttachments is the release with the NetworkAttachmentDefinitions.
	nameAttachments = "network-attachments"
	// nameCiliumResources is the release with Cilium's custom resources.
	nameCiliumResources = "cilium-resources"
	// nameObservability is the release with monitors and dashboards.
	nameObservability = "observability"
	nameMetalLB       = "metallb"
	// nameMetalLBResources is the release with MetalLB's custom resources.
	nameMetalLBResources = "metallb-resources"
	// nameGatewayAPI is the release with the definitions of the Gateway API.
	nameGatewayAPI = "gateway-api"
	// nameCoreDNS and nameNodeLocalDNS are the cluster's DNS.
	nameCoreDNS      = "coredns"
	nameNodeLocalDNS = "node-local-dns"
)

var adoptionPath = specPath.Child("adoption")

// inherited is what a component that was there before brings along: where its release is, and how its chart has to write
// the objects for nothing to change.
type inherited struct {
	// releaseName and namespace of the Helm release; empty when they are ours to choose.
	releaseName, namespace string
	// source is who made it.
	source string
	// values for the chart, by path.
	values map[string]any
}

// stickyValues are the paths of values that stay as they were when a component was taken over. What is live cannot be
// asked again: by then it is what we applied, or what somebody made of it.
var stickyValues = map[string][]string{
	nameKubeProxy: {
		"layout", "found.config", "found.kubeconfig", "image.repository", "resources",
		"tolerations", "updateStrategy.type", "updateStrategy.rollingUpdate",
	},
	nameFlannel: {
		"layout", "found.cniConf", "found.netConf", "flannel.cniConf", "flannel.tolerations",
		"updateStrategy.type", "updateStrategy.rollingUpdate",
	},
	nameCoreDNS: {
		"layout", "found.corefile", "found.template", "found.strategy", "replicaCount", "image.repository", "image.tag",
		"resources", "tolerations", "affinity", "nodeSelector", "podDisruptionBudget",
	},
}

// NeedsFound says whether a composition depends on how an installed agent is configured: it is to be taken over, or its
// component has to be written again.
func NeedsFound(in Input, i facts.Installed) bool {
	name := componentName(string(i.Type))
	wanted := string(in.Stack.Spec.CNI.Type) == string(i.Type)
	if p := in.Stack.Spec.KubeProxy; p != nil && i.Type == facts.InstalledKubeProxy {
		wanted = p.Mode != networkstackv1alpha1.KubeProxyReplaced && p.Mode != networkstackv1alpha1.KubeProxyUnmanaged
	}
	goneBy := stickyValues[name] != nil || i.Type == facts.InstalledCilium && i.Component == ""
	if !wanted || !goneBy || i.Kept {
		return false
	}
	if i.Component == "" {
		return true
	}
	_, known := in.Existing[name]
	return i.Layout != "" && i.Component == name && !known
}

func componentName(typ string) string {
	switch typ {
	case TypeKubeProxy:
		return nameKubeProxy
	case string(networkstackv1alpha1.CNIFlannel):
		return nameFlannel
	case string(networkstackv1alpha1.CNICilium):
		return nameCilium
	case string(networkstackv1alpha1.CNICalico):
		return nameCalico
	case TypeMultus:
		return nameMultus
	case TypeAttachments:
		return nameAttachments
	case TypeKubeProxyCleanup:
		return NameKubeProxyCleanup
	case TypeNodeAgent:
		return nameNodeAgent
	case TypeNodeCleanup:
		return NameNodeCleanup
	case TypeCiliumResources:
		return nameCiliumResources
	case string(networkstackv1alpha1.CNIAWSVPC):
		return nameAWSVPC
	case string(networkstackv1alpha1.CNIWeaveNet):
		return nameWeaveNet
	case TypeCoreDNS:
		return nameCoreDNS
	case TypeNodeLocalDNS:
		return nameNodeLocalDNS
	}
	return ""
}

// claimCalico takes the agents of a Calico for ours when there is a component of ours that makes them. They do not say so
// themselves: the tigera-operator made them.
func (s *state) claimCalico() {
	if _, ours := s.existing[nameCalico]; !ours {
		return
	}
	for n, i := range s.facts.Installed {
		if i.Type != facts.InstalledCalico || i.Namespace != facts.CalicoNamespace || i.Component != "" {
			continue
		}
		mine := *s.facts
		mine.Installed = slices.Clone(mine.Installed)
		mine.Installed[n].Component = nameCalico
		s.facts = &mine
		return
	}
}

// installed are the agents of a type: ours, and those of others.
func (s *state) installed(typ string) (ours *facts.Installed, others []*facts.Installed) {
	for n := range s.facts.Installed {
		i := &s.facts.Installed[n]
		switch {
		case string(i.Type) != typ:
		case i.Component != "":
			ours = i
		default:
			others = append(others, i)
		}
	}
	return ours, others
}

// inherit settles what the component of a type brings along; nil when there is nothing.
func (s *state) inherit(typ string) *inherited {
	if in, done := s.inheritance[typ]; done {
		return in
	}
	in := s.inheritFrom(typ)
	s.inheritance[typ] = in
	return in
}

func (s *state) inheritFrom(typ string) *inherited {
	name := componentName(typ)
	ours, others := s.installed(typ)
	previous, known := s.existing[name]
	switch {
	case typ == TypeCoreDNS && ours == nil && len(others) == 0 && known:
		// Once it was taken over, it is not looked at again.
		return &inherited{
			releaseName: previous.ReleaseName, namespace: previous.Namespace,
			source: "whoever installed it", values: sticky(name, &previous),
		}
	case ours != nil && known:
		return &inherited{
			releaseName: previous.ReleaseName, namespace: previous.Namespace,
			source: "whoever installed it", values: sticky(name, &previous),
		}
	case ours != nil:
		in := &inherited{releaseName: ours.ReleaseName, namespace: ours.ReleaseNamespace, source: "whoever installed it"}
		if ours.Layout != "" {
			in.values = s.found(ours, ours.Layout)
		}
		return in
	case len(others) == 1 && !others[0].Kept:
		i := others[0]
		in := &inherited{releaseName: i.ReleaseName, namespace: cmp.Or(i.ReleaseNamespace, i.Namespace), source: i.Source}
		if old := sticky(name, &previous); known && i.Found != nil && i.Found.Ours && len(old) > 0 {
			in.values = old // a take-over under way: the configuration is ours already
		} else {
			in.values = s.found(i, layoutOf(i))
		}
		return in
	}
	return nil
}

// sticky are the values of a component that was taken over which stay.
func sticky(name string, spec *networkstackv1alpha1.NetworkComponentSpec) map[string]any {
	all, err := ParseValues(spec.DerivedValues)
	if err != nil {
		return nil
	}
	if layout, _ := lookup(all, "layout"); layout == nil {
		return nil
	}
	out := map[string]any{}
	for _, path := range stickyValues[name] {
		// What the spec decided since is not what was found.
		ours := slices.ContainsFunc(spec.ControlledValues, func(c networkstackv1alpha1.ControlledValue) bool {
			return c.Path == path || strings.HasPrefix(path, c.Path+".")
		})
		if v, ok := lookup(all, path); ok && !ours {
			out[path] = v
		}
	}
	return out
}

// layoutOf is how the installer of an agent writes its objects; empty when the chart has no form for it.
func layoutOf(i *facts.Installed) string {
	switch {
	case i.Found == nil:
		return ""
	case i.Type == facts.InstalledKubeProxy && i.Found.Data[kubeProxyConfig] != "":
		return "kubeadm"
	case i.Type == facts.InstalledCoreDNS && i.Found.Data[facts.CorefileKey] != "" && i.ReleaseName == "" && selectsDNS(i.Found.Selector):
		return "kubeadm"
	case i.Type != facts.InstalledFlannel || i.Name != "kube-flannel-ds" || i.Found.Data[flannelNetConf] == "":
		return ""
	case i.ReleaseName != "":
		return "chart"
	default:
		return "manifest"
	}
}

// selectsDNS says whether a selector is that of kubeadm's CoreDNS; it could not be changed.
func selectsDNS(s *metav1.LabelSelector) bool {
	return s != nil && len(s.MatchExpressions) == 0 && maps.Equal(s.MatchLabels, map[string]string{"k8s-app": facts.DNSLabelValue})
}

// found are the values with which the chart writes what was found.
func (s *state) found(i *facts.Installed, layout string) map[string]any {
	if layout == "" || i.Found == nil {
		return nil
	}
	if i.Type == facts.InstalledCoreDNS {
		return foundDNS(i)
	}
	out := map[string]any{"layout": layout, "updateStrategy.type": cmp.Or(string(i.Found.UpdateStrategy.Type), "RollingUpdate")}
	out["updateStrategy.rollingUpdate"] = nil
	if r := i.Found.UpdateStrategy.RollingUpdate; r != nil {
		out["updateStrategy.rollingUpdate"] = plain(r)
	}
	tolerations, _ := plain(i.Found.Tolerations).([]any)
	switch i.Type {
	case facts.InstalledKubeProxy:
		out["found.config"], out["found.kubeconfig"] = i.Found.Data[kubeProxyConfig], i.Found.Data[kubeProxyKubeconfig]
		out["image.repository"] = imageRepository(i.Image)
		out["resources"] = nil
		out["tolerations"] = tolerations
	case facts.InstalledFlannel:
		out["found.cniConf"], out["found.netConf"] = i.Found.Data[flannelCNIConf], i.Found.Data[flannelNetConf]
		out["flannel.cniConf"] = i.Found.Data[flannelCNIConf]
		out["flannel.tolerations"] = tolerations
	default:
	}
	return out
}

// plain is a typed value as values have it.
func plain(v any) any {
	data, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	parsed, err := ParseValues(rawJSON([]byte(`{"v":` + string(data) + `}`)))
	if err != nil {
		return nil
	}
	return parsed["v"]
}

// imageRepository is an image without tag and digest.
func imageRepository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if colon := strings.LastIndex(image, ":"); colon > strings.LastIndex(image, "/") {
		image = image[:colon]
	}
	return image
}

// inheritedValues puts the values of a layout that was found into a component's, and says whether there is one. The user
// opts out of it by setting layout.
func (s *state) inheritedValues(typ string, path *field.Path, b *valuesBuilder) map[string]any {
	in := s.inherit(typ)
	if in == nil || len(in.values) == 0 {
		return nil
	}
	if _, set := s.userValues[path.String()]["layout"]; set {
		return nil
	}
	for _, p := range stickyValues[componentName(typ)] {
		if v, ok := in.values[p]; ok {
			b.set(p, v, "kept from the %s that was there (made by %s), so that its pods go on running", typ, in.source)
		}
	}
	return in.values
}

// foundEndpoint is the API server that the kube-proxy which was there uses.
func foundEndpoint(values map[string]any) (networkstackv1alpha1.Endpoint, bool) {
	var config struct {
		Clusters []struct {
			Cluster struct {
				Server string `json:"server"`
			} `json:"cluster"`
		} `json:"clusters"`
	}
	text, _ := values["found.kubeconfig"].(string)
	if yaml.Unmarshal([]byte(text), &config) != nil || len(config.Clusters) == 0 {
		return networkstackv1alpha1.Endpoint{}, false
	}
	u, err := url.Parse(config.Clusters[0].Cluster.Server)
	if err != nil || u.Hostname() == "" || u.Scheme != "https" {
		return networkstackv1alpha1.Endpoint{}, false
	}
	port, err := strconv.ParseUint(cmp.Or(u.Port(), "443"), 10, 16)
	return networkstackv1alpha1.Endpoint{Host: u.Hostname(), Port: int32(port)}, err == nil
}

// foundNetwork is what Flannel's network configuration says. A network of a family that is not on means nothing to flanneld.
type foundNetwork struct {
	EnableIPv4  bool   `json:"EnableIPv4"`
	Network     string `json:"Network"`
	EnableIPv6  bool   `json:"EnableIPv6"`
	IPv6Network string `json:"IPv6Network"`
	Backend     struct {
		Type string `json:"Type"`
	} `json:"Backend"`
}

func networkOf(values map[string]any) (foundNetwork, bool) {
	n := foundNetwork{EnableIPv4: true}
	text, _ := values["found.netConf"].(string)
	ok := text != "" && yaml.Unmarshal([]byte(text), &n) == nil
	if !n.EnableIPv4 {
		n.Network = ""
	}
	if !n.EnableIPv6 {
		n.IPv6Network = ""
	}
	return n, ok
}

// deriveFoundBackend keeps the backend of the Flannel that is there when the spec does not name one: all nodes need the
// same one at the same time.
func (s *state) deriveFoundBackend() {
	if s.cni != networkstackv1alpha1.CNIFlannel || s.spec.CNI.Encapsulation != "" || s.spec.CNI.Encryption != nil {
		return
	}
	in := s.inherit(string(s.cni))
	if in == nil {
		return
	}
	n, ok := networkOf(in.values)
	if !ok {
		return
	}
	const reason = "kept from the Flannel that was there"
	switch n.Backend.Type {
	case "vxlan", "":
		s.encapsulation = networkstackv1alpha1.EncapsulationVXLAN
	case "host-gw":
		s.encapsulation = networkstackv1alpha1.EncapsulationNone
	case "wireguard":
		s.encryption = networkstackv1alpha1.EncryptionWireGuard
		s.note(cniPath.Child("encryption", "type"), s.encryption, reason)
		return
	default:
		s.refuse(ruleAdoptBackend, field.Invalid(cniPath.Child("encapsulation"), "", fmt.Sprintf(
			"the Flannel that is there uses the backend %s, which is not supported here: set cni.type to External to leave it there, or move it to vxlan, host-gw or wireguard first",
			n.Backend.Type)))
		return
	}
	s.note(cniPath.Child("encapsulation"), s.encapsulation, reason)
}

// validateAdoption refuses agents that cannot be taken over, or may not be without being asked.
func (s *state) validateAdoption(typ string, path *field.Path, value any, namespace, leave string) {
	ours, others := s.installed(typ)
	what := typ
	switch typ {
	case TypeKubeProxy:
		what = "a kube-proxy"
	case TypeCoreDNS:
		what = "the CoreDNS of the cluster"
	}
	for _, i := range others {
		name := i.Workload()
		at := cmp.Or(i.ReleaseNamespace, i.Namespace)
		by := "made by " + i.Source
		if i.ReleaseName != "" {
			by = "of " + i.Source
		} else if i.Source == "unknown" || i.Source == "" {
			by = "made by somebody unknown"
		}
		switch {
		case s.ciliumOfCloud(*i):
			s.refuse(ruleCloudCilium, field.Invalid(path, value, fmt.Sprintf(
				"%s is the Cilium that %s runs itself, beside which there can be no other: set cni.type to GKE or AzureCNI, or make a cluster without it",
				name, cmp.Or(s.facts.Distribution, "the cloud"))))
		case i.Type == facts.InstalledAWSVPC && !i.Kept && i.ReleaseName == "":
			s.refuse(ruleAWSForeign, field.Invalid(path, value, fmt.Sprintf(
				"%s is the AWS VPC CNI already, %s, and only that of a Helm release can be taken over: %s, or remove it first", name, by, leave)))
		case i.Type == facts.InstalledWeaveNet && !i.Kept:
			s.refuse(ruleWeaveForeign, field.Invalid(path, value, fmt.Sprintf(
				"%s is Weave Net already, %s, and taking over a Weave Net is not supported: %s, or remove it first", name, by, leave)))
		case i.Type == facts.InstalledCalico && !i.Kept:
			s.refuse(ruleCalicoForeign, field.Invalid(path, value, fmt.Sprintf(
				"%s is Calico already, %s, and taking over a Calico is not supported: %s, or remove it first", name, by, leave)))
		case i.Kept:
			s.refuse(ruleAdoptManaged, field.Invalid(path, value, fmt.Sprintf(
				"%s is %s, managed by %q, which would undo every change, so it is never taken over: %s, or remove it where it is managed",
				name, what, i.Manager, leave)))
		case ours != nil || len(others) > 1:
			s.refuse(ruleAdoptSeveral, field.Invalid(path, value, fmt.Sprintf(
				"%s is %s, %s, beside another one: remove one of them", name, what, by)))
		case namespace != "" && namespace != at:
			s.refuse(ruleAdoptNamespace, field.Invalid(path, value, fmt.Sprintf(
				"%s is %s, %s, and what is there cannot be taken over into another namespace: remove namespace, which is %s now",
				name, what, by, at)))
		case s.spec.Adoption != networkstackv1alpha1.AdoptionAdopt:
			s.refuseAdoption(field.Invalid(path, value, fmt.Sprintf(
				"%s is %s already, %s: set spec.adoption to Adopt to take it over (status.adoption of NetworkComponent %s says what that changes), or %s",
				name, what, by, componentName(typ), leave)))
		default:
			s.note(adoptionPath.Key(componentName(typ)), networkstackv1alpha1.AdoptionAdopt, "%s, %s, is taken over", name, by)
		}
	}
}

// refuseAdoption refuses something that would be possible with adoption Adopt.
func (s *state) refuseAdoption(err *field.Error) {
	s.refuse(ruleAdoptNotAsked, err)
	s.adoptable++
}

// only says whether nothing but a missing permission to adopt stands in the way.
func (s *state) onlyAdoption() bool { return s.adoptable > 0 && s.adoptable == len(s.errs) }

// inspected are the releases to compare with what is there: those of what was found and may not be taken over yet.
func (s *state) inspected(releases []Release) []Release {
	releases = slices.DeleteFunc(releases, func(r Release) bool {
		_, others := s.installed(r.Spec.Type)
		return len(others) == 0
	})
	for i := range releases {
		releases[i].Spec.Adoption = networkstackv1alpha1.AdoptionRefuse
	}
	return releases
}
