package compose

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/corefile"
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/test/testcharts"
)

// TestInterception is how queries come to the caches, by what programs Services.
func TestInterception(t *testing.T) {
	proxy := func(m KubeProxyMode) func(*Input) { return func(in *Input) { withoutKubeProxy(in); mode(m)(in) } }
	for _, tc := range []struct {
		name                  string
		in                    Input
		way, local, service   string
		binds                 string
		redirects             bool
		excluded              []any
		runsOnWhenUnwantedToo bool
	}{
		{name: "IPTables", in: flannel(proxy(KubeProxyIPTables), withDNS(withCache())), way: "ServiceAddress", local: "169.254.20.10", service: "10.96.0.10", binds: "169.254.20.10 10.96.0.10"},
		{name: "NFTables", in: flannel(proxy(KubeProxyNFTables), withDNS(withCache())), way: "LocalAddress", local: "169.254.20.10", binds: "169.254.20.10", runsOnWhenUnwantedToo: true},
		{name: "IPVS", in: flannel(proxy(KubeProxyIPVS), withDNS(withCache())), way: "LocalAddress", local: "169.254.20.10", binds: "169.254.20.10", runsOnWhenUnwantedToo: true},
		{name: "found in mode ipvs", in: flannel(cluster(func(s *facts.Snapshot) { s.Installed[0].Mode = "ipvs" }), withDNS(withCache())), way: "LocalAddress", local: "169.254.20.10", binds: "169.254.20.10", runsOnWhenUnwantedToo: true},
		{name: "Cilium", in: cilium(proxy(KubeProxyReplaced), withDNS(withCache())), way: "RedirectPolicy", local: "169.254.20.10", redirects: true},
		{name: "Cilium beside kube-proxy", in: cilium(proxy(KubeProxyIPTables), withDNS(withCache())), way: "ServiceAddress", local: "169.254.20.10", service: "10.96.0.10", binds: "169.254.20.10 10.96.0.10"},
		{name: "Calico", in: calico(proxy(KubeProxyReplaced), withDNS(withCache())), way: "ServiceAddress", local: "169.254.20.10", service: "10.96.0.10", binds: "169.254.20.10 10.96.0.10", excluded: []any{"10.96.0.10/32"}},
		{name: "IPv6", in: flannel(onlyIPv6, proxy(KubeProxyIPTables), withDNS(withCache())), way: "ServiceAddress", local: "fd00:169:254:20::10", service: "fd00:10:96::a", binds: "fd00:169:254:20::10 fd00:10:96::a"},
		{name: "IPv4 of both families", in: flannel(dual, proxy(KubeProxyIPTables), withDNS(withCache())), way: "ServiceAddress", local: "169.254.20.10", service: "10.96.0.10", binds: "169.254.20.10 10.96.0.10"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := accepted(t, tc.in)
			release, got := releaseNamed(t, r, nameNodeLocalDNS)
			service, _ := got["serviceAddress"].(string)
			if got["interception"] != tc.way || got["localAddress"] != tc.local || service != tc.service {
				t.Errorf("%v at %v and %q", got["interception"], got["localAddress"], service)
			}
			text := textOf(t, got)
			if bound := strings.Contains(text, "bind "+tc.binds+"\n"); bound != (tc.binds != "") || tc.binds == "" && strings.Contains(text, "bind") {
				t.Errorf("listens elsewhere:\n%s", text)
			}
			if !strings.Contains(strings.Join(release.Needs, " "), nameCoreDNS) || release.Spec.Stage != stageNodeLocalDNS {
				t.Errorf("needs %v at %d", release.Needs, release.Spec.Stage)
			}
			if got := RunsOn(&release.Spec, KubeProxyIPTables); got != tc.runsOnWhenUnwantedToo {
				t.Errorf("runs on when it is not wanted any more: %v", got)
			}
			var redirects, excluded any
			for _, o := range r.Releases {
				v := chartValues(t, o.Spec)
				if o.Name == nameCilium {
					redirects, _ = lookup(v, "localRedirectPolicies.enabled")
				}
				if o.Name == nameCalico {
					excluded, _ = lookup(v, "defaultFelixConfiguration.bpfExcludeCIDRsFromNAT")
				}
			}
			if (redirects == true) != tc.redirects {
				t.Errorf("Cilium redirects: %v", redirects)
			}
			if list, _ := excluded.([]any); !cmp.Equal(tc.excluded, list) {
				t.Errorf("Calico leaves %v alone", excluded)
			}
		})
	}
}

// TestOldCiliumRedirects wants the key that versions before 1.18 have.
func TestOldCiliumRedirects(t *testing.T) {
	in := cilium(func(in *Input) {
		withoutKubeProxy(in)
		mode(KubeProxyReplaced)(in)
		in.Stack.Spec.CNI.Version = "1.17.9"
	}, withDNS(withCache()))
	_, got := releaseNamed(t, accepted(t, in), nameCilium)
	if got["localRedirectPolicy"] != true || got["localRedirectPolicies"] != nil {
		t.Errorf("%v and %v", got["localRedirectPolicy"], got["localRedirectPolicies"])
	}
}

// textOf is the Corefile that a chart of ours makes of values.
func textOf(t *testing.T, values map[string]any) string {
	t.Helper()
	var config corev1.ConfigMap
	name := "coredns"
	if _, cache := values["interception"]; cache {
		name = "node-local-dns"
	}
	file := map[string]string{"coredns": "configmap.yaml", "node-local-dns": "config.yaml"}[name]
	docs := strings.Split(renderFile(t, name, "", values, file), "---\n")
	if err := yaml.Unmarshal([]byte(docs[len(docs)-1]), &config); err != nil {
		t.Fatal(err)
	}
	return config.Data["Corefile"]
}

// renderFile is what a chart's template makes of values; the chart in the binary, or upstream's of a version.
func renderFile(t *testing.T, name, version string, values map[string]any, file string) string {
	t.Helper()
	chart := testcharts.Embedded(t, name)
	if version != "" {
		chart = testcharts.Upstream(t, name, version)
	}
	toRender, err := chartutil.ToRenderValues(chart, values, chartutil.ReleaseOptions{Name: name, Namespace: "kube-system", IsInstall: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	rendered, err := engine.Render(chart, toRender)
	if err != nil {
		t.Fatal(err)
	}
	return rendered[name+"/templates/"+file]
}

// dnsOfAllSorts is a spec that says a lot.
func dnsOfAllSorts(d *DNSSpec) {
	d.Forward = &DNSForward{Servers: []string{"192.0.2.53", "[fd00::53]:5353"}, Policy: ForwardSequential, Protocol: DNSOverTLS, TLSServerName: "dns.example.com"}
	d.StubDomains = []DNSStubDomain{{Domain: "corp.example.com", CacheSeconds: ptr(int32(60)), DNSForward: DNSForward{Servers: []string{"192.0.2.54"}, Protocol: DNSOverTCP}}}
	d.Rewrites = []DNSRewrite{
		{From: "a.example.com", To: "web.default.svc.cluster.local"},
		{Match: RewriteRegex, From: `(.*)\.apps\.example\.com`, To: "{1}.default.svc.cluster.local"},
	}
	d.Cache = &DNSCache{SuccessCapacity: ptr(int32(20000)), DenialSeconds: ptr(int32(5)), Prefetch: ptr(int32(10)), ServeStale: lasting(3600)}
	d.TTL, d.PodRecords, d.Autopath, d.QueryLog, d.Lameduck = ptr(int32(5)), PodRecordsVerified, Enabled, Enabled, lasting(30)
	d.ServerBlocks = []string{"lab.example.com {\n  template IN A {\n    answer \"{{ .Name }} 60 IN A 192.0.2.1\"\n  }\n}"}
}

const corefileOfAllSorts = `.:53 {
  errors
  health {
    lameduck 30s
  }
  ready
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    fallthrough in-addr.arpa ip6.arpa
    ttl 5
    pods verified
  }
  prometheus :9153
  forward . tls://192.0.2.53 tls://[fd00::53]:5353 {
    max_concurrent 1000
    policy sequential
    tls_servername dns.example.com
  }
  cache 30 {
    disable success cluster.local
    disable denial cluster.local
    success 20000 30
    denial 9984 5
    prefetch 10
    serve_stale 1h0m0s
  }
  loop
  reload
  loadbalance
  autopath @kubernetes
  log
  rewrite stop name exact a.example.com web.default.svc.cluster.local
  rewrite stop {
    name regex (.*)\.apps\.example\.com {1}.default.svc.cluster.local
    answer auto
  }
}
lab.example.com:53 {
  template IN A {
    answer "{{ .Name }} 60 IN A 192.0.2.1"
  }
}
corp.example.com:53 {
  errors
  cache 60
  forward . 192.0.2.54 {
    max_concurrent 1000
    force_tcp
  }
}
`

// TestCorefile wants the same configuration of our chart and of upstream's, from the same values.
func TestCorefile(t *testing.T) {
	want, err := corefile.Parse(corefileOfAllSorts)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, version, of string
		edit              func(*DNSSpec)
	}{
		{name: "ours", edit: func(*DNSSpec) {}},
		{name: "upstream's", version: "1.46.2", edit: func(d *DNSSpec) {
			d.Version, d.Chart = "1.46.2", &ChartReference{Repository: "https://coredns.github.io/helm"}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, values := releaseNamed(t, accepted(t, flannel(withDNS(dnsOfAllSorts, tc.edit))), nameCoreDNS)
			var config corev1.ConfigMap
			if err := yaml.Unmarshal([]byte(renderFile(t, "coredns", tc.version, values, "configmap.yaml")), &config); err != nil {
				t.Fatal(err)
			}
			got, err := corefile.Parse(config.Data["Corefile"])
			if err != nil {
				t.Fatalf("%v in\n%s", err, config.Data["Corefile"])
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s\n%s", diff, config.Data["Corefile"])
			}
			var d appsv1.Deployment
			if err := yaml.Unmarshal([]byte(renderFile(t, "coredns", tc.version, values, "deployment.yaml")), &d); err != nil {
				t.Fatal(err)
			}
			var svc corev1.Service
			if err := yaml.Unmarshal([]byte(renderFile(t, "coredns", tc.version, values, "service.yaml")), &svc); err != nil {
				t.Fatal(err)
			}
			selects := map[string]string{"k8s-app": "kube-dns"}
			if d.Name != "coredns" || !cmp.Equal(d.Spec.Selector.MatchLabels, selects) || d.Spec.Template.Labels["k8s-app"] != "kube-dns" ||
				*d.Spec.Replicas != 2 || *d.Spec.Template.Spec.TerminationGracePeriodSeconds != 40 || d.Spec.Template.Spec.PriorityClassName == "" {
				t.Errorf("Deployment %+v", d)
			}
			if svc.Name != "kube-dns" || !cmp.Equal(svc.Spec.Selector, selects) || svc.Spec.ClusterIP != "10.96.0.10" {
				t.Errorf("Service %+v", svc)
			}
		})
	}
}

// TestFoundCorefile keeps what was found to the letter, or puts what the spec says in the place of it, and only that.
func TestFoundCorefile(t *testing.T) {
	changed := func(d *DNSSpec) {
		d.TTL = ptr(int32(5))
		d.StubDomains = []DNSStubDomain{{Domain: "corp.example.com", DNSForward: DNSForward{Servers: []string{"192.0.2.54"}}}}
	}
	_, kept := releaseNamed(t, accepted(t, flannel(withDNS(), coreDNSThere(), adopting)), nameCoreDNS)
	if got := textOf(t, kept); got != corefileOfKubeadm {
		t.Errorf("not to the letter: %s", cmp.Diff(corefileOfKubeadm, got))
	}
	var d appsv1.Deployment
	if err := yaml.Unmarshal([]byte(renderFile(t, "coredns", "", kept, "deployment.yaml")), &d); err != nil {
		t.Fatal(err)
	}
	if *d.Spec.Replicas != 3 || d.Spec.Template.Spec.Containers[0].Image != "registry.k8s.io/coredns/coredns:v1.13.1" || len(d.Spec.Template.Annotations) > 0 {
		t.Errorf("not as it was found: %+v", d)
	}

	first := accepted(t, flannel(withDNS(changed), coreDNSThere(), adopting))
	release, values := releaseNamed(t, first, nameCoreDNS)
	want, err := corefile.Parse(strings.NewReplacer("ttl 30", "ttl 5", "forward . 10.0.0.53", "cache 30\n    forward . 192.0.2.54 {\n max_concurrent 1000\n}").Replace(corefileOfKubeadm))
	if err != nil {
		t.Fatal(err)
	}
	got, err := corefile.Parse(textOf(t, values))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// Once it was taken over, what was found is in its component alone.
	again := flannel(withDNS(changed), adopting, dnsComponents(map[string]NetworkComponentSpec{nameCoreDNS: release.Spec}),
		cluster(func(s *facts.Snapshot) { s.DNSIPs = addrs("10.96.0.10") }))
	later, _ := releaseNamed(t, accepted(t, again), nameCoreDNS)
	if diff := cmp.Diff(string(release.Spec.DerivedValues.Raw), string(later.Spec.DerivedValues.Raw)); diff != "" {
		t.Errorf("another time: %s", diff)
	}
	if NeedsDNS(again) || !NeedsDNS(flannel(withDNS())) || NeedsDNS(flannel()) {
		t.Error("it is looked at when it is to be taken over, and not again")
	}
}

// TestNodeLocalZones asks CoreDNS for what it alone knows.
func TestNodeLocalZones(t *testing.T) {
	cached := func(edits ...func(*DNSSpec)) string {
		t.Helper()
		_, values := releaseNamed(t, accepted(t, flannel(withoutKubeProxy, mode(KubeProxyIPTables), withDNS(append(edits, withCache())...))), nameNodeLocalDNS)
		return textOf(t, values)
	}
	rest := func(text string) string {
		t.Helper()
		_, after, ok := strings.Cut(text, "\n.:53 {")
		if !ok {
			t.Fatalf("no block for the rest:\n%s", text)
		}
		return after
	}
	plainly := cached()
	if !strings.Contains(plainly, "cluster.local:53 {") || !strings.Contains(rest(plainly), "forward . "+pillarUpstream) || !strings.Contains(plainly, "health 169.254.20.10:8080") {
		t.Error(plainly)
	}
	forwarded := func(d *DNSSpec) { d.Forward = &DNSForward{Servers: []string{"192.0.2.53"}} }
	if text := cached(forwarded); !strings.Contains(rest(text), "forward . 192.0.2.53") {
		t.Error(text)
	}
	// With rewrites, any name may be another one.
	if text := cached(dnsOfAllSorts); !strings.Contains(text, "corp.example.com:53 {") || !strings.Contains(text, "lab.example.com:53 {") || !strings.Contains(rest(text), "forward . "+pillarCluster) {
		t.Error(text)
	}
}

// TestDNSServiceIPs follows the Service that is there, and else takes the tenth address of each range.
func TestDNSServiceIPs(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   Input
		want []any
		ip   string
	}{
		{"tenth", flannel(withDNS()), nil, "10.96.0.10"},
		{"of both families", flannel(dual, withDNS()), []any{"10.96.0.10", "fd00:10:96::a"}, "10.96.0.10"},
		{"there", flannel(withDNS(), cluster(func(s *facts.Snapshot) { s.DNSIPs = addrs("10.96.3.3") })), nil, "10.96.3.3"},
		{"stated", flannel(withDNS(func(d *DNSSpec) { d.ServiceIPs = []string{"10.96.0.53"} })), nil, "10.96.0.53"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, values := releaseNamed(t, accepted(t, tc.in), nameCoreDNS)
			service, _ := values["service"].(map[string]any)
			list, _ := service["clusterIPs"].([]any)
			if service["clusterIP"] != tc.ip || !cmp.Equal(tc.want, list) || (len(list) == 2) != (service["ipFamilyPolicy"] == "PreferDualStack") {
				t.Errorf("%v", service)
			}
		})
	}
	if _, ok := nth(netip.MustParsePrefix("10.0.0.0/29"), 10); ok {
		t.Error("there is no tenth address of eight")
	}
}
