package compose

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/ignore"
)

// validateEnums repeats what the CRD's schema holds, for objects that never passed an API server.
func (s *state) validateEnums() {
	for i, f := range s.spec.IPFamilies {
		path := specPath.Child("ipFamilies")
		oneOf(s, path.Index(i), f, ipv4, ipv6)
		if slices.Contains(s.spec.IPFamilies[:i], f) {
			s.refuse(ruleFamilyTwice, duplicate(path.Index(i), f, "list IPv4, IPv6, or both once"))
		}
	}
	for i, p := range s.spec.IPPools {
		at := poolsPath.Index(i)
		optionalOneOf(s, at.Child("natOutgoing"), p.NATOutgoing, networkstackv1alpha1.Enabled, networkstackv1alpha1.Disabled)
		optionalOneOf(s, at.Child("bgpExport"), p.BGPExport, networkstackv1alpha1.Enabled, networkstackv1alpha1.Disabled)
		optionalOneOf(s, at.Child("encapsulation"), p.Encapsulation, encapsulations...)
	}
	c := s.spec.CNI
	oneOf(s, cniPath.Child("type"), c.Type,
		networkstackv1alpha1.CNIFlannel, networkstackv1alpha1.CNICilium, networkstackv1alpha1.CNICalico,
		networkstackv1alpha1.CNIWeaveNet, networkstackv1alpha1.CNIAWSVPC,
		networkstackv1alpha1.CNIAzure, networkstackv1alpha1.CNIGKE, networkstackv1alpha1.CNIKubenet, networkstackv1alpha1.CNIExternal)
	optionalOneOf(s, cniPath.Child("encapsulation"), c.Encapsulation, encapsulations...)
	if c.Calico != nil {
		optionalOneOf(s, cniPath.Child("calico", "dataplane"), c.Calico.Dataplane,
			networkstackv1alpha1.CalicoIPTables, networkstackv1alpha1.CalicoNFTables, networkstackv1alpha1.CalicoBPF)
		optionalOneOf(s, cniPath.Child("calico", "bgp"), c.Calico.BGP, networkstackv1alpha1.Enabled, networkstackv1alpha1.Disabled)
	}
	optionalOneOf(s, policyPath, c.NetworkPolicy, networkstackv1alpha1.Enabled, networkstackv1alpha1.Disabled)
	if m := c.Metrics; m != nil {
		optionalOneOf(s, metricsPath.Child("endpoints"), m.Endpoints, networkstackv1alpha1.Enabled, networkstackv1alpha1.Disabled)
		optionalOneOf(s, metricsPath.Child("serviceMonitors"), m.ServiceMonitors,
			networkstackv1alpha1.MonitorsAuto, networkstackv1alpha1.MonitorsEnabled, networkstackv1alpha1.MonitorsDisabled)
	}
	optionalOneOf(s, cniPath.Child("flowLogs"), c.FlowLogs, networkstackv1alpha1.Enabled, networkstackv1alpha1.Disabled)
	if i := c.Cilium; i != nil {
		path := cniPath.Child("cilium")
		optionalOneOf(s, path.Child("ipam"), i.IPAM, networkstackv1alpha1.CiliumClusterPool, networkstackv1alpha1.CiliumMultiPool)
		optionalOneOf(s, path.Child("bandwidthManager"), i.BandwidthManager, networkstackv1alpha1.CiliumBandwidthDisabled,
			networkstackv1alpha1.CiliumBandwidthEnabled, networkstackv1alpha1.CiliumBandwidthBBR)
		optionalOneOf(s, path.Child("gatewayAPI"), i.GatewayAPI, networkstackv1alpha1.Enabled, networkstackv1alpha1.Disabled)
		if i.BGP != nil {
			for n, a := range i.BGP.Advertise {
				oneOf(s, path.Child("bgp", "advertise").Index(n), a,
					networkstackv1alpha1.CiliumAdvertisePods, networkstackv1alpha1.CiliumAdvertiseLoadBalancerIPs)
			}
		}
	}
	if a := c.AWSVPC; a != nil {
		path := cniPath.Child("awsVPC")
		optionalOneOf(s, path.Child("prefixDelegation"), a.PrefixDelegation, networkstackv1alpha1.Enabled, networkstackv1alpha1.Disabled)
		optionalOneOf(s, path.Child("externalSNAT"), a.ExternalSNAT, networkstackv1alpha1.Enabled, networkstackv1alpha1.Disabled)
		optionalOneOf(s, path.Child("podSecurityGroups"), a.PodSecurityGroups,
			networkstackv1alpha1.AWSPodSecurityGroupsStandard, networkstackv1alpha1.AWSPodSecurityGroupsStrict)
	}
	if c.Encryption != nil {
		oneOf(s, cniPath.Child("encryption", "type"), c.Encryption.Type,
			networkstackv1alpha1.EncryptionNone, networkstackv1alpha1.EncryptionWireGuard, networkstackv1alpha1.EncryptionIPsec,
			networkstackv1alpha1.EncryptionPassword)
	}
	if k := s.spec.KubeProxy; k != nil {
		oneOf(s, kubeProxyPath.Child("mode"), k.Mode,
			networkstackv1alpha1.KubeProxyIPTables, networkstackv1alpha1.KubeProxyNFTables, networkstackv1alpha1.KubeProxyIPVS,
			networkstackv1alpha1.KubeProxyReplaced, networkstackv1alpha1.KubeProxyUnmanaged)
		optionalOneOf(s, kubeProxyPath.Child("cleanup"), k.Cleanup, networkstackv1alpha1.Enabled, networkstackv1alpha1.Disabled)
	}
	if d := s.spec.Drift; d != nil {
		optionalOneOf(s, specPath.Child("drift", "mode"), d.Mode,
			networkstackv1alpha1.DriftCorrect, networkstackv1alpha1.DriftWarn, networkstackv1alpha1.DriftIgnore)
		s.validateIgnoreRules(d.Ignore)
	}
	s.validateSecondaryEnums()
	if g := s.spec.GatewayAPI; g != nil {
		oneOf(s, gatewayPath.Child("channel"), g.Channel, networkstackv1alpha1.GatewayAPIStandard,
			networkstackv1alpha1.GatewayAPIExperimental, networkstackv1alpha1.GatewayAPIUnmanaged)
	}
	s.validateDNSEnums()
	s.validateIngressEnums()
	if m := s.spec.Mesh; m != nil {
		oneOf(s, meshPath.Child("type"), m.Type, networkstackv1alpha1.MeshIstio, networkstackv1alpha1.MeshLinkerd,
			networkstackv1alpha1.MeshConsul)
		optionalOneOf(s, meshPath.Child("mode"), m.Mode, networkstackv1alpha1.MeshSidecar, networkstackv1alpha1.MeshAmbient)
		optionalOneOf(s, meshPath.Child("mtls"), m.MTLS, networkstackv1alpha1.MTLSStrict, networkstackv1alpha1.MTLSPermissive)
		optionalOneOf(s, meshPath.Child("cniPlugin"), m.CNIPlugin, networkstackv1alpha1.Enabled, networkstackv1alpha1.Disabled)
		c := s.consulSpec()
		optionalOneOf(s, consulPath.Child("tls"), c.TLS, networkstackv1alpha1.Enabled, networkstackv1alpha1.Disabled)
		optionalOneOf(s, consulPath.Child("acls"), c.ACLs, networkstackv1alpha1.Enabled, networkstackv1alpha1.Disabled)
		optionalOneOf(s, consulPath.Child("transparentProxy"), c.TransparentProxy,
			networkstackv1alpha1.Enabled, networkstackv1alpha1.Disabled)
		optionalOneOf(s, consulPath.Child("servers", "volumeClaims"), s.consulServerSpec().VolumeClaims,
			networkstackv1alpha1.ClaimsRetain, networkstackv1alpha1.ClaimsDelete)
	}
	if n := s.spec.NodeAgent; n != nil {
		oneOf(s, nodeAgentPath.Child("mode"), n.Mode, networkstackv1alpha1.Enabled, networkstackv1alpha1.Disabled)
	}
	optionalOneOf(s, adoptionPath, s.spec.Adoption, networkstackv1alpha1.AdoptionAdopt, networkstackv1alpha1.AdoptionRefuse)
	optionalOneOf(s, specPath.Child("deletionPolicy"), s.spec.DeletionPolicy,
		networkstackv1alpha1.DeletionOrphan, networkstackv1alpha1.DeletionDelete)
}

var encapsulations = []networkstackv1alpha1.Encapsulation{
	networkstackv1alpha1.EncapsulationVXLAN, networkstackv1alpha1.EncapsulationVXLANCrossSubnet, networkstackv1alpha1.EncapsulationGeneve,
	networkstackv1alpha1.EncapsulationIPIP, networkstackv1alpha1.EncapsulationIPIPCrossSubnet, networkstackv1alpha1.EncapsulationNone,
}

func oneOf[T ~string](s *state, path *field.Path, value T, allowed ...T) {
	if !slices.Contains(allowed, value) {
		s.refuse(ruleUnknownValue, field.NotSupported(path, value, allowed))
	}
}

func optionalOneOf[T ~string](s *state, path *field.Path, value T, allowed ...T) {
	if value != "" {
		oneOf(s, path, value, allowed...)
	}
}

// validateIgnoreRules judges the rules about fields that others may change.
func (s *state) validateIgnoreRules(rules []networkstackv1alpha1.DriftIgnoreRule) {
	for i, rule := range rules {
		at := specPath.Child("drift", "ignore").Index(i)
		if !ignore.ValidGlob(rule.Name) {
			s.refuse(ruleDriftName, field.Invalid(at.Child("name"), rule.Name, "a bracket is not closed: write it as a name, with * and ? for any characters"))
		}
		if len(rule.Paths) == 0 {
			s.refuse(ruleDriftPath, field.Required(at.Child("paths"), "name the fields, such as .spec.replicas; for whole components there is driftMode: Ignore"))
		}
		for j, text := range rule.Paths {
			path, err := ignore.Parse(text)
			switch {
			case err != nil:
				s.refuse(ruleDriftPath, field.Invalid(at.Child("paths").Index(j), text, err.Error()))
			case len(path) == 0:
				s.refuse(ruleDriftPath, field.Invalid(at.Child("paths").Index(j), text, "names the whole object: name fields, such as .data"))
			}
		}
	}
}

// validateIgnored warns of rules about components that there are not.
func (s *state) validateIgnored(releases []Release) {
	if s.spec.Drift == nil {
		return
	}
	for i, rule := range s.spec.Drift.Ignore {
		known := slices.ContainsFunc(releases, func(r Release) bool { return r.Name == rule.Component })
		if rule.Component != "" && !known {
			s.warn(ruleDriftComponent, specPath.Child("drift", "ignore").Index(i).Child("component"),
				"there is no component %q, so the rule has no effect: correct the name, or remove the rule", rule.Component)
		}
	}
}

// chartVersion is what Helm takes as a version, with or without a "v".
var chartVersion = regexp.MustCompile(`^v?[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]+)?$`)

var sha256Digest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// validateComponentSettings judges the knobs that every component has, and reads the values.
func (s *state) validateComponentSettings() {
	s.validateSettings(cniPath, s.spec.CNI.ComponentSettings)
	if n := s.spec.SecondaryNetworks; n != nil {
		s.validateSettings(secondaryPath, n.ComponentSettings)
	}
	if n := s.spec.NodeAgent; n != nil {
		s.validateSettings(nodeAgentPath, n.ComponentSettings)
	}
	if l := s.spec.LoadBalancer; l != nil {
		s.validateSettings(loadBalancerPath, l.ComponentSettings)
	}
	if g := s.spec.GatewayAPI; g != nil {
		s.validateSettings(gatewayPath, g.ComponentSettings)
	}
	if o := s.spec.Observability; o != nil {
		s.validateSettings(observabilityPath, o.ComponentSettings)
	}
	s.validateDNSSettings()
	for i := range s.spec.Addons {
		s.validateSettings(addonsPath.Index(i), s.spec.Addons[i].ComponentSettings)
	}
	for i := range s.spec.Ingress {
		s.validateSettings(ingressPath.Index(i), s.spec.Ingress[i].ComponentSettings)
	}
	if m := s.spec.Mesh; m != nil {
		s.validateSettings(meshPath, m.ComponentSettings)
		s.validateMeshCharts()
	}
	k := s.spec.KubeProxy
	if k == nil {
		return
	}
	s.validateSettings(kubeProxyPath, k.ComponentSettings)
	if k.Mode != networkstackv1alpha1.KubeProxyReplaced && k.Mode != networkstackv1alpha1.KubeProxyUnmanaged {
		return
	}
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"version", k.Version != ""},
		{"namespace", k.Namespace != ""},
		{"chart", k.Chart != nil},
		{"values", k.Values != nil},
		{"valuesFrom", len(k.ValuesFrom) > 0},
		{"driftMode", k.DriftMode != ""},
		{"agents", k.Agents != nil},
	} {
		if f.set {
			s.refuse(ruleProxyField, field.Forbidden(kubeProxyPath.Child(f.name), fmt.Sprintf(
				"with mode %s no kube-proxy is installed: remove it, or choose IPTables or NFTables", k.Mode)))
		}
	}
}

func (s *state) validateSettings(path *field.Path, c networkstackv1alpha1.ComponentSettings) {
	optionalOneOf(s, path.Child("driftMode"), c.DriftMode,
		networkstackv1alpha1.DriftCorrect, networkstackv1alpha1.DriftWarn, networkstackv1alpha1.DriftIgnore)
	if c.Version != "" && !chartVersion.MatchString(c.Version) {
		s.refuse(ruleVersionForm, field.Invalid(path.Child("version"), c.Version, "is not a version: write three numbers, such as 1.20.0"))
	}
	if c.Namespace != "" && len(validation.IsDNS1123Label(c.Namespace)) > 0 {
		s.refuse(ruleNamespaceForm, field.Invalid(path.Child("namespace"), c.Namespace,
			"is not the name of a namespace: use lower-case letters, digits and \"-\""))
	}
	if c.Chart != nil {
		s.validateRepository(path.Child("chart", "repository"), c.Chart.Repository)
		if d := c.Chart.Digest; d != "" && !sha256Digest.MatchString(d) {
			s.refuse(ruleDigestForm, field.Invalid(path.Child("chart", "digest"), d, "write sha256: and 64 hexadecimal digits"))
		}
	}
	for i, from := range c.ValuesFrom {
		at := path.Child("valuesFrom").Index(i)
		oneOf(s, at.Child("kind"), from.Kind, networkstackv1alpha1.ValuesFromConfigMap, networkstackv1alpha1.ValuesFromSecret)
		if from.Name == "" {
			s.refuse(ruleValuesReference, field.Required(at.Child("name"), "name the object that holds the values"))
		}
	}
	values, err := ParseValues(c.Values)
	if err != nil {
		// The values themselves stay out of the message: they may hold what is nobody else's business.
		s.refuse(ruleValuesForm, field.Invalid(path.Child("values"), field.OmitValueType{}, err.Error()))
	}
	s.userValues[path.String()] = values
}

// validateSources judges mirrors.
func (s *state) validateSources() {
	if s.spec.Sources == nil {
		return
	}
	path := specPath.Child("sources")
	if d := s.spec.Sources.ChartsDirectory; d != "" && !strings.HasPrefix(d, "/") {
		s.refuse(ruleSourceDirectory, field.Invalid(path.Child("chartsDirectory"), d, "must be an absolute path"))
	}
	if r := s.spec.Sources.ImageRegistry; strings.Contains(r, "://") {
		s.refuse(ruleSourceRegistry, field.Invalid(path.Child("imageRegistry"), r, "write the registry without a scheme, such as registry.example.com/mirror"))
	}
	seen := map[string]bool{}
	for i, m := range s.spec.Sources.Mirrors {
		at := path.Child("mirrors").Index(i)
		s.validateRepository(at.Child("source"), m.Source)
		s.validateRepository(at.Child("mirror"), m.Mirror)
		if seen[m.Source] {
			s.refuse(ruleSourceTwice, duplicate(at.Child("source"), m.Source, "a source has one mirror: remove one of them"))
		}
		seen[m.Source] = true
	}
}

// validateRepository refuses what is no address of a chart repository. Credentials do not belong into an
// object that everybody can read.
func (s *state) validateRepository(path *field.Path, text string) {
	u, err := url.Parse(text)
	switch {
	case text == "":
		s.refuse(ruleSourceRepository, field.Required(path, "name an https:// or oci:// chart repository"))
	case err != nil || u.Host == "" || !slices.Contains([]string{"https", "http", "oci"}, u.Scheme):
		s.refuse(ruleSourceRepository, field.Invalid(path, text, "must be an https:// (or http://) Helm repository or an oci:// registry path"))
	case u.User != nil:
		s.refuse(ruleSourceCredentials, field.Invalid(path, field.OmitValueType{}, "must not hold credentials: this object is readable by many"))
	}
}
