package testbed

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/operator"
)

// audit is the part of the API server's audit log that was read already. The log gets long, and is looked at often.
type audit struct {
	mu     sync.Mutex
	path   string
	offset int64
	// own are the operator's requests, without those for its leader lease.
	own []controlplane.AuditEvent
}

// read reads what was added to the log.
func (a *audit) read() error {
	f, err := os.Open(a.path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Seek(a.offset, io.SeekStart); err != nil {
		return err
	}
	added, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	added = added[:bytes.LastIndexByte(added, '\n')+1] // the last line may be half written
	events, err := controlplane.ParseAudit(bytes.NewReader(added))
	if err != nil {
		return err
	}
	a.offset += int64(len(added))
	for i := range events {
		if events[i].User == "system:serviceaccount:"+operator.Namespace+":"+operator.ServiceAccount && !IsLease(events[i]) {
			a.own = append(a.own, events[i])
		}
	}
	return nil
}

// Requests are the operator's own since a moment, without those for its leader lease. A watch may be in it twice.
func (b *Bed) Requests(ctx context.Context, since time.Time) ([]controlplane.AuditEvent, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.audit.mu.Lock()
	defer b.audit.mu.Unlock()
	if err := b.audit.read(); err != nil {
		return nil, err
	}
	var out []controlplane.AuditEvent
	for i := range b.audit.own {
		if !b.audit.own[i].Time.Before(since) {
			out = append(out, b.audit.own[i])
		}
	}
	return out, nil
}

// IsLease says whether a request is for the operator's leader lease.
func IsLease(e controlplane.AuditEvent) bool {
	return e.Resource == "leases" && e.Namespace == operator.Namespace
}

// IsWrite says whether a request changes something.
func IsWrite(e controlplane.AuditEvent) bool {
	switch e.Verb {
	case "create", "update", "patch", "delete", "deletecollection":
		return true
	}
	return false
}

// What is a request in short, so that equal ones can be counted.
func What(e controlplane.AuditEvent) string {
	name := e.Name
	if e.Namespace != "" {
		name = e.Namespace + "/" + name
	}
	resource := e.Resource
	if e.Subresource != "" {
		resource += "/" + e.Subresource
	}
	if resource == "" {
		resource = e.URI
	}
	return fmt.Sprintf("%s %s %s", e.Verb, resource, name)
}

// Settle waits until the operator has written nothing for some seconds.
func (b *Bed) Settle(ctx context.Context) error {
	const quiet = 4 * time.Second
	from := time.Now()
	return b.Eventually(ctx, "the operator to have nothing to do", func(ctx context.Context) (bool, string, error) {
		requests, err := b.Requests(ctx, from)
		if err != nil {
			return false, "", err
		}
		last, what := from, "nothing"
		for _, e := range requests {
			if IsWrite(e) && e.Time.After(last) {
				last, what = e.Time, What(e)
			}
		}
		return time.Since(last) > quiet, what, nil
	})
}
