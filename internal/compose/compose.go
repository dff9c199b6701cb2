package compose

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/internal/policy"
)

// Compose turns a stack, the cluster's facts and the catalogue into the releases to have, or into all
// reasons why not. Its inputs are not changed and not referred to by the result.
func Compose(in Input) Result {
	s, releases := run(in, true)
	findings := s.judgePolicies(in, releases)
	if len(s.errs) > 0 {
		result := Result{Errors: s.errs, Warnings: s.warnings, Sketch: releases}
		if s.onlyAdoption() {
			result.Inspect = s.inspected(releases)
		}
		return result
	}
	return Result{
		Warnings:      s.warnings,
		Effective:     s.effective(),
		Releases:      releases,
		KubeProxy:     s.kubeProxyMode,
		ParkKubeProxy: s.parksKubeProxy(),
		ReliesOn:      s.reliesOn(),
		Mesh:          s.meshResult(),
		Policies:      s.policies,
		Findings:      findings,
	}
}

// ValidateObject judges what can be judged of a stack without its cluster and without a catalogue.
// Everything it refuses, Compose refuses too.
func ValidateObject(stack *networkstackv1alpha1.NetworkStack) (errs, warnings []Finding) {
	s, _ := run(Input{Stack: stack}, false)
	return s.errs, s.warnings
}

// run is the whole composition. Every step is tolerant of what an earlier one refused, so that all
// reasons are found in one go.
func run(in Input, withFacts bool) (*state, []Release) {
	s := newState(in, withFacts)
	if in.Stack == nil {
		s.refuse(ruleStackMissing, field.Required(specPath, "there is no NetworkStack"))
		return s, nil
	}
	if in.OtherStack != "" {
		s.refuse(ruleStackSecond, field.Forbidden(field.NewPath("metadata", "name"), fmt.Sprintf(
			"NetworkStack %q is older and takes effect: edit that one, and delete this one", in.OtherStack)))
		return s, nil
	}

	s.validateEnums()
	s.validateComponentSettings()
	s.validateSources()
	s.parsePools()
	s.parseServiceCIDRs()

	s.deriveType()
	s.deriveFamilies()
	s.derivePools()
	s.deriveKubeProxy()
	s.deriveCNI()
	s.validatePoolSettings()
	s.deriveCalico()
	s.deriveMesh()
	s.deriveNetworkPolicy()
	s.deriveObservability()
	s.deriveTracing()
	s.deriveMetrics()
	s.deriveEndpoint()
	s.deriveLoadBalancer()
	s.deriveDNS()
	s.deriveIngress()

	s.validateFamilies()
	s.validatePools()
	s.deriveMasks()
	s.validateNAT()
	s.deriveMTU()
	s.validateEndpoint()
	s.validateCertificate()
	s.validateKubeProxy()
	s.validateCleanup()
	s.validateCNI()
	s.validateOwnKeys()
	s.validateAgents()
	s.validateNetworkPolicy()
	s.validateMetrics()
	s.validateSecondary()
	s.deriveGatewayAPI()
	s.validateLoadBalancer()
	s.validateNodeAgent()
	s.validateMesh()
	s.validateObservability()
	s.validateTracing()
	s.validateDNS()
	s.validateIngress()
	s.validateAddons()
	s.validateNeighbours()
	s.noteDefaults()

	releases := s.releases()
	s.derivePolicies(releases)
	return s, releases
}

var (
	specPath      = field.NewPath("spec")
	cniPath       = specPath.Child("cni")
	kubeProxyPath = specPath.Child("kubeProxy")
	poolsPath     = specPath.Child("ipPools")
	clusterPath   = specPath.Child("cluster")
)

// state is a composition under way: the inputs, what was derived so far, and the findings.
type state struct {
	problems
	settings

	spec      *networkstackv1alpha1.NetworkStackSpec
	facts     *facts.Snapshot
	catalog   catalog.Catalog
	withFacts bool
	// operatorImage is the operator's own, and operatorNamespace where it runs.
	operatorImage, operatorNamespace string
	// stackName is the name of the stack.
	stackName string
	// policiesBefore is the mode of policies that was in effect; empty when there were none.
	policiesBefore networkstackv1alpha1.PolicyMode
	// existing are the specs of the components there are, and inheritance what those of each type bring along.
	existing map[string]networkstackv1alpha1.NetworkComponentSpec
	// leaving are components on their way out; cleanedOfMultus is Input's.
	leaving         []string
	cleanedOfMultus bool
	inheritance     map[string]*inherited
	// adoptable counts the errors that adoption Adopt would take away.
	adoptable int
	// nodes are the cluster's, and linux those that a data plane of ours can run on.
	nodes, linux []facts.Node

	// families of pods and Services, the primary one first.
	families []networkstackv1alpha1.IPFamily
	pools    []pool
	// poolsFromNodes says that the pools are what the nodes have, not what the user wrote.
	poolsFromNodes bool
	// masks are the prefix lengths of a node's range, by family.
	masks map[networkstackv1alpha1.IPFamily]int
	// nat says whether outgoing traffic takes the node's address, by family.
	nat map[networkstackv1alpha1.IPFamily]bool

	services      []netip.Prefix
	serviceSource string

	endpoint networkstackv1alpha1.Endpoint

	kubeProxyMode networkstackv1alpha1.KubeProxyMode
	// kubeProxyTag is the tag of the kube-proxy image, such as "v1.37.2"; empty when unknown.
	kubeProxyTag string

	cni           networkstackv1alpha1.CNIType
	cniVersion    string
	encapsulation networkstackv1alpha1.Encapsulation
	encryption    networkstackv1alpha1.EncryptionType
	mtu           mtuPlan
	calico        calicoPlan
	mesh          meshPlan
	tracing       *tracing
	// policies are what the baselines come to.
	policies      *policy.Set
	networkPolicy networkstackv1alpha1.Toggle
	metrics       metricsPlan
	// monitors and dashboards say whether observability comes to any.
	monitors, dashboards bool
	dns                  dnsPlan
	// ciliumPools are the pools, with Cilium's MultiPool.
	ciliumPools []ciliumPool

	// gateway is which Gateway API there is going to be.
	gateway gatewayPlan
	// lbRanges are the addresses of loadBalancer.pools that could be read, and secondarySpans those of pods on secondary networks.
	lbRanges       []lbRange
	secondarySpans []span
	// ingress are the ingress controllers.
	ingress []ingress

	// userValues are the parsed values of each component block, by its path.
	userValues map[string]map[string]any
}

func newState(in Input, withFacts bool) *state {
	s := &state{
		facts: in.Facts, catalog: in.Catalog, withFacts: withFacts, operatorImage: in.OperatorImage,
		operatorNamespace: in.OperatorNamespace,
		existing:          in.Existing, leaving: in.Leaving, cleanedOfMultus: in.CleanedOfMultus, inheritance: map[string]*inherited{},
		masks:      map[networkstackv1alpha1.IPFamily]int{},
		nat:        map[networkstackv1alpha1.IPFamily]bool{},
		userValues: map[string]map[string]any{},
	}
	if in.Stack != nil {
		s.spec, s.stackName = in.Stack.Spec.DeepCopy(), in.Stack.Name
		if p := in.Stack.Status.Policies; p != nil {
			s.policiesBefore = p.Mode
		}
	}
	if s.facts == nil {
		s.facts = &facts.Snapshot{}
	}
	s.claimCalico()
	for _, n := range s.facts.Nodes {
		n = cleaned(n)
		s.nodes = append(s.nodes, n)
		if n.OS != "windows" {
			s.linux = append(s.linux, n)
		}
	}
	return s
}

// cleaned is a copy of a node with addresses in one form: no invalid ones, no IPv4 written as IPv6.
func cleaned(n facts.Node) facts.Node {
	ips, prefixes := n.InternalIPs, n.PodCIDRs
	n.InternalIPs, n.PodCIDRs = nil, nil
	for _, ip := range ips {
		if ip.IsValid() {
			n.InternalIPs = append(n.InternalIPs, ip.Unmap().WithZone(""))
		}
	}
	for _, p := range prefixes {
		if p.IsValid() && !p.Addr().Is4In6() {
			n.PodCIDRs = append(n.PodCIDRs, p.Masked())
		}
	}
	return n
}

// duplicate is field.Duplicate with a remedy.
func duplicate(path *field.Path, value any, remedy string) *field.Error {
	err := field.Duplicate(path, value)
	err.Detail = remedy
	return err
}

// problems are the findings of a composition. Each is made by a rule of the table.
type problems struct {
	errs, warnings []Finding
}

func (p *problems) refuse(rule refusal, err *field.Error) {
	p.errs = append(p.errs, Finding{Rule: rule.ID, Field: err.Field, Message: err.ErrorBody()})
}

func (p *problems) warn(rule warning, path *field.Path, format string, args ...any) {
	w := Finding{Rule: rule.ID, Field: path.String(), Message: fmt.Sprintf(format, args...)}
	if !slices.Contains(p.warnings, w) {
		p.warnings = append(p.warnings, w)
	}
}

// nodeList names nodes: "node a", "nodes a, b and c", "nodes a, b, c and 4 more".
func nodeList(names []string) string {
	const shown = 3
	switch {
	case len(names) == 1:
		return "node " + names[0]
	case len(names) <= shown:
		return "nodes " + strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
	default:
		return fmt.Sprintf("nodes %s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
	}
}

// verb is the singular form for one node and the plural for several.
func verb(names []string, one, many string) string {
	if len(names) == 1 {
		return one
	}
	return many
}

// pinned are the facts that the user states; never nil.
func (s *state) pinned() *networkstackv1alpha1.PinnedFacts {
	if s.spec.Cluster == nil {
		return &networkstackv1alpha1.PinnedFacts{}
	}
	return s.spec.Cluster
}
