package controlplane

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
)

// Ports are taken from below the range from which the kernel takes the local
// ports of outgoing connections, so that these cannot get in the way.
const (
	firstPort = 20000
	lastPort  = 29999
)

// port is a TCP port on a loopback address that no other control plane will
// choose for as long as it is reserved.
type port struct {
	host   netip.Addr
	number int
	lock   *fileLock
}

// reservePort finds a port nobody listens on. Between the check and the start
// of the server another program may still take it; callers try again then.
func reservePort(host netip.Addr) (*port, error) {
	for range 200 {
		n := firstPort + rand.IntN(lastPort-firstPort+1)
		l, err := tryLock(filepath.Join(runtimeRoot(), "ports", strconv.Itoa(n)))
		if err != nil {
			return nil, err
		}
		if l == nil {
			continue
		}
		p := &port{host: host, number: n, lock: l}
		if ln, err := net.Listen("tcp", p.address()); err == nil {
			_ = ln.Close()
			return p, nil
		}
		l.unlock()
	}
	return nil, fmt.Errorf("found no free port on %s", host)
}

func (p *port) address() string {
	return net.JoinHostPort(p.host.String(), strconv.Itoa(p.number))
}

func (p *port) release() {
	if p != nil {
		p.lock.unlock()
	}
}

// runtimeRoot holds the instances that end with their process, and port locks.
// It is per user, because the files in it are.
func runtimeRoot() string {
	return filepath.Join(os.TempDir(), "networkstack-controlplane-"+strconv.Itoa(os.Getuid()))
}
