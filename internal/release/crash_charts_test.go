package release

import (
	"maps"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
)

// attempt is one action on a release: a chart with values applied, or, without a chart, its removal.
type attempt struct {
	chart  *chart.Chart
	values map[string]any
	// dies is the write at which it is cut off; 0 lets it finish.
	dies int64
}

// crashScenario is an action that is cut off at each of its writes.
type crashScenario struct {
	name string
	// before brings about what the action finds, cut is the action, and then is what is wanted afterwards; nil means that
	// the same is. id is a name that is the scenario's own, for objects outside its namespace.
	before func(id string) []attempt
	cut    func(id string) attempt
	then   func(id string) *attempt
	// order is that in which objects must have been applied, hooks above all.
	order []string
}

func crashScenarios() []crashScenario {
	same := func(string) *attempt { return nil }
	nothing := func(string) []attempt { return nil }
	one := func(a func(string) attempt) func(string) []attempt {
		return func(id string) []attempt { return []attempt{a(id)} }
	}
	hooks := func(version string) func(string) attempt {
		return func(string) attempt { return attempt{chart: hooksChart(version), values: map[string]any{"a": version}} }
	}
	kinds := func(version string) func(string) attempt {
		return func(id string) attempt { return attempt{chart: kindsChart(id, version)} }
	}
	broad := func(version string) func(string) attempt {
		return func(id string) attempt {
			return attempt{chart: broadChart(id, version), values: map[string]any{"version": version}}
		}
	}
	remove := func(string) attempt { return attempt{} }
	pointer := func(a func(string) attempt) func(string) *attempt {
		return func(id string) *attempt { out := a(id); return &out }
	}
	return []crashScenario{
		{name: "install with hooks", before: nothing, cut: hooks("1"), then: same, order: []string{"account", "prepare", "real", "finish"}},
		{name: "upgrade with hooks", before: one(hooks("1")), cut: hooks("2"), then: same, order: []string{"account", "prepare", "real", "finish"}},
		{name: "uninstall with hooks", before: one(hooks("1")), cut: remove, then: same, order: []string{"farewell", "last"}},
		{name: "install with CRDs", before: nothing, cut: kinds("1"), then: same},
		{name: "upgrade of CRDs", before: one(kinds("1")), cut: kinds("2"), then: same},
		{name: "prune", before: one(broad("1")), cut: broad("2"), then: same},
		{name: "rollback", before: func(id string) []attempt { return []attempt{broad("0")(id), broad("3")(id)} }, cut: broad("0"), then: same},
		// The way back begins wherever the upgrade was cut off.
		{name: "rollback of an interrupted upgrade", before: one(broad("1")), cut: broad("3"), then: pointer(broad("1"))},
		// The upgrade was cut off in the middle, and so is the way back.
		{name: "interrupted rollback of an interrupted upgrade", before: func(id string) []attempt {
			half := broad("3")(id)
			half.dies = 9
			return []attempt{broad("0")(id), half}
		}, cut: broad("0"), then: same},
		{name: "interrupted install given up", before: nothing, cut: broad("0"), then: pointer(remove)},
		{name: "uninstall", before: one(broad("1")), cut: remove, then: same},
	}
}

// hooksChart has a hook of every kind that an action runs, with every deletion policy.
func hooksChart(version string) *chart.Chart {
	hook := func(kind, name, events, policy string) string {
		out := "apiVersion: v1\nkind: " + kind + "\n"
		if kind == "Job" {
			out = "apiVersion: batch/v1\nkind: Job\nspec: {backoffLimit: 0, template: {spec: {restartPolicy: Never, containers: [{name: c, image: ok}]}}}\n"
		}
		out += "metadata: {name: " + name + ", annotations: {helm.sh/hook: \"" + events + "\""
		if kind != "Job" {
			out += ", helm.sh/hook-weight: \"-1\""
		}
		if policy != "" {
			out += ", helm.sh/hook-delete-policy: \"" + policy + "\""
		}
		return out + "}}\n"
	}
	return memoryChart("hooks", "1.0."+version, map[string]string{
		"account.yaml":  hook("ServiceAccount", "account", "pre-install,pre-upgrade", "before-hook-creation"),
		"prepare.yaml":  hook("Job", "prepare", "pre-install,pre-upgrade", "before-hook-creation,hook-succeeded"),
		"finish.yaml":   hook("ConfigMap", "finish", "post-install,post-upgrade", ""),
		"farewell.yaml": hook("ConfigMap", "farewell", "pre-delete", "hook-succeeded,hook-failed"),
		"last.yaml":     hook("Secret", "last", "post-delete", "before-hook-creation,hook-succeeded"),
		"real.yaml":     "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: real}\ndata: {a: {{ .Values.a | quote }}}\n",
	})
}

// kindsChart has a definition under crds/ and custom resources. Version 2 changes the definition, adds another, and has
// other custom resources, one of them of a version of the API that is new.
func kindsChart(id, version string) *chart.Chart {
	group := id + ".test.networkstack.io"
	definition := func(plural, kind string, versions ...string) string {
		return strings.ReplaceAll(crd(plural, kind, versions...), "test.networkstack.io", group)
	}
	object := func(kind, apiVersion, name string) string {
		return "apiVersion: " + group + "/" + apiVersion + "\nkind: " + kind + "\nmetadata: {name: " + name + "}\nspec: {of: \"" + version + "\"}\n"
	}
	files := map[string]string{
		"crds/widgets.yaml": definition("widgets", "Widget", "v1"),
		"one.yaml":          object("Widget", "v1", "one"),
		"two.yaml":          object("Widget", "v1", "two"),
	}
	if version == "2" {
		files = map[string]string{
			"crds/widgets.yaml": definition("widgets", "Widget", "v2", "v1"),
			"crds/gadgets.yaml": definition("gadgets", "Gadget", "v1"),
			"one.yaml":          object("Widget", "v2", "one"),
			"three.yaml":        object("Gadget", "v1", "three"),
		}
	}
	return memoryChart("kinds", "1.0."+version, files)
}

// broadChart has objects of many kinds, in its namespace and in none. Version 1 has another namespace besides, and an
// object to be kept. Version 2 has few objects, version 3 has others and changes those that stay.
func broadChart(id, version string) *chart.Chart {
	files := map[string]string{
		"kept.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: stays}\ndata: {version: {{ .Values.version | quote }}}\n",
		"deployment.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: worker, labels: {{ .Values.version | printf "v%s" | dict "version" | toJson }}}
spec:
  replicas: 0
  selector: {matchLabels: {app: worker}}
  template:
    metadata: {labels: {app: worker}}
    spec:
      containers:
      - {name: main, image: "example.com/main:{{ .Values.version }}"}
      {{- if ne .Values.version "3" }}
      - {name: side, image: "example.com/side:1", env: [{name: A, value: x}]}
      {{- end }}
`,
	}
	zeroth := map[string]string{
		"secret.yaml":  "apiVersion: v1\nkind: Secret\nmetadata: {name: secret}\nstringData: {a: b}\n",
		"service.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: service}\nspec: {ports: [{port: 80}]}\n",
		"role.yaml":    "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: ID-old}\nrules: [{apiGroups: [\"\"], resources: [pods], verbs: [get]}]\n",
	}
	first := maps.Clone(zeroth)
	first["ns.yaml"] = "apiVersion: v1\nkind: Namespace\nmetadata: {name: ID-extra}\n"
	first["inside.yaml"] = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: inside, namespace: ID-extra}\ndata: {a: b}\n"
	first["left.yaml"] = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: left, annotations: {helm.sh/resource-policy: keep}}\n"
	third := map[string]string{
		"other.yaml":   "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\ndata: {a: c}\n",
		"secret.yaml":  "apiVersion: v1\nkind: Secret\nmetadata: {name: secret, labels: {new: label}}\nstringData: {c: d}\n",
		"account.yaml": "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: account}\n",
		"newrole.yaml": "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: ID-new}\nrules: [{apiGroups: [\"\"], resources: [nodes], verbs: [get]}]\n",
	}
	for name, text := range map[string]map[string]string{"0": zeroth, "1": first, "3": third}[version] {
		files[name] = strings.ReplaceAll(text, "ID", id)
	}
	return memoryChart("broad", "1.0."+version, files)
}
