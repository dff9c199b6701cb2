package nodes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/networkstack/networkstack/test/controlplane"
)

// Enabled is the environment variable that turns these tests on: they take minutes, and root.
const Enabled = "NETWORKSTACK_E2E"

// stageEnv tells a process begun anew in its own namespaces what it is there for, and runEnv its directory.
const (
	stageEnv = "NETWORKSTACK_E2E_STAGE"
	runEnv   = "NETWORKSTACK_E2E_RUN"
)

// groupPrefix begins the names of the control groups, runPrefix those of the directories of runs.
const (
	groupPrefix = "networkstack-e2e-"
	runPrefix   = "run-"
)

// skip is why there are no nodes in this process; it is empty where there are.
var skip = "real nodes take minutes and root: make e2e"

// Require skips a test where there are no real nodes to be had, and says why.
func Require(t interface {
	Helper()
	Skip(args ...any)
}) {
	t.Helper()
	if skip != "" {
		t.Skip(skip)
	}
}

// Main runs a package's tests, in namespaces of their own if they are turned on. It returns the exit code.
func Main(run func() int) int {
	if os.Getenv(Enabled) == "" {
		return run()
	}
	switch os.Getenv(stageEnv) {
	case "try":
		for _, problem := range tryKernel() {
			fmt.Fprintln(os.Stdout, problem)
		}
		return 0
	case "run":
		if err := enter(); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			return 1
		}
		skip = ""
		return run()
	}
	code, err := outside(run)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		return 1
	}
	return code
}

func outside(run func() int) (int, error) {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	missing := Missing()
	if len(missing) == 0 {
		out, err := self(ctx, "try", "").Output()
		if err != nil {
			return 0, fmt.Errorf("trying namespaces: %w", err)
		}
		if text := strings.TrimSpace(string(out)); text != "" {
			missing = strings.Split(text, "\n")
		}
	}
	if len(missing) > 0 {
		skip = "this machine has no real nodes: " + strings.Join(missing, "; ")
		fmt.Fprintln(os.Stderr, skip)
		return run(), nil
	}
	root, err := controlplane.RepositoryRoot()
	if err != nil {
		return 0, err
	}
	cache, err := controlplane.CacheRoot()
	if err != nil {
		return 0, err
	}
	cache = filepath.Join(cache, "nodes")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return 0, err
	}
	// One run at a time: two would share the processor, and what is measured would mean nothing.
	lock, err := os.OpenFile(filepath.Join(cache, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { _ = lock.Close() }()
	if err := lockFile(ctx, lock, os.Stderr); err != nil {
		return 0, err
	}
	if err := cleanUp(cache, os.Stderr); err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp(cache, runPrefix)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	code, err := func() (int, error) {
		if _, err := prepare(ctx, root, cache, dir, os.Stderr); err != nil {
			return 0, err
		}
		fmt.Fprintf(os.Stderr, "prepared in %.1f s\n", time.Since(start).Seconds())
		cmd := self(ctx, "run", dir)
		cmd.Stdin, cmd.Stdout = os.Stdin, os.Stdout
		err := onLockedThread(cmd.Run)
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return exit.ExitCode(), nil
		}
		return 0, err
	}()
	begin := time.Now()
	err = errors.Join(err, cleanUp(cache, os.Stderr))
	fmt.Fprintf(os.Stderr, "cleaned up in %.1f s\n", time.Since(begin).Seconds())
	return code, err
}

// self is this program again, in namespaces of its own; all that it starts ends with it.
func self(ctx context.Context, stage, dir string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), stageEnv+"="+stage, runEnv+"="+dir)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	return cmd
}

// onLockedThread runs something that starts a child to be ended with the thread that started it.
func onLockedThread(f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		result <- f()
	}()
	return <-result
}

// enter makes the namespaces that this process was begun in usable.
func enter() error {
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("/proc: %w", err)
	}
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(loopback)
}

// tryKernel tells what the kernel lacks, by trying it in namespaces that go away.
func tryKernel() []string {
	if err := enter(); err != nil {
		return []string{"namespaces cannot be made: " + err.Error()}
	}
	var missing []string
	for _, link := range []netlink.Link{
		&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "try-bridge"}},
		&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "try-veth"}, PeerName: "try-peer"},
		&netlink.Vxlan{LinkAttrs: netlink.LinkAttrs{Name: "try-vxlan"}, VxlanId: 1, Port: 8472},
	} {
		if err := netlink.LinkAdd(link); err != nil {
			missing = append(missing, fmt.Sprintf("the kernel makes no link of type %s (%v): modprobe it", link.Type(), err))
		}
	}
	if _, err := os.Stat("/proc/sys/net/bridge/bridge-nf-call-iptables"); err != nil {
		missing = append(missing, "packets of bridges do not pass through netfilter: modprobe br_netfilter")
	}
	return missing
}

// lockFile waits for the lock.
func lockFile(ctx context.Context, f *os.File, progress io.Writer) error {
	for said := false; ; said = true {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil || !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		if !said {
			fmt.Fprintln(progress, "waiting for another run to end")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// cleanUp removes what runs have left: control groups and directories, a directory after the groups that are called by it. Their
// processes, mounts and networks went with their namespaces. The caller has the lock, so no run of this cache is under way.
func cleanUp(cache string, progress io.Writer) error {
	runs, err := filepath.Glob(filepath.Join(cache, runPrefix+"*"))
	if err != nil {
		return err
	}
	if len(runs) > 1 {
		fmt.Fprintf(progress, "removing what %d runs left that did not end properly\n", len(runs)-1)
	}
	for _, run := range runs {
		groups, err := filepath.Glob("/sys/fs/cgroup/*/" + groupPrefix + filepath.Base(run))
		if err != nil {
			return err
		}
		for _, group := range groups {
			if err := removeGroup(group); err != nil {
				return err
			}
		}
		if err := os.RemoveAll(run); err != nil {
			return err
		}
	}
	return nil
}

// loadPrepared reads what the process outside has made.
func loadPrepared() (prepared, error) {
	var p prepared
	content, err := os.ReadFile(filepath.Join(os.Getenv(runEnv), stateFile))
	if err != nil {
		return p, fmt.Errorf("not begun by nodes.Main: %w", err)
	}
	return p, json.Unmarshal(content, &p)
}
