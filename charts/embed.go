// Package charts carries the operator's own Helm charts, so that a complete small stack works from
// the binary alone: Flannel, with the values keys of its upstream chart, and kube-proxy, with the
// object names of kubeadm, which upstream does not publish as a chart.
package charts

import "embed"

// FS holds one directory per chart, named as the chart is.
//
//go:embed all:flannel all:kube-proxy
var FS embed.FS
