package facts

import (
	"context"
	"fmt"
	"net/netip"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// proxyConfigs are where kube-proxies have their configuration: kubeadm's and ours, and that of EKS.
var proxyConfigs = []struct{ configMap, key string }{
	{"kube-proxy", "config.conf"},
	{"kube-proxy-config", "config"},
}

// defaultProxyMode is kube-proxy's own before 1.40, when the configuration names none.
const defaultProxyMode = "iptables"

// detectByRange is kube-proxy's own way to tell pods from others.
const detectByRange = "ClusterCIDR"

// proxyMode is what was read of a kube-proxy's configuration, and of which of its generations. A kube-proxy reads it when it
// starts, and new pods take a change of the DaemonSet: what was read of a generation holds as long as that is the latest.
type proxyMode struct {
	uid        types.UID
	generation int64
	read       proxyConfig
}

// proxyConfig is what matters of a kube-proxy's configuration.
type proxyConfig struct {
	mode string
	// pods are the ranges by which it tells pods from others; none when it does so in another way.
	pods []netip.Prefix
	// strictARP says that it leaves ARP for the addresses of Services to others.
	strictARP bool
}

// modeOf is what a kube-proxy is configured for; empty when that cannot be found out.
func (d *Discoverer) modeOf(ctx context.Context, ds *appsv1.DaemonSet) (proxyConfig, error) {
	if d.Live == nil {
		return proxyConfig{}, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.proxyMode.uid == ds.UID && d.proxyMode.generation == ds.Generation && ds.UID != "" {
		return d.proxyMode.read, nil
	}
	var read proxyConfig
	for _, c := range proxyConfigs {
		var cm corev1.ConfigMap
		err := d.Live.Get(ctx, client.ObjectKey{Namespace: ds.Namespace, Name: c.configMap}, &cm)
		if err != nil && !apierrors.IsNotFound(err) {
			return proxyConfig{}, fmt.Errorf("reading ConfigMap %s/%s: %w", ds.Namespace, c.configMap, err)
		}
		if text, ok := cm.Data[c.key]; ok {
			read = modeIn(text)
			break
		}
	}
	d.proxyMode = proxyMode{uid: ds.UID, generation: ds.Generation, read: read}
	return read, nil
}

// modeIn is what a KubeProxyConfiguration says; empty when it cannot be read.
func modeIn(text string) proxyConfig {
	var config struct {
		Kind            string `json:"kind"`
		Mode            string `json:"mode"`
		ClusterCIDR     string `json:"clusterCIDR"`
		DetectLocalMode string `json:"detectLocalMode"`
		IPVS            struct {
			StrictARP bool `json:"strictARP"`
		} `json:"ipvs"`
	}
	if err := yaml.Unmarshal([]byte(text), &config); err != nil || config.Kind != "KubeProxyConfiguration" {
		return proxyConfig{}
	}
	out := proxyConfig{mode: config.Mode, strictARP: config.IPVS.StrictARP}
	if out.mode == "" {
		out.mode = defaultProxyMode
	}
	if config.DetectLocalMode == "" || config.DetectLocalMode == detectByRange {
		out.pods = parsePrefixes(splitList(config.ClusterCIDR))
	}
	return out
}
