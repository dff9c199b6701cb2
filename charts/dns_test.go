package charts_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/networkstack/networkstack/test/preinstalled"
)

// TestCoreDNS wants what kubeadm has, under its names, with no more rights than needed.
func TestCoreDNS(t *testing.T) {
	rendered, err := render(t, "coredns", "kube-system", `{service: {clusterIP: 10.96.0.10, clusterIPs: [10.96.0.10, "fd00::a"], ipFamilyPolicy: PreferDualStack}}`)
	if err != nil {
		t.Fatal(err)
	}
	objects := decode(t, rendered)
	var theirs []string
	for _, u := range preinstalled.Objects(preinstalled.Manifest("coredns", "")) {
		theirs = append(theirs, u.GetKind()+" "+u.GetName())
	}
	for _, want := range theirs {
		kind, name, _ := strings.Cut(want, " ")
		if !strings.Contains(rendered, "kind: "+kind+"\nmetadata:\n  name: "+name+"\n") {
			t.Errorf("there is no %s", want)
		}
	}
	svc := find[*corev1.Service](t, objects)
	if svc.Spec.ClusterIP != "10.96.0.10" || len(svc.Spec.ClusterIPs) != 2 || *svc.Spec.IPFamilyPolicy != corev1.IPFamilyPolicyPreferDualStack || len(svc.Spec.Ports) != 3 {
		t.Errorf("Service %+v", svc.Spec)
	}
	d := find[*appsv1.Deployment](t, objects)
	pod := d.Spec.Template.Spec
	s := pod.Containers[0].SecurityContext
	if *d.Spec.Replicas != 2 || pod.DNSPolicy != corev1.DNSDefault || pod.HostNetwork || *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem ||
		!cmp.Equal(s.Capabilities, &corev1.Capabilities{Add: []corev1.Capability{"NET_BIND_SERVICE"}, Drop: []corev1.Capability{"ALL"}}) {
		t.Errorf("Deployment %+v", d.Spec)
	}
	if b := find[*policyv1.PodDisruptionBudget](t, objects); b.Spec.MaxUnavailable.String() != "1" {
		t.Errorf("budget %+v", b.Spec)
	}
	if rules := find[*rbacv1.ClusterRole](t, objects).Rules; len(rules) != 2 || !cmp.Equal(rules[0].Verbs, []string{"list", "watch"}) || !cmp.Equal(rules[1].Verbs, []string{"list", "watch"}) {
		t.Errorf("rules %+v", rules)
	}
	other, err := render(t, "coredns", "kube-system", `{servers: [{zones: [{zone: x}], port: 53, plugins: [{name: whoami}]}]}`)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := d.Spec.Template.Annotations["checksum/config"], find[*appsv1.Deployment](t, decode(t, other)).Spec.Template.Annotations["checksum/config"]; len(a) != 64 || a == b {
		t.Errorf("another configuration starts no pods: %s, %s", a, b)
	}
	refuses(t, "coredns", `{servers: [{zones: [{zone: x}], port: 5353, plugins: [{name: whoami}]}]}`, "port")
	refuses(t, "coredns", `{servers: []}`, "servers")
	refuses(t, "coredns", `{colour: red}`, "colour")
}

// TestCoreDNSAutoscaler wants an autoscaler that may scale CoreDNS and nothing else.
func TestCoreDNSAutoscaler(t *testing.T) {
	rendered, err := render(t, "coredns", "kube-system", `{autoscaler: {enabled: true, min: 3, max: 9}, replicaCount: 3}`)
	if err != nil {
		t.Fatal(err)
	}
	objects := decode(t, rendered)
	role := find[*rbacv1.Role](t, objects)
	want := []rbacv1.PolicyRule{
		{APIGroups: []string{"apps"}, Resources: []string{"deployments/scale"}, ResourceNames: []string{"coredns"}, Verbs: []string{"get", "update"}},
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{"coredns-autoscaler"}, Verbs: []string{"get"}},
	}
	if diff := cmp.Diff(want, role.Rules); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(rendered, `\"min\":3`) || !strings.Contains(rendered, `\"max\":9`) || !strings.Contains(rendered, "--target=Deployment/coredns") {
		t.Error(rendered)
	}
}

// TestNodeLocalDNS wants what each way to the cache takes, and no more.
func TestNodeLocalDNS(t *testing.T) {
	const servers = `servers: [{zones: [{zone: .}], port: 53, plugins: [{name: forward, parameters: . __PILLAR__CLUSTER__DNS__}]}]`
	for _, tc := range []struct {
		values, args string
		hostNetwork  bool
		add          []corev1.Capability
		policies     int
	}{
		{"interception: ServiceAddress, serviceAddress: 10.96.0.10", "169.254.20.10,10.96.0.10", true, []corev1.Capability{"NET_ADMIN", "NET_BIND_SERVICE", "NET_RAW"}, 0},
		{"interception: LocalAddress", "169.254.20.10", true, []corev1.Capability{"NET_ADMIN", "NET_BIND_SERVICE", "NET_RAW"}, 0},
		{"interception: RedirectPolicy", "169.254.20.10", false, []corev1.Capability{"NET_BIND_SERVICE"}, 2},
	} {
		t.Run(tc.values, func(t *testing.T) {
			rendered, err := render(t, "node-local-dns", "kube-system", "{"+tc.values+", "+servers+"}")
			if err != nil {
				t.Fatal(err)
			}
			var known []string
			policies := 0
			for doc := range strings.SplitSeq(rendered, "---\n") {
				if strings.Contains(doc, "kind: CiliumLocalRedirectPolicy") {
					policies++
					continue
				}
				known = append(known, doc)
			}
			ds := find[*appsv1.DaemonSet](t, decode(t, strings.Join(known, "---\n")))
			pod := ds.Spec.Template.Spec
			if c := pod.Containers[0]; policies != tc.policies || pod.HostNetwork != tc.hostNetwork || c.Args[1] != tc.args ||
				!cmp.Equal(c.SecurityContext.Capabilities.Add, tc.add) || pod.DNSPolicy != corev1.DNSDefault || (len(pod.Volumes) == 3) != tc.hostNetwork {
				t.Errorf("%d policies, %+v", policies, pod)
			} else if slices.Contains(c.Args, "-pidfile") != tc.hostNetwork || c.ReadinessProbe == nil || c.ReadinessProbe.HTTPGet.Host != c.LivenessProbe.HTTPGet.Host {
				t.Errorf("rules that come late, or ready before it answers: %v, %+v", c.Args, c.ReadinessProbe)
			}
		})
	}
	refuses(t, "node-local-dns", "{interception: ServiceAddress, "+servers+"}", "serviceAddress")
	refuses(t, "node-local-dns", `{interception: ServiceAddress, serviceAddress: "fd00::a", `+servers+"}", "family")
	refuses(t, "node-local-dns", "{}", "servers")
}
