package analysis

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/policy"
)

// scrapers are names of what scrapes, as its pods have them in nameLabel.
var scrapers = []string{"prometheus", "prometheus-agent", "vmagent", "alloy"}

const nameLabel = "app.kubernetes.io/name"

// scrapes judges the way from what scrapes to what monitors and annotations say is to be scraped. It hurts the graphs alone.
func (a *analysis) scrapes() {
	var sources []*Pod
	for i := range a.cluster.Pods {
		if p := &a.cluster.Pods[i]; slices.Contains(scrapers, p.Labels[nameLabel]) {
			sources = append(sources, p)
		}
	}
	for _, from := range sources {
		for i := range a.cluster.Monitors {
			m := &a.cluster.Monitors[i]
			a.scrape(from, name("scrape", m.Kind, m.Namespace, m.Name), a.monitored(m))
		}
		a.each(func(p *Pod) {
			if p.Scraped > 0 {
				port := policy.Port{Protocol: tcp, Port: p.Scraped}
				a.scrape(from, name("scrape", "pods", p.Namespace), []target{{p, port}})
			}
		})
	}
}

func (a *analysis) scrape(from *Pod, name string, targets []target) {
	to := map[string]bool{}
	var ports []policy.Port
	for _, t := range targets {
		more, cut := a.cutPorts(a.of(from), []target{t})
		if !cut {
			continue
		}
		to[workload(t.pod)] = true
		for _, p := range more {
			if !slices.Contains(ports, p) {
				ports = append(ports, p)
			}
		}
	}
	if len(to) == 0 {
		return
	}
	open := opening(entryName("monitoring", from.Namespace), networkstackv1alpha1.BaselineAllowFromMonitoring, bounded(ports))
	open[0].Namespaces = inNamespace(from.Namespace)
	a.add(Finding{
		Name: name, Severity: notice, From: workload(from), To: some(to), What: "their metrics are no longer scraped", Openings: open,
	})
}

// entryName is the name of a baseline for a namespace, as long as such names may be.
func entryName(purpose, namespace string) string {
	const most = 40
	whole := purpose + "-" + namespace
	return strings.TrimRight(whole[:min(len(whole), most)], "-")
}

// monitored are the pods and ports that a monitor has scraped.
func (a *analysis) monitored(m *Monitor) []target {
	within := func(namespace string) bool {
		if m.AllNamespaces {
			return true
		}
		return len(m.Namespaces) == 0 && namespace == m.Namespace || slices.Contains(m.Namespaces, namespace)
	}
	want := selector(&m.Selector, false)
	var out []target
	if m.Kind == "PodMonitor" {
		a.each(func(p *Pod) {
			if !within(p.Namespace) || !want.Matches(labels.Set(p.Labels)) {
				return
			}
			for _, port := range m.Ports {
				out = append(out, target{p, policy.Port{Protocol: tcp, Port: cmp.Or(number(port), named(p, port, tcp))}})
			}
		})
		return out
	}
	for i := range a.cluster.Services {
		s := &a.cluster.Services[i]
		if !a.covered[s.Namespace] || !within(s.Namespace) || !want.Matches(labels.Set(s.Labels)) {
			continue
		}
		for _, port := range m.Ports {
			out = append(out, a.endpoints(s, port)...)
		}
	}
	return out
}

// endpoints are what a ServiceMonitor's port of a Service leads to: it is the name of a port of the Service, or of one of its pods (then by
// name or number).
func (a *analysis) endpoints(s *Service, port string) []target {
	for _, p := range s.Ports {
		if p.Name == port {
			return a.targets(s, p)
		}
	}
	out := a.targets(s, ServicePort{Protocol: tcp, Target: intstr.Parse(port)})
	return slices.DeleteFunc(out, func(t target) bool { return t.port.Port == 0 }) // no such port, so that nothing is scraped
}

func number(port string) int32 {
	n, err := strconv.ParseInt(port, 10, 32)
	if err != nil {
		return 0
	}
	return int32(n)
}
