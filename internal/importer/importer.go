// Package importer describes the network that a cluster has as a NetworkStack: what has a field goes into that field, what has none
// into the component's values, and what can be said in neither way into remarks. But for Read it is pure.
package importer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/catalog"
	"github.com/networkstack/networkstack/internal/compose"
	"github.com/networkstack/networkstack/internal/facts"
)

// Release is the revision of a Helm release that is deployed.
type Release struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	// Revision is its number.
	Revision int   `json:"revision,omitempty"`
	Chart    Chart `json:"chart"`
	// Values are those of the user.
	Values map[string]any `json:"values,omitempty"`
}

// ID names a release as Helm's users do.
func (r *Release) ID() string { return r.Namespace + "/" + r.Name }

// Chart is the chart that a release was made of.
type Chart struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// About is what the chart says of where it comes from: its home page and sources.
	About    []string `json:"about,omitempty"`
	Keywords []string `json:"keywords,omitempty"`
	// Defaults are its values. Those of charts inside of it are not kept by Helm.
	Defaults map[string]any `json:"defaults,omitempty"`
}

// Objects are objects of a kind that say something of the network.
type Objects struct {
	// Kind, such as "IPAddressPool.metallb.io".
	Kind  string   `json:"kind"`
	Names []string `json:"names"`
}

// Input is what was read of a cluster.
type Input struct {
	// Name of the stack to write.
	Name string
	// Facts of the cluster. The agents and the DNS have been looked at.
	Facts         *facts.Snapshot
	Catalog       catalog.Catalog
	OperatorImage string
	// OperatorNamespace is where Secrets with values are looked for.
	OperatorNamespace string
	Releases          []Release
	Objects           []Objects
	// Addons are repositories of releases ("namespace/name") that the user wants to have as add-ons.
	Addons map[string]string
	// Leave are releases that are not to be described, with why.
	Leave map[string]string
	// external is why the network plugin is left in place; empty when it is not, or for a reason that shows by itself.
	external string
}

// Severity says what a remark means to somebody who wants to apply the stack.
type Severity string

// The severities of remarks.
const (
	// Note is worth knowing, and asks for nothing.
	Note Severity = "note"
	// Unexpressed is something of the cluster that the stack does not say.
	Unexpressed Severity = "unexpressed"
	// Decide is something that a person has to settle before the stack is applied.
	Decide Severity = "decide"
)

// Remark is something that the stack says differently than one would expect, or not at all.
type Remark struct {
	Severity Severity `json:"severity"`
	// Field of the stack, and Object of the cluster, that it is about; either may be empty.
	Field  string `json:"field,omitempty"`
	Object string `json:"object,omitempty"`
	// What there is to know, and Remedy what can be done about it.
	What   string `json:"what"`
	Remedy string `json:"remedy,omitempty"`
	// Unless is the release ("namespace/name") of which nothing may have changed: then there is nothing to remark.
	Unless string `json:"-"`
}

// Origin says where a part of the stack comes from.
type Origin struct {
	Field string `json:"field"`
	What  string `json:"what"`
}

// Result is the stack, and what there is to say of it.
type Result struct {
	Stack   *networkstackv1alpha1.NetworkStack
	Origins []Origin
	Remarks []Remark
	// Secrets are values to be put into Secrets of the operator's namespace, by name.
	Secrets map[string]map[string]any
	// Others are Helm releases that are no part of the network.
	Others []string
}

// importing is an import under way.
type importing struct {
	Input
	Result
	spec *networkstackv1alpha1.NetworkStackSpec
	// described are the releases that the stack has, with where their settings are.
	described []described
	// taken are the releases that somebody has spoken for.
	taken map[string]bool
}

type described struct {
	release  *Release
	field    string
	settings func() *networkstackv1alpha1.ComponentSettings
}

// Nothing says that there is nothing to describe.
type Nothing struct{}

// Error says so.
func (Nothing) Error() string {
	return "there is no network plugin, no kube-proxy and no CoreDNS in the cluster that could be described: " +
		"docs/user-guide.md says how to install them"
}

// Import describes a cluster. The error is Nothing when there is nothing to describe.
func Import(in Input) (*Result, error) {
	i := &importing{Input: in, taken: map[string]bool{}}
	i.Stack = &networkstackv1alpha1.NetworkStack{}
	i.Stack.APIVersion, i.Stack.Kind = networkstackv1alpha1.GroupVersion.String(), "NetworkStack"
	i.Stack.Name = in.Name
	i.spec = &i.Stack.Spec
	slices.SortFunc(i.Releases, func(a, b Release) int { return cmp.Compare(a.ID(), b.ID()) })
	if len(in.Facts.Installed) == 0 && !slices.ContainsFunc(i.Releases, func(r Release) bool { return known(&r) != nil }) {
		return nil, Nothing{}
	}
	i.spec.Adoption = networkstackv1alpha1.AdoptionAdopt
	i.cni()
	i.kubeProxy()
	i.dns()
	i.secondary()
	i.addons()
	i.objects()
	i.values()
	if in.external == "" {
		if why := i.refusedPlugin(); why != "" {
			in.external = why
			return Import(in)
		}
	}
	i.secrets()
	i.judge()
	return &i.Result, nil
}

// refusedPlugin says why the network plugin cannot be described as it is; empty when it can, or when it would not help to leave it out.
func (i *importing) refusedPlugin() string {
	if i.spec.CNI.Type == networkstackv1alpha1.CNIExternal || len(i.installed(func(a *facts.Installed) bool { return a.IsCNI() })) != 1 {
		return ""
	}
	var why []string
	for _, f := range i.composed().Errors {
		for _, field := range []string{cniField, "spec.ipPools", "spec.ipFamilies", "spec.mtu"} {
			if f.Field == field || strings.HasPrefix(f.Field, field+".") || strings.HasPrefix(f.Field, field+"[") {
				why = append(why, f.String())
				break
			}
		}
	}
	return strings.Join(why, "; ")
}

func (i *importing) origin(field, format string, args ...any) {
	i.Origins = append(i.Origins, Origin{Field: field, What: fmt.Sprintf(format, args...)})
}

func (i *importing) remark(r Remark) { i.Remarks = append(i.Remarks, r) }

// release finds one by its name.
func (i *importing) release(namespace, name string) *Release {
	n := slices.IndexFunc(i.Releases, func(r Release) bool { return r.Namespace == namespace && r.Name == name })
	if name == "" || n < 0 {
		return nil
	}
	i.taken[i.Releases[n].ID()] = true
	return &i.Releases[n]
}

// installed are the agents of a type that are there.
func (i *importing) installed(is func(*facts.Installed) bool) []*facts.Installed {
	var out []*facts.Installed
	for n := range i.Facts.Installed {
		if is(&i.Facts.Installed[n]) {
			out = append(out, &i.Facts.Installed[n])
		}
	}
	return out
}

// composed is what the stack comes to as it is so far.
func (i *importing) composed() compose.Result {
	return compose.Compose(compose.Input{
		Stack: i.Stack, Facts: i.Facts, Catalog: i.Catalog, OperatorImage: i.OperatorImage, OperatorNamespace: i.OperatorNamespace,
	})
}

// judge remarks what the rules refuse in the stack.
func (i *importing) judge() {
	result := i.composed()
	for _, f := range result.Errors {
		i.remark(Remark{Severity: Decide, Field: f.Field, What: "the stack is refused as it is: " + f.Message + " [" + f.Rule + "]"})
	}
	if result.ParkKubeProxy {
		i.remark(Remark{
			Severity: Decide, Field: "spec.kubeProxy.mode",
			What:   "a kube-proxy runs beside a Cilium that programs Services in its place; it would be kept off the nodes once the stack is Ready",
			Remedy: "remove the kube-proxy first if that is not wanted to happen by itself",
		})
	}
}
