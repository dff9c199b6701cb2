package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"helm.sh/helm/v3/pkg/chart"
	helmrelease "helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage"
	"helm.sh/helm/v3/pkg/storage/driver"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/metadata"
)

var (
	coreV1     = schema.GroupVersion{Version: "v1"}
	helmObject = schema.GroupVersion{Group: "helm.sh"}
	secretsGVR = coreV1.WithResource("secrets")
)

// ReadRecord reads one revision of a release, by the name of the Secret that Helm keeps it in.
func ReadRecord(secrets corev1client.SecretInterface, name string) (*helmrelease.Release, error) {
	return driver.NewSecrets(secrets).Get(name)
}

// records is Helm's storage of one release for the length of one action: Helm's own Secrets, with
// three differences. The history is read once per action instead of once per question. Records
// hold the chart without its templates and files, which nothing reads back and which make large
// charts outgrow a Secret. And a record that could not be written is remembered, because Helm only
// logs that.
type records struct {
	ctx             context.Context
	secrets         corev1client.SecretInterface
	heads           metadata.ResourceInterface
	inner           *driver.Secrets
	name, namespace string

	// guard, when set, is asked before a whole history is dropped.
	guard func() error

	loaded bool
	revs   map[int]*helmrelease.Release
	failed error
}

var _ driver.Driver = (*records)(nil)

func newRecords(ctx context.Context, secrets corev1client.SecretInterface, heads metadata.ResourceInterface,
	name, namespace string,
) *records {
	return &records{ctx: ctx, secrets: secrets, heads: heads, inner: driver.NewSecrets(secrets), name: name, namespace: namespace}
}

// storage is the form Helm's actions take. The history is trimmed by the engine, which knows which
// revisions it still needs.
func (r *records) storage() *storage.Storage { return storage.Init(r) }

// failure is the first error of a write.
func (r *records) failure() error { return r.failed }

// newest reads the newest revision that has the given labels, nil when there is none. It asks for
// the records' labels first: records are large.
func (r *records) newest(match map[string]string) (*helmrelease.Release, error) {
	set := labels.Set{"owner": "helm", "name": r.name}
	for k, v := range match {
		set[k] = v
	}
	list, err := r.heads.List(r.ctx, metav1.ListOptions{LabelSelector: set.AsSelector().String()})
	if err != nil {
		return nil, r.recordError("read the records", 0, err)
	}
	version := 0
	for _, item := range list.Items {
		if v, err := strconv.Atoi(item.Labels["version"]); err == nil {
			version = max(version, v)
		}
	}
	if version == 0 {
		return nil, nil
	}
	rels, err := r.query(labels.Set{"owner": "helm", "name": r.name, "version": strconv.Itoa(version)})
	if err == nil && len(rels) == 0 {
		err = r.recordError("read the record", version, errors.New("it cannot be decoded"))
	}
	if err != nil {
		return nil, err
	}
	return rels[0], nil
}

// query lists revisions, oldest first.
func (r *records) query(set labels.Set) ([]*helmrelease.Release, error) {
	rels, err := r.inner.Query(set)
	if errors.Is(err, driver.ErrReleaseNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, r.recordError("read the records", 0, err)
	}
	slices.SortFunc(rels, func(a, b *helmrelease.Release) int { return a.Version - b.Version })
	return rels, nil
}

// history is all revisions.
func (r *records) history() (revisions, error) {
	if !r.loaded {
		rels, err := r.query(labels.Set{"owner": "helm", "name": r.name})
		if err != nil {
			return nil, err
		}
		r.revs = map[int]*helmrelease.Release{}
		for _, rel := range rels {
			r.revs[rel.Version] = rel
		}
		r.loaded = true
	}
	out := make(revisions, 0, len(r.revs))
	for _, rel := range r.revs {
		out = append(out, rel)
	}
	slices.SortFunc(out, func(a, b *helmrelease.Release) int { return a.Version - b.Version })
	return out, nil
}

// Name is the driver's name.
func (r *records) Name() string { return r.inner.Name() }

// Get returns the revision stored under a key.
func (r *records) Get(key string) (*helmrelease.Release, error) {
	revs, err := r.history()
	if err != nil {
		return nil, err
	}
	for _, rel := range revs {
		if r.key(rel.Version) == key {
			return rel, nil
		}
	}
	return nil, driver.ErrReleaseNotFound
}

// List returns the revisions of this release that pass the filter.
func (r *records) List(filter func(*helmrelease.Release) bool) ([]*helmrelease.Release, error) {
	revs, err := r.history()
	if err != nil {
		return nil, err
	}
	var out []*helmrelease.Release
	for _, rel := range revs {
		if filter(rel) {
			out = append(out, rel)
		}
	}
	return out, nil
}

// Query answers from the history that was read at the start. Helm asks for name, owner and status.
func (r *records) Query(set map[string]string) ([]*helmrelease.Release, error) {
	if set["name"] != r.name {
		return nil, driver.ErrReleaseNotFound
	}
	status, byStatus := set["status"]
	out, err := r.List(func(rel *helmrelease.Release) bool {
		return !byStatus || rel.Info.Status.String() == status
	})
	if err == nil && len(out) == 0 {
		return nil, driver.ErrReleaseNotFound
	}
	return out, err
}

// Create stores a new revision.
func (r *records) Create(key string, rel *helmrelease.Release) error {
	if err := r.write(rel, func(stripped *helmrelease.Release) error { return r.inner.Create(key, stripped) }); err != nil {
		return err
	}
	r.revs[rel.Version] = rel
	return nil
}

// Update stores a revision again.
func (r *records) Update(key string, rel *helmrelease.Release) error {
	return r.write(rel, func(stripped *helmrelease.Release) error { return r.inner.Update(key, stripped) })
}

func (r *records) write(rel *helmrelease.Release, do func(*helmrelease.Release) error) error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	if _, err := r.history(); err != nil {
		return err
	}
	if err := do(strip(rel)); err != nil {
		return r.remember(r.recordError("record", rel.Version, err))
	}
	return nil
}

func (r *records) remember(err error) error {
	if r.failed == nil {
		r.failed = err
	}
	return err
}

// Delete removes a revision. One that is gone already is as good.
func (r *records) Delete(key string) (*helmrelease.Release, error) {
	if r.guard != nil {
		if err := r.guard(); err != nil {
			return nil, err
		}
	}
	rel, err := r.Get(key)
	if err != nil {
		return nil, err
	}
	if err := r.drop(rel.Version); err != nil {
		return nil, r.remember(err)
	}
	return rel, nil
}

// label puts a label on a revision's record without writing the record again.
func (r *records) label(version int, name, value string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": map[string]string{name: value}}})
	if err != nil {
		return err
	}
	if _, err := r.secrets.Patch(r.ctx, r.key(version), types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return r.recordError("label the record", version, err)
	}
	return nil
}

// drop removes a revision. It does not matter much to the caller whether that works.
func (r *records) drop(version int) error {
	err := r.secrets.Delete(r.ctx, r.key(version), metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return r.recordError("delete the record", version, err)
	}
	delete(r.revs, version)
	return nil
}

func (r *records) key(version int) string {
	return storage.HelmStorageType + "." + r.name + ".v" + strconv.Itoa(version)
}

func (r *records) recordError(verb string, version int, err error) error {
	o := Object{GVK: coreV1.WithKind("Secret"), Namespace: r.namespace, Name: fmt.Sprintf("%s.%s", storage.HelmStorageType, r.name)}
	if version > 0 {
		o.Name = r.key(version)
	}
	return objectError(verb, o, err)
}

// strip is a release whose chart has only what helm get, history and rollback read: metadata,
// values and lock.
func strip(rel *helmrelease.Release) *helmrelease.Release {
	if rel.Chart == nil || len(rel.Chart.Templates)+len(rel.Chart.Files)+len(rel.Chart.Schema) == 0 {
		return rel
	}
	out := *rel
	out.Chart = &chart.Chart{Metadata: rel.Chart.Metadata, Lock: rel.Chart.Lock, Values: rel.Chart.Values}
	return &out
}
