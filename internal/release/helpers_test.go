package release

import (
	"errors"
	"net/http"
	"path"
	"sync"
	"sync/atomic"

	"helm.sh/helm/v3/pkg/chart"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var appsV1 = schema.GroupVersion{Group: "apps", Version: "v1"}

// memoryChart is a chart made of templates. Names that begin with crds/ become files.
func memoryChart(name, version string, files map[string]string) *chart.Chart {
	c := &chart.Chart{
		Metadata: &chart.Metadata{APIVersion: "v2", Name: name, Version: version, AppVersion: "v" + version},
		Values:   map[string]any{},
	}
	for n, data := range files {
		if len(n) > 5 && n[:5] == "crds/" {
			c.Files = append(c.Files, &chart.File{Name: n, Data: []byte(data)})
		} else {
			c.Templates = append(c.Templates, &chart.File{Name: "templates/" + n, Data: []byte(data)})
		}
	}
	return c
}

// breaker is a transport that dies at the k-th write, as a killed process does: nothing gets
// through afterwards. With late the fatal write still reaches the server. With once only that write
// fails, however often it is made, and all else goes on.
type breaker struct {
	next     http.RoundTripper
	at       int64
	late     bool
	once     bool
	onDeath  func()
	writes   atomic.Int64
	requests atomic.Int64
	dead     atomic.Bool

	mu sync.Mutex
	// sent are the names of the objects that were applied, as far as the requests got through.
	sent []string
	// fatal is the write that failed; the transport above makes it again so many times.
	fatal   string
	repeats int
}

var errDead = errors.New("connection lost")

func (b *breaker) RoundTrip(req *http.Request) (*http.Response, error) {
	if b.dead.Load() && (!b.once || b.isFatal(req)) {
		return nil, errDead
	}
	b.requests.Add(1)
	switch req.Method {
	case http.MethodGet, http.MethodHead:
		return b.next.RoundTrip(req)
	}
	if n := b.writes.Add(1); b.at > 0 && n >= b.at && (!b.once || !b.dead.Load()) {
		b.mu.Lock()
		b.fatal, b.repeats = req.Method+" "+req.URL.Path, attemptsLost-1
		b.mu.Unlock()
		b.dead.Store(true)
		if b.onDeath != nil {
			b.onDeath()
		}
		if b.late && n == b.at {
			if resp, err := b.next.RoundTrip(req.Clone(req.Context())); err == nil {
				b.note(req)
				_ = resp.Body.Close()
			}
		}
		return nil, errDead
	}
	b.note(req)
	return b.next.RoundTrip(req)
}

// isFatal says whether a request is the fatal write made again.
func (b *breaker) isFatal(req *http.Request) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if req.Method == http.MethodPost || b.repeats == 0 || b.fatal != req.Method+" "+req.URL.Path {
		return false
	}
	b.repeats--
	return true
}

func (b *breaker) note(req *http.Request) {
	if req.Method == http.MethodPatch {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.sent = append(b.sent, path.Base(req.URL.Path))
	}
}
