package chart

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"sync"

	helmchart "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
)

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// parse reads a chart archive. Helm's loader refuses paths that lead out of the chart, and limits
// what an archive may unpack to.
func parse(data []byte) (*helmchart.Chart, error) {
	if !bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		// A login page or a proxy's error page, most of the time.
		return nil, fmt.Errorf("not a chart archive: the content is %s", http.DetectContentType(data))
	}
	c, err := loader.LoadArchive(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("not a chart archive: %w", err)
	}
	if c.Metadata == nil {
		return nil, fmt.Errorf("not a chart archive: it has no Chart.yaml")
	}
	return c, nil
}

// readLimited reads everything, or fails when that is more than limit bytes.
func readLimited(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, &sizeError{limit: limit}
	}
	return data, nil
}

type sizeError struct{ limit int64 }

func (e *sizeError) Error() string { return fmt.Sprintf("larger than the limit of %d bytes", e.limit) }

// parsedCache keeps the charts parsed last, by digest, so that reconciling does not parse.
type parsedCache struct {
	size int

	mu sync.Mutex
	// entries, the one used last at the end.
	entries []parsedEntry
}

type parsedEntry struct {
	digest string
	chart  *helmchart.Chart
}

func (c *parsedCache) get(digest string) *helmchart.Chart {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, e := range c.entries {
		if e.digest == digest {
			c.entries = append(append(c.entries[:i:i], c.entries[i+1:]...), e)
			return e.chart
		}
	}
	return nil
}

func (c *parsedCache) put(digest string, parsed *helmchart.Chart) {
	if c.get(digest) != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries = append(c.entries, parsedEntry{digest, parsed})
	if len(c.entries) > c.size {
		c.entries = append([]parsedEntry(nil), c.entries[len(c.entries)-c.size:]...)
	}
}
