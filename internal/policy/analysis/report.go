package analysis

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// Finding is one way of traffic that is cut.
type Finding struct {
	// Name stays the same as long as the finding speaks of the same.
	Name     string
	Severity networkstackv1alpha1.PolicySeverity
	// From and To are the ends, and What is what goes wrong between them.
	From, To, What string
	// Openings are the baselines that would open it. Instead, or where there are none, the namespace can be exempted.
	Openings []networkstackv1alpha1.Baseline
	// Exempt is the namespace whose exemption would open it as well; empty when there are many.
	Exempt string
	// Unjudged are policies of users that may open it already: it is not known which pods they are for, or what they say.
	Unjudged []string
}

// Message says what is cut, from where to where, and what would open it.
func (f *Finding) Message() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s → %s: %s", f.From, f.To, f.What)
	var ways []string
	if len(f.Openings) > 0 {
		var words []string
		for i := range f.Openings {
			words = append(words, inWords(&f.Openings[i]))
		}
		entries := f.Entries()
		ways = append(ways, fmt.Sprintf("%s (spec.policies.baselines: [%s])", strings.Join(words, ", and "), strings.Join(entries, ", ")))
	}
	if f.Exempt != "" {
		ways = append(ways, fmt.Sprintf("leave the namespace out (spec.policies.namespaces.exempt: [%s])", f.Exempt))
	}
	if len(f.Unjudged) > 0 {
		fmt.Fprintf(&b, " (not judged, and may open it already: %s)", firstOf(f.Unjudged))
	}
	if len(ways) > 0 {
		b.WriteString("; to keep it, " + strings.Join(ways, ", or "))
	}
	return b.String()
}

// Entries are the baselines that would open it, as they are written into the spec, each on one line.
func (f *Finding) Entries() []string {
	var out []string
	for i := range f.Openings {
		out = append(out, entry(&f.Openings[i]))
	}
	return out
}

// inWords says what a baseline does.
func inWords(b *networkstackv1alpha1.Baseline) string {
	ports := ""
	if len(b.Ports) > 0 {
		var list []string
		for _, p := range b.Ports {
			list = append(list, fmt.Sprintf("%d/%s", p.Port, cmp.Or(p.Protocol, "TCP")))
		}
		ports = " on " + strings.Join(list, ", ")
	}
	switch b.Type {
	case networkstackv1alpha1.BaselineAllowDNS:
		return "open the way to DNS"
	case networkstackv1alpha1.BaselineAllowAPIServer:
		return "open the way to the API server"
	case networkstackv1alpha1.BaselineAllowFromIngress:
		return "let the ingress controllers in" + ports
	case networkstackv1alpha1.BaselineAllowFromMonitoring:
		return "let what monitors in" + ports
	case networkstackv1alpha1.BaselineAllowToNamespaces:
		return "open the way to that namespace" + ports
	case networkstackv1alpha1.BaselineAllowFromAnywhere:
		return "let everybody in" + ports
	default:
		return "open it"
	}
}

// entry is a baseline as it is written into the spec, on one line.
func entry(b *networkstackv1alpha1.Baseline) string {
	parts := []string{"name: " + b.Name, "type: " + string(b.Type)}
	if b.Namespaces != nil {
		parts = append(parts, "namespaces: {matchLabels: {"+corev1.LabelMetadataName+": "+b.Namespaces.MatchLabels[corev1.LabelMetadataName]+"}}")
	}
	var ports []string
	for _, p := range b.Ports {
		port := fmt.Sprintf("{port: %d}", p.Port)
		if p.Protocol != "" && p.Protocol != "TCP" {
			port = fmt.Sprintf("{protocol: %s, port: %d}", p.Protocol, p.Port)
		}
		ports = append(ports, port)
	}
	if len(ports) > 0 {
		parts = append(parts, "ports: ["+strings.Join(ports, ", ")+"]")
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// inNamespace selects a namespace by its name.
func inNamespace(name string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: name}}
}

// Report is what an analysis comes to.
type Report struct {
	// Findings, the dangerous first, then by name.
	Findings []Finding
	// Clashes are policies of others that have a place which those of the set need.
	Clashes []ClusterPolicy
}

// Shown is a report as the status has it.
type Shown struct {
	// Findings are at most so many: those that are dangerous and not acknowledged, the other dangerous ones, the rest.
	Findings []networkstackv1alpha1.PolicyFinding
	// Total counts all, and Dangerous are the names of the dangerous ones that are not acknowledged.
	Total     int
	Dangerous []string
	// Unknown are the names that are acknowledged, and that no finding has.
	Unknown []string
}

// Show holds a report against what is acknowledged.
func (r *Report) Show(acknowledged []string, most int) Shown {
	out := Shown{Total: len(r.Findings)}
	names, rank := map[string]bool{}, map[string]int{}
	for i := range r.Findings {
		f := &r.Findings[i]
		names[f.Name] = true
		switch {
		case f.Severity != networkstackv1alpha1.SeverityDanger:
			rank[f.Name] = 2
		case slices.Contains(acknowledged, f.Name):
			rank[f.Name] = 1
		default:
			out.Dangerous = append(out.Dangerous, f.Name)
		}
	}
	for _, name := range acknowledged {
		if !names[name] {
			out.Unknown = append(out.Unknown, name)
		}
	}
	slices.Sort(out.Unknown)
	ordered := slices.Clone(r.Findings)
	slices.SortStableFunc(ordered, func(a, b Finding) int { return cmp.Compare(rank[a.Name], rank[b.Name]) })
	for i := range ordered[:min(len(ordered), most)] {
		f := &ordered[i]
		out.Findings = append(out.Findings, networkstackv1alpha1.PolicyFinding{Name: f.Name, Severity: f.Severity, Message: f.Message()})
	}
	return out
}

// nameLimit is that of spec.policies.acknowledgedFindings.
const nameLimit = 253

// name joins parts to the name of a finding. What is too long is cut, and keeps a digest of the whole.
func name(parts ...string) string {
	whole := strings.Join(parts, "/")
	if len(whole) <= nameLimit {
		return whole
	}
	sum := sha256.Sum256([]byte(whole))
	digest := "-" + hex.EncodeToString(sum[:8])
	return whole[:nameLimit-len(digest)] + digest
}

// most is how many of something a message names.
const most = 3

// some are the first of a set of texts, and how many more there are.
func some(set map[string]bool) string {
	list := make([]string, 0, len(set))
	for text := range set {
		list = append(list, text)
	}
	return firstOf(list)
}

func firstOf(list []string) string {
	slices.Sort(list)
	if len(list) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
	}
	return strings.Join(list, ", ")
}
