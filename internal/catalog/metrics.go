package catalog

import (
	"regexp"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// Metrics is a part of a component that serves metrics to Prometheus.
type Metrics struct {
	// Name of the part, such as agent; empty for a component that has one. With the component's name it is the job.
	Name string `yaml:"name,omitempty"`
	// Selector finds its pods. The value $release stands for the name of the Helm release.
	Selector map[string]string `yaml:"selector"`
	// Namespace of the pods; empty for the release's.
	Namespace string `yaml:"namespace,omitempty"`
	// Port on which they serve, and PortValue the path of the chart value that says otherwise.
	Port      int32  `yaml:"port"`
	PortValue string `yaml:"portValue,omitempty"`
	// Path on the server; empty means /metrics.
	Path string `yaml:"path,omitempty"`
	// Params are parameters of the query.
	Params map[string]string `yaml:"params,omitempty"`
	// Scheme is https where the pods serve nothing else, with a certificate of their own; empty means http.
	Scheme string `yaml:"scheme,omitempty"`
	// Token says that the pods ask the API server who reads them: Prometheus shows the token of its ServiceAccount.
	Token bool `yaml:"token,omitempty"`
	// Since is the first version of the component of which this holds, and Before the first of which it no longer does; empty for all.
	Since  string `yaml:"since,omitempty"`
	Before string `yaml:"before,omitempty"`
	// Switch is the path of the chart value that has metrics served; empty when they always are. Served says what it means when
	// nobody sets it. A switch that is Manual is left to the user, because it takes more than true.
	Switch string `yaml:"switch,omitempty"`
	Served bool   `yaml:"served,omitempty"`
	Manual bool   `yaml:"manual,omitempty"`
	// With are paths of further chart values without which the switch does nothing.
	With []string `yaml:"with,omitempty"`
	// Own are the paths of chart values with which the chart makes a monitor of these pods itself.
	Own []string `yaml:"own,omitempty"`
	// Panels of the component's dashboard, beside those that every component has.
	Panels []Panel `yaml:"panels,omitempty"`
}

// Panel is a graph of a dashboard.
type Panel struct {
	Title string `yaml:"title"`
	// Expr is a query of Prometheus. $job in it stands for the matcher of the part's job.
	Expr string `yaml:"expr"`
	// Legend of each series, such as {{pod}}.
	Legend string `yaml:"legend,omitempty"`
	// Unit as Grafana names it, such as reqps, s, bytes or percentunit; empty for plain numbers.
	Unit string `yaml:"unit,omitempty"`
}

// Holds says whether this is so of a version. A version that cannot be read is taken for the newest.
func (m *Metrics) Holds(version string) bool {
	v, err := semver.NewVersion(version)
	if err != nil {
		return m.Before == ""
	}
	v = withoutPrerelease(v)
	since, err1 := semver.NewVersion(m.Since)
	before, err2 := semver.NewVersion(m.Before)
	return (err1 != nil || !v.LessThan(since)) && (err2 != nil || v.LessThan(before))
}

// apart says whether no version has both.
func (m *Metrics) apart(o *Metrics) bool {
	precedes := func(a, b *Metrics) bool {
		before, err1 := semver.NewVersion(a.Before)
		since, err2 := semver.NewVersion(b.Since)
		return err1 == nil && err2 == nil && !since.LessThan(before)
	}
	return precedes(m, o) || precedes(o, m)
}

var metricsName = regexp.MustCompile(`^([a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?)?$`)

// validateMetrics judges what an override says of metrics.
func validateMetrics(list []Metrics, d *document) {
	for i := range list {
		m, at := &list[i], func(field string) []any { return []any{"metrics", i, field} }
		if !metricsName.MatchString(m.Name) {
			d.at(at("name"), "%q is no name: use at most 32 lower-case letters, digits and \"-\"", m.Name)
		}
		if slices.ContainsFunc(list[:i], func(o Metrics) bool { return o.Name == m.Name && !o.apart(m) }) {
			d.at(at("name"), "%q is there twice: give each part a name of its own", m.Name)
		}
		if len(m.Selector) == 0 {
			d.at(at("selector"), "selects every pod: state the labels of those that serve the metrics")
		}
		if m.Port < 1 || m.Port > 65535 {
			d.at(at("port"), "%d is no port: use 1 to 65535", m.Port)
		}
		for _, v := range []struct{ field, version string }{{"since", m.Since}, {"before", m.Before}} {
			if _, err := semver.NewVersion(v.version); v.version != "" && err != nil {
				d.at(at(v.field), "%q is no version: write one such as 1.2.0", v.version)
			}
		}
		if m.Path != "" && !strings.HasPrefix(m.Path, "/") {
			d.at(at("path"), "%q is no path: begin with \"/\"", m.Path)
		}
		if !slices.Contains([]string{"", "http", "https"}, m.Scheme) {
			d.at(at("scheme"), "%q is neither http nor https", m.Scheme)
		}
	}
}
