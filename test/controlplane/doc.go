// Package controlplane runs a real Kubernetes control plane on this machine,
// for tests, benchmarks, the demo and `make cluster`.
//
// etcd, kube-apiserver, kube-controller-manager and kube-scheduler are the
// released ones, built once from their Go modules (hack/controlplane) into a
// cache outside the repository. Nodes and the containers on them are simulated
// by kwok: pods become Running and Ready, but nothing runs in them.
//
// [Start] gives an instance of its own that ends with the process that started
// it, however that process ends; [ForTest] ties one to a test. [Up], [Find] and
// [Down] manage named clusters that outlive the command that started them.
//
// The first build takes minutes, longer than `go test` lets a package run; do
// it beforehand with `go run ./hack/cluster build`.
//
// Everything listens on 127.0.0.1 only, on free ports, with TLS and RBAC as in
// a real cluster.
package controlplane
