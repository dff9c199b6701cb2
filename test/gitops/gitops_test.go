package gitops

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/operator"
)

func TestVerdicts(t *testing.T) {
	t.Parallel()
	judge, err := NewJudge()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, object  string
		kstatus       status.Status
		argo, message string
	}{
		{"just applied", `{metadata: {generation: 1}, spec: {}, status: {observedGeneration: -1}}`, status.InProgressStatus, "Progressing", "the operator has not seen this yet"},
		{"working", `{metadata: {generation: 2}, spec: {}, status: {observedGeneration: 2, conditions: [
			{type: Ready, status: "False", reason: Progressing, message: on it}, {type: Reconciling, status: "True", message: on it}]}}`,
			status.InProgressStatus, "Progressing", "on it"},
		{"ready", `{metadata: {generation: 2}, spec: {}, status: {observedGeneration: 2, conditions: [{type: Ready, status: "True", message: fine}]}}`,
			status.CurrentStatus, "Healthy", "fine"},
		{"ready, and changed since", `{metadata: {generation: 3}, spec: {}, status: {observedGeneration: 2, conditions: [{type: Ready, status: "True", message: fine}]}}`,
			status.InProgressStatus, "Progressing", "the operator has not seen this yet"},
		{"stuck", `{metadata: {generation: 2}, spec: {}, status: {observedGeneration: 2, conditions: [
			{type: Ready, status: "False", message: broken}, {type: Stalled, status: "True", message: refused}]}}`,
			status.FailedStatus, "Degraded", "refused"},
		{"stuck before a change", `{metadata: {generation: 3}, spec: {}, status: {observedGeneration: 2, conditions: [
			{type: Ready, status: "False", message: broken}, {type: Stalled, status: "True", message: refused}]}}`,
			status.InProgressStatus, "Progressing", "the operator has not seen this yet"},
		{"suspended", `{metadata: {generation: 2}, spec: {suspend: true}, status: {observedGeneration: 2, conditions: [
			{type: Ready, status: "False", reason: Suspended, message: waits}]}}`,
			status.InProgressStatus, "Suspended", "spec.suspend is true"},
		{"on its way out", `{metadata: {generation: 2, deletionTimestamp: "2026-01-01T00:00:00Z"}, spec: {}, status: {observedGeneration: 2, conditions: [{type: Ready, status: "True"}]}}`,
			status.TerminatingStatus, "Progressing", "it is being removed"},
	} {
		for _, kind := range []string{"NetworkStack", "NetworkComponent"} {
			t.Run(test.name+" "+kind, func(t *testing.T) {
				t.Parallel()
				data, err := yaml.YAMLToJSON([]byte(test.object))
				if err != nil {
					t.Fatal(err)
				}
				u := &unstructured.Unstructured{}
				if err := yaml.Unmarshal(data, &u.Object); err != nil {
					t.Fatal(err)
				}
				u.SetAPIVersion(networkstackv1alpha1.GroupVersion.String())
				u.SetKind(kind)
				if data, err = u.MarshalJSON(); err != nil {
					t.Fatal(err)
				}
				if err := u.UnmarshalJSON(data); err != nil { // numbers as a client has them
					t.Fatal(err)
				}
				got, err := judge.Of(u)
				if want := (Verdict{Kstatus: test.kstatus, Argo: test.argo, Message: test.message}); err != nil || got != want {
					t.Errorf("%+v, %v, want %+v", got, err, want)
				}
			})
		}
	}
}

// TestClusters builds what each cluster of the example has: a NetworkStack, and nothing that the API does not know.
func TestClusters(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(operator.Root(), "config", "samples", "gitops", "clusters")
	clusters, err := os.ReadDir(dir)
	if err != nil || len(clusters) < 3 {
		t.Fatalf("%v, %v", clusters, err)
	}
	for _, cluster := range clusters {
		objects, err := operator.Build(filepath.Join(dir, cluster.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if len(objects) != 1 {
			t.Fatalf("%s has %d objects", cluster.Name(), len(objects))
		}
		var stack networkstackv1alpha1.NetworkStack
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(objects[0].Object, &stack, true); err != nil {
			t.Errorf("%s: %v", cluster.Name(), err)
		}
		if stack.Spec.KubeProxy == nil || stack.Spec.DNS == nil {
			t.Errorf("%s lacks what all have: %+v", cluster.Name(), stack.Spec)
		}
	}
}
