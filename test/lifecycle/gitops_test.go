package lifecycle

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/gitops"
	"github.com/networkstack/networkstack/test/operator"
)

// TestGitOps keeps two clusters as a Git repository has them, as Flux does: kustomize builds an overlay, server-side apply applies it.
// A change and its revert are commits to the base. Whatever the clusters show in the meantime is judged by kstatus and by Argo CD's
// script.
func TestGitOps(t *testing.T) {
	t.Parallel()
	repository := newRepository(t)
	clusters := map[string]*synced{}
	var starting sync.WaitGroup
	for _, name := range []string{"lab", "north"} {
		s := &synced{name: name, repository: repository}
		clusters[name] = s
		s.env = newEnv(t, controlplane.Options{})
		starting.Add(1)
		s.judge(&starting)
	}
	starting.Wait()

	everywhere := func(seconds int32) {
		t.Helper()
		for _, s := range clusters {
			s.apply()
		}
		for _, s := range clusters {
			s.settles(seconds)
		}
	}
	everywhere(60)
	base := filepath.Join(repository, "base", "networkstack.yaml")
	text, err := os.ReadFile(base)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), "successSeconds: 60", "successSeconds: 30", 1)
	if err := os.WriteFile(base, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	git(t, repository, "commit", "-qam", "Shorter lives in the cache")
	everywhere(30)
	git(t, repository, "revert", "--no-edit", "HEAD")
	everywhere(60)
	for _, s := range clusters {
		s.checkVerdicts()
	}
}

// newRepository is a Git repository with the example.
func newRepository(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "clusters")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(operator.Root(), "config", "samples", "gitops"))); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "init", "-q")
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-qm", "Three clusters")
	return dir
}

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir, "-c", "user.name=platform", "-c", "user.email=platform@example.com"}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// synced is a cluster that follows the repository.
type synced struct {
	*env
	name, repository string

	mu       sync.Mutex
	verdicts map[gitops.Verdict]int
	wrong    []string
}

// wanted is what the repository says of the cluster.
func (s *synced) wanted() *unstructured.Unstructured {
	s.t.Helper()
	objects, err := operator.Build(filepath.Join(s.repository, "clusters", s.name))
	s.check(err)
	return objects[0]
}

func (s *synced) apply() {
	s.t.Helper()
	s.check(operator.Apply(s.t.Context(), s.client, s.wanted()))
}

// settles waits until the change is there and healthy, and looks for differences that would never end: the spec is what the repository
// says, and applying it again changes nothing.
func (s *synced) settles(cacheSeconds int32) {
	s.t.Helper()
	ready := s.waitReady("cluster")
	if got := ready.Spec.DNS.Cache.SuccessSeconds; got == nil || *got != cacheSeconds {
		s.t.Fatalf("%s: the cache keeps answers for %v, want %d", s.name, got, cacheSeconds)
	}
	s.eventually("the Corefile to follow", func(ctx context.Context) (bool, string) {
		u := &unstructured.Unstructured{}
		u.SetAPIVersion("v1")
		u.SetKind("ConfigMap")
		if err := s.client.Get(ctx, client.ObjectKey{Namespace: "kube-system", Name: "coredns"}, u); err != nil {
			return false, err.Error()
		}
		corefile, _, _ := unstructured.NestedString(u.Object, "data", "Corefile")
		return strings.Contains(corefile, fmt.Sprintf("success 9984 %d", cacheSeconds)), corefile
	})
	live := s.unstructuredStack()
	if diff := cmp.Diff(s.wanted().Object["spec"], live.Object["spec"]); diff != "" {
		s.t.Errorf("%s: the spec is not what the repository has (-repository +cluster):\n%s", s.name, diff)
	}
	s.apply()
	if again := s.unstructuredStack(); again.GetGeneration() != live.GetGeneration() {
		s.t.Errorf("%s: applied again, and it changed", s.name)
	}
}

func (s *synced) unstructuredStack() *unstructured.Unstructured {
	s.t.Helper()
	u := &unstructured.Unstructured{}
	u.SetAPIVersion(networkstackv1alpha1.GroupVersion.String())
	u.SetKind("NetworkStack")
	s.check(s.client.Get(s.t.Context(), client.ObjectKey{Name: "cluster"}, u))
	return u
}

// judge looks at every state that the API server ever has of the NetworkStack and of its components.
func (s *synced) judge(started *sync.WaitGroup) {
	s.t.Helper()
	defer started.Done()
	judge, err := gitops.NewJudge()
	s.check(err)
	objects, err := dynamic.NewForConfig(s.cp.RESTConfig())
	s.check(err)
	s.verdicts = map[gitops.Verdict]int{}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	s.t.Cleanup(func() { cancel(); running.Wait() })
	for _, resource := range []string{"networkstacks", "networkcomponents"} {
		w, err := objects.Resource(networkstackv1alpha1.GroupVersion.WithResource(resource)).Watch(ctx, metav1.ListOptions{})
		s.check(err)
		running.Go(func() {
			defer w.Stop()
			for event := range w.ResultChan() {
				u, ok := event.Object.(*unstructured.Unstructured)
				if !ok {
					continue
				}
				s.record(judge, u)
			}
		})
	}
}

func (s *synced) record(judge *gitops.Judge, u *unstructured.Unstructured) {
	v, err := judge.Of(u)
	s.mu.Lock()
	defer s.mu.Unlock()
	agree := map[status.Status]string{status.InProgressStatus: "Progressing", status.CurrentStatus: "Healthy", status.TerminatingStatus: "Progressing"}
	if err != nil || agree[v.Kstatus] != v.Argo {
		s.wrong = append(s.wrong, fmt.Sprintf("%s %s: kstatus says %s, Argo CD %s: %s %v", u.GetKind(), u.GetName(), v.Kstatus, v.Argo, v.Message, err))
	}
	v.Message = ""
	s.verdicts[v]++
}

// checkVerdicts fails unless everything was on its way or healthy at every moment, and both were seen.
func (s *synced) checkVerdicts() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range slices.Compact(s.wrong) {
		s.t.Errorf("%s: %s", s.name, line)
	}
	for _, v := range []gitops.Verdict{{Kstatus: status.InProgressStatus, Argo: "Progressing"}, {Kstatus: status.CurrentStatus, Argo: "Healthy"}} {
		if s.verdicts[v] < 3 {
			s.t.Errorf("%s: %+v was seen %d times: %v", s.name, v, s.verdicts[v], s.verdicts)
		}
	}
	s.t.Logf("%s: %v", s.name, s.verdicts)
}
