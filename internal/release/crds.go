package release

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"helm.sh/helm/v3/pkg/chart"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// establishTimeout bounds the wait for the API server to serve a new kind.
const establishTimeout = time.Minute

// crdMemory remembers what was applied to which CRD. Applying a large CRD costs the API server up
// to seconds even when nothing changes; looking at its metadata costs next to nothing.
type crdMemory struct {
	mu   sync.Mutex
	seen map[string]crdSeen
}

type crdSeen struct {
	content    string // digest of what was applied
	uid        types.UID
	generation int64  // changes with the spec
	fields     string // FieldsHash: changes with labels and annotations, and when fields are taken
}

func (c *crdMemory) get(name string) (crdSeen, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen, ok := c.seen[name]
	return seen, ok
}

func (c *crdMemory) put(name string, seen crdSeen) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil {
		c.seen = map[string]crdSeen{}
	}
	c.seen[name] = seen
}

func (c *crdMemory) forget(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.seen, name)
}

// applyCRDs applies what charts have under crds/, before anything is rendered: Helm does so on
// installation only and never updates them. Afterwards every kind is served.
func (s *session) applyCRDs(files []chart.CRD) error {
	var crds, rest []*unstructured.Unstructured
	for _, f := range files {
		docs, err := parse(bytes.NewReader(f.File.Data))
		if err != nil {
			return &RenderError{Release: s.id(), Err: fmt.Errorf("%s: %w", f.Filename, err)}
		}
		for _, d := range docs {
			for _, o := range d.objects {
				// Marked like a hook: CRDs are not part of the Helm release, here as with Helm.
				if err := normalize(o, s.marks, true); err != nil {
					return &RenderError{Release: s.id(), Err: fmt.Errorf("%s: %w", f.Filename, err)}
				}
				if isCRD(o.GroupVersionKind().GroupKind()) {
					crds = append(crds, o)
				} else {
					rest = append(rest, o)
				}
			}
		}
	}
	if len(crds)+len(rest) == 0 {
		return nil
	}
	var mu sync.Mutex
	changed := false
	err := s.collect(inParallel(s, crds, func(u *unstructured.Unstructured) error {
		_, did, err := s.applyCRD(u)
		if err == nil && did {
			if err = s.waitEstablished(u.GetName()); err != nil {
				s.engine.crds.forget(u.GetName()) // or the next attempt would not wait
			}
		}
		if err != nil {
			return objectError("apply", objectOf(u), err)
		}
		mu.Lock()
		changed = changed || did
		mu.Unlock()
		return nil
	}))
	if changed {
		s.engine.cluster.invalidate()
	}
	if err != nil {
		return err
	}
	list, err := s.infos(rest, true)
	if err != nil {
		return err
	}
	if err := s.applyAll(list); err != nil {
		return err
	}
	// These are as little part of the release as the CRDs.
	s.mu.Lock()
	s.applied = nil
	s.mu.Unlock()
	return nil
}

// applyCRD applies one CRD, unless it is known to be as it should. The second result says whether
// it was applied.
func (s *session) applyCRD(u *unstructured.Unstructured) (*metav1.PartialObjectMetadata, bool, error) {
	m, err := s.engine.cluster.mapping(u.GroupVersionKind(), false)
	if err != nil {
		return nil, false, err
	}
	name := u.GetName()
	body, err := json.Marshal(u.Object)
	if err != nil {
		return nil, false, err
	}
	sum := sha256.Sum256(body)
	content := hex.EncodeToString(sum[:])
	if seen, ok := s.engine.crds.get(name); ok && seen.content == content {
		live, err := s.heads(m, "").Get(s.ctx, name, metav1.GetOptions{})
		if err == nil && live.UID == seen.uid && live.Generation == seen.generation && live.DeletionTimestamp == nil {
			if fields, _ := FieldsHash(live, s.engine.opts.FieldManager); fields == seen.fields {
				return live, false, nil
			}
		}
		if err != nil && !apierrors.IsNotFound(err) {
			return nil, false, err
		}
	}
	if err := s.guardCRD(m, u); err != nil {
		return nil, false, err
	}
	live, err := s.apply(m, u)
	if err != nil {
		return nil, false, err
	}
	fields, _ := FieldsHash(live, s.engine.opts.FieldManager)
	s.engine.crds.put(name, crdSeen{content: content, uid: live.UID, generation: live.Generation, fields: fields})
	return live, true, nil
}

// guardCRD refuses to replace a CRD by one that lacks versions in which objects are stored: they
// could not be read any more. It also refuses one that belongs to another Helm release.
func (s *session) guardCRD(m *meta.RESTMapping, u *unstructured.Unstructured) error {
	live, err := s.objects(m, "").Get(s.ctx, u.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	// CRDs without any marks are common property: charts' crds/ directories leave none. Only a
	// release that has one among its own objects would come and delete or revert it.
	if who, owner := s.ownerOf(live, m.GroupVersionKind.GroupKind()); who == foreign {
		return s.conflict(objectOf(u), who, owner)
	}
	var has []string
	versions, _, _ := unstructured.NestedSlice(u.Object, "spec", "versions")
	for _, v := range versions {
		if v, ok := v.(map[string]any); ok {
			if n, ok := v["name"].(string); ok {
				has = append(has, n)
			}
		}
	}
	stored, _, _ := unstructured.NestedStringSlice(live.Object, "status", "storedVersions")
	missing := slices.DeleteFunc(slices.Clone(stored), func(v string) bool { return slices.Contains(has, v) })
	if len(missing) > 0 {
		return &CRDVersionError{CRD: u.GetName(), Versions: missing}
	}
	return nil
}

// waitEstablished waits until the API server serves a CRD's kind.
func (s *session) waitEstablished(name string) error {
	m, err := s.engine.cluster.mapping(crdGVK, false)
	if err != nil {
		return err
	}
	err = s.watchObject(m, "", name, establishTimeout, func(u *unstructured.Unstructured) (bool, error) {
		if u == nil {
			return false, nil
		}
		conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
		for _, c := range conditions {
			c, _ := c.(map[string]any)
			switch {
			case c["type"] == "Established" && c["status"] == "True":
				return true, nil
			case c["type"] == "NamesAccepted" && c["status"] == "False":
				return false, fmt.Errorf("its names are not accepted: %v", c["message"])
			}
		}
		return false, nil
	})
	if errors.Is(err, errTimeout) {
		return fmt.Errorf("not established after %s", establishTimeout)
	}
	return err
}

var crdGVK = schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}
