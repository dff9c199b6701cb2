package facts

import (
	"context"
	"errors"
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

func TestModeIn(t *testing.T) {
	const head = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
	for text, want := range map[string]string{
		head:                        "iptables",
		head + "mode: \"\"\n":       "iptables",
		head + "mode: ipvs\n":       "ipvs",
		head + "mode: nftables\n":   "nftables",
		"mode: ipvs\n":              "",
		"{":                         "",
		"":                          "",
		head + "mode: [nftables]\n": "",
	} {
		if got := modeIn(text).mode; got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestStrictARPIn(t *testing.T) {
	for text, want := range map[string]bool{"ipvs: {strictARP: true}": true, "ipvs: {strictARP: false}": false, "ipvs: {}": false, "mode: ipvs": false} {
		if got := modeIn("kind: KubeProxyConfiguration\n" + text).strictARP; got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// TestPodRangesIn wants the ranges by which kube-proxy tells pods, and none where it does so otherwise.
func TestPodRangesIn(t *testing.T) {
	for text, want := range map[string]string{
		"clusterCIDR: 10.244.0.0/16":                                         "[10.244.0.0/16]",
		"clusterCIDR: 10.244.0.0/16,fd00::/56\ndetectLocalMode: ClusterCIDR": "[10.244.0.0/16 fd00::/56]",
		"clusterCIDR: 10.244.0.0/16\ndetectLocalMode: \"\"":                  "[10.244.0.0/16]",
		"clusterCIDR: 10.244.0.0/16\ndetectLocalMode: NodeCIDR":              "[]",
		"clusterCIDR: \"\"": "[]",
		"mode: ipvs":        "[]",
	} {
		if got := fmt.Sprint(modeIn("kind: KubeProxyConfiguration\n" + text).pods); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// TestModeOf wants a mode to be read once for each generation of the DaemonSet.
func TestModeOf(t *testing.T) {
	config := func(name, key, mode string) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: name},
			Data: map[string]string{key: "kind: KubeProxyConfiguration\nmode: " + mode}}
	}
	reads, broken := 0, false
	live := func(objects ...client.Object) client.Client {
		return fake.NewClientBuilder().WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
			Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
				reads++
				if broken {
					return errors.New("no answer")
				}
				return c.Get(ctx, key, o, opts...)
			},
		}).Build()
	}
	ds := func(generation int64) *appsv1.DaemonSet {
		return &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-proxy", UID: "1", Generation: generation}}
	}
	d := &Discoverer{Live: live(config("kube-proxy", "config.conf", "ipvs"))}
	for _, tc := range []struct {
		generation int64
		reads      int
	}{{1, 1}, {1, 1}, {2, 2}} {
		if got, err := d.modeOf(t.Context(), ds(tc.generation)); got.mode != "ipvs" || err != nil || reads != tc.reads {
			t.Errorf("generation %d: %v, %v after %d reads", tc.generation, got, err, reads)
		}
	}
	broken = true
	if _, err := d.modeOf(t.Context(), ds(3)); err == nil {
		t.Error("no error")
	}
	broken = false
	d.Live = live(config("kube-proxy", "kubeconfig", "x"), config("kube-proxy-config", "config", "iptables"))
	if got, err := d.modeOf(t.Context(), ds(3)); got.mode != "iptables" || err != nil {
		t.Errorf("EKS: %v, %v", got, err)
	}
	if got, err := (&Discoverer{Live: live()}).modeOf(t.Context(), ds(1)); got.mode != "" || err != nil {
		t.Errorf("none: %v, %v", got, err)
	}
}
