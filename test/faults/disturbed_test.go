package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/networkstack/networkstack/test/effort"
)

// disturbance is something that goes wrong all the time.
type disturbance struct {
	name  string
	fault fault
	// beside runs next to the operator until ctx ends.
	beside func(ctx context.Context, e *env, r *run)
	// slow ones are left to make faults.
	slow bool
}

func disturbances() []disturbance {
	begin := time.Now()
	return []disturbance{
		{name: "a fifth of the requests is throttled, and all are in bursts", fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			const cycle, burst = 8 * time.Second, 2 * time.Second
			if rand.IntN(5) == 0 || time.Since(begin)%cycle < burst {
				w.Header().Set("Retry-After", "1")
				refuse(w, http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests)
				return
			}
			next.ServeHTTP(w, r)
		}},
		{name: "a third of the writes is in conflict, and somebody else writes the same DaemonSet", fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if isWrite(r) && rand.IntN(3) == 0 {
				refuse(w, http.StatusConflict, metav1.StatusReasonConflict)
				return
			}
			next.ServeHTTP(w, r)
		}, beside: writeBeside},
		{name: "watches expire and end", fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if !isWatch(r) {
				next.ServeHTTP(w, r)
				return
			}
			// After each that has expired the client library waits twice as long, up to half a minute; rare enough for that not to be
			// what is tested.
			if rand.IntN(12) == 0 {
				refuse(w, http.StatusGone, metav1.StatusReasonExpired)
				return
			}
			ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
			defer cancel()
			next.ServeHTTP(w, r.WithContext(ctx))
		}},
		{name: "answers break off", fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if rand.IntN(8) == 0 {
				w = &brokenWriter{ResponseWriter: w, left: rand.IntN(300)}
			}
			next.ServeHTTP(w, r)
		}},
		{name: "connections break", beside: func(ctx context.Context, _ *env, r *run) {
			// Longer than the second below which the client library takes a watch for failed and waits up to half a minute.
			for ticker := time.NewTicker(1500 * time.Millisecond); ; {
				select {
				case <-ctx.Done():
					ticker.Stop()
					return
				case <-ticker.C:
					r.proxy.server.CloseClientConnections()
				}
			}
		}},
		{name: "every request takes long", fault: delayed(50*time.Millisecond, 300*time.Millisecond)},
		{name: "every request takes very long", fault: delayed(200*time.Millisecond, 2*time.Second), slow: true},
		{name: "every tenth request fails with 500 or 503", fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			switch rand.IntN(20) {
			case 0:
				refuse(w, http.StatusInternalServerError, metav1.StatusReasonInternalError)
			case 1:
				refuse(w, http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable)
			default:
				next.ServeHTTP(w, r)
			}
		}},
	}
}

// refuse answers as the API server does.
func refuse(w http.ResponseWriter, code int, reason metav1.StatusReason) {
	body, _ := json.Marshal(metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure, Reason: reason, Code: int32(code), Message: "disturbed: " + string(reason),
	})
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(body)
}

func delayed(least, most time.Duration) fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		timer := time.NewTimer(least + rand.N(most-least))
		defer timer.Stop()
		select {
		case <-timer.C:
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}
}

// brokenWriter passes some bytes on and then ends the answer in its middle.
type brokenWriter struct {
	http.ResponseWriter
	left int
}

func (b *brokenWriter) Write(p []byte) (int, error) {
	if len(p) <= b.left {
		b.left -= len(p)
		return b.ResponseWriter.Write(p)
	}
	_, _ = b.ResponseWriter.Write(p[:b.left])
	b.Flush()
	panic(http.ErrAbortHandler)
}

// Flush sends what there is.
func (b *brokenWriter) Flush() {
	if f, ok := b.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

// writeBeside changes an annotation of the DaemonSet all the time, and takes it off in the end.
func writeBeside(ctx context.Context, e *env, _ *run) {
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: flannelNamespace, Name: "kube-flannel-ds"}}
	patch := func(ctx context.Context, value string) {
		body := fmt.Appendf(nil, `{"metadata":{"annotations":{"example.com/rival":%s}}}`, value)
		_ = e.client.Patch(ctx, ds.DeepCopy(), client.RawPatch(types.MergePatchType, body), client.FieldOwner("rival"))
	}
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			patch(context.WithoutCancel(ctx), "null")
			return
		case <-ticker.C:
			patch(ctx, strconv.Quote(strconv.Itoa(n)))
		}
	}
}

// mostErrors bounds how many lines of errors an operator may write in a phase: it says what is wrong, and does not repeat
// it without end.
const mostErrors = 400

// Whatever disturbs the requests, a stack is installed, changed, repaired and deleted as it would be otherwise.
func TestDisturbed(t *testing.T) {
	t.Parallel()
	names := []string{"install", "change", "drift", "delete"}
	if effort.Full() {
		names = []string{"install", "change", "change back", "drift", "delete"}
	}
	// Two control planes share the work, most of which is waiting.
	const planes = 2
	work := make(chan disturbance)
	var all sync.WaitGroup
	for n := range planes {
		all.Go(func() {
			t.Run(fmt.Sprintf("plane %d", n), func(t *testing.T) {
				e := newEnv(t)
				life := named(t, names...)
				want := e.undisturbed(t, life)
				for d := range work {
					t.Run(d.name, func(t *testing.T) { e.in(t, func() { e.disturbedLife(d, life, want) }) })
					if t.Failed() {
						return
					}
				}
			})
		})
	}
	go func() {
		defer close(work)
		for _, d := range disturbances() {
			if d.slow && !effort.Full() {
				continue
			}
			select {
			case work <- d:
			case <-t.Context().Done():
				return
			}
		}
	}()
	all.Wait()
}

// disturbedLife goes through the phases of a life under a disturbance.
func (e *env) disturbedLife(d disturbance, life []phase, want map[string]end) {
	e.t.Helper()
	r := e.start(d.fault)
	defer r.end()
	for _, p := range life {
		beside, stop := context.WithCancel(e.t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			if d.beside != nil {
				d.beside(beside, e, r)
			}
		}()
		began, errors := time.Now(), r.errors()
		p.begin(e)
		e.eventually(p.name, func(ctx context.Context) (bool, string) {
			e.mustRun(r)
			return p.done(e, ctx)
		})
		took := time.Since(began)
		stop()
		<-done
		e.settles(p.name, want[p.name])
		n := r.errors() - errors
		e.t.Logf("%s: %s, %d lines of errors", p.name, took.Round(10*time.Millisecond), n)
		if n > mostErrors {
			e.t.Errorf("%s: %d lines of errors", p.name, n)
		}
	}
}

// in runs a part of a test so that its failures count as that part's.
func (e *env) in(t *testing.T, do func()) {
	outer := e.t
	e.t = t
	defer func() { e.t = outer }()
	do()
}

// errors counts the lines in which the operator, or the client library, complains.
func (r *run) errors() int {
	return r.log.Count(`"level":"error"`) + r.log.Count(`"level":"warn"`) + r.log.Count("\nE1") + r.log.Count("\nW1")
}

func (e *env) mustRun(r *run) {
	e.t.Helper()
	select {
	case <-r.Exited():
		e.t.Fatalf("the operator ended by itself:\n%s", r.log.Tail(3000))
	default:
	}
}

// settles waits until what a phase came to is what it should be.
func (e *env) settles(what string, want end) {
	e.t.Helper()
	var last []string
	e.eventually(what+" to come to the same end", func(ctx context.Context) (bool, string) {
		last = want.differs(e.endNow(ctx))
		return len(last) == 0, fmt.Sprint(last)
	})
}
