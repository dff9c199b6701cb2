package nodeagent

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

func addresses(texts ...string) []netip.Addr {
	var out []netip.Addr
	for _, t := range texts {
		out = append(out, netip.MustParseAddr(t))
	}
	return out
}

func TestUnderlay(t *testing.T) {
	interfaces := []Interface{
		{"lo", 65536, addresses("127.0.0.1", "::1")},
		{"eth0", 9001, addresses("10.0.0.5", "fe80::1%eth0")},
		{"eth1", 1500, addresses("192.0.2.5", "fd00::5")},
		{"flannel.1", 1450, addresses("10.244.0.0")},
		{"down0", 0, addresses("10.0.0.9")},
	}
	for _, tc := range []struct {
		name   string
		own    []netip.Addr
		routes []string
		mtu    int
		by     string
	}{
		{"the node's address", addresses("10.0.0.5"), []string{"eth1"}, 9001, "eth0"},
		{"two addresses on one", addresses("192.0.2.5", "fd00::5"), nil, 1500, "eth1"},
		{"on two, the smaller", addresses("10.0.0.5", "fd00::5"), nil, 1500, "eth0 eth1"},
		{"IPv4 written as IPv6", []netip.Addr{netip.MustParseAddr("::ffff:10.0.0.5").Unmap()}, nil, 9001, "eth0"},
		{"an address that nobody has", addresses("203.0.113.1"), []string{"eth0"}, 9001, "eth0"},
		{"no addresses", nil, []string{"eth1", "eth0"}, 1500, "eth0 eth1"},
		{"an interface without an MTU", addresses("10.0.0.9"), []string{"eth0"}, 9001, "eth0"},
		{"nothing", addresses("203.0.113.1"), nil, 0, ""},
		{"a route by an interface that has gone", nil, []string{"gone"}, 0, ""},
	} {
		mtu, by, err := Underlay(interfaces, tc.own, tc.routes)
		if mtu != tc.mtu || strings.Join(by, " ") != tc.by || (err != nil) != (tc.mtu == 0) {
			t.Errorf("%s: %d by %v, %v", tc.name, mtu, by, err)
		}
	}
}

func TestRoutes(t *testing.T) {
	const table4 = `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	0100000A	0003	0	0	100	00000000	0	0	0
eth0	00000000	0100000A	0003	0	0	200	00000000	0	0	0
eth1	00000000	0100000A	0002	0	0	100	00000000	0	0	0
eth2	0000000A	00000000	0001	0	0	100	00FFFFFF	0	0	0
eth3	00000000	00000000	0001	0	0	100	00000080	0	0	0
`
	if diff := cmp.Diff([]string{"eth0"}, defaultRoutes4(strings.NewReader(table4))); diff != "" {
		t.Error(diff)
	}
	zero := strings.Repeat("0", 32)
	table6 := strings.Join([]string{
		zero + " 00 " + zero + " 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth1",
		zero + " 00 " + zero + " 00 " + zero + " ffffffff 00000001 00000000 00200200       lo",
		"fd000000000000000000000000000000 40 " + zero + " 00 " + zero + " 00000100 00000001 00000000 00000001     eth2",
	}, "\n")
	if diff := cmp.Diff([]string{"eth1"}, defaultRoutes6(strings.NewReader(table6))); diff != "" {
		t.Error(diff)
	}
	if got := slices.Concat(defaultRoutes4(strings.NewReader("x\n\n")), defaultRoutes6(strings.NewReader("x\n"))); got != nil {
		t.Errorf("routes of nonsense: %v", got)
	}
}

// TestSystem reads the machine's own interfaces, as the agent does on a node.
func TestSystem(t *testing.T) {
	list, err := systemInterfaces()
	if err != nil {
		t.Fatal(err)
	}
	mtu, by, err := Underlay(list, addresses("127.0.0.1"), nil)
	if err != nil || mtu < 576 || len(by) != 1 {
		t.Errorf("%d by %v, %v", mtu, by, err)
	}
	for _, name := range systemRoutes() {
		if !slices.ContainsFunc(list, func(i Interface) bool { return i.Name == name }) {
			t.Errorf("a default route by %q, which is no interface", name)
		}
	}
}

// TestAgent follows an agent: it writes once, again when the MTU changes, tries again when it may not, and asks for nothing else.
func TestAgent(t *testing.T) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", Annotations: map[string]string{"other": "x"}}}
	c := fake.NewClientset(node)
	mtus, refuse := make(chan int, 1), make(chan bool, 1)
	mtu, refused := 1500, true
	c.PrependReactor("patch", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
		select {
		case refused = <-refuse:
		default:
		}
		if refused {
			return true, nil, errors.New("refused")
		}
		return false, nil, nil
	})
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	probe := listener.Addr().String()
	_ = listener.Close()
	a := &Agent{Nodes: c.CoreV1().Nodes(), Node: "n1", Addresses: addresses("10.0.0.5"), ProbeAddress: probe, Log: logr.Discard(),
		interval: time.Millisecond, routes: func() []string { return nil },
		services: func([]Interface) string { return "2" }, bridges: func([]netip.Addr) string { return "true" },
		interfaces: func() ([]Interface, error) {
			select {
			case mtu = <-mtus:
			default:
			}
			return []Interface{{"eth0", mtu, addresses("10.0.0.5")}}, nil
		},
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	ready := func() bool {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+probe+"/readyz", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}
	eventually := func(what string, holds func() bool) {
		t.Helper()
		deadline := time.After(time.Minute)
		for !holds() {
			select {
			case <-deadline:
				t.Fatalf("timed out waiting for %s", what)
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	told := func() string {
		n, err := c.CoreV1().Nodes().Get(ctx, "n1", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if n.Annotations["other"] != "x" {
			t.Errorf("annotations of others are %v", n.Annotations)
		}
		return n.Annotations[networkstackv1alpha1.NodeMTUAnnotation]
	}
	patches := func() int {
		n := 0
		for _, action := range c.Actions() {
			if action.GetVerb() == "patch" {
				n++
			}
		}
		return n
	}
	eventually("an attempt", func() bool { return patches() > 0 })
	if ready() {
		t.Error("ready before anything was told")
	}
	refuse <- false
	eventually("the MTU to be told after a failure", func() bool { return told() == "1500" && ready() })
	n, err := c.CoreV1().Nodes().Get(ctx, "n1", metav1.GetOptions{})
	if err != nil || n.Annotations[networkstackv1alpha1.NodeIPVSAnnotation] != "2" || n.Annotations[networkstackv1alpha1.NodeBridgesAnnotation] != "true" {
		t.Errorf("annotations %v, %v", n.Annotations, err)
	}
	written := patches()
	mtus <- 1400
	eventually("the new MTU", func() bool { return told() == "1400" })
	if n := patches(); n != written+1 {
		t.Errorf("%d writes, where 1 was due", n-written)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestRenewed wants an annotation that has not changed to be written again after a long while, and not before.
func TestRenewed(t *testing.T) {
	c := fake.NewClientset(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}})
	a := &Agent{Nodes: c.CoreV1().Nodes(), Node: "n1", Log: logr.Discard(), routes: func() []string { return []string{"eth0"} },
		services: func([]Interface) string { return "0" }, bridges: func([]netip.Addr) string { return "false" },
		interfaces: func() ([]Interface, error) { return []Interface{{Name: "eth0", MTU: 1500}}, nil }}
	p, now := &pass{}, time.Now()
	for _, tc := range []struct {
		after  time.Duration
		writes int
	}{{0, 1}, {renew - time.Second, 1}, {2 * renew, 2}} {
		if err := a.step(t.Context(), p, now.Add(tc.after)); err != nil {
			t.Fatal(err)
		}
		if n := len(c.Actions()); n != tc.writes {
			t.Errorf("after %s: %d writes, want %d", tc.after, n, tc.writes)
		}
	}
}
