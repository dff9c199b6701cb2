package release

import (
	"slices"

	helmrelease "helm.sh/helm/v3/pkg/release"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/resource"

	"github.com/networkstack/networkstack/api/v1alpha1"
)

// revisions is the history of a release, oldest first.
type revisions []*helmrelease.Release

func (r revisions) last() *helmrelease.Release {
	if len(r) == 0 {
		return nil
	}
	return r[len(r)-1]
}

// next is the number that Helm will give to the next revision.
func (r revisions) next() int {
	if last := r.last(); last != nil {
		return last.Version + 1
	}
	return 1
}

// deployed is the newest revision that came through, nil when there is none.
func (r revisions) deployed() *helmrelease.Release {
	for _, rel := range slices.Backward(r) {
		if rel.Info.Status == helmrelease.StatusDeployed {
			return rel
		}
	}
	return nil
}

// installed says whether there is something to upgrade: a revision that came through once and was
// not taken out again since.
func (r revisions) installed() bool {
	for _, rel := range slices.Backward(r) {
		switch rel.Info.Status {
		case helmrelease.StatusDeployed, helmrelease.StatusSuperseded:
			return true
		case helmrelease.StatusUninstalled:
			return false
		default:
			// It never came through; what was before it counts.
		}
	}
	return false
}

// relevant are the revisions whose objects may be in the cluster: the deployed one, whose objects
// are, and all attempts after it. Without a deployed one it is all of them.
func (r revisions) relevant() revisions {
	d := r.deployed()
	if d == nil {
		return r
	}
	return slices.DeleteFunc(slices.Clone(r), func(rel *helmrelease.Release) bool { return rel.Version < d.Version })
}

// claim refuses a release that somebody else made, unless it may be adopted.
func (s *session) claim(revs revisions) error {
	last := revs.last()
	if last == nil {
		return nil
	}
	owner := last.Labels[v1alpha1.ComponentLabel]
	if owner == s.marks.component {
		return nil
	}
	c := &ConflictError{
		Release: s.id(),
		Object:  Object{GVK: helmGVK, Namespace: s.marks.namespace, Name: s.marks.release},
	}
	if owner != "" {
		c.Owner = "component " + owner
		c.Remedy = "give one of the two components another release name or namespace"
		return c
	}
	if s.adopt {
		s.claiming = true
		return nil
	}
	c.Adoptable = true
	c.Owner = "whoever installed it with Helm"
	c.Remedy = "set spec.adoption to Adopt to take it over, uninstall it, or hand it over with: kubectl label secret --namespace " + s.marks.namespace +
		" --selector owner=helm,name=" + s.marks.release + " " + v1alpha1.ComponentLabel + "=" + s.marks.component
	return c
}

// helmGVK stands for a Helm release in messages. There is no such kind in the API.
var helmGVK = helmObject.WithKind("Helm release")

// recoverRecords ends what an interrupted action left open. Nothing is taken out of the cluster:
// server-side apply finds its way from any half-done state. The records are changed in memory; the
// result writes those that changed.
func (s *session) recoverRecords(revs revisions) (write func() error) {
	var changed revisions
	newest := revs.deployed()
	for _, rel := range revs {
		st := rel.Info.Status
		switch {
		case st.IsPending() || st == helmrelease.StatusUninstalling || st == helmrelease.StatusUnknown:
			s.log.Info("an earlier attempt was interrupted; carrying on from it", "revision", rel.Version, "status", st)
			rel.SetStatus(helmrelease.StatusFailed, "interrupted while "+st.String()+"; a later revision carries on")
		case st == helmrelease.StatusDeployed && rel != newest:
			// The write that should have superseded it got lost.
			rel.SetStatus(helmrelease.StatusSuperseded, "superseded")
		default:
			continue
		}
		changed = append(changed, rel)
	}
	return func() error {
		store := s.records.storage()
		for _, rel := range changed {
			if err := store.Update(rel); err != nil {
				return err
			}
		}
		return nil
	}
}

// takeRecords puts our labels on the records of a release that somebody else made, so that it is ours
// whichever revision somebody goes back to with Helm.
func (s *session) takeRecords(revs revisions) error {
	for _, rel := range revs {
		if rel.Labels[v1alpha1.ComponentLabel] == s.marks.component {
			continue
		}
		if rel.Labels == nil {
			rel.Labels = map[string]string{}
		}
		rel.Labels[v1alpha1.ComponentLabel] = s.marks.component
		if err := s.records.label(rel.Version, v1alpha1.ComponentLabel, s.marks.component); err != nil {
			return err
		}
	}
	return nil
}

// loadPrevious reads the objects that earlier revisions may have left in the cluster.
func (s *session) loadPrevious(revs revisions) error {
	if !s.uninstalling {
		// Objects of revisions before the deployed one were pruned when it came through.
		revs = revs.relevant()
	}
	s.previous = map[key]*resource.Info{}
	for _, rel := range revs {
		list, err := s.infosOf(rel)
		if err != nil {
			return err
		}
		for _, i := range list {
			s.previous[infoKey(i)] = i
		}
	}
	return nil
}

// objectsOf parses a revision's manifest, once per action.
func (s *session) objectsOf(rel *helmrelease.Release) ([]*unstructured.Unstructured, error) {
	if objs, ok := s.parsed[rel.Manifest]; ok {
		return objs, nil
	}
	objs, err := parseObjects(rel.Manifest)
	if err != nil {
		return nil, s.records.recordError("read the record", rel.Version, err)
	}
	s.parsed[rel.Manifest] = objs
	return objs, nil
}

// trimHistory makes room for one more revision. Of the attempts since the deployed revision only
// those go whose objects are all named by a revision that stays: they are the only record of what
// may have been left behind. Attempts that keep failing alike therefore don't pile up.
func (s *session) trimHistory(revs revisions) {
	deployed := revs.deployed()
	surplus := len(revs) - (s.engine.opts.MaxHistory - 1)
	overflow := len(revs) - (4*s.engine.opts.MaxHistory - 1)
	kept := slices.Clone(revs)
	for _, rel := range revs {
		if surplus <= 0 {
			return
		}
		if rel == deployed || rel == revs.last() {
			continue
		}
		rest := slices.DeleteFunc(slices.Clone(kept), func(o *helmrelease.Release) bool { return o == rel })
		old := deployed != nil && rel.Version < deployed.Version
		if !old && !s.covered(rel, rest) {
			if overflow <= 0 {
				continue
			}
			s.log.Info("dropping the record of a failed revision; objects only it names may be left behind", "revision", rel.Version)
		}
		if err := s.records.drop(rel.Version); err != nil {
			s.log.Error(err, "could not drop an old revision; the next action tries again", "revision", rel.Version)
			return
		}
		kept = rest
		surplus--
		overflow--
	}
}

// covered says whether every object of rel is named by a revision that counts for pruning.
func (s *session) covered(rel *helmrelease.Release, others revisions) bool {
	named := map[key]bool{}
	for _, o := range others.relevant() {
		objs, err := s.objectsOf(o)
		if err != nil {
			return false
		}
		for _, obj := range objs {
			named[keyOf(obj, s.marks.namespace)] = true
		}
	}
	objs, err := s.objectsOf(rel)
	if err != nil {
		return false
	}
	for _, obj := range objs {
		if !named[keyOf(obj, s.marks.namespace)] {
			return false
		}
	}
	return true
}
