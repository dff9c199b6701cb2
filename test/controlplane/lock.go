package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// fileLock is an advisory lock between processes. The kernel releases it when
// its holder ends, so a crash leaves nothing locked. The file is never removed:
// that would let two holders lock two files of the same name.
type fileLock struct{ f *os.File }

// tryLock takes the lock at path, or returns nil when somebody else has it.
func tryLock(path string) (*fileLock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return &fileLock{f}, nil
	}
	_ = f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, fmt.Errorf("locking %s: %w", path, err)
}

// lock takes the lock at path, waiting for it until ctx ends. While it waits it
// says so on out, naming what it waits for.
func lock(ctx context.Context, path, what string, out io.Writer) (*fileLock, error) {
	start, said := time.Now(), time.Now()
	for {
		l, err := tryLock(path)
		if l != nil || err != nil {
			return l, err
		}
		if time.Since(said) > progressInterval {
			said = time.Now()
			fmt.Fprintf(out, "waiting for another process that is %s (%s)\n", what, elapsed(start))
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return nil, fmt.Errorf("waiting for another process that is %s: %w", what, err)
		}
	}
}

func (l *fileLock) unlock() {
	if l != nil {
		_ = l.f.Close()
	}
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

func elapsed(since time.Time) time.Duration { return time.Since(since).Round(time.Second) }
