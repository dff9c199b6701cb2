package nodes

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// capabilities that are needed, by their numbers.
var capabilities = map[string]uint{
	"CHOWN": 0, "DAC_OVERRIDE": 1, "KILL": 5, "SETGID": 6, "SETUID": 7, "NET_ADMIN": 12, "NET_RAW": 13, "SYS_CHROOT": 18,
	"SYS_PTRACE": 19, "SYS_ADMIN": 21, "MKNOD": 27,
}

const sysResource = 24

// hierarchiesNeeded are the cgroup hierarchies that the kubelet and runc want.
var hierarchiesNeeded = []string{"cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "pids"}

// Missing tells what this machine lacks for real nodes, each as a sentence. It changes nothing.
func Missing() []string {
	var missing []string
	if os.Geteuid() != 0 {
		return []string{"nodes are made by root, which this is not: run it as root, or with sudo"}
	}
	has, err := effectiveCapabilities()
	if err != nil {
		return []string{err.Error()}
	}
	for name, number := range capabilities {
		if has&(1<<number) == 0 {
			missing = append(missing, "the capability CAP_"+name+" is withheld, as in most containers: run it on a machine, or in a privileged container")
		}
	}
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return append(missing, err.Error())
	}
	for _, name := range hierarchiesNeeded {
		if !strings.Contains(string(groups), ":"+name) && !strings.Contains(string(groups), ","+name) {
			missing = append(missing, "no cgroup hierarchy of version 1 has the controller "+name+
				": version 2 is not covered by this harness yet (systemd.unified_cgroup_hierarchy=0 brings version 1 back)")
		}
	}
	kinds, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		return append(missing, err.Error())
	}
	if !strings.Contains(string(kinds), "\toverlay\n") {
		missing = append(missing, "the kernel has no overlay file system: modprobe overlay")
	}
	for _, program := range []string{"nsenter", "dpkg-deb", "apt-get", "wget"} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, "there is no "+program+": the nodes' file system is made of Debian's packages (util-linux, dpkg, apt, wget)")
		}
	}
	return missing
}

func effectiveCapabilities() (uint64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "CapEff:"); ok {
			return strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		}
	}
	return 0, fmt.Errorf("/proc/self/status tells of no capabilities")
}
