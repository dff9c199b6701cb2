package compose

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	. "github.com/networkstack/networkstack/api/v1alpha1" //nolint:revive // the tables read like the API
	"github.com/networkstack/networkstack/internal/facts"
	"github.com/networkstack/networkstack/test/testcharts"
)

// environmentOf is the environment of a container, by its list and name.
func environmentOf(t *testing.T, ds object, list, container string) map[string]string {
	t.Helper()
	containers, _ := lookup(ds, "spec.template.spec."+list)
	for _, c := range containers.([]any) {
		if c.(object)["name"] != container {
			continue
		}
		out := map[string]string{}
		for _, e := range c.(object)["env"].([]any) {
			if value, ok := e.(object)["value"].(string); ok {
				out[e.(object)["name"].(string)] = value
			}
		}
		return out
	}
	t.Fatalf("no container %s", container)
	return nil
}

// TestAWSRenders lets upstream's own chart read the derived values: what counts is what reaches the agents.
func TestAWSRenders(t *testing.T) {
	c := testcharts.Upstream(t, "aws-vpc-cni", "1.22.4")
	ours := facts.Installed{Type: facts.InstalledAWSVPC, Namespace: "kube-system", Name: "aws-node", Component: "aws-vpc-cni"}
	calicoThere := facts.Installed{Type: facts.InstalledCalico, Namespace: "calico-system", Name: "calico-node"}
	const absent = "absent"
	for _, tc := range []struct {
		name string
		in   Input
		// env is what is wanted of the agent's environment, and init of the init container's.
		env, init map[string]string
		policy    string
		// zones are the whole specs of ENIConfigs, by name.
		zones map[string]object
	}{
		{"IPv4", eks(), map[string]string{
			"ENABLE_IPv4": "true", "ENABLE_IPv6": "false", "ENABLE_PREFIX_DELEGATION": "false", "POD_MTU": absent, "AWS_VPC_ENI_MTU": "9001",
			"WARM_ENI_TARGET": "1", "WARM_IP_TARGET": absent, "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "false", "ENI_CONFIG_LABEL_DEF": absent,
			"ENABLE_POD_ENI": "false", "POD_SECURITY_GROUP_ENFORCING_MODE": absent, "AWS_VPC_K8S_CNI_EXTERNALSNAT": "false", "ANNOTATE_POD_IP": absent,
		}, map[string]string{"ENABLE_IPv6": "false", "DISABLE_TCP_EARLY_DEMUX": "false"}, "false", nil},
		{"IPv6", eks(func(in *Input) { makeIPv6(in.Facts) }), map[string]string{"ENABLE_IPv4": "false", "ENABLE_IPv6": "true", "ENABLE_PREFIX_DELEGATION": "true"},
			map[string]string{"ENABLE_IPv6": "true"}, "false", nil},
		{"MTU", eks(mtu(1500)), map[string]string{"POD_MTU": "1500", "AWS_VPC_ENI_MTU": "9001"}, nil, "false", nil},
		{"MTU of the nodes", eks(nodeMTUs(9001, 1500, 9001)), map[string]string{"POD_MTU": "1500"}, nil, "false", nil},
		{"everything", eks(policies(Enabled), awsBlock(AWSVPCSpec{
			PrefixDelegation: Enabled, PodSecurityGroups: AWSPodSecurityGroupsStrict, ExternalSNAT: Enabled,
			CustomNetworking: &AWSCustomNetworking{Zones: []AWSZone{{Name: "eu-west-1a", SubnetID: "subnet-0a", SecurityGroups: []string{"sg-01", "sg-02"}}, {Name: "eu-west-1b", SubnetID: "subnet-0b"}}},
			WarmTargets:      &AWSWarmTargets{Addresses: ptr[int32](5), MinimumAddresses: ptr[int32](10), Prefixes: ptr[int32](0)},
		})), map[string]string{
			"ENABLE_PREFIX_DELEGATION": "true", "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "true", "ENI_CONFIG_LABEL_DEF": "topology.kubernetes.io/zone",
			"WARM_IP_TARGET": "5", "MINIMUM_IP_TARGET": "10", "WARM_PREFIX_TARGET": "0", "ENABLE_POD_ENI": "true",
			"POD_SECURITY_GROUP_ENFORCING_MODE": "strict", "AWS_VPC_K8S_CNI_EXTERNALSNAT": "true",
		}, map[string]string{"DISABLE_TCP_EARLY_DEMUX": "true"}, "true", map[string]object{
			"eu-west-1a": {"subnet": "subnet-0a", "securityGroups": []any{"sg-01", "sg-02"}}, "eu-west-1b": {"subnet": "subnet-0b"},
		}},
		{"groups of the node too", eks(awsBlock(AWSVPCSpec{PodSecurityGroups: AWSPodSecurityGroupsStandard})),
			map[string]string{"POD_SECURITY_GROUP_ENFORCING_MODE": "standard"}, map[string]string{"DISABLE_TCP_EARLY_DEMUX": "false"}, "false", nil},
		{"policies by Calico", eks(there(ours, calicoThere)), map[string]string{"ANNOTATE_POD_IP": "true"}, nil, "false", nil},
		{"beside a kube-proxy of ours", eks(mode(KubeProxyIPTables), withoutKubeProxy), map[string]string{"AWS_VPC_K8S_CNI_VETHPREFIX": "eni"}, nil, "false", nil},
		{"values", eks(values(object{"env": object{"AWS_VPC_ENI_MTU": "1500", "ENABLE_BANDWIDTH_PLUGIN": "true"}})),
			map[string]string{"AWS_VPC_ENI_MTU": "1500", "ENABLE_BANDWIDTH_PLUGIN": "true"}, nil, "false", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rel, v := releaseNamed(t, accepted(t, tc.in), "aws-vpc-cni")
			if rel.Spec.Namespace != "kube-system" || rel.Spec.ReleaseName != "aws-vpc-cni" || rel.Spec.NamespaceLabels != nil {
				t.Errorf("release %s in %s with %v", rel.Spec.ReleaseName, rel.Spec.Namespace, rel.Spec.NamespaceLabels)
			}
			objects := render(t, c, rel, v)
			ds := objects["DaemonSet aws-node"]
			compare := func(what string, want, all map[string]string) {
				got := map[string]string{}
				for key := range want {
					value, ok := all[key]
					if !ok {
						value = absent
					}
					got[key] = value
				}
				if diff := cmp.Diff(want, got); want != nil && diff != "" {
					t.Errorf("environment of %s (-want +got):\n%s", what, diff)
				}
			}
			compare("the agent", tc.env, environmentOf(t, ds, "containers", "aws-node"))
			compare("the init container", tc.init, environmentOf(t, ds, "initContainers", "aws-vpc-cni-init"))
			if got, _ := lookup(objects["ConfigMap amazon-vpc-cni"], "data"); got.(object)["enable-network-policy-controller"] != tc.policy {
				t.Errorf("policies: %v", got)
			}
			zones := map[string]object{}
			for name, o := range objects {
				if spec, ok := o["spec"].(object); ok && o["kind"] == "ENIConfig" {
					zones[name[len("ENIConfig "):]] = spec
				}
			}
			if diff := cmp.Diff(tc.zones, zones); len(tc.zones)+len(zones) > 0 && diff != "" {
				t.Errorf("ENIConfigs (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAWSKubeProxy wants kube-proxy to know pods by their interfaces: their addresses are those of nodes' subnets.
func TestAWSKubeProxy(t *testing.T) {
	_, v := releaseNamed(t, accepted(t, eks(mode(KubeProxyIPTables), withoutKubeProxy)), "kube-proxy")
	prefix, _ := lookup(v, "detectLocal.interfaceNamePrefix")
	if v["detectLocalMode"] != "InterfaceNamePrefix" || prefix != "eni" || v["clusterCIDR"] != nil {
		t.Errorf("%v", v)
	}
}

// TestAWSAddOn wants an add-on to be left alone, reported and relied on.
func TestAWSAddOn(t *testing.T) {
	addOn := ranBy("EKS add-on", facts.InstalledAWSVPC, "aws-node")
	addOn.Image = "602401143452.dkr.ecr.eu-west-1.amazonaws.com/amazon-k8s-cni:v1.21.1-eksbuild.1"
	r := accepted(t, eks(there(addOn)))
	if len(r.Releases) > 0 || len(r.ReliesOn) != 1 || r.ReliesOn[0].Name != "aws-node" {
		t.Errorf("releases %v, relies on %v", r.Releases, r.ReliesOn)
	}
	for _, e := range r.Effective {
		if e.Setting == "cni: version" && e.Value == "v1.21.1-eksbuild.1" {
			return
		}
	}
	t.Errorf("the version is not among %v", r.Effective)
}
