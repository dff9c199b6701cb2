package chart

import "testing"

func TestRewrite(t *testing.T) {
	mirrors := []Mirror{
		{"https://charts.example.com", "https://mirror.local/charts/"},
		{"https://charts.example.com/team", "oci://registry.local:5000/team"},
		{"oci://quay.io/cilium/", "oci://registry.local/quay"},
		{"https://charts.example.com/team/", "https://second.local"},
	}
	for in, want := range map[string]string{
		"https://charts.example.com":            "https://mirror.local/charts",
		"https://charts.example.com/":           "https://mirror.local/charts",
		"HTTPS://Charts.Example.com/x":          "https://mirror.local/charts/x",
		"https://u:p@charts.example.com/x":      "https://mirror.local/charts/x",
		"https://charts.example.com/x/y/":       "https://mirror.local/charts/x/y",
		"https://charts.example.com/team":       "oci://registry.local:5000/team",
		"https://charts.example.com/team/a":     "oci://registry.local:5000/team/a",
		"https://charts.example.com/teamwork":   "https://mirror.local/charts/teamwork",
		"https://charts.example.com.evil.com/x": "https://charts.example.com.evil.com/x",
		"https://charts.example.com:8443/x":     "https://charts.example.com:8443/x",
		"http://charts.example.com/x":           "http://charts.example.com/x",
		"oci://quay.io/cilium/charts":           "oci://registry.local/quay/charts",
		"oci://quay.io/ciliumx":                 "oci://quay.io/ciliumx",
	} {
		if got := rewrite(in, mirrors); got != want {
			t.Errorf("%s becomes %s, want %s", in, got, want)
		}
	}
	if got := rewrite("https://a.example.com", []Mirror{{"", "https://b"}, {"::", "https://c"}}); got != "https://a.example.com" {
		t.Errorf("a source that is no URL matches: %s", got)
	}
}
