package facts

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// shows is a node with a provider ID, an operating system's name, and labels.
func shows(name, providerID, image string, labels ...string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"topology.kubernetes.io/zone": "a"}}}
	for _, l := range labels {
		n.Labels[l] = "x"
	}
	n.Spec.ProviderID = providerID
	n.Status.NodeInfo.OSImage = image
	return n
}

func TestDiscoverProvider(t *testing.T) {
	const (
		eksPool = "eks.amazonaws.com/nodegroup"
		aksNode = "kubernetes.azure.com/cluster"
		gkePool = "cloud.google.com/gke-nodepool"
	)
	kubeadm := kubeadmConfig("networking: {}")
	for _, tc := range []struct {
		name, version string
		objects       []client.Object
		cloud         Cloud
		distribution  Distribution
	}{
		{name: "nothing known", version: "v1.37.2"},
		{"EKS", "v1.33.5-eks-3025e55", []client.Object{shows("a", "aws:///eu-west-1a/i-0123", "Amazon Linux", eksPool)}, CloudAWS, DistributionEKS},
		{"EKS without nodes", "v1.33.5-eks-3025e55", nil, "", DistributionEKS},
		{"EKS with a node elsewhere", "v1.33.5-eks-3025e55",
			[]client.Object{shows("a", "aws:///eu-west-1a/i-0123", "", eksPool), shows("b", "eks-hybrid:///eu-west-1/cluster/b", "", "eks.amazonaws.com/compute-type")},
			CloudAWS, DistributionEKS},
		{"EKS by its nodes alone", "v1.33.5", []client.Object{shows("a", "", "", eksPool)}, CloudAWS, DistributionEKS},
		// AKS leaves no mark in the version.
		{"AKS", "v1.34.1", []client.Object{shows("a", "azure:///subscriptions/0/resourceGroups/x/vm/0", "Ubuntu", aksNode)}, CloudAzure, DistributionAKS},
		{"GKE", "v1.34.1-gke.1829000", []client.Object{shows("a", "gce://project/zone/name", "Container-Optimized OS", gkePool)}, CloudGCP, DistributionGKE},
		{"GKE without provider IDs", "v1.34.1-gke.1829000", []client.Object{shows("a", "", "", gkePool)}, CloudGCP, DistributionGKE},
		{"k3s", "v1.34.1+k3s1", []client.Object{shows("a", "k3s://a", "Alpine")}, "", DistributionK3s},
		{"k3s on AWS", "v1.34.1+k3s1", []client.Object{shows("a", "aws:///eu-west-1a/i-0123", "")}, CloudAWS, DistributionK3s},
		{"RKE2", "v1.34.1+rke2r1", []client.Object{shows("a", "rke2://a", "")}, "", DistributionRKE2},
		{"OpenShift", "v1.33.4+f10c92d", []client.Object{shows("a", "", "Red Hat CoreOS", "node.openshift.io/os_id")}, "", DistributionOpenShift},
		{"Talos", "v1.34.1", []client.Object{shows("a", "hcloud://1", "Talos (v1.11.2)")}, "Hetzner", DistributionTalos},
		{"MKE", "v1.34.1", []client.Object{shows("a", "", "Ubuntu", "com.docker.ucp.orchestrator.kubernetes")}, "", DistributionMKE},
		{"kubeadm", "v1.37.2", []client.Object{shows("a", "", "Debian"), kubeadm}, "", DistributionKubeadm},
		{"kubeadm on Azure", "v1.37.2", []client.Object{shows("a", "azure:///subscriptions/0", ""), kubeadm}, CloudAzure, DistributionKubeadm},
		// kubeadm's configuration is no sure sign beside others.
		{"a version before kubeadm", "v1.34.1+k3s1", []client.Object{kubeadm}, "", DistributionK3s},
		{"a node before kubeadm", "v1.34.1", []client.Object{kubeadm, shows("a", "", "Talos (v1.11.2)")}, "", DistributionTalos},
		{"two clouds", "v1.37.2", []client.Object{shows("a", "aws:///x/i-1", ""), shows("b", "gce://p/z/n", "")}, "", ""},
		{"one cloud, and nodes that do not say", "v1.37.2", []client.Object{shows("a", "", ""), shows("b", "gce://p/z/n", "")}, CloudGCP, ""},
		{"a provider of nobody's", "v1.37.2", []client.Object{shows("a", "kind://docker/kind/a", "Debian")}, "", ""},
		{"an ID without a scheme", "v1.37.2", []client.Object{shows("a", "aws", "")}, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := discoverer(tc.objects...)
			d.Version = &apiVersion{answer: tc.version}
			s, err := d.Discover(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if s.Cloud != tc.cloud || s.Distribution != tc.distribution {
				t.Errorf("cloud %q, distribution %q; want %q, %q", s.Cloud, s.Distribution, tc.cloud, tc.distribution)
			}
			if r := Report(s); r.Cloud != string(tc.cloud) || r.Distribution != string(tc.distribution) {
				t.Errorf("reported are %q and %q", r.Cloud, r.Distribution)
			}
		})
	}
}

// TestSignsAreEnough wants the same to be found on what the cache keeps of nodes.
func TestSignsAreEnough(t *testing.T) {
	for _, n := range []*corev1.Node{
		shows("a", "aws:///eu-west-1a/i-0123", "", "eks.amazonaws.com/nodegroup"),
		shows("a", "azure:///subscriptions/0", "", "kubernetes.azure.com/cluster"),
		shows("a", "", "Talos (v1.11.2)"),
	} {
		kept := n.DeepCopy()
		kept.Spec.ProviderID = ProviderScheme(n.Spec.ProviderID)
		if cloudOfNode(n) != cloudOfNode(kept) || distributionOfNode(n) != distributionOfNode(kept) || distributionOfNode(n) == "" {
			t.Errorf("%s %s: %s %s of what is kept", cloudOfNode(n), distributionOfNode(n), cloudOfNode(kept), distributionOfNode(kept))
		}
	}
}

// TestDiscoverKubeProxyOfAKS wants it to be kept by AKS there, and nowhere else.
func TestDiscoverKubeProxyOfAKS(t *testing.T) {
	aksNode := shows("a", "azure:///x", "", "kubernetes.azure.com/cluster")
	for _, tc := range []struct {
		name    string
		node    *corev1.Node
		labels  map[string]string
		manager string
		kept    bool
	}{
		{"without a mark", aksNode, nil, "AKS", true},
		{"with another mark", aksNode, map[string]string{"addonmanager.kubernetes.io/mode": "Reconcile"}, "the cloud's add-on manager", true},
		{"ours", aksNode, map[string]string{networkstackv1alpha1.ComponentLabel: "kube-proxy"}, "NetworkStack", false},
		{"elsewhere", shows("a", "azure:///x", ""), nil, "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ds := daemonSet("kube-system", "kube-proxy", "kube-proxy")
			ds.Labels = tc.labels
			p := discover(t, tc.node, ds).KubeProxy()
			if p == nil || p.Manager != tc.manager || p.Kept != tc.kept {
				t.Errorf("%+v", p)
			}
		})
	}
}

func TestAvailable(t *testing.T) {
	for _, tc := range []struct {
		name                 string
		generation, observed int64
		desired, available   int32
		want                 bool
	}{
		{"everywhere", 1, 1, 3, 3, true},
		{"nowhere to run", 1, 1, 0, 0, true},
		{"missing on a node", 1, 1, 3, 2, false},
		{"not looked at yet", 1, 0, 0, 0, false},
		{"changed since", 2, 1, 3, 3, false},
	} {
		ds := daemonSet("kube-system", "anetd", "cilium-agent")
		ds.Generation, ds.Status.ObservedGeneration = tc.generation, tc.observed
		ds.Status.DesiredNumberScheduled, ds.Status.NumberAvailable = tc.desired, tc.available
		if i, ok := recognise(ds); !ok || i.Unavailable == tc.want || Available(ds) != tc.want {
			t.Errorf("%s: %+v", tc.name, i)
		}
	}
}
