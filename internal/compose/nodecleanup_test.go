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
	others, _ := NodeCleanup(in, Leftovers{
		KubeProxyImage: "a", Multus: &MultusLeftovers{ConfDir: "/etc/a", BinDir: "/opt/a", Books: true, Networks: []string{"default.a"}},
		NodeLocalDNS: &NodeLocalDNSLeftovers{Image: "a/cache", Addresses: []string{"169.254.20.10"}},
	})
	if more, err := WithoutAgent(&others.Spec, TypeKubeProxy); err != nil || !more {
		t.Errorf("without kube-proxy, beside Multus: %v, %v", more, err)
	}
	const wantOthers = `{"image":"a/operator","multus":{"books":true,"cniBinDir":"/opt/a","cniConfDir":"/etc/a","enabled":true,"networks":["default.a"]},` +
		`"nodeLocalDNS":{"addresses":["169.254.20.10"],"image":"a/cache"}}`
	if got := string(others.Spec.DerivedValues.Raw); got != wantOthers {
		t.Errorf("values %s", got)
	}
	in.Catalog = nil
	if _, ok := NodeCleanup(in, Leftovers{FlannelImage: "a"}); ok {
		t.Error("the catalogue does not have it")
	}
}
