package compose

import (
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"sigs.k8s.io/yaml"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/test/testcharts"
)

// render gives the objects that a release comes to, by "Kind name", after the chart's schema accepted the values.
func render(t *testing.T, c *chart.Chart, rel Release, values object) map[string]object {
	t.Helper()
	rendered, err := chartutil.ToRenderValues(c, values, chartutil.ReleaseOptions{
		Name: rel.Spec.ReleaseName, Namespace: rel.Spec.Namespace, Revision: 1, IsInstall: true,
	}, chartutil.DefaultCapabilities)
	if err != nil {
		t.Fatal(err)
	}
	files, err := engine.Render(c, rendered)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]object{}
	for file, text := range files {
		if path.Ext(file) == ".txt" {
			continue
		}
		for doc := range strings.SplitSeq("\n"+text, "\n---") {
			var o object
			if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
				t.Fatalf("%s: %v\n%s", file, err, doc)
			}
			kind, _ := o["kind"].(string)
			name, _ := lookup(o, "metadata.name")
			if text, ok := name.(string); ok {
				out[kind+" "+text] = o
			}
		}
	}
	return out
}

// TestCiliumRenders lets Cilium's own chart read the derived values: what counts is what reaches the agent.
func TestCiliumRenders(t *testing.T) {
	for _, version := range []string{"1.20.0", "1.19.6"} {
		t.Run(version, func(t *testing.T) {
			c := testcharts.Upstream(t, "cilium", version)
			for _, tc := range []struct {
				name string
				in   Input
				want map[string]string // of cilium-config; "" is absent
			}{
				{"A dual-stack overlay", cilium(dual, nodeMTUs(1500, 1500, 1500)), map[string]string{
					"ipam": "cluster-pool", "cluster-pool-ipv4-cidr": "10.244.0.0/16", "cluster-pool-ipv4-mask-size": "24",
					"cluster-pool-ipv6-cidr": "fd00:10:244::/56", "cluster-pool-ipv6-mask-size": "64",
					"enable-ipv4": "true", "enable-ipv6": "true", "routing-mode": "tunnel", "tunnel-protocol": "vxlan",
					"underlay-protocol": "ipv4", "mtu": "1500", "kube-proxy-replacement": "false",
					"enable-ipv4-masquerade": "true", "enable-ipv6-masquerade": "true", "enable-hubble": "false", "enable-wireguard": "",
				}},
				{"A jumbo frames over IPv6", cilium(onlyIPv6, mtu(8000), encapsulation(EncapsulationGeneve)), map[string]string{
					"enable-ipv4": "false", "enable-ipv6": "true", "mtu": "8070", "tunnel-protocol": "geneve", "underlay-protocol": "ipv6",
				}},
				{"A the nodes' ranges", cilium(noPools), map[string]string{
					"ipam": "kubernetes", "k8s-require-ipv4-pod-cidr": "true", "cluster-pool-ipv4-cidr": "", "mtu": "",
				}},
				{"B replaces kube-proxy", cilium(dual, mode(KubeProxyReplaced)), map[string]string{
					"kube-proxy-replacement": "true", "kube-proxy-replacement-healthz-bind-address": "0.0.0.0:10256", "bpf-lb-sock-hostns-only": "true",
				}},
				{"B replaces kube-proxy on IPv6", cilium(onlyIPv6, mode(KubeProxyReplaced)), map[string]string{
					"kube-proxy-replacement": "true", "kube-proxy-replacement-healthz-bind-address": "[::]:10256",
				}},
				{"C native", cilium(dual, encapsulation(EncapsulationNone)), map[string]string{
					"routing-mode": "native", "auto-direct-node-routes": "true",
					"ipv4-native-routing-cidr": "10.244.0.0/16", "ipv6-native-routing-cidr": "fd00:10:244::/56",
				}},
				{"C native without NAT", cilium(encapsulation(EncapsulationNone), cidrs("10.244.0.0/16", "10.245.0.0/16"), func(in *Input) {
					in.Stack.Spec.IPPools[0].NATOutgoing = Disabled
				}), map[string]string{
					"routing-mode": "native", "enable-ipv4-masquerade": "false", "ipv4-native-routing-cidr": "",
					"cluster-pool-ipv4-cidr": "10.244.0.0/16 10.245.0.0/16",
				}},
				{"C beside Multus", cilium(secondary(bridge("a"))), map[string]string{"cni-exclusive": "false"}},
				{"C alone", cilium(), map[string]string{"cni-exclusive": "true"}},
				{"D WireGuard", cilium(encryption(EncryptionWireGuard)), map[string]string{"enable-wireguard": "true", "enable-ipsec": ""}},
				{"D IPsec", cilium(encryption(EncryptionIPsec)), map[string]string{"enable-ipsec": "true", "enable-wireguard": ""}},
			} {
				t.Run(tc.name, func(t *testing.T) {
					rel, values := releaseNamed(t, accepted(t, tc.in), "cilium")
					objects := render(t, c, rel, values)
					config, _ := lookup(objects["ConfigMap cilium-config"], "data")
					got := map[string]string{}
					for key := range tc.want {
						got[key], _ = config.(object)[key].(string)
					}
					if diff := cmp.Diff(tc.want, got); diff != "" {
						t.Errorf("cilium-config (-want +got):\n%s", diff)
					}
					if tc.in.Stack.Spec.KubeProxy != nil {
						host := tc.in.Facts.APIServer.Host
						if env := environment(t, objects["DaemonSet cilium"]); env["KUBERNETES_SERVICE_HOST"] != host || env["KUBERNETES_SERVICE_PORT"] != "6443" {
							t.Errorf("the agent's API server is %q port %q, want %q", env["KUBERNETES_SERVICE_HOST"], env["KUBERNETES_SERVICE_PORT"], host)
						}
					}
					for name := range objects {
						if strings.HasPrefix(name, "Secret ") {
							t.Errorf("%s would be generated anew with every rendering", name)
						}
					}
					// Byte for byte the same with every rendering.
					if diff := cmp.Diff(objects, render(t, c, rel, values)); diff != "" {
						t.Errorf("a second rendering differs:\n%s", diff)
					}
				})
			}
		})
	}
}

// environment of the first container of a DaemonSet.
func environment(t *testing.T, ds object) map[string]string {
	t.Helper()
	containers, _ := lookup(ds, "spec.template.spec.containers")
	list, ok := containers.([]any)
	if !ok || len(list) == 0 {
		t.Fatalf("no containers: %v", ds)
	}
	out := map[string]string{}
	env, _ := list[0].(object)["env"].([]any)
	for _, e := range env {
		name, _ := e.(object)["name"].(string)
		value, _ := e.(object)["value"].(string)
		out[name] = value
	}
	return out
}

// TestOwnChartsRender lets the operator's own charts read the derived values.
func TestOwnChartsRender(t *testing.T) {
	ours := cluster(func(s *facts.Snapshot) { s.Installed[0].Component = "kube-proxy" })
	netConf := []string{"ConfigMap kube-flannel-cfg", "data", "net-conf.json"}
	daemonConf := []string{"ConfigMap multus-daemon-config", "data", "daemon-config.json"}
	proxyConf := []string{"ConfigMap kube-proxy", "data", "config.conf"}
	for _, tc := range []struct {
		name, release string
		in            Input
		document      []string
		want          map[string]any // paths in that document
	}{
		{"Flannel dual-stack", "flannel", flannel(dual, nodeMTUs(1500, 1500, 1500)), netConf, map[string]any{
			"Network": "10.244.0.0/16", "IPv6Network": "fd00:10:244::/56", "EnableIPv6": true, "Backend.Type": "vxlan", "Backend.MTU": 1480.0,
		}},
		{"Flannel IPv6", "flannel", flannel(onlyIPv6), netConf, map[string]any{
			"EnableIPv4": false, "IPv6Network": "fd00:10:244::/56", "Backend.Type": "vxlan", "Backend.MTU": nil,
		}},
		{"Flannel host-gw without kube-proxy", "flannel", flannel(withoutKubeProxy, encapsulation(EncapsulationNone)), netConf, map[string]any{
			"Network": "10.244.0.0/16", "Backend.Type": "host-gw",
		}},
		{"Flannel WireGuard", "flannel", flannel(encryption(EncryptionWireGuard), mtu(1400)), netConf, map[string]any{
			"Backend.Type": "wireguard", "Backend.MTU": 1480.0,
		}},
		{"Multus beside Flannel", "multus", flannel(secondary()), daemonConf, map[string]any{
			"cniVersion": "0.3.1", "multusMasterCNI": "10-flannel.conflist", "readinessindicatorfile": "/host/etc/cni/net.d/10-flannel.conflist",
		}},
		{"Multus beside Cilium elsewhere", "multus", cilium(secondary(), values(object{"cni": object{"confPath": "/a", "binPath": "/b"}})), daemonConf, map[string]any{
			"binDir": "/b", "cniConfigDir": "/host/a", "readinessindicatorfile": "/host/a/05-cilium.conflist",
		}},
		{"Multus beside an external CNI", "multus", external(secondary()), daemonConf, map[string]any{
			"multusMasterCNI": nil, "readinessindicatorfile": nil,
		}},
		{"kube-proxy dual-stack", "kube-proxy", flannel(dual, ours, mode(KubeProxyNFTables)), proxyConf, map[string]any{
			"mode": "nftables", "clusterCIDR": "10.244.0.0/16,fd00:10:244::/56", "detectLocalMode": "ClusterCIDR", "bindAddress": "0.0.0.0",
		}},
		{"kube-proxy IPv6", "kube-proxy", flannel(onlyIPv6, ours, mode(KubeProxyIPTables)), proxyConf, map[string]any{
			"mode": "iptables", "clusterCIDR": "fd00:10:244::/56", "bindAddress": "::",
		}},
		{"kube-proxy with Cilium's ranges", "kube-proxy", cilium(ours, mode(KubeProxyIPTables), cidrs("10.244.0.0/16", "10.245.0.0/16")), proxyConf, map[string]any{
			"detectLocalMode": "InterfaceNamePrefix", "detectLocal.interfaceNamePrefix": "lxc",
		}},
		{"kube-proxy with the nodes' ranges", "kube-proxy", flannel(ours, mode(KubeProxyIPTables), noPools), proxyConf, map[string]any{
			"detectLocalMode": "NodeCIDR",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rel, values := releaseNamed(t, accepted(t, tc.in), tc.release)
			objects := render(t, testcharts.Embedded(t, rel.Spec.Chart.Name), rel, values)
			data, _ := objects[tc.document[0]][tc.document[1]].(object)
			text, _ := data[tc.document[2]].(string)
			var document object
			if err := yaml.Unmarshal([]byte(text), &document); err != nil || document == nil {
				t.Fatalf("%v: %v\n%s", tc.document, err, text)
			}
			for at, want := range tc.want {
				if got, _ := lookup(document, at); got != want {
					t.Errorf("%s = %v, want %v in\n%s", at, got, want, text)
				}
			}
		})
	}
}

// TestAttachmentsRender lets the chart write what was composed, to the letter.
func TestAttachmentsRender(t *testing.T) {
	vf := virtualFunction(SRIOVAttachment{ResourceName: "example.com/a", VLAN: 7})
	in := flannel(secondary(bridge("a"), vf))
	rel, values := releaseNamed(t, accepted(t, in), "network-attachments")
	objects := render(t, testcharts.Embedded(t, rel.Spec.Chart.Name), rel, values)
	if len(objects) != 2 {
		t.Fatalf("%d objects: %v", len(objects), objects)
	}
	for _, a := range in.Stack.Spec.SecondaryNetworks.Attachments {
		o := objects["NetworkAttachmentDefinition "+a.Name]
		want, err := attachmentConfig(&a, "0.3.1")
		if err != nil {
			t.Fatal(err)
		}
		namespace, _ := lookup(o, "metadata.namespace")
		if got, _ := lookup(o, "spec.config"); got != want || namespace != a.Namespace {
			t.Errorf("%s in %v: %v, want %s", a.Name, namespace, got, want)
		}
	}
	annotations, _ := lookup(objects["NetworkAttachmentDefinition vf"], "metadata.annotations")
	if diff := cmp.Diff(object{"k8s.v1.cni.cncf.io/resourceName": "example.com/a"}, annotations); diff != "" {
		t.Error(diff)
	}
}

// TestRemovedCiliumValues holds the keys that are said to be gone to the charts.
func TestRemovedCiliumValues(t *testing.T) {
	for version, minor := range map[string]uint{"1.19.6": 19, "1.20.0": 20} {
		t.Run(version, func(t *testing.T) {
			c := testcharts.Upstream(t, "cilium", version)
			for _, r := range removedCiliumValues {
				if _, there := lookup(c.Values, r.key); there != (r.minor > minor) {
					t.Errorf("%s is in the chart: %v, and is said to be gone since 1.%d", r.key, there, r.minor)
				}
				key, _, _ := strings.Cut(strings.TrimPrefix(r.instead, "use "), " ")
				if key == "" || strings.HasPrefix(key, "spec.") || r.minor > minor {
					continue
				}
				if _, there := lookup(c.Values, key); !there {
					t.Errorf("%s is to be used in place of %s, and is not in the chart", key, r.key)
				}
			}
		})
	}
}

// TestCiliumChartFails holds the rules that say so to the chart, and what is not refused to its rendering.
func TestCiliumChartFails(t *testing.T) {
	for name, given := range map[string]object{
		"relay alone":            {"hubble": object{"relay": object{"enabled": true}}},
		"UI without relay":       {"hubble": object{"enabled": true, "ui": object{"enabled": true}}},
		"netkit with tproxy":     {"bpf": object{"datapathMode": "netkit", "tproxy": true}},
		"a name in capitals":     {"cluster": object{"name": "East"}},
		"a name of 33 letters":   {"cluster": object{"name": "abcdefghijklmnopqrstuvwxyz-123456"}},
		"an ID without a name":   {"cluster": object{"id": 7}},
		"an ID too large":        {"cluster": object{"name": "east", "id": 200}, "cni": object{"chainingMode": "aws-cni"}},
		"a tunnel, which is old": {"tunnel": "vxlan"},
	} {
		for _, version := range []string{"1.20.0", "1.19.6"} {
			t.Run(name+" "+version, func(t *testing.T) {
				c := testcharts.Upstream(t, "cilium", version)
				rel, values := releaseNamed(t, accepted(t, cilium()), "cilium")
				attempt := func(values object) error {
					rendered, err := chartutil.ToRenderValues(c, values, chartutil.ReleaseOptions{Name: "cilium", Namespace: rel.Spec.Namespace},
						chartutil.DefaultCapabilities)
					if err != nil {
						return err
					}
					_, err = engine.Render(c, rendered)
					return err
				}
				if err := attempt(values); err != nil {
					t.Fatalf("without the values: %v", err)
				}
				if attempt(MergeValues(values, given)) == nil {
					t.Error("the chart renders, so the refusal is wrong")
				}
				in := cilium(func(in *Input) { in.Stack.Spec.CNI.Values = rawValues(given) })
				if len(Compose(in).Errors) == 0 {
					t.Error("not refused, although the chart fails")
				}
			})
		}
	}
}
