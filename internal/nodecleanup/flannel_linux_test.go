package nodecleanup

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr/testr"
	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// inOwnNetwork goes on in a network namespace that ends with the test's thread.
func inOwnNetwork(t *testing.T) {
	t.Helper()
	runtime.LockOSThread() // and never unlocked: the thread ends with its goroutine
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("it takes a network namespace of its own: %v", err)
	}
}

// put makes files, with the directories that they are in.
func put(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

func filesIn(t *testing.T, root string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, strings.TrimPrefix(path, root+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func linksOf(t *testing.T) []string {
	t.Helper()
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, l := range links {
		out = append(out, l.Attrs().Name)
	}
	slices.Sort(out)
	return out
}

func link(t *testing.T, l netlink.Link, addresses ...string) netlink.Link {
	t.Helper()
	if err := netlink.LinkAdd(l); err != nil {
		t.Skipf("the kernel makes no link of type %s: %v", l.Type(), err)
	}
	for _, text := range addresses {
		address, err := netlink.ParseAddr(text)
		if err == nil {
			err = netlink.AddrAdd(l, address)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := netlink.LinkSetUp(l); err != nil {
		t.Fatal(err)
	}
	return l
}

func route(t *testing.T, by netlink.Link, to, via string) {
	t.Helper()
	_, dst, err := net.ParseCIDR(to)
	if err == nil {
		err = netlink.RouteAdd(&netlink.Route{LinkIndex: by.Attrs().Index, Dst: dst, Gw: net.ParseIP(via)})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestClean wants what Flannel left to go, twice, and what belongs to others to stay.
func TestClean(t *testing.T) {
	inOwnNetwork(t)
	under := link(t, &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "under"}}, "192.0.2.1/24")
	link(t, &netlink.Vxlan{LinkAttrs: netlink.LinkAttrs{Name: "flannel.7"}, VxlanId: 7, Port: 8472})
	link(t, &netlink.Vxlan{LinkAttrs: netlink.LinkAttrs{Name: "other.1"}, VxlanId: 1, Port: 4789})
	link(t, &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "flannel.8"}}) // so called by somebody else
	bridge := link(t, &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "cni0"}}, "10.244.0.1/24")
	link(t, &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "pod", MasterIndex: bridge.Attrs().Index}, PeerName: "inside"})
	link(t, &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "alone"}, PeerName: "peer"})
	route(t, under, "10.244.3.0/24", "192.0.2.3") // as host-gw makes it
	route(t, under, "10.245.0.0/24", "192.0.2.3")
	route(t, under, "10.244.0.0/16", "192.0.2.4") // to all pods, by somebody else

	root := t.TempDir()
	put(t, root, map[string]string{
		"conf/10-flannel.conflist": `{"name": "cbr0", "plugins": [{"type": "flannel", "delegate": {"isDefaultGateway": true}}, {"type": "portmap"}]}`,
		"conf/README":              "cni0",
		"bin/flannel":              "", "bin/bridge": "",
		"state/flannel/0f": "{}", "state/networks/cbr0/10.244.0.2": "0f", "state/networks/other/192.0.2.9": "",
		"state/results/cbr0-0f-eth0": "{}", "state/results/other-0f-net1": "{}",
		"run/subnet.env": "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.0.1/24\nFLANNEL_MTU=1450\n",
	})
	var ran []string
	f := &Flannel{
		ConfDir: root + "/conf", BinDir: root + "/bin", StateDir: root + "/state", RunDir: root + "/run", Log: testr.New(t),
		run: func(_ context.Context, input, name string, args ...string) (string, error) {
			ran = append(ran, strings.TrimSpace(name+" "+strings.Join(args, " ")))
			switch {
			case name == "nft" && args[0] == "list":
				return "table ip flannel-ipv4\ntable ip others\n", nil
			case name == "iptables-save":
				return "*nat\n:FLANNEL-POSTRTG - [0:0]\n-A POSTROUTING -j FLANNEL-POSTRTG\nCOMMIT\n", nil
			case name == "iptables-restore" && !strings.Contains(input, "-D POSTROUTING -j FLANNEL-POSTRTG\n-F FLANNEL-POSTRTG"):
				t.Errorf("restored: %s", input)
			case name == "ip6tables-save":
				return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
			}
			return "", nil
		},
	}
	if err := f.Clean(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{
		"iptables-save", "iptables-restore --noflush --wait", "ip6tables-save", "nft list tables", "nft delete table ip flannel-ipv4",
	}, ran); diff != "" {
		t.Error(diff)
	}
	want := []string{"alone", "flannel.8", "lo", "other.1", "peer", "under"}
	if diff := cmp.Diff(want, slices.DeleteFunc(linksOf(t), func(name string) bool {
		return !slices.Contains(append(want, "cni0", "pod", "inside", "flannel.7"), name)
	})); diff != "" {
		t.Error(diff)
	}
	routes, err := netlink.RouteList(under, netlink.FAMILY_V4)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, r := range routes {
		if r.Gw != nil {
			left = append(left, r.Dst.String())
		}
	}
	slices.Sort(left)
	if diff := cmp.Diff([]string{"10.244.0.0/16", "10.245.0.0/24"}, left); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"bin/bridge", "conf/README", "state/networks/other/192.0.2.9", "state/results/other-0f-net1"}, filesIn(t, root)); diff != "" {
		t.Error(diff)
	}
	if err := f.Clean(t.Context()); err != nil {
		t.Errorf("once more: %v", err)
	}
}

// TestCleanBeside wants the bridge to stay, with what is on it, where another CNI configuration names it; and ports of the host.
func TestCleanBeside(t *testing.T) {
	inOwnNetwork(t)
	link(t, &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "cni0"}})
	root := t.TempDir()
	put(t, root, map[string]string{"conf/100-bridge.conflist": `{"name": "b", "plugins": [{"type": "bridge", "bridge": "cni0"}]}`})
	f := &Flannel{
		ConfDir: root + "/conf", BinDir: root + "/bin", StateDir: root + "/state", RunDir: root + "/run", Log: testr.New(t),
		run: func(_ context.Context, _, name string, _ ...string) (string, error) {
			switch name {
			case "iptables-save":
				return "*nat\n:CNI-HOSTPORT-DNAT - [0:0]\nCOMMIT\n", nil
			case "iptables-restore":
				t.Error("ports of the host are removed")
			}
			return "", nil
		},
	}
	if err := f.Clean(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(linksOf(t), "cni0") || len(filesIn(t, root)) != 1 {
		t.Errorf("left: links %v, files %v", linksOf(t), filesIn(t, root))
	}
}

// TestReadConfiguration takes names from Flannel's CNI configuration, and no path.
func TestReadConfiguration(t *testing.T) {
	for text, want := range map[string]cniConfiguration{
		"":  {"cbr0", "cni0"},
		"x": {"cbr0", "cni0"},
		`{"name": "a", "plugins": [{"type": "flannel", "delegate": {"bridge": "br1"}}]}`: {"a", "br1"},
		`{"name": "../../etc"}`: {"cbr0", "cni0"},
		`{"name": ".."}`:        {"cbr0", "cni0"},
	} {
		path := filepath.Join(t.TempDir(), configuration)
		if text != "" {
			put(t, filepath.Dir(path), map[string]string{configuration: text})
		}
		if got, err := readConfiguration(path); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}
