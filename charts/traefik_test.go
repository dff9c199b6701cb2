package charts_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// traefik renders and decodes strictly.
func traefik(t *testing.T, values string) []runtime.Object {
	t.Helper()
	out, err := render(t, "traefik", "traefik", values)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, out)
}

func TestTraefik(t *testing.T) {
	objects := traefik(t, "{}")
	d := find[*appsv1.Deployment](t, objects)
	pod := d.Spec.Template.Spec
	if *d.Spec.Replicas != 1 || d.Name != "traefik" || pod.Containers[0].Image != "docker.io/traefik:v3.7.11" {
		t.Errorf("%s with %d replicas of %s", d.Name, *d.Spec.Replicas, pod.Containers[0].Image)
	}
	for key, value := range d.Spec.Selector.MatchLabels {
		if d.Spec.Template.Labels[key] != value {
			t.Errorf("the selector's %s=%s is not a label of the pods", key, value)
		}
	}
	// It needs no capability, for its ports are high.
	c := pod.Containers[0].SecurityContext
	if !*c.ReadOnlyRootFilesystem || *c.AllowPrivilegeEscalation || len(c.Capabilities.Add) > 0 || c.Capabilities.Drop[0] != "ALL" || !*pod.SecurityContext.RunAsNonRoot ||
		pod.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault || pod.HostNetwork {
		t.Errorf("%+v, %+v", c, pod.SecurityContext)
	}
	want := []string{
		"--global.checknewversion=true", "--global.sendanonymoususage=false", "--ping=true", "--log.level=INFO", "--log.format=common",
		"--entrypoints.traefik.address=:8080/tcp", "--entrypoints.web.address=:8000/tcp", "--entrypoints.websecure.address=:8443/tcp",
		"--entrypoints.websecure.http.tls=true", "--entrypoints.metrics.address=:9100/tcp", "--metrics.prometheus=true",
		"--metrics.prometheus.entrypoint=metrics", "--providers.kubernetesingress=true",
		"--providers.kubernetesingress.ingressendpoint.publishedservice=traefik/traefik",
	}
	if diff := cmp.Diff(want, pod.Containers[0].Args); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
	service := find[*corev1.Service](t, objects)
	if service.Spec.Type != corev1.ServiceTypeLoadBalancer || len(service.Spec.Ports) != 2 || service.Spec.Ports[1].Port != 443 || service.Spec.Ports[1].TargetPort.StrVal != "websecure" {
		t.Errorf("Service: %+v", service.Spec)
	}
	class := find[*networkingv1.IngressClass](t, objects)
	if class.Name != "traefik" || class.Spec.Controller != "traefik.io/ingress-controller" || class.Annotations[networkingv1.AnnotationIsDefaultIngressClass] != "true" {
		t.Errorf("IngressClass: %+v", class)
	}
	for _, rule := range find[*rbacv1.ClusterRole](t, objects).Rules {
		for _, verb := range rule.Verbs {
			if writes := verb != "get" && verb != "list" && verb != "watch"; writes && !slices.Equal(rule.Resources, []string{"ingresses/status"}) {
				t.Errorf("Traefik may %s %v", verb, rule.Resources)
			}
		}
	}
}

// TestTraefikTransport wants nothing to be said of what is taken out of the values, which the schema allows.
func TestTraefikTransport(t *testing.T) {
	for _, values := range []string{`null`, `{lifeCycle: null}`, `{respondingTimeouts: null}`, `{lifeCycle: {graceTimeOut: null}}`} {
		d := find[*appsv1.Deployment](t, traefik(t, `{ports: {web: {transport: `+values+`}}}`))
		for _, arg := range d.Spec.Template.Spec.Containers[0].Args {
			if strings.Contains(arg, "transport") {
				t.Errorf("%s: %s", values, arg)
			}
		}
	}
}

func TestTraefikWithEverything(t *testing.T) {
	objects := traefik(t, `
fullnameOverride: ingress-public
instanceLabelOverride: ingress-public
ingressClass: {name: public, isDefaultClass: false}
autoscaling: {enabled: true, minReplicas: 2, maxReplicas: 5, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]}
podDisruptionBudget: {enabled: true, maxUnavailable: 1}
tlsStore: {default: {defaultCertificate: {secretName: wildcard}}}
accessLog: {enabled: true, format: json}
providers: {kubernetesIngress: {ingressClass: public, namespaces: [a, b]}, kubernetesCRD: {namespaces: [a]}}
ports:
  web:
    nodePort: 30080
    http: {redirections: {entryPoint: {to: websecure, scheme: https, permanent: true}}}
  websecure:
    proxyProtocol: {trustedIPs: [192.0.2.0/24, 198.51.100.0/24]}
    transport: {respondingTimeouts: {readTimeout: 30s}, lifeCycle: {requestAcceptGraceTimeout: 10s}}
service: {annotations: {a: b}, spec: {type: NodePort, externalTrafficPolicy: Local}}
resources: {requests: {cpu: 100m}}
metrics: {prometheus: null}
additionalArguments: ["--api.insecure=false"]`)
	d := find[*appsv1.Deployment](t, objects)
	args := strings.Join(d.Spec.Template.Spec.Containers[0].Args, " ")
	for _, want := range []string{
		"--accesslog.format=json", "--providers.kubernetesingress.ingressclass=public", "--providers.kubernetesingress.namespaces=a,b",
		"--entrypoints.web.http.redirections.entrypoint.permanent=true", "--entrypoints.websecure.proxyprotocol.trustedips=192.0.2.0/24,198.51.100.0/24",
		"--entrypoints.websecure.transport.respondingtimeouts.readtimeout=30s",
		"--entrypoints.websecure.transport.lifecycle.requestacceptgracetimeout=10s", "--providers.file.directory=/configuration", "--api.insecure=false",
	} {
		if !strings.Contains(args, want) {
			t.Errorf("no argument %s in %s", want, args)
		}
	}
	if strings.Contains(args, "metrics") || d.Spec.Replicas != nil {
		t.Errorf("replicas %v, arguments %s", d.Spec.Replicas, args)
	}
	// The certificate is in the directory that is watched.
	var dynamic struct {
		TLS struct {
			Stores map[string]struct {
				DefaultCertificate struct{ CertFile, KeyFile string }
			}
		}
	}
	if err := yaml.Unmarshal([]byte(find[*corev1.ConfigMap](t, objects).Data["certificates.yaml"]), &dynamic); err != nil {
		t.Fatal(err)
	}
	volume := d.Spec.Template.Spec.Volumes[1].Projected
	if c := dynamic.TLS.Stores["default"].DefaultCertificate; c.CertFile != "/configuration/tls.crt" || c.KeyFile != "/configuration/tls.key" ||
		volume.Sources[1].Secret.Name != "wildcard" || !*volume.Sources[1].Secret.Optional {
		t.Errorf("%+v, %+v", dynamic, volume)
	}
	if h := find[*autoscalingv2.HorizontalPodAutoscaler](t, objects); *h.Spec.MinReplicas != 2 || h.Spec.MaxReplicas != 5 || h.Spec.ScaleTargetRef.Name != d.Name {
		t.Errorf("%+v", h.Spec)
	}
	if b := find[*policyv1.PodDisruptionBudget](t, objects); b.Spec.MaxUnavailable.IntVal != 1 || b.Spec.MinAvailable != nil || !cmp.Equal(b.Spec.Selector, d.Spec.Selector) {
		t.Errorf("%+v", b.Spec)
	}
	if s := find[*corev1.Service](t, objects); s.Spec.Ports[0].NodePort != 30080 || s.Spec.ExternalTrafficPolicy != corev1.ServiceExternalTrafficPolicyLocal || s.Annotations["a"] != "b" {
		t.Errorf("%+v", s.Spec)
	}
	ds := find[*appsv1.DaemonSet](t, traefik(t, `{deployment: {kind: DaemonSet}, updateStrategy: {rollingUpdate: {maxUnavailable: 1, maxSurge: 0}}, ports: {web: {hostPort: 80}}}`))
	if s := ds.Spec.UpdateStrategy.RollingUpdate; s.MaxSurge.IntVal != 0 || ds.Spec.Template.Spec.Containers[0].Ports[1].HostPort != 80 {
		t.Errorf("%+v", ds.Spec)
	}
}

func TestTraefikRefuses(t *testing.T) {
	refuses(t, "traefik", `{autoscaling: {enabled: true}}`, "maxReplicas")
	refuses(t, "traefik", `{deployment: {kind: DaemonSet}, autoscaling: {enabled: true, maxReplicas: 3}}`, "deployment.kind")
	refuses(t, "traefik", `{podDisruptionBudget: {enabled: true}}`, "minAvailable")
	refuses(t, "traefik", `{providers: {kubernetesCRD: {enabled: true}}}`, "kubernetesCRD")
	refuses(t, "traefik", `{colour: red}`, "colour")
}

func TestIngressResources(t *testing.T) {
	out, err := render(t, "ingress-resources", "eg", `{gatewayClass: {name: public, controllerName: example.com/c}, envoyProxy: {ipFamily: IPv4}}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"kind: EnvoyProxy", "ipFamily: IPv4", "controllerName: \"example.com/c\"", "name: \"ingress-resources\"\n    namespace: eg"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if out, err := render(t, "ingress-resources", "eg", `{}`); err != nil || strings.TrimSpace(out) != "" {
		t.Errorf("%v, %s", err, out)
	}
	refuses(t, "ingress-resources", `{certificate: {name: a}}`, "secretName")
}
