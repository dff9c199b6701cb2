package facts

import (
	appsv1 "k8s.io/api/apps/v1"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/ownership"
)

// ParkedNodeSelector keeps a parked kube-proxy off every node: no node carries this label.
const ParkedNodeSelector = "networkstack.io/kube-proxy-parked"

// CalicoNamespace is where the tigera-operator puts Calico's agents; the name is fixed in it.
const CalicoNamespace = "calico-system"

// tigeraOperator is the Deployment that makes Calico's agents.
const tigeraOperator = "tigera-operator"

// gke and aks are who keeps what these clouds run.
const (
	gke = "GKE"
	aks = "AKS"
)

// agents tells network agents by the name of their DaemonSet and of a container in it, both of which
// upstream's manifests and charts keep stable.
var agents = []struct {
	is        InstalledType
	daemonSet string
	container string
	// keeper keeps it, whatever its marks say.
	keeper string
}{
	{InstalledFlannel, "kube-flannel-ds", "kube-flannel", ""},
	{InstalledFlannel, "kube-flannel", "kube-flannel", ""},
	{InstalledCilium, "cilium", "cilium-agent", ""},
	{InstalledCilium, "anetd", "cilium-agent", gke}, // Dataplane V2
	{InstalledCalico, "calico-node", "calico-node", ""},
	{InstalledCalico, "canal", "calico-node", ""},
	{InstalledWeaveNet, "weave-net", "weave", ""},
	{InstalledAWSVPC, "aws-node", "aws-node", ""},
	{InstalledAzureCNI, "azure-cns", "cns-container", aks},
	{InstalledAzureMasquerade, "azure-ip-masq-agent", "azure-ip-masq-agent", aks},
	{InstalledGKENetd, "netd", "netd", gke},
	{InstalledAntrea, "antrea-agent", "antrea-agent", ""},
	{InstalledKubeRouter, "kube-router", "kube-router", ""},
	{InstalledOVN, "ovnkube-node", "ovn-controller", ""},
	{InstalledKubeProxy, "kube-proxy", "kube-proxy", ""},
	{InstalledMultus, "kube-multus-ds", "kube-multus", ""},
	{InstalledMultus, "multus", "kube-multus", "OpenShift"},
	{InstalledWhereabouts, "whereabouts", "whereabouts", ""},
}

func recognise(ds *appsv1.DaemonSet) (Installed, bool) {
	for _, a := range agents {
		if ds.Name != a.daemonSet {
			continue
		}
		for _, c := range ds.Spec.Template.Spec.Containers {
			if c.Name != a.container {
				continue
			}
			_, parked := ds.Spec.Template.Spec.NodeSelector[ParkedNodeSelector]
			mark := ownership.Of(ds)
			if mark.Manager == "" {
				mark.Manager = a.keeper
			}
			return Installed{
				Type:             a.is,
				Namespace:        ds.Namespace,
				Name:             ds.Name,
				Image:            c.Image,
				Component:        mark.Component,
				Manager:          mark.Owner(),
				Kept:             mark.Manager != "",
				ReleaseName:      mark.ReleaseName,
				ReleaseNamespace: mark.ReleaseNamespace,
				Source:           mark.Source(),
				Layout:           ds.Annotations[networkstackv1alpha1.LayoutAnnotation],
				Parked:           parked,
				Scheduled:        a.is == InstalledKubeProxy && scheduled(ds),
				Unavailable:      !Available(ds),
			}, true
		}
	}
	return Installed{}, false
}

// Recognised says whether a DaemonSet is one of those that a Snapshot has.
func Recognised(ds *appsv1.DaemonSet) bool {
	_, ok := recognise(ds)
	return ok
}

// scheduled says that there may be pods of a DaemonSet.
func scheduled(ds *appsv1.DaemonSet) bool {
	st := ds.Status
	return st.ObservedGeneration < ds.Generation || st.CurrentNumberScheduled > 0 || st.NumberMisscheduled > 0
}

// Available says whether every node that a DaemonSet is to run on has an available pod of it, old or new.
func Available(ds *appsv1.DaemonSet) bool {
	return ds.Status.ObservedGeneration >= ds.Generation && ds.Status.NumberAvailable >= ds.Status.DesiredNumberScheduled
}
