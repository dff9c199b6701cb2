package cli

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/networkstack/networkstack/test/testcharts"
)

// archive is the archive of a chart with one pod.
func archive(t *testing.T, name, image string) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	for _, f := range [][2]string{
		{"Chart.yaml", "apiVersion: v2\nname: " + name + "\nversion: 1.0.0\n"},
		{"templates/pod.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + "}\nspec: {containers: [{name: a, image: '" + image + "'}]}\n"},
	} {
		err := w.WriteHeader(&tar.Header{Name: name + "/" + f[0], Mode: 0o644, Size: int64(len(f[1])), Typeflag: tar.TypeReg})
		_, writeErr := w.Write([]byte(f[1]))
		if err = errors.Join(err, writeErr); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func writeFile(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// site is a directory with a stack of two add-ons, facts, and charts.
func site(t *testing.T) {
	t.Helper()
	withoutCluster(t)
	in, err := filepath.Abs("testdata/in")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	for _, name := range []string{"stack.yaml", "facts.yaml"} {
		data, err := os.ReadFile(filepath.Join(in, name))
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, name, data)
	}
	if err := os.Mkdir("source", 0o755); err != nil {
		t.Fatal(err)
	}
	one := archive(t, "one", "quay.io/one/one:v1")
	writeFile(t, "source/one-1.0.0.tgz", one)
	writeFile(t, "source/two-1.0.0.tgz", archive(t, "two", "two:v2@sha256:383968cd5e8873f7976fa76aa6196045643558f4cc9518a207b9335cb24a0e93"))
	writeFile(t, "addons.yaml", fmt.Appendf(nil, `apiVersion: networkstack.io/v1alpha1
kind: NetworkStack
metadata: {name: cluster}
spec:
  ipPools: [{name: default, cidrs: [10.244.0.0/16]}]
  cni: {type: Flannel}
  kubeProxy: {mode: NFTables}
  sources: {imageRegistry: registry.example.com/mirror}
  addons:
  - {name: one, chart: {repository: https://charts.example.com, digest: "sha256:%x"}, version: 1.0.0}
  - {name: two, chart: {repository: oci://registry.example.com/charts}, version: 1.0.0}
`, sha256.Sum256(one)))
}

const siteFlags = "--facts=facts.yaml --offline"

// does runs a command in a site, and wants its exit code.
func does(t *testing.T, code int, command string) string {
	t.Helper()
	out, got := call(t, "", nil, strings.Fields(command)...)
	if got != code {
		t.Fatalf("%s exits with %d, not %d:\n%s", command, got, code, out)
	}
	return out
}

// wants looks for texts in an output.
func wants(t *testing.T, out string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(out, text) {
			t.Errorf("no %q in:\n%s", text, out)
		}
	}
}

func TestChartsList(t *testing.T) {
	site(t)
	out := does(t, 0, "charts list addons.yaml -o json --charts source "+siteFlags)
	var n supplies
	if err := json.Unmarshal([]byte(out[strings.Index(out, "{\n"):]), &n); err != nil {
		t.Fatal(err)
	}
	charts, images := map[string]string{}, map[string]string{}
	for _, c := range n.Charts {
		charts[c.Name] = fmt.Sprint(c.Components, c.Repository, c.Pinned, c.Size > 0)
		if !strings.HasPrefix(c.Digest, "sha256:") {
			t.Errorf("%s: digest %q", c.Name, c.Digest)
		}
	}
	for _, i := range n.Images {
		images[i.Image] = i.PulledAs
	}
	if diff := cmp.Diff(map[string]string{
		"flannel": "[flannel]true false", "kube-proxy": "[kube-proxy]true false", "one": "[addon-one]https://charts.example.comtrue true",
		"two": "[addon-two]oci://registry.example.com/chartsfalse true",
	}, charts); diff != "" {
		t.Errorf("charts (-want +got):\n%s", diff)
	}
	const two = "two:v2@sha256:383968cd5e8873f7976fa76aa6196045643558f4cc9518a207b9335cb24a0e93"
	if diff := cmp.Diff(map[string]string{
		"quay.io/one/one:v1": "registry.example.com/mirror/one/one:v1", two: "registry.example.com/mirror/library/" + two,
		"ghcr.io/flannel-io/flannel:v0.28.9":                    "registry.example.com/mirror/flannel-io/flannel:v0.28.9",
		"ghcr.io/flannel-io/flannel-cni-plugin:v1.9.1-flannel3": "registry.example.com/mirror/flannel-io/flannel-cni-plugin:v1.9.1-flannel3",
		"registry.k8s.io/kube-proxy:v1.36.1":                    "registry.example.com/mirror/kube-proxy:v1.36.1",
	}, images); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	lines := strings.Split(strings.TrimSpace(does(t, 0, "charts list addons.yaml stack.yaml -o images --charts source "+siteFlags)), "\n")
	if len(lines) != len(images) || !slices.IsSorted(lines) {
		t.Errorf("images: %q", lines)
	}
	// A chart that is not to be had does not hide the rest.
	out = does(t, 2, "charts list addons.yaml "+siteFlags)
	wants(t, out, "one", "two", "flannel-cni-plugin", "component addon-one: ", "component addon-two: ", "https://charts.example.com", "--offline")
}

func TestChartsPull(t *testing.T) {
	site(t)
	out := does(t, 0, "charts pull addons.yaml --to charts --charts source "+siteFlags)
	wants(t, out, "charts/one-1.0.0.tgz\n", "charts/two-1.0.0.tgz\n", "note: two 1.0.0 is pinned by nobody", "2 charts of these stacks are in the operator itself")
	does(t, 0, "render addons.yaml --charts charts "+siteFlags)
	does(t, 0, "charts pull addons.yaml --to charts --charts source "+siteFlags) // all is there

	// An archive that is not the pinned one is not written, and the others are.
	writeFile(t, "source/one-1.0.0.tgz", archive(t, "one", "evil:v1"))
	out = does(t, 2, "charts pull addons.yaml --to other --charts source "+siteFlags)
	wants(t, out, "other/two-1.0.0.tgz", "component addon-one: the chart archive of directory source/one-1.0.0.tgz has digest", "is not used")
	if _, err := os.Stat("other/one-1.0.0.tgz"); err == nil {
		t.Error("an archive of another digest was written")
	}
	// What lies there is not replaced.
	writeFile(t, "charts/two-1.0.0.tgz", []byte("mine"))
	out = does(t, 2, "charts pull addons.yaml --to charts --charts source "+siteFlags)
	wants(t, out, "charts/two-1.0.0.tgz: is another archive", "component addon-one: ")
	if data, err := os.ReadFile("charts/two-1.0.0.tgz"); err != nil || string(data) != "mine" {
		t.Error("an archive was replaced", err)
	}
	wants(t, does(t, 2, "charts pull addons.yaml "+siteFlags), "--to: name where to write to")
}

func TestChartsBundle(t *testing.T) {
	site(t)
	wants(t, does(t, 0, "charts bundle addons.yaml --to a.tar.gz --charts source "+siteFlags), "a.tar.gz: 2 charts and the names of 5 images, sha256:")
	does(t, 0, "charts bundle stack.yaml addons.yaml --to b.tar.gz --charts source "+siteFlags)
	a, err := os.ReadFile("a.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile("b.tar.gz"); err != nil || !bytes.Equal(a, b) {
		t.Error("the same charts give another bundle", err)
	}
	if err := os.RemoveAll("source"); err != nil {
		t.Fatal(err)
	}
	wants(t, does(t, 0, "render addons.yaml --charts a.tar.gz "+siteFlags), "# Chart one 1.0.0, bundle a.tar.gz: one-1.0.0.tgz", "image: registry.example.com/mirror/one/one:v1")
	// A bundle can be made of a bundle.
	does(t, 0, "charts bundle addons.yaml --to c.tar.gz --charts a.tar.gz "+siteFlags)
	if c, err := os.ReadFile("c.tar.gz"); err != nil || !bytes.Equal(a, c) {
		t.Error("a bundle of a bundle is another one", err)
	}
	wants(t, does(t, 2, "charts bundle addons.yaml --to d.tar.gz "+siteFlags), "d.tar.gz is not written", "addon-one", "addon-two")
	if _, err := os.Stat("d.tar.gz"); err == nil {
		t.Error("a bundle was written that is not whole")
	}
	writeFile(t, "cut.tar.gz", a[:len(a)-700])
	wants(t, does(t, 2, "render addons.yaml --charts cut.tar.gz "+siteFlags), "--charts: the bundle cut.tar.gz cannot be used:\n  it cannot be read to its end: the file was cut off")
	wants(t, does(t, 2, "render addons.yaml --charts none.tar.gz "+siteFlags), "--charts: none.tar.gz: there is no such directory or bundle")
	wants(t, does(t, 2, "charts bundel addons.yaml"), "there is no such command: write list, pull or bundle")
}

// TestImagesOfSamples looks for what is hard to find: images that controllers run by themselves.
func TestImagesOfSamples(t *testing.T) {
	dir := testcharts.UpstreamDir(t, "istiod", "1.30.3")
	for _, name := range []string{"cilium-1.20.0", "base-1.30.3", "cni-1.30.3", "ztunnel-1.30.3"} {
		if _, err := os.Stat(filepath.Join(dir, name+".tgz")); err != nil {
			t.Skipf("upstream's chart archive %s is not in %s", name, dir)
		}
	}
	sample, err := filepath.Abs("../../config/samples/networkstack_mesh.yaml")
	if err != nil {
		t.Fatal(err)
	}
	site(t)
	out := does(t, 0, "charts list "+sample+" -o images --charts "+dir+" "+siteFlags)
	wants(t, out, "\ndocker.io/istio/proxyv2:1.30.3-distroless\n", "docker.io/istio/pilot:1.30.3-distroless", "quay.io/cilium/cilium-envoy:", "docker.io/istio/ztunnel:")
}
