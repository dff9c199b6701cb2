package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/operator"
)

const (
	readyTimeout = 5 * time.Minute
	look         = 50 * time.Millisecond
)

type demo struct {
	sample string
	charts []string
	nodes  int
	keep   bool
	// kubernetes is the minor version, such as "1.37".
	kubernetes string

	started time.Time
	cluster *cluster
	client  client.Client
}

// say prints one line with the time since the beginning.
func (d *demo) say(format string, args ...any) {
	fmt.Printf("%7.1fs  %s\n", time.Since(d.started).Seconds(), fmt.Sprintf(format, args...))
}

func (d *demo) run(ctx context.Context) (err error) {
	d.started = time.Now()
	fmt.Println("NetworkStack demo: a real Kubernetes control plane, simulated nodes, nothing outside this machine is touched.")
	stack, err := readSample(d.sample)
	if err != nil {
		return err
	}
	for _, dir := range d.charts {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return fmt.Errorf("--charts: there is no directory %s", dir)
		}
	}
	d.say("starting the control plane (its binaries are built once and then cached)")
	if d.cluster, err = d.startCluster(ctx); err != nil {
		return err
	}
	defer func() {
		if !d.keep || err != nil {
			err = errors.Join(err, d.cluster.stop())
		}
	}()
	if err := d.connect(ctx); err != nil {
		return err
	}
	d.say("building the operator")
	binary, err := operator.Binary(ctx, d.cluster.dir)
	if err != nil {
		return err
	}
	if err := d.startOperator(ctx, binary); err != nil {
		return err
	}
	if err := d.install(ctx, stack); err != nil {
		return err
	}
	if err := d.showDerived(ctx, stack.GetName()); err != nil {
		return err
	}
	if err := d.tamper(ctx, stack.GetName()); err != nil {
		return err
	}
	d.lookAround()
	return nil
}

// shown is a path as seen from the repository, when it is in there.
func shown(path string) string {
	if relative, err := filepath.Rel(operator.Root(), path); err == nil && !strings.HasPrefix(relative, "..") {
		return relative
	}
	return path
}

func readSample(path string) (*unstructured.Unstructured, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	obj := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(data, &obj.Object); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if obj.GetKind() != "NetworkStack" {
		return nil, fmt.Errorf("%s holds a %q, not a NetworkStack", path, obj.GetKind())
	}
	return obj, nil
}

func (d *demo) connect(ctx context.Context) error {
	cfg, err := clientcmd.BuildConfigFromFlags("", d.cluster.kubeconfig)
	if err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), networkstackv1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	if err := operator.Install(ctx, cfg); err != nil {
		return err
	}
	d.client, err = client.New(cfg, client.Options{Scheme: scheme})
	return err
}

func (d *demo) startOperator(ctx context.Context, binary string) error {
	var nodes corev1.NodeList
	if err := d.client.List(ctx, &nodes); err != nil {
		return err
	}
	d.say("%s is up with %d simulated nodes; CRDs and permissions are installed", d.cluster.version, len(nodes.Items))
	kubeconfig := filepath.Join(d.cluster.dir, "operator.kubeconfig")
	if err := operator.Kubeconfig(ctx, d.cluster.kubeconfig, kubeconfig); err != nil {
		return err
	}
	var args []string
	for _, dir := range d.charts {
		args = append(args, "--charts", dir)
	}
	if err := d.cluster.startOperator(binary, kubeconfig, args); err != nil {
		return err
	}
	d.say("the operator runs as system:serviceaccount:%s:%s", operator.Namespace, operator.ServiceAccount)
	return nil
}

// install applies the sample and shows every change on its way to Ready.
func (d *demo) install(ctx context.Context, stack *unstructured.Unstructured) error {
	if err := operator.Apply(ctx, d.client, stack); err != nil {
		return err
	}
	applied := time.Now()
	d.say("applied %s", shown(d.sample))
	last := map[string]string{}
	show := func(who, what string) {
		if what != "" && last[who] != what {
			last[who] = what
			d.say("  %-14s %s", who, what)
		}
	}
	err := wait.PollUntilContextTimeout(ctx, look, readyTimeout, true, func(ctx context.Context) (bool, error) {
		if err := d.cluster.operatorExited(); err != nil {
			return false, err
		}
		var s networkstackv1alpha1.NetworkStack
		if err := d.client.Get(ctx, client.ObjectKey{Name: stack.GetName()}, &s); err != nil {
			return false, err
		}
		for _, c := range s.Status.Components {
			show(c.Name, fmt.Sprintf("%-11s %s", c.Phase, c.Message))
		}
		accepted := meta.FindStatusCondition(s.Status.Conditions, networkstackv1alpha1.ConditionAccepted)
		if accepted != nil && accepted.Status == "False" {
			return false, fmt.Errorf("the NetworkStack was refused: %s", accepted.Message)
		}
		return isReady(&s), nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the NetworkStack to become Ready: %w", err)
	}
	d.say("NetworkStack %s is Ready, %.1f s after it was applied", stack.GetName(), time.Since(applied).Seconds())
	return nil
}

func isReady(s *networkstackv1alpha1.NetworkStack) bool {
	ready := meta.FindStatusCondition(s.Status.Conditions, networkstackv1alpha1.ConditionReady)
	return ready != nil && ready.Status == "True" && ready.ObservedGeneration == s.Generation
}

// showDerived prints some of what the operator worked out by itself.
func (d *demo) showDerived(ctx context.Context, name string) error {
	var s networkstackv1alpha1.NetworkStack
	if err := d.client.Get(ctx, client.ObjectKey{Name: name}, &s); err != nil {
		return err
	}
	d.say("worked out by the operator (status.effective, an extract):")
	for _, e := range s.Status.Effective {
		switch e.Setting {
		case "spec.mtu", "spec.kubeProxy.mode", "spec.cluster.apiServer", "spec.cni.encapsulation", "spec.dns.serviceIPs":
			d.say("  %-24s %-22s %s", e.Setting, e.Value, e.Reason)
		}
	}
	return nil
}

// tamper changes an object of the first CNI component behind the operator's back and waits until it is restored.
func (d *demo) tamper(ctx context.Context, stack string) error {
	var sets appsv1.DaemonSetList
	if err := d.client.List(ctx, &sets, client.HasLabels{networkstackv1alpha1.ComponentLabel}); err != nil {
		return err
	}
	if len(sets.Items) == 0 {
		return errors.New("there is no DaemonSet to tamper with: the sample installs none")
	}
	ds := &sets.Items[0]
	component := ds.Labels[networkstackv1alpha1.ComponentLabel]
	want := ds.Spec.Template.Spec.Containers[0].Image
	before, err := d.drifts(ctx, component)
	if err != nil {
		return err
	}
	patch := client.StrategicMergeFrom(ds.DeepCopy())
	ds.Spec.Template.Spec.Containers[0].Image = "example.com/intruder:latest"
	if err := d.client.Patch(ctx, ds, patch, client.FieldOwner("intruder")); err != nil {
		return err
	}
	tampered := time.Now()
	d.say("tampered: the image of DaemonSet %s/%s is now example.com/intruder:latest", ds.Namespace, ds.Name)
	err = wait.PollUntilContextTimeout(ctx, 5*time.Millisecond, readyTimeout, true, func(ctx context.Context) (bool, error) {
		if err := d.cluster.operatorExited(); err != nil {
			return false, err
		}
		err := d.client.Get(ctx, client.ObjectKeyFromObject(ds), ds)
		return err == nil && ds.Spec.Template.Spec.Containers[0].Image == want, client.IgnoreNotFound(err)
	})
	if err != nil {
		return fmt.Errorf("waiting for the image to be restored: %w", err)
	}
	d.say("restored: it is %s again, after %d ms", want, time.Since(tampered).Milliseconds())
	return d.reported(ctx, stack, component, before)
}

func (d *demo) drifts(ctx context.Context, component string) (int64, error) {
	var c networkstackv1alpha1.NetworkComponent
	if err := d.client.Get(ctx, client.ObjectKey{Name: component}, &c); err != nil || c.Status.Drift == nil {
		return 0, err
	}
	return c.Status.Drift.Count, nil
}

// reported waits until the drift stands in the status, and the stack is Ready.
func (d *demo) reported(ctx context.Context, stack, component string, before int64) error {
	err := wait.PollUntilContextTimeout(ctx, look, readyTimeout, true, func(ctx context.Context) (bool, error) {
		var c networkstackv1alpha1.NetworkComponent
		if err := d.client.Get(ctx, client.ObjectKey{Name: component}, &c); err != nil {
			return false, err
		}
		if c.Status.Drift == nil || c.Status.Drift.Count <= before {
			return false, nil
		}
		var s networkstackv1alpha1.NetworkStack
		if err := d.client.Get(ctx, client.ObjectKey{Name: stack}, &s); err != nil || !isReady(&s) {
			return false, err
		}
		d.say("reported: %s was changed by %q; NetworkStack %s is Ready", c.Status.Drift.Recent[0].Object, c.Status.Drift.Recent[0].Manager, stack)
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the drift to be reported: %w", err)
	}
	return nil
}

func (d *demo) lookAround() {
	if !d.keep {
		fmt.Println("\nDone. To look around yourself, run it again and keep it running:  make demo KEEP=1")
		return
	}
	kubectl := "kubectl"
	if _, err := exec.LookPath(kubectl); err != nil {
		kubectl = d.cluster.kubectl
	}
	fmt.Printf(`
It keeps running. To look around:
  export KUBECONFIG=%[1]s
  %[2]s get netstack,netcomp
  %[2]s get netstack -o yaml       # facts, effective settings with their reasons, conditions
  %[2]s get events -n default      # what was done, and who drifted what
`, d.cluster.kubeconfig, kubectl)
	if _, err := exec.LookPath("helm"); err == nil {
		fmt.Println("  helm ls -A                         # the components are Helm releases")
	}
	fmt.Printf("The operator's log: %s\nTo stop it:  make demo-down\n", d.cluster.log)
}
