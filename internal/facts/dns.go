package facts

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/ownership"
)

// Names that every installer gives the cluster's DNS, whatever answers it.
const (
	// DNSService is the Service that kubelets tell pods of.
	DNSService = "kube-dns"
	// DNSWorkload is the Deployment of CoreDNS, its ConfigMap and its container.
	DNSWorkload = "coredns"
	// DNSLabelValue is the value of the label k8s-app of whatever answers.
	DNSLabelValue = "kube-dns"
	// CorefileKey is where the ConfigMap has the configuration.
	CorefileKey = "Corefile"
)

// dnsIPs are the addresses of the Service kube-dns, the primary family first; empty when there is none.
func (d *Discoverer) dnsIPs(ctx context.Context) ([]netip.Addr, error) {
	var svc corev1.Service
	err := d.Reader.Get(ctx, client.ObjectKey{Namespace: metav1.NamespaceSystem, Name: DNSService}, &svc)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	texts := svc.Spec.ClusterIPs
	if len(texts) == 0 {
		texts = []string{svc.Spec.ClusterIP}
	}
	var out []netip.Addr
	for _, text := range texts {
		if ip, err := netip.ParseAddr(text); err == nil { // a headless one has none
			out = append(out, ip)
		}
	}
	return out, nil
}

// ExamineDNS adds to a Snapshot what answers the cluster's DNS queries, and how it is configured. It is read from the API server:
// that is done until what is there was taken over, and not again.
func (d *Discoverer) ExamineDNS(ctx context.Context, s *Snapshot) error {
	var list appsv1.DeploymentList
	answering := client.MatchingLabels{"k8s-app": DNSLabelValue}
	if err := d.Live.List(ctx, &list, client.InNamespace(metav1.NamespaceSystem), answering); err != nil {
		return fmt.Errorf("listing Deployments of the cluster's DNS: %w", err)
	}
	var cm corev1.ConfigMap
	key := client.ObjectKey{Namespace: metav1.NamespaceSystem, Name: DNSWorkload}
	if err := d.Live.Get(ctx, key, &cm); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("reading ConfigMap %s/%s: %w", metav1.NamespaceSystem, DNSWorkload, err)
	}
	for i := range list.Items {
		s.Installed = append(s.Installed, dnsFrom(&list.Items[i], &cm))
	}
	slices.SortFunc(s.Installed, func(a, b Installed) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return nil
}

func dnsFrom(dep *appsv1.Deployment, cm *corev1.ConfigMap) Installed {
	mark := ownership.Of(dep)
	out := Installed{
		Type: InstalledOtherDNS, Namespace: dep.Namespace, Name: dep.Name,
		Component: mark.Component, Manager: mark.Owner(), Kept: mark.Manager != "",
		ReleaseName: mark.ReleaseName, ReleaseNamespace: mark.ReleaseNamespace, Source: mark.Source(),
		Layout: dep.Annotations[networkstackv1alpha1.LayoutAnnotation],
	}
	if containers := dep.Spec.Template.Spec.Containers; len(containers) > 0 {
		out.Image = containers[0].Image
	}
	i := slices.IndexFunc(dep.Spec.Template.Spec.Containers, func(c corev1.Container) bool { return c.Name == DNSWorkload })
	if dep.Name != DNSWorkload || i < 0 {
		return out
	}
	out.Type, out.Image = InstalledCoreDNS, dep.Spec.Template.Spec.Containers[i].Image
	out.Found = &Found{
		Ours: cm.Labels[networkstackv1alpha1.ComponentLabel] != "", Data: cm.Data,
		Template: dep.Spec.Template.DeepCopy(), Replicas: dep.Spec.Replicas, Strategy: dep.Spec.Strategy,
		Selector: dep.Spec.Selector,
	}
	return out
}
