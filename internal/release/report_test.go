package release

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

func TestReportFields(t *testing.T) {
	const everything = `{"f:metadata":{"f:labels":{"f:l":{}}},"f:data":{"f:a":{},"f:b":{},"f:t":{}},"f:spec":{"f:replicas":{},"f:x":{},"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:name":{},"f:image":{},"f:env":{"k:{\"name\":\"PASSWORD\"}":{},"k:{\"name\":\"E\"}":{}}}}}}`
	for _, tc := range []struct {
		name string
		// kind defaults to ConfigMap; by to kubectl-edit's ownership of everything.
		kind                   string
		live, rendered, wanted string
		fields                 []metav1.ManagedFieldsEntry
		none                   bool
		want                   []string
	}{
		{name: "same", live: `data: {a: "1"}`, rendered: `data: {a: "1"}`},
		{name: "another value", live: `data: {a: "1"}`, rendered: `data: {a: "2"}`, want: []string{".data.a Differs 1 → 2"}},
		{name: "a field to come", live: `data: {a: "1"}`, rendered: `data: {a: "1", b: "2"}`, want: []string{".data.b Differs  → 2"}},
		{name: "a field to go", live: `data: {a: "1", b: "2"}`, rendered: `data: {a: "1"}`, want: []string{".data.b Unknown 2 → "}},
		{
			name: "a controller's field", live: `data: {a: "1", b: "2"}`, rendered: `data: {a: "1"}`,
			fields: []metav1.ManagedFieldsEntry{entry("kubectl-edit", "Update", "v1", "", everything), entry("controller", "Update", "v1", "", `{"f:data":{"f:b":{}}}`)},
		},
		{name: "nobody's field stays", live: `data: {z: "1"}`, rendered: `data: {}`, want: nil},
		{name: "without managed fields everything goes", live: `data: {z: "1"}`, rendered: `data: {}`, none: true, want: []string{`.data Unknown {"z":"1"} → `}},
		{name: "a default that is written out", live: `spec: {x: d}`, rendered: `spec: {}`, wanted: `spec: {x: d}`},
		{name: "back to the default", live: `spec: {x: e}`, rendered: `spec: {}`, wanted: `spec: {x: d}`, want: []string{".spec.x Unknown e → d"}},
		{
			name: "replicas of an autoscaler", live: `spec: {replicas: 5}`, rendered: `spec: {}`, wanted: `spec: {replicas: 1}`,
			fields: []metav1.ManagedFieldsEntry{entry("kubectl-edit", "Update", "v1", "", `{}`), entry("kube-controller-manager", "Update", "v1", "scale", `{"f:spec":{"f:replicas":{}}}`)},
		},
		{
			name: "elements by name", live: `spec: {containers: [{name: s, image: x}, {name: c, image: "1", env: [{name: E, value: v}, {name: PASSWORD, value: hunter22}]}]}`,
			rendered: `spec: {containers: [{name: c, image: "2"}]}`,
			want: []string{
				".spec.containers[name=c].env Unknown [{\"name\":\"E\",\"value\":\"v\"},{\"name\":\"PASSWORD\",\"value\":\"[redacted]\"}] → ",
				".spec.containers[name=c].image Differs 1 → 2",
			},
		},
		{
			name: "another order", live: `spec: {containers: [{name: a}, {name: b}]}`, rendered: `spec: {containers: [{name: b}, {name: a}]}`,
			want: []string{".spec.containers Differs in the order name=a, name=b → in the order name=b, name=a"},
		},
		{name: "a secret", kind: "Secret", live: `data: {a: aHVudGVy}`, rendered: `data: {a: b3RoZXI=}`, want: []string{".data.a Differs [redacted] → [redacted]"}},
		{name: "a name like a secret's", live: `data: {password: hunter22}`, rendered: `data: {password: hunter33}`, want: []string{".data.password Differs [redacted] → [redacted]"}},
		{
			name: "a configuration in a text", live: "data: {t: \"mode: a\\nsame: 1\\ngone: 2\\n\"}", rendered: "data: {t: \"same: 1\\nmode: b\\n\"}",
			want: []string{".data.t.gone Unknown 2 → ", ".data.t.mode Differs a → b"},
		},
		{
			name: "a configuration written differently", live: "data: {t: \"a: 1\\nb: 2\\n\"}", rendered: "data: {t: \"b: 2\\na: 1\\n\"}",
			want: []string{".data.t Differs the same settings, written differently → "},
		},
		{name: "a text", live: "data: {t: \"one\\ntwo\\n\"}", rendered: "data: {t: \"three\\n\"}", want: []string{".data.t Differs a text of 3 lines → a text of 2 lines"}},
		{
			name: "labels, and marks that are none", live: `metadata: {labels: {l: "1"}, annotations: {kubectl.kubernetes.io/last-applied-configuration: x}}`,
			rendered: `metadata: {labels: {m: "2", app.kubernetes.io/managed-by: Helm, networkstack.io/component: c}, annotations: {meta.helm.sh/release-name: r}}`,
			want:     []string{".metadata.labels.l Unknown 1 → ", ".metadata.labels.m Differs  → 2"},
		},
		{name: "the label that namespaces always have", kind: "Namespace", live: `metadata: {labels: {kubernetes.io/metadata.name: x}}`, rendered: `{}`},
		{name: "status is nobody's business", live: `status: {a: 1}`, rendered: `{}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			object := func(text string) *unstructured.Unstructured {
				u := &unstructured.Unstructured{}
				if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
					t.Fatal(err)
				}
				u.SetAPIVersion("v1")
				u.SetKind("ConfigMap")
				if tc.kind != "" {
					u.SetKind(tc.kind)
				}
				return u
			}
			if tc.wanted == "" {
				tc.wanted = tc.rendered
			}
			live := object(tc.live)
			switch {
			case tc.none:
			case tc.fields != nil:
				live.SetManagedFields(tc.fields)
			default:
				live.SetManagedFields([]metav1.ManagedFieldsEntry{entry("kubectl-edit", "Update", "v1", "", everything)})
			}
			var got []string
			for _, f := range reportFields(live, object(tc.rendered), object(tc.wanted), "networkstack") {
				got = append(got, strings.Join([]string{f.Path, string(f.State), f.Live, "→", f.Wanted}, " "))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
