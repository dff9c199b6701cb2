package lifecycle

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/cli"
)

// plugin calls kubectl networkstack against a cluster whose stack is Ready.
func plugin(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	dir := t.TempDir()
	write := func(name string, s *networkstackv1alpha1.NetworkStack) string {
		t.Helper()
		file := filepath.Join(dir, name)
		s = s.DeepCopy()
		s.APIVersion, s.Kind = networkstackv1alpha1.GroupVersion.String(), "NetworkStack"
		data, err := yaml.Marshal(s)
		e.check(err)
		e.check(os.WriteFile(file, data, 0o600))
		return file
	}
	call := func(want int, args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		code := cli.Run(t.Context(), cli.Options{
			Name: "kubectl-networkstack", Args: append(args, "--kubeconfig", e.admin), Env: os.Getenv, In: strings.NewReader(""), Out: &out, Err: &errs,
		})
		if code != want {
			t.Fatalf("%v exits with %d, not %d:\n%s%s", args, code, want, &out, &errs)
		}
		return out.String()
	}
	was, flannel := e.component("flannel").ResourceVersion, e.revision("flannel")
	file := write("stack.yaml", stack)

	if out := call(cli.ExitFine, "diff", file); out != "" {
		t.Errorf("what is applied differs from what there is:\n%s", out)
	}
	e.rendersWhatThereIs(call(cli.ExitFine, "render", file, "-o", "json"))
	effective := e.stack(stack.Name).Status.Effective
	explained := call(cli.ExitFine, "explain", file, "spec.mtu", "-o", "json")
	i := slices.IndexFunc(effective, func(s networkstackv1alpha1.EffectiveSetting) bool { return s.Setting == "spec.mtu" })
	if i >= 0 && !strings.Contains(explained, effective[i].Reason) {
		t.Errorf("the status says of the MTU: %s; explain says: %s", effective[i].Reason, explained)
	}

	// What was found in the cluster stands for it.
	found := filepath.Join(dir, "facts.yaml")
	e.check(os.WriteFile(found, []byte(call(cli.ExitFine, "facts", file)), 0o600))
	call(cli.ExitFine, "diff", file, file, "--facts", found)

	other := stack.DeepCopy()
	const mtu = 1280
	other.Spec.MTU = mtu
	if other.Spec.MTU == stack.Spec.MTU {
		t.Fatal("the other MTU is the same")
	}
	var d struct {
		Settings []struct{ Setting, To string }
		Steps    []struct{ Component, Action, Class string }
		Objects  []struct{ Component, Change, Kind, Name string }
	}
	e.check(json.Unmarshal([]byte(call(cli.ExitFound, "diff", write("other.yaml", other), "-o", "json")), &d))
	if len(d.Steps) != 1 || d.Steps[0].Component != "flannel" || d.Steps[0].Action != "Upgrade" || d.Steps[0].Class != "roll-out" {
		t.Errorf("another MTU is to upgrade flannel alone, and to replace its pods: %+v", d.Steps)
	}
	if !slices.ContainsFunc(d.Objects, func(o struct{ Component, Change, Kind, Name string }) bool {
		return o.Component == "flannel" && o.Change == "changed" && o.Kind == "DaemonSet" && o.Name == "kube-flannel-ds"
	}) {
		t.Errorf("the DaemonSet of flannel is to change: %+v", d.Objects)
	}

	second := stack.DeepCopy()
	second.Name = "second"
	call(2, "diff", write("second.yaml", second))
	call(cli.ExitFound, "render", write("second.yaml", second))
	if is := e.component("flannel").ResourceVersion; is != was || e.revision("flannel") != flannel {
		t.Errorf("the component flannel was changed")
	}
}

// rendersWhatThereIs looks for every object that is rendered, and for a component's label on it.
func (e *env) rendersWhatThereIs(text string) {
	e.t.Helper()
	var rendered struct {
		Components []struct {
			Name    string
			Objects []map[string]any
		}
	}
	e.check(json.Unmarshal([]byte(text), &rendered))
	n := 0
	for _, c := range rendered.Components {
		for _, o := range c.Objects {
			u := unstructured.Unstructured{Object: o}
			live := &unstructured.Unstructured{}
			live.SetGroupVersionKind(u.GroupVersionKind())
			if err := e.client.Get(e.t.Context(), client.ObjectKeyFromObject(&u), live); err != nil {
				e.t.Errorf("component %s: %s %s/%s is rendered: %v", c.Name, u.GetKind(), u.GetNamespace(), u.GetName(), err)
				continue
			}
			if label := live.GetLabels()[networkstackv1alpha1.ComponentLabel]; label != c.Name {
				e.t.Errorf("%s %s/%s is of component %q, and rendered for %s", u.GetKind(), u.GetNamespace(), u.GetName(), label, c.Name)
			}
			n++
		}
	}
	if n == 0 {
		e.t.Errorf("nothing is rendered:\n%s", text)
	}
}
