package component

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/certificates"
	"github.com/networkstack/networkstack/internal/chart"
	"github.com/networkstack/networkstack/internal/keys"
	"github.com/networkstack/networkstack/internal/release"
	"github.com/networkstack/networkstack/test/controlplane"
)

// A process that applied a release without a generated Secret may end before it has deleted that. The next one finds the release
// as it is wanted, and deletes it.
func TestLeftoverSecretsGo(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a control plane")
	}
	cp := controlplane.ForTest(t, controlplane.Options{})
	engine, err := release.NewEngine(cp.RESTConfig(), release.Options{})
	if err != nil {
		t.Fatal(err)
	}
	live, err := client.New(cp.RESTConfig(), client.Options{Scheme: clientgoscheme.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	archive(t, dir, "free", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: free}\n")
	r := &Reconciler{
		Catalog: &catalog.Source{}, Client: live, Live: live,
		Certificates: &certificates.Keeper{Live: live, Client: live}, Keys: &keys.Keeper{Live: live, Client: live},
		Charts: chart.NewLoader(chart.Options{CacheDir: t.TempDir()}), Engine: engine,
		Recorder: events.NewFakeRecorder(100), ChartDirs: []string{dir}, runner: newRunner(parallelJobs, func(string) {}),
	}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- r.runner.Start(ctx) }()
	defer func() {
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
	}()
	of := func(changes ...func(*networkstackv1alpha1.NetworkComponent)) *networkstackv1alpha1.NetworkComponent {
		c := installed("cni", 10, changes...)
		c.Spec.Chart.Name, c.Spec.Namespace = "free", "default"
		return c
	}
	apply := func(c *networkstackv1alpha1.NetworkComponent) outcome {
		t.Helper()
		j := r.startApply(c, nil, "x", checking{})
		select {
		case <-j.done:
		case <-time.After(time.Minute):
			t.Fatal("it comes to no end")
		}
		if j.outcome.err != nil {
			t.Fatal(j.outcome.err)
		}
		return j.outcome
	}
	secret := func() error {
		return live.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "pw"}, &corev1.Secret{})
	}
	made := apply(of(keyed)).keys
	if err := secret(); err != nil || made == nil {
		t.Fatalf("the Secret was not made: %v", err)
	}

	c := of()
	c.Status.GeneratedSecrets = made.Secrets
	spec := releaseSpec(c, nil)
	loaded, err := r.Charts.Load(t.Context(), r.chartRequest(&c.Spec))
	if err != nil {
		t.Fatal(err)
	}
	spec.Chart, spec.ChartDigest = loaded.Chart, loaded.Digest
	if _, err := engine.Apply(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	if out := apply(c); out.upgraded {
		t.Error("another revision was made")
	}
	if err := secret(); !apierrors.IsNotFound(err) {
		t.Errorf("the Secret is still there: %v", err)
	}
}
