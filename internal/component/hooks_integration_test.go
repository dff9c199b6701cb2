package component

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/certificates"
	"github.com/networkstack/networkstack/internal/chart"
	"github.com/networkstack/networkstack/internal/keys"
	"github.com/networkstack/networkstack/internal/release"
	"github.com/networkstack/networkstack/test/controlplane"
)

// archive writes a chart of one template into a directory.
func archive(t *testing.T, dir, name, template string) {
	t.Helper()
	var b bytes.Buffer
	zipped := gzip.NewWriter(&b)
	files := tar.NewWriter(zipped)
	for path, text := range map[string]string{
		name + "/Chart.yaml":       "apiVersion: v2\nname: " + name + "\nversion: 1.0.0\n",
		name + "/templates/t.yaml": template,
	} {
		if err := files.WriteHeader(&tar.Header{Name: path, Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := files.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []interface{ Close() error }{files, zipped} {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, name+"-1.0.0.tgz"), b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Components whose hooks come to no end take no slot from others: as many as may work at a time are stuck, and one more is
// installed.
func TestBlockedHooksBlockNobody(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a control plane")
	}
	cp := controlplane.ForTest(t, controlplane.Options{Nodes: 1})
	engine, err := release.NewEngine(cp.RESTConfig(), release.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := kubernetes.NewForConfig(cp.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	archive(t, dir, "stuck", `apiVersion: v1
kind: Pod
metadata: {name: {{ .Release.Name }}, annotations: {helm.sh/hook: pre-install, networkstack.io/simulate: hold}}
spec: {restartPolicy: Never, containers: [{name: main, image: "quay.io/a/b:1"}]}
`)
	archive(t, dir, "free", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: free}\n")
	recorder := events.NewFakeRecorder(100)
	none := fake.NewClientBuilder().Build()
	r := &Reconciler{
		Catalog: &catalog.Source{},
		Client:  none, Certificates: &certificates.Keeper{Live: none, Client: none}, Keys: &keys.Keeper{Live: none, Client: none}, Charts: chart.NewLoader(chart.Options{CacheDir: t.TempDir()}), Engine: engine,
		Recorder: recorder, ChartDirs: []string{dir}, runner: newRunner(parallelJobs, func(string) {}),
	}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- r.runner.Start(ctx) }()
	start := func(name, chart string) *job {
		return r.startApply(installed(name, 10, func(c *networkstackv1alpha1.NetworkComponent) {
			c.Spec.Chart.Name, c.Spec.Namespace = chart, "default"
		}), nil, "x", checking{})
	}
	var blocked []*job
	for i := range parallelJobs {
		blocked = append(blocked, start(strings.Repeat("a", i+1), "stuck"))
	}
	err = wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		pods, err := cluster.CoreV1().Pods("default").List(ctx, metav1.ListOptions{})
		return err == nil && len(pods.Items) == parallelJobs, err
	})
	if err != nil {
		t.Fatalf("the hooks have not been started: %v", err)
	}
	free := start("free", "free")
	select {
	case <-free.done:
	case <-time.After(time.Minute):
		t.Error("a third component waits for the hooks of the others")
	}
	for _, j := range blocked {
		if j.finished() {
			t.Errorf("not blocked: %v", j.outcome.err)
		}
	}
	cancel()
	if err := <-over; err != nil {
		t.Error(err)
	}
	if free.outcome.err != nil || !free.outcome.upgraded {
		t.Errorf("%+v", free.outcome)
	}
}

func TestCRDStatuses(t *testing.T) {
	var crds []release.AppliedCRD
	for i := range mostCRDs + 10 {
		crds = append(crds, release.AppliedCRD{Applied: release.Applied{Object: release.Object{Name: strings.Repeat("x", i/2+1)}}})
	}
	crds[0].Served, crds[0].Source, crds[0].Kept, crds[0].Owner = []string{"v1"}, "a/1.0.0", true, "other"
	got := crdStatuses(crds)
	want := networkstackv1alpha1.CRDStatus{Name: "x", Served: []string{"v1"}, Source: "a/1.0.0", Kept: true, Owner: "other"}
	if diff := cmp.Diff(want, got[0]); diff != "" || len(got) != (mostCRDs+10)/2 {
		t.Errorf("%d statuses\n%s", len(got), diff)
	}
	for i := range crds {
		crds[i].Object.Name += strings.Repeat("y", i)
	}
	if got := crdStatuses(crds); len(got) != mostCRDs {
		t.Errorf("%d statuses", len(got))
	}
}
