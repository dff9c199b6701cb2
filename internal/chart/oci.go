package chart

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// The media types of the layer with a chart's archive, today's and that of Helm before 3.7.
const (
	chartLayer       = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
	chartLayerLegacy = "application/tar+gzip"
)

const (
	maxManifestSize = 4 << 20
	maxTags         = 2000
)

// fetchOCI gives the archive and its reference from a registry. Its tag is the version, with "_" for
// "+", which a tag may not have.
func (l *Loader) fetchOCI(ctx context.Context, ref Ref) (data []byte, source string, err error) {
	repository, name, err := l.ociRepository(ref)
	if err != nil {
		return nil, "", &RefError{Ref: ref, Err: err}
	}
	source = "oci://" + name
	plain := strings.ReplaceAll(plainVersion(ref.Version), "+", "_")
	tags := []string{plain, "v" + plain}
	if strings.HasPrefix(ref.Version, "v") {
		tags = []string{"v" + plain, plain}
	}
	var manifest *ocispec.Manifest
	for _, tag := range tags {
		manifest, err = fetchManifest(ctx, repository, tag)
		if err == nil {
			source += ":" + tag
			break
		}
		if !errors.Is(err, errdef.ErrNotFound) {
			return nil, "", l.ociError(source+":"+tag, err)
		}
	}
	if err != nil {
		versions := listTags(ctx, repository)
		if len(versions) == 0 {
			return nil, "", &SourceError{URL: source, Reason: fmt.Sprintf("there is no version %s of chart %s, and the registry lists no other", ref.Version, ref.Name)}
		}
		return nil, "", &SourceError{URL: source, Reason: noVersion(ref, versions)}
	}

	layer, err := chartLayerOf(manifest)
	if err != nil {
		return nil, "", &SourceError{URL: source, Reason: err.Error()}
	}
	// The manifest already says what the archive's digest is.
	if ref.Digest != "" && layer.Digest.String() != ref.Digest {
		return nil, "", &DigestError{Want: ref.Digest, Got: layer.Digest.String(), Source: source}
	}
	if layer.Size > l.options.MaxArchiveSize {
		return nil, "", &SourceError{URL: source, Reason: (&sizeError{l.options.MaxArchiveSize}).Error()}
	}
	data, err = content.FetchAll(ctx, repository, *layer)
	if err != nil {
		return nil, "", l.ociError(source, err)
	}
	return data, source, nil
}

// ociRepository makes the registry's client. A loopback registry is spoken to in plain HTTP, any
// other by TLS; the query plainHTTP=true or plainHTTP=false on the repository says otherwise.
func (l *Loader) ociRepository(ref Ref) (*remote.Repository, string, error) {
	u, err := url.Parse(ref.Repository)
	if err != nil {
		return nil, "", errors.New("the repository is not a URL")
	}
	name := u.Host + strings.TrimRight(u.Path, "/") + "/" + ref.Name
	repository, err := remote.NewRepository(name)
	if err != nil {
		return nil, "", fmt.Errorf("%s is not the name of an OCI repository", name)
	}
	switch u.Query().Get("plainHTTP") {
	case "true":
		repository.PlainHTTP = true
	case "":
		repository.PlainHTTP = isLoopback(u.Hostname())
	}
	client := &auth.Client{Client: l.client, Cache: auth.NewCache(), Header: http.Header{"User-Agent": {userAgent}}}
	if u.User != nil {
		password, _ := u.User.Password()
		client.Credential = auth.StaticCredential(u.Host, auth.Credential{Username: u.User.Username(), Password: password})
	}
	repository.Client = client
	repository.MaxMetadataBytes = maxManifestSize
	return repository, name, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// fetchManifest gives the image manifest of a tag.
func fetchManifest(ctx context.Context, repository *remote.Repository, tag string) (*ocispec.Manifest, error) {
	desc, body, err := repository.FetchReference(ctx, tag)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	if desc.Size > maxManifestSize {
		return nil, &sizeError{maxManifestSize}
	}
	data, err := content.ReadAll(body, desc)
	if err != nil {
		return nil, err
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(data, &manifest); err != nil {
		return nil, errors.New("the manifest is not JSON")
	}
	return &manifest, nil
}

func chartLayerOf(manifest *ocispec.Manifest) (*ocispec.Descriptor, error) {
	for _, want := range []string{chartLayer, chartLayerLegacy} {
		for i, layer := range manifest.Layers {
			if layer.MediaType == want {
				return &manifest.Layers[i], nil
			}
		}
	}
	return nil, fmt.Errorf("not a Helm chart: no layer has the media type %s", chartLayer)
}

// listTags gives the tags, spelt as versions, for an error message; none when they cannot be listed.
func listTags(ctx context.Context, repository *remote.Repository) []string {
	var versions []string
	_ = repository.Tags(ctx, "", func(tags []string) error {
		for _, tag := range tags {
			versions = append(versions, strings.ReplaceAll(tag, "_", "+"))
		}
		if len(versions) > maxTags {
			return io.EOF
		}
		return nil
	})
	return versions
}

// ociError explains a registry's answer, or why there was none.
func (l *Loader) ociError(source string, err error) error {
	var response *errcode.ErrorResponse
	if errors.As(err, &response) {
		reason, temporary := statusReason(response.StatusCode)
		return &SourceError{URL: source, Reason: reason, Temporary: temporary}
	}
	reason, temporary := l.explain(err)
	switch {
	case errors.Is(err, content.ErrMismatchedDigest), errors.Is(err, content.ErrTrailingData):
		reason, temporary = "the registry's answer does not match its own digest", true
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		reason, temporary = "access denied: the registry wants a user and a password", false
	}
	var size *sizeError
	if errors.As(err, &size) {
		temporary = false
	}
	return &SourceError{URL: source, Reason: reason, Temporary: temporary}
}
