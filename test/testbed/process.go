package testbed

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Memory is what a process holds, in bytes.
type Memory struct {
	// Resident now, of which Anonymous is neither the binary nor any other file.
	Resident, Anonymous int64
	// Peak of Resident.
	Peak int64
}

// Memory of the operator, from the kernel's accounts of the process.
func (b *Bed) Memory() (Memory, error) {
	var m Memory
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", b.Operator().PID()))
	if err != nil {
		return m, err
	}
	defer f.Close()
	fields := map[string]*int64{"VmRSS:": &m.Resident, "RssAnon:": &m.Anonymous, "VmHWM:": &m.Peak}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 2 || fields[words[0]] == nil {
			continue
		}
		kib, err := strconv.ParseInt(words[1], 10, 64)
		if err != nil {
			return m, err
		}
		*fields[words[0]] = kib << 10
	}
	return m, lines.Err()
}

// MiB shows a number of bytes.
func MiB(bytes int64) string { return strconv.FormatInt(bytes>>20, 10) + " MiB" }
