package facts

import (
	"context"
	"fmt"

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

// proxyMode is what was read of a kube-proxy's configuration, and of which of its generations. A kube-proxy reads it when it
// starts, and new pods take a change of the DaemonSet: what was read of a generation holds as long as that is the latest.
type proxyMode struct {
	uid        types.UID
	generation int64
	mode       string
}

// modeOf is the mode that a kube-proxy is configured for; empty when that cannot be found out.
func (d *Discoverer) modeOf(ctx context.Context, ds *appsv1.DaemonSet) (string, error) {
	if d.Live == nil {
		return "", nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.proxyMode.uid == ds.UID && d.proxyMode.generation == ds.Generation && ds.UID != "" {
		return d.proxyMode.mode, nil
	}
	mode := ""
	for _, c := range proxyConfigs {
		var cm corev1.ConfigMap
		err := d.Live.Get(ctx, client.ObjectKey{Namespace: ds.Namespace, Name: c.configMap}, &cm)
		if err != nil && !apierrors.IsNotFound(err) {
			return "", fmt.Errorf("reading ConfigMap %s/%s: %w", ds.Namespace, c.configMap, err)
		}
		if text, ok := cm.Data[c.key]; ok {
			mode = modeIn(text)
			break
		}
	}
	d.proxyMode = proxyMode{uid: ds.UID, generation: ds.Generation, mode: mode}
	return mode, nil
}

// modeIn is the mode in a KubeProxyConfiguration; empty when it cannot be read.
func modeIn(text string) string {
	var config struct {
		Kind string `json:"kind"`
		Mode string `json:"mode"`
	}
	if err := yaml.Unmarshal([]byte(text), &config); err != nil || config.Kind != "KubeProxyConfiguration" {
		return ""
	}
	if config.Mode == "" {
		return defaultProxyMode
	}
	return config.Mode
}
