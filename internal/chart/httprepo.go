package chart

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// fetchHTTP gives the archive and its URL from a Helm repository: the index says where it is and, most
// of the time, what its digest is.
func (l *Loader) fetchHTTP(ctx context.Context, ref Ref, mirrors []Mirror) (data []byte, source string, err error) {
	base, err := url.Parse(ref.Repository)
	if err != nil {
		return nil, "", &RefError{Ref: ref, Err: errors.New("the repository is not a URL")}
	}
	indexURL := base.JoinPath("index.yaml").String()
	raw, err := l.fetchIndex(ctx, indexURL)
	if err != nil {
		return nil, "", err
	}
	index, err := parseIndex(raw, ref.Name)
	if err != nil {
		return nil, "", &SourceError{URL: redact(indexURL), Reason: "not the index of a Helm repository: " + err.Error()}
	}
	entry, reason := index.find(ref)
	if entry == nil {
		return nil, "", &SourceError{URL: redact(indexURL), Reason: reason}
	}

	archiveURL, err := resolveArchive(base, entry.URLs[0], mirrors)
	if err != nil {
		return nil, "", &SourceError{URL: redact(indexURL), Reason: err.Error()}
	}
	// Compressed once is enough: a decoding client would unpack the archive and change its digest.
	got, err := l.get(ctx, archiveURL, http.Header{"Accept-Encoding": {"identity"}}, l.options.MaxArchiveSize)
	if err != nil {
		return nil, "", err
	}
	source = redact(archiveURL)
	// A pinned digest is stronger than the index's, and is verified by the caller.
	if want := entry.digest(); want != "" && ref.Digest == "" {
		if digest := digestOf(got.body); digest != want {
			return nil, "", &DigestError{Want: want, Got: digest, Source: source}
		}
	}
	return got.body, source, nil
}

// fetchIndex gives the index, from the cache when the server says that it has not changed.
func (l *Loader) fetchIndex(ctx context.Context, indexURL string) ([]byte, error) {
	known, body := l.cache.index(indexURL, l.options.MaxIndexSize)
	header := http.Header{}
	if known.ETag != "" {
		header.Set("If-None-Match", known.ETag)
	}
	if known.LastModified != "" {
		header.Set("If-Modified-Since", known.LastModified)
	}
	got, err := l.get(ctx, indexURL, header, l.options.MaxIndexSize)
	if err != nil {
		return nil, err
	}
	if got.status == http.StatusNotModified {
		return body, nil
	}
	l.cache.storeIndex(ctx, indexURL, validator{ETag: got.header.Get("ETag"), LastModified: got.header.Get("Last-Modified")}, got.body)
	return got.body, nil
}

// resolveArchive makes an archive's URL absolute. An index that was mirrored as it is names the
// original's archives, so mirrors apply here too. The repository's credentials and query go with the
// request only when it stays on the repository's host.
func resolveArchive(base *url.URL, raw string, mirrors []Mirror) (string, error) {
	ref, err := url.Parse(raw)
	if err != nil {
		return "", errors.New("the index has an archive URL that is none")
	}
	byMirror := false
	if ref.IsAbs() {
		if mirrored := rewrite(raw, mirrors); mirrored != raw && isHTTP(mirrored) {
			byMirror = true
			if ref, err = url.Parse(mirrored); err != nil {
				return "", errors.New("the mirror of the archive's URL is not a URL")
			}
		}
	}
	directory := *base
	if !strings.HasSuffix(directory.Path, "/") {
		directory.Path += "/"
		directory.RawPath = ""
	}
	resolved := directory.ResolveReference(ref)
	if !isHTTP(resolved.String()) {
		return "", fmt.Errorf("the index names an archive at %s, which is neither http nor https", redact(resolved.String()))
	}
	if resolved.Scheme == base.Scheme && resolved.Host == base.Host {
		if resolved.User == nil {
			resolved.User = base.User
		}
		if resolved.RawQuery == "" {
			resolved.RawQuery = base.RawQuery
		}
	}
	if base.Scheme == "https" && resolved.Scheme != "https" && !byMirror {
		return "", fmt.Errorf("the index names an archive at %s: an https repository may not lead to plain http", redact(resolved.String()))
	}
	return resolved.String(), nil
}
