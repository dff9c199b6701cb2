package compose

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
)

// maxAWSMTU is what the network of EC2 carries.
const maxAWSMTU = 9001

// zoneLabel is the label by which a node finds its ENIConfig.
const zoneLabel = "topology.kubernetes.io/zone"

var (
	awsPath        = cniPath.Child("awsVPC")
	awsSubnetID    = regexp.MustCompile(`^subnet-[0-9a-f]+$`)
	awsSecurityIDs = regexp.MustCompile(`^sg-[0-9a-f]+$`)
)

// awsSpec is the user's block; never nil.
func (s *state) awsSpec() *networkstackv1alpha1.AWSVPCSpec {
	if s.spec.CNI.AWSVPC == nil {
		return &networkstackv1alpha1.AWSVPCSpec{}
	}
	return s.spec.CNI.AWSVPC
}

// awsAddOn is the AWS VPC CNI that somebody keeps, such as EKS as an add-on; nil when there is none.
func (s *state) awsAddOn() *facts.Installed {
	_, others := s.installed(string(networkstackv1alpha1.CNIAWSVPC))
	for _, i := range others {
		if i.Kept {
			return i
		}
	}
	return nil
}

// besideAWSVPC says whether a network plugin enforces policies for the AWS VPC CNI, or is chained to it.
func (s *state) besideAWSVPC(i facts.Installed) bool {
	return s.cni == networkstackv1alpha1.CNIAWSVPC && i.Component == "" && s.facts.Has(facts.InstalledAWSVPC) &&
		(i.Type == facts.InstalledCalico || i.Type == facts.InstalledCilium)
}

// prefixDelegation in effect.
func (s *state) prefixDelegation() bool {
	switch s.awsSpec().PrefixDelegation {
	case networkstackv1alpha1.Enabled:
		return true
	case networkstackv1alpha1.Disabled:
		return false
	default:
		return s.has(ipv6)
	}
}

// validateAWSVPC refuses what the AWS VPC CNI cannot do, and clusters that it cannot run in.
func (s *state) validateAWSVPC() {
	s.validateAWSFields()
	s.validateAWSFamilies()
	s.validateAWSCustomNetworking()
	s.validateAWSPolicies()
	s.validateAWSWarmTargets()
	if mtu := max(int(s.spec.MTU), s.mtu.pod); mtu > maxAWSMTU {
		s.refuse(ruleAWSMTU, field.Invalid(specPath.Child("mtu"), mtu, "the network of EC2 carries 9001: use that or less, or state the nodes' MTU in cluster.nodeMTU"))
	}
	if !s.withFacts {
		return
	}
	path := cniPath.Child("type")
	switch {
	case s.facts.Cloud == facts.CloudAWS || len(s.nodes) == 0:
	case s.facts.Cloud != "":
		s.refuse(ruleAWSCloud, field.Invalid(path, s.cni, fmt.Sprintf("the nodes run on %s, and it needs instances of EC2: use another type", s.facts.Cloud)))
	default:
		s.warn(ruleAWSCloudUnknown, path, "no node says that it is an instance of EC2 (spec.providerID), and elsewhere pods get no address")
	}
	if s.installsCNI() && s.leavesNFTables() {
		s.refuse(ruleNFTablesAWS, field.Invalid(kubeProxyPath.Child("mode"), s.kubeProxyMode, "the kube-proxy that is there is in mode NFTables, "+
			"which breaks the AWS VPC CNI (amazon-vpc-cni-k8s#3563): change it to iptables where it is managed"))
	}
	s.validateAWSAddOn(path)
}

// validateAWSFields refuses fields that have no meaning for it.
func (s *state) validateAWSFields() {
	c := s.spec.CNI
	if len(s.spec.IPPools) > 0 {
		s.refuse(ruleAWSField, field.Forbidden(poolsPath,
			"pods have addresses of the VPC's subnets: remove it; other subnets than the nodes' are named in cni.awsVPC.customNetworking"))
	}
	if c.Encapsulation != "" && c.Encapsulation != networkstackv1alpha1.EncapsulationNone {
		s.refuse(ruleAWSField, field.Invalid(cniPath.Child("encapsulation"), c.Encapsulation, "the VPC routes to pods natively: remove it, or use another type"))
	}
	if c.Encryption != nil && c.Encryption.Type != networkstackv1alpha1.EncryptionNone {
		s.refuse(ruleAWSField, field.Invalid(cniPath.Child("encryption", "type"), c.Encryption.Type,
			"the AWS VPC CNI does not encrypt: remove it and use instances that encrypt between them, or use type Cilium or Calico"))
	}
}

func (s *state) validateAWSFamilies() {
	a := s.awsSpec()
	if s.dualStack() {
		s.refuse(ruleAWSDual, field.Invalid(s.familiesPath(), familiesText(s.families), "the AWS VPC CNI gives pods one family: list IPv4 or IPv6"))
	}
	if !s.has(ipv6) || s.dualStack() {
		return
	}
	if a.PrefixDelegation == networkstackv1alpha1.Disabled {
		s.refuse(ruleAWSIPv6Prefix, field.Invalid(awsPath.Child("prefixDelegation"), a.PrefixDelegation,
			"IPv6 needs it: remove it, or use IPv4"))
	}
	if a.CustomNetworking != nil {
		s.refuse(ruleAWSIPv6Custom, field.Forbidden(awsPath.Child("customNetworking"), "is for IPv4 alone: remove it"))
	}
}

func (s *state) validateAWSCustomNetworking() {
	c := s.awsSpec().CustomNetworking
	if c == nil {
		return
	}
	path := awsPath.Child("customNetworking", "zones")
	if len(c.Zones) == 0 {
		s.refuse(ruleAWSCustomForm, field.Required(path, "name the zones that have nodes, each with its subnet"))
	}
	seen := map[string]bool{}
	for i, z := range c.Zones {
		at := path.Index(i)
		switch {
		case len(validation.IsDNS1123Label(z.Name)) > 0:
			s.refuse(ruleAWSCustomForm, field.Invalid(at.Child("name"), z.Name,
				"write a zone's name as the nodes' label "+zoneLabel+" has it, such as eu-west-1a"))
		case seen[z.Name]:
			s.refuse(ruleAWSCustomForm, duplicate(at.Child("name"), z.Name, "a zone has one subnet of pods: remove one of them"))
		}
		seen[z.Name] = true
		if !awsSubnetID.MatchString(z.SubnetID) {
			s.refuse(ruleAWSCustomForm, field.Invalid(at.Child("subnetID"), z.SubnetID, "write the subnet's ID, such as subnet-0123456789abcdef0"))
		}
		for j, id := range z.SecurityGroups {
			if !awsSecurityIDs.MatchString(id) {
				s.refuse(ruleAWSCustomForm, field.Invalid(at.Child("securityGroups").Index(j), id, "write the security group's ID, such as sg-0123456789abcdef0"))
			}
		}
	}
}

func (s *state) validateAWSPolicies() {
	a := s.awsSpec()
	path, policy := policyPath, s.networkPolicy
	if a.PodSecurityGroups == networkstackv1alpha1.AWSPodSecurityGroupsStrict {
		s.warn(ruleAWSStrictGroups, awsPath.Child("podSecurityGroups"),
			"Strict cuts such pods off from what is link-local on their node: use Standard with Istio's ambient mode, NodeLocal DNS or kube-proxy in mode IPVS")
	}
	if policy != networkstackv1alpha1.Enabled {
		return
	}
	const key = "env.ENABLE_BANDWIDTH_PLUGIN"
	if v, _ := lookup(s.userValues[cniPath.String()], key); v == "true" || v == true {
		s.refuse(ruleAWSBandwidth, field.Invalid(path, policy, "does not work beside the bandwidth plugin: remove it, or values."+key))
	}
	for _, i := range s.facts.CNIs() {
		if s.besideAWSVPC(i) {
			s.refuse(ruleAWSEnforcers, field.Invalid(path, policy, fmt.Sprintf(
				"DaemonSet %s/%s is %s, which enforces policies already: set it to Disabled, or remove that", i.Namespace, i.Name, i.Type)))
		}
	}
	if s.withFacts && s.facts.Distribution != facts.DistributionEKS {
		s.warn(ruleAWSPolicyController, path,
			"the cluster is not one of EKS, whose control plane tells the agents what to enforce: install amazon-network-policy-controller-k8s, or policies have no effect")
	}
}

func (s *state) validateAWSWarmTargets() {
	w := s.awsSpec().WarmTargets
	if w == nil {
		return
	}
	path := awsPath.Child("warmTargets")
	byAddress := w.Addresses != nil || w.MinimumAddresses != nil
	const overridden = "has no effect beside addresses or minimumAddresses: remove it"
	switch {
	case w.Prefixes != nil && !s.prefixDelegation():
		s.warn(ruleAWSWarmNoEffect, path.Child("prefixes"), "has no effect without prefixDelegation: remove it")
	case w.Prefixes != nil && byAddress:
		s.warn(ruleAWSWarmNoEffect, path.Child("prefixes"), overridden)
	}
	switch {
	case w.NetworkInterfaces != nil && byAddress:
		s.warn(ruleAWSWarmNoEffect, path.Child("networkInterfaces"), overridden)
	case w.NetworkInterfaces != nil && s.prefixDelegation():
		s.warn(ruleAWSWarmNoEffect, path.Child("networkInterfaces"), "has no effect with prefixDelegation: remove it")
	}
}

// validateAWSAddOn leaves an AWS VPC CNI alone that somebody keeps.
func (s *state) validateAWSAddOn(path *field.Path) {
	addOn := s.awsAddOn()
	if addOn == nil {
		return
	}
	forbid := func(path *field.Path) {
		s.refuse(ruleAWSAddOn, field.Forbidden(path, fmt.Sprintf(
			"DaemonSet %s/%s is kept by %q, and not managed here: remove the field and configure it there, or remove the DaemonSet there", addOn.Namespace, addOn.Name, addOn.Manager)))
	}
	for _, name := range s.setForCNI() {
		forbid(cniPath.Child(name))
	}
	if s.spec.CNI.AWSVPC != nil {
		forbid(awsPath)
	}
	if s.spec.MTU != 0 {
		forbid(specPath.Child("mtu"))
	}
	for _, i := range s.facts.CNIs() {
		if i.Type != facts.InstalledAWSVPC && !s.besideAWSVPC(i) {
			s.refuse(ruleCNISecond, field.Invalid(path, s.cni, fmt.Sprintf(
				"DaemonSet %s/%s is %s, beside the AWS VPC CNI; two network plugins break every pod: remove one of them", i.Namespace, i.Name, i.Type)))
		}
	}
	s.noteAs("cni: version", imageTagOf(addOn.Image), fmt.Sprintf("that of DaemonSet %s/%s, kept by %s: nothing is installed", addOn.Namespace, addOn.Name, addOn.Manager))
}

// imageTagOf is an image's tag; "unknown" when it has none.
func imageTagOf(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if _, tag, ok := strings.Cut(image[strings.LastIndex(image, "/")+1:], ":"); ok {
		return tag
	}
	return "unknown"
}

// awsValues are the values of the chart aws-vpc-cni. Its environment takes strings alone.
func (s *state) awsValues() *valuesBuilder {
	b := newValues("aws-vpc-cni")
	a := s.awsSpec()
	six := s.has(ipv6)
	word := strconv.FormatBool
	const families = "spec.ipFamilies"
	b.control("env.ENABLE_IPv4", families, word(!six), "the family is %s", s.primary())
	for _, key := range []string{"env.ENABLE_IPv6", "init.env.ENABLE_IPv6", "nodeAgent.enableIpv6"} {
		b.control(key, families, word(six), "the family is %s", s.primary())
	}
	by := awsPath.Child("prefixDelegation").String()
	reason := "from cni.awsVPC.prefixDelegation"
	if a.PrefixDelegation == "" {
		reason = "default with IPv4"
		if six {
			reason = "IPv6 needs it"
		}
	}
	b.control("env.ENABLE_PREFIX_DELEGATION", by, word(s.prefixDelegation()), "%s", reason)
	if s.mtu.pod > 0 {
		b.control("env.POD_MTU", "spec.mtu", strconv.Itoa(s.mtu.pod), "what pods get")
	} else {
		b.reserve("env.POD_MTU", "spec.mtu")
	}
	if s.managesKubeProxy() {
		b.control("env.AWS_VPC_K8S_CNI_VETHPREFIX", "spec.kubeProxy", awsPodInterface, "kube-proxy knows pods by it")
	}
	s.awsWarmTargets(b)
	s.awsCustomNetworking(b)

	groups := awsPath.Child("podSecurityGroups").String()
	b.control("env.ENABLE_POD_ENI", groups, word(a.PodSecurityGroups != ""),
		"security groups of pods are %s", toggle(a.PodSecurityGroups != ""))
	if a.PodSecurityGroups != "" {
		b.control("env.POD_SECURITY_GROUP_ENFORCING_MODE", groups, strings.ToLower(string(a.PodSecurityGroups)), "podSecurityGroups is %s", a.PodSecurityGroups)
	} else {
		b.reserve("env.POD_SECURITY_GROUP_ENFORCING_MODE", groups)
	}
	b.control("init.env.DISABLE_TCP_EARLY_DEMUX", groups, word(a.PodSecurityGroups == networkstackv1alpha1.AWSPodSecurityGroupsStrict),
		"the kubelet's probes reach pods with security groups of their own by TCP so")
	outside := a.ExternalSNAT == networkstackv1alpha1.Enabled
	b.control("env.AWS_VPC_K8S_CNI_EXTERNALSNAT", awsPath.Child("externalSNAT").String(), word(outside),
		"externalSNAT is %s", toggle(outside))
	if s.facts.Has(facts.InstalledCalico) {
		b.set("env.ANNOTATE_POD_IP", "true", "Calico, which enforces policies here, learns the addresses of pods sooner")
	}
	return b
}

func (s *state) awsWarmTargets(b *valuesBuilder) {
	w := s.awsSpec().WarmTargets
	if w == nil {
		w = &networkstackv1alpha1.AWSWarmTargets{}
	}
	for _, t := range []struct {
		key, name string
		value     *int32
	}{
		{"WARM_ENI_TARGET", "networkInterfaces", w.NetworkInterfaces},
		{"WARM_IP_TARGET", "addresses", w.Addresses},
		{"MINIMUM_IP_TARGET", "minimumAddresses", w.MinimumAddresses},
		{"WARM_PREFIX_TARGET", "prefixes", w.Prefixes},
	} {
		by := awsPath.Child("warmTargets", t.name).String()
		if t.value == nil {
			b.reserve("env."+t.key, by)
			continue
		}
		b.control("env."+t.key, by, strconv.Itoa(int(*t.value)), "from cni.awsVPC.warmTargets")
	}
}

func (s *state) awsCustomNetworking(b *valuesBuilder) {
	c := s.awsSpec().CustomNetworking
	by := awsPath.Child("customNetworking").String()
	on := c != nil
	b.control("env.AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG", by, strconv.FormatBool(on), "customNetworking is %s", toggle(on))
	b.control("eniConfig.create", by, on, "customNetworking is %s", toggle(on))
	if !on {
		b.reserve("env.ENI_CONFIG_LABEL_DEF", by)
		b.reserve("eniConfig.subnets", by)
		return
	}
	b.control("env.ENI_CONFIG_LABEL_DEF", by, zoneLabel, "a node takes the ENIConfig of its zone")
	subnets := map[string]any{}
	for _, z := range c.Zones {
		groups := make([]any, len(z.SecurityGroups))
		for i, id := range z.SecurityGroups {
			groups[i] = id
		}
		subnets[z.Name] = map[string]any{"id": z.SubnetID, "securityGroups": groups}
	}
	b.control("eniConfig.subnets", by, subnets, "the zones of customNetworking")
}
