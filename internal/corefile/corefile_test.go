package corefile

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const stock = `.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30 {
       disable success cluster.local
       disable denial cluster.local
    }
    loop
    reload
    loadbalance
}
`

// TestParse wants what the text says, in its order, with what is nested and quoted as it was.
func TestParse(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       []Server
	}{
		{"keys", "dns://a.example:53, b.example:1053 [::1] {\n whoami\n}\n", []Server{{
			Zones:   []Zone{{"dns://", "a.example", "53"}, {"", "b.example", "1053"}, {"", "[::1]", ""}},
			Plugins: []Plugin{{Name: "whoami"}},
		}}},
		{"no braces", "example.org\nwhoami\nlog\n", []Server{{Zones: []Zone{{"", "example.org", ""}}, Plugins: []Plugin{{Name: "whoami"}, {Name: "log"}}}}},
		{"several of one name", ".:53 {\n rewrite name a b\n log\n rewrite stop {\n  name regex (.*)\\.x {1}.y\n  answer auto\n }\n rewrite name c d\n}", []Server{{
			Zones: []Zone{{"", ".", "53"}},
			Plugins: []Plugin{
				{Name: "rewrite", Args: []string{"name", "a", "b"}}, {Name: "log"},
				{Name: "rewrite", Args: []string{"stop"}, Block: [][]string{{"name", "regex", `(.*)\.x`, "{1}.y"}, {"answer", "auto"}}},
				{Name: "rewrite", Args: []string{"name", "c", "d"}},
			},
		}}},
		{"quoted, nested and commented", ". {\n template IN A x. { # why\n  answer \"{{ .Name }} 60 IN A 10.0.0.1\"\n }\n a {\n  b {\n   c\n  }\n  d\n }\n}", []Server{{
			Zones: []Zone{{"", ".", ""}},
			Plugins: []Plugin{
				{Name: "template", Args: []string{"IN", "A", "x."}, Block: [][]string{{"answer", "{{ .Name }} 60 IN A 10.0.0.1"}}},
				{Name: "a", Block: [][]string{{"b", "{"}, {"c"}, {"}"}, {"d"}}},
			},
		}}},
		{"a snippet", "(common) {\n errors\n cache 10\n}\nx:53 {\n import common\n whoami\n}", []Server{{
			Zones:   []Zone{{"", "x", "53"}},
			Plugins: []Plugin{{Name: "errors"}, {Name: "cache", Args: []string{"10"}}, {Name: "whoami"}},
		}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Parse(tc.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
			again, err := Parse(Text(got))
			if err != nil {
				t.Fatalf("%v in what was written:\n%s", err, Text(got))
			}
			if diff := cmp.Diff(got, again); diff != "" {
				t.Errorf("written and read again: %s\n%s", diff, Text(got))
			}
		})
	}
}

// TestParseRefuses wants an error for what CoreDNS would refuse, and for what cannot be judged here: no file is opened and no
// variable is read.
func TestParseRefuses(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("hidden-word"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("COREFILE_SECRET", "hidden-word")
	for _, tc := range []struct {
		name, text, want string
		is               error
	}{
		{name: "empty", text: " \n", want: "no server block"},
		{name: "open brace", text: ".:53 {\n whoami\n", want: "line 2"},
		{name: "open block", text: ".:53 {\n cache {\n success 10\n", want: "line 3"},
		{name: "two braces too many", text: ".:53 {\n whoami }\n}\n}", want: "line 2"},
		{name: "a brace without a space", text: ".:53{\n whoami\n}", want: "put a space before the brace"},
		{name: "a file", text: ".:53 {\n import " + secret + "\n}", is: ErrImport},
		{name: "a file in the place of a zone", text: "import " + secret, is: ErrImport},
		{name: "a snippet that comes later", text: "x {\n import a\n}\n(a) {\n log\n}", is: ErrImport},
		{name: "snippets without end", text: "(a) {\n log\n}\n(b) {\n" + strings.Repeat(" import a\n", 9) + "}\nx {\n" + strings.Repeat(" import b\n", 9) + "}", is: ErrImports},
		{name: "a variable", text: ".:53 {\n forward . {$COREFILE_SECRET}\n}", is: ErrEnvironment},
		{name: "a variable as Windows has it", text: "{%COREFILE_SECRET%}:53 {\n whoami\n}", is: ErrEnvironment},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Parse(tc.text)
			switch {
			case err == nil:
				t.Fatal("no error")
			case tc.is != nil && !errors.Is(err, tc.is), tc.is == nil && !strings.Contains(err.Error(), tc.want):
				t.Errorf("%v", err)
			case strings.Contains(err.Error(), "hidden-word"):
				t.Errorf("it was read: %v", err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(stock)
	f.Add("(a) {\n log\n}\nx, y:1 {\n import a\n}")
	f.Add("a {\n b \"c d\" {\n  e {\n  }\n }\n}")
	f.Fuzz(func(t *testing.T, in string) {
		servers, err := Parse(in)
		if err != nil {
			return
		}
		Check(servers, Context{})
		_ = Text(servers)
	})
}

func TestCheck(t *testing.T) {
	own := Context{Own: []netip.Addr{netip.MustParseAddr("10.96.0.10"), netip.MustParseAddr("169.254.20.10")}}
	for _, tc := range []struct {
		name, text string
		want       []string
	}{
		{"kubeadm's", stock, nil},
		{"everything usual", "x:53 y:53 {\n errors\n cache {\n success 100 30 5\n denial 10\n prefetch 3 1m 10%\n serve_stale 1h\n servfail 5s\n}\n forward . 10.0.0.1 tls://10.0.0.2%x.example [fd00::1]:53 fd00::2 {\n policy sequential\n expire 10s\n}\n}", nil},
		{"unknown plugins, all of them", "x {\n whoami\n chaosmonkey\n cachee 30\n}", []string{
			`block x: there is no plugin "chaosmonkey" in CoreDNS`, `block x: there is no plugin "cachee" in CoreDNS`}},
		{"nothing answers", "x {\n errors\n cache\n}", []string{"block x: nothing in it answers a query: add forward, kubernetes, hosts or the like"}},
		{"loops", "x {\n forward . 127.0.0.53 10.96.0.10:53 169.254.20.10 [::]:53\n}", []string{
			"block x: forward to 127.0.0.53 is a loop: in the pod that is CoreDNS itself",
			"block x: forward to 10.96.0.10:53 is a loop: at that address it is CoreDNS that answers",
			"block x: forward to 169.254.20.10 is a loop: at that address it is CoreDNS that answers",
			"block x: forward to [::]:53 is a loop: in the pod that is CoreDNS itself",
		}},
		{"twice the same zone", "X.example {\n whoami\n}\nx.example.:53 {\n whoami\n}", []string{"block x.example.:53: x.example.:53 is answered by another block already"}},
		{"twice the same plugin", "x {\n whoami\n cache 5\n cache 10\n forward . 1.1.1.1\n forward y 1.1.1.1\n}", []string{"block x: cache can be there only once"}},
		{"names", "a..b {\n whoami\n}\n10.0.0.0/8 {\n whoami\n}", []string{`block a..b: "a..b" is not a domain name`}},
		{"files", "x {\n file /etc/zone\n forward . /etc/other\n}", []string{
			"block x: file reads a file, and there is none in the pod",
			"block x: forward reads /etc/other, and there is no such file in the pod: use /etc/resolv.conf, or addresses"}},
		{"values", "x {\n forward . one.example ftp://10.0.0.1 {\n policy first\n max_concurrent many\n expire 10\n}\n cache 0 {\n success x\n servfail 10m\n disable all\n size 3\n prefetch x\n serve_stale x\n}\n kubernetes y {\n ttl 4000\n pods all\n}\n health {\n lameduck soon\n}\n}", []string{
			`block x: forward: "one.example" is not an address: write one such as 10.0.0.53 or [fd00::53]:5353`,
			`block x: forward: "ftp://10.0.0.1" is not an address: the schemes are dns, tls and https`,
			"block x: forward: max_concurrent takes a number", "block x: forward: expire takes a duration, such as 10s",
			"block x: forward: policy is random, round_robin or sequential",
			"block x: cache: a time of 0 seconds is none", "block x: cache: success takes a capacity, and the longest and shortest time in seconds",
			"block x: cache: servfail takes a duration of at most 5m", "block x: cache: disable is for success or denial", "block x: cache has no option size",
			"block x: cache: prefetch takes a number of queries, a duration and a percentage", "block x: cache: serve_stale takes a duration, such as 1h",
			"block x: kubernetes: ttl is from 0 to 3600 seconds", "block x: kubernetes: pods is disabled, insecure or verified",
			"block x: health: lameduck takes a duration, such as 5s",
		}},
		{"too many servers", "x {\n forward . 10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5 10.0.0.6 10.0.0.7 10.0.0.8 10.0.0.9 10.0.0.11 10.0.0.12 10.0.0.13 10.0.0.14 10.0.0.15 10.0.0.16 10.0.0.17\n}", []string{"block x: forward has 16 servers, and CoreDNS takes 15"}},
		{"a forward to nowhere", "x {\n forward .\n}", []string{"block x: forward needs a zone and at least one server"}},
		{"autopath", "x {\n kubernetes x\n autopath @kubernetes\n}", []string{"block x: autopath @kubernetes needs kubernetes with pods verified"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			servers, err := Parse(tc.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, Check(servers, own)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestChange(t *testing.T) {
	servers, err := Parse(stock)
	if err != nil {
		t.Fatal(err)
	}
	s := &servers[0]
	s.Find("health").SetOption("lameduck", "20s")
	s.Set("forward", Plugin{Name: "forward", Args: []string{".", "10.0.0.1"}})
	s.Set("log", Plugin{Name: "log"})
	s.Set("loop")
	want := strings.NewReplacer("lameduck 5s", "lameduck 20s", "/etc/resolv.conf {\n       max_concurrent 1000\n    }", "10.0.0.1",
		"    loop\n", "", "loadbalance", "loadbalance\n    log").Replace(stock)
	wanted, err := Parse(want)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wanted, servers); diff != "" {
		t.Error(diff)
	}
	if !s.Serves(".") || s.Serves("example.org") {
		t.Error("it serves the root alone")
	}
}
