package compose

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// finding is an input and every error and warning it must come to, to the letter. The number is that of the
// row in the list of bad inputs the operator answers for.
type finding struct {
	name     string
	in       Input
	errors   []string
	warnings []string
}

func TestFindings(t *testing.T) {
	seen := map[string]bool{}
	for _, tc := range slices.Concat(addressFindings(), familyFindings(), mtuFindings(), kubeProxyFindings(), cniFindings(), objectFindings(), adoptionFindings()) {
		if seen[tc.name] {
			t.Errorf("two cases are named %q", tc.name)
		}
		seen[tc.name] = true
		t.Run(tc.name, func(t *testing.T) {
			errs, warnings := judged(tc.in)
			if diff := cmp.Diff(tc.errors, messages(errs)); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.warnings, warnings); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			r := Compose(tc.in)
			if diff := cmp.Diff(messages(errs), messages(r.Errors)); diff != "" {
				t.Errorf("Compose refuses otherwise than Validate:\n%s", diff)
			}
			if len(errs) > 0 && (r.Releases != nil || r.Effective != nil || r.KubeProxy != "" || r.ParkKubeProxy) {
				t.Errorf("a refused stack has a result: %+v", r)
			}
			// What needs only the object is refused without the cluster too, and nothing else is.
			object, _ := ValidateObject(tc.in.Stack)
			for _, m := range messages(object) {
				if !slices.Contains(messages(errs), m) {
					t.Errorf("ValidateObject alone refuses: %s", m)
				}
			}
		})
	}
}

func messages(errs field.ErrorList) []string {
	var out []string
	for _, e := range errs {
		out = append(out, e.Error())
	}
	return out
}
