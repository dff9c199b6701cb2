package matrix_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/test/testcharts"
)

const awsVersion = "1.22.4"

// awsCell is one combination of the AWS VPC CNI's settings.
type awsCell struct {
	settings
	policy   Toggle
	prefixes Toggle
	custom   bool
}

func (c awsCell) String() string {
	return fmt.Sprintf("%s policy=%s prefixes=%s custom=%v", c.settings, c.policy, c.prefixes, c.custom)
}

func awsCells() []awsCell {
	var out []awsCell
	for _, s := range every([]Encapsulation{"", EncapsulationNone, EncapsulationVXLAN, EncapsulationGeneve, EncapsulationIPIP}, EncryptionNone, EncryptionWireGuard, EncryptionIPsec) {
		for _, policy := range []Toggle{"", Enabled} {
			for _, prefixes := range []Toggle{"", Enabled, Disabled} {
				for _, custom := range []bool{false, true} {
					out = append(out, awsCell{s, policy, prefixes, custom})
				}
			}
		}
	}
	return out
}

// refused are the fields that have to be refused, found out without the composition.
func (c awsCell) refused() []string {
	fields := map[string]bool{}
	if c.encapsulation != "" && c.encapsulation != EncapsulationNone {
		fields["spec.cni.encapsulation"] = true
	}
	if c.encryption != EncryptionNone {
		fields["spec.cni.encryption.type"] = true
	}
	if c.mode == KubeProxyReplaced || c.mode == KubeProxyNFTables {
		fields["spec.kubeProxy.mode"] = true
	}
	if len(c.families) == 2 {
		fields["spec.ipFamilies"] = true
	}
	if c.ipv6() && c.prefixes == Disabled {
		fields["spec.cni.awsVPC.prefixDelegation"] = true
	}
	if c.ipv6() && c.custom {
		fields["spec.cni.awsVPC.customNetworking"] = true
	}
	return slices.Sorted(maps.Keys(fields))
}

func (c awsCell) ipv6() bool { return len(c.families) == 1 && c.families[0] == IPv6 }

// input is the combination on EKS.
func (c awsCell) input() compose.Input {
	in := c.settings.input()
	s := &in.Stack.Spec
	s.IPPools = nil
	s.CNI.Type = CNIAWSVPC
	s.CNI.AWSVPC = &AWSVPCSpec{PrefixDelegation: c.prefixes}
	s.CNI.NetworkPolicy = c.policy
	if c.custom {
		s.CNI.AWSVPC.CustomNetworking = &AWSCustomNetworking{Zones: []AWSZone{{Name: "eu-west-1a", SubnetID: "subnet-0a1b", SecurityGroups: []string{"sg-01"}}}}
	}
	in.Facts.Cloud, in.Facts.Distribution = facts.CloudAWS, facts.DistributionEKS
	in.Facts.Nodes[0].MTU = 9001
	return in
}

// TestAWSVPC goes through all combinations, as TestCalico does.
func TestAWSVPC(t *testing.T) {
	upstream := testcharts.Upstream(t, "aws-vpc-cni", awsVersion)
	server := newStacks(t)
	for _, f := range upstream.CRDObjects() {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(f.File.Data, &o.Object); err != nil {
			t.Fatal(err)
		}
		server.apply(o, false)
	}
	server.waitFor("crd.k8s.amazonaws.com/v1alpha1", "ENIConfig")

	matrix[awsCell]{
		cells: awsCells(), release: "aws-vpc-cni", upstream: upstream, composed: 50, rules: 5,
		varies: func(*unstructured.Unstructured) bool { return true },
	}.run(t, server)
}

// check looks for what was asked for in the agent's environment.
func (c awsCell) check(t *testing.T, objects []*unstructured.Unstructured) {
	t.Helper()
	prefixes := c.prefixes == Enabled || c.ipv6()
	want := map[string]string{
		"ENABLE_IPv4": fmt.Sprint(!c.ipv6()), "ENABLE_IPv6": fmt.Sprint(c.ipv6()), "ENABLE_PREFIX_DELEGATION": fmt.Sprint(prefixes),
		"POD_MTU": "9001", "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": fmt.Sprint(c.custom),
	}
	zones := 0
	for _, o := range objects {
		switch o.GetKind() {
		case "ENIConfig":
			zones++
		case "ConfigMap":
			if on, _, _ := unstructured.NestedString(o.Object, "data", "enable-network-policy-controller"); on != fmt.Sprint(c.policy == Enabled) {
				t.Errorf("%s: policies %q", c, on)
			}
		case "DaemonSet":
			containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
			env, _, _ := unstructured.NestedSlice(containers[0].(map[string]any), "env")
			for _, e := range env {
				name, _ := e.(map[string]any)["name"].(string)
				if value, wanted := want[name]; wanted && e.(map[string]any)["value"] == value {
					delete(want, name)
				}
			}
		}
	}
	if len(want) > 0 || zones != map[bool]int{true: 1}[c.custom] {
		t.Errorf("%s: lacks %v; ENIConfigs %d", c, want, zones)
	}
}

// TestCloudObjects gives the API server objects of types that clouds run, that it can judge without the operator.
func TestCloudObjects(t *testing.T) {
	server := newStacks(t)
	zones := func(z ...AWSZone) *AWSVPCSpec {
		return &AWSVPCSpec{CustomNetworking: &AWSCustomNetworking{Zones: z}}
	}
	for _, tc := range []struct {
		name string
		cni  CNISpec
		pool bool
		// text that the API server's answer has; none for what it takes.
		text string
	}{
		{"GKE", CNISpec{Type: CNIGKE}, false, ""},
		{"AzureCNI", CNISpec{Type: CNIAzure}, false, ""},
		{"AWSVPC", CNISpec{Type: CNIAWSVPC, AWSVPC: zones(AWSZone{Name: "eu-west-1a", SubnetID: "subnet-0a"})}, false, ""},
		{"Kubenet", CNISpec{Type: CNIKubenet}, false, "kubenet is gone"},
		{"GKE with a version", CNISpec{Type: CNIGKE, ComponentSettings: ComponentSettings{Version: "1.20.0"}}, false, "run by the cloud"},
		{"AzureCNI with encapsulation", CNISpec{Type: CNIAzure, Encapsulation: EncapsulationVXLAN}, false, "run by the cloud"},
		{"AzureCNI with encryption", CNISpec{Type: CNIAzure, Encryption: &EncryptionSpec{Type: EncryptionWireGuard}}, false, "run by the cloud"},
		{"block for another type", CNISpec{Type: CNIFlannel, AWSVPC: &AWSVPCSpec{}}, false, "set type to AWSVPC"},
		{"AWSVPC with pools", CNISpec{Type: CNIAWSVPC}, true, "remove ipPools"},
		{"AWSVPC with encapsulation", CNISpec{Type: CNIAWSVPC, Encapsulation: EncapsulationVXLAN}, false, "neither encapsulates nor encrypts"},
		{"AWSVPC without zones", CNISpec{Type: CNIAWSVPC, AWSVPC: zones()}, false, "zones"},
		{"AWSVPC with a subnet's range", CNISpec{Type: CNIAWSVPC, AWSVPC: zones(AWSZone{Name: "a", SubnetID: "10.0.0.0/24"})}, false, "subnetID"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			stack := &NetworkStack{ObjectMeta: metav1.ObjectMeta{Name: "cluster"}, Spec: NetworkStackSpec{CNI: tc.cni}}
			if tc.pool {
				stack.Spec.IPPools = []IPPool{{Name: "default", CIDRs: []string{"10.244.0.0/16"}}}
			}
			if tc.text == "" {
				server.judgesAlike(t, stack)
				return
			}
			server.judgesAlike(t, stack, tc.text)
		})
	}
}
