package nodeagent

import (
	"bufio"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// proxyInterface is where a kube-proxy in IPVS mode has the addresses of all Services.
const proxyInterface = "kube-ipvs0"

// mostServices is where counting virtual servers ends: that there are some is what matters, and the number may change often.
const mostServices = 9

// Files of the kernel about the network that a process is in, which everybody may read.
const (
	ipvsFile    = "/proc/net/ip_vs"
	bridgesDir  = "/proc/sys/net/bridge"
	bridgesIPv4 = "bridge-nf-call-iptables"
	bridgesIPv6 = "bridge-nf-call-ip6tables"
)

// virtualServers counts the virtual servers of IPVS in the kernel's list of them, up to mostServices. None are counted as long as there is
// kube-proxy's interface: they cannot be told from kube-proxy's own.
func virtualServers(list io.Reader, interfaces []Interface) int {
	if slices.ContainsFunc(interfaces, func(i Interface) bool { return i.Name == proxyInterface }) {
		return 0
	}
	count := 0
	for lines := bufio.NewScanner(list); lines.Scan() && count < mostServices; {
		word, _, _ := strings.Cut(lines.Text(), " ")
		if slices.Contains([]string{"TCP", "UDP", "SCTP", "FWM"}, word) {
			count++
		}
	}
	return count
}

// systemServices are the virtual servers of the network that this process is in.
func systemServices(interfaces []Interface) string {
	f, err := os.Open(ipvsFile)
	if err != nil {
		return "0" // the kernel's module is not loaded
	}
	defer func() { _ = f.Close() }()
	return strconv.Itoa(virtualServers(f, interfaces))
}

// systemBridges says whether what passes through a bridge of the network that this process is in passes iptables and nftables, too.
func systemBridges(own []netip.Addr) string {
	return strconv.FormatBool(bridges(os.DirFS(bridgesDir), own))
}

// bridges says so of the families of the node's own addresses, which are those of its pods: the kernel has a switch for each. A node
// without any is taken for one of IPv4.
func bridges(dir fs.FS, own []netip.Addr) bool {
	needed := map[string]bool{}
	for _, a := range own {
		if a.Is4() {
			needed[bridgesIPv4] = true
		} else {
			needed[bridgesIPv6] = true
		}
	}
	if len(needed) == 0 {
		needed[bridgesIPv4] = true
	}
	for name := range needed {
		if data, err := fs.ReadFile(dir, name); err != nil || strings.TrimSpace(string(data)) != "1" {
			return false
		}
	}
	return true
}
