package charts_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/tools/clientcmd"
	kubeproxyv1alpha1 "k8s.io/kube-proxy/config/v1alpha1"
	"sigs.k8s.io/yaml"
)

const required = `mode: iptables
apiServer: {host: 10.0.0.1, port: 6443}
image: {tag: v1.36.3}
`

// with merges YAML values over the required ones.
func with(t *testing.T, more string) string {
	t.Helper()
	values := map[string]any{}
	for _, doc := range []string{required, more} {
		if err := yaml.Unmarshal([]byte(doc), &values); err != nil {
			t.Fatal(err)
		}
	}
	out, err := yaml.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// proxyConfig strictly decodes the KubeProxyConfiguration.
func proxyConfig(t *testing.T, objects []runtime.Object) *kubeproxyv1alpha1.KubeProxyConfiguration {
	t.Helper()
	s := runtime.NewScheme()
	if err := kubeproxyv1alpha1.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	data := find[*corev1.ConfigMap](t, objects).Data["config.conf"]
	object, _, err := serializer.NewCodecFactory(s, serializer.EnableStrict).UniversalDeserializer().Decode([]byte(data), nil, nil)
	if err != nil {
		t.Fatalf("%v in:\n%s", err, data)
	}
	return object.(*kubeproxyv1alpha1.KubeProxyConfiguration)
}

func server(t *testing.T, objects []runtime.Object) string {
	t.Helper()
	config, err := clientcmd.Load([]byte(find[*corev1.ConfigMap](t, objects).Data["kubeconfig.conf"]))
	if err != nil {
		t.Fatal(err)
	}
	if err := clientcmd.ConfirmUsable(*config, ""); err != nil {
		// The certificate authority's file exists in the pod only.
		t.Log(err)
	}
	current := config.Contexts[config.CurrentContext]
	if config.AuthInfos[current.AuthInfo].TokenFile != "/var/run/secrets/kubernetes.io/serviceaccount/token" {
		t.Errorf("token file %v", config.AuthInfos[current.AuthInfo])
	}
	return config.Clusters[current.Cluster].Server
}

func TestKubeProxy(t *testing.T) {
	for file, test := range map[string]struct {
		values string
		server string
		check  func(*testing.T, *kubeproxyv1alpha1.KubeProxyConfiguration)
	}{
		"kube-proxy-iptables": {
			values: `{clusterCIDR: 10.244.0.0/16, conntrack: {maxPerCore: 0, min: 2097152, tcpBeLiberal: true, tcpEstablishedTimeout: 24h}, clientConnection: {qps: 50, burst: 100}, logLevel: 2, metricsBindAddress: "0.0.0.0:10249"}`,
			server: "https://10.0.0.1:6443",
			check: func(t *testing.T, c *kubeproxyv1alpha1.KubeProxyConfiguration) {
				if c.Mode != "iptables" || c.BindAddress != "0.0.0.0" || c.ClusterCIDR != "10.244.0.0/16" || c.Logging.Verbosity != 2 || c.MetricsBindAddress != "0.0.0.0:10249" {
					t.Errorf("%+v", c)
				}
				if c.Conntrack.MaxPerCore == nil || *c.Conntrack.MaxPerCore != 0 || *c.Conntrack.Min != 2097152 || !c.Conntrack.TCPBeLiberal || c.Conntrack.TCPEstablishedTimeout.Duration != 24*time.Hour {
					t.Errorf("conntrack %+v", c.Conntrack)
				}
				if c.ClientConnection.QPS != 50 || c.ClientConnection.Burst != 100 || c.ClientConnection.Kubeconfig != "/var/lib/kube-proxy/kubeconfig.conf" {
					t.Errorf("clientConnection %+v", c.ClientConnection)
				}
			},
		},
		"kube-proxy-nftables-dual-stack": {
			values: `{mode: nftables, clusterCIDR: "fd00:10:244::/56,10.244.0.0/16", apiServer: {host: "fd00::1", port: 443}, nodePortAddresses: [primary], nftables: {masqueradeAll: true, minSyncPeriod: 2s}, securityContext: {mode: InitOnly}, extraArgs: ["--v=4"]}`,
			server: "https://[fd00::1]:443",
			check: func(t *testing.T, c *kubeproxyv1alpha1.KubeProxyConfiguration) {
				if c.Mode != "nftables" || c.BindAddress != "::" || !c.NFTables.MasqueradeAll || c.NFTables.MinSyncPeriod.Duration != 2*time.Second {
					t.Errorf("%+v", c)
				}
				if diff := cmp.Diff([]string{"primary"}, c.NodePortAddresses); diff != "" {
					t.Error(diff)
				}
			},
		},
		"kube-proxy-ipvs": {
			values: `{mode: ipvs, apiServer: {host: "[fd00::2]", port: 6443}, ipvs: {scheduler: lc, strictARP: true, excludeCIDRs: [192.0.2.0/24]}, detectLocalMode: InterfaceNamePrefix, detectLocal: {interfaceNamePrefix: cali}, healthzBindAddress: "127.0.0.1:10300", imagePullSecrets: [{name: pull}]}`,
			server: "https://[fd00::2]:6443",
			check: func(t *testing.T, c *kubeproxyv1alpha1.KubeProxyConfiguration) {
				if c.Mode != "ipvs" || c.IPVS.Scheduler != "lc" || !c.IPVS.StrictARP || c.DetectLocalMode != "InterfaceNamePrefix" || c.DetectLocal.InterfaceNamePrefix != "cali" {
					t.Errorf("%+v", c)
				}
				if diff := cmp.Diff([]string{"192.0.2.0/24"}, c.IPVS.ExcludeCIDRs); diff != "" {
					t.Error(diff)
				}
			},
		},
	} {
		t.Run(file, func(t *testing.T) {
			objects := golden(t, "kube-proxy", "kube-system", file, with(t, test.values))
			test.check(t, proxyConfig(t, objects))
			if got := server(t, objects); got != test.server {
				t.Errorf("server %s, want %s", got, test.server)
			}
			ds := find[*appsv1.DaemonSet](t, objects)
			if diff := cmp.Diff(&metav1.LabelSelector{MatchLabels: map[string]string{"k8s-app": "kube-proxy"}}, ds.Spec.Selector); diff != "" || ds.Name != "kube-proxy" {
				t.Errorf("DaemonSet %s, selector %s", ds.Name, diff)
			}
			config := find[*corev1.ConfigMap](t, objects)
			if config.Name != "kube-proxy" || config.Labels["app"] != "kube-proxy" {
				t.Errorf("ConfigMap %s %v", config.Name, config.Labels)
			}
			if b := find[*rbacv1.ClusterRoleBinding](t, objects); b.Name != "kubeadm:node-proxier" || b.RoleRef.Name != "system:node-proxier" {
				t.Errorf("binding %v", b)
			}
			if b := find[*rbacv1.RoleBinding](t, objects); b.Name != "kube-proxy" || b.Subjects[0].Name != "system:bootstrappers:kubeadm:default-node-token" {
				t.Errorf("binding %v", b)
			}
		})
	}
}

func TestKubeProxyDetails(t *testing.T) {
	template := func(more string) corev1.PodTemplateSpec {
		t.Helper()
		out, err := render(t, "kube-proxy", "kube-system", with(t, more))
		if err != nil {
			t.Fatal(err)
		}
		return find[*appsv1.DaemonSet](t, decode(t, out)).Spec.Template
	}
	base := template("{}")
	proxy := base.Spec.Containers[0]
	if proxy.Image != "registry.k8s.io/kube-proxy:v1.36.3" || !*proxy.SecurityContext.Privileged || len(base.Spec.InitContainers) != 0 {
		t.Errorf("%+v", proxy)
	}
	if diff := cmp.Diff([]string{"/usr/local/bin/kube-proxy", "--config=/var/lib/kube-proxy/config.conf", "--hostname-override=$(NODE_NAME)"}, proxy.Command); diff != "" {
		t.Error(diff)
	}
	if get := proxy.LivenessProbe.HTTPGet; get.Path != "/livez" || get.Port.IntValue() != 10256 || get.Host != "" {
		t.Errorf("liveness %v", get)
	}
	if get := proxy.ReadinessProbe.HTTPGet; get.Path != "/healthz" || get.Port.IntValue() != 10256 {
		t.Errorf("readiness %v", get)
	}
	if get := template(`{healthzBindAddress: "[::1]:10300"}`).Spec.Containers[0].LivenessProbe.HTTPGet; get.Host != "::1" || get.Port.IntValue() != 10300 {
		t.Errorf("liveness of a loopback server %v", get)
	}
	low := template(`{securityContext: {mode: InitOnly}}`).Spec
	if init := low.InitContainers[0]; init.Command[len(init.Command)-1] != "--init-only" || !*init.SecurityContext.Privileged {
		t.Errorf("init container %+v", init)
	}
	if main := low.Containers[0].SecurityContext; *main.Privileged || !cmp.Equal(main.Capabilities.Add, []corev1.Capability{"NET_ADMIN", "SYS_RESOURCE"}) {
		t.Errorf("main container %+v", main)
	}
	for _, more := range []string{`{logLevel: 3}`, `{apiServer: {host: 10.0.0.2, port: 6443}}`} {
		if template(more).Annotations["checksum/config"] == base.Annotations["checksum/config"] {
			t.Errorf("%s does not change the checksum", more)
		}
	}
}

func TestKubeProxyRefuses(t *testing.T) {
	refuses(t, "kube-proxy", `{apiServer: {host: 10.0.0.1, port: 6443}, image: {tag: v1.36.3}}`, "mode is required")
	refuses(t, "kube-proxy", `{mode: iptables, image: {tag: v1.36.3}}`, "apiServer.host and apiServer.port are required")
	refuses(t, "kube-proxy", `{mode: iptables, apiServer: {host: 10.0.0.1, port: 6443}}`, "image.tag is required")
	refuses(t, "kube-proxy", with(t, `{mode: userspace}`), "mode", "'iptables', 'nftables', 'ipvs'")
	refuses(t, "kube-proxy", with(t, `{mode: nftables, image: {tag: v1.30.2}}`), "v1.31 or newer")
	refuses(t, "kube-proxy", with(t, `{clusterCIDR: "10.0.0.0/16,10.1.0.0/16"}`), "two ranges of one family")
	refuses(t, "kube-proxy", with(t, `{clusterCIDR: "a,b,c"}`), "clusterCIDR")
	refuses(t, "kube-proxy", with(t, `{detectLocalMode: BridgeInterface}`), "detectLocal.bridgeInterface")
	refuses(t, "kube-proxy", with(t, `{detectLocalMode: InterfaceNamePrefix}`), "detectLocal.interfaceNamePrefix")
	refuses(t, "kube-proxy", with(t, `{nodePortAddresses: [primary, 10.0.0.0/8]}`), "not both")
	refuses(t, "kube-proxy", with(t, `{extraArgs: ["--config=/x"]}`), "extraArgs may not hold --config=/x")
	refuses(t, "kube-proxy", with(t, `{conntrack: {maxPerCor: 1}}`), "maxPerCor")
	refuses(t, "kube-proxy", with(t, `{securityContext: {mode: Rootless}}`), "securityContext")
}
