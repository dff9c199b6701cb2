package controlplane

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// What the Endpoints of the Service "kubernetes" say, depending on the cluster's
// primary family. It may not be a loopback address; nothing connects to these,
// which are reserved for documentation.
const (
	advertiseIPv4 = "192.0.2.10"
	advertiseIPv6 = "2001:db8::10"
)

//go:embed kwok.yaml
var kwokStages []byte

//go:embed audit-policy.yaml
var auditPolicy []byte

// clients are the users with a kubeconfig of their own, and their groups.
var clients = []struct{ file, user, group string }{
	{"admin", "kubernetes-admin", "system:masters"},
	{"controller-manager", "system:kube-controller-manager", ""},
	{"scheduler", "system:kube-scheduler", ""},
	{"kwok", "kwok", "system:masters"},
}

// file returns the path of a file of this control plane.
func (c *ControlPlane) file(name string) string { return filepath.Join(c.dir, name) }

// writeFiles writes what does not depend on ports.
func (c *ControlPlane) writeFiles() error {
	var err error
	if c.ca, err = newAuthority(); err != nil {
		return err
	}
	caKey, err := encodeKey(c.ca.key)
	if err != nil {
		return err
	}
	serving, err := c.ca.server(c.options.ServiceCIDRs, c.options.Address)
	if err != nil {
		return err
	}
	return errors.Join(
		keyPair{cert: c.ca.pem, key: caKey}.write(c.dir, "ca"),
		serving.write(c.dir, "apiserver"),
		writeServiceAccountKeys(c.dir),
		os.WriteFile(c.file("kwok.yaml"), kwokStages, 0o600),
		os.WriteFile(c.file("audit-policy.yaml"), auditPolicy, 0o600),
	)
}

// writeKubeconfigs writes one file per client, for the API server's port.
func (c *ControlPlane) writeKubeconfigs() error {
	for _, client := range clients {
		var groups []string
		if client.group != "" {
			groups = append(groups, client.group)
		}
		pair, err := c.ca.client(client.user, groups...)
		if err != nil {
			return err
		}
		user := &clientcmdapi.AuthInfo{ClientCertificateData: pair.cert, ClientKeyData: pair.key}
		path := c.file(client.file + ".kubeconfig")
		if err := writeKubeconfig(path, c.server(), c.ca.pem, "", client.user, user); err != nil {
			return err
		}
	}
	var err error
	if c.admin, err = loadKubeconfig(c.Kubeconfig()); err != nil {
		return err
	}
	c.client, err = kubernetes.NewForConfig(c.admin)
	return err
}

// NodeKubeconfig returns a configuration with which a kubelet is the node of that name.
func (c *ControlPlane) NodeKubeconfig(name string) ([]byte, error) {
	user := "system:node:" + name
	pair, err := c.ca.client(user, "system:nodes")
	if err != nil {
		return nil, err
	}
	server := "https://" + netip.AddrPortFrom(c.options.Address, uint16(c.apiPort.number)).String()
	path := c.file(name + ".kubeconfig")
	err = writeKubeconfig(path, server, c.ca.pem, "", user, &clientcmdapi.AuthInfo{
		ClientCertificateData: pair.cert, ClientKeyData: pair.key,
	})
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// Port returns the API server's.
func (c *ControlPlane) Port() int { return c.apiPort.number }

// run starts a component and records it. The caller holds no lock.
func (c *ControlPlane) run(name, path string, args ...string) (*process, error) {
	p, err := command{
		name: name, path: path, args: args,
		home:     c.dir,
		log:      filepath.Join(c.options.LogDir, name+".log"),
		detached: c.detached,
	}.start()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	replaced := false
	for i, old := range c.processes {
		if old.name == name { // started again
			c.processes[i], replaced = p, true
		}
	}
	if !replaced {
		c.processes = append(c.processes, p)
	}
	return p, c.writeRecord()
}

// writeRecord is called with c.mu locked.
func (c *ControlPlane) writeRecord() error {
	r := record{
		Ready:      c.ready,
		Kubectl:    c.binaries.Kubectl,
		Kubernetes: c.binaries.KubernetesVersion,
		Kubeconfig: c.Kubeconfig(),
		Owner:      recordProcess("owner", os.Getpid()),
	}
	if c.apiPort != nil {
		r.Server = c.server()
	}
	for _, p := range c.processes {
		if !p.ended() {
			r.Processes = append(r.Processes, recordProcess(p.name, p.cmd.Process.Pid))
		}
	}
	return r.write(c.dir)
}

// onFreePort starts a server on a port, and on another one if somebody takes
// the port between its choice and the server's start.
func (c *ControlPlane) onFreePort(start func(*port) (*process, error)) (*port, error) {
	for attempt := 1; ; attempt++ {
		port, err := reservePort(c.options.loopback())
		if err != nil {
			return nil, err
		}
		c.mu.Lock()
		c.ports = append(c.ports, port)
		c.mu.Unlock()
		p, err := start(port)
		if err == nil {
			return port, nil
		}
		if p == nil || !p.clashed() || attempt == 5 {
			return nil, err
		}
	}
}

func (c *ControlPlane) startEtcd(ctx context.Context) error {
	var err error
	c.etcdPort, err = c.onFreePort(func(port *port) (*process, error) {
		if err := os.RemoveAll(c.file("etcd")); err != nil {
			return nil, err
		}
		url, peer := "http://"+port.address(), "http://"+netip.AddrPortFrom(port.host, 2380).String()
		p, err := c.run("etcd", c.binaries.Etcd,
			"--name=default",
			"--data-dir="+c.file("etcd"),
			"--listen-client-urls="+url,
			"--advertise-client-urls="+url,
			// There are no peers; the advertised address only has to agree with itself.
			"--listen-peer-urls=http://"+netip.AddrPortFrom(port.host, 0).String(),
			"--initial-advertise-peer-urls="+peer,
			"--initial-cluster=default="+peer,
			"--unsafe-no-fsync",
			"--log-level=warn",
		)
		if err != nil {
			return nil, err
		}
		return p, p.waitFor(ctx, func(ctx context.Context) error { return checkHTTP(ctx, url+"/health") })
	})
	return err
}

func checkHTTP(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	return nil
}

func (c *ControlPlane) startFirstAPIServer(ctx context.Context) error {
	_, err := c.onFreePort(func(port *port) (*process, error) {
		c.apiPort = port
		if err := c.writeKubeconfigs(); err != nil {
			return nil, err
		}
		return c.startAPIServer(ctx)
	})
	return err
}

func (c *ControlPlane) startAPIServer(ctx context.Context) (*process, error) {
	advertise := advertiseIPv6
	if isIPv4(c.options.ServiceCIDRs[0]) {
		advertise = advertiseIPv4
	}
	bind := c.options.loopback()
	if c.options.Address.IsValid() {
		advertise = c.options.Address.String()
		bind = netip.IPv4Unspecified()
		if c.options.Address.Is6() {
			bind = netip.IPv6Unspecified()
		}
	}
	args := []string{
		"--etcd-servers=http://" + c.etcdPort.address(),
		"--bind-address=" + bind.String(),
		"--secure-port=" + strconv.Itoa(c.apiPort.number),
		"--advertise-address=" + advertise,
		"--tls-cert-file=" + c.file("apiserver.crt"),
		"--tls-private-key-file=" + c.file("apiserver.key"),
		"--client-ca-file=" + c.file("ca.crt"),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + c.file("sa.pub"),
		"--service-account-signing-key-file=" + c.file("sa.key"),
		"--service-cluster-ip-range=" + strings.Join(c.options.ServiceCIDRs, ","),
		"--allow-privileged=true",
	}
	if c.options.AuditLog != "" {
		args = append(args,
			"--audit-policy-file="+c.file("audit-policy.yaml"),
			"--audit-log-path="+c.options.AuditLog,
			"--audit-log-maxsize=10240", // MB: never rotated
		)
	}
	p, err := c.run("kube-apiserver", c.binaries.APIServer, append(args, c.options.APIServerArgs...)...)
	if err != nil {
		return nil, err
	}
	return p, p.waitFor(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		return c.client.CoreV1().RESTClient().Get().AbsPath("/readyz").MaxRetries(0).Do(ctx).Error()
	})
}

// startControllers starts the API's clients. They say on their own what they
// wait for, so nothing waits for them here.
func (c *ControlPlane) startControllers() error {
	// Without these limits a DaemonSet on many nodes takes its time.
	limits := []string{"--kube-api-qps=200", "--kube-api-burst=400", "--leader-elect=false", "--secure-port=0"}
	_, err := c.run("kube-controller-manager", c.binaries.ControllerManager, append(limits, c.controllerManagerArgs()...)...)
	if err != nil {
		return err
	}
	_, err = c.run("kube-scheduler", c.binaries.Scheduler, append(limits, "--kubeconfig="+c.file("scheduler.kubeconfig"))...)
	if err != nil {
		return err
	}
	if c.options.Address.IsValid() {
		return nil
	}
	// Without leases: kwok drops a Pod of a node whose lease it has written and not yet seen again, and never looks at it a second
	// time. So nothing is heard of the nodes once they are Ready, and the node controller has to be content with that.
	_, err = c.run("kwok", c.binaries.Kwok,
		"--kubeconfig="+c.file("kwok.kubeconfig"),
		"--config="+c.file("kwok.yaml"),
		"--manage-all-nodes=false",
		"--manage-nodes-with-annotation-selector="+kwokAnnotation+"=fake",
		"--node-lease-duration-seconds=0",
	)
	return err
}

func (c *ControlPlane) controllerManagerArgs() []string {
	args := []string{
		"--kubeconfig=" + c.file("controller-manager.kubeconfig"),
		"--use-service-account-credentials=true",
		"--service-account-private-key-file=" + c.file("sa.key"),
		"--root-ca-file=" + c.file("ca.crt"),
		"--cluster-signing-cert-file=" + c.file("ca.crt"),
		"--cluster-signing-key-file=" + c.file("ca.key"),
		"--service-cluster-ip-range=" + strings.Join(c.options.ServiceCIDRs, ","),
		"--node-monitor-grace-period=8760h",
		"--allocate-node-cidrs=true",
		"--cluster-cidr=" + strings.Join(c.options.PodCIDRs, ","),
	}
	args = append(args, c.options.ControllerManagerArgs...)
	if len(c.options.PodCIDRs) == 1 {
		mask := c.options.NodeMaskIPv6
		if isIPv4(c.options.PodCIDRs[0]) {
			mask = c.options.NodeMaskIPv4
		}
		return append(args, "--node-cidr-mask-size="+strconv.Itoa(mask))
	}
	return append(args,
		"--node-cidr-mask-size-ipv4="+strconv.Itoa(c.options.NodeMaskIPv4),
		"--node-cidr-mask-size-ipv6="+strconv.Itoa(c.options.NodeMaskIPv6),
	)
}

// waitForControllers waits for what the first Pods need: the ServiceAccount and
// the root CA of the namespace "default".
func (c *ControlPlane) waitForControllers(ctx context.Context) error {
	return c.process("kube-controller-manager").waitFor(ctx, func(ctx context.Context) error {
		_, err := c.client.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{})
		if err != nil {
			return err
		}
		_, err = c.client.CoreV1().ConfigMaps("default").Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
		return err
	})
}

func (c *ControlPlane) process(name string) *process {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.processes {
		if p.name == name {
			return p
		}
	}
	return nil
}

// KillAPIServer ends the API server as a crash does and returns when it is gone.
func (c *ControlPlane) KillAPIServer() { c.process("kube-apiserver").kill() }

// StartAPIServer starts the API server on its old port after KillAPIServer, and
// returns when it is ready.
func (c *ControlPlane) StartAPIServer(ctx context.Context) error {
	if !c.process("kube-apiserver").ended() {
		return errors.New("the API server is already running")
	}
	_, err := c.startAPIServer(ctx)
	return err
}

// PauseAPIServer makes the API server unresponsive: it accepts connections but
// does not answer, until ResumeAPIServer. It returns when that is so.
func (c *ControlPlane) PauseAPIServer() {
	p := c.process("kube-apiserver")
	p.signal(syscall.SIGSTOP)
	for !processPaused(p.cmd.Process.Pid) {
		select {
		case <-p.done:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// ResumeAPIServer undoes PauseAPIServer.
func (c *ControlPlane) ResumeAPIServer() { c.process("kube-apiserver").signal(syscall.SIGCONT) }
