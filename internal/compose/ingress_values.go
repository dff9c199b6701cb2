package compose

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

const (
	usualHTTP, usualHTTPS = 80, 443
	// usualCPU is the use of the requested CPU at which an autoscaler adds a pod.
	usualCPU = 80
	// componentNameLabel and componentInstanceLabel are what most charts select their pods by.
	componentNameLabel     = "app.kubernetes.io/name"
	componentInstanceLabel = "app.kubernetes.io/instance"
)

// ingressBuilder collects the chart values of one controller.
type ingressBuilder struct {
	*valuesBuilder
	i *ingress
	// namespace that the controller is installed in.
	namespace string
}

// from derives a value from one of the controller's fields, such as "service.type".
func (b *ingressBuilder) from(name, key string, value any) {
	b.control(key, b.i.at(name).String(), value, "from %s", name)
}

// when is from, for a field that was given.
func (b *ingressBuilder) when(given bool, name, key string, value any) {
	if given {
		b.from(name, key, value)
	}
}

// workloadKeys are the paths where a chart has what all workloads have. An empty one is somebody else's business.
type workloadKeys struct {
	// kind, and whether it is written in small letters.
	kind  string
	small bool
	// autoscaling is the map of enabled, minReplicas, maxReplicas and targetCPUUtilizationPercentage.
	replicas, autoscaling string
	// budget is the map of minAvailable and maxUnavailable, and budgetSwitch what turns it on.
	budget, budgetSwitch string
	spread, resources    string
	// selector are the labels of the pods.
	selector map[string]string
}

// selectedBy are the labels that most charts give to pods.
func (b *ingressBuilder) selectedBy(chart string) map[string]string {
	return map[string]string{componentNameLabel: chart, componentInstanceLabel: b.i.component}
}

// workload derives what all workloads have.
func (b *ingressBuilder) workload(k workloadKeys) {
	kind := string(b.i.kind)
	if k.small {
		kind = strings.ToLower(kind)
	}
	b.from("kind", k.kind, kind)
	if b.i.replicas > 0 {
		b.from("replicas", k.replicas, int64(b.i.replicas))
	}
	if k.autoscaling != "" {
		b.from("autoscaling", k.autoscaling+".enabled", b.i.Autoscaling != nil)
		if a := b.i.Autoscaling; a != nil {
			b.from("autoscaling", k.autoscaling+".minReplicas", int64(b.i.replicas))
			b.from("autoscaling", k.autoscaling+".maxReplicas", int64(a.MaxReplicas))
			b.from("autoscaling", k.autoscaling+".targetCPUUtilizationPercentage", autoscalingCPU(a))
		}
	}
	if d := b.i.DisruptionBudget; d != nil && k.budget != "" {
		prefix := strings.TrimPrefix(k.budget+".", ".")
		b.when(k.budgetSwitch != "", "disruptionBudget", k.budgetSwitch, true)
		b.when(d.MinAvailable != nil, "disruptionBudget", prefix+"minAvailable", count(d.MinAvailable))
		b.when(d.MaxUnavailable != nil, "disruptionBudget", prefix+"maxUnavailable", count(d.MaxUnavailable))
	}
	if len(b.i.TopologySpread) > 0 {
		b.from("topologySpread", k.spread, b.i.spread(k.selector, nil))
	}
	if r := b.i.Resources; r != nil {
		b.from("resources", k.resources, agentKeys{}.resourcesOf(r))
	}
}

// spread is the controller's topology spread as pods have it.
func (i *ingress) spread(selector map[string]string, distinct []string) []any {
	out := make([]any, 0, len(i.TopologySpread))
	for _, t := range i.TopologySpread {
		c := map[string]any{
			"topologyKey": t.TopologyKey, "maxSkew": int64(max(t.MaxSkew, 1)),
			"whenUnsatisfiable": orReason(t.WhenUnsatisfiable != "", t.WhenUnsatisfiable, string(corev1.ScheduleAnyway)),
			"labelSelector":     map[string]any{"matchLabels": plain(selector)},
		}
		if len(distinct) > 0 {
			c["matchLabelKeys"] = plain(distinct)
		}
		out = append(out, c)
	}
	return out
}

// count is a number or a share, as JSON has it.
func count(v *intstr.IntOrString) any {
	switch {
	case v == nil:
		return nil
	case v.Type == intstr.String:
		return v.StrVal
	default:
		return int64(v.IntVal)
	}
}

// serviceValues derives the Service whose settings are at a path.
func (b *ingressBuilder) serviceValues(at string) {
	v := b.i.service
	b.from("service.type", at+".type", string(v.Type))
	b.when(v.LoadBalancerClass != "", "service.loadBalancerClass", at+".loadBalancerClass", v.LoadBalancerClass)
	b.when(len(v.SourceRanges) > 0, "service.sourceRanges", at+".loadBalancerSourceRanges", plain(v.SourceRanges))
	b.when(v.ExternalTrafficPolicy != "", "service.externalTrafficPolicy", at+".externalTrafficPolicy", string(v.ExternalTrafficPolicy))
	if len(v.IPFamilies) > 0 {
		b.from("service.ipFamilies", at+".ipFamilyPolicy", familyPolicy(v.IPFamilies))
		b.from("service.ipFamilies", at+".ipFamilies", plain(v.IPFamilies))
	}
}

// annotationValues derives the annotations of the Service.
func (b *ingressBuilder) annotationValues(key string) {
	b.when(len(b.i.service.Annotations) > 0, "service.annotations", key, plain(b.i.service.Annotations))
}

// familyPolicy is the policy by which a Service has exactly these families.
func familyPolicy(families []networkstackv1alpha1.IPFamily) string {
	if len(families) > 1 {
		return string(corev1.IPFamilyPolicyRequireDualStack)
	}
	return string(corev1.IPFamilyPolicySingleStack)
}

// ports are the host's.
func (i *ingress) ports() (http, https int64) {
	if i.HostPorts == nil {
		return 0, 0
	}
	http, https = int64(i.HostPorts.HTTP), int64(i.HostPorts.HTTPS)
	if http == 0 {
		http = usualHTTP
	}
	if https == 0 {
		https = usualHTTPS
	}
	return http, https
}

// noBalancer says that Ingresses get the addresses of nodes, and not those of the Service.
func (i *ingress) noBalancer() bool {
	return i.HostPorts != nil && i.service.Type != networkstackv1alpha1.IngressLoadBalancer
}

// clients says how the controller learns who the client is; empty when from the connection.
func (i *ingress) clients() networkstackv1alpha1.ClientAddressSource {
	if i.ClientAddresses == nil {
		return ""
	}
	return i.ClientAddresses.Source
}

func (i *ingress) trusted() []string {
	if i.ClientAddresses == nil {
		return nil
	}
	return i.ClientAddresses.TrustedCIDRs
}

// limits are never nil.
func (i *ingress) limits() *networkstackv1alpha1.IngressLimits {
	if i.Limits == nil {
		return &networkstackv1alpha1.IngressLimits{}
	}
	return i.Limits
}

// entry is an entry of a controller's own configuration, made of one of the fields.
type entry struct {
	field, key string
	// value is empty when the field is.
	value string
}

// config derives entries of a controller's configuration, a map of texts.
func (b *ingressBuilder) config(at string, list ...entry) {
	for _, e := range list {
		b.when(e.value != "", e.field, at+"."+e.key, e.value)
	}
}

// number is a number as a text; empty when it is not given.
func number(v *int32) string {
	if v == nil {
		return ""
	}
	return strconv.Itoa(int(*v))
}

// seconds is a duration in whole seconds with a unit behind it; empty when it is not given.
func seconds(d *metav1.Duration, unit string) string {
	if d == nil {
		return ""
	}
	return fmt.Sprintf("%d%s", int64((d.Duration+time.Second-1)/time.Second), unit)
}

// bodySize is a size in bytes; empty when it is not given.
func (i *ingress) bodySize() string {
	q := i.limits().MaxBodySize
	if q == nil {
		return ""
	}
	return strconv.FormatInt(q.Value(), 10)
}

// namespacesText are the watched namespaces, in order, with something between them.
func (i *ingress) namespacesText(between string) string {
	return strings.Join(slices.Sorted(slices.Values(i.WatchedNamespaces)), between)
}

// monitorLabels are those of ServiceMonitors.
func (b *ingressBuilder) monitorLabels(key string) {
	if b.i.Metrics != nil && b.i.monitors && len(b.i.Metrics.ServiceMonitorLabels) > 0 {
		b.from("metrics.serviceMonitorLabels", key, plain(maps.Clone(b.i.Metrics.ServiceMonitorLabels)))
	}
}

// jsonLog is a log line of JSON, with the controller's variables for the values, in order.
func jsonLog(fields [][2]string) string {
	parts := make([]string, len(fields))
	for n, f := range fields {
		parts[n] = strconv.Quote(f[0]) + ":" + f[1]
	}
	return "{" + strings.Join(parts, ",") + "}"
}
