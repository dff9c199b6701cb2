package facts

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// apiVersion answers with a version, or fails, and counts.
type apiVersion struct {
	answer string
	err    error
	asked  int
}

func (v *apiVersion) ServerVersion() (*version.Info, error) {
	v.asked++
	return &version.Info{GitVersion: v.answer}, v.err
}

func discoverer(objects ...client.Object) *Discoverer {
	return &Discoverer{
		Reader:  fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).WithObjects(objects...).Build(),
		Version: &apiVersion{answer: "v1.37.2"},
	}
}

func discover(t *testing.T, objects ...client.Object) *Snapshot {
	t.Helper()
	s, err := discoverer(objects...).Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func configMap(namespace, name, key, text string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Data: map[string]string{key: text}}
}

func kubeadmConfig(text string) *corev1.ConfigMap {
	return configMap("kube-system", "kubeadm-config", "ClusterConfiguration", text)
}

func clusterInfo(server string) *corev1.ConfigMap {
	return configMap("kube-public", "cluster-info", "kubeconfig", "apiVersion: v1\nkind: Config\nclusters:\n- name: \"\"\n  cluster:\n    server: "+server+"\n")
}

func slice(name string, port *int32, addresses ...string) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{
		Namespace: "default", Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: "kubernetes"}}}
	if port != nil {
		s.Ports = []discoveryv1.EndpointPort{{Name: ptr.To("https"), Port: port}}
	}
	for _, a := range addresses {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{a}})
	}
	return s
}

func TestDiscoverAPIServer(t *testing.T) {
	const (
		fromKubeadm = "kube-system/kubeadm-config controlPlaneEndpoint"
		fromInfo    = "kube-public/cluster-info"
		fromSlice   = "EndpointSlice of Service default/kubernetes"
	)
	at := func(host string, port int32) networkstackv1alpha1.Endpoint {
		return networkstackv1alpha1.Endpoint{Host: host, Port: port}
	}
	other := slice("other", ptr.To[int32](443), "192.0.2.99")
	other.Labels[discoveryv1.LabelServiceName] = "something-else"
	elsewhere := slice("kubernetes", ptr.To[int32](443), "192.0.2.98")
	elsewhere.Namespace = "elsewhere"

	for _, tc := range []struct {
		name    string
		objects []client.Object
		want    networkstackv1alpha1.Endpoint
		source  string
	}{
		{name: "nothing known"},
		{"kubeadm first of all",
			[]client.Object{kubeadmConfig("controlPlaneEndpoint: api.example.com:8443"), clusterInfo("https://192.0.2.5:6443"), slice("a", ptr.To[int32](6443), "192.0.2.1")},
			at("api.example.com", 8443), fromKubeadm},
		{"kubeadm without a port", []client.Object{kubeadmConfig("controlPlaneEndpoint: api.example.com")}, at("api.example.com", 6443), fromKubeadm},
		{"kubeadm, IPv6 with a port", []client.Object{kubeadmConfig(`controlPlaneEndpoint: "[2001:db8::1]:8443"`)}, at("2001:db8::1", 8443), fromKubeadm},
		{"kubeadm, IPv6 in brackets", []client.Object{kubeadmConfig(`controlPlaneEndpoint: "[2001:db8::1]"`)}, at("2001:db8::1", 6443), fromKubeadm},
		{"kubeadm, bare IPv6", []client.Object{kubeadmConfig(`controlPlaneEndpoint: "2001:db8::1"`)}, at("2001:db8::1", 6443), fromKubeadm},
		{"kubeadm names no host", []client.Object{kubeadmConfig(`controlPlaneEndpoint: ":6443"`), clusterInfo("https://192.0.2.5:6443")}, at("192.0.2.5", 6443), fromInfo},
		{"kubeadm's port is no number", []client.Object{kubeadmConfig("controlPlaneEndpoint: api:https"), clusterInfo("https://192.0.2.5:6443")}, at("192.0.2.5", 6443), fromInfo},
		// A single control plane has no controlPlaneEndpoint.
		{"cluster-info before slices",
			[]client.Object{kubeadmConfig("networking: {}"), clusterInfo("https://192.0.2.5:6443"), slice("a", ptr.To[int32](6443), "192.0.2.1")},
			at("192.0.2.5", 6443), fromInfo},
		{"cluster-info, IPv6", []client.Object{clusterInfo(`"https://[2001:db8::5]:6443"`)}, at("2001:db8::5", 6443), fromInfo},
		{"cluster-info without a port", []client.Object{clusterInfo("https://api.example.com")}, at("api.example.com", 443), fromInfo},
		{"cluster-info is garbage", []client.Object{configMap("kube-public", "cluster-info", "kubeconfig", "{{{"), slice("a", ptr.To[int32](6443), "192.0.2.1")},
			at("192.0.2.1", 6443), fromSlice},
		{"cluster-info names no server", []client.Object{clusterInfo(`""`), slice("a", ptr.To[int32](6443), "192.0.2.1")}, at("192.0.2.1", 6443), fromSlice},
		{"cluster-info without the key", []client.Object{configMap("kube-public", "cluster-info", "jws", "x"), slice("a", ptr.To[int32](6443), "192.0.2.1")},
			at("192.0.2.1", 6443), fromSlice},
		{"one slice", []client.Object{slice("a", ptr.To[int32](8443), "192.0.2.1"), other, elsewhere}, at("192.0.2.1", 8443), fromSlice},
		// The order of slices and of addresses in them is not stable, the answer has to be.
		{"several addresses in several slices", []client.Object{slice("a", ptr.To[int32](6443), "192.0.2.3", "192.0.2.2"), slice("b", ptr.To[int32](6443), "192.0.2.1")},
			at("192.0.2.1", 6443), fromSlice + " (the first of 3; pin a load balancer's address in spec.cluster.apiServer)"},
		{"a slice without addresses", []client.Object{slice("a", ptr.To[int32](6443))}, at("", 0), ""},
		{"only slices of others", []client.Object{other, elsewhere}, at("", 0), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := discover(t, tc.objects...)
			if s.APIServer != tc.want || s.APIServerSource != tc.source {
				t.Errorf("got %v from %q; want %v from %q", s.APIServer, s.APIServerSource, tc.want, tc.source)
			}
		})
	}
}

func TestDiscoverKubeadmConfig(t *testing.T) {
	for _, tc := range []struct {
		name   string
		object client.Object
		domain string
	}{
		{"kubeadm's", kubeadmConfig("kind: ClusterConfiguration\nnetworking:\n  dnsDomain: k8s.example.com\n"), "k8s.example.com"},
		{"another's of the same name", configMap("default", "kubeadm-config", "ClusterConfiguration", "networking: {dnsDomain: wrong}"), ""},
		{"no domain", kubeadmConfig("networking: {}"), ""},
		{"empty", kubeadmConfig(""), ""},
		{"without the key", configMap("kube-system", "kubeadm-config", "ClusterStatus", "networking: {dnsDomain: wrong}"), ""},
		// A cluster whose configuration nobody can read is a cluster that kubeadm did not make.
		{"no YAML", kubeadmConfig("\t{{{"), ""},
		{"another shape", kubeadmConfig("networking: [dnsDomain]"), ""},
		{"another shape behind a good value", kubeadmConfig("networking: {dnsDomain: wrong, serviceSubnet: [1]}\n"), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := discover(t, tc.object).DNSDomain; got != tc.domain {
				t.Errorf("DNS domain %q, want %q", got, tc.domain)
			}
		})
	}
}

func TestDiscoverPodSubnets(t *testing.T) {
	for _, tc := range []struct {
		name, config string
		kubeadm      bool
		want         []netip.Prefix
	}{
		{"both families", "networking:\n  podSubnet: 10.244.0.0/16,fd00:10:244::/56\n", true, parsePrefixes([]string{"10.244.0.0/16", "fd00:10:244::/56"})},
		{"none", "networking: {}\n", true, nil},
		{"no configuration", "", false, nil},
		{"no YAML", "\t{{{", false, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := discover(t, kubeadmConfig(tc.config))
			if diff := cmp.Diff(tc.want, s.PodSubnets, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" || s.Kubeadm != tc.kubeadm {
				t.Errorf("kubeadm %v (-want +got):\n%s", s.Kubeadm, diff)
			}
		})
	}
}

func serviceCIDR(name string, cidrs ...string) *networkingv1.ServiceCIDR {
	return &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: cidrs}}
}

func TestDiscoverServiceCIDRs(t *testing.T) {
	const (
		fromObject  = "ServiceCIDR/kubernetes"
		fromKubeadm = "kube-system/kubeadm-config networking.serviceSubnet"
	)
	kubeadm := kubeadmConfig("networking: {serviceSubnet: '10.200.0.0/16, fd00:200::/112'}")
	for _, tc := range []struct {
		name    string
		objects []client.Object
		want    []string
		source  string
		more    []string
	}{
		{name: "nothing known"},
		{"object before kubeadm", []client.Object{serviceCIDR("kubernetes", "10.96.0.0/12", "fd00:96::/112"), kubeadm},
			[]string{"10.96.0.0/12", "fd00:96::/112"}, fromObject, nil},
		// Ranges added later are not those of the API server's flags.
		{"an added range does not count", []client.Object{serviceCIDR("added", "10.50.0.0/16"), kubeadm}, []string{"10.200.0.0/16", "fd00:200::/112"}, fromKubeadm, []string{"ServiceCIDR/added 10.50.0.0/16"}},
		{"added ranges beside the first", []client.Object{serviceCIDR("b", "10.60.0.0/16", "fd00:60::/112"), serviceCIDR("added", "10.50.0.0/16"), serviceCIDR("kubernetes", "10.96.0.0/12")}, []string{"10.96.0.0/12"}, fromObject,
			[]string{"ServiceCIDR/added 10.50.0.0/16", "ServiceCIDR/b 10.60.0.0/16", "ServiceCIDR/b fd00:60::/112"}},
		{"kubeadm", []client.Object{kubeadm}, []string{"10.200.0.0/16", "fd00:200::/112"}, fromKubeadm, nil},
		{"kubeadm's nonsense", []client.Object{kubeadmConfig("networking: {serviceSubnet: 'ten, ,'}")}, nil, "", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := discover(t, tc.objects...)
			if diff := cmp.Diff(prefixes(tc.want...), s.ServiceCIDRs, byValue); diff != "" || s.ServiceCIDRSource != tc.source {
				t.Errorf("source %q, want %q; -want +got:\n%s", s.ServiceCIDRSource, tc.source, diff)
			}
			var more []string
			for _, r := range s.MoreServiceCIDRs {
				more = append(more, r.Source+" "+r.Prefix.String())
			}
			if diff := cmp.Diff(tc.more, more); diff != "" {
				t.Errorf("added ranges: -want +got:\n%s", diff)
			}
		})
	}
}

// TestDiscoverWithoutServiceCIDRs covers API servers that do not serve the kind: the cache says so in two ways.
func TestDiscoverWithoutServiceCIDRs(t *testing.T) {
	kind := schema.GroupKind{Group: "networking.k8s.io", Kind: "ServiceCIDR"}
	for _, tc := range []struct {
		name   string
		err    error
		failed bool
	}{
		{"the mapper does not know it", &meta.NoKindMatchError{GroupKind: kind}, false},
		{"the server does not know it", apierrors.NewNotFound(schema.GroupResource{Group: kind.Group, Resource: "servicecidrs"}, ""), false},
		{"the server does not tell", apierrors.NewForbidden(schema.GroupResource{Group: kind.Group, Resource: "servicecidrs"}, "", nil), true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := discoverer(kubeadmConfig("networking: {serviceSubnet: 10.200.0.0/16}"))
			d.Reader = failing(d.Reader, &networkingv1.ServiceCIDRList{}, tc.err)
			s, err := d.Discover(t.Context())
			if tc.failed {
				if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "ServiceCIDR") {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(prefixes("10.200.0.0/16"), s.ServiceCIDRs, byValue); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// typeName is the type, such as "*v1.ConfigMap".
func typeName(v any) string { return fmt.Sprintf("%T", v) }

// failing is a reader that fails for one type of object or list.
func failing(from client.Reader, what any, err error) client.Reader {
	inner, ok := from.(client.WithWatch)
	if !ok {
		panic("no fake client")
	}
	is := func(obj any) bool { return typeName(obj) == typeName(what) }
	return interceptor.NewClient(inner, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
			if is(obj) {
				return err
			}
			return c.Get(ctx, key, obj, opts...)
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if is(list) {
				return err
			}
			return c.List(ctx, list, opts...)
		},
	})
}

// TestDiscoverErrors wants every source that cannot be read to be named: a stack waits for it.
func TestDiscoverErrors(t *testing.T) {
	broken := errors.New("connection refused")
	for _, tc := range []struct {
		what any
		want string
	}{
		{&corev1.ConfigMap{}, "kube-system/kubeadm-config"},
		{&corev1.NodeList{}, "nodes"},
		{&appsv1.DaemonSetList{}, "DaemonSets"},
		{&networkingv1.ServiceCIDRList{}, "ServiceCIDRs"},
		{&corev1.Service{}, "Service default/kubernetes"},
		{&discoveryv1.EndpointSliceList{}, "API server's address"},
	} {
		t.Run(typeName(tc.what), func(t *testing.T) {
			d := discoverer()
			d.Reader = failing(d.Reader, tc.what, broken)
			if s, err := d.Discover(t.Context()); !errors.Is(err, broken) || !strings.Contains(err.Error(), tc.want) || s != nil {
				t.Errorf("got %v, %v; want an error that names %q", s, err, tc.want)
			}
		})
	}
	t.Run("version", func(t *testing.T) {
		d := discoverer()
		d.Version = &apiVersion{err: broken}
		if _, err := d.Discover(t.Context()); !errors.Is(err, broken) || !strings.Contains(err.Error(), "version") {
			t.Errorf("error %v", err)
		}
	})
}

// TestServerVersion wants the one request of a discovery to be made once a minute, and again after a failure.
func TestServerVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &apiVersion{err: errors.New("connection refused")}
		d := &Discoverer{Version: v}
		if _, err := d.serverVersion(); err == nil {
			t.Error("no error")
		}
		v.err, v.answer = nil, "v1.37.2"
		for range 3 {
			if got, err := d.serverVersion(); err != nil || got != "v1.37.2" {
				t.Errorf("%q, %v", got, err)
			}
		}
		if v.asked != 2 {
			t.Errorf("asked %d times, want 2", v.asked)
		}
		v.answer = "v1.37.3"
		<-time.After(versionTTL)
		if got, err := d.serverVersion(); err != nil || got != "v1.37.3" {
			t.Errorf("after a minute: %q, %v", got, err)
		}
	})
}

func TestDiscoverNodes(t *testing.T) {
	node := func(name string, change func(*corev1.Node)) *corev1.Node {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
		n.Status.NodeInfo = corev1.NodeSystemInfo{OperatingSystem: "linux", KernelVersion: "6.1.0"}
		if change != nil {
			change(n)
		}
		return n
	}
	mtu := func(text string) func(*corev1.Node) {
		return func(n *corev1.Node) { n.Annotations = map[string]string{networkstackv1alpha1.NodeMTUAnnotation: text} }
	}
	plain := Node{OS: "linux", KernelVersion: "6.1.0"}
	withMTU := plain
	withMTU.MTU = 8950
	for _, tc := range []struct {
		name   string
		change func(*corev1.Node)
		want   Node
	}{
		{"bare", nil, plain},
		{"addresses of both families", func(n *corev1.Node) {
			n.Status.Addresses = []corev1.NodeAddress{
				{Type: corev1.NodeHostName, Address: "node-1"},
				{Type: corev1.NodeExternalIP, Address: "203.0.113.1"},
				{Type: corev1.NodeInternalIP, Address: "192.0.2.1"},
				{Type: corev1.NodeInternalIP, Address: "2001:db8::1"},
				{Type: corev1.NodeInternalIP, Address: "not-an-ip"},
			}
		}, Node{OS: "linux", KernelVersion: "6.1.0", InternalIPs: addresses("192.0.2.1", "2001:db8::1")}},
		{"ranges of both families", func(n *corev1.Node) {
			n.Spec.PodCIDR, n.Spec.PodCIDRs = "10.244.0.0/24", []string{"10.244.0.0/24", "fd00:10:244::/64", "nonsense"}
		}, Node{OS: "linux", KernelVersion: "6.1.0", PodCIDRs: prefixes("10.244.0.0/24", "fd00:10:244::/64")}},
		{"only the old field", func(n *corev1.Node) { n.Spec.PodCIDR = "10.244.0.0/24" },
			Node{OS: "linux", KernelVersion: "6.1.0", PodCIDRs: prefixes("10.244.0.0/24")}},
		{"MTU", mtu("8950"), withMTU},
		{"MTU in words", mtu("jumbo"), plain},
		{"MTU with a unit", mtu("1500B"), plain},
		{"negative MTU", mtu("-1500"), plain},
		{"no MTU", mtu("0"), plain},
		{"empty MTU", mtu(""), plain},
		{"MTU beyond all numbers", mtu("99999999999999999999"), plain},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.want.Name = "n"
			if diff := cmp.Diff([]Node{tc.want}, discover(t, node("n", tc.change)).Nodes, byValue); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestDiscover puts a whole cluster together, and wants it in an order that does not depend on the cache's.
func TestDiscover(t *testing.T) {
	s := discover(t,
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "b"}}, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}},
		daemonSet("kube-system", "kube-proxy", "kube-proxy"), daemonSet("kube-system", "cilium", "cilium-agent"),
		daemonSet("kube-flannel", "kube-flannel-ds", "kube-flannel"), daemonSet("monitoring", "node-exporter", "node-exporter"),
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubernetes"}, Spec: corev1.ServiceSpec{ClusterIP: "10.96.0.1"}},
	)
	var names []string
	for _, n := range s.Nodes {
		names = append(names, n.Name)
	}
	for _, i := range s.Installed {
		names = append(names, i.Namespace+"/"+i.Name)
	}
	if diff := cmp.Diff([]string{"a", "b", "kube-flannel/kube-flannel-ds", "kube-system/cilium", "kube-system/kube-proxy"}, names); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if s.KubernetesVersion != "v1.37.2" || s.ServiceIP != netip.MustParseAddr("10.96.0.1") {
		t.Errorf("version %q, Service IP %v", s.KubernetesVersion, s.ServiceIP)
	}
}

// TestDiscoverCalico checks whose a Calico is: its agents do not say so, their operator does.
func TestDiscoverCalico(t *testing.T) {
	operator := func(name string, labels map[string]string) client.Object {
		return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "tigera-operator", Name: name, Labels: labels}}
	}
	ours := map[string]string{networkstackv1alpha1.ComponentLabel: "calico"}
	for _, tc := range []struct {
		name, namespace string
		deployment      client.Object
		want            string
	}{
		{"ours", "calico-system", operator("tigera-operator", ours), "calico"},
		{"of somebody else's operator", "calico-system", operator("tigera-operator", nil), ""},
		{"another component's Deployment", "calico-system", operator("relay", ours), ""},
		{"of a manifest beside ours", "kube-system", operator("tigera-operator", ours), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := discover(t, daemonSet(tc.namespace, "calico-node", "calico-node"), tc.deployment)
			if len(s.Installed) != 1 || s.Installed[0].Component != tc.want {
				t.Errorf("%+v", s.Installed)
			}
		})
	}
}

func TestDiscoverServiceIP(t *testing.T) {
	service := func(ip string) *corev1.Service {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubernetes"}, Spec: corev1.ServiceSpec{ClusterIP: ip}}
	}
	for _, tc := range []struct {
		name    string
		objects []client.Object
		want    netip.Addr
	}{
		{"no Service", nil, netip.Addr{}},
		{"IPv4", []client.Object{service("10.96.0.1")}, netip.MustParseAddr("10.96.0.1")},
		{"IPv6", []client.Object{service("fd00:96::1")}, netip.MustParseAddr("fd00:96::1")},
		{"headless", []client.Object{service(corev1.ClusterIPNone)}, netip.Addr{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := discover(t, tc.objects...).ServiceIP; got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}
