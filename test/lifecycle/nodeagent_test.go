package lifecycle

import (
	"context"
	"path/filepath"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/operator"
)

const (
	agentImage = "example.com/networkstack-operator:v1"
	agentName  = "networkstack-node-agent"
)

// tellMTU installs the node agent. Its pods are simulated, so the test runs the operator's binary as one of them, with that pod's
// token, and tries what the token is good for.
func tellMTU(t *testing.T, e *env, stack *networkstackv1alpha1.NetworkStack) {
	e.apply(stack)
	e.waitReady(stack.Name)
	revision := e.revision("flannel")
	stack.Spec.NodeAgent = &networkstackv1alpha1.NodeAgentSpec{Mode: networkstackv1alpha1.Enabled}
	e.apply(stack)
	e.eventually("the node agent to be Ready", func(context.Context) (bool, string) {
		var c networkstackv1alpha1.NetworkComponent
		err := e.client.Get(t.Context(), client.ObjectKey{Name: "node-agent"}, &c)
		return err == nil && c.Status.Phase == networkstackv1alpha1.PhaseReady, toJSON(c.Status)
	})
	e.waitReady(stack.Name)
	agent, cni := e.component("node-agent"), e.component("flannel")
	if agent.Spec.Stage >= cni.Spec.Stage || agent.Spec.Stage <= e.component("kube-proxy").Spec.Stage {
		t.Errorf("the agent is at stage %d", agent.Spec.Stage)
	}
	if r := e.revision("flannel"); r != revision {
		t.Errorf("Flannel was changed by an agent that told nothing new: revision %d", r)
	}
	var ds appsv1.DaemonSet
	e.check(e.client.Get(t.Context(), client.ObjectKey{Namespace: "kube-system", Name: agentName}, &ds))
	if image := ds.Spec.Template.Spec.Containers[0].Image; image != agentImage {
		t.Errorf("the agent runs %s", image)
	}

	mine, others := "node-0", "node-2"
	bound := e.agentConfig(mine)
	agents, err := kubernetes.NewForConfig(bound)
	e.check(err)
	patch := func(c kubernetes.Interface, node, patch string, subresources ...string) error {
		_, err := c.CoreV1().Nodes().Patch(t.Context(), node, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, subresources...)
		return err
	}
	annotate := func(key, value string) string { return `{"metadata":{"annotations":{"` + key + `":` + value + `}}}` }
	const key = networkstackv1alpha1.NodeMTUAnnotation
	for _, tc := range []struct{ what, node, patch string }{
		{"another node", others, annotate(key, `"1500"`)},
		{"another annotation", mine, annotate("example.com/x", `"y"`)},
		{"somebody's annotation taken away", mine, annotate("kwok.x-k8s.io/node", `null`)},
		{"a label", mine, `{"metadata":{"labels":{"node-role.kubernetes.io/control-plane":""}}}`},
		{"a taint", mine, `{"spec":{"taints":[{"key":"x","effect":"NoSchedule"}]}}`},
		{"a finalizer", mine, `{"metadata":{"finalizers":["example.com/x"]}}`},
		{"an owner", mine, `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"Node","name":"node-2","uid":"x"}]}}`},
		{"what is no MTU", mine, annotate(key, `"many"`)},
		{"what is no number of virtual servers", mine, annotate(networkstackv1alpha1.NodeIPVSAnnotation, `"many"`)},
		{"what is neither true nor false", mine, annotate(networkstackv1alpha1.NodeBridgesAnnotation, `"maybe"`)},
		{"the MTU and a label", mine, `{"metadata":{"annotations":{"` + key + `":"1500"},"labels":{"a":"b"}}}`},
	} {
		e.eventually("the agent not to be allowed "+tc.what, func(context.Context) (bool, string) {
			err := patch(agents, tc.node, tc.patch)
			return apierrors.IsInvalid(err) || apierrors.IsForbidden(err), toJSON(err)
		})
	}
	if err := patch(agents, mine, `{"status":{"phase":"x"}}`, "status"); !apierrors.IsForbidden(err) {
		t.Errorf("the agent may change a status: %v", err)
	}
	if _, err := agents.CoreV1().Nodes().Get(t.Context(), mine, metav1.GetOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("the agent may read nodes: %v", err)
	}
	unbound, _, err := e.cp.ServiceAccountConfig(t.Context(), "kube-system", agentName)
	e.check(err)
	nobody, err := kubernetes.NewForConfig(unbound)
	e.check(err)
	if err := patch(nobody, mine, annotate(key, `"1500"`)); !apierrors.IsInvalid(err) && !apierrors.IsForbidden(err) {
		t.Errorf("a token that is no pod's may change a node: %v", err)
	}
	// Everybody else is as free as before.
	admin, err := kubernetes.NewForConfig(e.cp.RESTConfig())
	e.check(err)
	e.check(patch(admin, mine, annotate("example.com/admin", `"y"`)))

	path := filepath.Join(t.TempDir(), "agent.kubeconfig")
	e.check(clientcmd.WriteToFile(kubeconfigOf(bound), path))
	process, err := operator.Start(operator.Options{
		Binary: operatorBinary, Kubeconfig: path, Log: e.log, Args: []string{"node-agent", "--node-name", mine, "--node-addresses", "127.0.0.1"},
	})
	e.check(err)
	told := func(want string) {
		t.Helper()
		e.eventually("the MTU "+want+" to be told", func(ctx context.Context) (bool, string) {
			var node corev1.Node
			e.check(e.client.Get(ctx, client.ObjectKey{Name: mine}, &node))
			_, services := node.Annotations[networkstackv1alpha1.NodeIPVSAnnotation]
			_, bridges := node.Annotations[networkstackv1alpha1.NodeBridgesAnnotation]
			return node.Annotations[key] == want && services && bridges, toJSON(node.Annotations)
		})
	}
	e.check(patch(admin, mine, annotate(key, `null`)))
	// The loopback interface, which stands for the node's.
	told("65536")
	e.check(process.Stop())

	// A smaller one is every pod's.
	e.check(patch(agents, mine, annotate(key, `"1400"`)))
	e.eventually("the MTU of pods to follow", func(context.Context) (bool, string) {
		s := e.stack(stack.Name)
		for _, f := range s.Status.Effective {
			if f.Setting == "spec.mtu" {
				return f.Value == "1350", f.Value
			}
		}
		return false, toJSON(s.Status.Effective)
	})
	e.waitReady(stack.Name)

	// What was told stays when the agent goes, and so does the MTU.
	stack.Spec.NodeAgent.Mode = networkstackv1alpha1.Disabled
	revision = e.revision("flannel")
	e.apply(stack)
	e.gone(&ds)
	e.waitReady(stack.Name)
	told("1400")
	if r := e.revision("flannel"); r != revision {
		t.Errorf("Flannel changed with the agent: revision %d, was %d", r, revision)
	}
}

// agentConfig authenticates as the agent's pod on a node, as the kubelet would have it.
func (e *env) agentConfig(node string) *rest.Config {
	e.t.Helper()
	admin, err := kubernetes.NewForConfig(e.cp.RESTConfig())
	e.check(err)
	var pod *corev1.Pod
	e.eventually("the agent's pod on "+node, func(ctx context.Context) (bool, string) {
		pods, err := admin.CoreV1().Pods("kube-system").List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=node-agent"})
		e.check(err)
		for i := range pods.Items {
			if pods.Items[i].Spec.NodeName == node {
				pod = &pods.Items[i]
			}
		}
		return pod != nil, toJSON(len(pods.Items))
	})
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID}}}
	token, err := admin.CoreV1().ServiceAccounts(pod.Namespace).CreateToken(e.t.Context(), agentName, request, metav1.CreateOptions{})
	e.check(err)
	config := rest.AnonymousClientConfig(e.cp.RESTConfig())
	config.BearerToken = token.Status.Token
	return config
}

func kubeconfigOf(c *rest.Config) clientcmdapi.Config {
	out := clientcmdapi.NewConfig()
	out.Clusters["c"] = &clientcmdapi.Cluster{Server: c.Host, CertificateAuthorityData: c.CAData, CertificateAuthority: c.CAFile}
	out.AuthInfos["a"] = &clientcmdapi.AuthInfo{Token: c.BearerToken}
	out.Contexts["c"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "a"}
	out.CurrentContext = "c"
	return *out
}
