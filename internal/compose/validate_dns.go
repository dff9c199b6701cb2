package compose

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
)

// validateDNSEnums judges words.
func (s *state) validateDNSEnums() {
	d := s.spec.DNS
	if d == nil {
		return
	}
	oneOf(s, dnsPath.Child("type"), d.Type, networkstackv1alpha1.DNSCoreDNS, networkstackv1alpha1.DNSUnmanaged)
	optionalOneOf(s, dnsPath.Child("podRecords"), d.PodRecords, networkstackv1alpha1.PodRecordsInsecure,
		networkstackv1alpha1.PodRecordsVerified, networkstackv1alpha1.PodRecordsDisabled)
	optionalOneOf(s, dnsPath.Child("autopath"), d.Autopath, networkstackv1alpha1.Enabled, networkstackv1alpha1.Disabled)
	optionalOneOf(s, dnsPath.Child("queryLog"), d.QueryLog, networkstackv1alpha1.Enabled, networkstackv1alpha1.Disabled)
	forward := func(path *field.Path, f *networkstackv1alpha1.DNSForward) {
		optionalOneOf(s, path.Child("policy"), f.Policy, networkstackv1alpha1.ForwardRandom, networkstackv1alpha1.ForwardRoundRobin,
			networkstackv1alpha1.ForwardSequential)
		optionalOneOf(s, path.Child("protocol"), f.Protocol, networkstackv1alpha1.DNSPreferUDP, networkstackv1alpha1.DNSOverTCP,
			networkstackv1alpha1.DNSOverTLS)
	}
	if d.Forward != nil {
		forward(dnsPath.Child("forward"), d.Forward)
	}
	for i := range d.StubDomains {
		forward(dnsPath.Child("stubDomains").Index(i), &d.StubDomains[i].DNSForward)
	}
	for i, r := range d.Rewrites {
		optionalOneOf(s, dnsPath.Child("rewrites").Index(i).Child("match"), r.Match, networkstackv1alpha1.RewriteExact,
			networkstackv1alpha1.RewritePrefix, networkstackv1alpha1.RewriteSuffix, networkstackv1alpha1.RewriteSubstring,
			networkstackv1alpha1.RewriteRegex)
	}
	for i, t := range d.TopologySpread {
		optionalOneOf(s, dnsPath.Child("topologySpread").Index(i).Child("whenUnsatisfiable"), t.WhenUnsatisfiable,
			networkstackv1alpha1.DoNotSchedule, networkstackv1alpha1.ScheduleAnyway)
	}
	if n := d.NodeLocalCache; n != nil {
		oneOf(s, nodeLocalPath.Child("mode"), n.Mode, networkstackv1alpha1.Enabled, networkstackv1alpha1.Disabled)
		optionalOneOf(s, nodeLocalPath.Child("interception"), n.Interception, networkstackv1alpha1.InterceptServiceAddress,
			networkstackv1alpha1.InterceptLocalAddress, networkstackv1alpha1.InterceptRedirectPolicy)
	}
}

// validateDNSSettings judges the knobs that every component has, and those that nothing reads.
func (s *state) validateDNSSettings() {
	d := s.spec.DNS
	if d == nil {
		return
	}
	s.validateSettings(dnsPath, d.ComponentSettings)
	inKubeSystem := func(path *field.Path, namespace string) {
		if namespace != "" && namespace != sharedNamespace {
			s.refuse(ruleDNSNamespace, field.Invalid(path.Child("namespace"), namespace, "the cluster's DNS is in kube-system: remove namespace"))
		}
	}
	inKubeSystem(dnsPath, d.Namespace)
	if d.Type == networkstackv1alpha1.DNSUnmanaged {
		for _, f := range []knob{
			{"serviceIPs", d.ServiceIPs != nil}, {"forward", d.Forward != nil}, {"stubDomains", d.StubDomains != nil},
			{"rewrites", d.Rewrites != nil}, {"cache", d.Cache != nil}, {"ttl", d.TTL != nil}, {"podRecords", d.PodRecords != ""},
			{"autopath", d.Autopath != ""}, {"queryLog", d.QueryLog != ""}, {"lameduck", d.Lameduck != nil},
			{"serverBlocks", d.ServerBlocks != nil}, {"replicas", d.Replicas != nil}, {"autoscaler", d.Autoscaler != nil},
			{"topologySpread", d.TopologySpread != nil}, {"version", d.Version != ""}, {"namespace", d.Namespace != ""},
			{"chart", d.Chart != nil}, {"values", d.Values != nil}, {"valuesFrom", d.ValuesFrom != nil}, {"driftMode", d.DriftMode != ""},
		} {
			if f.set {
				s.refuse(ruleDNSUnmanaged, field.Forbidden(dnsPath.Child(f.name),
					"with type Unmanaged the cluster's DNS is left as it is found: remove it, or set type to CoreDNS"))
			}
		}
	}
	n := d.NodeLocalCache
	if n == nil {
		return
	}
	s.validateSettings(nodeLocalPath, n.ComponentSettings)
	inKubeSystem(nodeLocalPath, n.Namespace)
	if n.Mode == networkstackv1alpha1.Enabled {
		return
	}
	for _, f := range []knob{
		{"address", n.Address != ""}, {"interception", n.Interception != ""},
		{"version", n.Version != ""}, {"namespace", n.Namespace != ""}, {"chart", n.Chart != nil},
		{"values", n.Values != nil}, {"valuesFrom", n.ValuesFrom != nil},
	} {
		if f.set {
			s.refuse(ruleNodeLocalField, field.Forbidden(nodeLocalPath.Child(f.name),
				"with mode Disabled there is no cache: remove it, or set mode to Enabled"))
		}
	}
}

// knob is a field, and whether somebody has set it.
type knob struct {
	name string
	set  bool
}

// validateDNS refuses what CoreDNS does not take, and what cannot be there beside it.
func (s *state) validateDNS() {
	s.validateLeftDNS()
	s.validateNodeLocal()
	if !s.managesDNS() {
		return
	}
	s.validateDNSReplicas()
	for i, t := range s.spec.DNS.TopologySpread {
		labelled := slices.ContainsFunc(s.linux, func(n facts.Node) bool { _, has := n.Labels[t.TopologyKey]; return has })
		if t.WhenUnsatisfiable == networkstackv1alpha1.DoNotSchedule && len(s.linux) > 0 && !labelled {
			s.refuse(ruleDNSSpread, field.Invalid(dnsPath.Child("topologySpread").Index(i).Child("topologyKey"), t.TopologyKey,
				"no node has this label, so that no replica would be scheduled: label the nodes, or set whenUnsatisfiable to ScheduleAnyway"))
		}
	}
	s.validateForeignDNS()
}

// validateAutopath refuses answers for a pod that is not known.
func (s *state) validateAutopath() {
	d := s.spec.DNS
	if d.Autopath == networkstackv1alpha1.Enabled && d.PodRecords != networkstackv1alpha1.PodRecordsVerified {
		s.refuse(ruleDNSAutopath, field.Invalid(dnsPath.Child("autopath"), d.Autopath, "autopath has to know which pod asks: set podRecords to Verified"))
	}
}

// validateForeignDNS refuses to answer beside somebody else.
func (s *state) validateForeignDNS() {
	path := dnsPath.Child("type")
	const leave = "set dns.type to Unmanaged to leave it there"
	for i := range s.facts.Installed {
		o := &s.facts.Installed[i]
		if o.Type == facts.InstalledOtherDNS && o.Component == "" {
			s.refuse(ruleDNSForeign, field.Invalid(path, s.spec.DNS.Type, fmt.Sprintf(
				"%s (%s) answers the cluster's DNS queries already, and cannot be taken over: %s, or turn it off where it comes from",
				o.Workload(), o.Source, leave)))
		}
	}
	s.validateAdoption(TypeCoreDNS, path, s.spec.DNS.Type, s.spec.DNS.Namespace, leave)
}

// validateDNSNumbers refuses numbers out of bounds.
func (s *state) validateDNSNumbers() {
	d := s.spec.DNS
	number := func(path *field.Path, v *int32, least, most int32) {
		if v != nil && (*v < least || *v > most) {
			s.refuse(ruleDNSRange, field.Invalid(path, *v, fmt.Sprintf("must be from %d to %d", least, most)))
		}
	}
	const second, day, entries = 1, 86400, 1000000
	number(dnsPath.Child("ttl"), d.TTL, 0, 3600)
	number(dnsPath.Child("replicas"), d.Replicas, 1, 1000)
	if l := d.Lameduck; l != nil && (l.Duration < 0 || l.Duration > time.Minute) {
		s.refuse(ruleDNSRange, field.Invalid(dnsPath.Child("lameduck"), l.Duration.String(), "must be between 0s and 60s"))
	}
	if c := d.Cache; c != nil {
		path := dnsPath.Child("cache")
		number(path.Child("successCapacity"), c.SuccessCapacity, 256, entries)
		number(path.Child("successSeconds"), c.SuccessSeconds, second, day)
		number(path.Child("denialCapacity"), c.DenialCapacity, 256, entries)
		number(path.Child("denialSeconds"), c.DenialSeconds, second, day)
		number(path.Child("prefetch"), c.Prefetch, 1, entries)
		if t := c.ServeStale; t != nil && (t.Duration < time.Second || t.Duration > 24*time.Hour) {
			s.refuse(ruleDNSRange, field.Invalid(path.Child("serveStale"), t.Duration.String(), "must be between 1s and 24h"))
		}
	}
	if d.Forward != nil {
		number(dnsPath.Child("forward", "maxConcurrent"), d.Forward.MaxConcurrent, 1, entries)
	}
	for i := range d.StubDomains {
		path := dnsPath.Child("stubDomains").Index(i)
		number(path.Child("maxConcurrent"), d.StubDomains[i].MaxConcurrent, 1, entries)
		number(path.Child("cacheSeconds"), d.StubDomains[i].CacheSeconds, second, day)
	}
}

// validateDNSReplicas refuses two who decide on the number of replicas, and warns of a single one.
func (s *state) validateDNSReplicas() {
	d := s.spec.DNS
	least := int64(defaultDNSReplicas)
	if d.Replicas != nil {
		least = int64(*d.Replicas)
	}
	if a := d.Autoscaler; a != nil {
		least = or32(a.Min, defaultDNSReplicas)
		if d.Replicas != nil {
			s.refuse(ruleDNSReplicas, field.Forbidden(dnsPath.Child("replicas"), "the autoscaler sets the number of replicas: remove replicas, or autoscaler"))
		}
		if a.Max != nil && int64(*a.Max) < least {
			s.refuse(ruleDNSReplicas, field.Invalid(dnsPath.Child("autoscaler", "max"), *a.Max,
				fmt.Sprintf("is less than min, which is %d: raise it", least)))
		}
	}
	if least < defaultDNSReplicas && len(s.linux) > 1 {
		s.warn(ruleDNSSingle, dnsPath, "with one replica, no name is found while its node fails or is drained: use 2 or more")
	}
}
