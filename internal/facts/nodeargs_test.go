package facts

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestServerArgs(t *testing.T) {
	for text, want := range map[string]*ServerArgs{
		`["server"]`: {FlannelBackend: "vxlan"},
		`["server","--flannel-backend","none","--disable-kube-proxy","true","--token","********"]`: {NoKubeProxy: true, FlannelBackend: "none"},
		`["server","--flannel-backend=wireguard-native","--disable-kube-proxy"]`:                   {NoKubeProxy: true, FlannelBackend: "wireguard-native"},
		`["server","--disable-kube-proxy=false"]`:                                                  {FlannelBackend: "vxlan"},
		`["server","--disable-kube-proxy","--disable","traefik"]`:                                  {NoKubeProxy: true, FlannelBackend: "vxlan"},
		`["agent","--disable-kube-proxy"]`:                                                         nil,
		`[]`:                                                                                       nil,
		`nonsense`:                                                                                 nil,
	} {
		for _, key := range nodeArgs {
			n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{key: text}}}
			if diff := cmp.Diff(want, serverArgs(n)); diff != "" {
				t.Errorf("%s: %s", text, diff)
			}
			// What is kept of it says the same, again and again.
			kept := ReadArgs(text)
			if diff := cmp.Diff(want, parseArgs(kept)); diff != "" || ReadArgs(kept) != kept || !IsNodeArgs(key) {
				t.Errorf("%s is kept as %s: %s", text, kept, diff)
			}
		}
	}
	if serverArgs(&corev1.Node{}) != nil || IsNodeArgs("other") {
		t.Error("arguments of nowhere")
	}
}
