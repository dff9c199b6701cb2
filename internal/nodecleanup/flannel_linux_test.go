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

func route(t *testing.T, by netlink.Link, to, via string, protocol netlink.RouteProtocol) {
	t.Helper()
	_, dst, err := net.ParseCIDR(to)
	if err == nil {
		err = netlink.RouteAdd(&netlink.Route{LinkIndex: by.Attrs().Index, Dst: dst, Gw: net.ParseIP(via), Protocol: protocol})
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
	route(t, under, "10.244.3.0/24", "192.0.2.3", unix.RTPROT_BOOT) // as host-gw makes it
	route(t, under, "10.245.0.0/24", "192.0.2.3", unix.RTPROT_BOOT)
	route(t, under, "10.244.0.0/16", "192.0.2.4", unix.RTPROT_BOOT)   // to all pods, by somebody else
	route(t, under, "10.244.4.0/26", "192.0.2.3", unix.RTPROT_BIRD)   // by another network plugin, which took over the range
	route(t, under, "10.244.5.0/24", "192.0.2.3", unix.RTPROT_STATIC) // by the configuration of the host

	root := t.TempDir()
	put(t, root, map[string]string{
		"conf/10-flannel.conflist": `{"name": "cbr0", "plugins": [{"type": "flannel", "delegate": {"isDefaultGateway": true}}, {"type": "portmap"}]}`,
		"conf/README":              "cni0",
		"bin/flannel":              "", "bin/bridge": "",
		"state/flannel/0f": "{}", "state/networks/cbr0/10.244.0.2": "0f", "state/networks/other/192.0.2.9": "",
		"state/results/cbr0-0f-eth0": "{}", "state/results/other-0f-net1": "{}", "state/results/cbr0-second-0f-net2": "{}",
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
	if diff := cmp.Diff([]string{"10.244.0.0/16", "10.244.4.0/26", "10.244.5.0/24", "10.245.0.0/24"}, left); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"bin/bridge", "conf/README", "state/networks/other/192.0.2.9",
		"state/results/cbr0-second-0f-net2", "state/results/other-0f-net1"}, filesIn(t, root)); diff != "" {
		t.Error(diff)
	}
	if err := f.Clean(t.Context()); err != nil {
		t.Errorf("once more: %v", err)
	}
}

// TestCleanBeside wants the bridge to stay, with what is on it, where it may be another's, and ports of the host with it.
func TestCleanBeside(t *testing.T) {
	const ours = `{"name": "cbr0", "plugins": [{"type": "flannel"}]}`
	for _, tc := range []struct {
		name, file, text string
		stays            bool
	}{
		{"a bridge by its name", "100-bridge.conflist", `{"name": "b", "plugins": [{"type": "bridge", "bridge": "cni0"}]}`, true},
		{"a bridge by the plugin's default", "100-bridge.conf", `{"name": "b", "type": "bridge"}`, true},
		{"a bridge of a network that another plugin delegates to", "00-multus.conf",
			`{"type": "multus", "delegates": [{"name": "b", "plugins": [{"type":"bridge"}]}]}`, true},
		{"another bridge", "100-bridge.conflist", `{"name": "b", "plugins": [{"type": "bridge", "bridge": "cni1"}]}`, false},
		{"another plugin", "10-calico.conflist", `{"name": "k8s-pod-network", "plugins": [{"type": "calico"}]}`, false},
		{"what nobody can read", "100-bridge.conflist", `{`, true},
		{"a link that leads out of the directory", "100-bridge.conflist", "", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			links, files, restored := cleanBeside(t, map[string]string{configuration: ours, tc.file: tc.text})
			if slices.Contains(links, "cni0") != tc.stays {
				t.Errorf("left: links %v", links)
			}
			if restored || !slices.Equal(files, []string{"conf/" + tc.file}) {
				t.Errorf("ports of the host are removed: %v; left: %v", restored, files)
			}
		})
	}
	// cni0 is what the plugin bridge calls its own unless it is told otherwise.
	t.Run("a node that Flannel has never been on", func(t *testing.T) {
		links, _, restored := cleanBeside(t, nil)
		if !slices.Contains(links, "cni0") || restored {
			t.Errorf("left: links %v; ports of the host are removed: %v", links, restored)
		}
	})
}

// cleanBeside cleans a node that has a bridge, ports of the host, and these CNI configurations; one without text is a link that leads
// nowhere. It says what is left, and whether ports of the host were removed.
func cleanBeside(t *testing.T, configurations map[string]string) (links, files []string, restored bool) {
	t.Helper()
	inOwnNetwork(t)
	link(t, &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "cni0"}})
	root := t.TempDir()
	if err := os.Mkdir(root+"/conf", 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range configurations {
		if text == "" {
			if err := os.Symlink("/nowhere/"+name, filepath.Join(root, "conf", name)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		put(t, root, map[string]string{"conf/" + name: text})
	}
	f := &Flannel{
		ConfDir: root + "/conf", BinDir: root + "/bin", StateDir: root + "/state", RunDir: root + "/run", Log: testr.New(t),
		run: func(_ context.Context, _, name string, _ ...string) (string, error) {
			switch name {
			case "iptables-save":
				return "*nat\n:CNI-HOSTPORT-DNAT - [0:0]\nCOMMIT\n", nil
			case "iptables-restore":
				restored = true
			}
			return "", nil
		},
	}
	if err := f.Clean(t.Context()); err != nil {
		t.Fatal(err)
	}
	return linksOf(t), filesIn(t, root), restored
}

// TestReadConfiguration takes names from Flannel's CNI configuration, and no path.
func TestReadConfiguration(t *testing.T) {
	for text, want := range map[string]cniConfiguration{
		"":  {"cbr0", "cni0", false},
		"x": {"cbr0", "cni0", true},
		`{"name": "a", "plugins": [{"type": "flannel", "delegate": {"bridge": "br1"}}]}`: {"a", "br1", true},
		`{"name": "../../etc"}`: {"cbr0", "cni0", true},
		`{"name": ".."}`:        {"cbr0", "cni0", true},
		`{"name": "."}`:         {"cbr0", "cni0", true},
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
