package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/testbed"
)

// What the corrections have to keep to.
const (
	medianTarget = 50 * time.Millisecond
	p99Target    = 400 * time.Millisecond
	// restorePatience is how long a correction is waited for before it counts as none.
	restorePatience = 10 * time.Second
)

func driftCommand() *cobra.Command {
	o := driftOptions{count: 200, seed: uint64(time.Now().UnixNano()), busy: 0.2, writes: 20}
	cmd := &cobra.Command{
		Use:   "drift",
		Short: "Tampers with objects and measures how fast they are put right",
		Long: `Tampers with objects of a full stack, in different ways and one after the other, while the machine has other things to
do, and measures the time from the acknowledgement of the change until a watch of the object shows it right again. Every
change has a field manager of its own, which the operator has to name.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	cmd.Flags().IntVar(&o.count, "count", o.count, "how many tamperings")
	cmd.Flags().Uint64Var(&o.seed, "seed", o.seed, "which tamperings; the same number gives the same ones")
	cmd.Flags().Float64Var(&o.busy, "busy", o.busy, "share of one processor that is kept busy meanwhile")
	cmd.Flags().IntVar(&o.writes, "writes", o.writes, "writes to other objects a second meanwhile")
	cmd.Flags().StringVar(&o.log, "log", "", "file to keep the operator's output in")
	cmd.Flags().BoolVar(&o.check, "check", false, "fail when a target is missed")
	cmd.Flags().BoolVarP(&o.verbose, "verbose", "v", false, "show every tampering")
	return cmd
}

type driftOptions struct {
	count, writes  int
	seed           uint64
	busy           float64
	log            string
	check, verbose bool
}

// subject is an object and a way to tamper with it.
type subject struct {
	tampering
	resource schema.GroupVersionResource
	object   *unstructured.Unstructured
}

func (s subject) String() string { return objectName(s.object) }

func objectName(u *unstructured.Unstructured) string {
	name := u.GetName()
	if u.GetNamespace() != "" {
		name = u.GetNamespace() + "/" + name
	}
	return u.GetKind() + " " + name
}

// measured is what came of one tampering.
type measured struct {
	subject
	manager  string
	restored bool
	// took is from the acknowledgement of the tampering to the right object; write is what the API server took for the
	// tampering itself, below which no correction can come.
	took, write time.Duration
	// logged, noted and shown say that the log, an event and a status named the object and who changed it.
	logged, noted, shown bool
}

func (o driftOptions) run(ctx context.Context) error {
	log, err := o.logFile()
	if err != nil {
		return err
	}
	defer log.Close()
	b, err := bed(ctx, controlplane.Options{}, log)
	if err != nil {
		return err
	}
	results, err := o.measure(ctx, b, log)
	if err := errors.Join(err, b.Stop()); err != nil {
		return err
	}
	missed := summarize(results)
	if o.check && missed {
		return errMissed
	}
	return nil
}

// logFile is where the operator's output goes. It is kept when it has a name.
func (o driftOptions) logFile() (*os.File, error) {
	if o.log != "" {
		return os.Create(o.log)
	}
	f, err := os.CreateTemp("", "networkstack-operator-*.log")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}

func (o driftOptions) measure(ctx context.Context, b *testbed.Bed, log *os.File) ([]measured, error) {
	clients, err := dynamic.NewForConfig(b.ControlPlane.RESTConfig())
	if err != nil {
		return nil, err
	}
	subjects, err := o.choose(ctx, b, clients)
	if err != nil {
		return nil, err
	}
	fmt.Printf("tampering %d times (seed %d), with %.0f %% of a processor busy and %d other writes a second\n", len(subjects), o.seed, 100*o.busy, o.writes)
	ctx, cancel := context.WithCancel(ctx)
	var background sync.WaitGroup
	defer background.Wait()
	defer cancel()
	background.Go(func() { burn(ctx, o.busy) })
	background.Go(func() { write(ctx, b.Client, o.writes) })
	shown := &statuses{seen: map[string]bool{}}
	background.Go(func() { shown.follow(ctx, clients) })

	var results []measured
	for i, s := range subjects {
		m, err := tamper(ctx, clients, s, fmt.Sprintf("tamper-%03d", i))
		if err != nil {
			return nil, fmt.Errorf("%s of %s: %w", s.name, s, err)
		}
		if o.verbose || !m.restored {
			fmt.Printf("%3d %-32s %-80s %v %v (the tampering: %v)\n", i, s.name, s, m.restored, m.took.Round(time.Millisecond),
				m.write.Round(time.Millisecond))
		}
		if !m.restored {
			if err := undo(ctx, clients, m); err != nil {
				return nil, fmt.Errorf("undoing %s of %s: %w", s.name, s, err)
			}
		}
		results = append(results, m)
	}
	if err := b.Settle(ctx); err != nil {
		return nil, err
	}
	if _, err := log.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(log)
	if err != nil {
		return nil, err
	}
	var events eventsv1.EventList
	if err := b.Client.List(ctx, &events); err != nil {
		return nil, err
	}
	attribute(results, text, events.Items, shown.all())
	return results, nil
}

// choose picks pairs of objects and tamperings, the kinds of tampering by turns. No object is tampered with twice in the
// same way: whoever puts the same field back again and again would rightly be taken for another controller.
func (o driftOptions) choose(ctx context.Context, b *testbed.Bed, clients dynamic.Interface) ([]subject, error) {
	d, err := discovery.NewDiscoveryClientForConfig(b.ControlPlane.RESTConfig())
	if err != nil {
		return nil, err
	}
	lists, err := d.ServerPreferredResources()
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) {
		return nil, err
	}
	pools := make([][]subject, len(tamperings))
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, err
		}
		for i := range list.APIResources {
			r := &list.APIResources[i]
			if !slices.Contains(r.Verbs, "list") || !slices.Contains(r.Verbs, "watch") || r.Kind == "Namespace" {
				continue
			}
			ours := metav1.ListOptions{LabelSelector: networkstackv1alpha1.ComponentLabel}
			found, err := clients.Resource(gv.WithResource(r.Name)).List(ctx, ours)
			if err != nil {
				return nil, err
			}
			for i := range found.Items {
				u := &found.Items[i]
				// Hooks are not held to anything, and neither is what controllers make of our objects.
				if ourFields(u) == "" || u.GetAnnotations()["helm.sh/hook"] != "" {
					continue
				}
				for t := range tamperings {
					if tamperings[t].patch(u) != nil {
						pools[t] = append(pools[t], subject{tamperings[t], gv.WithResource(r.Name), u})
					}
				}
			}
		}
	}
	random := rand.New(rand.NewPCG(o.seed, 0))
	for _, pool := range pools {
		random.Shuffle(len(pool), func(i, j int) { pool[i], pool[j] = pool[j], pool[i] })
	}
	var out []subject
	for more := true; more && len(out) < o.count; {
		more = false
		for i := range pools {
			if len(pools[i]) == 0 || len(out) == o.count {
				continue
			}
			out, pools[i], more = append(out, pools[i][0]), pools[i][1:], true
		}
	}
	return out, nil
}

func resourceOf(clients dynamic.Interface, s subject) dynamic.ResourceInterface {
	return clients.Resource(s.resource).Namespace(s.object.GetNamespace())
}

// tamper does it and watches what becomes of it.
func tamper(ctx context.Context, clients dynamic.Interface, s subject, manager string) (measured, error) {
	m := measured{subject: s, manager: manager}
	resource := resourceOf(clients, s)
	// It may have been tampered with in another way before, and its status goes on changing.
	was, err := resource.Get(ctx, s.object.GetName(), metav1.GetOptions{})
	if err != nil {
		return m, err
	}
	ctx, cancel := context.WithTimeout(ctx, restorePatience)
	defer cancel()
	only := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, s.object.GetName()).String()}
	// The object's own version may be too old to watch from.
	now, err := resource.List(ctx, only)
	if err != nil {
		return m, err
	}
	only.ResourceVersion = now.GetResourceVersion()
	w, err := resource.Watch(ctx, only)
	if err != nil {
		return m, err
	}
	defer w.Stop()
	type sight struct {
		at    time.Time
		right bool
	}
	sights := make(chan sight, 1000)
	go func() {
		defer close(sights)
		for event := range w.ResultChan() {
			at := time.Now()
			switch event.Type {
			case watch.Added, watch.Modified:
				u, ok := event.Object.(*unstructured.Unstructured)
				sights <- sight{at, ok && right(was, u)}
			case watch.Deleted:
				sights <- sight{at, false}
			default:
			}
		}
	}()
	asked := time.Now()
	if err := s.do(ctx, resource, was, manager); err != nil {
		return m, err
	}
	acknowledged := time.Now()
	m.write = acknowledged.Sub(asked)
	wrong := false
	for seen := range sights {
		switch {
		case !seen.right:
			wrong = true
		case wrong:
			m.restored, m.took = true, max(0, seen.at.Sub(acknowledged))
			return m, nil
		}
	}
	return m, nil
}

func (s subject) do(ctx context.Context, resource dynamic.ResourceInterface, was *unstructured.Unstructured, manager string) error {
	if s.deletes {
		return resource.Delete(ctx, was.GetName(), metav1.DeleteOptions{})
	}
	data, how, err := body(s.patch(was))
	if err != nil {
		return err
	}
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		_, err := resource.Patch(ctx, was.GetName(), how, data, metav1.PatchOptions{FieldManager: manager})
		return err
	})
}

// undo brings an object back that was not restored, so that what follows is not spoilt.
func undo(ctx context.Context, clients dynamic.Interface, m measured) error {
	resource := resourceOf(clients, m.subject)
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		is, err := resource.Get(ctx, m.object.GetName(), metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		back := m.object.DeepCopy()
		back.SetResourceVersion(is.GetResourceVersion())
		back.SetManagedFields(nil)
		back.SetUID(is.GetUID())
		_, err = resource.Update(ctx, back, metav1.UpdateOptions{FieldManager: m.manager})
		return err
	})
}

// burn keeps a processor busy for a share of the time.
func burn(ctx context.Context, share float64) {
	const period = 10 * time.Millisecond
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case start := <-ticker.C:
			for busy := time.Duration(share * float64(period)); time.Since(start) < busy; {
				continue
			}
		}
	}
}

// write writes to objects that are none of the operator's.
func write(ctx context.Context, c client.Client, perSecond int) {
	if perSecond <= 0 {
		return
	}
	ticker := time.NewTicker(time.Second / time.Duration(perSecond))
	defer ticker.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			const objects = 50
			m := &corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: fmt.Sprintf("unrelated-%d", i%objects)},
				Data:       map[string]string{"n": fmt.Sprint(i)},
			}
			if err := c.Update(ctx, m); apierrors.IsNotFound(err) {
				_ = c.Create(ctx, m) // it is only there to cause work
			}
		}
	}
}

// statuses are all that components said about drift.
type statuses struct {
	mu   sync.Mutex
	seen map[string]bool // "Kind namespace/name manager"
}

func (s *statuses) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.seen))
}

func (s *statuses) follow(ctx context.Context, clients dynamic.Interface) {
	resource := clients.Resource(networkstackv1alpha1.GroupVersion.WithResource("networkcomponents"))
	for ctx.Err() == nil {
		w, err := resource.Watch(ctx, metav1.ListOptions{})
		if err != nil {
			return
		}
		for event := range w.ResultChan() {
			u, ok := event.Object.(*unstructured.Unstructured)
			if !ok {
				continue
			}
			recent, _, _ := unstructured.NestedSlice(u.Object, "status", "drift", "recent")
			s.mu.Lock()
			for _, one := range recent {
				if one, ok := one.(map[string]any); ok {
					s.seen[fmt.Sprint(one["object"], " ", one["manager"])] = true
				}
			}
			s.mu.Unlock()
		}
	}
}

// attribute finds out which tamperings were reported with the right name.
func attribute(results []measured, log []byte, events []eventsv1.Event, shown []string) {
	lines := strings.Split(string(bytes.ReplaceAll(log, []byte(`\"`), []byte(`"`))), "\n")
	for i := range results {
		m := &results[i]
		names := []string{m.manager}
		if m.nameless {
			names = append(names, "unknown")
		}
		said := func(text string) bool {
			return strings.Contains(text, m.String()) &&
				slices.ContainsFunc(names, func(name string) bool { return strings.Contains(text, name) })
		}
		m.logged = slices.ContainsFunc(lines, said)
		m.noted = slices.ContainsFunc(events, func(e eventsv1.Event) bool { return said(e.Note) })
		m.shown = slices.ContainsFunc(shown, said)
	}
}

// summarize prints the table and says whether a target was missed.
func summarize(results []measured) bool {
	t := table.NewWriter()
	t.SetOutputMirror(os.Stdout)
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"tampering", "tried", "restored", "p50", "p90", "p99", "max", "the write's p50", "max",
		"named in log", "status", "event"})
	row := func(name string, of []measured) (all, named bool, times []time.Duration) {
		restored, logged, shown, noted := 0, 0, 0, 0
		var writes []time.Duration
		for _, m := range of {
			writes = append(writes, m.write)
			if m.restored {
				restored++
				times = append(times, m.took)
			}
			for n, yes := range map[*int]bool{&logged: m.logged, &shown: m.shown, &noted: m.noted} {
				if yes {
					*n++
				}
			}
		}
		slices.Sort(times)
		slices.Sort(writes)
		ms := func(of []time.Duration, q float64) string { return quantile(of, q).Round(time.Millisecond).String() }
		t.AppendRow(table.Row{name, len(of), restored, ms(times, 0.5), ms(times, 0.9), ms(times, 0.99), ms(times, 1),
			ms(writes, 0.5), ms(writes, 1), logged, shown, noted})
		return restored == len(of), logged == len(of), times
	}
	for _, kind := range tamperings {
		of := slices.DeleteFunc(slices.Clone(results), func(m measured) bool { return m.name != kind.name })
		if len(of) > 0 {
			row(kind.name, of)
		}
	}
	t.AppendSeparator()
	all, named, times := row("all", results)
	t.Render()
	p50, p99 := quantile(times, 0.5), quantile(times, 0.99)
	fmt.Printf("target: all restored and named, p50 at most %v, p99 at most %v\n", medianTarget, p99Target)
	return !all || !named || p50 > medianTarget || p99 > p99Target
}

// quantile of sorted times.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}
