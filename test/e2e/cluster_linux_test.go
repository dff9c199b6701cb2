package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/nodes"
)

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard()) // which the client complains of the lack of, at length
	os.Exit(nodes.Main(m.Run))
}

const (
	operatorNamespace = "networkstack-system"
	probeNamespace    = "default"
	// patience is how long anything may take on a machine that is busy with other things.
	patience = 2 * time.Minute
)

// environment is a cluster with what tests do to it.
type environment struct {
	*testing.T
	cluster *nodes.Cluster
	client  client.Client
	// families are those of the cluster, the primary one first; what is checked is checked in each.
	families []corev1.IPFamily
	// bare is what was on each node before there was a network.
	bare *map[string]string
}

func start(t *testing.T, options nodes.Options) *environment {
	t.Helper()
	nodes.Require(t)
	options.Out = os.Stderr
	cluster, err := nodes.Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	e := &environment{T: t, cluster: cluster, families: cluster.Families, bare: &map[string]string{}}
	t.Cleanup(func() {
		if t.Failed() {
			e.tell()
		}
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	scheme := runtime.NewScheme()
	e.check(errors.Join(clientgoscheme.AddToScheme(scheme), networkstackv1alpha1.AddToScheme(scheme)))
	e.client, err = client.New(cluster.ControlPlane.RESTConfig(), client.Options{Scheme: scheme})
	e.check(err)
	return e
}

// dual is whether there are both families.
func (e *environment) dual() bool { return len(e.families) > 1 }

// hasIPv6 is whether there is IPv6, alone or with IPv4.
func (e *environment) hasIPv6() bool { return slices.Contains(e.families, corev1.IPv6Protocol) }

// in is the environment for a subtest.
func (e *environment) in(t *testing.T) *environment {
	sub := *e
	sub.T = t
	return &sub
}

func (e *environment) check(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

// eventually waits for a condition, and tells what it waits for when it does not come.
func (e *environment) eventually(what string, try func() error) time.Duration {
	e.Helper()
	begin := time.Now()
	var err error
	for {
		if err = try(); err == nil {
			return time.Since(begin)
		}
		if time.Since(begin) > patience {
			e.Fatalf("waiting for %s: %v", what, err)
		}
		select {
		case <-e.Context().Done():
			e.Fatalf("waiting for %s: %v, %v", what, err, e.Context().Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// tool runs kubectl or helm on the cluster.
func (e *environment) tool(path string, input io.Reader, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.Context()), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"KUBECONFIG=" + e.cluster.ControlPlane.Kubeconfig(), "HOME=" + e.cluster.ControlPlane.Dir(), "PATH=" + os.Getenv("PATH")}
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w: %s", filepath.Base(path), strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

func (e *environment) kubectl(args ...string) string {
	e.Helper()
	out, err := e.tool(e.cluster.Kubectl, nil, args...)
	e.check(err)
	return out
}

// tell prints what helps to understand a failure.
func (e *environment) tell() {
	for _, args := range [][]string{
		{"get", "netstack,netcomp,nodes,pods", "-A", "-o", "wide"},
		{"describe", "netstack"},
		{"get", "events", "-A", "--sort-by=.lastTimestamp"},
		{"logs", "-n", operatorNamespace, "-l", "app.kubernetes.io/component=operator", "--tail=60"},
		{"logs", "-n", "kube-flannel", "-l", "app=flannel", "-c", "kube-flannel", "--prefix", "--tail=40"},
	} {
		out, err := e.tool(e.cluster.Kubectl, nil, args...)
		e.Logf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	for _, n := range e.cluster.Nodes {
		for _, name := range []string{n.Name, "kubelet", "containerd"} {
			content, err := os.ReadFile(n.Log(name))
			e.Logf("%s of %s: %v\n%s", name, n.Name, err, content[max(0, len(content)-6000):])
		}
	}
}

// installOperator installs the chart, on a cluster where no Service answers.
func (e *environment) installOperator() {
	e.Helper()
	_, err := e.tool(e.cluster.Helm, nil, "install", "networkstack", filepath.Join(e.cluster.Root, "charts/networkstack"),
		"--namespace", operatorNamespace, "--create-namespace", "--set", "apiServer.host="+nodes.Gateway(e.families[0]),
		"--set", "charts.hostPath.path="+nodes.ChartsDir,
		"--set", fmt.Sprintf("apiServer.port=%d", e.cluster.ControlPlane.Port()))
	e.check(err)
}

// waitForOperator waits until the operator's pod is Ready.
func (e *environment) waitForOperator() time.Duration {
	e.Helper()
	return e.eventually("the operator", func() error {
		pods := &corev1.PodList{}
		if err := e.client.List(e.Context(), pods, client.InNamespace(operatorNamespace),
			client.MatchingLabels{"app.kubernetes.io/component": "operator"}); err != nil {
			return err
		}
		for _, pod := range pods.Items {
			if ready(&pod) {
				return nil
			}
		}
		return fmt.Errorf("none of %d pods is ready", len(pods.Items))
	})
}

func ready(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue && pod.DeletionTimestamp == nil
		}
	}
	return false
}

// apply applies a manifest as users do.
func (e *environment) apply(manifest string) {
	e.Helper()
	_, err := e.tool(e.cluster.Kubectl, strings.NewReader(manifest), "apply", "-f", "-")
	e.check(err)
}

// waitReady waits until the NetworkStack has settled on what it says now.
func (e *environment) waitReady() time.Duration {
	e.Helper()
	return e.eventually("the NetworkStack", func() error {
		stack := &networkstackv1alpha1.NetworkStack{}
		if err := e.client.Get(e.Context(), client.ObjectKey{Name: "cluster"}, stack); err != nil {
			return err
		}
		if stack.Status.ObservedGeneration != stack.Generation {
			return errors.New("not observed yet")
		}
		for _, c := range stack.Status.Conditions {
			if c.Type == "Ready" {
				if c.Status == metav1.ConditionTrue && c.ObservedGeneration == stack.Generation {
					return nil
				}
				return fmt.Errorf("%s: %s", c.Reason, c.Message)
			}
		}
		return errors.New("no condition Ready")
	})
}

// probe is a pod of package test/nodes.
type probe struct {
	name, node string
	addresses  map[corev1.IPFamily]string
}

// at is where the pod serves in a family.
func (p probe) at(family corev1.IPFamily) string {
	return net.JoinHostPort(p.addresses[family], "8080")
}

// makeProbes puts so many pods on every node, and a Service and one with a port of the nodes in front of them.
func (e *environment) makeProbes(each int) {
	e.Helper()
	e.makePods(each)
	e.makeServices()
}

func (e *environment) makePods(each int) {
	e.Helper()
	for _, n := range e.cluster.Nodes {
		for i := range each {
			e.makePod(probeNamespace, fmt.Sprintf("probe-%s-%c", strings.TrimPrefix(n.Name, "node-"), 'a'+i), n, "probe")
		}
	}
}

// makePod makes a pod on a node, with its app as a label.
func (e *environment) makePod(namespace, name string, node *nodes.Node, app string) {
	e.Helper()
	e.makeAnnotatedPod(namespace, name, node, app, nil)
}

func (e *environment) makeAnnotatedPod(namespace, name string, node *nodes.Node, app string, annotations map[string]string) {
	e.Helper()
	// Without a token: before there is a network kubelets fail to mount it, and wait up to two minutes before they try again.
	zero, token := int64(0), false
	e.check(e.client.Create(e.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": app}, Annotations: annotations},
		Spec: corev1.PodSpec{
			NodeName: node.Name, TerminationGracePeriodSeconds: &zero, AutomountServiceAccountToken: &token,
			Containers: []corev1.Container{{
				Name: "probe", Image: nodes.ProbeImage, ImagePullPolicy: corev1.PullNever, Args: []string{"serve"},
			}},
		},
	}))
}

func (e *environment) makeServices() {
	e.Helper()
	policy := corev1.IPFamilyPolicySingleStack
	if e.dual() {
		policy = corev1.IPFamilyPolicyRequireDualStack
	}
	for name, kind := range map[string]corev1.ServiceType{"web": corev1.ServiceTypeClusterIP, "door": corev1.ServiceTypeNodePort} {
		e.check(e.client.Create(e.Context(), &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: probeNamespace, Name: name},
			Spec: corev1.ServiceSpec{
				Type: kind, Selector: map[string]string{"app": "probe"}, IPFamilyPolicy: &policy,
				Ports: []corev1.ServicePort{
					{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)},
					{Name: "udp", Protocol: corev1.ProtocolUDP, Port: 80, TargetPort: intstr.FromInt32(8080)},
				},
			},
		}))
	}
}

// probes waits for the pods, and returns them.
func (e *environment) probes() []probe {
	e.Helper()
	var probes []probe
	e.eventually("the pods", func() error {
		pods := &corev1.PodList{}
		if err := e.client.List(e.Context(), pods, client.InNamespace(probeNamespace), client.MatchingLabels{"app": "probe"}); err != nil {
			return err
		}
		probes = nil
		for _, pod := range pods.Items {
			if !ready(&pod) {
				return fmt.Errorf("%s is not ready", pod.Name)
			}
			p := probe{name: pod.Name, node: pod.Spec.NodeName, addresses: map[corev1.IPFamily]string{}}
			if len(pod.Status.PodIPs) != len(e.families) {
				return fmt.Errorf("%s has the addresses %v", pod.Name, pod.Status.PodIPs)
			}
			for i, family := range e.families {
				p.addresses[family] = pod.Status.PodIPs[i].IP
				if strings.Contains(p.addresses[family], ":") != (family == corev1.IPv6Protocol) {
					return fmt.Errorf("%s has the addresses %v, which should be of %v", pod.Name, pod.Status.PodIPs, e.families)
				}
			}
			probes = append(probes, p)
		}
		if len(probes) == 0 {
			return errors.New("there are none")
		}
		return nil
	})
	return probes
}

// result is what a probe tells of one target.
type result struct {
	Target, Answer, Error string
	Millis                float64
}

// execute are the arguments of kubectl that let a pod do something. A pod of another namespace than the probes' is written namespace/name.
func execute(pod string, args ...string) []string {
	namespace, name, found := strings.Cut(pod, "/")
	if !found {
		namespace, name = probeNamespace, pod
	}
	return append([]string{"exec", "-n", namespace, name, "--", "/probe"}, args...)
}

// ask lets a pod do something, and returns what it tells; nothing of it has failed unless a result says so.
func (e *environment) ask(pod string, args ...string) ([]result, error) {
	out, err := e.tool(e.cluster.Kubectl, nil, execute(pod, args...)...)
	if err != nil {
		return nil, err
	}
	var results []result
	return results, json.Unmarshal([]byte(out), &results)
}

// must lets a pod reach all targets, now.
func (e *environment) must(pod string, args ...string) []result {
	e.Helper()
	results, err := e.ask(pod, args...)
	e.check(err)
	for _, r := range results {
		if r.Error != "" {
			e.Errorf("%s: %s %s: %s", pod, args[0], r.Target, r.Error)
		}
	}
	return results
}

// loss is what a stream tells.
type loss struct {
	Sent, Received       int
	GapMillis            float64
	P50Micros, P99Micros int64
	LastError            string

	description string
	// stalled is for how long the machine had pods stand still meanwhile, where that was measured.
	stalled time.Duration
}

// String is a line of a report.
func (l loss) String() string {
	return fmt.Sprintf("%-34s %6d sent, %4d lost (%.2f %%), longest gap %.0f ms, p50 %d µs, p99 %d µs %s",
		l.description, l.Sent, l.Sent-l.Received, 100*float64(l.Sent-l.Received)/float64(max(1, l.Sent)), l.GapMillis, l.P50Micros, l.P99Micros, l.LastError)
}

// stream lets a pod ask a target again and again until the function that it returns is called, which tells what was lost.
func (e *environment) stream(description, pod, kind, target string, interval time.Duration) func() loss {
	e.Helper()
	end := e.background(pod, "stream", kind, target, interval.String())
	return func() loss {
		e.Helper()
		l := loss{description: description}
		end(&l)
		return l
	}
}

// background lets a pod do something that says when it has begun, and ends when the function that it returns is called, which
// decodes what it tells.
func (e *environment) background(pod string, args ...string) func(into any) {
	e.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(e.Context()), e.cluster.Kubectl, slices.Insert(execute(pod, args...), 1, "-i")...)
	cmd.Env = []string{"KUBECONFIG=" + e.cluster.ControlPlane.Kubeconfig(), "HOME=" + e.cluster.ControlPlane.Dir()}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	input, err := cmd.StdinPipe()
	e.check(err)
	output, err := cmd.StdoutPipe()
	e.check(err)
	e.check(cmd.Start())
	lines := bufio.NewScanner(output)
	if !lines.Scan() || lines.Text() != "begun" {
		_ = input.Close()
		e.Fatalf("%s does not begin to %s: %q, %v: %s", pod, strings.Join(args, " "), lines.Text(), cmd.Wait(), errs.String())
	}
	return func(into any) {
		e.Helper()
		_ = input.Close()
		lines.Scan()
		failed := json.Unmarshal(lines.Bytes(), into)
		if err := errors.Join(failed, cmd.Wait()); err != nil {
			e.Fatalf("%s, %s: %v: %s", pod, strings.Join(args, " "), err, errs.String())
		}
	}
}

// gone waits until an object is no longer there.
func (e *environment) gone(object client.Object) time.Duration {
	e.Helper()
	return e.eventually(object.GetName()+" to be gone", func() error {
		err := e.client.Get(e.Context(), client.ObjectKeyFromObject(object), object)
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(err, errors.New("it is there"))
	})
}
