package lifecycle

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/cli"
	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/endstate"
	"github.com/networkstack/networkstack/test/operator"
)

// TestInstalledByHelm installs the operator by its own chart, with Helm's own tool and with the plugin, and runs it with exactly the
// permissions that the chart has. The pods of its Deployment are simulated. The plugin follows what happens.
func TestInstalledByHelm(t *testing.T) {
	t.Parallel()
	e := bareCluster(t, controlplane.Options{})
	before := e.everything()
	chart := filepath.Join(operator.Root(), "charts", "networkstack")
	release := func(verb, chart string, more ...string) {
		t.Helper()
		e.helm(append([]string{verb, "networkstack", chart, "-n", operator.Namespace, "--create-namespace"}, more...)...)
	}

	older := olderDefinitions(t, chart)
	release("install", older)
	e.operatorRuns(1, true)
	if e.knowsField("suspend") {
		t.Fatal("the older definition has the field already")
	}
	release("upgrade", chart)
	e.eventually("the definition to be changed with the operator", func(context.Context) (bool, string) { return e.knowsField("suspend"), "it lacks the field" })

	e.check(operator.Kubeconfig(t.Context(), e.admin, e.account))
	e.startOperator()
	stack := smallStack(t)
	stack.Spec.DeletionPolicy = networkstackv1alpha1.DeletionDelete
	e.plugin(cli.ExitTrouble, "status")
	e.apply(stack)
	followed := e.plugin(cli.ExitFine, "status", "--wait", "--timeout", patience.String())
	lines := strings.Split(strings.TrimSpace(followed), "\n")
	if last := lines[len(lines)-1]; !strings.HasSuffix(last, "NetworkStack "+stack.Name+": Ready") || strings.ContainsRune(followed, '\x1b') || len(lines) < 5 {
		t.Errorf("followed until Ready:\n%s", followed)
	}
	e.waitReady(stack.Name)
	var report struct {
		Ready      bool
		Components []struct{ Name, Phase string }
	}
	e.check(json.Unmarshal([]byte(e.plugin(cli.ExitFine, "status", stack.Name, "-o", "json")), &report))
	if !report.Ready || len(report.Components) == 0 || report.Components[0].Phase != "Ready" {
		t.Errorf("%+v", report)
	}
	e.watchedOnTerminal(stack.Name)

	// What Helm installed is Helm's, until it is handed over.
	if out := e.plugin(cli.ExitFound, "install", "--mode", "Ordinary"); !strings.Contains(out, "not made by this command") {
		t.Errorf("refused: %s", out)
	}

	// The network is there: an ordinary pod will do, under the strictest of the Pod Security Standards.
	namespace := &corev1.Namespace{}
	e.check(e.client.Get(t.Context(), client.ObjectKey{Name: operator.Namespace}, namespace))
	patched := namespace.DeepCopy()
	patched.Labels["pod-security.kubernetes.io/enforce"] = "restricted"
	e.check(e.client.Patch(t.Context(), patched, client.MergeFrom(namespace)))
	release("upgrade", chart, "--set", "mode=Ordinary", "--set", "webhook.enabled=true")
	e.operatorRuns(2, false)
	e.eventually("one of the replicas to be free to go", func(ctx context.Context) (bool, string) {
		var budget policyv1.PodDisruptionBudget
		err := e.client.Get(ctx, client.ObjectKey{Namespace: operator.Namespace, Name: "networkstack-operator"}, &budget)
		return err == nil && budget.Status.CurrentHealthy == 2 && budget.Status.DisruptionsAllowed == 1, toJSON(budget.Status)
	})
	e.plugin(cli.ExitFine, "install", "--mode", "Ordinary", "--take-over", "--wait")
	e.operatorRuns(2, false)
	e.plugin(cli.ExitFine, "install") // it is the plugin's now, and keeps its values
	e.operatorRuns(2, false)
	if out := e.plugin(cli.ExitFound, "uninstall"); !strings.Contains(out, "there is the NetworkStack "+stack.Name) || !strings.Contains(out, "deletionPolicy Delete") {
		t.Errorf("refused: %s", out)
	}

	e.check(e.client.Delete(t.Context(), stack))
	e.gone(stack)
	e.check(e.process.Stop())
	e.process = nil
	if out := e.plugin(cli.ExitFine, "uninstall", "--wait"); !strings.Contains(out, "the definitions of NetworkStacks") {
		t.Errorf("what stays: %s", out)
	}
	e.plugin(cli.ExitTrouble, "uninstall")
	// Definitions that were left are no hindrance, and Helm's own tool can go on with what the plugin made.
	if out := e.plugin(cli.ExitFound, "install"); !strings.Contains(out, "enforces the Pod Security level restricted") {
		t.Errorf("refused: %s", out)
	}
	e.plugin(cli.ExitFine, "install", "--mode", "Ordinary", "--image", "registry.example.com/networkstack-operator:v9", "-o", "json")
	e.operatorRuns(2, false)
	e.helm("uninstall", "networkstack", "-n", operator.Namespace)
	if left := e.helm("ls", "-A", "-a", "-q"); strings.TrimSpace(left) != "" {
		t.Errorf("releases are left: %s", left)
	}
	e.eventually("nothing to be left but definitions and the namespace", func(context.Context) (bool, string) {
		var left []string
		for name := range e.everything() {
			if _, was := before[name]; !was {
				left = append(left, name)
			}
		}
		slices.Sort(left)
		want := []string{
			"APIService.apiregistration.k8s.io v1alpha1.networkstack.io", // what the API server makes of the definitions
			"CustomResourceDefinition.apiextensions.k8s.io networkcomponents.networkstack.io",
			"CustomResourceDefinition.apiextensions.k8s.io networkstacks.networkstack.io",
			"Namespace " + operator.Namespace,
		}
		return slices.Equal(left, want), strings.Join(left, ", ")
	})
	installedFromOneFile(t, e, before)
}

// plugin calls kubectl networkstack, wants its exit code, and gives all that it prints.
func (e *env) plugin(code int, args ...string) string {
	e.t.Helper()
	var out bytes.Buffer
	got := cli.Run(e.t.Context(), cli.Options{
		Name: "kubectl-networkstack", Args: append(args, "--kubeconfig", e.admin), Env: func(string) string { return "" }, In: strings.NewReader(""), Out: &out, Err: &out,
	})
	if got != code {
		e.t.Fatalf("%v exits with %d, not %d:\n%s", args, got, code, &out)
	}
	return out.String()
}

// watchedOnTerminal follows a stack that is Ready on a terminal, and interrupts that.
func (e *env) watchedOnTerminal(name string) {
	e.t.Helper()
	master, slave := terminal(e.t)
	ctx, interrupt := context.WithCancel(e.t.Context())
	defer interrupt()
	ended := make(chan int, 1)
	go func() {
		ended <- cli.Run(ctx, cli.Options{
			Name: "kubectl-networkstack", Args: []string{"status", "--watch", "--kubeconfig", e.admin}, Env: func(string) string { return "" },
			In: strings.NewReader(""), Out: slave, Err: slave,
		})
	}()
	shown := &operator.Log{}
	go func() { _, _ = io.Copy(shown, master) }() // ends when the terminal is closed
	e.eventually("the view to be drawn", func(context.Context) (bool, string) {
		return strings.Contains(shown.String(), "NetworkStack "+name) && strings.Contains(shown.String(), "flannel"), shown.String()
	})
	interrupt()
	if code := <-ended; code != cli.ExitFine {
		e.t.Errorf("exits with %d", code)
	}
	const enter, leave = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
	e.eventually("the terminal to be given back", func(context.Context) (bool, string) {
		text := shown.String()
		_, after, left := strings.Cut(text, leave)
		return strings.HasPrefix(text, enter) && left && strings.Contains(after, "Conditions") && !strings.Contains(after, "\x1b[?"), text
	})
}

// terminal opens a terminal: what is written to the slave is read from the master.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err = errors.Join(err, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: 100}); err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

// olderDefinitions is a copy of the chart whose definition of the NetworkStack lacks the field suspend.
func olderDefinitions(t *testing.T, chart string) string {
	t.Helper()
	older := filepath.Join(t.TempDir(), "networkstack")
	if err := os.CopyFS(older, os.DirFS(chart)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(older, "files", "crd", "customresourcedefinition-networkstacks.networkstack.io.yaml")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	const field = "\n              suspend:\n"
	from := strings.Index(text, field)
	if from < 0 {
		t.Fatal("the definition has no field suspend at the top of the spec")
	}
	end := from + len(field)
	for strings.HasPrefix(text[end:], "                ") {
		end += strings.Index(text[end:], "\n") + 1
	}
	if err := os.WriteFile(file, []byte(text[:from+1]+text[end:]), 0o600); err != nil {
		t.Fatal(err)
	}
	return older
}

// knowsField says whether the NetworkStack's definition has a field of the spec.
func (e *env) knowsField(name string) bool {
	e.t.Helper()
	crd := &unstructured.Unstructured{}
	crd.SetGroupVersionKind(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"))
	e.check(e.client.Get(e.t.Context(), client.ObjectKey{Name: "networkstacks.networkstack.io"}, crd))
	versions, _, err := unstructured.NestedSlice(crd.Object, "spec", "versions")
	e.check(err)
	version, ok := versions[0].(map[string]any)
	if !ok {
		e.t.Fatalf("versions of the definition: %v", versions)
	}
	_, has, err := unstructured.NestedFieldNoCopy(version, "schema", "openAPIV3Schema", "properties", "spec", "properties", name)
	e.check(err)
	return has
}

// operatorRuns waits until the Deployment is rolled out.
func (e *env) operatorRuns(replicas int32, hostNetwork bool) {
	e.t.Helper()
	e.eventually("the operator's Deployment to be available", func(ctx context.Context) (bool, string) {
		var d appsv1.Deployment
		if err := e.client.Get(ctx, client.ObjectKey{Namespace: operator.Namespace, Name: "networkstack-operator"}, &d); err != nil {
			return false, err.Error()
		}
		s := d.Status
		return s.ObservedGeneration == d.Generation && s.UpdatedReplicas == replicas && s.AvailableReplicas == replicas && s.Replicas == replicas &&
			d.Spec.Template.Spec.HostNetwork == hostNetwork, toJSON(s)
	})
}

// everything is all that the cluster has.
func (e *env) everything() endstate.State {
	e.t.Helper()
	state, err := endstate.Read(e.t.Context(), e.cp.RESTConfig(), endstate.Scope{Selector: "!networkstack.io/nothing-has-this"})
	e.check(err)
	maps.DeleteFunc(state, func(name, _ string) bool { return strings.HasPrefix(name, "Lease.") })
	return state
}
