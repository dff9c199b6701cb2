// Package nodeconfig is what the harness of package test/nodes and the program inside a node have to agree on.
package nodeconfig

// Config is what the harness tells a node on its standard input.
type Config struct {
	Name string `json:"name"`
	// Layers are the directories that the root file system is laid from, the topmost first; Dir has what this node writes.
	Layers []string `json:"layers"`
	Dir    string   `json:"dir"`
	// State is a directory of a file system that overlays can be laid on: containerd's and the kubelet's.
	State string `json:"state"`
	// Group is the path of the node's group below every hierarchy of cgroups.
	Group     string   `json:"group"`
	Addresses []string `json:"addresses"`
	Gateways  []string `json:"gateways"`
	// MTU is that of the interface eth0.
	MTU int `json:"mtu"`
	// Binds are directories to be found in the node, by their paths there.
	Binds map[string]string `json:"binds"`
	// Files are written into the node's root.
	Files map[string]string `json:"files"`
	// Kubelet are its arguments; without any, containerd runs alone.
	Kubelet []string `json:"kubelet"`
}
