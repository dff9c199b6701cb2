package lifecycle

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/operator"
)

// idleSecondsVariable makes the measurement longer than the short one of every run.
const idleSecondsVariable = "NETWORKSTACK_IDLE_SECONDS"

// TestIdle installs the sample that needs nothing but the binary, and counts, in the API server's audit log, what an operator with
// nothing to do asks of it.
func TestIdle(t *testing.T) {
	t.Parallel()
	e := newEnv(t, controlplane.Options{AuditLog: filepath.Join(t.TempDir(), "audit.log")}, "--leader-elect")
	stack := sample(t, flannelSample)
	e.apply(stack)
	ready := e.waitReady(stack.Name)
	var installed []string
	for _, c := range ready.Status.Components {
		installed = append(installed, c.Name)
	}
	if want := []string{"coredns", "flannel", "ingress-public", "kube-proxy", "multus"}; !slices.Equal(slices.Sorted(slices.Values(installed)), want) {
		t.Errorf("the components are %v, not %v", installed, want)
	}

	e.idles(idleWindow(t, 30*time.Second))
}

// idleWindow is how long an operator is to have nothing to do.
func idleWindow(t *testing.T, usual time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv(idleSecondsVariable)
	if text == "" {
		return usual
	}
	seconds, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", idleSecondsVariable, err)
	}
	return time.Duration(seconds) * time.Second
}

// idles wants an operator with nothing to do to write nothing, and to read nothing. It needs an audit log, and a leader election that
// shows that there was something to measure.
func (e *env) idles(window time.Duration) {
	t := e.t
	t.Helper()
	// What follows on becoming Ready (events, the last status) is over when nothing but the lease was written for a while.
	const quiet = 3 * time.Second
	e.eventually("the operator to have nothing to do", func(context.Context) (bool, string) {
		last, what := e.lastWrite()
		return time.Since(last) > quiet, what
	})
	from := time.Now()
	timer := time.NewTimer(window)
	select {
	case <-timer.C:
	case <-e.process.Exited():
		t.Fatal("the operator ended by itself")
	}

	writes, reads, leases := map[string]int{}, map[string]int{}, 0
	for _, event := range e.requests() {
		what := event.Verb + " " + event.Resource + " " + event.Namespace + "/" + event.Name
		switch {
		case event.Time.Before(from):
		case event.Resource == "leases":
			leases++
		case isWrite(event):
			writes[what]++
		case event.Verb != "watch":
			reads[what]++
		}
	}
	t.Logf("%s idle with a full stack: %d writes, %d reads, %d requests for the leader lease", window, total(writes), total(reads), leases)
	if len(writes) > 0 {
		t.Errorf("an idle operator writes: %v", writes)
	}
	// A watch that the API server ends is opened again; no read belongs to that.
	if len(reads) > 0 {
		t.Errorf("an idle operator reads: %v", slices.Collect(maps.Keys(reads)))
	}
	if leases == 0 {
		t.Error("not even the leader lease was renewed: nothing was measured")
	}
}

func total(counts map[string]int) int {
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return sum
}

func isWrite(event controlplane.AuditEvent) bool {
	switch event.Verb {
	case "create", "update", "patch", "delete", "deletecollection":
		return true
	}
	return false
}

// requests are those of the operator.
func (e *env) requests() []controlplane.AuditEvent {
	e.t.Helper()
	all, err := e.cp.Audit(e.t.Context())
	e.check(err)
	return slices.DeleteFunc(all, func(event controlplane.AuditEvent) bool {
		return event.User != "system:serviceaccount:"+operator.Namespace+":"+operator.ServiceAccount
	})
}

func (e *env) lastWrite() (at time.Time, what string) {
	e.t.Helper()
	for _, event := range e.requests() {
		if isWrite(event) && event.Resource != "leases" && event.Time.After(at) {
			at, what = event.Time, event.Verb+" "+event.Resource+" "+event.Name
		}
	}
	return at, what
}
