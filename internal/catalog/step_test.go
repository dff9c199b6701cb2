package catalog

import "testing"

// TestSteps goes through the steps of the embedded catalogue.
func TestSteps(t *testing.T) {
	c := Default()
	for _, tc := range []struct {
		typ, from, to string
		want          StepVerdict
		next          string
	}{
		{"Cilium", "1.19.6", "1.20.0", StepAllowed, ""},
		{"Cilium", "1.19.6-rc.1", "v1.20.0", StepAllowed, ""},
		{"Cilium", "1.20.0", "1.19.6", StepAllowed, ""},
		{"Cilium", "1.20.3", "1.20.0", StepAllowed, ""},
		{"Cilium", "1.18.12", "1.20.0", StepTooFar, "1.19.6"},
		{"Cilium", "1.20.0", "1.18.12", StepDown, "1.19.6"},
		{"Cilium", "1.16.0", "1.20.0", StepTooFar, "1.17"},
		{"Cilium", "2.0.0", "1.20.0", StepMajor, ""},
		{"Calico", "3.31.7", "3.33.1", StepAllowed, ""},
		{"Calico", "3.30.0", "3.33.1", StepTooFar, "3.32.3"},
		{"Calico", "3.15.0", "3.32.1", StepAllowed, ""},
		{"Calico", "3.14.0", "3.32.1", StepTooFar, ""},
		{"Calico", "3.33.1", "3.32.3", StepDown, ""},
		{"Flannel", "0.20.0", "0.28.9", StepAllowed, ""},
		{"Flannel", "0.28.9", "0.20.0", StepAllowed, ""},
		{"Cilium", "unknown", "1.20.0", StepAllowed, ""},
	} {
		e := c[tc.typ]
		if got := e.Step(tc.from, tc.to); got != tc.want {
			t.Errorf("%s %s → %s: %q, want %q", tc.typ, tc.from, tc.to, got, tc.want)
		}
		if got := e.NextStep(tc.from, tc.to); tc.want != StepAllowed && got != tc.next {
			t.Errorf("%s %s → %s: first to %q, want %q", tc.typ, tc.from, tc.to, got, tc.next)
		}
	}
}
