package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/networkstack/networkstack/test/nodes/nodeconfig"
)

// hierarchies are the cgroup hierarchies of version 1 that this process is in, by the names they are mounted with.
func hierarchies() ([]string, error) {
	content, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	var names []string
	for line := range strings.Lines(string(content)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) == 3 && fields[0] != "0" {
			names = append(names, fields[1])
		}
	}
	return names, nil
}

// enterGroups moves this process into the node's groups, then makes them the roots of what it sees, and begins anew: a namespace
// of cgroups belongs to one thread until then.
func enterGroups(c nodeconfig.Config, content []byte) error {
	names, err := hierarchies()
	if err != nil {
		return err
	}
	for _, name := range names {
		path := "/sys/fs/cgroup/" + strings.TrimPrefix(name, "name=") + "/" + c.Group + "/cgroup.procs"
		if err := os.WriteFile(path, []byte("0"), 0o600); err != nil {
			return err
		}
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("namespace of cgroups: %w", err)
	}
	return unix.Exec("/proc/self/exe", []string{os.Args[0], "boot"}, []string{
		configEnv + "=" + string(content), "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
	})
}

func boot(c nodeconfig.Config) error {
	for _, step := range []struct {
		what string
		do   func(nodeconfig.Config) error
	}{{"root", makeRoot}, {"files", writeFiles}, {"sysctls", shadowSysctls}, {"network", configureNetwork}} {
		if err := step.do(c); err != nil {
			return fmt.Errorf("%s of the node: %w", step.what, err)
		}
	}
	return runPrograms(c)
}

type mount struct {
	source, target, kind string
	flags                uintptr
	data                 string
}

func (m mount) do() error {
	if err := os.MkdirAll(m.target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(m.source, m.target, m.kind, m.flags, m.data); err != nil {
		return fmt.Errorf("mounting %s (%s) on %s: %w", m.source, m.kind, m.target, err)
	}
	return nil
}

func makeRoot(c nodeconfig.Config) error {
	names, err := hierarchies()
	if err != nil {
		return err
	}
	root, upper, work := filepath.Join(c.Dir, "root"), filepath.Join(c.Dir, "upper"), filepath.Join(c.Dir, "work")
	for _, dir := range []string{root, upper, work} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	in := func(path string) string { return filepath.Join(root, path) }
	mounts := []mount{
		{"none", "/", "", unix.MS_REC | unix.MS_PRIVATE, ""},
		{"overlay", root, "overlay", 0, "lowerdir=" + strings.Join(c.Layers, ":") + ",upperdir=" + upper + ",workdir=" + work},
		{"proc", in("/proc"), "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		{"sysfs", in("/sys"), "sysfs", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		{"tmpfs", in("/run"), "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=755"},
		{"tmpfs", in("/tmp"), "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
		{"tmpfs", in("/dev"), "tmpfs", unix.MS_NOSUID, "mode=755"},
		{"devpts", in("/dev/pts"), "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620"},
		{"tmpfs", in("/dev/shm"), "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
		{"tmpfs", in("/sys/fs/cgroup"), "tmpfs", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, "mode=755"},
		{filepath.Join(c.State, "containerd"), in("/var/lib/containerd"), "", unix.MS_BIND, ""},
		{filepath.Join(c.State, "kubelet"), in("/var/lib/kubelet"), "", unix.MS_BIND, ""},
	}
	for _, name := range names {
		data := name
		if strings.HasPrefix(name, "name=") {
			data = "none," + name
		}
		mounts = append(mounts, mount{"cgroup", in("/sys/fs/cgroup/" + strings.TrimPrefix(name, "name=")), "cgroup", 0, data})
	}
	for target, source := range c.Binds {
		mounts = append(mounts, mount{source, in(target), "", unix.MS_BIND | unix.MS_REC, ""})
	}
	for _, m := range mounts {
		if err := m.do(); err != nil {
			return err
		}
	}
	if err := makeDevices(root); err != nil {
		return err
	}
	old := in("/.old")
	if err := os.MkdirAll(old, 0o700); err != nil {
		return err
	}
	if err := unix.PivotRoot(root, old); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	return errors.Join(
		unix.Unmount("/.old", unix.MNT_DETACH),
		// As systemd has it: what pods mount can reach the node, and what the node mounts, pods.
		unix.Mount("none", "/", "", unix.MS_REC|unix.MS_SHARED, ""),
		unix.Sethostname([]byte(c.Name)),
	)
}

func makeDevices(root string) error {
	for name, number := range map[string][2]uint32{
		"null": {1, 3}, "zero": {1, 5}, "full": {1, 7}, "random": {1, 8}, "urandom": {1, 9}, "kmsg": {1, 11}, "tty": {5, 0},
	} {
		path := filepath.Join(root, "dev", name)
		device := unix.Mkdev(number[0], number[1])
		if err := unix.Mknod(path, unix.S_IFCHR|0o666, int(device)); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if err := os.Chmod(path, 0o666); err != nil {
			return err
		}
	}
	for name, target := range map[string]string{
		"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
	} {
		if err := os.Symlink(target, filepath.Join(root, "dev", name)); err != nil {
			return err
		}
	}
	return nil
}

func writeFiles(c nodeconfig.Config) error {
	for path, content := range c.Files {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// shadowed are sysctls of the whole machine that the kubelet sets: it is shown files in their place.
var shadowed = map[string]string{
	"vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1",
	"kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000",
}

func shadowSysctls(nodeconfig.Config) error {
	for name, value := range shadowed {
		file := "/run/sysctl/" + name
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		if err := unix.Mount(file, "/proc/sys/"+name, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func configureNetwork(c nodeconfig.Config) error {
	for name, value := range map[string]string{
		"net/ipv4/ip_forward": "1", "net/ipv6/conf/all/forwarding": "1",
		// Duplicates are not looked for: an address can be used at once.
		"net/ipv6/conf/eth0/accept_dad": "0", "net/ipv6/conf/eth0/accept_ra": "0",
		"net/bridge/bridge-nf-call-iptables": "1", "net/bridge/bridge-nf-call-ip6tables": "1",
	} {
		err := os.WriteFile("/proc/sys/"+name, []byte(value), 0o644)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	for _, name := range []string{"lo", "eth0"} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if name == "eth0" {
			if err := netlink.LinkSetMTU(link, c.MTU); err != nil {
				return err
			}
			for _, text := range c.Addresses {
				address, err := netlink.ParseAddr(text)
				if err != nil {
					return err
				}
				if err := netlink.AddrAdd(link, address); err != nil {
					return fmt.Errorf("%s: %w", text, err)
				}
			}
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return err
		}
	}
	for _, gateway := range c.Gateways {
		if err := netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP(gateway)}); err != nil {
			return fmt.Errorf("route by %s: %w", gateway, err)
		}
	}
	return nil
}

// runPrograms starts what a node consists of, and buries the dead: orphans of the node's processes come to its first one. It
// returns when one of its own has ended.
func runPrograms(c nodeconfig.Config) error {
	own := map[int]string{}
	start := func(name string, args ...string) error {
		log, err := os.OpenFile("/var/log/"+name+".log", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
		if err != nil {
			return err
		}
		defer func() { _ = log.Close() }()
		path := "/usr/local/bin/" + name
		process, err := os.StartProcess(path, append([]string{path}, args...), &os.ProcAttr{
			Dir: "/", Env: slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, configEnv) }),
			Files: []*os.File{nil, log, log},
		})
		if err != nil {
			return err
		}
		own[process.Pid] = name
		return nil
	}
	if err := start("containerd"); err != nil {
		return err
	}
	if len(c.Kubelet) > 0 {
		for {
			if _, err := os.Stat("/run/containerd/containerd.sock"); err == nil {
				break
			}
			<-time.After(10 * time.Millisecond)
		}
		if err := start("kubelet", c.Kubelet...); err != nil {
			return err
		}
	}
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("waiting: %w", err)
		case own[pid] != "":
			return fmt.Errorf("%s ended: %v, signal %v", own[pid], status.ExitStatus(), status.Signal())
		}
	}
}
