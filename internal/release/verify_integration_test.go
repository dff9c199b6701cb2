package release

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chart"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/networkstack/networkstack/internal/ignore"
)

// driftChart has one of each kind of list and map that others may tamper with. Its names end with the namespace, because
// some are the cluster's.
func driftChart() *chart.Chart {
	return memoryChart("drift", "1.0.0", map[string]string{
		"all.yaml": `apiVersion: v1
kind: ConfigMap
metadata: {name: config, labels: {app: agent}, annotations: {note: ours}}
data: {mtu: "1450", net-conf.json: "{}"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: filled-by-others}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {password: hunter2}
---
apiVersion: v1
kind: Service
metadata: {name: agent}
spec: {selector: {app: agent}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: agent}
imagePullSecrets: [{name: registry}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: "agent-{{ .Release.Namespace }}"}
rules: [{apiGroups: [""], resources: [nodes], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: "sum-{{ .Release.Namespace }}"}
aggregationRule: {clusterRoleSelectors: [{matchLabels: {sum: "{{ .Release.Namespace }}"}}]}
rules: []
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: "part-{{ .Release.Namespace }}", labels: {sum: "{{ .Release.Namespace }}"}}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}, creationTimestamp: null}
    spec:
      hostNetwork: false
      nodeSelector: {kubernetes.io/os: linux}
      tolerations: [{operator: Exists}]
      containers:
      - name: agent
        image: example.com/agent:1
        resources: {limits: {memory: 2048Mi, cpu: 1000m}}
        ports: [{containerPort: 80}]
        env: [{name: MTU, value: "1450"}, {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}, {name: EMPTY, value: ""}]
        volumeMounts: [{name: config, mountPath: /config}]
      volumes: [{name: config, configMap: {name: config}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: scaled}
spec:
  replicas: 2
  selector: {matchLabels: {app: scaled}}
  template: {metadata: {labels: {app: scaled}}, spec: {containers: [{name: c, image: example.com/c:1}]}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: scaled}
spec: {minReplicas: 2, maxReplicas: 5, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: scaled}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: "agent-{{ .Release.Namespace }}"}
webhooks:
- name: a.example.com
  clientConfig: {service: {name: agent, namespace: "{{ .Release.Namespace }}"}, caBundle: ""}
  rules: [{apiGroups: [example.com], apiVersions: [v1], operations: [CREATE], resources: [things]}]
  failurePolicy: Ignore
  sideEffects: None
  admissionReviewVersions: [v1]
`})
}

// driftEnv is a release of driftChart on a real API server.
type driftEnv struct {
	*env
	eng      *Engine
	manifest *Manifest
	dynamic  dynamic.Interface
	rules    ignore.Rules
}

func newDriftEnv(t *testing.T) *driftEnv {
	e := newEnv(t)
	eng := e.engine()
	out := e.apply(eng, e.spec("drift", driftChart(), nil))
	if len(out.Manifest.Objects()) != 12 || len(out.Objects) != 12 {
		t.Fatalf("applied %v", out.Manifest.Objects())
	}
	client, err := dynamic.NewForConfig(e.cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &driftEnv{env: e, eng: eng, manifest: out.Manifest, dynamic: client}
}

var resources = map[string]schema.GroupVersionResource{
	"ConfigMap": {Version: "v1", Resource: "configmaps"}, "Secret": {Version: "v1", Resource: "secrets"},
	"Service": {Version: "v1", Resource: "services"}, "ServiceAccount": {Version: "v1", Resource: "serviceaccounts"},
	"DaemonSet":                      {Group: "apps", Version: "v1", Resource: "daemonsets"},
	"Deployment":                     {Group: "apps", Version: "v1", Resource: "deployments"},
	"ClusterRole":                    {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"},
	"ValidatingWebhookConfiguration": {Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingwebhookconfigurations"},
}

func (e *driftEnv) objects(kind string) dynamic.ResourceInterface {
	r := e.dynamic.Resource(resources[kind])
	if kind == "ClusterRole" || kind == "ValidatingWebhookConfiguration" {
		return r
	}
	return r.Namespace(e.ns)
}

// patch changes an object as some manager: strategic merge for built-in kinds.
func (e *driftEnv) patch(kind, name, manager, body string, subresources ...string) {
	e.t.Helper()
	body = strings.ReplaceAll(body, "@NS", e.ns)
	_, err := e.objects(kind).Patch(e.t.Context(), strings.ReplaceAll(name, "NS", e.ns), types.StrategicMergePatchType, []byte(body),
		metav1.PatchOptions{FieldManager: manager}, subresources...)
	if err != nil {
		e.t.Fatal(err)
	}
}

// renumber gives the first port of a Service another number.
func (e *driftEnv) renumber(name string, port int) {
	e.t.Helper()
	_, err := e.objects("Service").Patch(e.t.Context(), name, types.JSONPatchType,
		fmt.Appendf(nil, `[{"op":"replace","path":"/spec/ports/0/port","value":%d}]`, port), metav1.PatchOptions{FieldManager: "trudy"})
	if err != nil {
		e.t.Fatal(err)
	}
}

// verify gives findings as lines, one a field.
func (e *driftEnv) verify(dry bool) []string {
	e.t.Helper()
	findings, applied, err := e.eng.Verify(e.t.Context(), Check{Component: "drift", Manifest: e.manifest, DryRun: dry, Rules: e.rules})
	if err != nil {
		e.t.Fatal(err)
	}
	if len(applied) != 12 {
		e.t.Errorf("the state of %d objects is known", len(applied))
	}
	var out []string
	for _, f := range findings {
		name := strings.ReplaceAll(f.Object.String(), e.ns+"/", "")
		name = strings.ReplaceAll(name, e.ns, "NS")
		if f.Missing {
			out = append(out, name+" missing")
		}
		for _, c := range f.Fields {
			out = append(out, fmt.Sprintf("%s %s: %s, not %s, by %s", name, c.Path, c.Found, c.Expected, c.Manager))
			if c.Manager != UnknownManager && (c.Time.IsZero() || time.Since(c.Time) > time.Hour) {
				e.t.Errorf("%s: changed at %s", c.Path, c.Time)
			}
		}
	}
	return out
}

// TestVerify tampers with a release in every way there is.
func TestVerify(t *testing.T) {
	e := newDriftEnv(t)
	e.rules = ignore.Rules{{Kind: "Deployment", Paths: []ignore.Path{{".spec", ".replicas"}}, Managers: []string{"kube-controller-manager"}}}
	if got := e.verify(false); len(got) > 0 {
		t.Fatalf("right after the installation: %s", strings.Join(got, "\n"))
	}
	const agent = "DaemonSet agent .spec.template.spec"
	for _, tc := range []struct {
		name   string
		tamper func()
		want   []string
	}{
		{"a value", func() { e.patch("ConfigMap", "config", "mallory", `{"data":{"mtu":"9000"}}`) },
			[]string{`ConfigMap config .data.mtu: "9000", not "1450", by mallory`}},
		{"a value, and a key added", func() { e.patch("ConfigMap", "config", "mallory", `{"data":{"net-conf.json":"x","e.x":"1"}}`) },
			[]string{`ConfigMap config .data["e.x"]: "1", not (none), by mallory`, `ConfigMap config .data["net-conf.json"]: "x", not "{}", by mallory`}},
		{"a key removed", func() { e.patch("ConfigMap", "config", "mallory", `{"data":{"mtu":null}}`) },
			[]string{`ConfigMap config .data.mtu: (none), not "1450", by unknown`}},
		{"a Secret", func() { e.patch("Secret", "keys", "eve", `{"data":{"password":"aHVudGVyMw==","more":"bW9yZQ=="}}`) },
			[]string{`Secret keys .data.more: [redacted], not (none), by eve`, `Secret keys .data.password: [redacted], not [redacted], by eve`}},
		{"a label and an annotation removed", func() {
			e.patch("ConfigMap", "config", "mallory", `{"metadata":{"labels":{"app":null},"annotations":{"note":null}}}`)
		}, []string{`ConfigMap config .metadata.annotations.note: (none), not "ours", by unknown`, `ConfigMap config .metadata.labels.app: (none), not "agent", by unknown`}},
		{"a port added", func() { e.patch("Service", "agent", "trudy", `{"spec":{"ports":[{"name":"more","port":81}]}}`) },
			[]string{`Service agent .spec.ports[port=81,protocol="TCP"]: {"name":"more","port":81,"protocol":"TCP","targetPort":81}, not (none), by trudy`}},
		{"a selector extended", func() { e.patch("Service", "agent", "trudy", `{"spec":{"selector":{"x":"y"}}}`) },
			[]string{`Service agent .spec.selector: {"app":"agent","x":"y"}, not {"app":"agent"}, by trudy`}},
		{"a rule added", func() {
			e.patch("ClusterRole", "agent-NS", "trudy", `{"rules":[{"apiGroups":[""],"resources":["nodes"],"verbs":["get","list"]},{"apiGroups":[""],"resources":["secrets"],"verbs":["*"]}]}`)
		}, []string{`ClusterRole agent-NS .rules: [{"apiGroups":[""],"resources":["nodes"]… (122 characters, sha256 HASH), not [{"apiGroups":[""],"resources":["nodes"],"verbs":["get","list"]}], by trudy`}},
		{"an image and a scalar", func() {
			e.patch("DaemonSet", "agent", "kubectl-set", `{"spec":{"template":{"spec":{"hostNetwork":true,"containers":[{"name":"agent","image":"evil"}]}}}}`)
		}, []string{agent + `.containers[name="agent"].image: "evil", not "example.com/agent:1", by kubectl-set`, agent + `.hostNetwork: true, not false, by kubectl-set`}},
		{"a container, an env and privileges added", func() {
			e.patch("DaemonSet", "agent", "kubectl-edit", `{"spec":{"template":{"spec":{"priorityClassName":"system-node-critical","containers":[{"name":"extra","image":"evil","env":[{"name":"API_TOKEN","value":"abc"}]},{"name":"agent","securityContext":{"privileged":true},"env":[{"name":"X","value":"y"},{"name":"MTU","value":"9"}]}]}}}}`)
		}, []string{
			agent + `.containers[name="agent"].env[name="MTU"].value: "9", not "1450", by kubectl-edit`,
			agent + `.containers[name="agent"].env[name="X"]: {"name":"X","value":"y"}, not (none), by kubectl-edit`,
			agent + `.containers[name="agent"].securityContext: {"privileged":true}, not (none), by kubectl-edit`,
			agent + `.containers[name="extra"]: [redacted], not (none), by kubectl-edit`,
			agent + `.priorityClassName: "system-node-critical", not (none), by kubectl-edit`,
		}},
		{"an env removed, a toleration added", func() {
			e.patch("DaemonSet", "agent", "kubectl-edit", `{"spec":{"template":{"spec":{"tolerations":[{"operator":"Exists"},{"key":"x","operator":"Exists"}],"containers":[{"name":"agent","env":[{"$patch":"delete","name":"MTU"}]}]}}}}`)
		}, []string{
			agent + `.containers[name="agent"].env[name="MTU"].name: (none), not "MTU", by unknown`,
			agent + `.containers[name="agent"].env[name="MTU"].value: (none), not "1450", by unknown`,
			agent + `.tolerations: [{"operator":"Exists"},{"key":"x","operator":"Exists"}], not [{"operator":"Exists"}], by kubectl-edit`,
		}},
		{"a deletion", func() {
			if err := e.objects("ConfigMap").Delete(t.Context(), "config", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}, []string{"ConfigMap config missing"}},
		{"a webhook's policy", func() {
			e.patch("ValidatingWebhookConfiguration", "agent-NS", "trudy", `{"webhooks":[{"name":"a.example.com","failurePolicy":"Fail"}]}`)
		}, []string{`ValidatingWebhookConfiguration agent-NS .webhooks[name="a.example.com"].failurePolicy: "Fail", not "Ignore", by trudy`}},

		// What others may do, because it is theirs.
		{"a restart", func() {
			e.patch("DaemonSet", "agent", "kubectl-rollout", `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"now"}}}}}`)
		}, nil},
		{"labels, annotations and finalizers of others", func() {
			e.patch("ConfigMap", "config", "leader", `{"metadata":{"labels":{"team":"net"},"annotations":{"leader":"me"}}}`)
		}, nil},
		{"fields that we don't set", func() { e.patch("Service", "agent", "cloud", `{"spec":{"sessionAffinity":"ClientIP"}}`) }, nil},
		{"data that we leave to others", func() { e.patch("ConfigMap", "filled-by-others", "controller", `{"data":{"ca.crt":"x"}}`) }, nil},
		{"entries of a ServiceAccount", func() {
			e.patch("ServiceAccount", "agent", "openshift", `{"secrets":[{"name":"token"}]}`)
		}, nil},
		{"an autoscaler", func() {
			e.patch("Deployment", "scaled", "kube-controller-manager", `{"spec":{"replicas":4}}`, "scale")
		}, nil},
	} {
		tc.tamper()
		for _, dry := range []bool{true, false} {
			if diff := cmp.Diff(tc.want, hideHashes(e.verify(dry))); diff != "" {
				t.Errorf("%s, dry run %v (-want +got):\n%s", tc.name, dry, diff)
			}
		}
		if got := e.verify(false); len(got) > 0 {
			t.Errorf("%s: not restored: %s", tc.name, strings.Join(got, "\n"))
		}
	}

	// Without the port that was renumbered a Service has none, which the API server does not take, and with both it has two
	// of one name. So ours comes back and the other one goes in one step, which a dry run cannot do.
	e.renumber("agent", 8080)
	const renumbered = `Service agent .spec.ports[port=8080,protocol="TCP"]: {"name":"http","port":8080,"protocol":"TCP","targetPort":80}, not (none), by trudy`
	if diff := cmp.Diff([]string{renumbered}, e.verify(true)); diff != "" {
		t.Errorf("the only port renumbered, dry run (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{
		`Service agent .spec.ports[port=80,protocol="TCP"].name: (none), not "http", by unknown`,
		`Service agent .spec.ports[port=80,protocol="TCP"].port: (none), not 80, by unknown`, renumbered,
	}, e.verify(false)); diff != "" {
		t.Errorf("the only port renumbered (-want +got):\n%s", diff)
	}
	if got := e.verify(false); len(got) > 0 {
		t.Errorf("the only port renumbered: not restored: %s", strings.Join(got, "\n"))
	}

	// What was others' is there still.
	ds, err := e.kube.AppsV1().DaemonSets(e.ns).Get(t.Context(), "agent", metav1.GetOptions{})
	if err != nil || ds.Spec.Template.Annotations["kubectl.kubernetes.io/restartedAt"] != "now" || len(ds.Spec.Template.Spec.Containers) != 1 ||
		len(ds.Spec.Template.Spec.Containers[0].Env) != 3 || ds.Spec.Template.Spec.Containers[0].SecurityContext != nil {
		t.Errorf("%v %+v", err, ds.Spec.Template)
	}
	scaled, err := e.kube.AppsV1().Deployments(e.ns).Get(t.Context(), "scaled", metav1.GetOptions{})
	if err != nil || *scaled.Spec.Replicas != 4 {
		t.Errorf("%v %d replicas", err, *scaled.Spec.Replicas)
	}
	svc, err := e.kube.CoreV1().Services(e.ns).Get(t.Context(), "agent", metav1.GetOptions{})
	if err != nil || svc.Spec.SessionAffinity != "ClientIP" || len(svc.Spec.Ports) != 1 {
		t.Errorf("%v %+v", err, svc.Spec)
	}
	// The aggregated role has been filled in meanwhile, which is what it is for.
	e.eventually("the aggregated role has rules", func(ctx context.Context) (bool, error) {
		r, err := e.kube.RbacV1().ClusterRoles().Get(ctx, "sum-"+e.ns, metav1.GetOptions{})
		return err == nil && len(r.Rules) == 1, err
	})
	if got := e.verify(false); len(got) > 0 {
		t.Error(strings.Join(got, "\n"))
	}
}

// What belongs to somebody else by now is refused and stays as he made it; the others are put right all the same.
func TestVerifyLeavesWhatIsNotOurs(t *testing.T) {
	for _, tc := range []struct{ name, mark, owner string }{
		{"another Helm release", `{"metadata":{"annotations":{"meta.helm.sh/release-name":"theirs"}}}`, "Helm release @NS/theirs"},
		{"another component", `{"metadata":{"labels":{"networkstack.io/component":"theirs"}}}`, "component theirs"},
		{"Argo CD", `{"metadata":{"labels":{"networkstack.io/component":null},"annotations":{"argocd.argoproj.io/tracking-id":"net:v1/ConfigMap:x/a"}}}`,
			"Argo CD application net"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := newEnv(t)
			eng := e.engine()
			m := e.apply(eng, e.spec("maps", mapsChart(), names("a", "b"))).Manifest
			maps := e.kube.CoreV1().ConfigMaps(e.ns)
			write := func(name, body string) string {
				t.Helper()
				cm, err := maps.Patch(t.Context(), name, types.MergePatchType, []byte(body), metav1.PatchOptions{FieldManager: "theirs"})
				if err != nil {
					t.Fatal(err)
				}
				return cm.ResourceVersion
			}
			write("a", tc.mark)
			version := write("a", `{"data":{"value":"theirs"}}`)
			write("b", `{"data":{"value":"theirs"}}`)
			for _, dry := range []bool{true, false} {
				findings, applied, err := eng.Verify(t.Context(), Check{Component: "maps", Manifest: m, DryRun: dry})
				var conflict *ConflictError
				if owner := strings.ReplaceAll(tc.owner, "@NS", e.ns); !errors.As(err, &conflict) || conflict.Object.Name != "a" || conflict.Owner != owner || conflict.Remedy == "" {
					t.Errorf("dry run %v: %v", dry, err)
				}
				if len(findings) != 1 || findings[0].Object.Name != "b" || len(applied) != len(m.Objects())-1 {
					t.Errorf("dry run %v: findings %+v, applied %v", dry, findings, applied)
				}
			}
			a, err := maps.Get(t.Context(), "a", metav1.GetOptions{})
			if err != nil || a.ResourceVersion != version {
				t.Errorf("%v %v: version %s, was %s", err, a.Data, a.ResourceVersion, version)
			}
			if b, err := maps.Get(t.Context(), "b", metav1.GetOptions{}); err != nil || b.Data["value"] != "none" {
				t.Errorf("%v %v", err, b.Data)
			}
		})
	}
}

func hideHashes(lines []string) []string {
	for i, l := range lines {
		if n := strings.Index(l, "sha256 "); n >= 0 {
			lines[i] = l[:n] + "sha256 HASH" + l[n+len("sha256 12345678"):]
		}
	}
	return lines
}

// TestVerifyRules has others change what they may, and what they may not.
func TestVerifyRules(t *testing.T) {
	e := newDriftEnv(t)
	rule := func(kind, path string, managers ...string) ignore.Rule {
		p, err := ignore.Parse(path)
		if err != nil {
			t.Fatal(err)
		}
		return ignore.Rule{Kind: kind, Paths: []ignore.Path{p}, Managers: managers}
	}
	e.rules = ignore.Rules{
		rule("ValidatingWebhookConfiguration", ".webhooks[*].clientConfig.caBundle", "cainjector"),
		rule("ValidatingWebhookConfiguration", ".webhooks[*].failurePolicy", "istiod"),
		rule("ConfigMap", ".data.mtu"),
		rule("DaemonSet", `.spec.template.spec.containers[name="sidecar"]`, "injector"),
	}
	e.patch("ValidatingWebhookConfiguration", "agent-NS", "cainjector", `{"webhooks":[{"name":"a.example.com","clientConfig":{"caBundle":"`+caBundle(t)+`"}}]}`)
	e.patch("ValidatingWebhookConfiguration", "agent-NS", "istiod", `{"webhooks":[{"name":"a.example.com","failurePolicy":"Fail"}]}`)
	e.patch("ConfigMap", "config", "mallory", `{"data":{"mtu":null}}`)
	e.patch("DaemonSet", "agent", "injector", `{"spec":{"template":{"spec":{"containers":[{"name":"sidecar","image":"s"}]}}}}`)
	for _, dry := range []bool{true, false} {
		if got := e.verify(dry); len(got) > 0 {
			t.Errorf("dry run %v: %s", dry, strings.Join(got, "\n"))
		}
	}
	// Another drift of the same objects is put right, and what others may change stays as they made it.
	e.patch("ValidatingWebhookConfiguration", "agent-NS", "trudy", `{"webhooks":[{"name":"a.example.com","sideEffects":"NoneOnDryRun"}]}`)
	e.patch("ConfigMap", "config", "mallory", `{"data":{"net-conf.json":"x"}}`)
	e.patch("DaemonSet", "agent", "trudy", `{"spec":{"template":{"spec":{"containers":[{"name":"agent","image":"x"}]}}}}`)
	want := []string{
		`ConfigMap config .data["net-conf.json"]: "x", not "{}", by mallory`,
		`DaemonSet agent .spec.template.spec.containers[name="agent"].image: "x", not "example.com/agent:1", by trudy`,
		`ValidatingWebhookConfiguration agent-NS .webhooks[name="a.example.com"].sideEffects: "NoneOnDryRun", not "None", by trudy`,
	}
	if diff := cmp.Diff(want, e.verify(false)); diff != "" {
		t.Error(diff)
	}
	theirs := func(when string, mtu bool) {
		t.Helper()
		w, err := e.kube.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(t.Context(), "agent-"+e.ns, metav1.GetOptions{})
		if err != nil || *w.Webhooks[0].FailurePolicy != "Fail" || len(w.Webhooks[0].ClientConfig.CABundle) == 0 || *w.Webhooks[0].SideEffects != "None" {
			t.Errorf("%s: %v %+v", when, err, w.Webhooks)
		}
		ds, err := e.kube.AppsV1().DaemonSets(e.ns).Get(t.Context(), "agent", metav1.GetOptions{})
		if err != nil || len(ds.Spec.Template.Spec.Containers) != 2 {
			t.Errorf("%s: %v %+v", when, err, ds.Spec.Template.Spec.Containers)
		}
		c, err := e.kube.CoreV1().ConfigMaps(e.ns).Get(t.Context(), "config", metav1.GetOptions{})
		if _, has := c.Data["mtu"]; err != nil || has != mtu {
			t.Errorf("%s: %v %v", when, err, c.Data)
		}
	}
	theirs("after the correction", false)

	// A new revision leaves to others what they have taken. What nobody has is set.
	spec := e.spec("drift", driftChart(), map[string]any{"new": "value"})
	spec.Rules = e.rules
	e.manifest = e.apply(e.eng, spec).Manifest
	theirs("after an upgrade", true)

	// The same by somebody who may not is drift.
	e.patch("ValidatingWebhookConfiguration", "agent-NS", "trudy", `{"webhooks":[{"name":"a.example.com","failurePolicy":"Ignore"}]}`)
	e.patch("DaemonSet", "agent", "trudy", `{"spec":{"template":{"spec":{"containers":[{"name":"other","image":"s"}]}}}}`)
	got := e.verify(false)
	if len(got) != 1 || !strings.Contains(got[0], `containers[name="other"]`) {
		t.Errorf("%s", strings.Join(got, "\n"))
	}
	e.patch("ValidatingWebhookConfiguration", "agent-NS", "istiod", `{"webhooks":[{"name":"a.example.com","failurePolicy":"Fail"}]}`)
	e.patch("ValidatingWebhookConfiguration", "agent-NS", "trudy", `{"webhooks":[{"name":"a.example.com","clientConfig":{"caBundle":null}}]}`)
	if got := e.verify(false); len(got) > 0 {
		t.Errorf("%s", strings.Join(got, "\n"))
	}
}

// caBundle is a certificate in the form that webhook configurations hold.
func caBundle(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
