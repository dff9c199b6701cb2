package drift

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/networkstack/networkstack/internal/ignore"
	"github.com/networkstack/networkstack/internal/release"
)

func finding(o release.Object, manager string, paths ...string) release.Finding {
	f := release.Finding{Object: o, Manager: manager}
	for _, p := range paths {
		path, err := ignore.Parse(p)
		if err != nil {
			panic(err)
		}
		f.Fields = append(f.Fields, release.FieldChange{Path: path, Manager: manager})
	}
	return f
}

func TestContests(t *testing.T) {
	start := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	minute := func(n float64) time.Time { return start.Add(time.Duration(n * float64(time.Minute))) }
	var c Contests
	given := func(at float64, f release.Finding, want ...string) {
		t.Helper()
		var got []string
		for _, g := range c.Corrected(f, minute(at)) {
			got = append(got, g.Object+" "+g.Path+" "+g.Manager)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("minute %v (-want +got):\n%s", at, diff)
		}
	}
	// Twice is no fight, nor are three times in more than ten minutes, three fields, or three writers.
	given(0, finding(config, "a", ".data.x", `.data["y.z"]`))
	given(6, finding(config, "a", ".data.x"))
	given(11, finding(config, "a", ".data.x"))
	given(11, finding(config, "b", ".data.x"))
	given(11, finding(second, "a", ".data.x"))
	given(12, finding(config, "a", `.data["y.z"]`))
	if len(c.Rules()) > 0 || len(c.Status()) > 0 || !c.Next().IsZero() {
		t.Errorf("%v %v %v", c.Rules(), c.Status(), c.Next())
	}
	given(15, finding(config, "a", ".data.x", ".data.other"), "ConfigMap net/config .data.x a")
	given(15.5, finding(config, "a", ".data.x"))

	rules := c.Rules()
	if len(rules) != 1 {
		t.Fatalf("%v", rules)
	}
	for _, tc := range []struct {
		namespace, path, manager string
		want                     bool
	}{{"net", ".data.x", "a", true}, {"net", ".data.x", "b", false}, {"net", ".data.y", "a", false}, {"other", ".data.x", "a", false}} {
		p, err := ignore.Parse(tc.path)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := rules.For("ConfigMap", tc.namespace, "config").Match(p, tc.manager); ok != tc.want {
			t.Errorf("%+v: %v", tc, ok)
		}
	}
	if got := c.Next(); !got.Equal(minute(75)) {
		t.Errorf("next %s", got)
	}

	// The next process knows what the status says.
	var again Contests
	again.Restore(c.Status())
	if diff := cmp.Diff(c.Status(), again.Status()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(rules, again.Rules()); diff != "" {
		t.Error(diff)
	}
	if again.Expire(minute(74)) || !again.Expire(minute(75)) || len(again.Rules()) > 0 || again.Expire(minute(76)) {
		t.Error("contests end after an hour, once")
	}
	again.Restore(nil)
	if len(again.Status()) > 0 {
		t.Error("restored from nothing")
	}
	// What is over is forgotten.
	c.Corrected(finding(role, "a", ".rules"), minute(100))
	if len(c.fields) != 2 {
		t.Errorf("%d fields are remembered", len(c.fields))
	}
}
