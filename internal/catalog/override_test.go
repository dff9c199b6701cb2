package catalog

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

const (
	oldDigest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	newDigest = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// small is a catalogue with a chart of a repository, one that the operator carries, and one without digests.
func small() Set {
	calico := Entry{Repository: "https://calico.example.com", Chart: "c", ReleaseName: "c", Namespace: "n", Versions: []Version{{Version: "3.32.1"}},
		Readiness: []Readiness{{Group: "g", Version: "v1", Of: "A", Kind: "B", Name: "b", WantTrue: []string{"Available"}}}}
	definitions := calico
	calico.Type, definitions.Type = "Calico", "CalicoCRDs"
	return Set{Catalog: Catalog{
		"Calico": calico, "CalicoCRDs": definitions,
		"Cilium": {Type: "Cilium", Repository: "https://helm.example.com", Chart: "cilium", ReleaseName: "cilium", Namespace: "kube-system",
			Versions: []Version{{Version: "1.20.0", Digest: oldDigest, KubernetesMin: "1.33", KubernetesMax: "1.36"}}},
		"Flannel": {Type: "Flannel", Chart: "flannel", ReleaseName: "flannel", Namespace: "kube-flannel", Versions: []Version{{Version: "0.28.9"}}},
	}}
}

func TestOverride(t *testing.T) {
	one := 1
	for _, tc := range []struct {
		name string
		data map[string]string
		want func(*Set)
	}{
		{"nothing", nil, func(*Set) {}},
		// A version that is merely added is nobody's default.
		{"a newer version", map[string]string{"cilium.yaml": "type: Cilium\nversions: [{version: 1.20.3, digest: '" + newDigest + "'}]"}, func(s *Set) {
			e := s.Catalog["Cilium"]
			e.DefaultVersion, e.Versions = "1.20.0", []Version{{Version: "1.20.3", Digest: newDigest}, e.Versions[0]}
			s.Catalog["Cilium"] = e
		}},
		{"another default", map[string]string{"x.yaml": "type: Cilium\ndefaultVersion: 1.20.3\nversions: [{version: 1.20.3, digest: '" + newDigest + "'}]"}, func(s *Set) {
			e := s.Catalog["Cilium"]
			e.DefaultVersion, e.Versions = "1.20.3", []Version{{Version: "1.20.3", Digest: newDigest}, e.Versions[0]}
			s.Catalog["Cilium"] = e
		}},
		{"a range", map[string]string{"x.yaml": "type: Cilium\nversions: [{version: 1.20.0, kubernetesMin: '1.33', kubernetesMax: '1.37'}]"}, func(s *Set) {
			e := s.Catalog["Cilium"]
			e.DefaultVersion, e.Versions = "1.20.0", []Version{{Version: "1.20.0", Digest: oldDigest, KubernetesMin: "1.33", KubernetesMax: "1.37"}}
			s.Catalog["Cilium"] = e
		}},
		// The same archives elsewhere: what is known of them still holds.
		{"a mirror", map[string]string{"x.yaml": "type: Cilium\nrepository: oci://registry.example.com/charts"}, func(s *Set) {
			e := s.Catalog["Cilium"]
			e.DefaultVersion, e.Repository = "1.20.0", "oci://registry.example.com/charts"
			s.Catalog["Cilium"] = e
		}},
		{"other archives elsewhere", map[string]string{"x.yaml": "type: Cilium\nrepository: oci://registry.example.com/charts\nversions: [{version: 1.20.0, digest: '" + newDigest + "'}]"}, func(s *Set) {
			e := s.Catalog["Cilium"]
			e.DefaultVersion, e.Repository = "1.20.0", "oci://registry.example.com/charts"
			e.Versions = []Version{{Version: "1.20.0", Digest: newDigest, KubernetesMin: "1.33", KubernetesMax: "1.36"}}
			s.Catalog["Cilium"] = e
		}},
		{"metrics", map[string]string{"x.yaml": "type: Flannel\nmetrics: [{name: agent, selector: {a: b}, port: 9000}]"}, func(s *Set) {
			e := s.Catalog["Flannel"]
			e.DefaultVersion, e.Metrics = "0.28.9", []Metrics{{Name: "agent", Selector: map[string]string{"a": "b"}, Port: 9000}}
			s.Catalog["Flannel"] = e
		}},
		{"upgrades and readiness", map[string]string{"x.yaml": "type: Calico\nupgrades: [{minorsUp: 1}]\nreadiness:\n" +
			"- {group: g, version: v1, of: A, kind: B, name: b, wantTrue: [Ready]}\n- {group: g, version: v1, of: A, kind: B, name: c, wantTrue: [Ready]}"}, func(s *Set) {
			e := s.Catalog["Calico"]
			e.DefaultVersion, e.Upgrades = "3.32.1", []Upgrade{{MinorsUp: &one}}
			e.Readiness = []Readiness{
				{Group: "g", Version: "v1", Of: "A", Kind: "B", Name: "b", WantTrue: []string{"Ready"}},
				{Group: "g", Version: "v1", Of: "A", Kind: "B", Name: "c", WantTrue: []string{"Ready"}},
			}
			s.Catalog["Calico"] = e
		}},
		{"fields of controllers", map[string]string{ControllersKey: "- {charts: [cilium], kind: X, paths: [.a], managers: [m], reason: r}"}, func(s *Set) {
			s.Controllers = Controllers{{Charts: []string{"cilium"}, Kind: "X", Paths: []string{".a"}, Managers: []string{"m"}, Reason: "r"}}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			base, want := small(), small()
			tc.want(&want)
			got, err := Override(base, tc.data)
			if err != nil {
				t.Fatal(err)
			}
			opts := []cmp.Option{cmpopts.IgnoreUnexported(ControllerFields{}), cmpopts.EquateEmpty()}
			if diff := cmp.Diff(want, got, opts...); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if diff := cmp.Diff(small(), base, opts...); diff != "" {
				t.Errorf("what was overridden has changed:\n%s", diff)
			}
		})
	}
}

// TestOverrideRefused wants all that is wrong to be said, with places, and nothing to come of it.
func TestOverrideRefused(t *testing.T) {
	for _, tc := range []struct {
		name string
		data map[string]string
		want []string
	}{
		{"several at once, in order", map[string]string{
			"b.yaml": "type: Weave",
			"a.yaml": "type: Cilium\nnamespace: elsewhere\nversions:\n- version: '1.20'\n- version: 1.19.0\n  digest: abc\n",
			"notes":  "x",
		}, []string{
			"a.yaml, line 2: namespace cannot be overridden: remove it (the NetworkStack can name another namespace)",
			`a.yaml, line 4: version "1.20" is not a full version: write one such as 1.20.0`,
			`a.yaml, line 6: version 1.19.0: "abc" is not a digest: write sha256: and 64 hexadecimal digits`,
			`b.yaml, line 1: "Weave" is no type of component: use one of Calico, CalicoCRDs, Cilium, Flannel`,
			"notes: is not read: name it after a component, such as cilium.yaml, or controllers.yaml",
		}},
		{"form", map[string]string{
			"a.yaml": "type: Cilium\nversion: 1\ncolour: red\n", "b.yaml": "", "c.yaml": "type: Flannel\n---\ntype: Flannel\n", "d.yaml": "type: [", "e.yaml": "chart: x",
		}, []string{
			"a.yaml, line 2: unknown field version: remove it, or correct its name",
			"a.yaml, line 3: unknown field colour: remove it, or correct its name",
			"b.yaml: is empty: remove it, or fill it in",
			"c.yaml: has more than one document: give each a file of its own",
			"d.yaml, line 1: did not find expected node content: correct it",
			`e.yaml: "" is no type of component: use one of Calico, CalicoCRDs, Cilium, Flannel`,
		}},
		{"a type twice", map[string]string{"a.yaml": "type: Cilium", "b.yaml": "type: Cilium"}, []string{
			"b.yaml, line 1: type Cilium is in a.yaml as well: put both into one",
		}},
		{"another digest of the same archive", map[string]string{"a.yaml": "type: Cilium\nversions:\n- version: 1.20.0\n  digest: " + newDigest}, []string{
			"a.yaml, line 4: the archive of cilium 1.20.0 at https://helm.example.com has digest " + oldDigest +
				", and another one is not taken: remove the digest, or name the repository that has the other archive",
		}},
		{"the same repository written again is no other", map[string]string{
			"a.yaml": "type: Cilium\nrepository: https://helm.example.com\nversions:\n- version: 1.20.0\n  digest: " + newDigest}, []string{
			"a.yaml, line 5: the archive of cilium 1.20.0 at https://helm.example.com has digest " + oldDigest +
				", and another one is not taken: remove the digest, or name the repository that has the other archive",
		}},
		{"a default without a digest", map[string]string{"a.yaml": "type: Cilium\ndefaultVersion: 1.20.3\nversions: [{version: 1.20.3}]"}, []string{
			"a.yaml, line 2: version 1.20.3 has no digest, and what was the default had one: add the digest of its archive to versions",
		}},
		{"an unknown default", map[string]string{"a.yaml": "type: Cilium\ndefaultVersion: 1.20.3"}, []string{
			"a.yaml, line 2: 1.20.3 is not among the versions: add it there",
		}},
		{"a chart of the operator from elsewhere", map[string]string{"a.yaml": "type: Flannel\nrepository: https://charts.example.com"}, []string{
			"a.yaml, line 2: version 0.28.9 of Flannel would be taken from https://charts.example.com unchecked: add it to versions with the digest of its archive there",
		}},
		{"another chart that nobody has", map[string]string{"a.yaml": "type: Flannel\nchart: other"}, []string{
			"a.yaml, line 2: the operator carries no other chart than flannel for Flannel: name the repository too",
		}},
		{"without encryption", map[string]string{"a.yaml": "type: Cilium\nrepository: http://charts.example.com\nversions: [{version: 1.20.3}]"}, []string{
			"a.yaml, line 2: version 1.20.3 of Cilium would be taken from http://charts.example.com unchecked: add it to versions with the digest of its archive there",
		}},
		{"repositories", map[string]string{"a.yaml": "type: Cilium\nrepository: ftp://x", "b.yaml": "type: Flannel\nrepository: https://user:secret@example.com\nversions: [{version: 0.28.9, digest: '" + newDigest + "'}]"}, []string{
			"a.yaml, line 2: must be an https:// (or http://) Helm repository or an oci:// registry path: correct it",
			"b.yaml, line 2: must not hold credentials: remove them, and change them, for many may read this",
		}},
		{"credentials, and nothing that vouches for the archive", map[string]string{"a.yaml": "type: Flannel\nrepository: https://user:secret@example.com"}, []string{
			"a.yaml, line 2: must not hold credentials: remove them, and change them, for many may read this",
			"a.yaml, line 2: version 0.28.9 of Flannel would be taken from there unchecked: add it to versions with the digest of its archive there",
		}},
		{"credentials, without encryption", map[string]string{"a.yaml": "type: Cilium\nrepository: http://user:secret@example.com/%zz\nversions: [{version: 1.20.3}]"}, []string{
			"a.yaml, line 2: must be an https:// (or http://) Helm repository or an oci:// registry path: correct it",
			"a.yaml, line 2: version 1.20.3 of Cilium would be taken from there unchecked: add it to versions with the digest of its archive there",
		}},
		{"metrics that nobody could read", map[string]string{"a.yaml": "type: Cilium\nmetrics:\n- {name: A, port: 0, path: metrics, scheme: ftp}\n- {name: A, selector: {a: b}, port: 1}"}, []string{
			`a.yaml, line 3: "A" is no name: use at most 32 lower-case letters, digits and "-"`,
			"a.yaml, line 3: selects every pod: state the labels of those that serve the metrics",
			"a.yaml, line 3: 0 is no port: use 1 to 65535",
			`a.yaml, line 3: "metrics" is no path: begin with "/"`,
			`a.yaml, line 3: "ftp" is neither http nor https`,
			`a.yaml, line 4: "A" is no name: use at most 32 lower-case letters, digits and "-"`,
			`a.yaml, line 4: "A" is there twice: give each part a name of its own`,
		}},
		{"metrics of versions", map[string]string{"a.yaml": "type: Cilium\nmetrics:\n- {name: a, selector: {a: b}, port: 1, before: 1.2.0}\n" +
			"- {name: a, selector: {a: b}, port: 2, since: 1.2.0, before: 2.0.0}\n- {name: a, selector: {a: b}, port: 3, since: 1.9.0}\n- {name: b, selector: {a: b}, port: 3, since: now, before: then}"}, []string{
			`a.yaml, line 5: "a" is there twice: give each part a name of its own`,
			`a.yaml, line 6: "now" is no version: write one such as 1.2.0`,
			`a.yaml, line 6: "then" is no version: write one such as 1.2.0`,
		}},
		{"kinds that are awaited", map[string]string{"a.yaml": "type: Cilium\nawaits: [cilium.io]"}, []string{
			"a.yaml, line 2: awaits cannot be overridden: remove it",
		}},
		{"what goes when it is done", map[string]string{"a.yaml": "type: Cilium\ntransient: [{kind: Job, name: a}]"}, []string{
			"a.yaml, line 2: transient cannot be overridden: remove it",
		}},
		{"what is left out", map[string]string{"a.yaml": "type: Cilium\nomits: [{kind: Secret, name: a}]"}, []string{
			"a.yaml, line 2: omits cannot be overridden: remove it",
		}},
		{"what a version has", map[string]string{"a.yaml": "type: Cilium\nversions:\n- version: 1.9.1\n  provides: newest"}, []string{
			`a.yaml, line 4: version 1.9.1: provides "newest" is not a full version: write one such as 1.5.1`,
		}},
		{"half of Calico", map[string]string{"a.yaml": "type: Calico\nrepository: https://charts.example.com"}, []string{
			"a.yaml: the charts of types Calico and CalicoCRDs come from one repository: set it in both",
		}},
		{"steps and readiness", map[string]string{"a.yaml": "type: Cilium\nupgrades:\n- to: nonsense\n- minorsUp: -1\nreadiness:\n- {kind: X}"}, []string{
			`a.yaml, line 3: "nonsense" is no constraint on versions: write one such as >=3.33`,
			"a.yaml, line 4: minorsUp of -1: write 0 or more",
			"a.yaml, line 6: readiness needs group, version, of, kind, name and conditions (wantTrue, wantFalse)",
		}},
		{"fields that anybody may change", map[string]string{ControllersKey: "- {kind: X, paths: [.a], reason: r}\n- {kind: X, paths: [a], reason: r, managers: [m]}"}, []string{
			"controllers.yaml, line 1: entry 1 lets anybody change .a: name the managers that may",
			`controllers.yaml, line 2: entry 2: `,
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Override(small(), tc.data)
			var problems Problems
			if !errors.As(err, &problems) || got.Catalog != nil || got.Controllers != nil {
				t.Fatalf("%v, %v", got, err)
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(tc.want) {
				t.Fatalf("want %d problems, got\n%s", len(tc.want), err)
			}
			for i := range lines {
				if !strings.HasPrefix(lines[i], tc.want[i]) {
					t.Errorf("got  %s\nwant %s", lines[i], tc.want[i])
				}
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("credentials are shown: %v", err)
			}
		})
	}
}

func told(s State) string {
	return fmt.Sprintf("overridden %t, revision %d, problem %v", s.Overridden, s.Revision, s.Problem)
}

// TestSource takes the ConfigMap through its life, seen by two processes.
func TestSource(t *testing.T) {
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: ConfigMapName, UID: "1"}}
	c := fake.NewClientBuilder().Build()
	newSource := func() *Source { return &Source{Reader: c, Namespace: "ns"} }
	s := newSource()
	state := func(s *Source) State {
		t.Helper()
		got, err := s.Current(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		again, err := s.Current(t.Context())
		if err != nil || again.Revision != got.Revision {
			t.Errorf("revision %d, then %d, %v", got.Revision, again.Revision, err)
		}
		return got
	}
	has := func(s State, version string) bool { _, ok := s.Catalog["Cilium"].Version(version); return ok }
	write := func(data map[string]string, binary map[string][]byte) {
		t.Helper()
		cm.Data, cm.BinaryData = data, binary
		var err error
		if cm.ResourceVersion == "" {
			err = c.Create(t.Context(), cm)
		} else {
			err = c.Update(t.Context(), cm)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := state(s); got.Overridden || got.Problem != nil || got.Revision != 0 || !has(got, "1.20.0") {
		t.Errorf("without a ConfigMap: %s", told(got))
	}
	write(map[string]string{"x.yaml": "type: Nonsense"}, nil)
	if got := state(s); got.Overridden || got.Problem == nil || !got.Problem.Kept || !strings.Contains(got.Problem.Error(), "ns/"+ConfigMapName) || got.Revision != 0 {
		t.Errorf("a bad one after none: %s", told(got))
	}
	write(map[string]string{"x.yaml": "type: Cilium\nversions: [{version: 1.20.9}]"}, nil)
	if got := state(s); !got.Overridden || got.Problem != nil || !has(got, "1.20.9") || got.Revision != 1 {
		t.Errorf("a good one: %s", told(got))
	}
	write(cm.Data, map[string][]byte{"y.yaml": nil})
	if got := state(s); !got.Overridden || got.Problem == nil || !got.Problem.Kept || !has(got, "1.20.9") || got.Revision != 1 {
		t.Errorf("a bad one after a good one: %s", told(got))
	}
	// Another process cannot know what was in effect.
	if got := state(newSource()); got.Overridden || got.Problem == nil || got.Problem.Kept || has(got, "1.20.9") {
		t.Errorf("a bad one from the beginning: %s", told(got))
	}
	if err := c.Delete(t.Context(), cm); err != nil {
		t.Fatal(err)
	}
	if got := state(s); got.Overridden || got.Problem != nil || has(got, "1.20.9") || got.Revision != 2 {
		t.Errorf("after its removal: %s", told(got))
	}
}
