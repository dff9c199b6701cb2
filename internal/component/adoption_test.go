package component

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
	"github.com/networkstack/networkstack/internal/release"
)

func TestAdoptionStatus(t *testing.T) {
	object := func(kind, name string) release.Object {
		return release.Object{GVK: schema.GroupVersionKind{Version: "v1", Kind: kind}, Namespace: "ns", Name: name}
	}
	if diff := cmp.Diff(&networkstackv1alpha1.AdoptionStatus{}, adoptionStatus(&release.AdoptionReport{Objects: []release.ObjectReport{{State: release.ObjectNew}}})); diff != "" {
		t.Errorf("nothing there: %s", diff)
	}
	report := &release.AdoptionReport{Source: "kubeadm", Objects: []release.ObjectReport{
		{Object: object("ConfigMap", "a"), State: release.ObjectDiffers, Fields: []release.FieldReport{{Path: ".data.x", State: release.FieldDiffers, Live: "1", Wanted: "2"}}},
		{Object: object("ConfigMap", "b"), State: release.ObjectUnknown},
		{Object: object("ConfigMap", "c"), State: release.ObjectNew},
		{Object: object("DaemonSet", "d"), State: release.ObjectDiffers, Restarts: true, Problem: "refused", Fields: []release.FieldReport{{Path: ".spec.template.x", State: release.FieldUnknown, Live: "1"}}},
		{Object: object("Role", "e"), State: release.ObjectSame},
	}}
	want := &networkstackv1alpha1.AdoptionStatus{
		State: networkstackv1alpha1.AdoptionReported, Source: "kubeadm", Same: 1, Differs: 2, Unknown: 1, New: 1, Restarts: true,
		Differences: []networkstackv1alpha1.AdoptionDifference{
			{Object: "DaemonSet ns/d", State: "Differs", Live: "refused"},
			{Object: "DaemonSet ns/d", Path: ".spec.template.x", State: "Unknown", Live: "1"},
			{Object: "ConfigMap ns/a", Path: ".data.x", State: "Differs", Live: "1", Wanted: "2"},
			{Object: "ConfigMap ns/b", State: "Unknown"},
		},
	}
	if diff := cmp.Diff(want, adoptionStatus(report)); diff != "" {
		t.Error(diff)
	}
	report.Refused = []*release.ConflictError{{Object: object("Role", "e"), Owner: "GKE"}}
	if got := adoptionStatus(report); got.State != networkstackv1alpha1.AdoptionRefused || got.Differences[0].Live != "belongs to GKE" {
		t.Errorf("%+v", got)
	}
	for i := range 100 {
		report.Objects = append(report.Objects, release.ObjectReport{Object: object("ConfigMap", fmt.Sprint(i)), State: release.ObjectUnknown})
	}
	if got := adoptionStatus(report); len(got.Differences) != maxDifferences || got.More != 105-maxDifferences || got.Unknown != 101 {
		t.Errorf("%d differences and %d more", len(got.Differences), got.More)
	}
}

func TestNoteAdoption(t *testing.T) {
	status := func(state networkstackv1alpha1.AdoptionState) *networkstackv1alpha1.AdoptionStatus {
		if state == "-" {
			return nil
		}
		return &networkstackv1alpha1.AdoptionStatus{State: state}
	}
	const none, reported, adopted, refused = networkstackv1alpha1.AdoptionState("-"), networkstackv1alpha1.AdoptionReported,
		networkstackv1alpha1.AdoptionAdopted, networkstackv1alpha1.AdoptionRefused
	for _, tc := range []struct {
		name          string
		before, found networkstackv1alpha1.AdoptionState
		err, applied  bool
		policy        networkstackv1alpha1.AdoptionPolicy
		want          networkstackv1alpha1.AdoptionState
	}{
		{name: "nothing there", before: none, found: none, applied: true, want: none},
		{name: "reported", before: none, found: reported, err: true, want: reported},
		{name: "managed by somebody", before: reported, found: refused, err: true, policy: networkstackv1alpha1.AdoptionAdopt, want: refused},
		{name: "taken over", before: reported, found: reported, applied: true, policy: networkstackv1alpha1.AdoptionAdopt, want: adopted},
		{name: "taken over half way", before: reported, found: reported, err: true, policy: networkstackv1alpha1.AdoptionAdopt, want: reported},
		{name: "finished by a later attempt", before: reported, found: none, applied: true, policy: networkstackv1alpha1.AdoptionAdopt, want: adopted},
		{name: "removed by its owner", before: reported, found: "", applied: true, policy: networkstackv1alpha1.AdoptionAdopt, want: none},
		{name: "removed, and not to be adopted", before: reported, found: none, applied: true, want: none},
		{name: "stays on record", before: adopted, found: none, applied: true, policy: networkstackv1alpha1.AdoptionRefuse, want: adopted},
		{name: "a verification says nothing", before: reported, found: none, want: reported},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := &networkstackv1alpha1.NetworkComponent{}
			c.Spec.Adoption = tc.policy
			rec := &record{adoption: status(tc.before)}
			out := outcome{adoption: status(tc.found)}
			if tc.err {
				out.err = errors.New("x")
			}
			if tc.applied {
				out.release = &networkstackv1alpha1.ReleaseStatus{}
			}
			rec.noteAdoption(c, out)
			if diff := cmp.Diff(status(tc.want), rec.adoption); diff != "" {
				t.Error(diff)
			}
		})
	}
}
