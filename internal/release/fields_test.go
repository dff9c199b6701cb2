package release

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What others own is part of the fingerprint, and when they wrote is part of the traces; statuses, the control plane's own
// writes, and what webhooks do to our requests are part of neither.
func TestFingerprint(t *testing.T) {
	at := metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	entry := func(manager string, changes ...func(*metav1.ManagedFieldsEntry)) metav1.ManagedFieldsEntry {
		e := metav1.ManagedFieldsEntry{
			Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", Time: &at,
			FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:a":{}}}`),
		}
		for _, change := range changes {
			change(&e)
		}
		return e
	}
	of := func(name string) func(*metav1.ManagedFieldsEntry) {
		return func(e *metav1.ManagedFieldsEntry) { e.Subresource = name }
	}
	fields := func(text string) func(*metav1.ManagedFieldsEntry) {
		return func(e *metav1.ManagedFieldsEntry) { e.FieldsV1 = metav1.NewFieldsV1(text) }
	}
	later := func(e *metav1.ManagedFieldsEntry) { z := metav1.NewTime(at.Add(time.Second)); e.Time = &z }
	applied := func(e *metav1.ManagedFieldsEntry) { e.Operation = metav1.ManagedFieldsOperationApply }
	object := func(others ...metav1.ManagedFieldsEntry) *metav1.PartialObjectMetadata {
		return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{ManagedFields: append([]metav1.ManagedFieldsEntry{entry("m", applied)}, others...)}}
	}
	theirs := object(entry("eve"))
	for _, tc := range []struct {
		name                string
		before, after       *metav1.PartialObjectMetadata
		fingerprint, traces bool // differ
	}{
		{"nothing", theirs, object(entry("eve")), false, false},
		{"their fields in another order", object(entry("eve", fields(`{"f:a":{},"f:b":{}}`))), object(entry("eve", fields(`{"f:b":{},"f:a":{}}`))), false, false},
		{"a status", object(), object(entry("kubelet", of("status"))), false, false},
		{"a status again", object(entry("kubelet", of("status"))), object(entry("kubelet", of("status"), later)), false, false},
		{"the control plane", object(), object(entry("kube-controller-manager")), false, false},
		{"a webhook, in our request", object(), object(entry("m")), false, false},
		{"a manager without fields", object(), object(entry("eve", func(e *metav1.ManagedFieldsEntry) { e.FieldsV1 = nil })), false, false},
		{"the same by others at another time", theirs, object(entry("eve", later)), false, true},
		{"our fields are taken", theirs, &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
			ManagedFields: []metav1.ManagedFieldsEntry{entry("m", applied, fields(`{}`)), entry("eve")}}}, true, true},
		{"our entry is gone", theirs, &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{entry("eve")}}}, true, true},
		{"somebody writes", object(), theirs, true, true},
		{"somebody else writes", theirs, object(entry("mallory")), true, true},
		{"somebody applies what he wrote", theirs, object(entry("eve", applied)), true, true},
		{"somebody owns more", theirs, object(entry("eve", fields(`{"f:spec":{"f:a":{},"f:b":{}}}`))), true, true},
		{"somebody scales", theirs, object(entry("eve", of("scale"))), true, true},
	} {
		if differ := Fingerprint(tc.before, "m") != Fingerprint(tc.after, "m"); differ != tc.fingerprint {
			t.Errorf("%s: the fingerprint changes: %v", tc.name, differ)
		}
		if differ := Traces(tc.before, "m") != Traces(tc.after, "m"); differ != tc.traces {
			t.Errorf("%s: the traces change: %v", tc.name, differ)
		}
	}
}
