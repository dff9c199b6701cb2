package compose

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/facts"
)

// defaultAPIPort is kube-apiserver's --secure-port.
const defaultAPIPort = 6443

var endpointPath = clusterPath.Child("apiServer")

// deriveEndpoint settles the address of the API server: the pinned one, else the discovered one.
func (s *state) deriveEndpoint() {
	if p := s.pinned().APIServer; p != nil {
		s.endpoint = *p
	} else if s.facts.APIServer.Host != "" {
		s.endpoint = s.facts.APIServer
		s.endpoint.Host = strings.Trim(s.endpoint.Host, "[]")
	}
	if s.endpoint.Host != "" && s.endpoint.Port == 0 {
		s.endpoint.Port = defaultAPIPort
		if s.pinned().APIServer != nil {
			s.note(endpointPath.Child("port"), defaultAPIPort, "default of kube-apiserver")
		}
	}
	if s.pinned().APIServer == nil && s.endpoint.Host != "" {
		s.note(endpointPath, net.JoinHostPort(s.endpoint.Host, strconv.Itoa(int(s.endpoint.Port))),
			"discovered%s", parenthesised(s.facts.APIServerSource))
	}
}

// needsEndpoint says whether something of ours reaches the API server by that address alone.
func (s *state) needsEndpoint() bool {
	return s.managesKubeProxy() || s.kubeProxyMode == networkstackv1alpha1.KubeProxyReplaced
}

// UsedEndpoint is the address by which something of the stack reaches the API server; false when nothing does.
func UsedEndpoint(in Input) (networkstackv1alpha1.Endpoint, bool) {
	s := newState(in, true)
	s.deriveType()
	s.deriveKubeProxy()
	s.deriveEndpoint()
	return s.endpoint, s.endpoint.Host != "" && s.usesEndpoint()
}

// usesEndpoint says whether that address is the one that is written out. A kube-proxy that was taken over keeps the one that it has.
func (s *state) usesEndpoint() bool {
	if !s.managesKubeProxy() || s.pinned().APIServer != nil {
		return s.needsEndpoint()
	}
	in := s.inherit(TypeKubeProxy)
	if in == nil {
		return true
	}
	_, kept := foundEndpoint(in.values)
	return !kept
}

// validateCertificate refuses an address that the API server's certificate is not made for: every agent that is told of it hangs up.
func (s *state) validateCertificate() {
	c := s.facts.Certificate
	if c == nil || c.Covers || c.Endpoint != s.endpoint || !s.usesEndpoint() {
		return
	}
	const shown = 12
	names := c.Names
	if len(names) > shown {
		names = append(slices.Clone(names[:shown]), fmt.Sprintf("and %d more", len(names)-shown))
	}
	s.refuse(ruleEndpointCertificate, field.Invalid(endpointPath.Child("host"), s.endpoint.Host, fmt.Sprintf(
		"the certificate that the API server shows there is made for other names (%s), so that agents hang up: set cluster.apiServer.host to one of these that nodes reach, or add this one to the certificate (apiServer.certSANs of kubeadm)",
		strings.Join(names, ", "))))
}

// validateEndpoint refuses addresses of the API server that work only through Services.
func (s *state) validateEndpoint() {
	pinned := s.pinned().APIServer != nil
	if !pinned && !s.needsEndpoint() {
		return
	}
	if s.endpoint.Host == "" {
		if pinned {
			s.refuse(ruleEndpointHostEmpty, field.Required(endpointPath.Child("host"), "name the API server's address, or remove apiServer to have it discovered"))
		} else if s.withFacts {
			s.refuse(ruleEndpointUnknown, field.Required(endpointPath, fmt.Sprintf(
				"with kubeProxy.mode %s the API server must be reachable without any Service, and no address of it was discovered: set cluster.apiServer.host and port to a load balancer, a virtual IP or a node-local proxy",
				s.kubeProxyMode)))
		}
		return
	}
	host := s.endpoint.Host
	path := endpointPath.Child("host")
	refuse := func(format string, args ...any) {
		s.refuse(ruleEndpointIsService, field.Invalid(path, host, fmt.Sprintf(format, args...)+
			"; give the real endpoint: a load balancer, a virtual IP or a node-local proxy"))
	}
	if p := s.endpoint.Port; p < 1 || p > 65535 {
		s.refuse(ruleEndpointPort, field.Invalid(endpointPath.Child("port"), p, "must be from 1 to 65535; 6443 is usual"))
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		switch {
		case strings.HasPrefix(host, "["):
			s.refuse(ruleEndpointHostForm, field.Invalid(path, host, "write an IPv6 address without brackets: "+strings.Trim(host, "[]")))
		case strings.Contains(host, "://"):
			s.refuse(ruleEndpointHostForm, field.Invalid(path, host, "write the host alone, without a scheme and a port"))
		case strings.Contains(host, ":"):
			s.refuse(ruleEndpointHostForm, field.Invalid(path, host, "write the host alone; the port has a field of its own"))
		case len(validation.IsDNS1123Subdomain(strings.ToLower(strings.TrimSuffix(host, ".")))) > 0:
			s.refuse(ruleEndpointHostForm, field.Invalid(path, host, "is neither a DNS name nor an IP address"))
		case s.isServiceName(host):
			refuse("is the name of a Service, which works only while something programs Services")
		}
		return
	}
	addr = addr.Unmap().WithZone("")
	if addr == s.facts.ServiceIP.Unmap() {
		refuse("is a Service address (of default/kubernetes) and will vanish with kube-proxy")
		return
	}
	ranges := s.serviceRanges()
	i := slices.IndexFunc(ranges, func(r facts.ServiceRange) bool { return r.Prefix.Contains(addr) })
	if i >= 0 {
		refuse("lies in the Service range %s%s and will vanish with kube-proxy", ranges[i].Prefix, parenthesised(ranges[i].Source))
	}
}

// isServiceName says whether a host is the cluster-internal name of the API server's Service.
func (s *state) isServiceName(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	const svc = "kubernetes.default.svc"
	return host == "kubernetes" || host == "kubernetes.default" || host == svc || strings.HasPrefix(host, svc+".") ||
		strings.HasSuffix(host, ".svc") || strings.HasSuffix(host, ".svc."+s.dnsDomain())
}

// endpointReason says where the address comes from.
func (s *state) endpointReason() string {
	if s.pinned().APIServer != nil {
		return "from cluster.apiServer"
	}
	return "the discovered address of the API server" + parenthesised(s.facts.APIServerSource)
}

// bindAll is the unspecified address of the primary family.
func bindAll(f networkstackv1alpha1.IPFamily) string {
	if f == ipv6 {
		return "::"
	}
	return "0.0.0.0"
}
