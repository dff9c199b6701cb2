package main

import (
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	environment := func(name string) string {
		return map[string]string{"KUBE_DNS_UPSTREAM_SERVICE_HOST": "10.96.7.7"}[name]
	}
	s, err := parse([]string{"-localip", "169.254.20.10,10.96.0.10", "-conf", "/etc/Corefile", "-upstreamsvc", "kube-dns-upstream"}, environment)
	if err != nil || len(s.addresses) != 2 || s.upstreamAddresses != "10.96.7.7" || s.pidfile != "" {
		t.Errorf("%+v, %v", s, err)
	}
	const want = "forward . 10.96.7.7\nforward . /etc/resolv.conf"
	if got := s.corefile("forward . __PILLAR__CLUSTER__DNS__\nforward . __PILLAR__UPSTREAM__SERVERS__"); got != want {
		t.Errorf("the Corefile is %q", got)
	}
	for _, wrong := range []string{"", "169.254.20.10,", "169.254.20.10,fd00::a"} {
		if _, err := parse([]string{"-localip", wrong}, environment); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
	if _, err := parse([]string{"-localip", "169.254.20.10", "-colour", "red"}, environment); err == nil {
		t.Error("an unknown flag is taken")
	}
}

func TestRules(t *testing.T) {
	s, err := parse([]string{"-localip", "169.254.20.10,10.96.0.10"}, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, rule := range s.rules() {
		lines = append(lines, strings.Join(rule[:10], " "))
	}
	for _, want := range []string{
		"raw PREROUTING -p udp -d 10.96.0.10 --dport 53 -j NOTRACK", "filter INPUT -p tcp -d 169.254.20.10 --dport 53 -j ACCEPT",
		"raw OUTPUT -p udp -s 10.96.0.10 --sport 53 -j NOTRACK", "raw OUTPUT -p tcp -d 169.254.20.10 --dport 8080 -j NOTRACK",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("there is no rule %s", want)
		}
	}
	slices.Sort(lines)
	if n := len(slices.Compact(lines)); n != 24 {
		t.Errorf("%d rules: %v", n, lines)
	}
}
