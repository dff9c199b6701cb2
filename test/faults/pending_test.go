package faults

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// A record that says that an action is under way, of a process that is no more, is in nobody's way: an operator that
// starts carries on from it without being asked, whether it is its own, or was left by somebody who used Helm by hand.
func TestPendingRecords(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	life := named(t, "install")
	want, install := e.undisturbed(t, life), life[0]
	for _, tc := range []struct {
		status string
		// only removes the records before it, as those of a first installation that was cut off.
		only bool
	}{
		{status: "pending-upgrade"},
		{status: "pending-rollback"},
		{status: "uninstalling"},
		{status: "pending-install", only: true},
	} {
		t.Run(tc.status, func(t *testing.T) {
			e.in(t, func() {
				r := e.start(nil)
				e.finish(install, want)
				r.end()
				planted := e.plant(tc.status, tc.only)
				if records := e.records(t.Context()); !slices.Contains(records, planted) {
					t.Fatalf("the record was not planted: %v", records)
				}
				r = e.start(nil)
				defer r.end()
				e.settles("the record to be recovered", want[install.name])
			})
		})
	}
}

// An operator that has nothing to do notices that somebody else worked on the records of its release.
func TestRecordsOfARunningOperator(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	life := named(t, "install")
	want, install := e.undisturbed(t, life), life[0]
	for _, tc := range []struct {
		name string
		do   func()
	}{
		{"a Helm process died over an upgrade", func() { e.plant("pending-upgrade", false) }},
		{"somebody upgraded by hand", func() { e.plant("deployed", false) }},
		{"the record was deleted", func() {
			e.check(e.client.DeleteAllOf(t.Context(), &corev1.Secret{}, client.InNamespace(flannelNamespace),
				client.MatchingLabels{"owner": "helm", "name": "flannel"}))
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e.in(t, func() {
				r := e.start(nil)
				defer r.end()
				e.finish(install, want)
				e.tamper()
				e.eventually("what was tampered with to be restored, which says that the operator watches", func(ctx context.Context) (bool, string) {
					return e.restored(ctx)
				})
				e.settles("the release after that", want[install.name])
				tc.do()
				e.eventually("the records to be ours again", func(ctx context.Context) (bool, string) {
					var list corev1.SecretList
					err := e.client.List(ctx, &list, client.InNamespace(flannelNamespace),
						client.MatchingLabels{"owner": "helm", "name": "flannel"})
					if err != nil || len(list.Items) == 0 {
						return false, "no record"
					}
					newest := slices.MaxFunc(list.Items, func(a, b corev1.Secret) int { return revision(&a) - revision(&b) })
					return newest.Labels["status"] == "deployed" && newest.Labels["networkstack.io/revision"] == newest.Labels["version"], fmt.Sprint(newest.Labels)
				})
				e.settles("the release", want[install.name])
			})
		})
	}
}

// plant writes a record of Flannel's release that follows the newest one, and answers how records shows it.
func (e *env) plant(status string, only bool) string {
	e.t.Helper()
	ctx := e.t.Context()
	var list corev1.SecretList
	e.check(e.client.List(ctx, &list, client.InNamespace(flannelNamespace), client.MatchingLabels{"owner": "helm", "name": "flannel"}))
	newest := slices.MaxFunc(list.Items, func(a, b corev1.Secret) int { return revision(&a) - revision(&b) })
	version := revision(&newest) + 1
	if only {
		version = 1
		for i := range list.Items {
			e.check(e.client.Delete(ctx, &list.Items[i]))
		}
	}
	record := map[string]any{}
	raw, err := base64.StdEncoding.DecodeString(string(newest.Data["release"]))
	e.check(err)
	reader, err := gzip.NewReader(bytes.NewReader(raw))
	e.check(err)
	e.check(json.NewDecoder(reader).Decode(&record))
	record["version"] = version
	info, ok := record["info"].(map[string]any)
	if !ok {
		e.t.Fatal("the record has no info")
	}
	info["status"] = status
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	e.check(json.NewEncoder(writer).Encode(record))
	e.check(writer.Close())
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: flannelNamespace, Name: fmt.Sprintf("sh.helm.release.v1.flannel.v%d", version), Labels: newest.Labels},
		Type:       newest.Type,
		Data:       map[string][]byte{"release": []byte(base64.StdEncoding.EncodeToString(packed.Bytes()))},
	}
	secret.Labels["status"], secret.Labels["version"] = status, fmt.Sprint(version)
	e.check(e.client.Create(ctx, secret))
	return fmt.Sprintf("%s/flannel revision %d is %s", flannelNamespace, version, status)
}
