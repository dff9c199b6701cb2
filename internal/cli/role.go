package cli

import (
	"cmp"
	_ "embed" // for the rules
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/config/rbac"
	"github.com/networkstack/networkstack/internal/compose"
)

type roleOptions struct {
	world   worldOptions
	name    string
	account string
	webhook bool
}

func (a *app) roleCommand() *cobra.Command {
	o := roleOptions{}
	cmd := &cobra.Command{
		Use:   "role FILE...",
		Short: "Writes the permissions that the operator needs for given NetworkStacks alone",
		Long: `Writes a ClusterRole, a Role for the leader's lease and their bindings, enough for the operator to install, keep and
remove what the NetworkStacks in files come to, and no more. They take the place of the wide roles that it is installed with.

What is written follows from what the charts render to: only those kinds, changed and deleted only by those names, and what the
components' own roles grant, for nobody may grant what they do not hold. Before a change of a NetworkStack, give the file as it is and the
file as it will be: what goes has to be removed, too.

Exit codes: 0 written, 1 a stack is refused, 2 the command could not do its work.`,
		Example: a.examples(`
# What the current cluster's operator needs
{} role stack.yaml | kubectl apply -f -
# Before a change: for both
{} role stack.yaml changed.yaml --facts facts.yaml
# From the standard input
{} role - --facts facts.yaml`),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("name the files with the NetworkStacks, or - for the standard input")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.role(cmd, args, &o) },
	}
	f := cmd.Flags()
	o.world.addFlags(f)
	f.StringVar(&o.name, "name", "", "name of the NetworkStack, when a file has several")
	f.StringVar(&o.account, "service-account", operatorAccount, "ServiceAccount of the operator, in its namespace")
	f.BoolVar(&o.webhook, "webhook", false, "the operator serves its validating webhook, too")
	return cmd
}

const (
	// operatorAccount is what the installation manifests call the operator's account.
	operatorAccount = "networkstack-operator"
	// narrowRole is the name of what is written. Neither it nor the labels are those of what the operator is installed with, which can
	// be deleted by its own.
	narrowRole = "networkstack-narrow"
	// webhookConfiguration is what config/webhook calls it.
	webhookConfiguration = "networkstack-webhook"
)

func (a *app) role(cmd *cobra.Command, files []string, o *roleOptions) error {
	if o.world.facts == stdin && slices.Contains(files, stdin) {
		return usagef("both the facts and a stack are to come from the standard input")
	}
	w, err := a.newWorld(cmd.Context(), &o.world)
	if err != nil {
		return err
	}
	n := newNeeds(w)
	for _, file := range files {
		j, err := a.composed(cmd.Context(), w, file, o.name)
		if err != nil {
			return err
		}
		list, err := w.renderAll(cmd.Context(), append(j.result.Releases, cleanup(w, j)...))
		if err != nil {
			return err
		}
		if err := n.stack(j.stack, list); err != nil {
			return err
		}
	}
	if o.webhook {
		n.more = append(n.more, rbacv1.PolicyRule{
			APIGroups: []string{"admissionregistration.k8s.io"}, Resources: []string{"validatingwebhookconfigurations"},
			ResourceNames: []string{webhookConfiguration}, Verbs: []string{"get", "list", "watch", "patch"},
		})
	}
	for _, text := range n.remarks {
		a.note("%s", text)
	}
	return a.writeRole(n, o)
}

// cleanup is what cleans nodes at the end of a deletion. What it runs changes no permission.
func cleanup(w *world, j *judgement) []compose.Release {
	if j.stack.Spec.DeletionPolicy != networkstackv1alpha1.DeletionDelete {
		return nil
	}
	var left compose.Leftovers
	for i := range j.result.Releases {
		switch r := &j.result.Releases[i]; r.Spec.Type {
		case string(networkstackv1alpha1.CNIFlannel):
			left.FlannelImage = "flannel"
		case compose.TypeKubeProxy:
			left.KubeProxyImage = "kube-proxy"
		case compose.TypeMultus:
			left.Multus = &compose.MultusLeftovers{}
		case compose.TypeNodeLocalDNS:
			left.NodeLocalDNS = &compose.NodeLocalDNSLeftovers{Image: "node-local-dns"}
		}
	}
	in := compose.Input{Stack: j.stack, Catalog: w.catalog.Catalog, OperatorImage: cmp.Or(w.operatorImage, "networkstack-operator")}
	release, known := compose.NodeCleanup(in, left)
	if !known || !left.Any() {
		return nil
	}
	return []compose.Release{release}
}

// writeRole writes the objects, with a word to whoever reads them.
func (a *app) writeRole(n *needs, o *roleOptions) error {
	rules, err := n.rules()
	if err != nil {
		return err
	}
	group := rbacv1.GroupName + "/v1"
	meta := func(namespace string) metav1.ObjectMeta {
		labels := map[string]string{"app.kubernetes.io/name": "networkstack"}
		return metav1.ObjectMeta{Name: narrowRole, Namespace: namespace, Labels: labels}
	}
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: o.world.namespace, Name: o.account}}
	objects := []any{
		&rbacv1.ClusterRole{TypeMeta: metav1.TypeMeta{APIVersion: group, Kind: "ClusterRole"}, ObjectMeta: meta(""), Rules: rules},
		&rbacv1.ClusterRoleBinding{
			TypeMeta: metav1.TypeMeta{APIVersion: group, Kind: "ClusterRoleBinding"}, ObjectMeta: meta(""), Subjects: subjects,
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: narrowRole},
		},
		&rbacv1.Role{
			TypeMeta: metav1.TypeMeta{APIVersion: group, Kind: "Role"}, ObjectMeta: meta(o.world.namespace),
			Rules: []rbacv1.PolicyRule{{
				APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"},
				Verbs: []string{"get", "create", "update", "patch"},
			}},
		},
		&rbacv1.RoleBinding{
			TypeMeta: metav1.TypeMeta{APIVersion: group, Kind: "RoleBinding"}, ObjectMeta: meta(o.world.namespace), Subjects: subjects,
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: narrowRole},
		},
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# All that the operator may do, for NetworkStack %s alone: %s.\n", strings.Join(n.stacks, ", "), strings.Join(n.components, ", "))
	b.WriteString("# It takes the place of what binds the operator to the ClusterRoles networkstack-operator and networkstack-operator-….\n")
	for _, object := range objects {
		data, err := yaml.Marshal(object)
		if err != nil {
			return err
		}
		b.WriteString("---\n")
		b.Write(data)
	}
	fmt.Fprint(a.Out, b.String())
	return nil
}

//go:embed base_role.yaml
var baseRole []byte

// baseRules are what the operator does whatever the stack is.
func baseRules() (out []rbacv1.PolicyRule, err error) {
	return out, yaml.UnmarshalStrict(baseRole, &out)
}

// policyRules are what baseline policies take, which no chart has.
func policyRules() ([]rbacv1.PolicyRule, error) {
	var role rbacv1.ClusterRole
	err := yaml.UnmarshalStrict(rbac.Policies, &role)
	return role.Rules, err
}

// extras are the rules for what a stack has beside charts.
func extras(stack *networkstackv1alpha1.NetworkStack) ([]rbacv1.PolicyRule, error) {
	var out []rbacv1.PolicyRule
	if stack.Spec.Policies != nil {
		rules, err := policyRules()
		if err != nil {
			return nil, err
		}
		out = append(out, rules...)
		// What policies could cut is looked for in these as well.
		reads := func(group string, resources ...string) rbacv1.PolicyRule {
			return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: []string{"get", "list", "watch"}}
		}
		out = append(out, reads("networking.k8s.io", "ingresses"), reads("monitoring.coreos.com", "servicemonitors"),
			reads(rbacv1.GroupName, "roles", "rolebindings", "clusterroles", "clusterrolebindings"))
	}
	if stack.Spec.Mesh != nil {
		// Namespaces are enrolled by their labels.
		out = append(out, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: []string{"patch"}})
	}
	return out, nil
}
