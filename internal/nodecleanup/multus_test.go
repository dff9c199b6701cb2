package nodecleanup

import (
	"net"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"github.com/google/go-cmp/cmp"
)

// Configurations as a daemon of Multus writes them, and as others do.
const (
	daemonsOwn = `{"cniVersion":"0.3.1","logLevel":"verbose","logToStderr":true,"name":"multus-cni-network",` +
		`"clusterNetwork":"/host/etc/cni/net.d/10-flannel.conflist","type":"multus-shim"}`
	thin    = `{"cniVersion":"0.3.1","name":"multus-cni-network","type":"multus","kubeconfig":"/etc/cni/net.d/multus.d/multus.kubeconfig"}`
	plugins = `{"name":"cbr0","plugins":[{"type":"flannel"},{"type":"portmap"}]}`
)

// attachedPod is what Multus remembers of a pod: the network plugin's network, and two more.
const attachedPod = `[{"Conf":{"name":""},"ConfList":{"name":"cbr0"},"Name":"cbr0"},` +
	`{"Conf":{"name":"default.backend","type":"bridge"},"ConfList":{},"Name":"default/backend"},` +
	`{"Conf":{},"ConfList":{"name":"by.hand"},"Name":"by/hand"},{"Conf":{"name":"cbr0"},"ConfList":{}},{"Conf":{"name":"../../x"},"ConfList":{}}]`

func multusOn(t *testing.T, files map[string]string) (*Multus, string) {
	t.Helper()
	root := t.TempDir()
	put(t, root, files)
	return &Multus{
		ConfDir: root + "/conf", BinDir: root + "/bin", StateDir: root + "/state", RunDir: root + "/run", Log: testr.New(t),
	}, root
}

// TestMultusClean wants what a daemon left to go, twice, and no more.
func TestMultusClean(t *testing.T) {
	left := map[string]string{
		"conf/00-multus.conf": daemonsOwn, "conf/10-flannel.conflist": plugins, "conf/README": `"multus-shim"`,
		"bin/multus-shim": "", "bin/passthru": "", "bin/bridge": "", "bin/multus": "",
		"run/multus.sock":                         "",
		"state/results/multus-cni-network-0-eth0": "{}", "state/results/cbr0-0-eth0": "{}",
		"state/multus/0": attachedPod, "state/multus/1": "{", "state/multus/results/default.backend-0-net2": "{}",
		"state/networks/default.backend/192.168.61.10": "0", "state/networks/by.hand/192.168.62.10": "0",
		"state/networks/default.old/192.168.63.10": "9", "state/networks/cbr0/10.244.0.2": "0", "state/networks/others/192.0.2.1": "0",
	}
	plain := []string{"bin/bridge", "bin/multus", "conf/10-flannel.conflist", "conf/README"}
	for _, tc := range []struct {
		name  string
		books bool
		want  []string
	}{
		{"pods that are attached may be let go of yet", false, append(plain,
			"state/multus/0", "state/multus/1", "state/multus/results/default.backend-0-net2", "state/networks/by.hand/192.168.62.10",
			"state/networks/cbr0/10.244.0.2", "state/networks/default.backend/192.168.61.10", "state/networks/default.old/192.168.63.10",
			"state/networks/others/192.0.2.1", "state/results/cbr0-0-eth0")},
		{"none will be", true, append(plain, "state/networks/cbr0/10.244.0.2", "state/networks/others/192.0.2.1", "state/results/cbr0-0-eth0")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, root := multusOn(t, left)
			m.Books, m.Networks = tc.books, []string{"default.old", "default.backend", "..", ""}
			for range 2 {
				if err := m.Clean(t.Context()); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tc.want, filesIn(t, root)); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// TestMultusOfOthers wants what another Multus needs to stay, and a configuration that nobody serves to go all the same.
func TestMultusOfOthers(t *testing.T) {
	const unknown = `{"name":"mine","type":"multus-shim"}`
	for name, tc := range map[string]struct {
		conf map[string]string
		// own says that there is one to go, and others that there is another Multus.
		own, others bool
	}{
		"none":                                 {map[string]string{}, false, false},
		"one that a daemon began to write":     {map[string]string{"00-multus.conf": ""}, true, false},
		"a daemon's":                           {map[string]string{"00-multus.conf": daemonsOwn}, true, false},
		"beside what names it in other words":  {map[string]string{"00-multus.conf": daemonsOwn, "10.conflist": `{"name":"multus","plugins":[{"type":"bridge","bridge":"passthru"}]}`}, true, false},
		"beside what is no configuration":      {map[string]string{"00-multus.conf": daemonsOwn, "multus.d/x.conf": thin, "00-multus.conf.old": thin, "a.conf": `{"type":"multus"`}, true, false},
		"the thin plugin's":                    {map[string]string{"00-multus.conf": thin}, false, true},
		"the thin plugin's under another name": {map[string]string{"00-multus.conf": daemonsOwn, "01-multus.conf": thin}, true, true},
		"by hand, in a list":                   {map[string]string{"00-multus.conf": daemonsOwn, "05.conflist": `{"name":"a","plugins":[{"type":"multus-shim"}]}`}, true, true},
		"by hand, in the same file":            {map[string]string{"00-multus.conf": unknown}, false, true},
		"passthru":                             {map[string]string{"20.conf": `{"name":"a","type":"passthru"}`}, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"bin/multus-shim": "", "bin/passthru": "", "state/multus/0": attachedPod, "state/networks/by.hand/192.168.62.10": "0"}
			want := len(tc.conf)
			if tc.own {
				want--
			}
			if tc.others {
				want += len(files)
			}
			for path, text := range tc.conf {
				files["conf/"+path] = text
			}
			m, root := multusOn(t, files)
			m.Books = true
			if err := m.Clean(t.Context()); err != nil {
				t.Fatal(err)
			}
			left := filesIn(t, root)
			if len(left) != want || tc.own && slices.Contains(left, "conf/00-multus.conf") {
				t.Errorf("%d are to be left, and there are %v", want, left)
			}
		})
	}
}

// TestMultusListens wants a daemon that is about to end to be waited for, and one that goes on to keep what it has.
func TestMultusListens(t *testing.T) {
	for _, ends := range []bool{true, false} {
		m, root := multusOn(t, map[string]string{"conf/00-multus.conf": daemonsOwn, "bin/multus-shim": "", "run/other": ""})
		// Paths of sockets are short.
		t.Chdir(m.RunDir)
		listener, err := net.Listen("unix", multusSocket) //nolint:noctx // it listens at once
		if err != nil {
			t.Fatal(err)
		}
		accepted := make(chan struct{})
		go func() {
			if conn, err := listener.Accept(); err == nil {
				_ = conn.Close()
			}
			if ends {
				_ = listener.Close()
			}
			close(accepted)
		}()
		m.RunDir = "."
		m.Patience = time.Minute
		if !ends {
			m.Patience = 0
		}
		if err := m.Clean(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-accepted
		_ = listener.Close()
		left, err := filepath.Glob(root + "/*/*")
		if err != nil {
			t.Fatal(err)
		}
		if ends && len(left) > 0 || !ends && len(left) < 3 {
			t.Errorf("it ends: %v, and there are %v", ends, left)
		}
	}
}
