package charts_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestFlannel(t *testing.T) {
	for file, test := range map[string]struct {
		values  string
		netConf map[string]any
	}{
		"flannel-ipv4": {
			values:  "{}",
			netConf: map[string]any{"Network": "10.244.0.0/16", "Backend": map[string]any{"Type": "vxlan"}},
		},
		"flannel-dual-stack": {
			values: `{podCidr: 10.42.0.0/16, podCidrv6: "fd00:10:42::/56", flannel: {mtu: 1450, backendPort: 4789, vni: 7, directRouting: true}, kubeApi: {host: "[fd00::1]", port: 6443}, global: {imagePullSecrets: [{name: pull}]}}`,
			netConf: map[string]any{"Network": "10.42.0.0/16", "EnableIPv6": true, "IPv6Network": "fd00:10:42::/56", "Backend": map[string]any{
				"Type": "vxlan", "MTU": 1450.0, "Port": 4789.0, "VNI": 7.0, "DirectRouting": true,
			}},
		},
		"flannel-ipv6": {
			values:  `{podCidr: "", podCidrv6: "fd00:10:42::/56", flannel: {enableNFTables: true}}`,
			netConf: map[string]any{"EnableIPv4": false, "EnableIPv6": true, "IPv6Network": "fd00:10:42::/56", "EnableNFTables": true, "Backend": map[string]any{"Type": "vxlan"}},
		},
		"flannel-wireguard": {
			// What upstream's chart needs, quotes inside the string, is understood as well. vni is vxlan's.
			values: `{flannel: {backend: wireguard, mtu: 1500, tunnelMode: "\"ipv4\"", keepaliveInterval: 25, psk: "a\"b", vni: 9, cniBinDir: /var/lib/cni/bin, cniConfDir: /var/lib/cni/net.d}}`,
			netConf: map[string]any{"Network": "10.244.0.0/16", "Backend": map[string]any{
				"Type": "wireguard", "MTU": 1500.0, "Mode": "ipv4", "PersistentKeepaliveInterval": 25.0, "PSK": `a"b`,
			}},
		},
		"flannel-host-gw": {
			values:  `{flannel: {backend: host-gw, mtu: 9000, args: [--kube-subnet-mgr, "--iface=eth1"], skipCNIConfigInstallation: true, healthz: {port: 0}, nodeSelector: {pool: a}}}`,
			netConf: map[string]any{"Network": "10.244.0.0/16", "Backend": map[string]any{"Type": "host-gw"}},
		},
		"flannel-netpol": {
			values:  `{netpol: {enabled: true}, kubeApi: {host: api.example.com, port: 443}}`,
			netConf: map[string]any{"Network": "10.244.0.0/16", "Backend": map[string]any{"Type": "vxlan"}},
		},
	} {
		t.Run(file, func(t *testing.T) {
			objects := golden(t, "flannel", "kube-flannel", file, test.values)
			ds := find[*appsv1.DaemonSet](t, objects)
			if diff := cmp.Diff(&metav1.LabelSelector{MatchLabels: map[string]string{"app": "flannel"}}, ds.Spec.Selector); diff != "" || ds.Name != "kube-flannel-ds" {
				t.Errorf("DaemonSet %s, selector %s", ds.Name, diff)
			}
			config := find[*corev1.ConfigMap](t, objects)
			var got, cniConf map[string]any
			if err := json.Unmarshal([]byte(config.Data["net-conf.json"]), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.netConf, got); diff != "" {
				t.Errorf("net-conf.json (-want +got):\n%s", diff)
			}
			if err := json.Unmarshal([]byte(config.Data["cni-conf.json"]), &cniConf); err != nil || cniConf["name"] != "cbr0" {
				t.Errorf("cni-conf.json: %v %v", cniConf, err)
			}
			binding := find[*rbacv1.ClusterRoleBinding](t, objects)
			if binding.Subjects[0].Namespace != "kube-flannel" || binding.RoleRef.Name != find[*rbacv1.ClusterRole](t, objects).Name {
				t.Errorf("binding %v", binding)
			}
		})
	}
}

func TestFlannelDetails(t *testing.T) {
	pod := func(values string) corev1.PodTemplateSpec {
		t.Helper()
		out, err := render(t, "flannel", "kube-flannel", values)
		if err != nil {
			t.Fatal(err)
		}
		return find[*appsv1.DaemonSet](t, decode(t, out)).Spec.Template
	}
	base := pod("{}")
	checksum := base.Annotations["checksum/config"]
	if pod(`{flannel: {mtu: 1400}}`).Annotations["checksum/config"] == checksum {
		t.Error("a changed MTU does not change the checksum")
	}
	if pod(`{flannel: {psk: unread-by-vxlan}}`).Annotations["checksum/config"] != checksum {
		t.Error("a setting that vxlan does not read changes the checksum")
	}
	flanneld := base.Spec.Containers[0]
	if diff := cmp.Diff([]string{"--ip-masq", "--kube-subnet-mgr", "--healthz-port=8081"}, flanneld.Args); diff != "" {
		t.Error(diff)
	}
	if flanneld.LivenessProbe == nil || flanneld.ReadinessProbe == nil || flanneld.LivenessProbe.HTTPGet.Path != "/healthz" || flanneld.ReadinessProbe.HTTPGet.Path != "/readyz" {
		t.Errorf("probes %v %v", flanneld.LivenessProbe, flanneld.ReadinessProbe)
	}
	if diff := cmp.Diff([]corev1.Capability{"NET_ADMIN", "NET_RAW"}, flanneld.SecurityContext.Capabilities.Add); diff != "" {
		t.Error(diff)
	}
	if got := pod(`{podCidrv6: "fd00::/56"}`).Spec.Containers[0].Args; got[len(got)-1] != "--healthz-ip=::" {
		t.Errorf("with IPv6 the health server listens as %v", got)
	}
	if got := pod(`{podCidrv6: "fd00::/56", flannel: {args: ["--healthz-ip=fd00::9"]}}`).Spec.Containers[0].Args; len(got) != 2 {
		t.Errorf("an own --healthz-ip is overruled: %v", got)
	}
	env := pod(`{kubeApi: {host: "[fd00::1]", port: 6443}, netpol: {enabled: true}}`).Spec.Containers
	for _, c := range env {
		last := c.Env[len(c.Env)-2:]
		if last[0] != (corev1.EnvVar{Name: "KUBERNETES_SERVICE_HOST", Value: "fd00::1"}) || last[1] != (corev1.EnvVar{Name: "KUBERNETES_SERVICE_PORT", Value: "6443"}) {
			t.Errorf("%s: %v", c.Name, last)
		}
	}
}

func TestFlannelRefuses(t *testing.T) {
	refuses(t, "flannel", `{podCidr: ""}`, "podCidr and podCidrv6 are both empty", "Set podCidr")
	refuses(t, "flannel", `{flannel: {backend: geneve}}`, "backend", "'vxlan', 'host-gw', 'wireguard'")
	refuses(t, "flannel", `{podCidrv6: "fd00::/56", flannel: {backend: udp}}`, "carries IPv4 only", "wireguard")
	refuses(t, "flannel", `{flannel: {backend: ipsec, psk: short}}`, "at least 96 characters")
	refuses(t, "flannel", `{kubeApi: {host: 10.0.0.1}}`, "kubeApi.port")
	refuses(t, "flannel", `{kubeApi: {port: 6443}}`, "kubeApi.host")
	refuses(t, "flannel", `{flannel: {cniConf: "{not json"}}`, "cniConf is not a JSON object")
	refuses(t, "flannel", `{podCidr: 10.244.0.0/29}`, "podCidr")
	refuses(t, "flannel", `{podCidr: "fd00::/56"}`, "podCidr")
	refuses(t, "flannel", `{flannel: {tunelMode: auto}}`, "tunelMode")
	refuses(t, "flannel", `{flannel: {backend: wireguard, tunnelMode: both}}`, "tunnelMode")
}
