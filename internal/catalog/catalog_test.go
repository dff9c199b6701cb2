package catalog

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/networkstack/networkstack/internal/chart"
)

func TestDefault(t *testing.T) {
	c, err := load(data, "data")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, Default()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{
		"AWSVPC",
		"Calico",
		"CalicoCRDs",
		"Cilium",
		"CiliumResources",
		"Consul",
		"ConsulResources",
		"CoreDNS",
		"EnvoyGateway",
		"EnvoyGatewayCRDs",
		"Flannel",
		"GatewayAPI",
		"HAProxy",
		"HAProxyIngress",
		"IngressResources",
		"IstioBase",
		"IstioCNI",
		"IstioGateway",
		"IstioResources",
		"Istiod",
		"KubeProxy",
		"KubeProxyCleanup",
		"Linkerd",
		"LinkerdCNI",
		"LinkerdCRDs",
		"MetalLB",
		"MetalLBResources",
		"Multus",
		"NGINX",
		"NGINXInc",
		"NetworkAttachments",
		"NodeAgent",
		"NodeCleanup",
		"NodeLocalDNS",
		"Observability",
		"Traefik",
		"WeaveNet",
		"Ztunnel",
	}, slices.Sorted(maps.Keys(c))); diff != "" {
		t.Error(diff)
	}
	if got := c["Flannel"].NamespaceLabels["pod-security.kubernetes.io/enforce"]; got != "privileged" {
		t.Errorf("Flannel's namespace enforces %q", got)
	}
	for typ, e := range c {
		if typ != e.Type {
			t.Errorf("%s is filed under %s", e.Type, typ)
		}
		if e.NamespaceLabels != nil && e.Namespace == "kube-system" {
			t.Errorf("%s labels a shared namespace", typ)
		}
		for _, v := range e.Versions {
			// Upstream states none for these, and newest patches were not fetched yet: they are never the default.
			if e.Repository != "" && v.Digest == "" && !v.Tested && v.Version == e.Default().Version && !slices.Contains(withoutDigests, e.Repository) {
				t.Errorf("%s %s has no digest", typ, v.Version)
			}
		}
	}
}

// withoutDigests are repositories of upstreams that state no digests of their archives.
var withoutDigests = []string{
	"https://docs.tigera.io/calico/charts", "https://blob.istio.io/istio-release/charts", "https://helm.linkerd.io/edge",
	"oci://ghcr.io/nginx/charts", "oci://docker.io/envoyproxy", "https://haproxy-ingress.github.io/charts",
}

// TestMeshCharts checks that the charts of a mesh go together.
func TestMeshCharts(t *testing.T) {
	c := Default()
	for first, others := range map[string][]string{"Istiod": {"IstioBase", "IstioCNI", "Ztunnel"}, "Linkerd": {"LinkerdCRDs", "LinkerdCNI"}} {
		for _, other := range others {
			if diff := cmp.Diff(c[first].Versions, c[other].Versions); diff != "" {
				t.Errorf("%s and %s: %s", first, other, diff)
			}
			if c[first].Repository != c[other].Repository || c[first].Default() != c[other].Default() {
				t.Errorf("%+v\n%+v", c[first], c[other])
			}
		}
	}
}

// TestCalicoCharts checks that the two charts of Calico go together.
func TestCalicoCharts(t *testing.T) {
	c := Default()
	if diff := cmp.Diff(c["Calico"].Versions, c["CalicoCRDs"].Versions); diff != "" {
		t.Error(diff)
	}
	if c["Calico"].Namespace != c["CalicoCRDs"].Namespace || c["Calico"].Repository != c["CalicoCRDs"].Repository {
		t.Errorf("%+v\n%+v", c["Calico"], c["CalicoCRDs"])
	}
	var of []string
	for _, r := range c["Calico"].Readiness {
		of = append(of, r.Of+" "+r.Name)
	}
	if diff := cmp.Diff([]string{"Installation calico", "Installation ippools", "APIServer apiserver", "Goldmane goldmane", "Whisker whisker"}, of); diff != "" {
		t.Error(diff)
	}
}

// TestCopies checks that what a caller does to the catalogue stays with it.
func TestCopies(t *testing.T) {
	c := Default()
	all := len(c)
	c["Flannel"].NamespaceLabels["x"] = "y"
	c["Cilium"].Versions[0].Version = "0.0.0"
	delete(c, "KubeProxy")
	if again := Default(); len(again) != all || again["Flannel"].NamespaceLabels["x"] != "" || again["Cilium"].Default().Version == "0.0.0" {
		t.Errorf("%v", again)
	}
}

// TestEmbedded checks that entries without a repository and the charts in the binary are the same.
func TestEmbedded(t *testing.T) {
	embedded, err := chart.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	var carried, listed []string
	for _, ref := range embedded {
		carried = append(carried, ref.Name+" "+ref.Version)
	}
	for _, e := range Default() {
		for _, v := range e.Versions {
			if e.Repository == "" {
				listed = append(listed, e.Chart+" "+v.Version)
			}
		}
	}
	slices.Sort(listed)
	if diff := cmp.Diff(carried, listed); diff != "" {
		t.Errorf("carried and listed charts differ (-carried +listed):\n%s", diff)
	}
}

func TestVersions(t *testing.T) {
	e := Default()["Cilium"]
	for version, want := range map[string]bool{"1.20.0": true, "v1.19.6": true, "1.18.0": false, "1.18.12": true, "": false} {
		if v, ok := e.Version(version); ok != want || ok && v.KubernetesMin == "" {
			t.Errorf("%q: %v %v", version, v, ok)
		}
	}
	if got := e.Default().Version; got != "1.20.0" {
		t.Errorf("default %s", got)
	}
	if got := (Entry{}).Default(); got != (Version{}) {
		t.Errorf("default of nothing: %v", got)
	}
}

func TestLoadErrors(t *testing.T) {
	const head = "type: T\nchart: c\nreleaseName: c\nnamespace: n\n"
	for want, content := range map[string]string{
		"unknown field":      head + "colour: red\nversions: [{version: 1.0.0}]\n",
		"are required":       "type: T\n",
		"no versions":        head,
		"not a full version": head + "versions: [{version: '1.0'}]\n",
		"not older":          head + "versions: [{version: 1.0.0}, {version: 1.1.0}]\n",
		"not a digest":       head + "versions: [{version: 1.0.0, digest: abc}]\n",
		"go together":        head + "versions: [{version: 1.0.0, kubernetesMin: '1.33'}]\n",
		"written as 1.36":    head + "versions: [{version: 1.0.0, kubernetesMin: v1.33, kubernetesMax: v1.34}]\n",
		"is older than":      head + "versions: [{version: 1.0.0, kubernetesMin: '1.33', kubernetesMax: '1.9'}]\n",
		"readiness needs":    head + "versions: [{version: 1.0.0}]\nreadiness: [{kind: X}]\n",
		"did not find":       "{",
	} {
		good := strings.Replace(head, "type: T", "type: Good", 1) + "versions: [{version: 1.0.0}]\n"
		c, err := load(fstest.MapFS{"d/bad.yaml": {Data: []byte(content)}, "d/good.yaml": {Data: []byte(good)}}, "d")
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "d/bad.yaml") {
			t.Errorf("want %q, got %v", want, err)
		}
		if _, ok := c["Good"]; !ok || len(c) != 1 {
			t.Errorf("%s: left over %v", want, c)
		}
	}
	same := head + "versions: [{version: 1.0.0}]\n"
	if _, err := load(fstest.MapFS{"d/a.yaml": {Data: []byte(same)}, "d/b.yaml": {Data: []byte(same)}}, "d"); err == nil || !strings.Contains(err.Error(), "another file") {
		t.Errorf("got %v", err)
	}
}
