package catalog

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/networkstack/networkstack/internal/ignore"
)

func TestDefaultControllers(t *testing.T) {
	list, err := loadControllers(controllers, "controllers")
	if err != nil {
		t.Fatal(err)
	}
	if got := len(DefaultControllers()); got != len(list) || got < 20 {
		t.Errorf("%d entries", got)
	}
	for i, f := range list {
		if len(f.Managers) == 0 {
			t.Errorf("entry %d (%s): anybody may change %v", i+1, f.Reason, f.Paths)
		}
		if f.rule.Reason != f.Reason || len(f.rule.Paths) != len(f.Paths) {
			t.Errorf("entry %d: %+v", i+1, f.rule)
		}
	}
}

func TestControllerRules(t *testing.T) {
	list := Controllers{
		{Kind: "Deployment", Paths: []string{".spec.replicas"}, Reason: "all"},
		{Charts: []string{"istiod", "base"}, Kind: "X", Paths: []string{".a"}, Reason: "istio"},
		{Charts: []string{"istiod"}, Versions: ">=1.30", Kind: "X", Paths: []string{".b"}, Reason: "new"},
	}
	for i := range list {
		if err := list[i].prepare(); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct{ chart, version, want string }{
		{"flannel", "0.28.9", "all"},
		{"base", "1.20.0", "all istio"},
		{"istiod", "1.29.9", "all istio"},
		{"istiod", "v1.30.0", "all istio new"},
		{"istiod", "1.30.0-rc.1", "all istio new"},
		{"istiod", "development", "all istio new"},
	} {
		var got []string
		for _, r := range list.Rules(tc.chart, tc.version) {
			got = append(got, r.Reason)
		}
		if s := strings.Join(got, " "); s != tc.want {
			t.Errorf("%s %s: %q, want %q", tc.chart, tc.version, s, tc.want)
		}
	}
}

func TestControllersRefused(t *testing.T) {
	for text, want := range map[string]string{
		"- {kind: X, paths: [.a]}":                                    "reason",
		"- {kind: X, reason: r}":                                      "paths",
		"- {paths: [.a], reason: r}":                                  "kind",
		"- {kind: X, paths: [a], reason: r}":                          "does not start with a dot",
		"- {kind: X, paths: [.a], reason: r, name: '['}":              "not a pattern",
		"- {kind: X, paths: [.a], reason: r, managers: ['[']}":        "not a pattern",
		"- {kind: X, paths: [.a], reason: r, versions: nonsense}":     "constraint",
		"- {kind: X, paths: [.a], reason: r, field: x}":               "unknown field",
		"- {kind: X, paths: [.a], reason: r}\n- {kind: X, paths: []}": "entry 2",
	} {
		list, err := loadControllers(fstest.MapFS{"d/x.yaml": {Data: []byte(text)}}, "d")
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "x.yaml") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
		if want == "entry 2" && len(list) != 1 {
			t.Errorf("%d entries", len(list))
		}
	}
}

// TestWhoChangesWhat goes through what is known of real controllers, one by one, and wants the same by anybody else to be
// drift.
func TestWhoChangesWhat(t *testing.T) {
	list := DefaultControllers()
	used := map[string]bool{}
	for _, tc := range []struct{ chart, version, kind, name, path, manager string }{
		{"any", "1.0.0", "Deployment", "a", ".spec.replicas", "kube-controller-manager"},
		{"coredns", "1.46.2", "Deployment", "a-coredns", ".spec.replicas", "cluster-proportional-autoscaler"},
		{"any", "1.0.0", "StatefulSet", "a", ".spec.replicas", "kube-controller-manager"},
		{"cert-manager", "1.21.1", "ValidatingWebhookConfiguration", "cert-manager-webhook", `.webhooks[name="w"].clientConfig.caBundle`, "cert-manager-cainjector"},
		{"ingress-nginx", "4.15.1", "ValidatingWebhookConfiguration", "a-admission", `.webhooks[name="w"].clientConfig.caBundle`, "kube-webhook-certgen"},
		{"cert-manager", "1.21.1", "MutatingWebhookConfiguration", "cert-manager-webhook", `.webhooks[name="w"].clientConfig.caBundle`, "cert-manager-cainjector"},
		{"any", "1.0.0", "APIService", "v1.x", ".spec.caBundle", "cert-manager-cainjector"},
		{"any", "1.0.0", "CustomResourceDefinition", "x", ".spec.conversion.webhook.clientConfig.caBundle", "cert-manager-cainjector"},
		{"any", "1.0.0", "Service", "x", `.spec.ports[port=80,protocol="TCP"].nodePort`, "kube-apiserver"},
		{"any", "1.0.0", "Service", "x", ".spec.clusterIP", "aws-cloud-controller-manager"},
		{"any", "1.0.0", "PersistentVolumeClaim", "x", ".spec.volumeName", "kube-controller-manager"},
		{"any", "1.0.0", "Secret", "token", ".data.token", "kube-controller-manager"},
		{"any", "1.0.0", "Job", "x", ".spec.suspend", "kueue"},
		{"base", "1.30.3", "ValidatingWebhookConfiguration", "istiod-default-validator", `.webhooks[name="w"].failurePolicy`, "pilot-discovery"},
		{"istiod", "1.30.3", "ValidatingWebhookConfiguration", "istio-validator-istio-system", `.webhooks[name="w"].failurePolicy`, "pilot-discovery"},
		{"istiod", "1.30.3", "MutatingWebhookConfiguration", "istio-sidecar-injector", `.webhooks[name="w"].clientConfig.caBundle`, "pilot-discovery"},
		{"ingress-nginx", "4.15.1", "ValidatingWebhookConfiguration", "a-admission", `.webhooks[name="w"].failurePolicy`, "kube-webhook-certgen"},
		{"tigera-operator", "3.32.1", "Installation", "default", ".spec.kubernetesProvider", "operator"},
		{"kube-prometheus-stack", "88.5.3", "MutatingWebhookConfiguration", "a-admission", `.webhooks[name="w"].failurePolicy`, "kube-webhook-certgen"},
		{"consul", "2.0.3", "ValidatingWebhookConfiguration", "consul-connect-injector", `.webhooks[name="w"].clientConfig.caBundle`, "consul-k8s-control-plane"},
		{"consul", "2.0.3", "MutatingWebhookConfiguration", "consul-connect-injector", `.webhooks[name="w"].clientConfig.caBundle`, "consul-k8s-control-plane"},
		{"metrics-server", "3.13.1", "Deployment", "metrics-server", `.spec.template.spec.containers[name="metrics-server"].resources`, "pod_nanny"},
		{"velero", "12.1.0", "BackupStorageLocation", "default", ".spec.default", "velero-server"},
		{"metallb", "0.16.1", "ValidatingWebhookConfiguration", "metallb-webhook-configuration", `.webhooks[name="w"].clientConfig.caBundle`, "controller"},
		{"antrea", "2.6.3", "MutatingWebhookConfiguration", "crdmutator.antrea.io", `.webhooks[name="w"].clientConfig.caBundle`, "antrea-controller"},
		{"keda", "2.20.2", "APIService", "v1beta1.external.metrics.k8s.io", ".spec.caBundle", "keda"},
		{"metallb", "0.16.1", "CustomResourceDefinition", "bgppeers.metallb.io", ".spec.conversion.webhook.clientConfig.caBundle", "controller"},
	} {
		path, err := ignore.Parse(tc.path)
		if err != nil {
			t.Fatal(err)
		}
		rules := list.Rules(tc.chart, tc.version).For(tc.kind, "ns", tc.name)
		rule, ok := rules.Match(path, tc.manager)
		if !ok {
			t.Errorf("%+v is drift", tc)
		}
		used[rule.Kind+rule.Name+rule.Paths[0].String()+rule.Managers[0]+rule.Reason] = true
		for _, other := range []string{"kubectl-edit", "unknown"} {
			if _, ok := rules.Match(path, other); ok {
				t.Errorf("%+v by %s is none", tc, other)
			}
		}
	}
	var unused []string
	for _, f := range list {
		if r := f.rule; !used[r.Kind+r.Name+r.Paths[0].String()+r.Managers[0]+r.Reason] {
			unused = append(unused, f.Kind+" "+f.Name+": "+f.Reason)
		}
	}
	if diff := cmp.Diff([]string(nil), unused); diff != "" {
		t.Errorf("entries without a case (-want +got):\n%s", diff)
	}
}
