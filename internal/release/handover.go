package release

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/util/csaupgrade"

	"github.com/networkstack/networkstack/internal/ownership"
)

// maxHandOvers bounds how often the fields of one object are handed over in one apply: once for each version of the API
// that installers wrote it in.
const maxHandOvers = 5

// takeFields makes manager the one that applied whatever installers wrote to an object, so that its next apply removes
// what it does not render. It returns nil when there is nothing to take, and who it was taken from.
//
// Fields are paths in one version of the API. Entries in another version than the manager's own are taken alone, in its
// place: the manager applies its own fields again anyway, and the API server converts the entry that was there before.
// The rest stays for another round.
func takeFields(entries []metav1.ManagedFieldsEntry, manager string) (out []metav1.ManagedFieldsEntry, from []string, err error) {
	ours := func(f metav1.ManagedFieldsEntry) bool { return isOurs(f, manager) }
	isInstallers := func(f metav1.ManagedFieldsEntry) bool { return f.Manager != manager && ownership.IsInstaller(&f) }
	first := slices.IndexFunc(entries, isInstallers)
	if first < 0 {
		return nil, nil, nil
	}
	version := entries[first].APIVersion
	if own := slices.IndexFunc(entries, ours); own >= 0 {
		same := func(f metav1.ManagedFieldsEntry) bool {
			return isInstallers(f) && f.APIVersion == entries[own].APIVersion
		}
		if slices.ContainsFunc(entries, same) {
			version = entries[own].APIVersion
		}
	}
	holder := &metav1.PartialObjectMetadata{}
	names := sets.New[string]()
	for i := range entries {
		f := *entries[i].DeepCopy()
		switch {
		case isInstallers(f) && f.APIVersion == version:
			if !slices.Contains(from, f.Manager) {
				from = append(from, f.Manager)
			}
			// csaupgrade takes one entry a name, and none of a server-side apply, such as Helm 4's.
			f.Manager = "from/" + strconv.Itoa(i)
			f.Operation = metav1.ManagedFieldsOperationUpdate
			if f.FieldsV1 == nil {
				f.FieldsV1 = &metav1.FieldsV1{}
				f.FieldsV1.SetRawBytes([]byte("{}"))
			}
			names.Insert(f.Manager)
		case ours(f) && f.APIVersion != version:
			continue
		}
		holder.ManagedFields = append(holder.ManagedFields, f)
	}
	if err := csaupgrade.UpgradeManagedFields(holder, names, manager); err != nil {
		return nil, nil, fmt.Errorf("managed fields cannot be read: %w", err)
	}
	return holder.ManagedFields, from, nil
}

// hasInstallers says whether somebody who installs things wrote to the object.
func (s *session) hasInstallers(live metav1.Object) bool {
	return slices.ContainsFunc(live.GetManagedFields(), func(f metav1.ManagedFieldsEntry) bool {
		return f.Manager != s.engine.opts.FieldManager && ownership.IsInstaller(&f)
	})
}

// handOver takes the fields of installers in a live object. Nothing else of the object changes, and it changes only as
// long as it is at the version that was read; otherwise it is read again.
func (s *session) handOver(m *meta.RESTMapping, live *metav1.PartialObjectMetadata) error {
	heads := s.heads(m, live.Namespace)
	const attempts = 8
	for attempt := 0; ; attempt++ {
		fields, from, err := takeFields(live.ManagedFields, s.engine.opts.FieldManager)
		if err != nil || from == nil {
			return err
		}
		patch, err := json.Marshal([]map[string]any{
			{"op": "replace", "path": "/metadata/managedFields", "value": fields},
			{"op": "replace", "path": "/metadata/resourceVersion", "value": live.ResourceVersion},
		})
		if err != nil {
			return err
		}
		_, err = heads.Patch(s.ctx, live.Name, types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: s.engine.opts.FieldManager})
		if err == nil {
			s.log.Info("took over the fields of those who had installed it",
				"object", Object{GVK: m.GroupVersionKind, Namespace: live.Namespace, Name: live.Name}.String(), "from", from)
			return nil
		}
		if !apierrors.IsConflict(err) || attempt == attempts {
			return err
		}
		if live, err = heads.Get(s.ctx, live.Name, metav1.GetOptions{}); err != nil {
			return err
		}
	}
}

// settle applies an object until nobody who installs things owns fields of it. An object whose managed fields are known
// has them handed over first, so that it changes once. For any other the answer to the apply tells, which is also where
// an object without managed fields shows those it had before. Like apply, it returns nil for an object that is not applied.
func (s *session) settle(m *meta.RESTMapping, known *metav1.PartialObjectMetadata,
	apply func() (*metav1.PartialObjectMetadata, error),
) (*metav1.PartialObjectMetadata, error) {
	if known != nil && s.hasInstallers(known) {
		if err := s.handOver(m, known); err != nil && !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("take over its fields: %w", err)
		}
	}
	live, err := apply()
	for range maxHandOvers {
		if err != nil || live == nil || !s.hasInstallers(live) {
			break
		}
		if err := s.handOver(m, live); err != nil {
			return nil, fmt.Errorf("take over its fields: %w", err)
		}
		live, err = apply()
	}
	return live, err
}
