package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// town is a cluster in manifests, as kubectl and people write them.
const town = `
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Service
  metadata: {name: kube-dns, namespace: kube-system}
  spec: {selector: {k8s-app: kube-dns}, ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]}
- apiVersion: v1
  kind: Service
  metadata: {name: guard, namespace: shop}
  spec: {selector: {app: guard}, ports: [{port: 443, targetPort: https}]}
- apiVersion: admissionregistration.k8s.io/v1
  kind: ValidatingWebhookConfiguration
  metadata: {name: guard}
  webhooks: [{name: a.example.com, clientConfig: {service: {namespace: shop, name: guard}}, rules: [{resources: [pods]}]}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: guard, namespace: shop}
spec:
  template:
    metadata: {labels: {app: guard}}
    spec: {containers: [{name: guard, image: guard, ports: [{name: https, containerPort: 8443}]}]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: clean, namespace: jobs}
spec: {jobTemplate: {spec: {template: {spec: {serviceAccountName: cleaner, containers: [{name: c, image: c}]}}}}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: quiet, namespace: jobs}
spec: {jobTemplate: {spec: {template: {spec: {serviceAccountName: cleaner, automountServiceAccountToken: false, containers: [{name: c, image: c}]}}}}}
---
apiVersion: v1
kind: Pod
metadata: {name: done, namespace: jobs}
spec: {serviceAccountName: cleaner, containers: [{name: c, image: c}]}
status: {phase: Succeeded}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: cleaner}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects: [{kind: ServiceAccount, namespace: jobs, name: cleaner}]
`

// policed is a stack with policies.
func policed(policies string) string {
	return `apiVersion: networkstack.io/v1alpha1
kind: NetworkStack
metadata: {name: cluster}
spec:
  ipPools: [{name: default, cidrs: [10.244.0.0/16]}]
  cni: {type: Flannel, networkPolicy: Enabled}
  kubeProxy: {mode: NFTables}
  policies: ` + policies + "\n"
}

// TestPolicies wants what policies would cut told of a cluster in manifests, and by the exit code whether any of it is dangerous.
func TestPolicies(t *testing.T) {
	withoutCluster(t)
	facts, err := filepath.Abs("testdata/in/facts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	write := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir("town", 0o700); err != nil {
		t.Fatal(err)
	}
	write("town/all.yaml", town)
	write("isolated.yaml", `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: own, namespace: shop}, spec: {podSelector: {}, egress: [{}]}}`)
	write("broken.yaml", "a: b: c")
	const both = `{mode: %, namespaces: {selector: {}}, baselines: [{name: in, type: DefaultDenyIngress}, {name: out, type: DefaultDenyEgress}]MORE}`
	for _, tc := range []struct {
		name, policies string
		more           []string
		code           int
		// found are the names, with where each is acknowledged.
		found     []string
		dangerous int
		says      string
	}{
		{"Audit", strings.NewReplacer("%", "Audit", "MORE", ", acknowledgedFindings: [dns, nothing]").Replace(both), nil, 1,
			[]string{"webhook/guard/shop/guard", "dns stack.yaml:8", "apiserver"}, 1, ""},
		{"Off", strings.NewReplacer("%", `"Off"`, "MORE", ", acknowledgedFindings: [dns]").Replace(both), nil, 1,
			[]string{"webhook/guard/shop/guard", "dns stack.yaml:8", "apiserver"}, 1, ""},
		{"all acknowledged", strings.NewReplacer("%", "Enforce", "MORE", ", acknowledgedFindings: [dns, webhook/guard/shop/guard]").Replace(both), nil, 0,
			[]string{"dns stack.yaml:8", "webhook/guard/shop/guard stack.yaml:8", "apiserver"}, 0, ""},
		{"exempt", `{mode: Audit, namespaces: {selector: {}, exempt: [shop]}, baselines: [{name: in, type: DefaultDenyIngress}]}`, nil, 0, nil, 0, ""},
		{"isolated already", strings.NewReplacer("%", "Audit", "MORE", ", acknowledgedFindings: [dns]").Replace(both), []string{"--objects", "isolated.yaml"}, 0,
			[]string{"dns stack.yaml:8", "apiserver"}, 0, ""},
		{"refused", `{mode: Audit, baselines: [{name: dns, type: AllowDNS}]}`, nil, 1, nil, 0, "POLICIES-NOTHING"},
		{"no policies", "null", nil, 2, nil, 0, "has no spec.policies"},
		{"broken manifests", `{mode: Audit, baselines: [{name: in, type: DefaultDenyIngress}]}`, []string{"--objects", "broken.yaml"}, 2, nil, 0, "broken.yaml:1"},
		{"no such manifests", `{mode: Audit, baselines: [{name: in, type: DefaultDenyIngress}]}`, []string{"--objects", "none"}, 2, nil, 0, "none"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			write("stack.yaml", policed(tc.policies))
			out, code := call(t, "", nil, append([]string{"policies", "stack.yaml", "--facts", facts, "--objects", "town", "-o", "json"}, tc.more...)...)
			if code != tc.code || !strings.Contains(out, tc.says) {
				t.Fatalf("exit code %d, want %d and %q:\n%s", code, tc.code, tc.says, out)
			}
			if tc.says != "" {
				return
			}
			var found cutsFound
			if err := json.Unmarshal([]byte(out[max(0, strings.Index(out, "{\n")):]), &found); err != nil {
				t.Fatalf("%v:\n%s", err, out)
			}
			var names []string
			for _, f := range found.Findings {
				names = append(names, strings.TrimSpace(f.Name+" "+f.Acknowledged))
				if f.From == "" || f.To == "" || f.What == "" || len(f.Baselines) == 0 {
					t.Errorf("%+v", f)
				}
			}
			if diff := cmp.Diff(tc.found, names); diff != "" || found.Dangerous != tc.dangerous {
				t.Errorf("%d dangerous, want %d (-want +got):\n%s", found.Dangerous, tc.dangerous, diff)
			}
			i := slices.IndexFunc(found.Findings, func(c cut) bool { return c.Name == "apiserver" })
			if i >= 0 && found.Findings[i].From != "jobs/CronJob clean" {
				t.Errorf("from %q: a pod without a token, or one that has ended, asks for nothing", found.Findings[i].From)
			}
			i = slices.IndexFunc(found.Findings, func(c cut) bool { return c.Name == "webhook/guard/shop/guard" })
			if i < 0 {
				return
			}
			want := []networkstackv1alpha1.Baseline{{
				Name: "webhooks", Type: networkstackv1alpha1.BaselineAllowFromAnywhere, Ports: []networkstackv1alpha1.PolicyPort{{Port: 8443}},
			}}
			if diff := cmp.Diff(want, found.Findings[i].Baselines); diff != "" || found.Findings[i].Exempt != "shop" {
				t.Errorf("opened by (-want +got):\n%s", diff)
			}
		})
	}
	for _, args := range [][]string{
		{"policies"}, {"policies", "stack.yaml"}, {"policies", "stack.yaml", "--facts", facts}, {"policies", "stack.yaml", "--objects", "town"},
		{"policies", "--facts", facts, "--objects", "town"}, {"policies", "stack.yaml", "--facts", facts, "--objects", "town", "-o", "xml"},
	} {
		if out, code := call(t, "", nil, args...); code != ExitTrouble {
			t.Errorf("%v exits with %d:\n%s", args, code, out)
		}
	}
}
