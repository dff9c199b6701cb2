package exposure

import (
	"context"
	"encoding/json"
	"reflect"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/metadata"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/policy"
	"github.com/networkstack/networkstack/internal/policy/analysis"
)

const (
	// changedPause is the least time from the end of one look at the cluster to the next, after something in it has changed, and
	// askedPause that after something else is asked.
	changedPause = time.Minute
	askedPause   = 2 * time.Second
	// firstRetry and lastRetry are how long is waited after the cluster could not be looked at, twice as long each time.
	firstRetry = 5 * time.Second
	lastRetry  = 5 * time.Minute
	// lookTimeout bounds one look.
	lookTimeout = 10 * time.Minute
)

// Answer is what is known of what a set would cut.
type Answer struct {
	// Report is nil while it is not known; it is that of the set that was asked about.
	Report *analysis.Report
	// Err is why the cluster could not be looked at the last time.
	Err error
}

// Survey looks at the cluster, in a goroutine of its own, for as long as it is asked, and again when something changes in it.
type Survey struct {
	reader  client.Reader
	objects metadata.Interface
	log     logr.Logger
	// wake is called when there is another answer.
	wake func()
	// changedPause, askedPause and firstRetry are those of above.
	changedPause, askedPause, firstRetry time.Duration

	mu   sync.Mutex
	life context.Context // set once by Start
	// ctx and stop are of the time that somebody asks; nil when nobody does.
	ctx     context.Context
	stop    context.CancelFunc
	watched *watch
	// again looks once, unless that time is over.
	again func()

	// set and known are what is asked about, and asked is what tells them from others.
	set   *policy.Set
	known analysis.Known
	asked string
	// report is of what was asked as answered says; nil when nothing was yet.
	report   *analysis.Report
	answered string
	err      error
	failures int

	// looking says that somebody looks right now, and stale that something has changed since he began.
	looking, stale bool
	ended          time.Time
	timer          *time.Timer
}

// New makes a survey that calls wake, from a goroutine of its own, when there is another answer.
func New(reader client.Reader, objects metadata.Interface, log logr.Logger, wake func()) *Survey {
	return &Survey{
		reader: reader, objects: objects, log: log, wake: wake,
		changedPause: changedPause, askedPause: askedPause, firstRetry: firstRetry,
	}
}

// Start keeps the survey alive until ctx ends.
func (s *Survey) Start(ctx context.Context) error {
	s.mu.Lock()
	s.life = ctx
	s.begin() //nolint:contextcheck // it goes by the context that was just kept
	s.mu.Unlock()
	<-ctx.Done()
	return nil
}

// Of is what a set would cut. It waits for nothing: the first question has the cluster looked at, and so has every other one.
func (s *Survey) Of(set *policy.Set, known analysis.Known) Answer {
	asked := question(set, known)
	s.mu.Lock()
	defer s.mu.Unlock()
	if asked != s.asked {
		s.set, s.known, s.asked, s.err, s.failures = set, known, asked, nil, 0
		s.begin()
		s.schedule()
	}
	if s.answered != asked {
		return Answer{Err: s.err}
	}
	return Answer{Report: s.report, Err: s.err}
}

// question is all of a set that an analysis depends on, and whether it is enforced: whoever turns that on is not answered by what was seen
// before, for a change since then is looked at only after changedPause.
func question(set *policy.Set, known analysis.Known) string {
	text, err := json.Marshal(struct {
		API        any
		Namespaces metav1.LabelSelector
		Rules      []policy.Rule
		Known      analysis.Known
		Enforce    bool
	}{set.API, set.Namespaces, set.Rules, known, set.Mode == networkstackv1alpha1.PolicyEnforce})
	if err != nil {
		return err.Error() // of what can always be written
	}
	return string(text)
}

// End ends the survey until somebody asks again.
func (s *Survey) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop != nil {
		s.stop()
	}
	if s.timer != nil {
		s.timer.Stop()
	}
	s.ctx, s.stop, s.watched, s.timer = nil, nil, nil, nil
	s.set, s.asked, s.report, s.answered, s.err, s.failures, s.stale = nil, "", nil, "", nil, 0, false
}

// begin watches what an answer depends on. The caller holds mu.
func (s *Survey) begin() {
	if s.life == nil || s.ctx != nil || s.asked == "" {
		return
	}
	ctx, stop := context.WithCancel(s.life)
	s.ctx, s.stop = ctx, stop
	s.again = func() { s.look(ctx) }
	s.watched = begin(ctx, s.objects, s.covers, func() { s.changed(ctx) })
	s.schedule()
}

// covers says whether a namespace with such labels is covered by what is asked about.
func (s *Survey) covers(l map[string]string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.set == nil {
		return false
	}
	selector, err := metav1.LabelSelectorAsSelector(&s.set.Namespaces)
	return err != nil || selector.Matches(labels.Set(l))
}

// changed notes that something has changed.
func (s *Survey) changed(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() == nil {
		s.stale = true
		s.schedule()
	}
}

// schedule has the cluster looked at when it is time. The caller holds mu.
func (s *Survey) schedule() {
	if s.ctx == nil || s.looking {
		return // who looks schedules when he is done
	}
	var after time.Duration
	switch {
	case s.failures > 0:
		after = min(lastRetry, s.firstRetry<<min(s.failures-1, 10))
	case s.asked != s.answered:
		after = s.askedPause
	case s.stale:
		after = s.changedPause
	default:
		return
	}
	if s.timer != nil {
		s.timer.Stop()
	}
	after = max(0, after-time.Since(s.ended))
	s.timer = time.AfterFunc(after, s.again)
}

// look looks at the cluster once.
func (s *Survey) look(ctx context.Context) {
	s.mu.Lock()
	if ctx.Err() != nil || s.looking || ctx != s.ctx {
		s.mu.Unlock()
		return
	}
	s.looking, s.stale = true, false
	set, known, asked, watched := s.set, s.known, s.asked, s.watched
	s.mu.Unlock()

	report, err := s.analyse(ctx, watched, set, known)

	s.mu.Lock()
	s.looking, s.ended = false, time.Now()
	if ctx.Err() != nil {
		s.schedule() // somebody may ask again already
		s.mu.Unlock()
		return
	}
	news := text(err) != text(s.err)
	if s.err = err; err != nil {
		s.failures++
		s.log.Error(err, "what baseline policies would cut is not known")
	} else {
		news = news || asked != s.answered || !reflect.DeepEqual(report, *s.report)
		s.failures, s.report, s.answered = 0, &report, asked
		s.stale = s.stale || len(report.Clashes) > 0 // nothing tells when they are gone
	}
	s.schedule()
	s.mu.Unlock()
	if news {
		s.wake()
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// analyse makes one report, when the watches have begun, so that nothing is missed between them and it.
func (s *Survey) analyse(ctx context.Context, w *watch, set *policy.Set, known analysis.Known) (analysis.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	w.wait(ctx)
	cluster, err := Collect(ctx, s.reader, known)
	if err != nil {
		return analysis.Report{}, err
	}
	return analysis.Analyse(set, cluster), nil
}
