package compose

import (
	"slices"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// istioGateway derives the values of Istio's gateway chart, whose schema knows no others.
func (b *ingressBuilder) istioGateway(revision string) {
	i := b.i
	b.control("name", i.at("name").String(), i.component, "the component's name")
	b.workload(workloadKeys{
		kind: "kind", replicas: "replicaCount", autoscaling: "autoscaling", budget: "podDisruptionBudget",
		spread: "topologySpreadConstraints", resources: "resources", selector: map[string]string{"app": i.component},
	})
	b.serviceValues("service")
	b.annotationValues("service.annotations")
	if i.clients() == networkstackv1alpha1.ClientsByProxyProtocol {
		b.set("podAnnotations", map[string]any{"proxy.istio.io/config": `{"gatewayTopology":{"proxyProtocol":{}}}`}, "from clientAddresses")
	}
	if revision != "" {
		b.set("revision", revision, "the control plane that fills the pods in")
	}
}

// envoyController is what an Envoy Gateway calls itself in its GatewayClass. Each of several has a name of its own.
func (i *ingress) envoyController() string {
	const usual = "gateway.envoyproxy.io/gatewayclass-controller"
	if i.class == usualClasses[i.Type] {
		return usual
	}
	return usual + "-" + i.class
}

// envoyGateway derives the values of Envoy Gateway's chart, which is about its control plane alone.
func (b *ingressBuilder) envoyGateway() {
	i := b.i
	b.control("crds.enabled", i.at("type").String(), false, "definitions are in a component of their own")
	const config = "config.envoyGateway"
	b.from("class.name", config+".gateway.controllerName", i.envoyController())
	if len(i.WatchedNamespaces) > 0 {
		b.from("watchedNamespaces", config+".provider.kubernetes.watch",
			map[string]any{"type": "Namespaces", "namespaces": plain(slices.Sorted(slices.Values(i.WatchedNamespaces)))})
	}
}

// envoyLogText is a line of Envoy's own form.
const envoyLogText = `[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% ` +
	`%BYTES_RECEIVED% %BYTES_SENT% %DURATION% "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"` + "\n"

// envoyLogFields are those of a log of JSON.
var envoyLogFields = map[string]any{
	"time": "%START_TIME%", "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "host": "%REQ(:AUTHORITY)%", "method": "%REQ(:METHOD)%",
	"uri": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "status": "%RESPONSE_CODE%", "flags": "%RESPONSE_FLAGS%", "bytes": "%BYTES_SENT%",
	"duration": "%DURATION%", "upstream": "%UPSTREAM_HOST%", "userAgent": "%REQ(USER-AGENT)%",
}

// envoyProxy is how the Envoys of an Envoy Gateway are to run: the spec of its EnvoyProxy.
func (s *state) envoyProxy(i *ingress) map[string]any {
	pod, container := map[string]any{}, map[string]any{}
	if len(i.TopologySpread) > 0 {
		pod["topologySpreadConstraints"] = i.spread(
			map[string]string{"app.kubernetes.io/managed-by": "envoy-gateway", "app.kubernetes.io/component": "proxy"},
			[]string{"gateway.envoyproxy.io/owning-gateway-namespace", "gateway.envoyproxy.io/owning-gateway-name"})
	}
	if i.Resources != nil {
		container["resources"] = agentKeys{}.resourcesOf(i.Resources)
	}
	workload := map[string]any{"pod": pod, "container": container}
	kubernetes := map[string]any{"envoyService": envoyService(i)}
	if i.kind == networkstackv1alpha1.IngressDaemonSet {
		kubernetes["envoyDaemonSet"] = workload
	} else {
		kubernetes["envoyDeployment"] = workload
	}
	switch a := i.Autoscaling; {
	case a != nil:
		kubernetes["envoyHpa"] = map[string]any{
			"minReplicas": int64(i.replicas), "maxReplicas": int64(a.MaxReplicas), "metrics": cpuMetric(a)}
	case i.replicas > 0:
		workload["replicas"] = int64(i.replicas)
	}
	if d := i.DisruptionBudget; d != nil {
		budget := map[string]any{}
		for key, v := range map[string]any{"minAvailable": count(d.MinAvailable), "maxUnavailable": count(d.MaxUnavailable)} {
			if v != nil {
				budget[key] = v
			}
		}
		kubernetes["envoyPDB"] = budget
	}
	out := map[string]any{"provider": map[string]any{"type": "Kubernetes", "kubernetes": kubernetes}}
	switch families := i.service.IPFamilies; len(families) {
	case 0:
	case 1:
		out["ipFamily"] = string(families[0])
	default:
		out["ipFamily"] = "DualStack"
	}
	if i.LogFormat != "" {
		format := map[string]any{"type": string(i.LogFormat)}
		if i.LogFormat == networkstackv1alpha1.IngressLogJSON {
			format["json"] = copyValue(envoyLogFields)
		} else {
			format["text"] = envoyLogText
		}
		out["telemetry"] = map[string]any{"accessLog": map[string]any{"settings": []any{map[string]any{
			"format": format, "sinks": []any{map[string]any{"type": "File", "file": map[string]any{"path": "/dev/stdout"}}},
		}}}}
	}
	if s.traces(i) {
		telemetry, _ := out["telemetry"].(map[string]any)
		out["telemetry"] = MergeValues(telemetry, map[string]any{"tracing": s.tracing.envoyTracing()})
	}
	return out
}

func envoyService(i *ingress) map[string]any {
	v := i.service
	out := map[string]any{"type": string(v.Type)}
	if len(v.Annotations) > 0 {
		out["annotations"] = plain(v.Annotations)
	}
	if v.LoadBalancerClass != "" {
		out["loadBalancerClass"] = v.LoadBalancerClass
	}
	if len(v.SourceRanges) > 0 {
		out["loadBalancerSourceRanges"] = plain(v.SourceRanges)
	}
	if v.ExternalTrafficPolicy != "" {
		out["externalTrafficPolicy"] = string(v.ExternalTrafficPolicy)
	}
	return out
}

// envoyDefinitions adds Envoy Gateway's definitions, once for however many there are. They are too many for the chart of the
// control plane to be recorded with them, and that would bring the Gateway API too, which is not its own.
func (s *state) envoyDefinitions(i *ingress, out []Release, network []string) []Release {
	if slices.ContainsFunc(out, func(r Release) bool { return r.Name == nameEnvoyGatewayCRDs }) {
		return out
	}
	b := newValues(nameEnvoyGatewayCRDs)
	at := i.at("type").String()
	b.control("crds.envoyGateway.enabled", at, true, "Envoy Gateway's own")
	b.control("crds.gatewayAPI.enabled", at, false, "the Gateway API is not its own")
	settings := networkstackv1alpha1.ComponentSettings{
		Version: i.Version, Namespace: s.ingressNamespace(i), DriftMode: i.DriftMode, Suspend: i.Suspend}
	path := i.path.Child("definitions-component") // of no field: nothing of it can be set
	r := s.releaseOf(s.ingressEntry(TypeEnvoyGatewayCRDs, i.path, nameEnvoyGatewayCRDs), nameEnvoyGatewayCRDs, TypeEnvoyGatewayCRDs,
		stageIngressDefinitions, path, settings, b)
	r.Needs = slices.Clone(network)
	return append(out, r)
}

// ciliumIngress puts Cilium's own ingress controller into Cilium's values.
func (s *state) ciliumIngress(b *valuesBuilder) {
	n := slices.IndexFunc(s.ingress, func(i ingress) bool { return i.Type == networkstackv1alpha1.IngressCilium })
	if n < 0 {
		return
	}
	i := &s.ingress[n]
	c := &ingressBuilder{valuesBuilder: b, i: i}
	const at, service = "ingressController", "ingressController.service"
	c.from("type", at+".enabled", true)
	c.from("class.default", at+".default", i.isDefault())
	c.from("service.type", service+".type", string(i.service.Type))
	c.annotationValues(service + ".annotations")
	v := i.service
	c.when(v.LoadBalancerClass != "", "service.loadBalancerClass", service+".loadBalancerClass", v.LoadBalancerClass)
	switch {
	case v.ExternalTrafficPolicy != "":
		c.from("service.externalTrafficPolicy", service+".externalTrafficPolicy", string(v.ExternalTrafficPolicy))
	case v.Type == networkstackv1alpha1.IngressClusterIP:
		c.set(service+".externalTrafficPolicy", nil, "a ClusterIP has none")
	}
	if name := i.certificateSecret(); name != "" {
		c.from("defaultCertificate", at+".defaultSecretNamespace", s.ingressNamespace(i))
		c.from("defaultCertificate", at+".defaultSecretName", name)
	}
	c.when(i.clients() == networkstackv1alpha1.ClientsByProxyProtocol, "clientAddresses", at+".enableProxyProtocol", true)
}
