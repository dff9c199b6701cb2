package compose

import (
	"testing"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
)

// TestNodeCleanup wants what cleans nodes to go last, to wait, and to take images from where the agents had them.
func TestNodeCleanup(t *testing.T) {
	in := flannel(func(in *Input) {
		in.OperatorImage = "a/operator"
		in.Stack.Spec.Sources = &Sources{ImageRegistry: "mirror.example.com"}
	})
	r, ok := NodeCleanup(in, Leftovers{
		FlannelImage: "a/flannel", KubeProxyImage: "a/kube-proxy", ConfDir: "/etc/cni/other", NodeSelector: map[string]string{"a.b/c": "d"},
		PullSecrets: []string{"pull"},
	})
	if !ok || !r.Spec.Suspend || r.Spec.DeletionPolicy != DeletionDelete || r.Spec.Sources.ImageRegistry != "" || r.Spec.Chart.Version != "1.0.0" {
		t.Errorf("%+v", r.Spec)
	}
	for _, other := range accepted(t, in).Releases {
		if other.Spec.Stage <= r.Spec.Stage {
			t.Errorf("%s would be removed after it", other.Name)
		}
	}
	const want = `{"flannel":{"cniConfDir":"/etc/cni/other","image":"a/flannel"},"image":"a/operator","imagePullSecrets":[{"name":"pull"}],` +
		`"kubeProxy":{"image":"a/kube-proxy"},"nodeSelector":{"a.b/c":"d"}}`
	if got := string(r.Spec.DerivedValues.Raw); got != want {
		t.Errorf("values %s", got)
	}
	nodes := NodesOfCleanup(&r.Spec)
	if !Cleans(&r.Spec, TypeKubeProxy) || !Cleans(&r.Spec, "Flannel") || nodes["a.b/c"] != "d" || nodes["kubernetes.io/os"] != "linux" {
		t.Errorf("what was put in does not come out: %v", nodes)
	}
	if more, err := WithoutAgent(&r.Spec, TypeKubeProxy); err != nil || !more || Cleans(&r.Spec, TypeKubeProxy) || !Cleans(&r.Spec, "Flannel") {
		t.Errorf("without kube-proxy: %v, %v: %s", more, err, r.Spec.DerivedValues.Raw)
	}
	if more, err := WithoutAgent(&r.Spec, "Flannel"); err != nil || more || Cleans(&r.Spec, "Flannel") {
		t.Errorf("nothing is left to do: %v, %v", more, err)
	}
	in.Catalog = nil
	if _, ok := NodeCleanup(in, Leftovers{FlannelImage: "a"}); ok {
		t.Error("the catalogue does not have it")
	}
}
