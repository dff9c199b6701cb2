package release

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/go-logr/logr"
	"helm.sh/helm/v3/pkg/kube"
	helmrelease "helm.sh/helm/v3/pkg/release"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/networkstack/networkstack/internal/ignore"
)

// session is one action on one release: the clients bound to the action's context, what has been
// applied so far, and the first thing that went wrong. It is also the kube.Interface that the Helm
// action works through; see client.go.
type session struct {
	engine *Engine
	ctx    context.Context
	log    logr.Logger
	marks  marks

	getter   getter
	dynamic  dynamic.Interface
	metadata metadata.Interface
	kube     kubernetes.Interface
	absent   resource.RESTClient
	records  *records
	requests *requestLog

	// registry, values and namespaceLabels are those of the Spec.
	registry string
	// omit are the objects that are left out, and brief those that go when they are done.
	omit, brief     []ObjectName
	values          map[string]any
	namespaceLabels map[string]string
	// rules say which fields others may change.
	rules       ignore.Rules
	waiting     Waiting
	announce    func(Replacement)
	replacement ReplacementPolicy
	// sources are the charts that rendered objects come from, by path.
	sources map[string]string
	// adopt is that of the Spec; claiming says that the release was made by somebody else and is being taken over.
	adopt, claiming bool
	// known are the heads of live objects that were looked at before they are applied. It is not written while objects
	// are applied.
	known map[key]*metav1.PartialObjectMetadata
	// beforeRecord is what has to happen once nothing stands in the way of the release any more, and before it is recorded.
	beforeRecord func() error
	// inspecting renders and stops there; inspected is what was rendered.
	inspecting bool
	inspected  kube.ResourceList
	// previous are the objects of all revisions that count for pruning, by key.
	previous map[key]*resource.Info
	// parsed are manifests that were read already.
	parsed map[string][]*unstructured.Unstructured
	// target is the manifest this action applies, once it has been rendered.
	target   string
	rendered bool
	// resumes says that there were actions before this one, which may have been interrupted.
	resumes bool
	// uninstalling has deletions go through all revisions.
	uninstalling bool

	mu      sync.Mutex
	hooks   map[*resource.Info]bool
	applied []Applied
	uids    map[types.UID]bool
	crds    []AppliedCRD
	// ownCRDs are those under crds/ that are this component's.
	ownCRDs []*unstructured.Unstructured

	replaced []Replacement
	// intents are the replacements of workloads that are under way, as written down in the cluster.
	intentsMu sync.Mutex
	intents   map[key]intent
	// transient are the objects that remove themselves when they are done.
	transient map[Object]bool
	typed     error
}

func (e *Engine) newSession(ctx context.Context, name, namespace, component string) (*session, error) {
	s := &session{
		engine:    e,
		ctx:       ctx,
		log:       e.log.WithValues("release", namespace+"/"+name),
		marks:     marks{component: component, release: name, namespace: namespace},
		requests:  &requestLog{},
		parsed:    map[string][]*unstructured.Unstructured{},
		hooks:     map[*resource.Info]bool{},
		known:     map[key]*metav1.PartialObjectMetadata{},
		uids:      map[types.UID]bool{},
		transient: map[Object]bool{},
	}
	cfg, err := bind(ctx, e.cfg, e.base, s.requests)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: cfg.Transport}
	if s.dynamic, err = dynamic.NewForConfigAndClient(cfg, client); err != nil {
		return nil, err
	}
	if s.metadata, err = metadata.NewForConfigAndClient(metadata.ConfigFor(cfg), client); err != nil {
		return nil, err
	}
	proto := rest.CopyConfig(cfg)
	proto.ContentType = runtime.ContentTypeProtobuf
	proto.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	if s.kube, err = kubernetes.NewForConfigAndClient(proto, client); err != nil {
		return nil, err
	}
	content := resource.UnstructuredPlusDefaultContentConfig()
	none := &rest.Config{Host: "http://none.invalid", QPS: -1, ContentConfig: content}
	none.GroupVersion, none.APIPath = content.GroupVersion, "/"
	if none.GroupVersion == nil {
		none.GroupVersion = &coreV1
	}
	if s.absent, err = rest.RESTClientForConfigAndClient(none, &http.Client{Transport: absentTransport{}}); err != nil {
		return nil, err
	}
	s.getter = getter{cluster: e.cluster, cfg: cfg}
	s.records = newRecords(ctx, s.kube.CoreV1().Secrets(namespace), s.metadata.Resource(secretsGVR).Namespace(namespace), name, namespace)
	return s, nil
}

// rendering says that the chart has not been rendered yet.
func (s *session) rendering() bool { return !s.rendered && !s.uninstalling }

// id is the release's name for messages.
func (s *session) id() string { return s.marks.namespace + "/" + s.marks.release }

// fail remembers the typed form of an error on its way into Helm, which turns errors into text.
func (s *session) fail(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.typed == nil {
		s.typed = err
	}
	return err
}

// verdict turns whatever an action ended with into one of the package's errors.
func (s *session) verdict(op string, err error) error {
	s.mu.Lock()
	typed := s.typed
	s.mu.Unlock()
	recordFailure := s.records.failure()
	if err == nil && recordFailure == nil {
		return nil
	}
	if ctxErr := s.ctx.Err(); ctxErr != nil {
		return fmt.Errorf("%s release %s: %w", op, s.id(), ctxErr)
	}
	if err == nil || typed == nil && recordFailure != nil {
		// Helm only logs that a record could not be written.
		typed = recordFailure
	}
	if typed == nil {
		typed = err
	}
	var (
		render   *RenderError
		conflict *ConflictError
		crd      *CRDVersionError
		unserved *CRDNotServedError
		fixed    *ImmutableFieldError
		apply    *ApplyError
		object   *ObjectError
	)
	switch {
	case errors.As(typed, &render), errors.As(typed, &conflict), errors.As(typed, &crd), errors.As(typed, &unserved),
		errors.As(typed, &fixed), errors.As(typed, &apply):
		return typed
	case errors.As(typed, &object):
		return &ApplyError{Release: s.id(), Causes: []*ObjectError{object}}
	case s.rendering():
		// Helm reports a template that could not look something up as a template that failed.
		if cause := s.requests.failure(); cause != nil {
			return &ApplyError{Release: s.id(), Err: errors.Join(cause, scrubValues(typed, s.values))}
		}
		return &RenderError{Release: s.id(), Err: scrubValues(typed, s.values)}
	default:
		return &ApplyError{Release: s.id(), Err: scrubValues(typed, s.values)}
	}
}

// place finds an object's resource and fills in or clears its namespace accordingly.
func (s *session) place(u *unstructured.Unstructured) (*meta.RESTMapping, error) {
	m, err := s.engine.cluster.mapping(u.GroupVersionKind(), true)
	if err != nil {
		return nil, err
	}
	switch {
	case m.Scope.Name() != meta.RESTScopeNameNamespace:
		u.SetNamespace("")
	case u.GetNamespace() == "":
		u.SetNamespace(s.marks.namespace)
	}
	return m, nil
}

// infos makes Helm's form of objects. Unless strict, objects of kinds that the cluster does not
// know are left out: they cannot exist.
func (s *session) infos(objs []*unstructured.Unstructured, strict bool) (kube.ResourceList, error) {
	var list kube.ResourceList
	var missing []*ObjectError
	for _, u := range objs {
		m, err := s.place(u)
		if err != nil {
			if !strict && meta.IsNoMatchError(err) {
				continue
			}
			missing = append(missing, objectError("find the resource of", objectOf(u), err))
			continue
		}
		list = append(list, &resource.Info{
			Client: s.absent, Mapping: m, Object: u, Namespace: u.GetNamespace(), Name: u.GetName(),
		})
	}
	if len(missing) > 0 {
		return nil, &ApplyError{Release: s.id(), Causes: missing}
	}
	return list, nil
}

// infosOf are the objects of a revision, as far as the cluster knows their kinds.
func (s *session) infosOf(rel *helmrelease.Release) (kube.ResourceList, error) {
	objs, err := s.objectsOf(rel)
	if err != nil {
		return nil, err
	}
	return s.infos(objs, false)
}

// expectGone notes that an object may remove itself when it is done.
func (s *session) expectGone(u *unstructured.Unstructured) {
	if !Transient(u) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.transient[objectOf(u)] = true
}

func (s *session) noteApplied(a Applied) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a.Transient = s.transient[a.Object]
	s.applied = append(s.applied, a)
	if a.UID != "" {
		s.uids[types.UID(a.UID)] = true
	}
}

func (s *session) appliedObjects() []Applied {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.applied
}
