package lifecycle

import (
	"context"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/test/controlplane"
	"github.com/networkstack/networkstack/test/testcharts"
)

const awsVersion = "1.22.4"

// TestAWSVPCStack goes through the life of the sample with upstream's chart, on nodes that look like those of EC2.
func TestAWSVPCStack(t *testing.T) {
	t.Parallel()
	charts := testcharts.PinnedDir(t, "aws-vpc-cni", awsVersion)
	e := newEnv(t, controlplane.Options{
		ServiceCIDRs: []string{"10.96.0.0/16"},
		Node: controlplane.NodeOptions{
			Override: func(i int, node *corev1.Node) {
				zone := "eu-west-1" + string(rune('a'+i%2))
				node.Spec.ProviderID = "aws:///" + zone + "/i-" + node.Name
				node.Labels[corev1.LabelTopologyZone] = zone
			},
		},
	}, "--charts", charts)
	stack := sample(t, "networkstack_awsvpc.yaml")
	stack.Spec.DeletionPolicy = networkstackv1alpha1.DeletionDelete
	e.apply(stack)
	ready := e.waitReady(stack.Name)
	if f := ready.Status.Facts; f.Cloud != "AWS" {
		t.Errorf("facts: %s", toJSON(f))
	}
	for key, want := range map[string]string{
		"ENABLE_PREFIX_DELEGATION": "true", "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "true", "WARM_PREFIX_TARGET": "1",
		"ENABLE_IPv4": "true", "ENI_CONFIG_LABEL_DEF": corev1.LabelTopologyZone,
	} {
		if got := e.awsSetting(key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}

	stack.Spec.CNI.AWSVPC.WarmTargets.Prefixes = new(int32)
	*stack.Spec.CNI.AWSVPC.WarmTargets.Prefixes = 2
	e.apply(stack)
	e.waitReady(stack.Name)
	if got := e.awsSetting("WARM_PREFIX_TARGET"); got != "2" {
		t.Errorf("WARM_PREFIX_TARGET is %q", got)
	}

	before := e.count("aws-vpc-cni")
	zone := eniConfig("eu-west-1a")
	e.check(e.client.Patch(t.Context(), zone, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"subnet":"subnet-elsewhere"}}`)),
		client.FieldOwner("intruder")))
	if last := e.drifts("aws-vpc-cni", before+1); last.Fields[0].Path != ".spec.subnet" || !strings.Contains(last.Fields[0].Found, "elsewhere") {
		t.Errorf("%s", toJSON(last))
	}
	e.eventually("the subnet to be put right", func(ctx context.Context) (bool, string) {
		e.check(e.client.Get(ctx, client.ObjectKeyFromObject(zone), zone))
		subnet, _, _ := unstructured.NestedString(zone.Object, "spec", "subnet")
		return subnet == "subnet-0123456789abcdef0", subnet
	})

	e.check(e.client.Delete(t.Context(), stack.DeepCopy()))
	e.nothingLeft(stack)
	e.gone(eniConfig("eu-west-1b"))
	e.gone(&appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "aws-node"}})
}

func eniConfig(name string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(schema.GroupVersionKind{Group: "crd.k8s.amazonaws.com", Version: "v1alpha1", Kind: "ENIConfig"})
	u.SetName(name)
	return u
}

// awsSetting is a variable in the environment of the agent.
func (e *env) awsSetting(name string) string {
	e.t.Helper()
	var ds appsv1.DaemonSet
	e.check(e.client.Get(e.t.Context(), client.ObjectKey{Namespace: "kube-system", Name: "aws-node"}, &ds))
	for _, c := range ds.Spec.Template.Spec.Containers {
		for _, env := range c.Env {
			if env.Name == name {
				return env.Value
			}
		}
	}
	return ""
}
