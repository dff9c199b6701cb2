package charts_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
)

// plainEnv are the variables of a container that have a value, and referred those that come from a Secret.
func plainEnv(c *corev1.Container) (plain, referred map[string]string) {
	plain, referred = map[string]string{}, map[string]string{}
	for _, e := range c.Env {
		switch {
		case e.ValueFrom == nil:
			plain[e.Name] = e.Value
		case e.ValueFrom.SecretKeyRef != nil:
			referred[e.Name] = e.ValueFrom.SecretKeyRef.Name + "/" + e.ValueFrom.SecretKeyRef.Key
		}
	}
	return plain, referred
}

func TestWeaveNet(t *testing.T) {
	base := map[string]string{
		"INIT_CONTAINER": "true", "CHECKPOINT_DISABLE": "1", "IPALLOC_RANGE": "10.32.0.0/12", "WEAVE_MTU": "1376", "EXPECT_NPC": "1", "NO_MASQ_LOCAL": "1",
		"CONN_LIMIT": "200", "WEAVE_METRICS_ADDR": "0.0.0.0:6782", "EXTRA_ARGS": "--log-level=info",
	}
	with := func(over map[string]string) map[string]string {
		out := map[string]string{}
		for _, m := range []map[string]string{base, over} {
			for k, v := range m {
				out[k] = v
			}
		}
		return out
	}
	for file, test := range map[string]struct {
		values   string
		env      map[string]string
		password map[string]string
		npc      []string
	}{
		"weave-net-default": {"{}", base, map[string]string{}, []string{"--log-level=info", "--metrics-addr=:6781", "--max-list-size=1024", "--allow-mcast=true"}},
		"weave-net-everything": {
			`{ipallocRange: 10.244.0.0/16, mtu: 8916, password: {secretName: weave-net-password, revision: "0123"}, logLevel: debug, noMasqLocal: false, connLimit: 500, ` +
				`fastDatapath: false, iptablesBackend: nft, metricsPort: 7782, kubeApi: {host: "[fd00::1]", port: 6443}, imagePullSecrets: [{name: pull}], nodeSelector: {pool: a}, ` +
				`npc: {logLevel: error, allowMulticast: false, maxListSize: 2048, metricsPort: 7781}, cniConfDir: /var/lib/cni/net.d, cniBinDir: /var/lib/cni/bin}`,
			with(map[string]string{"IPALLOC_RANGE": "10.244.0.0/16", "WEAVE_MTU": "8916", "NO_MASQ_LOCAL": "0", "CONN_LIMIT": "500", "WEAVE_METRICS_ADDR": "0.0.0.0:7782",
				"EXTRA_ARGS": "--log-level=debug", "WEAVE_NO_FASTDP": "1", "IPTABLES_BACKEND": "nft", "KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}),
			map[string]string{"WEAVE_PASSWORD": "weave-net-password/password"},
			[]string{"--log-level=error", "--metrics-addr=:7781", "--max-list-size=2048", "--allow-mcast=false"},
		},
		"weave-net-without-policies": {`{npc: {enabled: false}}`, with(map[string]string{"EXPECT_NPC": "0"}), map[string]string{}, nil},
	} {
		t.Run(file, func(t *testing.T) {
			objects := golden(t, "weave-net", "kube-system", file, test.values)
			ds := find[*appsv1.DaemonSet](t, objects)
			pod := ds.Spec.Template.Spec
			plain, referred := plainEnv(&pod.Containers[0])
			if diff := cmp.Diff(test.env, plain); diff != "" {
				t.Errorf("the agent's environment (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.password, referred); diff != "" {
				t.Errorf("from Secrets (-want +got):\n%s", diff)
			}
			if got := len(pod.Containers) - 1; got != min(1, len(test.npc)) || got == 1 && !slices.Equal(pod.Containers[1].Args, test.npc) {
				t.Errorf("%d controllers, want %v", got, test.npc)
			}
			init, _ := plainEnv(&pod.InitContainers[0])
			if init["EXPECT_NPC"] != test.env["EXPECT_NPC"] {
				t.Errorf("the init container prepares for policies: %s", init["EXPECT_NPC"])
			}
			// Who was there before, by upstream's manifest, is known by these names.
			if ds.Name != "weave-net" || !cmp.Equal(ds.Spec.Selector.MatchLabels, map[string]string{"name": "weave-net"}) || pod.Containers[0].Name != "weave" {
				t.Errorf("DaemonSet %s, selector %v, container %s", ds.Name, ds.Spec.Selector, pod.Containers[0].Name)
			}
			if probe := pod.Containers[0].ReadinessProbe.HTTPGet; probe.Host != "127.0.0.1" || probe.Path != "/status" || probe.Port.IntValue() != 6784 {
				t.Errorf("ready when %+v", probe)
			}
			// The list of peers is the agents': nothing in it is ours.
			peers := find[*corev1.ConfigMap](t, objects)
			if peers.Name != "weave-net" || len(peers.Data) > 0 || len(peers.Annotations) > 0 {
				t.Errorf("%+v", peers)
			}
			if rules := find[*rbacv1.Role](t, objects).Rules; len(rules) != 1 || !slices.Equal(rules[0].ResourceNames, []string{"weave-net"}) {
				t.Errorf("agents may %+v", rules)
			}
			reads := slices.ContainsFunc(find[*rbacv1.ClusterRole](t, objects).Rules, func(r rbacv1.PolicyRule) bool {
				return slices.Contains(r.Resources, "networkpolicies")
			})
			if reads != (test.npc != nil) {
				t.Errorf("agents may read policies: %v", reads)
			}
		})
	}
}

func TestWeaveNetChecksum(t *testing.T) {
	checksum := func(values string) string {
		t.Helper()
		out, err := render(t, "weave-net", "kube-system", values)
		if err != nil {
			t.Fatal(err)
		}
		return find[*appsv1.DaemonSet](t, decode(t, out)).Spec.Template.Annotations["checksum/config"]
	}
	seen := map[string]string{}
	for _, values := range []string{
		"{}", "{mtu: 1400}", "{password: {secretName: a}}", "{password: {secretName: a, revision: one}}", "{password: {secretName: a, revision: two}}", "{npc: {logLevel: debug}}",
	} {
		sum := checksum(values)
		if other, known := seen[sum]; known {
			t.Errorf("%s and %s have one checksum", values, other)
		}
		seen[sum] = values
	}
}

func TestWeaveNetRefuses(t *testing.T) {
	refuses(t, "weave-net", `{kubeApi: {host: 10.0.0.1}}`, "kubeApi.port")
	refuses(t, "weave-net", `{kubeApi: {port: 6443}}`, "kubeApi.host")
	refuses(t, "weave-net", `{metricsPort: 6781}`, "npc.metricsPort")
	refuses(t, "weave-net", `{ipallocRange: "fd00::/48"}`, "ipallocRange")
	refuses(t, "weave-net", `{ipallocRange: null}`, "ipallocRange")
	refuses(t, "weave-net", `{mtu: 100}`, "mtu")
	refuses(t, "weave-net", `{logLevel: verbose}`, "logLevel")
	refuses(t, "weave-net", `{password: {value: hunter2}}`, "value")
	if _, err := render(t, "weave-net", "weave", "{}"); err == nil || !strings.Contains(err.Error(), "kube-system") {
		t.Errorf("another namespace: %v", err)
	}
}
