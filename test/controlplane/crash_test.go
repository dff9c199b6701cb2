package controlplane

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
)

// crashVariable makes this test binary a program that starts a control plane
// and waits to be killed.
const crashVariable = "NETWORKSTACK_TEST_CRASH"

func TestMain(m *testing.M) {
	if os.Getenv(crashVariable) == "" {
		os.Exit(m.Run())
	}
	c, err := Start(context.Background(), Options{Out: os.Stderr})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(c.Dir())
	select {}
}

// A crash of the process that started a control plane leaves no processes, and
// the next start removes the directory.
func TestCrash(t *testing.T) {
	binaries(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), crashVariable+"=1")
	cmd.Stderr = t.Output()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the program ended early: %v", errors.Join(err, cmd.Wait()))
	}
	dir := strings.TrimSpace(line)
	r, err := readRecord(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Processes) != 5 {
		t.Errorf("recorded processes: %+v", r.Processes)
	}
	for _, p := range r.Processes {
		if !p.alive(dir) {
			t.Errorf("%s does not run", p.Name)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()

	if runtime.GOOS == "linux" {
		eventually(t, time.Minute, func() error { return noneAlive(r.Processes, dir) })
	}
	next, err := newInstanceDir(t.Context(), t.Output()) // as Start does
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = next.remove() }()
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there (%v)", dir, err)
	}
	if err := noneAlive(r.Processes, dir); err != nil {
		t.Error(err)
	}
}

func noneAlive(processes []processRecord, dir string) error {
	for _, p := range processes {
		if p.alive(dir) {
			return fmt.Errorf("%s (pid %d) still runs", p.Name, p.PID)
		}
	}
	return nil
}

// binaries builds what is missing before the time of a test counts.
func binaries(t *testing.T) BinarySet {
	t.Helper()
	set, err := Binaries(t.Context(), DefaultVersion, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// eventually polls until check succeeds.
func eventually(t *testing.T, timeout time.Duration, check func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	for {
		err := check()
		if err == nil {
			return
		}
		if pause(ctx, 50*time.Millisecond) != nil {
			t.Fatalf("after %s: %v", timeout, err)
		}
	}
}
