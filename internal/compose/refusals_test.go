package compose

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// finding is an input and every error and warning it must come to, to the letter, each with the rule that it cites.
type finding struct {
	name     string
	in       Input
	errors   []string
	warnings []string
}

// findings are all tables of them.
func findings() []finding {
	return slices.Concat(addressFindings(), familyFindings(), mtuFindings(), kubeProxyFindings(), cniFindings(), ciliumFindings(),
		objectFindings(), adoptionFindings(), calicoFindings(), secondaryFindings(), cloudFindings(), awsFindings(),
		weaveFindings(), nodeAgentFindings(), agentFindings(), policyFindings(), metricsFindings(), neighbourFindings(),
		ciliumPoolFindings(), ciliumBGPFindings(), loadBalancerFindings(), gatewayFindings(), meshFindings(),
		observabilityFindings(), tracingFindings(), addonFindings(), dnsFindings(), nodeLocalFindings(),
		ingressFindings(), ingressClassFindings(), baselineFindings(), cutFindings())
}

func TestFindings(t *testing.T) {
	seen := map[string]bool{}
	for _, tc := range findings() {
		if seen[tc.name] {
			t.Errorf("two cases are named %q", tc.name)
		}
		seen[tc.name] = true
		t.Run(tc.name, func(t *testing.T) {
			r := Compose(tc.in)
			if diff := cmp.Diff(tc.errors, messages(r.Errors)); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.warnings, messages(r.Warnings)); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			if len(r.Errors) > 0 && (r.Releases != nil || r.Effective != nil || r.KubeProxy != "" || r.ParkKubeProxy) {
				t.Errorf("a refused stack has a result: %+v", r)
			}
			// What needs only the object is refused without the cluster too, and nothing else is.
			object, _ := ValidateObject(tc.in.Stack)
			for _, f := range object {
				if !slices.Contains(r.Errors, f) {
					t.Errorf("ValidateObject alone refuses: %s", f)
				}
			}
		})
	}
}

func messages(findings []Finding) []string {
	var out []string
	for _, f := range findings {
		out = append(out, f.String())
	}
	return out
}

// TestPathsOnce wants no path twice among those that are closed to references: the API server would refuse the component.
func TestPathsOnce(t *testing.T) {
	for _, tc := range findings() {
		for _, r := range Compose(tc.in).Releases {
			seen := map[string]bool{}
			for _, c := range r.Spec.ControlledValues {
				if seen[c.Path] {
					t.Errorf("%s: component %s has %s twice", tc.name, r.Name, c.Path)
				}
				seen[c.Path] = true
			}
		}
	}
}
