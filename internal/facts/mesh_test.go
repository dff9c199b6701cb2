package facts

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestRevisionOfProxy(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   map[string]string
		want string
	}{
		{"none", nil, ""},
		{"an annotation", map[string]string{"istio.io/rev": "a"}, "a"},
		{"the injector's status alone", map[string]string{"sidecar.istio.io/status": `{"initContainers":["x"],"revision":"b"}`}, "b"},
		{"both", map[string]string{"istio.io/rev": "a", "sidecar.istio.io/status": `{"revision":"b"}`}, "a"},
		{"rubbish", map[string]string{"sidecar.istio.io/status": "rubbish"}, ""},
	} {
		if got := RevisionOfProxy(tc.in); got != tc.want {
			t.Errorf("%s: %q, not %q", tc.name, got, tc.want)
		}
	}
}

// TestTrimProxy wants little of a pod kept.
func TestTrimProxy(t *testing.T) {
	p := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: "cart", UID: "u", ResourceVersion: "1", Labels: map[string]string{"a": "b"},
		Annotations: map[string]string{"sidecar.istio.io/status": `{"revision":"b"}`, "long": "text"},
	}}
	got, err := trimProxy(p)
	if err != nil {
		t.Fatal(err)
	}
	want := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: "cart", UID: "u", ResourceVersion: "1", Annotations: map[string]string{"istio.io/rev": "b"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
