package facts

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

const (
	metav1NamespaceDefault = "default"
	namespaceSystem        = "kube-system"
	namespacePublic        = "kube-public"

	kubeadmConfigMap     = "kubeadm-config"
	clusterInfoConfigMap = "cluster-info"

	// defaultAPIPort is what kubeadm takes when controlPlaneEndpoint has no port.
	defaultAPIPort = 6443
)

// kubeadmConfiguration is the part of kubeadm's ClusterConfiguration that tells about the network.
type kubeadmConfiguration struct {
	ControlPlaneEndpoint string `json:"controlPlaneEndpoint"`
	Networking           struct {
		ServiceSubnet string `json:"serviceSubnet"`
		PodSubnet     string `json:"podSubnet"`
		DNSDomain     string `json:"dnsDomain"`
	} `json:"networking"`
	// found says that there is such a configuration.
	found bool
}

// kubeadmConfiguration is zero on clusters that kubeadm did not make, or whose configuration cannot be decoded.
func (d *Discoverer) kubeadmConfiguration(ctx context.Context) (kubeadmConfiguration, error) {
	data, err := d.configMapKey(ctx, namespaceSystem, kubeadmConfigMap, "ClusterConfiguration")
	return decodeKubeadm(data), err
}

func decodeKubeadm(data string) kubeadmConfiguration {
	var out kubeadmConfiguration
	if err := yaml.Unmarshal([]byte(data), &out); err != nil {
		return kubeadmConfiguration{}
	}
	out.found = data != ""
	return out
}

func (d *Discoverer) configMapKey(ctx context.Context, namespace, name, key string) (string, error) {
	var cm corev1.ConfigMap
	err := d.Reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &cm)
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	return cm.Data[key], err
}

// apiServer prefers an address that was made to be stable (kubeadm's controlPlaneEndpoint, then the one that
// joining nodes are given) over the address of one API server.
func (d *Discoverer) apiServer(ctx context.Context, kubeadm kubeadmConfiguration) (networkstackv1alpha1.Endpoint, string, error) {
	if e, ok := endpointFromHostPort(kubeadm.ControlPlaneEndpoint); ok {
		return e, "kube-system/kubeadm-config controlPlaneEndpoint", nil
	}
	info, err := d.configMapKey(ctx, namespacePublic, clusterInfoConfigMap, "kubeconfig")
	if err != nil {
		return networkstackv1alpha1.Endpoint{}, "", err
	}
	if e, ok := endpointFromKubeconfig(info); ok {
		return e, "kube-public/cluster-info", nil
	}
	all, err := d.endpoints(ctx)
	if err != nil || len(all) == 0 {
		return networkstackv1alpha1.Endpoint{}, "", err
	}
	source := "EndpointSlice of Service default/kubernetes"
	if len(all) > 1 {
		source = fmt.Sprintf("%s (the first of %d; pin a load balancer's address in spec.cluster.apiServer)", source, len(all))
	}
	return all[0], source, nil
}

func endpointFromHostPort(text string) (networkstackv1alpha1.Endpoint, bool) {
	if text == "" {
		return networkstackv1alpha1.Endpoint{}, false
	}
	host, portText, err := net.SplitHostPort(text)
	if err != nil {
		return networkstackv1alpha1.Endpoint{Host: strings.Trim(text, "[]"), Port: defaultAPIPort}, true
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 || host == "" {
		return networkstackv1alpha1.Endpoint{}, false
	}
	return networkstackv1alpha1.Endpoint{Host: host, Port: int32(port)}, true
}

func endpointFromKubeconfig(text string) (networkstackv1alpha1.Endpoint, bool) {
	if text == "" {
		return networkstackv1alpha1.Endpoint{}, false
	}
	config, err := clientcmd.Load([]byte(text))
	if err != nil {
		return networkstackv1alpha1.Endpoint{}, false
	}
	for _, cluster := range config.Clusters {
		u, err := url.Parse(cluster.Server)
		if err != nil || u.Hostname() == "" {
			continue
		}
		if u.Port() == "" {
			return networkstackv1alpha1.Endpoint{Host: u.Hostname(), Port: 443}, true
		}
		return endpointFromHostPort(u.Host)
	}
	return networkstackv1alpha1.Endpoint{}, false
}

func splitList(text string) []string {
	var out []string
	for _, part := range strings.Split(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}
