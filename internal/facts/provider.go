package facts

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Cloud is where nodes run.
type Cloud string

// The clouds that matter to what is composed; others have the names of knownClouds.
const (
	CloudAWS   Cloud = "AWS"
	CloudAzure Cloud = "Azure"
	CloudGCP   Cloud = "GCP"
)

// Distribution is what made a cluster and keeps parts of it.
type Distribution string

// The distributions.
const (
	DistributionEKS       Distribution = "EKS"
	DistributionAKS       Distribution = "AKS"
	DistributionGKE       Distribution = "GKE"
	DistributionK3s       Distribution = "k3s"
	DistributionRKE2      Distribution = "RKE2"
	DistributionOpenShift Distribution = "OpenShift"
	DistributionTalos     Distribution = "Talos"
	DistributionKubeadm   Distribution = "kubeadm"
	DistributionMKE       Distribution = "MKE"
)

// knownClouds are the schemes of Node.spec.providerID, which a node's cloud provider writes once.
var knownClouds = map[string]Cloud{
	"aws":          CloudAWS,
	"azure":        CloudAzure,
	"gce":          CloudGCP,
	"digitalocean": "DigitalOcean",
	"hcloud":       "Hetzner",
	"ibm":          "IBM",
	"linode":       "Linode",
	"oci":          "Oracle",
	"openstack":    "OpenStack",
	"scaleway":     "Scaleway",
	"vsphere":      "vSphere",
}

// nodeLabels are the labels by whose key alone a node shows what made it. A kubelet of a managed service gets them from
// that service.
var nodeLabels = []struct {
	key          string
	distribution Distribution
	cloud        Cloud
}{
	{"eks.amazonaws.com/nodegroup", DistributionEKS, CloudAWS},
	{"eks.amazonaws.com/compute-type", DistributionEKS, ""}, // hybrid nodes run elsewhere
	{"kubernetes.azure.com/cluster", DistributionAKS, CloudAzure},
	{"cloud.google.com/gke-nodepool", DistributionGKE, CloudGCP},
	{"node.openshift.io/os_id", DistributionOpenShift, ""},
}

// versionMarks are what distributions append to the API server's version.
var versionMarks = []struct {
	mark         string
	distribution Distribution
}{
	{"-eks-", DistributionEKS},
	{"-gke.", DistributionGKE},
	{"+k3s", DistributionK3s},
	{"+rke2r", DistributionRKE2},
}

// nestedScheme is that of nodes which kind makes: containers of one machine.
const nestedScheme = "kind://"

// mkeLabels begin the labels that Mirantis Kubernetes Engine, once Docker Enterprise, puts on its nodes.
const mkeLabels = "com.docker.ucp."

// talosImage begins what a node of Talos reports as its operating system.
const talosImage = "Talos"

// ProviderScheme is as much of a Node.spec.providerID as facts read: "aws://" of "aws:///eu-west-1a/i-0123".
func ProviderScheme(providerID string) string {
	scheme, _, ok := strings.Cut(providerID, "://")
	if !ok {
		return ""
	}
	return scheme + "://"
}

func cloudOfNode(n *corev1.Node) Cloud {
	if scheme, _, ok := strings.Cut(n.Spec.ProviderID, "://"); ok {
		return knownClouds[scheme]
	}
	for _, l := range nodeLabels {
		if _, has := n.Labels[l.key]; has && l.cloud != "" {
			return l.cloud
		}
	}
	return ""
}

func distributionOfNode(n *corev1.Node) Distribution {
	for _, l := range nodeLabels {
		if _, has := n.Labels[l.key]; has {
			return l.distribution
		}
	}
	for key := range n.Labels {
		if strings.HasPrefix(key, mkeLabels) {
			return DistributionMKE
		}
	}
	if strings.HasPrefix(n.Status.NodeInfo.OSImage, talosImage) {
		return DistributionTalos
	}
	return ""
}

// cloudOf is the one cloud of all nodes that name one.
func cloudOf(nodes []Node) Cloud {
	var found Cloud
	for _, n := range nodes {
		if n.Cloud == "" {
			continue
		}
		if found != "" && n.Cloud != found {
			return ""
		}
		found = n.Cloud
	}
	return found
}

// distributionOf goes by the API server's version first, then by what nodes show, then by kubeadm's configuration, which
// others that build on kubeadm have as well.
func distributionOf(version string, nodes []Node, kubeadm bool) Distribution {
	for _, m := range versionMarks {
		if strings.Contains(version, m.mark) {
			return m.distribution
		}
	}
	if i := slices.IndexFunc(nodes, func(n Node) bool { return n.Distribution != "" }); i >= 0 {
		return nodes[i].Distribution
	}
	if kubeadm {
		return DistributionKubeadm
	}
	return ""
}

// markKept says of the kube-proxy of AKS that AKS keeps it, even if its marks change.
func (s *Snapshot) markKept() {
	if s.Distribution != DistributionAKS {
		return
	}
	for n := range s.Installed {
		i := &s.Installed[n]
		if i.Type == InstalledKubeProxy && i.Namespace == "kube-system" && i.Component == "" && !i.Parked {
			i.Manager, i.Kept = cmp.Or(i.Manager, aks), true
			i.Source = i.Manager
		}
	}
}
