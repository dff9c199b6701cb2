package catalog

import "testing"

func TestMetricsHold(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		since, before, version string
		want                   bool
	}{
		{"", "", "1.0.0", true},
		{"", "", "a-tag", true},
		{"1.2.0", "", "1.1.9", false},
		{"1.2.0", "", "1.2.0", true},
		{"1.2.0", "", "v1.2.0-rc.1", true},
		{"", "1.2.0", "1.1.9", true},
		{"", "1.2.0", "1.2.0-rc.1", false},
		{"", "1.2.0", "1.2.0", false},
		{"1.1.0", "1.2.0", "1.1.5", true},
		{"1.1.0", "1.2.0", "1.3.0", false},
		{"1.1.0", "", "a-tag", true},
		{"", "1.2.0", "a-tag", false},
	} {
		m := Metrics{Since: tc.since, Before: tc.before}
		if got := m.Holds(tc.version); got != tc.want {
			t.Errorf("since %q, before %q: holds of %s is %v", tc.since, tc.before, tc.version, got)
		}
	}
}
