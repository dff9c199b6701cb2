package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"helm.sh/helm/v3/pkg/chart"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"

	"github.com/networkstack/networkstack/api/v1alpha1"
)

// hook is a template of a hook. With hold, its pod comes to no end unless the test gives it one.
func hook(kind, name, events, weight, policy string, hold bool) string {
	annotations := fmt.Sprintf(`helm.sh/hook: %q, helm.sh/hook-weight: %q`, events, weight)
	if policy != "" {
		annotations += fmt.Sprintf(`, helm.sh/hook-delete-policy: %q`, policy)
	}
	simulate := ""
	if hold {
		simulate = `, annotations: {networkstack.io/simulate: hold}`
	}
	const pod = `{restartPolicy: Never, containers: [{name: main, image: "quay.io/a/b:1"}]}`
	switch kind {
	case "Job":
		return fmt.Sprintf("apiVersion: batch/v1\nkind: Job\nmetadata: {name: %s, annotations: {%s}}\nspec: {backoffLimit: 0, template: {metadata: {labels: {of: hook}%s}, spec: %s}}\n",
			name, annotations, simulate, pod)
	case "Pod":
		if hold {
			annotations += `, networkstack.io/simulate: hold`
		}
		return fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: %s, annotations: {%s}}\nspec: %s\n", name, annotations, pod)
	default:
		return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, annotations: {%s}}\n", name, annotations)
	}
}

const realMap = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: real}\ndata: {a: {{ .Values.a | default \"x\" | quote }}}\n"

// follow notes the names of ConfigMaps in the order they are made in.
func (e *env) follow() func() []string {
	e.t.Helper()
	now, err := e.kube.CoreV1().ConfigMaps(e.ns).List(e.t.Context(), metav1.ListOptions{})
	if err != nil {
		e.t.Fatal(err)
	}
	w, err := e.kube.CoreV1().ConfigMaps(e.ns).Watch(e.t.Context(), metav1.ListOptions{
		LabelSelector: v1alpha1.ComponentLabel, ResourceVersion: now.ResourceVersion})
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(w.Stop)
	return func() []string {
		// What is made last says that everything before it has been seen.
		end, err := e.kube.CoreV1().ConfigMaps(e.ns).Create(e.t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
			GenerateName: "end-", Labels: map[string]string{v1alpha1.ComponentLabel: "none"}}}, metav1.CreateOptions{})
		if err != nil {
			e.t.Fatal(err)
		}
		var names []string
		for ev := range w.ResultChan() {
			cm, ok := ev.Object.(*corev1.ConfigMap)
			if !ok {
				e.t.Fatalf("%+v", ev)
			}
			if cm.Name == end.Name {
				return names
			}
			if ev.Type == watch.Added {
				names = append(names, cm.Name)
			}
		}
		e.t.Fatal("the watch ended")
		return nil
	}
}

// Hooks run for their events, by weight and then by name.
func TestHookOrder(t *testing.T) {
	e := newEnv(t)
	if _, err := e.kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: e.ns}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"real.yaml": realMap}
	for _, event := range []string{"install", "upgrade", "delete", "rollback"} {
		for _, when := range []string{"pre", "post"} {
			for name, weight := range map[string]string{"d": "-5", "c": "10", "b": "0", "a": "0"} {
				n := strings.Join([]string{when, event, name}, "-")
				files[n+".yaml"] = hook("ConfigMap", n, when+"-"+event, weight, "", false)
			}
		}
	}
	files["test.yaml"] = hook("ConfigMap", "test", "test", "0", "", false)
	files["both.yaml"] = hook("ConfigMap", "both", "post-install,post-upgrade", "20", "", false)
	spec := e.spec("hooks", memoryChart("hooks", "1.0.0", files), nil)
	eng := e.engine()
	step := func(what string, do func(), want ...string) {
		t.Helper()
		seen := e.follow()
		do()
		if got := seen(); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	step("install", func() { e.apply(eng, spec) }, "pre-install-d", "pre-install-a", "pre-install-b", "pre-install-c", "real",
		"post-install-d", "post-install-a", "post-install-b", "post-install-c", "both")
	step("again", func() { e.apply(eng, spec) })
	spec.Values = map[string]any{"a": "y"}
	step("upgrade", func() { e.apply(eng, spec) }, "pre-upgrade-d", "pre-upgrade-a", "pre-upgrade-b", "pre-upgrade-c",
		"post-upgrade-d", "post-upgrade-a", "post-upgrade-b", "post-upgrade-c", "both")
	step("uninstall", func() {
		if err := eng.Uninstall(t.Context(), "hooks", e.ns, "hooks"); err != nil {
			t.Fatal(err)
		}
	}, "pre-delete-d", "pre-delete-a", "pre-delete-b", "pre-delete-c", "post-delete-d", "post-delete-a", "post-delete-b", "post-delete-c")
	if got := e.configMaps(); slices.Contains(got, "real") || slices.Contains(got, "test") || slices.Contains(got, "both") {
		t.Errorf("left: %v", got)
	}
}

// end gives the pod of a held hook its end, and returns its name.
func (e *env) end(hook string, phase corev1.PodPhase, exitCode int, message string) string {
	e.t.Helper()
	var name string
	e.eventually("the pod of "+hook, func(ctx context.Context) (bool, error) {
		pods, err := e.kube.CoreV1().Pods(e.ns).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		for _, p := range pods.Items {
			if (p.Name == hook || p.Labels[batchv1.JobNameLabel] == hook) && p.Spec.NodeName != "" && p.DeletionTimestamp == nil &&
				p.Status.Phase == corev1.PodPending {
				name = p.Name
				return true, nil
			}
		}
		return false, nil
	})
	body, err := json.Marshal(map[string]any{"status": map[string]any{"phase": phase, "containerStatuses": []any{map[string]any{
		"name": "main", "image": "x", "imageID": "", "ready": false, "restartCount": 0,
		"state": map[string]any{"terminated": map[string]any{"exitCode": exitCode, "reason": "Error", "message": message}},
	}}}})
	if err != nil {
		e.t.Fatal(err)
	}
	if _, err := e.kube.CoreV1().Pods(e.ns).Patch(e.t.Context(), name, types.MergePatchType, body, metav1.PatchOptions{}, "status"); err != nil {
		e.t.Fatal(err)
	}
	return name
}

// jobs are the hooks that are there, by name.
func (e *env) jobs() map[string]types.UID {
	e.t.Helper()
	list, err := e.kube.BatchV1().Jobs(e.ns).List(e.t.Context(), metav1.ListOptions{})
	if err != nil {
		e.t.Fatal(err)
	}
	out := map[string]types.UID{}
	for _, j := range list.Items {
		if j.DeletionTimestamp == nil {
			out[j.Name] = j.UID
		}
	}
	return out
}

func TestHookDeletionPolicies(t *testing.T) {
	e := newEnv(t)
	eng := e.engine()
	policies := map[string]string{"default": "", "creation": "before-hook-creation", "succeeded": "hook-succeeded", "failed": "hook-failed",
		"both": "before-hook-creation,hook-succeeded", "always": "hook-succeeded,hook-failed"}
	build := func(hold bool) *chart.Chart {
		files := map[string]string{"real.yaml": realMap}
		for name, policy := range policies {
			files[name+".yaml"] = hook("Job", name, "pre-install,pre-upgrade", "0", policy, false)
		}
		// Two of them come to no good, in turns.
		files["zz.yaml"] = hook("Job", "zz", "pre-install,pre-upgrade", "5", "hook-succeeded", hold)
		return memoryChart("hooks", "1.0.0", files)
	}
	spec := e.spec("hooks", build(false), nil)
	e.apply(eng, spec)
	first := e.jobs()
	for name, want := range map[string]bool{"default": true, "creation": true, "failed": true, "succeeded": false, "both": false, "always": false, "zz": false} {
		if _, ok := first[name]; ok != want {
			t.Errorf("%s is there: %v, want %v", name, ok, want)
		}
	}
	// Those that stayed run again: none is taken for done because it once was.
	spec.Values = map[string]any{"a": "y"}
	e.apply(eng, spec)
	second := e.jobs()
	for _, name := range []string{"default", "creation", "failed"} {
		if second[name] == "" || second[name] == first[name] {
			t.Errorf("%s has not run again: %v, then %v", name, first[name], second[name])
		}
	}
	// A failed one stays when only success removes it, and is in nobody's way.
	spec.Chart, spec.Values = build(true), map[string]any{"a": "z"}
	done := make(chan error)
	go func() {
		_, err := eng.Apply(t.Context(), spec)
		done <- err
	}()
	e.end("zz", corev1.PodFailed, 3, "no luck")
	err := <-done
	var a *ApplyError
	if !errors.As(err, &a) || len(a.Causes) != 1 || !a.Causes[0].Hook || a.Causes[0].Object.Name != "zz" {
		t.Errorf("got %v", err)
	}
	if e.jobs()["zz"] == "" {
		t.Error("the failed hook was removed")
	}
	spec.Chart = build(false)
	if out := e.apply(eng, spec); out.State.Status != "deployed" || e.jobs()["zz"] != "" {
		t.Errorf("%+v %v", out.State, e.jobs())
	}
	// And goes when failure removes it.
	policies["zz"], spec.Chart = "", memoryChart("hooks", "1.0.0", map[string]string{"zz.yaml": hook("Job", "zz", "pre-upgrade", "5", "hook-failed", true)})
	go func() {
		_, err := eng.Apply(t.Context(), spec)
		done <- err
	}()
	e.end("zz", corev1.PodFailed, 3, "no luck")
	if err := <-done; err == nil || e.jobs()["zz"] != "" {
		t.Errorf("%v %v", err, e.jobs())
	}
}

// kubelet answers for the kubelets of simulated nodes, which have no logs.
type kubelet struct {
	next http.RoundTripper
	log  string

	mu    sync.Mutex
	asked []string
}

func (k *kubelet) RoundTrip(req *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(req.URL.Path, "/log") {
		return k.next.RoundTrip(req)
	}
	k.mu.Lock()
	k.asked = append(k.asked, req.URL.Path+"?"+req.URL.RawQuery)
	k.mu.Unlock()
	code, text := http.StatusOK, k.log
	if text == "" {
		code, text = http.StatusInternalServerError, "no kubelet"
	}
	return &http.Response{StatusCode: code, Status: http.StatusText(code), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"text/plain"}}, Body: io.NopCloser(strings.NewReader(text)), Request: req}, nil
}

func (e *env) withLogs(log string) (*Engine, *kubelet) {
	e.t.Helper()
	k := &kubelet{log: log}
	cfg := rest.CopyConfig(e.cfg)
	cfg.WrapTransport = func(next http.RoundTripper) http.RoundTripper { k.next = next; return k }
	eng, err := NewEngine(cfg, Options{})
	if err != nil {
		e.t.Fatal(err)
	}
	return eng, k
}

// A hook that fails is reported with what its log ends with, or with how its pod ended.
func TestHookFailure(t *testing.T) {
	var lines []string
	for i := range 30 {
		lines = append(lines, fmt.Sprintf("line %d", i))
	}
	lines = append(lines, "password is hunter22, token c2VjcmV0LW9mLWEtc2VjcmV0", "of a Secret: secret-of-a-secret")
	secret := "apiVersion: v1\nkind: Secret\nmetadata: {name: own}\nstringData: {a: secret-of-a-secret}\n"
	for _, kind := range []string{"Job", "Pod"} {
		for _, log := range []string{strings.Join(lines, "\n"), ""} {
			t.Run(fmt.Sprint(kind, log != ""), func(t *testing.T) {
				e := newEnv(t)
				eng, kubelet := e.withLogs(log)
				spec := e.spec("hooks", memoryChart("hooks", "1.0.0", map[string]string{
					"hook.yaml": hook(kind, "check", "post-install", "0", "", true), "secret.yaml": secret,
				}), map[string]any{"password": "hunter22"})
				done := make(chan error)
				go func() {
					_, err := eng.Apply(t.Context(), spec)
					done <- err
				}()
				pod := e.end("check", corev1.PodFailed, 3, "cannot\nreach secret-of-a-secret")
				err := <-done
				var a *ApplyError
				if !errors.As(err, &a) || len(a.Causes) != 1 || !a.Causes[0].Hook {
					t.Fatalf("got %v", err)
				}
				detail := a.Causes[0].Detail
				want := []string{"pod " + e.ns + "/" + pod, "container main ended with exit code 3, Error: cannot reach [redacted]"}
				if log != "" {
					want = append(want, "line 29 | password is [redacted], token [redacted] | of a Secret: [redacted]")
				}
				for _, w := range want {
					if !strings.Contains(detail, w) || !strings.Contains(err.Error(), w) {
						t.Errorf("%q is not in %v", w, err)
					}
				}
				if strings.Contains(err.Error(), "hunter22") || strings.Contains(err.Error(), "secret-of-a-secret") || strings.Contains(detail, "line 1 ") {
					t.Errorf("too much in %v", err)
				}
				if len(kubelet.asked) != 1 || !strings.Contains(kubelet.asked[0], "tailLines=20") || !strings.Contains(kubelet.asked[0], pod) {
					t.Errorf("asked %v", kubelet.asked)
				}
			})
		}
	}
}

// A hook without a pod says why there is none.
func TestHookWithoutPod(t *testing.T) {
	e := newEnv(t)
	eng, err := NewEngine(e.cfg, Options{HookTimeout: 3 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(hook("Job", "check", "pre-install", "0", "", false), "{restartPolicy", "{serviceAccountName: nobody, restartPolicy", 1)
	_, err = eng.Apply(t.Context(), e.spec("hooks", memoryChart("hooks", "1.0.0", map[string]string{"hook.yaml": text}), nil))
	var a *ApplyError
	if !errors.As(err, &a) || !strings.Contains(err.Error(), "not finished after 3s") || !strings.Contains(a.Causes[0].Detail, "no pod") {
		t.Fatalf("got %v", err)
	}
	e.eventually("the event", func(ctx context.Context) (bool, error) {
		list, err := e.kube.CoreV1().Events(e.ns).List(ctx, metav1.ListOptions{FieldSelector: "reason=FailedCreate"})
		return err == nil && len(list.Items) > 0, nil
	})
	s, err := eng.newSession(t.Context(), "hooks", e.ns, "hooks")
	if err != nil {
		t.Fatal(err)
	}
	if got := s.hookDetail(a.Causes[0].Object); !strings.HasPrefix(got, "no pod could be created for it: ") || !strings.Contains(got, "nobody") {
		t.Errorf("got %q", got)
	}
}

// While a hook is waited for, the caller knows.
func TestHookWaiting(t *testing.T) {
	e := newEnv(t)
	eng := e.engine()
	var mu sync.Mutex
	waits, waiting := 0, false
	spec := e.spec("hooks", memoryChart("hooks", "1.0.0", map[string]string{
		"real.yaml": realMap, "hook.yaml": hook("Job", "check", "pre-install,pre-delete", "0", "hook-succeeded", true),
	}), nil)
	told := func() func() {
		mu.Lock()
		defer mu.Unlock()
		waits, waiting = waits+1, true
		return func() {
			mu.Lock()
			defer mu.Unlock()
			waiting = false
		}
	}
	spec.Waiting = told
	isWaiting := func(context.Context) (bool, error) {
		mu.Lock()
		defer mu.Unlock()
		return waiting, nil
	}
	done := make(chan error, 1)
	for _, do := range []func(){
		func() { _, err := eng.Apply(t.Context(), spec); done <- err },
		func() { done <- eng.Uninstall(t.Context(), "hooks", e.ns, "hooks", WhileWaiting(told)) },
	} {
		go do()
		e.end("check", corev1.PodPending, 1, "")
		e.eventually("it says that it waits", isWaiting)
		if len(done) > 0 {
			t.Error("the hook was not waited for")
		}
		e.end("check", corev1.PodSucceeded, 0, "")
		if err := <-done; err != nil {
			t.Error(err)
		}
		if still, _ := isWaiting(t.Context()); still || waits == 0 {
			t.Errorf("waiting %v, %d times", still, waits)
		}
		waits = 0
	}
	if _, err := e.kube.CoreV1().ConfigMaps(e.ns).Get(t.Context(), "real", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("got %v", err)
	}
}
