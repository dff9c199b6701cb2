package release

import (
	"context"
	"errors"
	"slices"

	"helm.sh/helm/v3/pkg/action"
	helmrelease "helm.sh/helm/v3/pkg/release"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/resource"
)

// UninstallOption changes how a release is removed.
type UninstallOption func(*session)

// WhileWaiting has w told when the removal waits for the cluster.
func WhileWaiting(w Waiting) UninstallOption { return func(s *session) { s.waiting = w } }

// Uninstall removes a release: the objects of all its recorded revisions, then the records. It is
// idempotent, and after a crash the next call carries on.
//
// What stays: objects with helm.sh/resource-policy: keep, CustomResourceDefinitions wherever they
// came from (without the component's marks, so that another one may have them), objects that
// belong to somebody else by now. Hooks go, whatever their deletion policies.
//
// The release's namespace is deleted at the end if the engine made it (it carries the component's
// label; a namespace that existed before never does) and nothing lives in it any more but objects
// of this component. Namespaces that the chart itself rendered are treated alike. When in doubt a
// namespace stays, which is not an error.
//
// Deletion is in the background: when Uninstall returns, the objects' dependents may still be on
// their way out.
func (e *Engine) Uninstall(ctx context.Context, name, namespace, component string, opts ...UninstallOption) error {
	defer e.locks.lock(namespace + "/" + name)()
	s, err := e.newSession(ctx, name, namespace, component)
	if err != nil {
		return err
	}
	s.uninstalling = true
	for _, o := range opts {
		o(s)
	}
	return s.verdict("uninstall", s.uninstall()) //nolint:contextcheck // the session holds ctx
}

func (s *session) uninstall() error {
	revs, err := s.records.history()
	if err != nil {
		return err
	}
	if len(revs) > 0 {
		if err := s.claim(revs); err != nil {
			return err
		}
		if err := s.loadPrevious(revs); err != nil {
			return err
		}
		s.resumes = true
		if err := s.adoptOrphans(nil); err != nil {
			return err
		}
		if err := s.clearIntents(); err != nil {
			return err
		}
		if err := s.runUninstall(revs); err != nil {
			return err
		}
	}
	if err := s.letGoOfCRDs(nil); err != nil {
		return err
	}
	// The records are gone now, and with them the last thing that had to be in the namespace.
	return s.deleteNamespace(s.marks.namespace)
}

func (s *session) runUninstall(revs revisions) error {
	last := revs.last()
	if last.Info.Status == helmrelease.StatusUninstalled || !s.asksForDeletion(last) {
		// Helm would go straight on to the records: the release was uninstalled with its history
		// kept, or its last revision has nothing to delete. Other revisions may have.
		if err := s.deletePrevious(); err != nil {
			return err
		}
	}
	un := action.NewUninstall(s.configuration(nil))
	un.Timeout = s.engine.opts.HookTimeout
	// Hooks of attempts that never came through have nothing to undo, and what they would run in
	// may never have existed.
	un.DisableHooks = !revs.installed() && last.Info.Status != helmrelease.StatusUninstalling
	// Webhooks go before what serves them, other hooks after what they may be needed for.
	if err := s.deleteHooks(revs, true); err != nil {
		return err
	}
	// The records say which hooks there are, so they go last.
	gone := false
	s.records.guard = func() error {
		if err := s.passing(); err != nil || gone {
			return err
		}
		err := s.deleteHooks(revs, false)
		gone = err == nil
		return s.records.remember(err)
	}
	_, err := un.Run(s.marks.release)
	return err
}

// deleteHooks deletes what a chart has as hooks and Helm would leave behind: the configurations of webhooks, or the rest.
func (s *session) deleteHooks(revs revisions, webhooks bool) error {
	var objs []*unstructured.Unstructured
	for _, rel := range revs {
		for _, h := range rel.Hooks {
			if webhooks != (h.Kind == "MutatingWebhookConfiguration" || h.Kind == "ValidatingWebhookConfiguration") {
				continue
			}
			parsed, err := parseObjects(h.Manifest)
			if err != nil {
				return s.records.recordError("read the record", rel.Version, err)
			}
			for _, o := range parsed {
				if !isKept(o) {
					objs = append(objs, o)
				}
			}
		}
	}
	if len(objs) == 0 {
		return nil
	}
	list, err := s.infos(objs, false)
	if err != nil {
		return err
	}
	_, errs := s.deleteList(list)
	return errors.Join(errs...)
}

// passing is the error of an action that failed for a reason that passes, nil when it did not. Helm drops the records
// whatever became of the hooks after the deletion. While only the API server has to come back they have to stay, or nobody
// would try again. A hook that has failed by itself would again; Helm leaves it at that, and so does this.
func (s *session) passing() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !Passing(s.typed) {
		return nil
	}
	return s.typed
}

// asksForDeletion says whether Helm will find something to delete in a revision.
func (s *session) asksForDeletion(rel *helmrelease.Release) bool {
	list, err := s.infosOf(rel)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(list, func(i *resource.Info) bool {
		u, ok := i.Object.(*unstructured.Unstructured)
		return ok && !isKept(u)
	})
}
