package facts

import (
	"context"
	"sync"
	"time"
)

// wakeSettle is the least wait before somebody is woken: what comes at once is told at once.
const wakeSettle = 500 * time.Millisecond

// waker wakes somebody soon after something has changed, once for all that changes until then, and so that what is always busy does
// not keep us busy as well.
type waker struct {
	wake func()
	// pause is the least time from one wake-up to the next.
	pause time.Duration

	mu sync.Mutex
	// pending says that somebody is going to be woken, woken when somebody last was.
	pending bool
	woken   time.Time
}

// changed has somebody woken, from a goroutine of its own, unless ctx has ended.
func (w *waker) changed(ctx context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pending || ctx.Err() != nil {
		return
	}
	w.pending = true
	time.AfterFunc(max(wakeSettle, w.pause-time.Since(w.woken)), func() {
		w.mu.Lock()
		w.pending, w.woken = false, time.Now()
		w.mu.Unlock()
		w.wake()
	})
}
