package facts

import (
	"regexp"
	"strconv"
)

// Kernel is a Linux kernel's version, major and minor.
type Kernel struct{ Major, Minor int }

// Older says whether k is older than o.
func (k Kernel) Older(o Kernel) bool {
	return k.Major < o.Major || k.Major == o.Major && k.Minor < o.Minor
}

var kernelPattern = regexp.MustCompile(`^v?(\d+)\.(\d+)`)

// ParseKernel reads what nodes report, such as "5.4.0-150-generic" or "4.18.0-553.el8_10.x86_64". It answers
// false for what it cannot read.
func ParseKernel(text string) (Kernel, bool) {
	m := kernelPattern.FindStringSubmatch(text)
	if m == nil {
		return Kernel{}, false
	}
	major, err1 := strconv.Atoi(m[1])
	minor, err2 := strconv.Atoi(m[2])
	return Kernel{major, minor}, err1 == nil && err2 == nil
}

func oldestKernel(nodes []Node) string {
	var oldest Kernel
	text := ""
	for _, n := range nodes {
		if n.OS != "linux" {
			continue
		}
		if k, ok := ParseKernel(n.KernelVersion); ok && (text == "" || k.Older(oldest)) {
			oldest, text = k, n.KernelVersion
		}
	}
	return text
}
