package pages

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/operator"
)

func TestMain(m *testing.M) {
	ctrllog.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

const (
	// patience is how long a command may take, and how long what it prints may take to become what the page shows.
	patience = 3 * time.Minute
	// foreground says that a command does not end by itself.
	foreground = "make run"
)

// walks are the pages whose commands are run, each list in order and on clusters of its own. docs/cli.md is run by the tests of
// internal/cli, in one process.
var walks = [][]string{
	{"README.md"},
	{"docs/tutorial.md"},
	{
		"docs/install.md", "docs/troubleshooting.md", "docs/user-guide.md", "docs/adoption.md", "docs/gitops.md", "docs/security.md",
		"docs/operations.md", "docs/runbooks/*.md",
	},
	{"CONTRIBUTING.md", "docs/benchmarks.md", "docs/e2e.md"},
}

// pagesOf are the pages of a walk.
func pagesOf(t *testing.T, walk []string) []string {
	t.Helper()
	var pages []string
	for _, pattern := range walk {
		found, err := filepath.Glob(filepath.Join(operator.Root(), filepath.FromSlash(pattern)))
		if err != nil || len(found) == 0 {
			t.Fatalf("there is no page %s (%v)", pattern, err)
		}
		for _, page := range found {
			pages = append(pages, relative(t, page))
		}
	}
	return pages
}

// elsewhere are pages whose commands another test runs.
var elsewhere = map[string]string{"docs/cli.md": "TestPage of internal/cli"}

// TestEveryPageIsRun fails for a page with commands that nobody runs.
func TestEveryPageIsRun(t *testing.T) {
	t.Parallel()
	run := map[string]bool{}
	for _, walk := range walks {
		for _, page := range pagesOf(t, walk) {
			run[page] = true
		}
	}
	for _, page := range all(t) {
		name := relative(t, page)
		for _, b := range blocks(t, page) {
			if b.Shell() && !run[name] && elsewhere[name] == "" {
				t.Errorf("%s: no test runs the commands of this page", b.Place())
				break
			}
		}
	}
}

// TestCommands runs every command of the pages as a reader would, in order, and compares what it prints with what the page shows.
func TestCommands(t *testing.T) {
	t.Parallel()
	tools := tools(t)
	for _, walk := range walks {
		t.Run(walk[0], func(t *testing.T) {
			before := tracked(t)
			r := newReader(t, tools)
			for _, page := range pagesOf(t, walk) {
				for _, b := range blocks(t, filepath.Join(operator.Root(), filepath.FromSlash(page))) {
					b.Page = page
					r.read(b)
				}
			}
			r.leave()
			for _, b := range r.expected {
				t.Errorf("%s: %s was not run", b.Place(), b.PrintedBy)
			}
			if after := tracked(t); after != before {
				t.Errorf("the commands of the pages changed files of the project:\n%s", after)
			}
			t.Logf("%d commands run, %d compared; not run: %s", r.ran, r.compared, strings.Join(r.skipped, "; "))
		})
	}
}

// tools is a directory with kubectl, Helm and the plugin, and the operator as an image would have it.
func tools(t *testing.T) string {
	t.Helper()
	ctx := t.Context()
	binaries, err := controlplane.Binaries(ctx, controlplane.DefaultVersion, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	helm, err := controlplane.Helm(ctx, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, path := range map[string]string{"kubectl": binaries.Kubectl, "helm": helm} {
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.CommandContext(ctx, "make", "build")
	build.Dir = operator.Root()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("make build: %v\n%s", err, out)
	}
	for _, name := range []string{"networkstack-operator", "kubectl-networkstack"} {
		if err := os.Symlink(filepath.Join(operator.Root(), "bin", name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// reader is somebody who follows pages, in a shell.
type reader struct {
	t     *testing.T
	tools string
	// files is a directory for what the pages write.
	files string
	// env is the shell's, with what commands exported.
	env []string
	// cp is the cluster that the pages take for granted, with the operator's image at work once it is installed.
	cp       *controlplane.ControlPlane
	stopPods func()
	// others end what runs in other terminals.
	others []func()
	// expected are blocks with lines that commands further below print.
	expected []Block

	ran, compared int
	skipped       []string
}

func newReader(t *testing.T, tools string) *reader {
	t.Helper()
	r := &reader{t: t, tools: tools, files: t.TempDir()}
	for _, v := range os.Environ() {
		switch name, _, _ := strings.Cut(v, "="); name {
		case "KUBECONFIG", "PATH", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "TEST_FLAGS":
		default:
			r.env = append(r.env, v)
		}
	}
	r.env = append(r.env, "PATH="+tools+string(os.PathListSeparator)+os.Getenv("PATH"), "KUBECONFIG="+filepath.Join(r.files, "none"),
		"NETWORKSTACK_CACHE="+cache(t, tools), "PROJECT="+operator.Root())
	t.Cleanup(func() {
		r.leave()
		if t.Failed() { // a page that was left half-way may have a named cluster running
			for _, end := range []string{"make demo-down", "make cluster-down"} {
				_, _ = r.run(context.Background(), operator.Root(), end)
			}
		}
	})
	return r
}

// cache has what the cache of this machine has, but for the named clusters: those of the pages are not those of whoever runs tests.
func cache(t *testing.T, tools string) string {
	t.Helper()
	kubectl, err := os.Readlink(filepath.Join(tools, "kubectl"))
	if err != nil {
		t.Fatal(err)
	}
	source, dir := filepath.Dir(filepath.Dir(kubectl)), t.TempDir()
	entries, err := os.ReadDir(source)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, filepath.Base(source)), 0o750); err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() == "clusters" {
			continue
		}
		if err := os.Symlink(filepath.Join(source, e.Name()), filepath.Join(dir, filepath.Base(source), e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// leave ends what the pages left running.
func (r *reader) leave() {
	r.endOthers()
	if r.stopPods != nil {
		r.stopPods()
		r.stopPods = nil
	}
	if r.cp != nil {
		if err := r.cp.Stop(); err != nil {
			r.t.Error(err)
		}
		r.cp = nil
	}
}

func (r *reader) read(b Block) {
	r.t.Helper()
	if b.File != "" {
		file := filepath.Join(operator.Root(), filepath.FromSlash(b.File))
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(b.Text), 0o600); err != nil {
			r.t.Fatal(err)
		}
		return
	}
	if b.PrintedBy != "" {
		r.expected = append(r.expected, b)
		return
	}
	if !b.Shell() {
		return
	}
	if b.Cluster {
		r.newCluster()
	}
	if b.Skip != "" {
		r.skipped = append(r.skipped, fmt.Sprintf("%s (%s)", b.Place(), b.Skip))
		return
	}
	dir := operator.Root()
	if b.Scratch {
		dir = r.files
	}
	for _, first := range b.First {
		if out, err := r.run(r.t.Context(), dir, first); err != nil {
			r.t.Fatalf("%s: before it: %s: %v\n%s", b.Place(), first, err, out)
		}
	}
	for _, c := range b.Commands() {
		if strings.HasPrefix(c.Text, foreground) {
			r.others = append(r.others, r.background(dir, c.Text))
			continue
		}
		if strings.HasPrefix(c.Text, "make cluster-down") { // a reader ends what runs in the other terminal first
			r.endOthers()
		}
		r.follow(b, dir, c)
	}
}

// endOthers ends what runs in other terminals.
func (r *reader) endOthers() {
	for _, end := range r.others {
		end()
	}
	r.others = nil
}

// follow runs one command. What is watched for becomes true after a while: a command that only looks is repeated until it does.
func (r *reader) follow(b Block, dir string, c Command) {
	r.t.Helper()
	r.ran++
	deadline := time.Now().Add(patience)
	for {
		out, err := r.run(r.t.Context(), dir, c.Text)
		problem := ""
		switch {
		case c.Refused && err == nil:
			problem = "is not refused"
		case err != nil && !c.Refused && (!strings.Contains(c.Text, " logs ") || !noKubelet.MatchString(out)):
			problem = err.Error()
		case c.Output != nil && !b.Uncompared:
			if problem = Differs(c.Output, out); problem == "" {
				r.compared++
			}
		}
		if problem == "" {
			r.printed(c.Text, out)
			return
		}
		looks := strings.HasPrefix(c.Text, "kubectl get ") || strings.HasPrefix(c.Text, "kubectl wait ") || strings.Contains(out, "no matches for kind")
		if !looks || time.Now().After(deadline) {
			r.t.Fatalf("%s: %s: %s\n%s", b.Place(), c.Text, problem, out)
		}
		pause(r.t.Context())
	}
}

// printed holds what a command prints against what pages showed of it above.
func (r *reader) printed(command, out string) {
	r.t.Helper()
	r.expected = slices.DeleteFunc(r.expected, func(b Block) bool {
		if !strings.HasPrefix(command, b.PrintedBy) {
			return false
		}
		if missing := Missing(b.Text, out); len(missing) > 0 {
			r.t.Errorf("%s: %s does not print\n%s\nbut\n%s", b.Place(), command, strings.Join(missing, "\n"), out)
		}
		r.compared++
		return true
	})
}

// noKubelet is what is said when a simulated node is asked for a log: the request is right, but nobody is there.
var noKubelet = regexp.MustCompile(`dial tcp|no preferred addresses found|waiting to start|connection refused`)

func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(200 * time.Millisecond):
	}
}

var exported = regexp.MustCompile(`(?m)^\s*export (KUBECONFIG=\S+)$`)

// run runs a command in the shell of the pages, with what earlier ones exported, or asked to export.
func (r *reader) run(ctx context.Context, dir, command string) (string, error) {
	state := filepath.Join(r.files, ".env")
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", command+"\nenv -0 > \"$PAGES_STATE\"")
	cmd.Dir, cmd.Env = dir, append(r.env, "PAGES_STATE="+state)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if err := cmd.Run(); err != nil {
		return out.String(), err
	}
	data, err := os.ReadFile(state)
	if err != nil {
		return out.String(), err
	}
	for _, v := range strings.Split(string(data), "\x00") {
		if strings.HasPrefix(v, "KUBECONFIG=") || strings.HasPrefix(v, "PATH=") {
			r.env = append(r.env, v)
		}
	}
	if m := exported.FindStringSubmatch(out.String()); m != nil {
		kubeconfig, path, _ := strings.Cut(m[1], "=")
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		r.env = append(r.env, kubeconfig+"="+path)
	}
	return out.String(), nil
}

// background starts what runs in a terminal of its own, and answers what ends it.
func (r *reader) background(dir, command string) func() {
	r.t.Helper()
	r.ran++
	cmd := exec.CommandContext(r.t.Context(), "bash", "-c", command)
	cmd.Dir, cmd.Env = dir, r.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	log, err := os.Create(filepath.Join(r.files, "background.log"))
	if err != nil {
		r.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait()
	}()
	return func() {
		for deadline := time.Now().Add(patience); ; pause(r.t.Context()) {
			data, _ := os.ReadFile(log.Name())
			if bytes.Contains(data, []byte("Starting workers")) {
				break
			}
			if time.Now().After(deadline) {
				r.t.Errorf("%s does not come to work:\n%s", command, data)
				break
			}
		}
		select {
		case <-done:
			data, _ := os.ReadFile(log.Name())
			r.t.Errorf("%s ended by itself:\n%s", command, data)
		default:
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
			<-done
		}
		_ = log.Close()
	}
}

// newCluster is one with simulated nodes on which the image of the operator, once something installs it, does what an image would.
func (r *reader) newCluster() {
	r.t.Helper()
	r.leave()
	cp, err := controlplane.Start(r.t.Context(), controlplane.Options{Nodes: 3})
	if err != nil {
		r.t.Fatal(err)
	}
	r.cp = cp
	r.env = append(r.env, "KUBECONFIG="+cp.Kubeconfig())
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := r.pod(ctx, cp); err != nil {
			r.t.Errorf("the operator as a pod: %v", err)
		}
	}()
	r.stopPods = func() { cancel(); <-done }
}

// pod runs the operator as its ServiceAccount, as long as a pod of its Deployment runs.
func (r *reader) pod(ctx context.Context, cp *controlplane.ControlPlane) error {
	cfg, err := clientcmd.BuildConfigFromFlags("", cp.Kubeconfig())
	if err != nil {
		return err
	}
	c, err := operator.Client(cfg)
	if err != nil {
		return err
	}
	var process *operator.Process
	defer func() {
		if process != nil {
			_ = process.Stop()
		}
	}()
	for ; ctx.Err() == nil; pause(ctx) {
		var pods corev1.PodList
		if err := c.List(ctx, &pods, client.InNamespace(operator.Namespace)); err != nil {
			continue
		}
		running := false
		for _, p := range pods.Items {
			running = running || p.Spec.ServiceAccountName == operator.ServiceAccount && p.Status.Phase == corev1.PodRunning
		}
		switch {
		case running && process == nil:
			kubeconfig := filepath.Join(cp.Dir(), "operator.kubeconfig")
			if err := operator.Kubeconfig(ctx, cp.Kubeconfig(), kubeconfig); err != nil {
				if ctx.Err() != nil {
					return nil // the page goes on to the next cluster
				}
				return err
			}
			log, err := os.Create(filepath.Join(cp.Dir(), "operator.log"))
			if err != nil {
				return err
			}
			defer func() { _ = log.Close() }()
			process, err = operator.Start(operator.Options{Binary: filepath.Join(r.tools, "networkstack-operator"), Kubeconfig: kubeconfig, Log: log})
			if err != nil {
				return err
			}
		case !running && process != nil:
			if err := process.Stop(); err != nil {
				return err
			}
			process = nil
		}
	}
	return nil
}
