package release

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Whoever adds to what we define is found, except for the control plane and for webhooks that change our own requests.
func TestAdditionsByWhom(t *testing.T) {
	const object = `
apiVersion: v1
kind: ConfigMap
metadata:
  name: config
  managedFields:
  - {manager: m, operation: Apply, apiVersion: v1, fieldsType: FieldsV1, fieldsV1: {"f:data": {"f:ours": {}}}}
  - {manager: MANAGER, operation: Update, apiVersion: v1, fieldsType: FieldsV1, SUBRESOURCE fieldsV1: {"f:data": {"f:theirs": {}}}}
data: {ours: "1", theirs: "2"}
`
	wanted := parsed(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: config}, data: {ours: \"1\"}}")
	for _, tc := range []struct {
		manager, subresource string
		want                 []string
	}{
		{"eve", "", []string{".data.theirs by eve"}},
		{"kube-controller-manager", "", nil},
		{"kube-apiserver", "", nil},
		{"m", "", nil},
		{"eve", "subresource: status,", nil},
		{"eve", "subresource: scale,", []string{".data.theirs by eve"}},
	} {
		live := parsed(t, strings.NewReplacer("MANAGER", tc.manager, "SUBRESOURCE", tc.subresource).Replace(object))
		owned, err := readOwned(live, "m")
		if err != nil {
			t.Fatal(err)
		}
		found, err := additions(live, wanted, "m", owned.ours)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range found {
			got = append(got, a.path.String()+" by "+a.manager)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", tc.manager, tc.subresource, diff)
		}
	}
}
