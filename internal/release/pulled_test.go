package release

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

func TestImages(t *testing.T) {
	const digest = "@sha256:383968cd5e8873f7976fa76aa6196045643558f4cc9518a207b9335cb24a0e93"
	for _, tc := range []struct {
		name, object string
		want         []string
	}{
		{"containers of all kinds, and volumes", `{apiVersion: apps/v1, kind: DaemonSet, spec: {template: {spec: {
			initContainers: [{image: quay.io/a/init:v1}], containers: [{image: "quay.io/a/main:v1` + digest + `"}, {image: auto}, {image: ""}],
			volumes: [{name: v, image: {reference: "registry.example.com:5000/charts:v1"}}]}}}}`,
			[]string{"quay.io/a/init:v1", "quay.io/a/main:v1" + digest, "registry.example.com:5000/charts:v1"}},
		{"a short name, of a job", `{apiVersion: batch/v1, kind: CronJob, spec: {jobTemplate: {spec: {template: {spec: {containers: [{image: busybox}]}}}}}}`, []string{"busybox"}},
		{"custom resources: whole, and in parts", `{apiVersion: a/v1, kind: Prometheus, spec: {image: quay.io/p/p:v3, kubernetes: {image: {repository: ghcr.io/n/n, tag: "2.0"}},
			other: {image: {registry: docker.io, repository: o/o, tag: v1}}, none: {image: {repository: ghcr.io/x}}}}`, []string{"docker.io/o/o:v1", "ghcr.io/n/n:2.0", "quay.io/p/p:v3"}},
		{"arguments and variables", `{apiVersion: apps/v1, kind: Deployment, spec: {template: {spec: {containers: [{image: a.io/a:1,
			args: [--reloader=quay.io/r/reloader:v1, --solver-image=solver:v2, -proxy-image="docker.io/p/p:v3", --listen=0.0.0.0:8080, "--url=https://example.com/a:b",
			  --server=example.com:8080, --image-pull-policy=Always, --path=example.com/a/b, "quay.io/alone/x:v4", --controller=example.com/controller],
			env: [{name: I, value: "ghcr.io/e/env:v5"}, {name: J, value: "a:b"}, {name: K, value: "http://ghcr.io/e/env:v6"}]}]}}}}`,
			[]string{"a.io/a:1", "docker.io/p/p:v3", "ghcr.io/e/env:v5", "quay.io/alone/x:v4", "quay.io/r/reloader:v1", "solver:v2"}},
		{"Istio's proxy", `{apiVersion: v1, kind: ConfigMap, data: {config: "image: {{ .Image }}", values: '{"global": {"hub": "docker.io/istio", "tag": "1.30.3", "variant": "distroless", "proxy": {"image": "proxyv2"}}}'}}`,
			[]string{"docker.io/istio/proxyv2:1.30.3-distroless"}},
		{"Istio's proxy as its own variant", `{apiVersion: v1, kind: ConfigMap, data: {values: '{"global": {"hub": "h.io/i", "tag": "1-debug", "variant": "distroless", "proxy": {"image": "p", "variant": "debug"}}}'}}`,
			[]string{"h.io/i/p:1-debug"}},
		{"Istio's proxy by its whole name", `{apiVersion: v1, kind: ConfigMap, data: {values: '{"global": {"hub": "h.io/i", "tag": "1", "variant": "distroless", "proxy": {"image": "x.io/y/z:v1"}}}'}}`,
			[]string{"x.io/y/z:v1"}},
		{"what a configuration names whole", `{apiVersion: v1, kind: ConfigMap, data: {"a.yaml": "provider: {container: {image: docker.io/e/ratelimit:17b}}", "b.json": '{"image": "logo.png", "x": [{"image": "a.io/b/c"}]}', c: "image: ["}}`,
			[]string{"docker.io/e/ratelimit:17b"}},
		{"Linkerd's proxy", `{apiVersion: v1, kind: ConfigMap, data: {values: "linkerdVersion: e-1\nproxy: {image: {name: cr.l5d.io/proxy}}\nproxyInit: {image: {name: cr.l5d.io/init, version: v2}}"}}`,
			[]string{"cr.l5d.io/init:v2", "cr.l5d.io/proxy:e-1"}},
		{"definitions, whose schemas speak of images", `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, spec: {image: a.io/b:v1}}`, nil},
		{"what only tests run", `{apiVersion: v1, kind: Pod, metadata: {annotations: {helm.sh/hook: "test, test-success"}}, spec: {containers: [{image: bats/bats:v1}]}}`, nil},
		{"what other hooks run", `{apiVersion: v1, kind: Pod, metadata: {annotations: {helm.sh/hook: "test,pre-install"}}, spec: {containers: [{image: a/hook:v1}]}}`, []string{"a/hook:v1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			u := &unstructured.Unstructured{}
			if err := yaml.Unmarshal([]byte(tc.object), &u.Object); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, Images([]*unstructured.Unstructured{u})); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
