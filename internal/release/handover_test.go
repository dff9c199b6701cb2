package release

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func entry(manager string, operation metav1.ManagedFieldsOperationType, apiVersion, subresource, fields string) metav1.ManagedFieldsEntry {
	f := metav1.ManagedFieldsEntry{Manager: manager, Operation: operation, APIVersion: apiVersion, Subresource: subresource, FieldsType: "FieldsV1"}
	f.FieldsV1 = &metav1.FieldsV1{}
	f.FieldsV1.SetRawBytes([]byte(fields))
	return f
}

func TestTakeFields(t *testing.T) {
	const (
		apply  = metav1.ManagedFieldsOperationApply
		update = metav1.ManagedFieldsOperationUpdate
		a      = `{"f:data":{"f:a":{}}}`
		b      = `{"f:data":{"f:b":{}}}`
		c      = `{"f:data":{"f:c":{}}}`
		ab     = `{"f:data":{"f:a":{},"f:b":{}}}`
		abc    = `{"f:data":{"f:a":{},"f:b":{},"f:c":{}}}`
	)
	type entries = []metav1.ManagedFieldsEntry
	ours := func(version, fields string) metav1.ManagedFieldsEntry { return entry("us", apply, version, "", fields) }
	for _, tc := range []struct {
		name     string
		in, want entries
		from     []string
	}{
		{name: "nothing"},
		{name: "ours alone", in: entries{ours("v1", a)}},
		{name: "controllers keep theirs", in: entries{ours("v1", a), entry("kube-controller-manager", update, "v1", "", b), entry("cainjector", update, "v1", "", c)}},
		{name: "a subresource is not the object", in: entries{ours("v1", a), entry("kubectl", update, "v1", "scale", b), entry("helm", update, "v1", "status", b)}},
		{name: "Helm's, before ours is there", in: entries{entry("helm", update, "v1", "", a)}, want: entries{ours("v1", a)}, from: []string{"helm"}},
		{name: "Helm 4's", in: entries{entry("helm", apply, "v1", "", a)}, want: entries{ours("v1", a)}, from: []string{"helm"}},
		{name: "kubectl apply --server-side beside ours", in: entries{ours("v1", a), entry("kubectl", apply, "v1", "", b)}, want: entries{ours("v1", ab)}, from: []string{"kubectl"}},
		{name: "both kinds of one name", in: entries{entry("helm", update, "v1", "", a), entry("helm", apply, "v1", "", b)}, want: entries{ours("v1", ab)}, from: []string{"helm"}},
		{
			name: "several, and a controller between",
			in:   entries{entry("kubectl-client-side-apply", update, "v1", "", a), entry("kcm", update, "v1", "", a), ours("v1", b), entry("kubectl-edit", update, "v1", "", c)},
			want: entries{entry("kcm", update, "v1", "", a), ours("v1", abc)}, from: []string{"kubectl-client-side-apply", "kubectl-edit"},
		},
		{name: "another version waits for its round", in: entries{ours("v1", a), entry("helm", update, "v1beta1", "", c), entry("helm", update, "v1", "", b)}, want: entries{ours("v1", ab), entry("helm", update, "v1beta1", "", c)}, from: []string{"helm"}},
		{name: "another version takes the place of ours", in: entries{ours("v1", a), entry("helm", update, "v1beta1", "", c)}, want: entries{ours("v1beta1", c)}, from: []string{"helm"}},
		{name: "an entry without fields", in: entries{{Manager: "helm", Operation: update, APIVersion: "v1"}}, want: entries{ours("v1", `{}`)}, from: []string{"helm"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, from, err := takeFields(tc.in, "us")
			if err != nil || !slices.Equal(from, tc.from) || len(got) != len(tc.want) {
				t.Fatalf("got %v from %v, %v", got, from, err)
			}
			for i := range got {
				g, w := &got[i], &tc.want[i]
				if g.Manager != w.Manager || g.Operation != w.Operation || g.APIVersion != w.APIVersion || g.Subresource != w.Subresource ||
					string(canonical(g.FieldsV1.GetRawBytes())) != string(canonical(w.FieldsV1.GetRawBytes())) {
					t.Errorf("entry %d: %s %s %s %s, want %s %s", i, g.Manager, g.Operation, g.APIVersion, g.FieldsV1.GetRawBytes(), w.Manager, w.FieldsV1.GetRawBytes())
				}
			}
			// What was given is somebody's cache.
			if len(tc.in) > 0 && tc.in[0].Manager == "from/0" {
				t.Error("the argument was changed")
			}
		})
	}
}
