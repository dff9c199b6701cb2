package compose

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	k8sschema "k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/schema"
	"github.com/networkstack/networkstack/test/controlplane"
)

// TestAPIServerToo gives every stack of the tables to a real API server. What it refuses is refused by a rule that says so, and
// what it stores cites none that does.
func TestAPIServerToo(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a control plane")
	}
	cp := controlplane.ForTest(t, controlplane.Options{})
	client, err := dynamic.NewForConfig(cp.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile("../../config/crd/bases/networkstack.io_networkstacks.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var crd unstructured.Unstructured
	if err := yaml.Unmarshal(raw, &crd.Object); err != nil {
		t.Fatal(err)
	}
	crds := client.Resource(k8sschema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	if _, err := crds.Create(t.Context(), &crd, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	stacks := client.Resource(networkstackv1alpha1.GroupVersion.WithResource("networkstacks"))
	create := func(ctx context.Context, stack *networkstackv1alpha1.NetworkStack) (error, bool) {
		data, err := json.Marshal(stack)
		if err != nil {
			return err, false // values that are no JSON never reach an API server
		}
		var o unstructured.Unstructured
		if err := json.Unmarshal(data, &o.Object); err != nil {
			t.Fatal(err)
		}
		o.SetGroupVersionKind(networkstackv1alpha1.GroupVersion.WithKind("NetworkStack"))
		o.SetName("cluster")
		_, err = stacks.Create(ctx, &o, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err, true
	}
	if err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		err, _ := create(ctx, cilium().Stack)
		return err == nil, nil
	}); err != nil {
		t.Fatalf("the API server takes no NetworkStack: %v", err)
	}

	refused := map[string]bool{}
	for _, tc := range findings() {
		if tc.in.Stack == nil {
			continue
		}
		err, sent := create(t.Context(), tc.in.Stack)
		if err != nil && sent && !apierrors.IsInvalid(err) {
			t.Fatalf("%s: %v", tc.name, err)
		}
		if !sent {
			continue
		}
		offline := offlineProblems(t, tc.in.Stack)
		if (err != nil) != (len(offline) > 0) {
			t.Errorf("%s: the API server says %v; without it, the definition says %v", tc.name, err, offline)
		}
		errs := Compose(tc.in).Errors
		if err != nil && len(errs) == 0 {
			t.Errorf("%s: the API server refuses what is accepted here: %v", tc.name, err)
		}
		if err != nil {
			for _, rule := range refusedBy(err, errs) {
				refused[rule] = true
			}
		}
	}
	for _, r := range Rules() {
		if refused[r.ID] != r.APIServer {
			t.Errorf("%s is refused by the API server too: %v; the table says %v", r.ID, refused[r.ID], r.APIServer)
		}
	}
}

// offlineProblems are what the definition says of a stack, judged without an API server.
func offlineProblems(t *testing.T, stack *networkstackv1alpha1.NetworkStack) []schema.Problem {
	t.Helper()
	data, err := json.Marshal(stack)
	if err != nil {
		t.Fatal(err)
	}
	var o map[string]any
	if err := utiljson.Unmarshal(data, &o); err != nil {
		t.Fatal(err)
	}
	o["apiVersion"], o["kind"], o["metadata"] = networkstackv1alpha1.GroupVersion.String(), "NetworkStack", map[string]any{"name": "cluster"}
	problems, err := schema.Judge(t.Context(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	return problems
}

// refusedBy are the rules of ours that an answer of the API server speaks of for certain: those of the fields it names, as far as a
// field, or the list that it is in, is refused by one rule alone.
func refusedBy(err error, errs []Finding) []string {
	only := func(of func(Finding) bool) (string, bool) {
		var rules []string
		for _, f := range errs {
			if of(f) && !slices.Contains(rules, f.Rule) {
				rules = append(rules, f.Rule)
			}
		}
		if len(rules) != 1 {
			return "", false
		}
		return rules[0], true
	}
	if rule, ok := only(func(Finding) bool { return true }); ok {
		return []string{rule}
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return nil
	}
	var out []string
	for _, c := range status.Status().Details.Causes {
		if rule, ok := only(func(f Finding) bool { return f.Field == c.Field || strings.HasPrefix(f.Field, c.Field+"[") }); ok {
			out = append(out, rule)
		}
	}
	return out
}
