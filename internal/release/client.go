package release

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/kube"
	"helm.sh/helm/v3/pkg/postrender"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/networkstack/networkstack/api/v1alpha1"
)

// A session is what Helm's actions work through. It does not embed Helm's own client: every method
// that is not here is one that cannot get past the engine's rules.
var (
	_ kube.Interface                    = (*session)(nil)
	_ kube.InterfaceExt                 = (*session)(nil)
	_ kube.InterfaceThreeWayMerge       = (*session)(nil)
	_ kube.InterfaceDeletionPropagation = (*session)(nil)
	_ postrender.PostRenderer           = (*session)(nil)
)

// Run is the last step of rendering: the manifest becomes what is applied and recorded. Before
// anything is recorded, it is also made sure that no object belongs to somebody else.
func (s *session) Run(in *bytes.Buffer) (*bytes.Buffer, error) {
	if err := s.ctx.Err(); err != nil {
		return nil, err
	}
	f, err := s.finish(in)
	if err != nil {
		return nil, err
	}
	objs := f.objects
	out, err := format(f.docs)
	if err != nil {
		return nil, s.fail(&RenderError{Release: s.id(), Err: err})
	}
	s.rendered = true
	s.target = out.String()
	s.parsed[s.target] = objs
	list, err := s.infos(objs, !s.inspecting)
	if err != nil {
		return nil, s.fail(err)
	}
	if s.inspecting {
		s.inspected = list
		return out, nil
	}
	if err := s.checkOwners(list); err != nil {
		return nil, s.fail(err)
	}
	if _, err := s.planCRDs(f.crds); err != nil {
		return nil, s.fail(err)
	}
	if s.beforeRecord != nil {
		if err := s.beforeRecord(); err != nil {
			return nil, s.fail(err)
		}
	}
	return out, nil
}

// finished is a manifest as it is applied.
type finished struct {
	docs []document
	// objects are all of them, and crds the definitions among them.
	objects, crds []*unstructured.Unstructured
}

// finish makes of what a chart renders what is applied. It asks no cluster.
func (s *session) finish(in *bytes.Buffer) (finished, error) {
	docs, err := parse(in)
	if err != nil {
		return finished{}, s.fail(&RenderError{Release: s.id(), Err: scrubValues(err, s.values)})
	}
	for i := range docs {
		docs[i].objects = slices.DeleteFunc(docs[i].objects, s.omitted)
	}
	out := finished{docs: docs}
	seen := map[key]bool{}
	for _, d := range docs {
		for _, o := range d.objects {
			if err := normalize(o, s.marks, false); err != nil {
				return finished{}, s.fail(&RenderError{Release: s.id(), Err: fmt.Errorf("%s: %w", d.where(), err)})
			}
			s.moveImages(o)
			s.labelNamespace(o)
			s.markBrief(o)
			if isCRD(o.GroupVersionKind().GroupKind()) {
				setSource(o, sourceOfTemplate(s.sources, d.where()))
				out.crds = append(out.crds, o)
			}
			// Two objects of one name would be applied over one another, in no order.
			k := keyOf(o, s.marks.namespace)
			if seen[k] {
				twice := fmt.Errorf("%s: %s is rendered twice", d.where(), objectOf(o))
				return finished{}, s.fail(&RenderError{Release: s.id(), Err: twice})
			}
			seen[k] = true
			out.objects = append(out.objects, o)
		}
	}
	return out, nil
}

// omitted says whether an object is left out.
func (s *session) omitted(u *unstructured.Unstructured) bool {
	return !isCRD(u.GroupVersionKind().GroupKind()) && slices.Contains(s.omit, ObjectName{Kind: u.GetKind(), Name: u.GetName()})
}

// markBrief has the manifest say of an object that it goes when it is done, so that this is known whoever reads it.
func (s *session) markBrief(u *unstructured.Unstructured) {
	if !slices.Contains(s.brief, ObjectName{Kind: u.GetKind(), Name: u.GetName()}) {
		return
	}
	annotations := u.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[v1alpha1.TransientAnnotation] = "true"
	u.SetAnnotations(annotations)
}

func (s *session) moveImages(u *unstructured.Unstructured) {
	for _, image := range rewriteImages(u, s.registry) {
		s.log.Info("image reference not understood; its registry stays", "object", objectOf(u).String(), "image", image)
	}
}

// Build reads a manifest. Helm asks for validation of hooks only, whatever the options say; the
// API server validates better, so the flag is merely how hooks are recognised.
func (s *session) Build(reader io.Reader, hook bool) (kube.ResourceList, error) {
	if err := s.ctx.Err(); err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(reader)
	if err != nil {
		return nil, err
	}
	text := string(raw)
	objs, known := s.parsed[text]
	if !known {
		if objs, err = parseObjects(text); err != nil {
			return nil, s.fail(&RenderError{Release: s.id(), Err: scrubValues(err, s.values)})
		}
	}
	if hook {
		s.parsed[text] = objs
		for _, o := range objs {
			if err := normalize(o, s.marks, true); err != nil {
				return nil, s.fail(&RenderError{Release: s.id(), Err: err})
			}
			s.moveImages(o)
		}
	}
	// What earlier revisions applied, and hooks to be deleted, may be of kinds that are gone.
	list, err := s.infos(objs, hook && !s.inspecting || text == s.target && s.target != "" && !s.inspecting)
	if err != nil {
		return nil, s.fail(err)
	}
	if hook {
		s.mu.Lock()
		for _, i := range list {
			s.hooks[i] = true
		}
		s.mu.Unlock()
	}
	return list, nil
}

// Create applies objects: a hook's, or those of a first installation. The latter may have been
// attempted before with other objects, so it prunes, too.
func (s *session) Create(resources kube.ResourceList) (*kube.Result, error) {
	if err := s.ctx.Err(); err != nil {
		return &kube.Result{}, err
	}
	if len(resources) > 0 && s.isHook(resources) {
		if err := s.applyHooks(resources); err != nil {
			return &kube.Result{}, s.fail(err)
		}
		return &kube.Result{Created: resources}, nil
	}
	return s.Update(nil, resources, false)
}

// Update brings the cluster from whatever earlier revisions left to target. Helm's idea of the
// original, the last deployed revision, is too narrow after a failure; see loadPrevious.
func (s *session) Update(_, target kube.ResourceList, _ bool) (*kube.Result, error) {
	// Helm reads the result even when there is an error.
	result := &kube.Result{Updated: target}
	if err := s.bringAbout(target); err != nil {
		return result, s.fail(err)
	}
	if err := s.prune(target); err != nil {
		return result, s.fail(err)
	}
	return result, nil
}

// UpdateThreeWayMerge is what an installation that takes ownership calls.
func (s *session) UpdateThreeWayMerge(original, target kube.ResourceList, force bool) (*kube.Result, error) {
	return s.Update(original, target, force)
}

// Delete removes hooks, as their deletion policies want it.
func (s *session) Delete(resources kube.ResourceList) (*kube.Result, []error) {
	return s.deleteList(resources)
}

// DeleteWithPropagationPolicy removes a release's objects. During an uninstallation that means
// those of all revisions, not only of the last one.
func (s *session) DeleteWithPropagationPolicy(resources kube.ResourceList, _ metav1.DeletionPropagation) (*kube.Result, []error) {
	if !s.uninstalling {
		return s.deleteList(resources)
	}
	if err := s.deletePrevious(); err != nil {
		_ = s.fail(err)
		return &kube.Result{}, []error{err}
	}
	return &kube.Result{Deleted: resources}, nil
}

// Wait does nothing: the engine does not wait for readiness.
func (s *session) Wait(kube.ResourceList, time.Duration) error { return s.ctx.Err() }

// WaitWithJobs does nothing: the engine does not wait for readiness.
func (s *session) WaitWithJobs(kube.ResourceList, time.Duration) error { return s.ctx.Err() }

// WatchUntilReady waits until hooks have done their work.
func (s *session) WatchUntilReady(resources kube.ResourceList, timeout time.Duration) error {
	for _, i := range resources {
		if err := s.waitForHook(i, timeout); err != nil {
			return s.fail(err)
		}
	}
	return s.ctx.Err()
}

// WaitForDelete waits until objects are gone.
func (s *session) WaitForDelete(resources kube.ResourceList, timeout time.Duration) error {
	for _, i := range resources {
		if isCRD(i.Mapping.GroupVersionKind.GroupKind()) || i.Name == "" {
			continue // never deleted
		}
		if err := s.standBy(func() error { return s.waitGone(i.Mapping, i.Namespace, i.Name, timeout) }); err != nil {
			err := objectError("wait for the deletion of", infoObject(i), err)
			err.Hook = true
			return s.fail(err)
		}
	}
	return s.ctx.Err()
}

// WaitAndGetCompletedPodPhase is not used by the actions of the engine.
func (s *session) WaitAndGetCompletedPodPhase(name string, timeout time.Duration) (corev1.PodPhase, error) {
	m, err := s.engine.cluster.mapping(coreV1.WithKind("Pod"), false)
	if err != nil {
		return corev1.PodUnknown, err
	}
	var phase string
	err = s.watchObject(m, s.marks.namespace, name, timeout, func(u *unstructured.Unstructured) (bool, error) {
		if u == nil {
			return false, nil
		}
		phase, _, _ = unstructured.NestedString(u.Object, "status", "phase")
		return phase == string(corev1.PodSucceeded) || phase == string(corev1.PodFailed), nil
	})
	return corev1.PodPhase(phase), err
}

// IsReachable asks nobody: the next request will tell.
func (s *session) IsReachable() error { return s.ctx.Err() }

func (s *session) isHook(resources kube.ResourceList) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hooks[resources[0]]
}

// joinLines makes one line of a message of several.
func joinLines(text string) string { return strings.Join(strings.Fields(text), " ") }
