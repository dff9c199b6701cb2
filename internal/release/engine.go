package release

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	helmrelease "helm.sh/helm/v3/pkg/release"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"

	"github.com/networkstack/networkstack/api/v1alpha1"
)

const discoveryTimeout = 15 * time.Second

// Engine installs, upgrades, verifies and removes releases. It is safe for concurrent use; actions
// on the same release take turns.
type Engine struct {
	cfg     *rest.Config
	base    http.RoundTripper
	opts    Options
	log     logr.Logger
	cluster *cluster
	crds    crdMemory
	crdTurn chan struct{}
	locks   keyedLock
}

// NewEngine makes an engine for a cluster. It asks the API server for its version once.
func NewEngine(cfg *rest.Config, opts Options) (*Engine, error) {
	if opts.FieldManager == "" {
		opts.FieldManager = v1alpha1.FieldManager
	}
	if opts.MaxHistory <= 0 {
		opts.MaxHistory = 5
	}
	if opts.Concurrency <= 0 {
		opts.Concurrency = 8
	}
	if opts.HookTimeout <= 0 {
		opts.HookTimeout = 5 * time.Minute
	}
	if opts.Logger.GetSink() == nil {
		opts.Logger = logr.Discard()
	}
	// The server protects itself by priority and fairness; a limit of our own would only add up
	// over objects.
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.Burst, cfg.RateLimiter = -1, 0, nil
	base, err := rest.TransportFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("release engine: %w", err)
	}
	// Discovery belongs to no action, so that no context ends it.
	disc, err := discovery.NewDiscoveryClientForConfigAndClient(cfg, &http.Client{Transport: base, Timeout: discoveryTimeout})
	if err != nil {
		return nil, fmt.Errorf("release engine: %w", err)
	}
	e := &Engine{cfg: cfg, base: base, opts: opts, log: opts.Logger, cluster: newCluster(disc), crdTurn: make(chan struct{}, 1)}
	if err := e.cluster.refreshVersion(0); err != nil {
		return nil, fmt.Errorf("release engine: %w", err)
	}
	return e, nil
}

// Apply installs or upgrades a release, whatever is due, and recovers first what an interrupted
// attempt left behind. It never uninstalls. When the newest revision is deployed and was rendered
// from the same inputs, its recorded objects are applied again without a new revision: charts that
// generate certificates or passwords keep them.
//
// The error is a *RenderError, *ConflictError, *CRDVersionError, *CRDNotServedError,
// *ImmutableFieldError, *ApplyError, or one that wraps the context's. After a cancelled context the
// record may say pending; the next Apply recovers it.
func (e *Engine) Apply(ctx context.Context, spec Spec) (Outcome, error) {
	defer e.locks.lock(spec.Namespace + "/" + spec.Name)()
	s, err := e.newSession(ctx, spec.Name, spec.Namespace, spec.Component)
	if err != nil {
		return Outcome{}, err
	}
	s.take(spec)
	out, err := s.applyRelease(spec, e.Inputs(spec)) //nolint:contextcheck // the session holds ctx
	out.Objects, out.CRDs, out.Replaced = s.appliedObjects(), s.settledCRDs(), s.replacedObjects()
	if err == nil {
		err = out.include(s.ownCRDs)
	}
	return out, s.verdict("apply", err)
}

// include adds the CRDs under crds/ to what was applied.
func (o *Outcome) include(crds []*unstructured.Unstructured) error {
	for _, u := range crds {
		if err := o.Manifest.add(u); err != nil {
			return err
		}
		n := slices.IndexFunc(o.CRDs, func(c AppliedCRD) bool { return c.Object.Name == u.GetName() })
		if n >= 0 && !o.CRDs[n].Kept {
			o.Objects = append(o.Objects, o.CRDs[n].Applied)
		}
	}
	return nil
}

// take notes what the session needs of the Spec.
func (s *session) take(spec Spec) {
	s.registry, s.values, s.namespaceLabels = spec.ImageRegistry, spec.Values, spec.NamespaceLabels
	s.omit, s.brief = spec.Omit, spec.Transient
	s.rules, s.adopt = spec.Rules, spec.Adopt
	s.waiting, s.announce, s.replacement = spec.Waiting, spec.Announce, spec.Replacement
}

func (s *session) applyRelease(spec Spec, inputs string) (Outcome, error) {
	if spec.Chart == nil || spec.Component == "" {
		return Outcome{}, &RenderError{Release: s.id(), Err: errors.New("a chart and a component are required")}
	}
	revs, err := s.records.history()
	if err != nil {
		return Outcome{}, err
	}
	if err := s.claim(revs); err != nil {
		return Outcome{}, err
	}
	s.resumes = len(revs) > 0
	chrt, remote := copyChart(spec.Chart)
	if len(remote) > 0 {
		s.log.Info("values are not checked against schemas that refer to other documents", "charts", remote)
	}
	enabled, err := s.enabledChart(spec)
	if err != nil {
		return Outcome{}, err
	}
	s.sources = chartSources(enabled)
	if err := s.applyCRDs(enabled); err != nil {
		return Outcome{}, err
	}
	writeRecords := s.recoverRecords(revs)
	if last := revs.last(); last != nil && last.Info.Status == helmrelease.StatusDeployed && inputsOf(last) == inputs {
		if err := errors.Join(writeRecords(), s.ensureOwnNamespace()); err != nil {
			return Outcome{}, err
		}
		return s.reapply(last)
	}
	if err := s.loadPrevious(revs); err != nil {
		return Outcome{}, err
	}
	// Nothing is written before it is known that no object belongs to somebody else.
	s.beforeRecord = func() error {
		if s.claiming {
			if err := s.takeRecords(revs); err != nil {
				return err
			}
		}
		if err := writeRecords(); err != nil {
			return err
		}
		s.trimHistory(revs)
		return s.ensureOwnNamespace()
	}

	caps, err := s.engine.cluster.capabilities()
	if err != nil {
		return Outcome{}, err
	}
	rel, err := s.act(spec, chrt, revs, caps, map[string]string{
		InputsLabel: inputs, revisionLabel: strconv.Itoa(revs.next()), v1alpha1.ComponentLabel: s.marks.component,
	})
	if err != nil {
		return Outcome{State: s.stateOf(rel)}, err
	}
	m, err := s.manifestOf(rel)
	if err != nil {
		return Outcome{State: s.stateOf(rel)}, err
	}
	return Outcome{State: s.stateOf(rel), Manifest: m}, s.letGo(rel)
}

// act has Helm upgrade the release, or install it. While inspecting, Helm stops after rendering.
func (s *session) act(spec Spec, chrt *chart.Chart, revs revisions, caps *chartutil.Capabilities, labels map[string]string) (
	*helmrelease.Release, error,
) {
	cfg := s.configuration(caps)
	values := copyValues(spec.Values)
	const dryRun = "server" // with lookups
	// The context is in the clients. Given to Helm, it would have Helm return while its own
	// goroutine carries on.
	if revs.installed() {
		up := action.NewUpgrade(cfg)
		up.Namespace, up.Labels, up.Timeout = s.marks.namespace, labels, s.engine.opts.HookTimeout
		up.ResetValues, up.SkipCRDs, up.DisableOpenAPIValidation, up.TakeOwnership = true, true, true, true
		up.PostRenderer = s
		if s.inspecting {
			up.DryRun, up.DryRunOption = true, dryRun
		}
		return up.Run(spec.Name, chrt, values)
	}
	// A release none of whose revisions ever came through is installed again, so that its
	// pre-install hooks run.
	in := action.NewInstall(cfg)
	in.ReleaseName, in.Namespace, in.Labels, in.Timeout = spec.Name, s.marks.namespace, labels, s.engine.opts.HookTimeout
	in.Replace, in.SkipCRDs, in.DisableOpenAPIValidation, in.TakeOwnership = true, true, true, true
	in.PostRenderer = s
	if s.inspecting {
		in.DryRun, in.DryRunOption = true, dryRun
	}
	return in.Run(chrt, values)
}

// configuration is what a Helm action works with.
func (s *session) configuration(caps *chartutil.Capabilities) *action.Configuration {
	return &action.Configuration{
		RESTClientGetter: s.getter,
		Releases:         s.records.storage(),
		KubeClient:       s,
		Capabilities:     caps,
		Log:              func(format string, v ...any) { s.log.V(2).Info(fmt.Sprintf(format, v...)) },
	}
}

// State says what is recorded about a release.
func (e *Engine) State(ctx context.Context, name, namespace string) (State, error) {
	s, err := e.newSession(ctx, name, namespace, "")
	if err != nil {
		return State{}, err
	}
	rel, err := s.records.newest(nil)
	if err != nil {
		return State{}, s.verdict("read", err)
	}
	return s.stateOf(rel), nil
}

// inputsOf is what a revision was rendered from; empty when somebody else made it.
func inputsOf(rel *helmrelease.Release) string {
	if n, ok := rel.Labels[revisionLabel]; ok && n != strconv.Itoa(rel.Version) {
		return ""
	}
	return rel.Labels[InputsLabel]
}

func (s *session) stateOf(rel *helmrelease.Release) State {
	if rel == nil {
		return State{}
	}
	st := State{
		Exists:    true,
		Revision:  rel.Version,
		Inputs:    inputsOf(rel),
		Component: rel.Labels[v1alpha1.ComponentLabel],
	}
	st.Ours = st.Inputs != "" || st.Component != ""
	if rel.Info != nil {
		st.Status = rel.Info.Status.String()
	}
	if rel.Chart != nil && rel.Chart.Metadata != nil {
		m := rel.Chart.Metadata
		st.ChartName, st.ChartVersion, st.AppVersion = m.Name, m.Version, m.AppVersion
	}
	return st
}

// Load returns the objects of the last deployed revision as they were applied, without hooks. The
// error is ErrNotDeployed when there is no such revision.
func (e *Engine) Load(ctx context.Context, name, namespace string) (*Manifest, error) {
	s, err := e.newSession(ctx, name, namespace, "")
	if err != nil {
		return nil, err
	}
	rel, err := s.records.newest(map[string]string{"status": helmrelease.StatusDeployed.String()})
	if err != nil {
		return nil, s.verdict("load", err)
	}
	if rel == nil {
		return nil, fmt.Errorf("%s: %w", s.id(), ErrNotDeployed)
	}
	s.marks.component = rel.Labels[v1alpha1.ComponentLabel]
	m, err := s.manifestOf(rel)
	return m, s.verdict("load", err)
}

// manifestOf reads the objects a revision applied.
func (s *session) manifestOf(rel *helmrelease.Release) (*Manifest, error) {
	objs, err := s.objectsOf(rel)
	if err != nil {
		return nil, err
	}
	m := &Manifest{
		Name: rel.Name, Namespace: rel.Namespace, Revision: rel.Version,
		Component: rel.Labels[v1alpha1.ComponentLabel], Inputs: inputsOf(rel),
	}
	for _, o := range objs {
		if err := normalize(o, s.marks, false); err != nil {
			return nil, fmt.Errorf("recorded manifest: %w", err)
		}
		if _, err := s.place(o); err != nil {
			return nil, objectError("find the resource of", objectOf(o), err)
		}
		if err := m.add(o); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// reapply applies the objects of a deployed revision again.
func (s *session) reapply(rel *helmrelease.Release) (Outcome, error) {
	m, err := s.manifestOf(rel)
	if err != nil {
		return Outcome{}, err
	}
	objs, err := s.objectsOf(rel)
	if err != nil {
		return Outcome{}, err
	}
	infos, err := s.infos(objs, true)
	if err != nil {
		return Outcome{}, err
	}
	if err := s.bringAbout(infos); err != nil {
		return Outcome{}, err
	}
	return Outcome{State: s.stateOf(rel), Manifest: m}, s.letGo(rel)
}

// keyedLock is a mutex per name.
type keyedLock struct {
	mu    sync.Mutex
	locks map[string]*countedLock
}

type countedLock struct {
	sync.Mutex
	users int
}

// lock takes the lock of a name and returns what releases it.
func (k *keyedLock) lock(name string) func() {
	k.mu.Lock()
	if k.locks == nil {
		k.locks = map[string]*countedLock{}
	}
	l := k.locks[name]
	if l == nil {
		l = &countedLock{}
		k.locks[name] = l
	}
	l.users++
	k.mu.Unlock()
	l.Lock()
	return func() {
		l.Unlock()
		k.mu.Lock()
		defer k.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(k.locks, name)
		}
	}
}
