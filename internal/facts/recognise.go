package facts

import (
	"strings"

	appsv1 "k8s.io/api/apps/v1"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// ParkedNodeSelector keeps a parked kube-proxy off every node: no node carries this label.
const ParkedNodeSelector = "networkstack.io/kube-proxy-parked"

// agents tells network agents by the name of their DaemonSet and of a container in it, both of which
// upstream's manifests and charts keep stable.
var agents = []struct {
	is        InstalledType
	daemonSet string
	container string
}{
	{InstalledFlannel, "kube-flannel-ds", "kube-flannel"},
	{InstalledFlannel, "kube-flannel", "kube-flannel"},
	{InstalledCilium, "cilium", "cilium-agent"},
	{InstalledCalico, "calico-node", "calico-node"},
	{InstalledCalico, "canal", "calico-node"},
	{InstalledWeaveNet, "weave-net", "weave"},
	{InstalledAWSVPC, "aws-node", "aws-node"},
	{InstalledAntrea, "antrea-agent", "antrea-agent"},
	{InstalledKubeRouter, "kube-router", "kube-router"},
	{InstalledOVN, "ovnkube-node", "ovn-controller"},
	{InstalledKubeProxy, "kube-proxy", "kube-proxy"},
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
			return Installed{
				Type:      a.is,
				Namespace: ds.Namespace,
				Name:      ds.Name,
				Image:     c.Image,
				Component: ds.Labels[networkstackv1alpha1.ComponentLabel],
				Manager:   managerOf(ds),
				Parked:    parked,
			}, true
		}
	}
	return Installed{}, false
}

// managerOf reads the marks that managers leave on what they own. The order matters: a GitOps tool that
// runs Helm is the one to talk to, not Helm.
func managerOf(ds *appsv1.DaemonSet) string {
	l, a := ds.Labels, ds.Annotations
	switch {
	case l[networkstackv1alpha1.ComponentLabel] != "":
		return "NetworkStack"
	case a["argocd.argoproj.io/tracking-id"] != "":
		return "Argo CD application " + strings.SplitN(a["argocd.argoproj.io/tracking-id"], ":", 2)[0]
	case l["kustomize.toolkit.fluxcd.io/name"] != "":
		return "Flux Kustomization " + l["kustomize.toolkit.fluxcd.io/namespace"] + "/" + l["kustomize.toolkit.fluxcd.io/name"]
	case l["helm.toolkit.fluxcd.io/name"] != "":
		return "Flux HelmRelease " + l["helm.toolkit.fluxcd.io/namespace"] + "/" + l["helm.toolkit.fluxcd.io/name"]
	case l["addonmanager.kubernetes.io/mode"] != "":
		return "the cloud's add-on manager"
	case l["eks.amazonaws.com/component"] != "":
		return "EKS add-on"
	case l["objectset.rio.cattle.io/hash"] != "" || a["objectset.rio.cattle.io/owner-name"] != "":
		return "k3s or RKE2"
	case a["meta.helm.sh/release-name"] != "":
		return "Helm release " + a["meta.helm.sh/release-namespace"] + "/" + a["meta.helm.sh/release-name"]
	case l["app.kubernetes.io/managed-by"] != "":
		return l["app.kubernetes.io/managed-by"]
	}
	return ""
}
