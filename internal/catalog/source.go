package catalog

import (
	"context"
	"errors"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// ConfigMapName is the ConfigMap in the operator's namespace that overrides the catalogue.
const ConfigMapName = "networkstack-catalog"

// Source gives the catalogue in effect: what the operator carries, with what the ConfigMap says otherwise.
type Source struct {
	// Reader is expected to be a cache; without one there is no ConfigMap.
	Reader client.Reader
	// Namespace of the operator.
	Namespace string

	mu sync.Mutex
	// base is what the operator carries.
	base *Set
	last State
	// of is the ConfigMap that last was made of, and good says that there was a good one, or none, since the process began.
	of   version
	good bool
}

type version struct {
	uid      types.UID
	revision string
}

// NewFixed is a source of one set, which nothing overrides.
func NewFixed(set Set) *Source { return &Source{base: &set, last: State{Set: set}} }

// State is the catalogue in effect and how it came about.
type State struct {
	Set
	// Overridden says that a ConfigMap has its part in it.
	Overridden bool
	// Problem is what is wrong with the ConfigMap that there is, which then has no part in it; nil when all is well.
	Problem *OverrideError
	// Revision changes with the set.
	Revision int
}

// OverrideError says that a ConfigMap cannot override the catalogue.
type OverrideError struct {
	// ConfigMap is its namespace and name.
	ConfigMap string
	// Problems are all that is wrong with it.
	Problems Problems
	// Kept says that what was in effect before goes on to be; else this operator has seen no good one yet.
	Kept bool
}

// Error has one problem a line.
func (e *OverrideError) Error() string {
	return fmt.Sprintf("ConfigMap %s does not override the catalogue:\n%s", e.ConfigMap, e.Problems)
}

// Current is the state by the ConfigMap as it is now. A bad one leaves the set as it was.
func (s *Source) Current(ctx context.Context) (State, error) {
	// What is read first is taken first: else an older ConfigMap could take the place of a newer one.
	s.mu.Lock()
	defer s.mu.Unlock()
	var cm corev1.ConfigMap
	if s.Reader != nil {
		err := s.Reader.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: ConfigMapName}, &cm)
		if err != nil && !apierrors.IsNotFound(err) {
			return State{}, fmt.Errorf("reading ConfigMap %s/%s: %w", s.Namespace, ConfigMapName, err)
		}
	}
	s.begin()
	if s.of == (version{cm.UID, cm.ResourceVersion}) {
		s.good = s.good || cm.UID == ""
		return s.last, nil
	}
	s.last = s.next(&cm)
	s.of, s.good = version{cm.UID, cm.ResourceVersion}, s.good || s.last.Problem == nil
	return s.last, nil
}

// Last is the set that Current gave last.
func (s *Source) Last() Set {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begin()
	return s.last.Set
}

// Is says whether an object is the ConfigMap that overrides the catalogue.
func (s *Source) Is(o client.Object) bool {
	return o.GetNamespace() == s.Namespace && o.GetName() == ConfigMapName
}

func (s *Source) begin() {
	if s.base == nil {
		base := DefaultSet()
		s.base, s.last = &base, State{Set: base}
	}
}

// next is the state that follows the last one. A ConfigMap without a UID is none.
func (s *Source) next(cm *corev1.ConfigMap) State {
	next := State{Set: *s.base, Revision: s.last.Revision + 1}
	if cm.UID == "" {
		return next
	}
	set, err := Override(*s.base, cm.Data)
	var problems Problems
	if err != nil && !errors.As(err, &problems) {
		problems = Problems{{File: ConfigMapName, Message: err.Error()}}
	}
	for name := range cm.BinaryData {
		problems = append(problems, Problem{File: name, Message: "is in binaryData, which is not read: put it into data"})
	}
	if len(problems) == 0 {
		next.Set, next.Overridden = set, true
		return next
	}
	next.Set, next.Overridden, next.Revision = s.last.Set, s.last.Overridden, s.last.Revision
	// Between two processes a good one may have been in effect that this one has never seen.
	next.Problem = &OverrideError{ConfigMap: cm.Namespace + "/" + cm.Name, Problems: problems.sorted(), Kept: s.good}
	return next
}
