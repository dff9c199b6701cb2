package facts

import (
	"encoding/json"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// nodeArgs are the annotations in which k3s and RKE2 say with which arguments, configuration files included, a node's process
// was started.
var nodeArgs = []string{"k3s.io/node-args", "rke2.io/node-args"}

// The arguments that are read of them.
const (
	argServer         = "server"
	argNoKubeProxy    = "--disable-kube-proxy"
	argFlannelBackend = "--flannel-backend"
)

// defaultFlannelBackend is that of k3s.
const defaultFlannelBackend = "vxlan"

// ServerArgs is what a server of k3s or RKE2 says of itself.
type ServerArgs struct {
	// NoKubeProxy says that neither it nor its agents run kube-proxy.
	NoKubeProxy bool `json:"noKubeProxy,omitzero"`
	// FlannelBackend is that of the Flannel inside of k3s, "none" where there is none.
	FlannelBackend string `json:"flannelBackend,omitzero"`
}

// IsNodeArgs says whether an annotation of a node is one that facts read arguments from.
func IsNodeArgs(key string) bool { return slices.Contains(nodeArgs, key) }

// ReadArgs is as much of such an annotation as facts read, in the same form.
func ReadArgs(text string) string {
	a := parseArgs(text)
	if a == nil {
		return ""
	}
	out := []string{argServer, argFlannelBackend, a.FlannelBackend}
	if a.NoKubeProxy {
		out = append(out, argNoKubeProxy)
	}
	data, err := json.Marshal(out)
	if err != nil {
		return ""
	}
	return string(data)
}

// serverArgs are those of a node; nil when it is no server, or does not say.
func serverArgs(n *corev1.Node) *ServerArgs {
	for _, key := range nodeArgs {
		if text, ok := n.Annotations[key]; ok {
			return parseArgs(text)
		}
	}
	return nil
}

// parseArgs reads a list of arguments, each with its value behind "=" or in the next element.
func parseArgs(text string) *ServerArgs {
	var args []string
	if err := json.Unmarshal([]byte(text), &args); err != nil || len(args) == 0 || args[0] != argServer {
		return nil
	}
	out := &ServerArgs{FlannelBackend: defaultFlannelBackend}
	for i := 1; i < len(args); i++ {
		name, value, inline := strings.Cut(args[i], "=")
		if !inline && i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
			value = args[i+1]
			i++
		}
		switch name {
		case argNoKubeProxy:
			out.NoKubeProxy = value != "false"
		case argFlannelBackend:
			out.FlannelBackend = value
		}
	}
	return out
}
