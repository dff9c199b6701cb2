// Package charts carries the operator's own Helm charts, so that a complete small stack works from
// the binary alone: Flannel, with the values keys of its upstream chart; kube-proxy, with the object
// names of kubeadm, which upstream does not publish as a chart; Multus, which upstream does not
// publish as one either; the networks that pods are attached to by it; Weave Net, for which there is no
// chart either; the agent that tells the MTU of nodes; what cleans up behind a kube-proxy that was
// replaced, and behind a network that is deleted; custom resources of Cilium and of MetalLB;
// what tells Prometheus and Grafana of them all; CoreDNS, with the values keys of
// its upstream chart and the object names of kubeadm, and its cache on every node; Traefik, with values keys of its upstream
// chart; what charts of ingress controllers have no place for;
// and what belongs to a mesh of Istio or of Consul as a whole.
package charts

import "embed"

// FS holds one directory per chart, named as the chart is.
//
//go:embed all:cilium-resources all:consul-resources all:coredns all:flannel all:ingress-resources all:istio-resources all:kube-proxy all:kube-proxy-cleanup
//go:embed all:metallb-resources all:multus all:network-attachments all:node-agent all:node-cleanup all:node-local-dns all:observability
//go:embed all:traefik all:weave-net
var FS embed.FS

// Operator holds the chart of the operator itself, in its directory. The operator does not carry it: the plugin installs it.
//
//go:embed all:networkstack
var Operator embed.FS
