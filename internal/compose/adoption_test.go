package compose

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
)

func adopt(in *Input) { in.Stack.Spec.Adoption = AdoptionAdopt }

func strategy() appsv1.DaemonSetUpdateStrategy {
	one, none := intstr.FromInt32(1), intstr.FromInt32(0)
	return appsv1.DaemonSetUpdateStrategy{Type: appsv1.RollingUpdateDaemonSetStrategyType,
		RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxUnavailable: &one, MaxSurge: &none}}
}

const (
	foundConfig     = "kind: KubeProxyConfiguration\nmode: \"\"\n"
	foundKubeconfig = "clusters:\n- cluster:\n    server: https://api.example.com:8443\n"
	foundCNIConf    = "{\n\"name\": \"cbr0\"}"
	foundNetConf    = "{\n\"Network\": \"10.200.0.0/16\", \"Backend\": {\"Type\": \"host-gw\"}}"
)

// kubeadmProxy is the kube-proxy that kubeadm made, looked at.
func kubeadmProxy(in *Input) {
	in.Facts.Installed[0].Source = "kubeadm"
	in.Facts.Installed[0].Image = "registry.example.com/k8s/kube-proxy:v1.36.3@sha256:00"
	in.Facts.Installed[0].Found = &facts.Found{
		Data:        map[string]string{"config.conf": foundConfig, "kubeconfig.conf": foundKubeconfig},
		Tolerations: []corev1.Toleration{{Operator: "Exists"}}, UpdateStrategy: strategy(),
	}
}

// kubectlFlannel is a Flannel of upstream's manifest, looked at.
func kubectlFlannel(in *Input) {
	in.Facts.Installed = append(in.Facts.Installed, facts.Installed{
		Type: facts.InstalledFlannel, Namespace: "kube-flannel", Name: "kube-flannel-ds", Image: "flannel:v0.28.9", Source: "kubectl",
		Found: &facts.Found{
			Data:        map[string]string{"cni-conf.json": foundCNIConf, "net-conf.json": foundNetConf},
			Tolerations: []corev1.Toleration{{Operator: "Exists", Effect: "NoSchedule"}}, UpdateStrategy: strategy(),
		},
	})
}

func backend(name string) func(*Input) {
	return func(in *Input) {
		kubectlFlannel(in)
		f := in.Facts.Installed[len(in.Facts.Installed)-1].Found
		f.Data["net-conf.json"] = strings.ReplaceAll(f.Data["net-conf.json"], "host-gw", name)
	}
}

func adoptionFindings() []finding {
	proxy := func(in *Input) { in.Stack.Spec.KubeProxy = &KubeProxySpec{Mode: KubeProxyIPTables} }
	helm := func(release, namespace string) func(*Input) {
		return cluster(func(s *facts.Snapshot) {
			s.Installed = append(s.Installed, facts.Installed{
				Type: facts.InstalledCilium, Namespace: "kube-system", Name: "cilium", Image: "quay.io/cilium/cilium:v1.20.0",
				Manager: "Helm release " + namespace + "/" + release, Source: "Helm release " + namespace + "/" + release,
				ReleaseName: release, ReleaseNamespace: namespace,
			})
		})
	}
	namespace := func(name string) func(*Input) { return func(in *Input) { in.Stack.Spec.CNI.Namespace = name } }
	kept := func(who string) func(*Input) {
		return func(in *Input) {
			last := &in.Facts.Installed[len(in.Facts.Installed)-1]
			last.Manager, last.Kept = who, true
		}
	}
	return []finding{
		{name: "adoption of kubeadm's kube-proxy", in: flannel(proxy, kubeadmProxy, adopt)},
		{name: "adoption of kubectl's Flannel", in: flannel(kubectlFlannel, adopt)},
		{name: "adoption of a Helm release", in: cilium(helm("net", "networking"), adopt)},
		{name: "adoption not asked for", in: cilium(helm("net", "networking")), errors: []string{
			`spec.cni.type: Invalid value: "Cilium": DaemonSet kube-system/cilium is Cilium already, of Helm release networking/net: set spec.adoption to Adopt to take it over (status.adoption of NetworkComponent cilium says what that changes), or set cni.type to External to leave it there [ADOPT-NOT-ASKED]`,
		}},
		{name: "adoption refused", in: flannel(kubectlFlannel, func(in *Input) { in.Stack.Spec.Adoption = AdoptionRefuse }), errors: []string{
			`spec.cni.type: Invalid value: "Flannel": DaemonSet kube-flannel/kube-flannel-ds is Flannel already, made by kubectl: set spec.adoption to Adopt to take it over (status.adoption of NetworkComponent flannel says what that changes), or set cni.type to External to leave it there [ADOPT-NOT-ASKED]`,
		}},
		{name: "adoption from another manager", in: flannel(kubectlFlannel, kept("Argo CD application net"), adopt), errors: []string{
			`spec.cni.type: Invalid value: "Flannel": DaemonSet kube-flannel/kube-flannel-ds is Flannel, managed by "Argo CD application net", which would undo every change, so it is never taken over: set cni.type to External to leave it there, or remove it where it is managed [ADOPT-MANAGED]`,
		}},
		{name: "adoption of another plugin", in: cilium(kubectlFlannel, adopt), errors: []string{
			`spec.cni.type: Invalid value: "Cilium": DaemonSet kube-flannel/kube-flannel-ds is Flannel, which NetworkStack did not install; two network plugins break every pod: set cni.type to External to leave it there, or remove it first [CNI-SECOND]`,
		}},
		{name: "adoption into another namespace", in: cilium(helm("net", "networking"), namespace("cilium"), adopt), errors: []string{
			`spec.cni.type: Invalid value: "Cilium": DaemonSet kube-system/cilium is Cilium, of Helm release networking/net, and what is there cannot be taken over into another namespace: remove namespace, which is networking now [ADOPT-NAMESPACE]`,
		}},
		{name: "adoption in its namespace", in: cilium(helm("net", "networking"), namespace("networking"), adopt)},
		{name: "adoption of one of two", in: flannel(kubectlFlannel, kubectlFlannel, adopt), errors: []string{
			`spec.cni.type: Invalid value: "Flannel": DaemonSet kube-flannel/kube-flannel-ds is Flannel, made by kubectl, beside another one: remove one of them [ADOPT-SEVERAL]`,
			`spec.cni.type: Invalid value: "Flannel": DaemonSet kube-flannel/kube-flannel-ds is Flannel, made by kubectl, beside another one: remove one of them [ADOPT-SEVERAL]`,
		}},
		{name: "adoption of a backend that is not supported", in: flannel(backend("udp"), adopt), errors: []string{
			`spec.cni.encapsulation: Invalid value: "": the Flannel that is there uses the backend udp, which is not supported here: set cni.type to External to leave it there, or move it to vxlan, host-gw or wireguard first [ADOPT-BACKEND]`,
		}},
		{name: "adoption that is neither", in: flannel(func(in *Input) { in.Stack.Spec.Adoption = "Maybe" }), errors: []string{
			`spec.adoption: Unsupported value: "Maybe": supported values: "Adopt", "Refuse" [STACK-UNKNOWN-VALUE]`,
		}},
	}
}

// derived are the derived values of a release.
func derived(t *testing.T, r *Release) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal(r.Spec.DerivedValues.Raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func composed(t *testing.T, in Input, name string) (Result, *Release) {
	t.Helper()
	result := Compose(in)
	for _, list := range [][]Release{result.Releases, result.Inspect} {
		for i := range list {
			if list[i].Name == name {
				return result, &list[i]
			}
		}
	}
	t.Fatalf("no release %s: %v", name, result.Errors)
	return result, nil
}

// A Flannel that is taken over keeps the families that it has on, whatever networks its configuration names beside.
func TestAdoptedFamilies(t *testing.T) {
	const networks = `"Network": "10.200.0.0/16", "IPv6Network": "fd00:200::/56", "Backend": {"Type": "vxlan"}}`
	for conf, want := range map[string][2]string{
		`{` + networks:                     {"10.200.0.0/16", ""},
		`{"EnableIPv6": true, ` + networks: {"10.200.0.0/16", "fd00:200::/56"},
		`{"EnableIPv4": false, "EnableIPv6": true, ` + networks: {"", "fd00:200::/56"},
	} {
		in := flannel(kubectlFlannel, adopt, func(in *Input) {
			in.Stack.Spec.IPPools = nil
			in.Facts.Installed[len(in.Facts.Installed)-1].Found.Data["net-conf.json"] = conf
		})
		_, r := composed(t, in, "flannel")
		values := derived(t, r)
		if got := [2]string{fmt.Sprint(values["podCidr"]), fmt.Sprint(values["podCidrv6"])}; got != want {
			t.Errorf("%s: %q, want %q", conf, got, want)
		}
	}
}

// What is taken over keeps what the spec does not say, and goes on keeping it.
func TestAdoptedValues(t *testing.T) {
	noPools := func(in *Input) { in.Stack.Spec.IPPools = nil }
	proxy := func(in *Input) { in.Stack.Spec.KubeProxy = &KubeProxySpec{Mode: KubeProxyIPTables} }
	rolling := map[string]any{"type": "RollingUpdate", "rollingUpdate": map[string]any{"maxUnavailable": 1.0, "maxSurge": 0.0}}
	wantProxy := map[string]any{
		"layout": "kubeadm", "mode": "iptables", "resources": nil, "updateStrategy": rolling,
		"image":       map[string]any{"tag": "v1.36.3", "repository": "registry.example.com/k8s/kube-proxy"},
		"apiServer":   map[string]any{"host": "api.example.com", "port": 8443.0},
		"tolerations": []any{map[string]any{"operator": "Exists"}},
		"found":       map[string]any{"config": foundConfig, "kubeconfig": foundKubeconfig},
	}
	wantFlannel := map[string]any{
		"layout": "manifest", "podCidr": "10.200.0.0/16", "podCidrv6": "", "updateStrategy": rolling,
		"found": map[string]any{"cniConf": foundCNIConf, "netConf": foundNetConf},
		"flannel": map[string]any{"backend": "host-gw", "args": []any{"--ip-masq", "--kube-subnet-mgr"}, "cniConf": foundCNIConf,
			"tolerations": []any{map[string]any{"operator": "Exists", "effect": "NoSchedule"}}},
	}
	for _, tc := range []struct {
		name string
		in   func(more ...func(*Input)) Input
		want map[string]any
	}{
		{"kube-proxy", func(more ...func(*Input)) Input {
			return flannel(append([]func(*Input){proxy, kubeadmProxy, noPools}, more...)...)
		}, wantProxy},
		{"flannel", func(more ...func(*Input)) Input {
			return flannel(append([]func(*Input){kubectlFlannel, noPools}, more...)...)
		}, wantFlannel},
	} {
		t.Run(tc.name, func(t *testing.T) {
			result, r := composed(t, tc.in(adopt), tc.name)
			if diff := cmp.Diff(tc.want, derived(t, r)); diff != "" || r.Spec.Adoption != AdoptionAdopt || len(result.Inspect) > 0 {
				t.Fatalf("adopted %s: %s", r.Spec.Adoption, diff)
			}
			for _, e := range result.Effective {
				if strings.Contains(e.Value, "\n") {
					t.Errorf("a whole text in status.effective: %s", e.Setting)
				}
				if strings.HasSuffix(e.Setting, ": layout") && !strings.Contains(e.Reason, "kept from") {
					t.Errorf("layout because %q", e.Reason)
				}
			}
			// Without the permission the same is compared, and not installed.
			result, reported := composed(t, tc.in(), tc.name)
			if diff := cmp.Diff(tc.want, derived(t, reported)); diff != "" || reported.Spec.Adoption != AdoptionRefuse ||
				len(result.Releases) > 0 || len(result.Inspect) != 1 || len(result.Errors) != 1 {
				t.Errorf("reported %s, %v: %s", reported.Spec.Adoption, result.Errors, diff)
			}
			// With another refusal beside it there is nothing to compare.
			if result := Compose(tc.in(func(in *Input) { in.Stack.Spec.MTU = 100 })); len(result.Inspect) > 0 {
				t.Errorf("to be compared: %v", result.Inspect)
			}
			// Once it is ours, what is live does not count any more, whatever spec.adoption says.
			ours := func(in *Input) {
				for i := range in.Facts.Installed {
					if componentName(string(in.Facts.Installed[i].Type)) != tc.name {
						continue
					}
					in.Facts.Installed[i].Component = tc.name
					in.Facts.Installed[i].Found = nil
				}
				in.Existing = map[string]NetworkComponentSpec{tc.name: r.Spec}
			}
			for _, policy := range []AdoptionPolicy{AdoptionAdopt, AdoptionRefuse, ""} {
				_, again := composed(t, tc.in(ours, func(in *Input) { in.Stack.Spec.Adoption = policy }), tc.name)
				if diff := cmp.Diff(tc.want, derived(t, again)); diff != "" || again.Spec.Namespace != r.Spec.Namespace || again.Spec.ReleaseName != r.Spec.ReleaseName {
					t.Errorf("afterwards: %s", diff)
				}
			}
			// In the middle of a take-over the configuration is ours already, and the workload not yet.
			_, middle := composed(t, tc.in(adopt, func(in *Input) {
				in.Existing = map[string]NetworkComponentSpec{tc.name: r.Spec}
				for i := range in.Facts.Installed {
					if f := in.Facts.Installed[i].Found; f != nil {
						f.Ours, f.Data = true, map[string]string{"config.conf": "changed", "net-conf.json": "{}"}
					}
				}
			}), tc.name)
			if diff := cmp.Diff(tc.want, derived(t, middle)); diff != "" {
				t.Errorf("in the middle: %s", diff)
			}
		})
	}
}

// What the spec says wins over what was found.
func TestAdoptedValuesSaidOtherwise(t *testing.T) {
	in := flannel(kubeadmProxy, kubectlFlannel, adopt, func(in *Input) {
		in.Stack.Spec.KubeProxy = &KubeProxySpec{Mode: KubeProxyNFTables}
		in.Stack.Spec.Cluster = &PinnedFacts{APIServer: &Endpoint{Host: "lb.example.com", Port: 6443}}
		in.Stack.Spec.CNI.Encapsulation = EncapsulationVXLAN
		in.Stack.Spec.IPPools = []IPPool{{Name: "default", CIDRs: []string{"10.244.0.0/16"}}}
		in.Stack.Spec.MTU = 1400
	})
	_, proxy := composed(t, in, "kube-proxy")
	v := derived(t, proxy)
	if v["mode"] != "nftables" || v["clusterCIDR"] != "10.244.0.0/16" || v["apiServer"].(map[string]any)["host"] != "lb.example.com" || v["layout"] != "kubeadm" {
		t.Errorf("kube-proxy: %v", v)
	}
	_, cni := composed(t, in, "flannel")
	v = derived(t, cni)
	if f := v["flannel"].(map[string]any); f["backend"] != "vxlan" || f["mtu"] != 1450.0 || v["podCidr"] != "10.244.0.0/16" {
		t.Errorf("Flannel: %v", v)
	}
}

// The release of Helm's command line is continued where it is, and stays there.
func TestAdoptedRelease(t *testing.T) {
	found := func(component string) func(*Input) {
		return func(in *Input) {
			in.Facts.Installed = append(in.Facts.Installed, facts.Installed{
				Type: facts.InstalledCilium, Namespace: "networking", Name: "cilium", Image: "quay.io/cilium/cilium:v1.20.0", Component: component,
				Manager: "Helm release networking/net", Source: "Helm release networking/net", ReleaseName: "net", ReleaseNamespace: "networking",
			})
		}
	}
	_, r := composed(t, cilium(found(""), adopt), "cilium")
	if r.Spec.ReleaseName != "net" || r.Spec.Namespace != "networking" {
		t.Errorf("release %s/%s", r.Spec.Namespace, r.Spec.ReleaseName)
	}
	for _, existing := range []map[string]NetworkComponentSpec{nil, {"cilium": r.Spec}} {
		_, again := composed(t, cilium(found("cilium"), func(in *Input) { in.Existing = existing }), "cilium")
		if again.Spec.ReleaseName != "net" || again.Spec.Namespace != "networking" {
			t.Errorf("afterwards release %s/%s", again.Spec.Namespace, again.Spec.ReleaseName)
		}
	}
}

// TestAdoptedCiliumKeepsSocketLB: the chart tells what was never said from what is off, and either way its agents would start again.
func TestAdoptedCiliumKeepsSocketLB(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		found *facts.Found
		want  any
	}{
		"not known":  {nil, nil},
		"never said": {&facts.Found{}, nil},
		"said":       {&facts.Found{Data: map[string]string{facts.CiliumSocketLBKey: "true"}}, true},
	} {
		in := cilium(mode(KubeProxyReplaced), withoutKubeProxy, adopt, cluster(func(s *facts.Snapshot) {
			s.Installed = append(s.Installed, facts.Installed{
				Type: facts.InstalledCilium, Namespace: "kube-system", Name: "cilium", Image: "quay.io/cilium/cilium:v1.20.0", Found: tc.found,
				Manager: "Helm release kube-system/cilium", Source: "Helm release kube-system/cilium", ReleaseName: "cilium", ReleaseNamespace: "kube-system",
			})
		}))
		_, release := composed(t, in, "cilium")
		values, err := ParseValues(release.Spec.DerivedValues)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := lookup(values, "socketLB.hostNamespaceOnly"); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

func TestNeedsFound(t *testing.T) {
	proxy := func(in *Input) { in.Stack.Spec.KubeProxy = &KubeProxySpec{Mode: KubeProxyIPTables} }
	existing := func(in *Input) { in.Existing = map[string]NetworkComponentSpec{"kube-proxy": {}} }
	kubeProxy := facts.Installed{Type: facts.InstalledKubeProxy}
	for _, tc := range []struct {
		name string
		in   Input
		i    facts.Installed
		want bool
	}{
		{"foreign and wanted", flannel(proxy), kubeProxy, true},
		{"foreign, reported already", flannel(proxy, existing), kubeProxy, true},
		{"unmanaged", flannel(), kubeProxy, false},
		{"kept by a manager", flannel(proxy), facts.Installed{Type: facts.InstalledKubeProxy, Kept: true}, false},
		{"ours", flannel(proxy, existing), facts.Installed{Type: facts.InstalledKubeProxy, Component: "kube-proxy", Layout: "kubeadm"}, false},
		{"ours, and its component lost", flannel(proxy), facts.Installed{Type: facts.InstalledKubeProxy, Component: "kube-proxy", Layout: "kubeadm"}, true},
		{"ours, never taken over", flannel(proxy), facts.Installed{Type: facts.InstalledKubeProxy, Component: "kube-proxy"}, false},
		{"another plugin", cilium(), facts.Installed{Type: facts.InstalledFlannel}, false},
		{"Cilium, for what it says", cilium(), facts.Installed{Type: facts.InstalledCilium}, true},
		{"Cilium of ours", cilium(), facts.Installed{Type: facts.InstalledCilium, Component: "cilium"}, false},
		{"a plugin without a layout", calico(), facts.Installed{Type: facts.InstalledCalico}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := NeedsFound(tc.in, tc.i); got != tc.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
