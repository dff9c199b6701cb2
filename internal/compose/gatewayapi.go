package compose

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/facts"
)

// TypeGatewayAPI is the component type of the Gateway API's definitions, and its name in the catalogue.
const TypeGatewayAPI = "GatewayAPI"

var gatewayPath = specPath.Child("gatewayAPI")

// gatewayPlan is which Gateway API there is going to be.
type gatewayPlan struct {
	// managed says that a component of ours has the definitions.
	managed bool
	// version of the Gateway API; nil when there is none, or it is not known.
	version *semver.Version
	// chart is the version of the chart that has it.
	chart string
	// channel in the words of the definitions.
	channel string
}

// gatewayConsumer is an implementation that this stack asks for.
type gatewayConsumer struct {
	// implementation as the catalogue has it, and its version; empty when that is not known.
	implementation, version string
	// path of the field that asks for it.
	path *field.Path
	// optional ones come up without the definitions, too.
	optional bool
}

// gatewayConsumers are the implementations that this stack asks for.
func (s *state) gatewayConsumers() []gatewayConsumer {
	var out []gatewayConsumer
	if s.ciliumGateway() {
		out = append(out, gatewayConsumer{string(networkstackv1alpha1.CNICilium), s.cniVersion, s.ciliumGatewayPath(), false})
	}
	if s.mesh.typ != "" {
		// istiod waits for the definitions; Linkerd's policy controller and Consul's injector read routes from their start.
		out = append(out, gatewayConsumer{
			string(s.mesh.typ), s.mesh.version, meshPath.Child("type"), s.mesh.typ == networkstackv1alpha1.MeshIstio,
		})
	}
	for n := range s.ingress {
		if i := &s.ingress[n]; i.Type == networkstackv1alpha1.IngressEnvoyGateway {
			version := cmp.Or(strings.TrimPrefix(i.Version, "v"), s.catalog[string(i.Type)].Default().Version)
			out = append(out, gatewayConsumer{string(i.Type), version, i.at("type"), false})
		}
	}
	return out
}

// ciliumGateway says whether Cilium implements the Gateway API.
func (s *state) ciliumGateway() bool {
	if s.spec.CNI.Type != networkstackv1alpha1.CNICilium {
		return false
	}
	return s.ciliumJudged().on(ciliumGatewayValue)
}

// ciliumGatewayValue turns it on.
const ciliumGatewayValue = "gatewayAPI.enabled"

func (s *state) ciliumGatewayPath() *field.Path {
	if s.ciliumSpec().GatewayAPI == networkstackv1alpha1.Enabled {
		return ciliumPath.Child("gatewayAPI")
	}
	return cniPath.Child("values")
}

// deriveGatewayAPI settles who has the definitions and of which version they are, and refuses what does not go together.
func (s *state) deriveGatewayAPI() {
	g, found := s.spec.GatewayAPI, &s.facts.GatewayAPI
	s.gateway = gatewayPlan{version: bundle(found.Version), channel: found.Channel}
	switch {
	case g == nil:
		s.validateGatewayPresent()
	case g.Channel == networkstackv1alpha1.GatewayAPIUnmanaged:
		s.validateUnmanagedGateway(g)
		s.validateGatewayPresent()
	default:
		s.deriveManagedGateway(g)
	}
	s.validateGatewayConsumers()
}

// bundle reads the version of a bundle; nil when it cannot.
func bundle(text string) *semver.Version {
	v, err := semver.NewVersion(text)
	if err != nil {
		return nil
	}
	return v
}

// validateGatewayPresent wants the definitions to be there for whoever is to implement them.
func (s *state) validateGatewayPresent() {
	if !s.withFacts || s.facts.GatewayAPI.Present() {
		return
	}
	for _, c := range s.gatewayConsumers() {
		if c.optional {
			continue
		}
		s.refuse(ruleGatewayMissing, field.Invalid(c.path, field.OmitValueType{}, c.implementation+
			" needs the definitions of the Gateway API, and there are none: set gatewayAPI.channel to Standard"))
	}
}

// validateUnmanagedGateway checks the definitions that somebody else has.
func (s *state) validateUnmanagedGateway(g *networkstackv1alpha1.GatewayAPISpec) {
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"namespace", g.Namespace != ""}, {"chart", g.Chart != nil}, {"values", g.Values != nil}, {"valuesFrom", len(g.ValuesFrom) > 0},
		{"driftMode", g.DriftMode != ""},
	} {
		if f.set {
			s.refuse(ruleGatewayUnmanagedField, field.Forbidden(gatewayPath.Child(f.name),
				"with channel Unmanaged nothing is installed: remove it, or choose Standard"))
		}
	}
	found := &s.facts.GatewayAPI
	switch wanted := bundle(g.Version); {
	case !s.withFacts:
	case !found.Present():
		s.warn(ruleGatewayNoneFound, gatewayPath.Child("channel"),
			"Unmanaged, and nothing of the Gateway API is defined: install it, or set channel to Standard")
	case wanted != nil && s.gateway.version == nil:
		s.warn(ruleGatewayUntold, gatewayPath.Child("version"), "the definitions that are there do not say of which version they are: check them")
	case wanted != nil && s.gateway.version.LessThan(wanted):
		s.refuse(ruleGatewayOld, field.Invalid(gatewayPath.Child("version"), g.Version, fmt.Sprintf(
			"the definitions are of version %s%s: have them upgraded there, or ask for no more", found.Version, kept(found))))
	}
	if s.withFacts && found.Present() {
		s.note(gatewayPath.Child("version"), found.Version, "found in the cluster, %s channel%s",
			cmp.Or(found.Channel, "unknown"), kept(found))
	}
}

// kept says who has the definitions, where a mark says so.
func kept(g *facts.GatewayAPI) string {
	if g.Manager == "" {
		return ""
	}
	return " (" + g.Manager + " has them)"
}

// deriveManagedGateway settles which definitions a component of ours installs.
func (s *state) deriveManagedGateway(g *networkstackv1alpha1.GatewayAPISpec) {
	found := &s.facts.GatewayAPI
	if found.Component == "" && found.Manager != "" {
		s.refuse(ruleGatewayOwned, field.Invalid(gatewayPath.Child("channel"), g.Channel, fmt.Sprintf(
			"the definitions that are there belong to %s: set it to Unmanaged, which checks them and leaves them alone, or remove them from there first, "+
				"without deleting them", found.Manager)))
	}
	wantedChannel := facts.GatewayStandard
	if g.Channel == networkstackv1alpha1.GatewayAPIExperimental {
		wantedChannel = facts.GatewayExperimental
	}
	if wantedChannel == facts.GatewayStandard && found.Channel == facts.GatewayExperimental {
		s.refuse(ruleGatewayChannelBack, field.Invalid(gatewayPath.Child("channel"), g.Channel,
			"the definitions are of the experimental channel, and Standard would lose what objects have in experimental fields: "+
				"set it to Experimental, or to Unmanaged and go back yourself"))
	}
	entry := s.catalog[TypeGatewayAPI]
	newest := bundle(found.Newest)
	v := s.gatewayVersion(g, entry, newest)
	if v == nil {
		return
	}
	s.gateway = gatewayPlan{managed: true, version: bundle(v.Provides), chart: v.Version, channel: wantedChannel}
	if newest != nil && s.gateway.version != nil && s.gateway.version.LessThan(newest) {
		s.refuse(ruleGatewayDowngrade, field.Invalid(gatewayPath.Child("version"), g.Version, fmt.Sprintf(
			"the definitions are of version %s, and are never replaced by older ones: use it or a newer one", found.Newest)))
	}
}

// gatewayVersion is the version of the chart with the definitions to have; nil when there is none.
func (s *state) gatewayVersion(g *networkstackv1alpha1.GatewayAPISpec, entry catalog.Entry, newest *semver.Version) *catalog.Version {
	path := gatewayPath.Child("version")
	if g.Version != "" {
		if v := providing(entry, bundle(g.Version)); v != nil {
			return v
		}
		if s.withFacts {
			s.refuse(ruleGatewayVersion, field.NotSupported(path, g.Version, provided(entry)))
		}
		return nil
	}
	least, why := bundle(entry.Default().Provides), "the default"
	for _, c := range s.gatewayConsumers() {
		r, known := catalog.GatewayRangeOf(c.implementation, c.version)
		if needs := bundle(r.Needs); known && least != nil && needs.GreaterThan(least) {
			least, why = needs, fmt.Sprintf("%s %s needs %s", c.implementation, c.version, needs)
		}
	}
	if least != nil && newest != nil && newest.GreaterThan(least) {
		least, why = newest, "what there is, which is newer than the default"
	}
	var out *catalog.Version
	for i := range entry.Versions {
		// Newest first, so the last one that will do is the oldest.
		if v := bundle(entry.Versions[i].Provides); v != nil && least != nil && !v.LessThan(least) &&
			(out == nil || out.Provides != entry.Versions[i].Provides) {
			out = &entry.Versions[i]
		}
	}
	switch {
	case out != nil:
		s.note(path, "v"+out.Provides, "%s", why)
	case s.withFacts:
		s.refuse(ruleGatewayVersion, field.Required(path, fmt.Sprintf("%s is wanted (%s), and this operator knows %s: set channel to Unmanaged, "+
			"or have the catalogue know a newer one", bundleText(least), why, strings.Join(provided(entry), ", "))))
	}
	return out
}

func bundleText(v *semver.Version) string {
	if v == nil {
		return "a version"
	}
	return "v" + v.String()
}

// providing is the newest version of the chart that has a version of the Gateway API.
func providing(entry catalog.Entry, wanted *semver.Version) *catalog.Version {
	for i := range entry.Versions {
		if v := bundle(entry.Versions[i].Provides); v != nil && wanted != nil && v.Equal(wanted) {
			return &entry.Versions[i]
		}
	}
	return nil
}

// provided are the versions of the Gateway API that there are charts of, newest first.
func provided(entry catalog.Entry) []string {
	var out []string
	for _, v := range entry.Versions {
		if p := "v" + v.Provides; v.Provides != "" && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// validateGatewayConsumers holds the version against what implementations read, and were tested with.
func (s *state) validateGatewayConsumers() {
	if s.gateway.version == nil {
		return
	}
	for _, c := range s.gatewayConsumers() {
		r, known := catalog.GatewayRangeOf(c.implementation, c.version)
		if !known {
			continue
		}
		who := strings.TrimSpace(c.implementation + " " + c.version)
		tested := parseVersion(r.Tested)
		switch needs := bundle(r.Needs); {
		case s.gateway.version.LessThan(needs):
			s.refuse(ruleGatewayImplementationOld, field.Invalid(c.path, field.OmitValueType{}, fmt.Sprintf(
				"%s reads kinds that the Gateway API has since %s, and the version is %s: set gatewayAPI.version to a newer one", who, bundleText(needs), bundleText(s.gateway.version))))
			continue
		case tested != nil && s.gateway.version.GreaterThan(semver.New(uint64(tested.Major()), uint64(tested.Minor()), maxPatch, "", "")):
			s.warn(ruleGatewayImplementationNew, c.path, "%s is tested with the Gateway API up to %s, and the version is %s", who, r.Tested, bundleText(s.gateway.version))
		}
		s.noteAs(fmt.Sprintf("gatewayAPI: %s", who), "ready for "+bundleText(s.gateway.version),
			"reads what it has since "+bundleText(bundle(r.Needs))+" and later")
	}
}

// maxPatch is larger than any patch version.
const maxPatch = 1 << 30

// gatewayRelease is the component with the definitions. It has no pods, so it needs no network; Cilium reads the definitions when
// it starts, and so comes after them.
func (s *state) gatewayRelease() []Release {
	if !s.gateway.managed {
		return nil
	}
	b := newValues(nameGatewayAPI)
	b.control("crds.gatewayAPI.enabled", gatewayPath.Child("channel").String(), true, "the definitions of the Gateway API")
	b.control("crds.gatewayAPI.channel", gatewayPath.Child("channel").String(), s.gateway.channel,
		"channel is %s", s.spec.GatewayAPI.Channel)
	b.control("crds.envoyGateway.enabled", gatewayPath.String(), false, "those of Envoy Gateway belong to it")
	settings := *s.spec.GatewayAPI.ComponentSettings.DeepCopy()
	settings.Version = s.gateway.chart
	stage := int32(stageGatewayAPI)
	if s.ciliumGateway() {
		stage = stageDefinitions
	}
	return []Release{s.release(nameGatewayAPI, TypeGatewayAPI, stage, gatewayPath, settings, b)}
}

// ciliumGatewayValues has Cilium implement the Gateway API.
func (s *state) ciliumGatewayValues(b *valuesBuilder) {
	by := ciliumPath.Child("gatewayAPI").String()
	if g := s.ciliumSpec().GatewayAPI; g != "" {
		b.control(ciliumGatewayValue, by, g == networkstackv1alpha1.Enabled, "gatewayAPI is %s", g)
	}
	if s.ciliumGateway() {
		b.set("gatewayAPI.gatewayClass.create", "true", "the definitions are there before Cilium, so the GatewayClass need not depend on what is found")
	}
}

// validateGateway refuses the Gateway API where Cilium's agents do not carry it.
func (c ciliumInput) validateGateway() {
	if !c.on(ciliumGatewayValue) {
		return
	}
	path := c.ciliumGatewayPath()
	if !c.replaces() && !c.on("nodePort.enabled") {
		c.refuse(ruleGatewayCilium, field.Invalid(path, field.OmitValueType{}, fmt.Sprintf(
			"Cilium implements the Gateway API only in kube-proxy's place, and kubeProxy.mode is %s: set it to Replaced", c.kubeProxyMode)))
	}
	if l7, _ := lookup(c.user, "l7Proxy"); l7 == false {
		c.refuse(ruleGatewayCilium, field.Invalid(path, field.OmitValueType{},
			"Cilium implements the Gateway API by its L7 proxy, which values.l7Proxy turns off: remove that"))
	}
}
