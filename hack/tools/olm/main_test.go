package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"github.com/operator-framework/operator-registry/alpha/declcfg"
	"github.com/operator-framework/operator-registry/alpha/property"
	"github.com/sirupsen/logrus"
	"sigs.k8s.io/yaml"
)

const root = "../../.."

func TestMain(m *testing.M) {
	logrus.SetOutput(io.Discard)
	os.Exit(m.Run())
}

// copied is a copy of what is checked, with a file changed.
func copied(t *testing.T, file, from, to string) string {
	t.Helper()
	dir := t.TempDir()
	for _, part := range []string{"bundle", "catalog", "config/catalog", "config/manifests"} {
		if err := os.CopyFS(filepath.Join(dir, part), os.DirFS(filepath.Join(root, part))); err != nil {
			t.Fatal(err)
		}
	}
	if file == "" {
		return dir
	}
	name := filepath.Join(dir, file)
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(data, []byte(from)) {
		t.Fatalf("%s has no %q", file, from)
	}
	if err := os.WriteFile(name, bytes.ReplaceAll(data, []byte(from), []byte(to)), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestBundle(t *testing.T) {
	const csv, scorecard = "bundle/manifests/networkstack.clusterserviceversion.yaml", "bundle/tests/scorecard/config.yaml"
	for _, test := range []struct{ name, file, from, to, want string }{
		{"as it is", "", "", "", ""},
		{"no smallest version of Kubernetes", csv, "minKubeVersion: 1.31.0", "minKubeVersion: any", "MinKubeVersion has an invalid value"},
		{"a category that there is not", csv, "categories: Networking", "categories: Plumbing", "Plumbing"},
		{"a capability that there is not", csv, "capabilities: Seamless Upgrades", "capabilities: All", "capabilities"},
		{"no install mode", csv, "supported: true", "supported: false", "none of InstallModeTypes"},
		{"a channel by no convention", "bundle/metadata/annotations.yaml", "candidate-v0", "alpha", `channel(s) ["alpha"]`},
		{"an unused key of scorecard", scorecard, "parallel:", "paralel:", "paralel"},
		{"another test of scorecard", scorecard, "olm-crds-have-validation-test", "olm-crds-test", "there is no test olm/olm-crds"},
		{"a test that runs something else", scorecard, "- basic-check-spec\n", "- basic-check\n", "basic-check-spec runs"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			err := validateBundle(filepath.Join(copied(t, test.file, test.from, test.to), "bundle"), &out)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
			if test.file == "" && strings.Count(out.String(), "meant: ") < len(meant) {
				t.Errorf("a warning that is meant does not come any more:\n%s", out.String())
			}
		})
	}
}

func TestCatalog(t *testing.T) {
	const graph = "config/catalog/releases.yaml"
	for _, test := range []struct{ name, file, from, to, want string }{
		{"as it is", "", "", "", ""},
		{"a release that is not in the catalogue", graph, "[0.1.0]", "[0.1.0, 0.2.0]", "catalog.yaml is not up to date"},
		{"a bundle that no channel has", graph, "[0.1.0]", "[0.2.0]", "add its version"},
		{"out of order", graph, "[0.1.0]", "[0.2.0, 0.1.0]", "is not newer"},
		{"no version", graph, "[0.1.0]", "[one]", `"one"`},
		{"a bundle that was changed since", "bundle/manifests/networkstack.clusterserviceversion.yaml", "maturity: alpha", "maturity: beta",
			"networkstack.v0.1.0.yaml is not up to date"},
		{"an entry without a bundle", "catalog/networkstack/catalog.yaml", "- name: networkstack.v0.1.0",
			"- name: networkstack.v0.1.0\n- name: networkstack.v0.2.0", "networkstack.v0.2.0"},
		{"a default channel that there is not", "catalog/networkstack/catalog.yaml", "defaultChannel: candidate-v0", "defaultChannel: stable-v0", "stable-v0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := checkCatalog(t.Context(), copied(t, test.file, test.from, test.to))
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

// TestWritten wants what was just written to be current.
func TestWritten(t *testing.T) {
	dir := copied(t, "", "", "")
	if err := writeCatalog(t.Context(), dir, "registry.example.com/bundle:v9"); err != nil {
		t.Fatal(err)
	}
	if err := checkCatalog(t.Context(), dir); err != nil {
		t.Error(err)
	}
	if err := writeCatalog(t.Context(), dir, ""); err == nil {
		t.Error("a bundle without an image")
	}
}

// TestUpgradeGraph asks the model that OLM serves from which versions lead to the head of a channel, for releases to come.
func TestUpgradeGraph(t *testing.T) {
	r := releases{Package: "networkstack", DefaultChannel: "stable-v1", Channels: []channel{
		{"candidate-v0", []string{"0.1.0", "0.2.0", "0.2.1"}}, {"stable-v1", []string{"0.2.1", "1.0.0", "1.1.0"}},
	}}
	cfg, err := r.graph(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{"0.1.0", "0.2.0", "0.2.1", "1.0.0", "1.1.0"} {
		cfg.Bundles = append(cfg.Bundles, declcfg.Bundle{
			Schema: declcfg.SchemaBundle, Name: r.bundle(v), Package: r.Package, Image: "bundle:" + v,
			Properties: []property.Property{property.MustBuildPackage(r.Package, v)},
		})
	}
	m, err := declcfg.ConvertToModel(*cfg)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"candidate-v0": "networkstack.v0.2.1 replaces networkstack.v0.2.0 and >=0.1.0 <0.2.1",
		"stable-v1":    "networkstack.v1.1.0 replaces networkstack.v1.0.0 and >=0.2.1 <1.1.0",
	} {
		head, err := m[r.Package].Channels[name].Head()
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%s replaces %s and %s", head.Name, head.Replaces, head.SkipRange); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// TestSubscription reads what users apply as OLM reads it, and holds its names to the catalogue's.
func TestSubscription(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root, "config/catalog/subscription.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var source v1alpha1.CatalogSource
	var group operatorsv1.OperatorGroup
	var subscription v1alpha1.Subscription
	for doc := range strings.SplitSeq(string(data), "\n---\n") {
		var err error
		switch {
		case strings.Contains(doc, "kind: CatalogSource"):
			err = yaml.UnmarshalStrict([]byte(doc), &source)
		case strings.Contains(doc, "kind: OperatorGroup"):
			err = yaml.UnmarshalStrict([]byte(doc), &group)
		case strings.Contains(doc, "kind: Subscription"):
			err = yaml.UnmarshalStrict([]byte(doc), &subscription)
		}
		if err != nil {
			t.Error(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(root, releasesFile))
	if err != nil {
		t.Fatal(err)
	}
	var r releases
	if err := yaml.UnmarshalStrict(text, &r); err != nil {
		t.Fatal(err)
	}
	switch s := subscription.Spec; {
	case s == nil || s.CatalogSource != source.Name || s.CatalogSourceNamespace != source.Namespace || s.Package != r.Package || s.Channel != r.DefaultChannel:
		t.Errorf("the Subscription is %+v", s)
	case len(group.Spec.TargetNamespaces) > 0 || group.Spec.Selector != nil || group.Namespace != subscription.Namespace:
		t.Errorf("the OperatorGroup is %+v", group.Spec)
	case source.Spec.SourceType != v1alpha1.SourceTypeGrpc || source.Spec.Image == "":
		t.Errorf("the CatalogSource is %+v", source.Spec)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"bundle"}, {"serve"}, {"catalog", "-x"}} {
		if err := run(t.Context(), args, &bytes.Buffer{}); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}
