// Package rbac_test holds the operator's permissions (config/rbac) against what the charts need: enough of them
// to install every component, and none that no component needs.
package rbac_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/component-helpers/auth/rbac/validation"

	"github.com/networkstack/networkstack/charts"
	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/test/testcharts"
)

const (
	operatorRole   = "networkstack-operator"
	componentsRole = "networkstack-operator-components"
	calicoRole     = "networkstack-operator-calico"
	awsvpcRole     = "networkstack-operator-awsvpc"
	metallbRole    = "networkstack-operator-metallb"
	ingressRole    = "networkstack-operator-ingress"
	haproxyRole    = "networkstack-operator-ingress-haproxy"
	meshRole       = "networkstack-operator-mesh"
	consulRole     = "networkstack-operator-consul"
	policiesRole   = "networkstack-operator-policies"
	serviceAccount = "networkstack-operator"
)

// ownValues are values of the charts that the operator carries: what they have no default for, and what lets them
// grant more.
var ownValues = map[string]string{
	"flannel":             `{netpol: {enabled: true}}`,
	"kube-proxy":          `{mode: nftables, apiServer: {host: 192.0.2.10, port: 6443}, image: {tag: v1.37.1}}`,
	"kube-proxy-cleanup":  `{image: "registry.k8s.io/kube-proxy:v1.37.1"}`,
	"multus":              `{}`,
	"weave-net":           `{}`,
	"node-agent":          `{image: "example.com/networkstack-operator:v1"}`,
	"node-cleanup":        `{image: "example.com/networkstack-operator:v1", flannel: {image: a}, kubeProxy: {image: a}, multus: {enabled: true}, nodeLocalDNS: {image: a}}`,
	"cilium-resources":    `{pools: [{name: default, ipv4: {cidrs: [10.244.0.0/16], maskSize: 26}}], bgp: {families: [ipv4], advertise: {pools: true}, instances: [{name: a, localASN: 64512, peers: [{name: b, address: 192.0.2.1, asn: 64513}]}]}, loadBalancer: {pools: [{name: a, blocks: [{cidr: 192.0.2.0/24}]}], l2: {}}}`,
	"metallb-resources":   `{pools: [{name: a, addresses: [192.0.2.0/24]}], l2: {}, bgp: {localASN: 64512, peers: [{name: b, address: 192.0.2.1, asn: 64513}]}}`,
	"istio-resources":     ownMesh,
	"consul-resources":    ownConsul,
	"observability":       `{monitors: [{name: a, namespace: kube-system, selector: {a: b}, port: 1}], dashboards: [{name: a, json: "{}"}]}`,
	"coredns":             `{autoscaler: {enabled: true}}`,
	"node-local-dns":      `{interception: RedirectPolicy, servers: [{zones: [{zone: .}], port: 53, plugins: [{name: forward, parameters: . __PILLAR__CLUSTER__DNS__}]}]}`,
	"traefik":             `{metrics: {prometheus: {serviceMonitor: {enabled: true}}}, autoscaling: {enabled: true, maxReplicas: 3}, podDisruptionBudget: {enabled: true, maxUnavailable: 1}}`,
	"ingress-resources":   `{certificate: {name: a, secretName: a, issuerRef: {kind: Issuer, name: a}, dnsNames: [a]}, gatewayClass: {name: a, controllerName: a}, envoyProxy: {ipFamily: IPv4}}`,
	"network-attachments": `{attachments: [{namespace: default, name: lan, config: '{"cniVersion": "0.3.1", "type": "macvlan"}'}]}`,
}

// ciliumVersions are the archives that the Cilium tests want in the chart cache of this machine.
var ciliumVersions = []string{"1.18.12", "1.19.6", "1.20.0"}

// calicoCharts are those of Calico, in the order of their installation, and the version that the tests want of them.
var calicoCharts = []string{"crd.projectcalico.org.v1", "tigera-operator"}

const calicoVersion = "v3.32.1"

// calicoValues turn on everything that the operator is meant to carry.
const calicoValues = `
manageCRDs: false
defaultFelixConfiguration: {enabled: true, wireguardEnabled: true}
kubernetesServiceEndpoint: {host: 192.0.2.10}
installation: {calicoNetwork: {linuxDataplane: BPF, ipPools: [{name: a, cidr: 10.244.0.0/16}]}}`

// metallbVersions are the archives that the tests want of MetalLB, and metallbValues turn on all that the operator is meant to carry.
var metallbVersions = []string{"0.15.3", "0.16.1"}

const metallbValues = `{frrk8s: {enabled: true}, speaker: {frr: {enabled: false}}}`

const awsvpcVersion = "1.22.4"

// awsvpcValues turn on everything that the operator is meant to carry.
const awsvpcValues = `
enableNetworkPolicy: "true"
env: {ANNOTATE_POD_IP: "true"}
podMonitor: {create: true}
eniConfig: {create: true, subnets: {eu-west-1a: {id: subnet-0a, securityGroups: [sg-01]}}}`

// discovery is what system:discovery grants everybody who has logged in.
var discovery = rbacv1.PolicyRule{NonResourceURLs: []string{"/apis", "/apis/*"}, Verbs: []string{"get"}}

// named are the roles that the operator may write and bind without holding what they grant.
var named = []string{"tigera-operator", "tigera-operator-secrets"}

// ciliumValues are settings of Cilium that between them turn on every feature the operator is meant to carry.
// Encryption excludes itself, therefore there are several.
var ciliumValues = map[string]string{
	"defaults": `{}`,
	"replacement and WireGuard": `
kubeProxyReplacement: true
k8sServiceHost: 192.0.2.10
k8sServicePort: 6443
ipv6: {enabled: true}
encryption: {enabled: true, type: wireguard}
hubble:
  relay: {enabled: true}
  ui: {enabled: true}
  metrics: {enabled: [drop], serviceMonitor: {enabled: true}}
  dropEventEmitter: {enabled: true}
prometheus: {enabled: true, serviceMonitor: {enabled: true}}
operator: {prometheus: {enabled: true, serviceMonitor: {enabled: true}}}
envoy: {prometheus: {enabled: true, serviceMonitor: {enabled: true}}}`,
	"IPsec and Hubble certificates by CronJob": `
encryption: {enabled: true, type: ipsec, ipsec: {secretName: cilium-ipsec-keys}}
hubble:
  relay: {enabled: true}
  tls: {auto: {method: cronJob}}
annotateK8sNode: true
resourceQuotas: {enabled: true}`,
	"ingress, Gateway API, load balancing": `
kubeProxyReplacement: true
k8sServiceHost: 192.0.2.10
k8sServicePort: 6443
ingressController: {enabled: true}
gatewayAPI: {enabled: true, gatewayClass: {create: "true"}}
bgpControlPlane: {enabled: true}
l2announcements: {enabled: true}
egressGateway: {enabled: true}
bpf: {masquerade: true}
localRedirectPolicies: {enabled: true}
envoyConfig: {enabled: true}
k8sClusterNetworkPolicy: {enabled: true}
identityManagementMode: both
tls: {secretSync: {enabled: true}, readSecretsOnlyFromSecretsNamespace: true}`,
	"secrets from everywhere": `
tls: {readSecretsOnlyFromSecretsNamespace: false}`,
}

func TestOperatorCanInstallOwnCharts(t *testing.T) {
	t.Parallel()
	rules := installedRules(t)
	entries, err := charts.FS.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		name := entry.Name()
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			values, ok := ownValues[name]
			if !ok {
				t.Fatalf("add values for the chart %s to ownValues", name)
			}
			checkRelease(t, rules.all(), render(t, testcharts.Embedded(t, name), "kube-system", values))
		})
	}
}

func TestOperatorCanInstallCilium(t *testing.T) {
	t.Parallel()
	rules := installedRules(t)
	for _, version := range ciliumVersions {
		for name, values := range ciliumValues {
			t.Run(version+" "+name, func(t *testing.T) {
				t.Parallel()
				checkRelease(t, rules.all(), render(t, testcharts.Upstream(t, "cilium", version), "kube-system", values))
			})
		}
	}
}

func TestOperatorCanInstallCalico(t *testing.T) {
	t.Parallel()
	rules := installedRules(t)
	for _, name := range calicoCharts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkRelease(t, rules.all(), render(t, testcharts.Upstream(t, name, calicoVersion), "tigera-operator", calicoValues))
		})
	}
}

func TestOperatorCanInstallAWSVPC(t *testing.T) {
	t.Parallel()
	checkRelease(t, append(installedRules(t).all(), discovery), awsvpcObjects(t))
}

func TestOperatorCanInstallMetalLB(t *testing.T) {
	t.Parallel()
	for _, version := range metallbVersions {
		checkRelease(t, installedRules(t).all(), render(t, testcharts.Upstream(t, "metallb", version), "metallb-system", metallbValues))
	}
}

// TestMetalLBRoleIsNeeded fails on a permission in metallb_role.yaml that MetalLB's charts do not ask for.
func TestMetalLBRoleIsNeeded(t *testing.T) {
	t.Parallel()
	rules := installedRules(t)
	needed := []rbacv1.PolicyRule{{
		APIGroups: []string{"admissionregistration.k8s.io"}, Resources: []string{"validatingwebhookconfigurations"}, Verbs: []string{"get", "list", "watch"},
	}}
	objects := render(t, testcharts.Embedded(t, "metallb-resources"), "metallb-system", ownValues["metallb-resources"])
	for _, version := range metallbVersions {
		objects = append(objects, render(t, testcharts.Upstream(t, "metallb", version), "metallb-system", metallbValues)...)
	}
	for _, object := range objects {
		resource := resourceOf(object.GroupVersionKind())
		rule := rbacv1.PolicyRule{
			APIGroups: []string{resource.Group}, Resources: []string{resource.Resource}, Verbs: []string{"get", "list", "watch", "create", "patch", "delete"},
		}
		if isWebhook(object) || object.GetKind() == "CustomResourceDefinition" {
			rule.ResourceNames = []string{object.GetName()}
		}
		needed = append(needed, rule)
	}
	for _, r := range rolesOf(t, objects) {
		needed = append(needed, r.rules...)
	}
	checkNeeded(t, rules, metallbRole, needed, operatorRole, componentsRole)
}

// isWebhook says whether an object has webhooks called, which is granted by name alone.
func isWebhook(object *unstructured.Unstructured) bool {
	return slices.Contains([]string{"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"}, object.GetKind())
}

// awsvpcObjects are those of the AWS VPC CNI's chart, and its definition.
func awsvpcObjects(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	return render(t, testcharts.Upstream(t, "aws-vpc-cni", awsvpcVersion), "kube-system", awsvpcValues)
}

// TestAWSVPCRoleIsNeeded fails on a permission in awsvpc_role.yaml that the chart does not ask for.
func TestAWSVPCRoleIsNeeded(t *testing.T) {
	t.Parallel()
	rules := installedRules(t)
	checkNeeded(t, rules, awsvpcRole, manages(t, awsvpcObjects(t)), operatorRole, componentsRole, calicoRole)
}

// TestCalicoRoleIsNeeded fails on a permission in calico_role.yaml that Calico's charts do not ask for.
func TestCalicoRoleIsNeeded(t *testing.T) {
	t.Parallel()
	rules := installedRules(t)
	var needed []rbacv1.PolicyRule
	objects := render(t, testcharts.Upstream(t, "tigera-operator", calicoVersion), "tigera-operator", calicoValues)
	for _, object := range objects {
		resource, _ := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
		needed = append(needed, rbacv1.PolicyRule{
			APIGroups: []string{resource.Group}, Resources: []string{resource.Resource},
			Verbs: []string{"get", "list", "watch", "create", "patch", "delete"},
		})
		if object.GetKind() == "ClusterRole" {
			needed = append(needed, rbacv1.PolicyRule{
				APIGroups: []string{resource.Group}, Resources: []string{resource.Resource},
				ResourceNames: []string{object.GetName()}, Verbs: []string{"escalate", "bind"},
			})
		}
	}
	for _, r := range catalog.Default()["Calico"].Readiness {
		resource, _ := meta.UnsafeGuessKindToResource(schema.GroupVersionKind{Group: r.Group, Version: r.Version, Kind: r.Kind})
		needed = append(needed, rbacv1.PolicyRule{
			APIGroups: []string{resource.Group}, Resources: []string{"tigerastatuses"}, Verbs: []string{"get", "list", "watch"},
		})
	}
	needed = append(needed, reads(t, facts.AllocationsOfCalico), rbacv1.PolicyRule{
		APIGroups: []string{"policy.networking.k8s.io"}, Resources: []string{"adminnetworkpolicies", "baselineadminnetworkpolicies"}, Verbs: []string{"list"},
	})
	checkNeeded(t, rules, calicoRole, needed, operatorRole) // those of components may be trimmed
}

// reads is the permission to watch what a network plugin has given out of its pools.
func reads(t *testing.T, source facts.AllocationSource) rbacv1.PolicyRule {
	t.Helper()
	resource, ok := facts.AllocationResource(source)
	if !ok {
		t.Fatalf("nothing is watched for %s", source)
	}
	return rbacv1.PolicyRule{APIGroups: []string{resource.Group}, Resources: []string{resource.Resource}, Verbs: []string{"get", "list", "watch"}}
}

// TestOperatorCanReadAllocations wants the operator to see how full pools are, and what is told of nodes' interfaces.
func TestOperatorCanReadAllocations(t *testing.T) {
	t.Parallel()
	rules := installedRules(t)
	azure, _ := facts.AllocationResource(facts.AllocationsOfAzure)
	for _, resource := range []schema.GroupVersionResource{azure, facts.NodeStates} {
		rule := rbacv1.PolicyRule{APIGroups: []string{resource.Group}, Resources: []string{resource.Resource}, Verbs: []string{"list", "watch"}}
		var held []rbacv1.PolicyRule
		for _, r := range rules[operatorRole] {
			if slices.Contains(r.APIGroups, resource.Group) {
				held = append(held, r)
			}
		}
		if ok, missing := validation.Covers(held, []rbacv1.PolicyRule{rule}); !ok {
			t.Errorf("missing in role.yaml:\n%s", format(missing))
		}
		if ok, excess := validation.Covers([]rbacv1.PolicyRule{rule}, held); !ok {
			t.Errorf("nobody needs this, remove it from role.yaml:\n%s", format(excess))
		}
	}
	for _, source := range []facts.AllocationSource{facts.AllocationsOfCilium, facts.AllocationsOfCalico} {
		if ok, missing := validation.Covers(rules.all(), []rbacv1.PolicyRule{reads(t, source)}); !ok {
			t.Errorf("%s cannot be watched:\n%s", source, format(missing))
		}
	}
}

// TestOperatorCanCountPolicies wants the operator to see NetworkPolicies without what is there for components: it counts them where
// little of that may be left.
func TestOperatorCanCountPolicies(t *testing.T) {
	t.Parallel()
	kind := facts.Policy().GroupVersionKind()
	resource, _ := meta.UnsafeGuessKindToResource(kind)
	wanted := rbacv1.PolicyRule{APIGroups: []string{resource.Group}, Resources: []string{resource.Resource}, Verbs: []string{"list", "watch"}}
	if ok, missing := validation.Covers(installedRules(t)[operatorRole], []rbacv1.PolicyRule{wanted}); !ok {
		t.Errorf("missing in role.yaml:\n%s", format(missing))
	}
}

// TestComponentsRoleIsNeeded fails on a permission in component_roles.yaml that no chart grants.
func TestComponentsRoleIsNeeded(t *testing.T) {
	t.Parallel()
	rules := installedRules(t)
	var granted []rbacv1.PolicyRule
	grants := func(objects []*unstructured.Unstructured) {
		for _, r := range rolesOf(t, objects) {
			granted = append(granted, r.rules...)
		}
	}
	for name, values := range ownValues {
		grants(render(t, testcharts.Embedded(t, name), "kube-system", values))
	}
	for _, version := range ciliumVersions {
		for _, values := range ciliumValues {
			grants(render(t, testcharts.Upstream(t, "cilium", version), "kube-system", values))
		}
	}
	// A chart may name the objects that it grants access to. The role need not, and often cannot.
	covered, excess := validation.Covers(granted, rules[componentsRole])
	if !covered {
		t.Errorf("no chart grants this, remove it from component_roles.yaml:\n%s", format(excess))
	}
	for _, rule := range rules[componentsRole] {
		for _, part := range validation.BreakdownRule(rule) {
			if ok, _ := validation.Covers(rules[operatorRole], []rbacv1.PolicyRule{part}); ok {
				t.Errorf("role.yaml has this, too, remove it from component_roles.yaml: %s", part.String())
			}
		}
	}
}

func TestNoDangerousPermission(t *testing.T) {
	t.Parallel()
	for name, rules := range installedRules(t) {
		for _, rule := range rules {
			// Hubble's user interface reads all that is Cilium's.
			hubble := slices.Equal(rule.APIGroups, []string{"cilium.io"}) && slices.Equal(rule.Verbs, []string{"get", "list", "watch"})
			// MetalLB's speakers do all with what they say of themselves.
			metallb := name == metallbRole && slices.Equal(rule.APIGroups, []string{"metallb.io"}) && !slices.ContainsFunc(rule.Resources, isWildcard)
			// HAProxy's controller reads all that is its own.
			own := name == haproxyRole && !slices.ContainsFunc(rule.APIGroups, func(g string) bool { return !strings.Contains(g, ".haproxy.") }) &&
				!slices.ContainsFunc(rule.Verbs, isWildcard)
			if all := slices.Concat(rule.APIGroups, rule.Resources, rule.Verbs); slices.ContainsFunc(all, isWildcard) && !hubble && !own && !metallb && (name != meshRole || !ofIstio(rule)) {
				t.Errorf("%s has a wildcard: %s", name, rule.String())
			}
			if len(rule.NonResourceURLs) > 0 {
				t.Errorf("%s has a URL: %s", name, rule.String())
			}
			for _, verb := range rule.Verbs {
				switch verb {
				case "impersonate", "approve", "sign":
					t.Errorf("%s has the verb %s: %s", name, verb, rule.String())
				case "escalate", "bind":
					// By name, and where there is no other way: kube-proxy's is a role of every API server, and the tigera-operator's
					// roles grant more than anybody but an admin holds.
					proxier := verb == "bind" && slices.Equal(rule.ResourceNames, []string{"system:node-proxier"})
					calico := name == calicoRole && slices.Equal(rule.ResourceNames, named) && slices.Equal(rule.Resources, []string{"clusterroles"})
					if !proxier && !calico {
						t.Errorf("%s may %s other roles than by name: %s", name, verb, rule.String())
					}
				}
			}
			for _, resource := range rule.Resources {
				webhooks := resource == "mutatingwebhookconfigurations" || resource == "validatingwebhookconfigurations"
				if webhooks && name == meshRole {
					continue // a mesh has proxies put into pods by them
				}
				switch resource {
				case "pods/exec", "pods/attach", "pods/portforward", "nodes/proxy", "serviceaccounts/token", "certificatesigningrequests":
					t.Errorf("%s has the resource %s: %s", name, resource, rule.String())
				case "mutatingwebhookconfigurations", "validatingwebhookconfigurations":
					reads := !slices.ContainsFunc(rule.Verbs, func(v string) bool { return !slices.Contains([]string{"get", "list", "watch"}, v) })
					if len(rule.ResourceNames) == 0 && !reads && name != ingressRole {
						t.Errorf("%s may write webhooks other than by name: %s", name, rule.String())
					}
				case "customresourcedefinitions":
					// MetalLB's controller is granted it for its own; the operator's engine never deletes any.
					if slices.Contains(rule.Verbs, "delete") && name != haproxyRole && (name != metallbRole || len(rule.ResourceNames) == 0) {
						t.Errorf("%s may delete custom resource definitions, and so all their objects: %s", name, rule.String())
					}
				}
			}
		}
	}
}

// ofIstio says whether a rule with a wildcard is one that Istio's control plane has: it reads all kinds of its own and of the Gateway
// API, and writes the state of Ingresses.
func ofIstio(rule rbacv1.PolicyRule) bool {
	reads := slices.Equal(rule.Verbs, []string{"get", "list", "watch"}) && !slices.Contains(rule.APIGroups, "") && !slices.Contains(rule.APIGroups, "*")
	return reads || slices.Equal(rule.Resources, []string{"ingresses/status"}) && slices.Equal(rule.Verbs, []string{"*"})
}

func isWildcard(s string) bool { return strings.Contains(s, "*") }

// ruleSet holds the rules of ClusterRoles by name.
type ruleSet map[string][]rbacv1.PolicyRule

func (s ruleSet) all() []rbacv1.PolicyRule {
	return slices.Concat(slices.Collect(maps.Values(s))...)
}

// installedRules are the rules of the ClusterRoles that config/default binds to the operator.
func installedRules(t *testing.T) ruleSet {
	t.Helper()
	objects := defaultObjects(t)
	bound := map[string]bool{}
	for _, object := range objects {
		if object.GetKind() != "ClusterRoleBinding" {
			continue
		}
		var binding rbacv1.ClusterRoleBinding
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &binding); err != nil {
			t.Fatal(err)
		}
		for _, subject := range binding.Subjects {
			if subject.Kind == rbacv1.ServiceAccountKind && subject.Name == serviceAccount {
				bound["ClusterRole "+binding.RoleRef.Name] = true
			}
		}
	}
	rules := ruleSet{}
	for _, r := range rolesOf(t, objects) {
		if bound[r.name] {
			rules[strings.TrimPrefix(r.name, "ClusterRole ")] = r.rules
		}
	}
	want := []string{operatorRole, awsvpcRole, calicoRole, componentsRole, consulRole, ingressRole, haproxyRole, meshRole, metallbRole, policiesRole}
	if got := slices.Sorted(maps.Keys(rules)); !slices.Equal(got, want) {
		t.Fatalf("config/default binds %v to the operator, not %v", got, want)
	}
	return rules
}
