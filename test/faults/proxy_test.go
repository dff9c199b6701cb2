package faults

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// fault is what happens to requests on their way. It answers a request itself, or passes it on to next.
type fault func(w http.ResponseWriter, r *http.Request, next http.Handler)

// proxy stands between an operator and the API server. One without a fault passes everything on.
type proxy struct {
	server *httptest.Server
	target *httputil.ReverseProxy
	fault  atomic.Pointer[fault]

	mu     sync.Mutex
	writes []write
}

// write is a request that changes something, as far as it was passed on.
type write struct {
	at     time.Time
	method string
	path   string
}

// newProxy starts a proxy to the API server of cfg. It speaks HTTP/2, as the API server does.
func newProxy(cfg *rest.Config) (*proxy, error) {
	// The requests carry the operator's credentials; the proxy has none.
	transport, err := rest.TransportFor(rest.AnonymousClientConfig(cfg))
	if err != nil {
		return nil, err
	}
	server, err := url.Parse(cfg.Host)
	if err != nil {
		return nil, err
	}
	p := &proxy{target: &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(server) },
		Transport:     transport,
		FlushInterval: -1, // watches
		ErrorLog:      log.New(io.Discard, "", 0),
		// An API server that is away refuses connections; the operator sees its connection end.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}}
	p.server = httptest.NewUnstartedServer(p)
	p.server.EnableHTTP2 = true
	p.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	p.server.StartTLS()
	return p, nil
}

// stop ends the proxy and all connections through it.
func (p *proxy) stop() {
	p.server.CloseClientConnections()
	p.server.Config.Handler = http.NotFoundHandler()
	p.server.Close()
}

// kubeconfig writes the kubeconfig in from to the file in to, with the proxy as the server.
func (p *proxy) kubeconfig(from, to string) error {
	config, err := clientcmd.LoadFromFile(from)
	if err != nil {
		return err
	}
	for _, c := range config.Clusters {
		c.Server, c.CertificateAuthorityData = p.server.URL, certificatePEM(p.server.Certificate())
	}
	return clientcmd.WriteToFile(*config, to)
}

func certificatePEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// set replaces the fault; nil means none.
func (p *proxy) set(f fault) {
	if f == nil {
		p.fault.Store(nil)
		return
	}
	p.fault.Store(&f)
}

// ServeHTTP passes a request on, unless there is a fault.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isWrite(r) {
			p.mu.Lock()
			p.writes = append(p.writes, write{time.Now(), r.Method, r.URL.Path})
			p.mu.Unlock()
		}
		p.target.ServeHTTP(w, r)
	})
	if f := p.fault.Load(); f != nil {
		(*f)(w, r, next)
		return
	}
	next.ServeHTTP(w, r)
}

// passed are the writes so far.
func (p *proxy) passed() []write {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]write(nil), p.writes...)
}

// isWrite says whether a request is one of the operator's work: the leader lease and events are not.
func isWrite(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return false
	}
	return !strings.Contains(r.URL.Path, "/leases") && !strings.Contains(r.URL.Path, "/events")
}

func isWatch(r *http.Request) bool { return r.URL.Query().Get("watch") != "" }

// cut ends the operator at its k-th write, and everything it says afterwards.
type cut struct {
	at int64
	// late has the fatal write take effect; its answer is lost.
	late bool
	kill func()

	writes atomic.Int64
	done   atomic.Bool
}

func (c *cut) fault(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if c.done.Load() {
		panic(http.ErrAbortHandler)
	}
	if isWrite(r) && c.writes.Add(1) == c.at {
		c.done.Store(true)
		if c.late {
			// The operator's end must not end the request.
			next.ServeHTTP(httptest.NewRecorder(), r.WithContext(context.WithoutCancel(r.Context())))
		}
		c.kill()
		panic(http.ErrAbortHandler)
	}
	next.ServeHTTP(w, r)
}
