package chart

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/go-logr/logr"
)

// cache keeps archives by digest, which digest a reference stood for, and repository indexes for
// revalidation:
//
//	sha256/HEX.tgz    the archive with that digest
//	refs/HEX.json     a record, named by the hash of repository, name and version
//	indexes/HEX       a validator in one line of JSON, then the index, named by the hash of its URL
//
// Files are written aside and renamed, so that other processes see all of a file or none of it, and
// are verified when read, so that a damaged one is the same as a missing one.
type cache struct {
	dir string

	mu sync.Mutex
	// records are those read or written by this process; they make do without a disk.
	records map[string]record
}

// record is what a reference stood for when it was fetched.
type record struct {
	Repository string `json:"repository"`
	Name       string `json:"name"`
	Version    string `json:"version"`
	Digest     string `json:"digest"`
	Source     string `json:"source"`
}

func newCache(dir string) *cache { return &cache{dir: dir, records: map[string]record{}} }

// maxRecords bounds the records in memory; those on disk remain.
const maxRecords = 256

func hashed(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}

// recordKey has the repository that was really asked, so that a mirror's answer never passes for
// upstream's.
func recordKey(ref Ref) string {
	return hashed(canonical(ref.Repository), ref.Name, plainVersion(ref.Version))
}

// record gives what the reference stood for when it was fetched last.
func (c *cache) record(ref Ref) (record, bool) {
	key := recordKey(ref)
	c.mu.Lock()
	defer c.mu.Unlock()
	if r, ok := c.records[key]; ok {
		return r, true
	}
	if c.dir == "" {
		return record{}, false
	}
	data, err := os.ReadFile(filepath.Join(c.dir, "refs", key+".json"))
	if err != nil {
		return record{}, false
	}
	var r record
	if json.Unmarshal(data, &r) != nil || !digestPattern.MatchString(r.Digest) ||
		r.Repository != redact(canonical(ref.Repository)) || r.Name != ref.Name || !sameVersion(r.Version, ref.Version) {
		return record{}, false
	}
	c.remember(key, r)
	return r, true
}

func (c *cache) remember(key string, r record) {
	if len(c.records) >= maxRecords {
		clear(c.records)
	}
	c.records[key] = r
}

func (c *cache) archive(digest string) string {
	return filepath.Join(c.dir, "sha256", strings.TrimPrefix(digest, "sha256:")+".tgz")
}

// read gives the archive with that digest, or nothing. A file with other content is removed.
func (c *cache) read(digest string, limit int64) []byte {
	if c.dir == "" {
		return nil
	}
	file := c.archive(digest)
	data, err := readFile(file, limit)
	if err != nil {
		return nil
	}
	if digestOf(data) != digest {
		_ = os.Remove(file)
		return nil
	}
	return data
}

// store keeps an archive and what it was fetched for. What cannot be written is logged and otherwise
// forgotten: the chart itself is there.
func (c *cache) store(ctx context.Context, ref Ref, digest, source string, data []byte) {
	r := record{Repository: redact(canonical(ref.Repository)), Name: ref.Name, Version: ref.Version, Digest: digest, Source: source}
	key := recordKey(ref)
	c.mu.Lock()
	c.remember(key, r)
	c.mu.Unlock()
	if c.dir == "" {
		return
	}
	encoded, err := json.Marshal(r)
	if err == nil {
		// The archive first: a record without its archive would be of no use.
		err = writeFile(c.archive(digest), data)
	}
	if err == nil {
		err = writeFile(filepath.Join(c.dir, "refs", key+".json"), encoded)
	}
	if err != nil {
		logr.FromContextOrDiscard(ctx).Info("the chart cache cannot be written; the chart is fetched again after a restart", "directory", c.dir, "error", err.Error())
	}
}

// validator is what a server needs to say that an index has not changed.
type validator struct {
	URL          string `json:"url"`
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"lastModified,omitempty"`
	SHA256       string `json:"sha256"`
}

func (c *cache) indexFile(url string) string {
	return filepath.Join(c.dir, "indexes", hashed(url))
}

// index gives the index of that URL as it was seen last, or nothing.
func (c *cache) index(url string, limit int64) (validator, []byte) {
	if c.dir == "" {
		return validator{}, nil
	}
	// The validator adds a line of its own.
	data, err := readFile(c.indexFile(url), limit+64<<10)
	if err != nil {
		return validator{}, nil
	}
	head, body, ok := bytes.Cut(data, []byte("\n"))
	var v validator
	if !ok || json.Unmarshal(head, &v) != nil || v.SHA256 != digestOf(body) || v.URL != redact(url) {
		_ = os.Remove(c.indexFile(url))
		return validator{}, nil
	}
	return v, body
}

// storeIndex keeps an index that the server can revalidate.
func (c *cache) storeIndex(ctx context.Context, url string, v validator, body []byte) {
	if c.dir == "" || v.ETag == "" && v.LastModified == "" {
		return
	}
	v.URL, v.SHA256 = redact(url), digestOf(body)
	head, err := json.Marshal(v)
	if err == nil {
		err = writeFile(c.indexFile(url), append(append(head, '\n'), body...))
	}
	if err != nil {
		logr.FromContextOrDiscard(ctx).V(1).Info("the chart cache cannot be written", "directory", c.dir, "error", err.Error())
	}
}

// writeFile replaces a file as a whole.
func writeFile(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".writing-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // is there no more when all went well
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
