package controlplane

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// sleeper starts a process that has arg on its command line, as components do.
func sleeper(t *testing.T, arg string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sh", "-c", "sleep 600; :", arg)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	return cmd
}

func TestRemoveStale(t *testing.T) {
	instances := t.TempDir()
	stale, living := filepath.Join(instances, "stale"), filepath.Join(instances, "living")
	for _, dir := range []string{stale, living} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	owner, err := tryLock(filepath.Join(living, "owner.lock"))
	if err != nil || owner == nil {
		t.Fatalf("lock %v, error %v", owner, err)
	}
	defer owner.unlock()

	ours, foreign, recycled := sleeper(t, stale), sleeper(t, "foreign"), sleeper(t, stale)
	other := recordProcess("recycled", recycled.Process.Pid)
	other.Start = "1" // as if the pid belonged to an earlier process
	r := record{Processes: []processRecord{
		recordProcess("ours", ours.Process.Pid), recordProcess("foreign", foreign.Process.Pid), other, {Name: "zero"}, {Name: "init", PID: 1},
	}}
	if err := r.write(stale); err != nil {
		t.Fatal(err)
	}
	if !r.Processes[0].alive(stale) {
		t.Fatal("the recorded process is not recognised")
	}
	if err := removeStale(t.Context(), instances, t.Output()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(stale); !os.IsNotExist(err) {
		t.Errorf("the stale instance is still there (%v)", err)
	}
	if _, err := os.Stat(living); err != nil {
		t.Errorf("the living instance: %v", err)
	}
	if r.Processes[0].alive(stale) {
		t.Error("the stale instance's process still runs")
	}
	for name, cmd := range map[string]*exec.Cmd{"foreign": foreign, "recycled": recycled} {
		if _, _, alive := processStart(cmd.Process.Pid); !alive {
			t.Errorf("the %s process was ended", name)
		}
	}
}
