package release

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

func TestAbsorption(t *testing.T) {
	entry := func(manager, operation, version, fields string) map[string]any {
		var content map[string]any
		if err := json.Unmarshal([]byte(fields), &content); err != nil {
			t.Fatal(err)
		}
		return map[string]any{
			"manager": manager, "operation": operation, "apiVersion": version, "fieldsType": "FieldsV1", "fieldsV1": content,
		}
	}
	object := func(entries ...any) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"metadata": map[string]any{"resourceVersion": "7", "managedFields": entries},
		}}
	}
	found := []addition{{path: fieldpath.MakePathOrDie("data", "x")}, {path: fieldpath.MakePathOrDie("data", "deep")}}
	for _, tc := range []struct {
		name string
		live *unstructured.Unstructured
		want map[string]string // what managers own afterwards
		err  error
	}{
		{
			"what was added is ours, the rest stays theirs",
			object(entry("networkstack", "Apply", "v1", `{"f:data":{"f:a":{}}}`), entry("eve", "Update", "v1", `{"f:data":{"f:x":{},"f:y":{},"f:deep":{"f:b":{}}}}`)),
			map[string]string{"networkstack": `{"f:data":{"f:a":{},"f:deep":{"f:b":{}},"f:x":{}}}`, "eve": `{"f:data":{"f:y":{}}}`}, nil,
		},
		{
			"nobody is left owning nothing",
			object(entry("networkstack", "Apply", "v1", `{"f:data":{"f:a":{}}}`), entry("eve", "Update", "v1", `{"f:data":{"f:x":{}}}`)),
			map[string]string{"networkstack": `{"f:data":{"f:a":{},"f:x":{}}}`}, nil,
		},
		{
			"fields named by another version of the API stay",
			object(entry("networkstack", "Apply", "v1", `{"f:data":{"f:a":{}}}`), entry("eve", "Update", "v2", `{"f:data":{"f:x":{}}}`)),
			map[string]string{"networkstack": `{"f:data":{"f:a":{}}}`, "eve": `{"f:data":{"f:x":{}}}`}, nil,
		},
		{"nothing of ours", object(entry("eve", "Update", "v1", `{"f:data":{"f:x":{}}}`)), nil, errNothingOfOurs},
	} {
		t.Run(tc.name, func(t *testing.T) {
			patch, err := absorption(tc.live, found, "networkstack")
			if !errors.Is(err, tc.err) {
				t.Fatal(err)
			}
			if tc.err != nil {
				return
			}
			var operations []struct {
				Path  string
				Value json.RawMessage
			}
			if err := json.Unmarshal(patch, &operations); err != nil {
				t.Fatal(err)
			}
			// Somebody who writes in between makes it fail.
			if operations[0].Path != "/metadata/resourceVersion" || string(operations[0].Value) != `"7"` {
				t.Errorf("the patch begins with %s %s", operations[0].Path, operations[0].Value)
			}
			var entries []metav1.ManagedFieldsEntry
			if err := json.Unmarshal(operations[1].Value, &entries); err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, e := range entries {
				got[e.Manager] = strings.TrimSpace(string(canonical(e.FieldsV1.GetRawBytes())))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
