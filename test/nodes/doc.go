// Package nodes runs a Kubernetes cluster with real nodes on this machine: kubelets, containerd and runc, pods that run, packets
// that travel. A node is a set of private namespaces; there are no virtual machines, no registry, and nothing of the machine
// changes: not its networks, its mounts, its sysctls nor its own control groups.
//
// [Main] is called by a package's TestMain. It builds what is needed, once, and then begins the test's process anew, in namespaces
// of its own: everything ends with that process, however it ends. [Start] starts a cluster in there.
package nodes
