package release

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	helmrelease "helm.sh/helm/v3/pkg/release"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/ownership"
)

// establishTimeout bounds the wait for the API server to serve a new kind.
const establishTimeout = time.Minute

// AppliedCRD is what became of one CustomResourceDefinition that a chart carries, under crds/ or among its templates.
type AppliedCRD struct {
	// Applied is the definition as it was seen last.
	Applied
	// Served are the versions that the live definition serves.
	Served []string
	// Source is the chart and version the live definition came from, "chart/version"; empty when nobody recorded it.
	Source string
	// Kept says that the live definition stayed, because it is newer or another component's.
	Kept bool
	// Owner is the component that the live definition belongs to when it is another one, and "" when it is this one.
	Owner string
}

// crdMemory remembers what was made of which CRD. Applying a large CRD costs the API server up to seconds even when nothing
// changes; looking at its metadata costs next to nothing.
type crdMemory struct {
	mu   sync.Mutex
	seen map[string]crdSeen // by component and name
}

type crdSeen struct {
	content    string // digest of what was to be applied
	uid        types.UID
	generation int64  // changes with the spec
	fields     string // FieldsHash: changes with labels and annotations, and when fields are taken
	version    string // resource version of a definition that was kept
	outcome    AppliedCRD
}

func (c *crdMemory) get(id string) (crdSeen, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen, ok := c.seen[id]
	return seen, ok
}

func (c *crdMemory) put(id string, seen crdSeen) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil {
		c.seen = map[string]crdSeen{}
	}
	c.seen[id] = seen
}

func (c *crdMemory) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.seen, id)
}

// stillHolds says whether a definition is as it was left.
func (seen crdSeen) stillHolds(live *metav1.PartialObjectMetadata, manager string) bool {
	if live.UID != seen.uid || live.Generation != seen.generation || live.DeletionTimestamp != nil {
		return false
	}
	if seen.outcome.Kept {
		return live.ResourceVersion == seen.version
	}
	fields, _ := FieldsHash(live, manager)
	return fields == seen.fields
}

// crdPlan is what is to be done about one CRD.
type crdPlan struct {
	wanted  *unstructured.Unstructured
	mapping *meta.RESTMapping
	id      string // in the memory
	content string
	// known is the outcome of an earlier action that still holds. Then there is nothing to do.
	known *AppliedCRD
	// live is what is known of the live definition, nil when there is none; established that its kind is served.
	live        *metav1.PartialObjectMetadata
	established bool
	outcome     AppliedCRD
	choice      crdChoice
}

// applies says whether the definition is this component's to write.
func (p *crdPlan) applies() bool {
	return p.known != nil && !p.known.Kept || p.known == nil && p.choice.apply
}

// readCRDs reads the files under crds/ of a chart whose dependencies have been processed, as they are applied: CRDs, and
// whatever else there may be.
func (s *session) readCRDs(c *chart.Chart) (crds, rest []*unstructured.Unstructured, err error) {
	for _, f := range crdFiles(c) {
		docs, err := parse(bytes.NewReader(separate(f.data)))
		if err != nil {
			return nil, nil, &RenderError{Release: s.id(), Err: fmt.Errorf("%s: %w", f.name, err)}
		}
		for _, d := range docs {
			for _, o := range d.objects {
				// Marked like a hook: CRDs are not part of the Helm release, here as with Helm.
				if err := normalize(o, s.marks, true); err != nil {
					return nil, nil, &RenderError{Release: s.id(), Err: fmt.Errorf("%s: %w", f.name, err)}
				}
				if isCRD(o.GroupVersionKind().GroupKind()) {
					setSource(o, f.source)
					crds = append(crds, o)
				} else {
					rest = append(rest, o)
				}
			}
		}
	}
	return crds, rest, nil
}

func setSource(u *unstructured.Unstructured, source string) {
	if source == "" {
		return
	}
	a := u.GetAnnotations()
	if a == nil {
		a = map[string]string{}
	}
	a[v1alpha1.CRDSourceAnnotation] = source
	u.SetAnnotations(a)
}

// applyCRDs applies what charts have under crds/, before anything is rendered: Helm does so on
// installation only and never updates them. Afterwards every kind is served. Nothing is applied
// unless all of them can be.
func (s *session) applyCRDs(c *chart.Chart) error {
	crds, rest, err := s.readCRDs(c)
	if err != nil || len(crds)+len(rest) == 0 {
		return err
	}
	// One release after the other, or two that carry the same definition would both find none.
	select {
	case s.engine.crdTurn <- struct{}{}:
		defer func() { <-s.engine.crdTurn }()
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
	plans, err := s.planCRDs(crds)
	if err != nil {
		return err
	}
	err = s.collect(inParallel(s, plans, func(p *crdPlan) error {
		_, err := s.settleCRD(p)
		if err != nil {
			return objectError("apply", objectOf(p.wanted), err)
		}
		return nil
	}))
	if err != nil {
		return err
	}
	if err := s.waitServed(plans); err != nil {
		return err
	}
	for _, p := range plans {
		if p.applies() {
			s.ownCRDs = append(s.ownCRDs, p.wanted)
		}
	}
	if len(rest) == 0 {
		return nil
	}
	list, err := s.infos(rest, true)
	if err != nil {
		return err
	}
	if err := s.ensureOwnNamespace(); err != nil {
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

// planCRDs plans all and refuses when one of them is refused.
func (s *session) planCRDs(crds []*unstructured.Unstructured) ([]*crdPlan, error) {
	plans := make([]*crdPlan, len(crds))
	indices := make([]int, len(crds))
	for i := range indices {
		indices[i] = i
	}
	err := s.collect(inParallel(s, indices, func(i int) error {
		p, err := s.planCRD(crds[i])
		if err != nil {
			return objectError("plan", objectOf(crds[i]), err)
		}
		plans[i] = p
		return nil
	}))
	return plans, err
}

// planCRD decides what becomes of a CRD. The error is a *ConflictError, a *CRDVersionError or a *CRDNotServedError when the
// definition can neither be applied nor done without.
func (s *session) planCRD(u *unstructured.Unstructured) (*crdPlan, error) {
	m, err := s.engine.cluster.mapping(u.GroupVersionKind(), false)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(u.Object)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	name := u.GetName()
	p := &crdPlan{wanted: u, mapping: m, id: s.marks.component + "/" + name, content: hex.EncodeToString(sum[:])}
	manager := s.engine.opts.FieldManager
	if seen, ok := s.engine.crds.get(p.id); ok && seen.content == p.content {
		head, err := s.heads(m, "").Get(s.ctx, name, metav1.GetOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return nil, err
		}
		if err == nil && seen.stillHolds(head, manager) {
			known := seen.outcome
			known.ResourceVersion = head.ResourceVersion
			p.known, p.live = &known, head
			return p, nil
		}
	}
	live, err := s.objects(m, "").Get(s.ctx, name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, err
	}
	if err != nil {
		live = nil
	}
	return p, s.judgeCRD(p, live)
}

// judgeCRD completes a plan by the live definition, nil when there is none. The errors are those of planCRD.
func (s *session) judgeCRD(p *crdPlan, live *unstructured.Unstructured) error {
	manager, name := s.engine.opts.FieldManager, p.wanted.GetName()
	wanted := definitionOf(p.wanted)
	p.choice.apply = true
	p.outcome = AppliedCRD{Applied: Applied{Object: objectOf(p.wanted)}, Served: wanted.served, Source: wanted.source}
	if live == nil {
		return nil
	}
	has := definitionOf(live)
	if !ownsSource(live, manager) {
		has.source = "" // written by somebody else: no evidence
	}
	p.live, p.established = metadataOf(live), established(live)
	p.choice = chooseCRD(s.marks.component, s.id(), has, wanted)
	mark := ownership.Of(live)
	switch c := p.choice; {
	case c.apply && mark.Component == "" && mark.Manager != "":
		return s.conflict(p.outcome.Object, foreign, owner{who: mark.Manager, remedy: mark.Remedy})
	case c.foreign != "":
		return s.conflict(p.outcome.Object, foreign, owner{who: "Helm release " + c.foreign})
	case len(c.lost) > 0:
		return &CRDVersionError{CRD: name, Versions: c.lost}
	case len(c.missing) > 0:
		return &CRDNotServedError{CRD: name, Versions: c.missing, Owner: c.owner, Source: has.source, Wanted: wanted.source}
	case !c.apply:
		p.outcome = AppliedCRD{
			Applied: appliedOf(p.outcome.Object, p.live, manager), Served: has.served, Source: has.source, Kept: true, Owner: c.owner,
		}
	}
	return nil
}

// settleCRD carries a plan out and notes what came of it. It returns nil when the live definition was kept.
func (s *session) settleCRD(p *crdPlan) (*metav1.PartialObjectMetadata, error) {
	if p.known != nil {
		s.noteCRD(*p.known)
		if p.known.Kept {
			return nil, nil
		}
		return p.live, nil
	}
	name := p.wanted.GetName()
	if !p.choice.apply {
		s.log.Info("the live CustomResourceDefinition is kept", "crd", name, "source", p.outcome.Source,
			"component", p.outcome.Owner, "ours", p.wanted.GetAnnotations()[v1alpha1.CRDSourceAnnotation])
		if !p.established {
			if err := s.waitEstablished(name); err != nil {
				return nil, err
			}
		}
		s.rememberCRD(p, p.live)
		s.noteCRD(p.outcome)
		return nil, nil
	}
	if p.choice.owner != "" {
		s.log.Info("taking over a CustomResourceDefinition: ours is newer", "crd", name, "component", p.choice.owner, "source", p.outcome.Source)
	}
	live, err := s.apply(p.mapping, p.wanted)
	if fields := immutableFields(err); len(fields) > 0 {
		r := Replacement{Object: p.outcome.Object, Class: ReplaceRefused, Fields: fields}
		return nil, r.refusal("take the change back, or move its objects elsewhere and delete the definition yourself, with which they are all deleted")
	}
	if err != nil {
		return nil, err
	}
	if err := s.waitEstablished(name); err != nil {
		return nil, err
	}
	s.engine.cluster.invalidate()
	p.outcome.Applied = appliedOf(p.outcome.Object, live, s.engine.opts.FieldManager)
	s.rememberCRD(p, live)
	s.noteCRD(p.outcome)
	return live, nil
}

func (s *session) rememberCRD(p *crdPlan, live *metav1.PartialObjectMetadata) {
	fields, _ := FieldsHash(live, s.engine.opts.FieldManager)
	s.engine.crds.put(p.id, crdSeen{
		content: p.content, uid: live.UID, generation: live.Generation, fields: fields, version: live.ResourceVersion, outcome: p.outcome,
	})
}

func (s *session) noteCRD(a AppliedCRD) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.crds = append(s.crds, a)
}

// settledCRDs are the CRDs of this action, by name.
func (s *session) settledCRDs() []AppliedCRD {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(slices.Values(s.crds), func(a, b AppliedCRD) int { return strings.Compare(a.Object.Name, b.Object.Name) })
}

// letGo follows an action that brought rel about: what the chart carried in an earlier revision may be gone from it.
func (s *session) letGo(rel *helmrelease.Release) error {
	if rel.Version == 1 {
		return nil
	}
	return s.letGoOfCRDs(rel)
}

// letGoOfCRDs takes the marks of this component off the CRDs that the action did not come across: the chart no longer
// carries them. They stay, and are for whoever carries them next. Hooks of rel, if there is one, still carry theirs even
// though they did not run.
func (s *session) letGoOfCRDs(rel *helmrelease.Release) error {
	m, err := s.engine.cluster.mapping(crdGVK, false)
	if err != nil {
		return err
	}
	list, err := s.heads(m, "").List(s.ctx, metav1.ListOptions{LabelSelector: v1alpha1.ComponentLabel + "=" + s.marks.component})
	if err != nil {
		return objectError("list", Object{GVK: crdGVK}, err)
	}
	carried := map[string]bool{}
	for _, c := range s.settledCRDs() {
		carried[c.Object.Name] = true
	}
	for _, name := range hookCRDs(rel) {
		carried[name] = true
	}
	var dropped []*metav1.PartialObjectMetadata
	for i := range list.Items {
		if !carried[list.Items[i].Name] {
			dropped = append(dropped, &list.Items[i])
		}
	}
	return s.collect(inParallel(s, dropped, func(live *metav1.PartialObjectMetadata) error {
		labels, annotations := map[string]any{v1alpha1.ComponentLabel: nil}, map[string]any{}
		if live.Annotations[releaseNameAnnotation] == s.marks.release && live.Annotations[releaseNamespaceAnnotation] == s.marks.namespace {
			labels[managedByLabel] = nil
			annotations[releaseNameAnnotation], annotations[releaseNamespaceAnnotation] = nil, nil
		}
		// The resource version: somebody may be taking it over at this moment.
		body, err := json.Marshal(map[string]any{"metadata": map[string]any{
			"labels": labels, "annotations": annotations, "resourceVersion": live.ResourceVersion}})
		if err != nil {
			return err
		}
		s.log.Info("the chart no longer carries a CustomResourceDefinition; it stays, without this component's marks", "crd", live.Name)
		s.engine.crds.forget(s.marks.component + "/" + live.Name)
		opts := metav1.PatchOptions{FieldManager: s.engine.opts.FieldManager}
		_, err = s.heads(m, "").Patch(s.ctx, live.Name, types.MergePatchType, body, opts)
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return objectError("let go of", Object{GVK: crdGVK, Name: live.Name}, err)
		}
		return nil
	}))
}

// hookCRDs are the names of CRDs among the hooks of a revision.
func hookCRDs(rel *helmrelease.Release) []string {
	var names []string
	if rel == nil {
		return nil
	}
	for _, h := range rel.Hooks {
		if h.Kind != crdGVK.Kind {
			continue
		}
		if objs, err := parseObjects(h.Manifest); err == nil {
			for _, o := range objs {
				names = append(names, o.GetName())
			}
		}
	}
	return names
}

// ownsSource says whether manager wrote the source of a definition.
func ownsSource(live *unstructured.Unstructured, manager string) bool {
	entry := applyEntry(live, manager)
	if entry == nil || entry.FieldsV1 == nil {
		return false
	}
	set := &fieldpath.Set{}
	if set.FromJSON(bytes.NewReader(entry.FieldsV1.GetRawBytes())) != nil {
		return false
	}
	return set.Has(fieldpath.MakePathOrDie("metadata", "annotations", v1alpha1.CRDSourceAnnotation))
}

// LoadAll is Load together with the CustomResourceDefinitions under crds/ of the Spec's chart that are its component's to
// write: Helm's record does not hold them. Those that are kept because they are newer or another component's are left out.
func (e *Engine) LoadAll(ctx context.Context, spec Spec) (*Manifest, error) {
	m, err := e.Load(ctx, spec.Name, spec.Namespace)
	if err != nil {
		return nil, err
	}
	crds, err := e.ownCRDs(ctx, spec)
	if err != nil {
		return nil, err
	}
	for _, u := range crds {
		if err := m.add(u); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (e *Engine) ownCRDs(ctx context.Context, spec Spec) ([]*unstructured.Unstructured, error) {
	s, err := e.newSession(ctx, spec.Name, spec.Namespace, spec.Component)
	if err != nil {
		return nil, err
	}
	s.values = spec.Values
	enabled, err := s.enabledChart(spec)
	if err != nil {
		return nil, s.verdict("read", err)
	}
	crds, _, err := s.readCRDs(enabled)
	if err != nil {
		return nil, s.verdict("read", err)
	}
	plans, err := s.planCRDs(crds)
	if err != nil {
		return nil, s.verdict("plan", err)
	}
	var out []*unstructured.Unstructured
	for _, p := range plans {
		if p.applies() && p.choice.owner == "" {
			out = append(out, p.wanted)
		}
	}
	return out, nil
}

// enabledChart is the chart with the conditions of its dependencies decided: they say which subcharts there are, hence
// which CRDs.
func (s *session) enabledChart(spec Spec) (*chart.Chart, error) {
	enabled, _ := copyChart(spec.Chart)
	if err := chartutil.ProcessDependenciesWithMerge(enabled, copyValues(spec.Values)); err != nil {
		return nil, &RenderError{Release: s.id(), Err: scrubValues(err, spec.Values)}
	}
	return enabled, nil
}

func established(u *unstructured.Unstructured) bool {
	done, _ := establishing(u)
	return done
}

// waitEstablished waits until the API server serves a CRD's kind.
func (s *session) waitEstablished(name string) error {
	m, err := s.engine.cluster.mapping(crdGVK, false)
	if err != nil {
		return err
	}
	err = s.watchObject(m, "", name, establishTimeout, establishing)
	if errors.Is(err, errTimeout) {
		return fmt.Errorf("not established after %s", establishTimeout)
	}
	return err
}

// waitServed waits until discovery tells of every kind that was applied, which it does a moment after the API server has
// established it. Charts ask for kinds when they are rendered, and leave out what they do not find.
func (s *session) waitServed(plans []*crdPlan) error {
	var missing []schema.GroupVersionKind
	for _, p := range plans {
		if p.known != nil || !p.choice.apply {
			continue
		}
		group, _, _ := unstructured.NestedString(p.wanted.Object, "spec", "group")
		kind, _, _ := unstructured.NestedString(p.wanted.Object, "spec", "names", "kind")
		for _, v := range p.outcome.Served {
			missing = append(missing, schema.GroupVersionKind{Group: group, Version: v, Kind: kind})
		}
	}
	const pause = 50 * time.Millisecond
	err := wait.PollUntilContextTimeout(s.ctx, pause, establishTimeout, true, func(context.Context) (bool, error) {
		missing = slices.DeleteFunc(missing, func(gvk schema.GroupVersionKind) bool {
			_, err := s.engine.cluster.mapping(gvk, false)
			return err == nil
		})
		if len(missing) > 0 {
			s.engine.cluster.invalidate()
		}
		return len(missing) == 0, nil
	})
	if err != nil && s.ctx.Err() == nil {
		return fmt.Errorf("discovery does not tell of %s after %s", missing[0], establishTimeout)
	}
	return err
}

var crdGVK = schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}

func establishing(u *unstructured.Unstructured) (bool, error) {
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
}
