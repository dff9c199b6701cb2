package health

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

var (
	daemonSetKind   = appsv1.SchemeGroupVersion.WithKind("DaemonSet")
	deploymentKind  = appsv1.SchemeGroupVersion.WithKind("Deployment")
	statefulSetKind = appsv1.SchemeGroupVersion.WithKind("StatefulSet")
	jobKind         = batchv1.SchemeGroupVersion.WithKind("Job")
)

func named() metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "net", Name: "x", Generation: 2, ResourceVersion: "100"}
}

func daemonSet(st appsv1.DaemonSetStatus) *appsv1.DaemonSet {
	return &appsv1.DaemonSet{ObjectMeta: named(), Status: st}
}

func deployment(replicas *int32, st appsv1.DeploymentStatus, conditions ...appsv1.DeploymentCondition) *appsv1.Deployment {
	st.Conditions = conditions
	return &appsv1.Deployment{ObjectMeta: named(), Status: st,
		Spec: appsv1.DeploymentSpec{Replicas: replicas, ProgressDeadlineSeconds: ptr.To[int32](600)}}
}

func statefulSet(st appsv1.StatefulSetStatus) *appsv1.StatefulSet {
	return &appsv1.StatefulSet{ObjectMeta: named(), Status: st, Spec: appsv1.StatefulSetSpec{Replicas: ptr.To[int32](2),
		UpdateStrategy: appsv1.StatefulSetUpdateStrategy{Type: appsv1.RollingUpdateStatefulSetStrategyType}}}
}

func job(conditions ...batchv1.JobCondition) *batchv1.Job {
	return &batchv1.Job{ObjectMeta: named(), Spec: batchv1.JobSpec{Completions: ptr.To[int32](1)},
		Status: batchv1.JobStatus{Conditions: conditions, Failed: 1}}
}

func running() *batchv1.Job {
	j := job()
	j.Status = batchv1.JobStatus{Active: 1, Ready: ptr.To[int32](1), StartTime: ptr.To(metav1.Now())}
	return j
}

func suspended() *batchv1.Job {
	j := job(batchv1.JobCondition{Type: batchv1.JobSuspended, Status: corev1.ConditionTrue})
	j.Spec.Suspend = ptr.To(true)
	return j
}

func reader(objects ...client.Object) client.WithWatch {
	return fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).WithObjects(objects...).Build()
}

// applied names the object that the fixtures above are.
func applied(gvk schema.GroupVersionKind, resourceVersion string) Object {
	return Object{GVK: gvk, Namespace: "net", Name: "x", ResourceVersion: resourceVersion}
}

func TestCheckWorkload(t *testing.T) {
	available := appsv1.DeploymentCondition{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue}
	rolledOut := appsv1.DeploymentCondition{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionTrue, Reason: "NewReplicaSetAvailable"}
	progressing := appsv1.DeploymentCondition{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionTrue, Reason: "ReplicaSetUpdated"}
	two := ptr.To[int32](2)
	for _, tc := range []struct {
		name string
		gvk  schema.GroupVersionKind
		obj  client.Object
		// want is the message without the object's name; empty means Ready.
		want string
	}{
		{"DaemonSet: up", daemonSetKind, daemonSet(appsv1.DaemonSetStatus{ObservedGeneration: 2,
			DesiredNumberScheduled: 3, CurrentNumberScheduled: 3, UpdatedNumberScheduled: 3, NumberAvailable: 3, NumberReady: 3}), ""},
		{"DaemonSet: just created", daemonSetKind, daemonSet(appsv1.DaemonSetStatus{}), "roll-out about to start"},
		{"DaemonSet: the counts are those of the last spec", daemonSetKind, daemonSet(appsv1.DaemonSetStatus{ObservedGeneration: 1,
			DesiredNumberScheduled: 3, CurrentNumberScheduled: 3, UpdatedNumberScheduled: 3, NumberAvailable: 3, NumberReady: 3}), "roll-out about to start"},
		{"DaemonSet: partly updated", daemonSetKind, daemonSet(appsv1.DaemonSetStatus{ObservedGeneration: 2,
			DesiredNumberScheduled: 3, CurrentNumberScheduled: 3, UpdatedNumberScheduled: 1, NumberAvailable: 3, NumberReady: 3}), "1 of 3 pods are updated"},
		{"DaemonSet: unavailable", daemonSetKind, daemonSet(appsv1.DaemonSetStatus{ObservedGeneration: 2,
			DesiredNumberScheduled: 3, CurrentNumberScheduled: 3, UpdatedNumberScheduled: 3, NumberAvailable: 2, NumberReady: 2}), "2 of 3 pods are available"},
		{"DaemonSet: no node", daemonSetKind, daemonSet(appsv1.DaemonSetStatus{ObservedGeneration: 2}), "no node matches it, so it runs nowhere"},
		// Not yet looked at is not the same as running nowhere.
		{"DaemonSet: no node for the last spec", daemonSetKind, daemonSet(appsv1.DaemonSetStatus{ObservedGeneration: 1}), "roll-out about to start"},

		{"Deployment: up", deploymentKind, deployment(two, appsv1.DeploymentStatus{ObservedGeneration: 2,
			Replicas: 2, UpdatedReplicas: 2, ReadyReplicas: 2, AvailableReplicas: 2}, available, rolledOut), ""},
		{"Deployment: one replica, as the default has it", deploymentKind, deployment(nil, appsv1.DeploymentStatus{ObservedGeneration: 2,
			Replicas: 1, UpdatedReplicas: 1, ReadyReplicas: 1, AvailableReplicas: 1}, available, rolledOut), ""},
		{"Deployment: scaled to nothing", deploymentKind, deployment(ptr.To[int32](0), appsv1.DeploymentStatus{ObservedGeneration: 2}, available, rolledOut), ""},
		{"Deployment: not observed", deploymentKind, deployment(two, appsv1.DeploymentStatus{ObservedGeneration: 1,
			Replicas: 2, UpdatedReplicas: 2, ReadyReplicas: 2, AvailableReplicas: 2}, available, rolledOut), "roll-out about to start"},
		{"Deployment: partly updated", deploymentKind, deployment(two, appsv1.DeploymentStatus{ObservedGeneration: 2,
			Replicas: 3, UpdatedReplicas: 1, ReadyReplicas: 3, AvailableReplicas: 3}, available, progressing), "1 of 2 pods are updated"},
		{"Deployment: unavailable", deploymentKind, deployment(two, appsv1.DeploymentStatus{ObservedGeneration: 2,
			Replicas: 2, UpdatedReplicas: 2, ReadyReplicas: 1, AvailableReplicas: 1}, progressing), "1 of 2 pods are available"},
		{"Deployment: an old pod is still there", deploymentKind, deployment(two, appsv1.DeploymentStatus{ObservedGeneration: 2,
			Replicas: 3, UpdatedReplicas: 2, ReadyReplicas: 3, AvailableReplicas: 3}, available, progressing), "Pending termination: 1"},
		{"Deployment: counts without the condition", deploymentKind, deployment(two, appsv1.DeploymentStatus{ObservedGeneration: 2,
			Replicas: 2, UpdatedReplicas: 2, ReadyReplicas: 2, AvailableReplicas: 2}, rolledOut), "Deployment not Available"},

		{"StatefulSet: up", statefulSetKind, statefulSet(appsv1.StatefulSetStatus{ObservedGeneration: 2, CurrentRevision: "b", UpdateRevision: "b",
			Replicas: 2, CurrentReplicas: 2, UpdatedReplicas: 2, ReadyReplicas: 2, AvailableReplicas: 2}), ""},
		{"StatefulSet: not observed", statefulSetKind, statefulSet(appsv1.StatefulSetStatus{ObservedGeneration: 1, CurrentRevision: "b", UpdateRevision: "b",
			Replicas: 2, CurrentReplicas: 2, UpdatedReplicas: 2, ReadyReplicas: 2, AvailableReplicas: 2}), "roll-out about to start"},
		{"StatefulSet: partly updated", statefulSetKind, statefulSet(appsv1.StatefulSetStatus{ObservedGeneration: 2, CurrentRevision: "a", UpdateRevision: "b",
			Replicas: 2, CurrentReplicas: 1, UpdatedReplicas: 1, ReadyReplicas: 2, AvailableReplicas: 2}), "1 of 2 pods are updated"},
		{"StatefulSet: unavailable", statefulSetKind, statefulSet(appsv1.StatefulSetStatus{ObservedGeneration: 2, CurrentRevision: "b", UpdateRevision: "b",
			Replicas: 2, CurrentReplicas: 2, UpdatedReplicas: 2, ReadyReplicas: 1, AvailableReplicas: 1}), "1 of 2 pods are available"},

		{"Job: done", jobKind, job(batchv1.JobCondition{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}), ""},
		{"Job: has done enough", jobKind, job(batchv1.JobCondition{Type: batchv1.JobSuccessCriteriaMet, Status: corev1.ConditionTrue}), ""},
		{"Job: not started", jobKind, job(), "0 of 1 completions"},
		// kstatus is content with one that runs; a release is Ready once it has done its work.
		{"Job: runs", jobKind, running(), "0 of 1 completions"},
		{"Job: suspended", jobKind, suspended(), ""},
		{"Job: failed", jobKind, job(batchv1.JobCondition{Type: batchv1.JobFailed, Status: corev1.ConditionTrue, Reason: "BackoffLimitExceeded",
			Message: "Job has reached the specified backoff limit"}), "failed: BackoffLimitExceeded: Job has reached the specified backoff limit"},
		{"Job: is about to fail", jobKind, job(batchv1.JobCondition{Type: batchv1.JobFailureTarget, Status: corev1.ConditionTrue, Reason: "DeadlineExceeded",
			Message: "Job was active longer than specified deadline"}), "failed: DeadlineExceeded: Job was active longer than specified deadline"},
		{"Job: has not failed", jobKind, job(batchv1.JobCondition{Type: batchv1.JobFailed, Status: corev1.ConditionFalse}), "0 of 1 completions"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Check(t.Context(), reader(tc.obj), nil, []Object{applied(tc.gvk, "100")})
			if err != nil {
				t.Fatal(err)
			}
			want := Result{Ready: true, Message: "all workloads are available"}
			if tc.want != "" {
				want = Result{Message: tc.gvk.Kind + " net/x: " + tc.want, Failed: strings.HasPrefix(tc.want, "failed")}
			}
			got.Workloads = nil
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func healthy(name string) *appsv1.DaemonSet {
	ds := daemonSet(appsv1.DaemonSetStatus{ObservedGeneration: 2,
		DesiredNumberScheduled: 1, CurrentNumberScheduled: 1, UpdatedNumberScheduled: 1, NumberAvailable: 1, NumberReady: 1})
	ds.Name = name
	return ds
}

// TestCheckLaggingCache wants the status of an object from before it was applied to prove nothing.
func TestCheckLaggingCache(t *testing.T) {
	for _, tc := range []struct {
		name, seen, applied string
		ready               bool
	}{
		{"the cache lags behind", "99", "100", false},
		{"by number, not by letter", "99", "1000", false},
		{"the cache has just come as far", "100", "100", true},
		{"the cache is ahead", "101", "100", true},
		{"by number, ahead", "1000", "99", true},
		{"nobody knows when it was applied", "100", "", true},
		{"versions that are no numbers", "a", "b", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ds := healthy("x")
			ds.ResourceVersion = tc.seen
			got, err := Check(t.Context(), exactly(ds), nil, []Object{applied(daemonSetKind, tc.applied)})
			if err != nil || got.Ready != tc.ready {
				t.Errorf("%+v, %v; want ready: %v", got, err, tc.ready)
			}
			if !tc.ready && got.Message != "DaemonSet net/x: just applied" {
				t.Errorf("message %q", got.Message)
			}
		})
	}
}

// exactly answers with the DaemonSet as it is; the fake client does not accept every resource version.
func exactly(ds *appsv1.DaemonSet) client.Reader {
	return interceptor.NewClient(reader(), interceptor.Funcs{
		Get: func(_ context.Context, _ client.WithWatch, _ client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
			if out, ok := obj.(*appsv1.DaemonSet); ok {
				ds.DeepCopyInto(out)
			}
			return nil
		},
	})
}

// TestCheckAll wants everything that: missing to be named at once, in the order of the objects.
func TestCheckAll(t *testing.T) {
	object := func(gvk schema.GroupVersionKind, namespace, name string) Object {
		return Object{GVK: gvk, Namespace: namespace, Name: name}
	}
	partly := healthy("partly")
	partly.Status.DesiredNumberScheduled = 4
	for _, tc := range []struct {
		name    string
		objects []Object
		want    Result
	}{
		{"nothing", nil, Result{Ready: true, Message: "all workloads are available"}},
		{"all well", []Object{object(daemonSetKind, "net", "a"), object(daemonSetKind, "net", "b")}, Result{Ready: true, Message: "all workloads are available"}},
		// Nothing of these kinds comes up, and no cache has them.
		{"other kinds are as good as applied", []Object{
			object(corev1.SchemeGroupVersion.WithKind("ConfigMap"), "net", "gone"),
			object(schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Deployment"}, "net", "gone"),
			object(schema.GroupVersionKind{Group: "batch", Version: "v1", Kind: "CronJob"}, "net", "gone"),
		}, Result{Ready: true, Message: "all workloads are available"}},
		{"missing and partly", []Object{object(deploymentKind, "net", "gone"), object(daemonSetKind, "net", "a"), object(daemonSetKind, "net", "partly")},
			Result{Message: "Deployment net/gone: missing; DaemonSet net/partly: 1 of 4 pods are updated"}},
		{"in another namespace", []Object{object(daemonSetKind, "elsewhere", "a")}, Result{Message: "DaemonSet elsewhere/a: missing"}},
		{"of an older version", []Object{object(schema.GroupVersionKind{Group: "apps", Version: "v1beta2", Kind: "DaemonSet"}, "net", "a")},
			Result{Ready: true, Message: "all workloads are available"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Check(t.Context(), reader(healthy("a"), healthy("b"), partly), nil, tc.objects)
			if err != nil {
				t.Fatal(err)
			}
			got.Workloads = nil
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestCheckTransient wants a Job that has removed itself to be done, and one that the cache has not seen yet not to be.
func TestCheckTransient(t *testing.T) {
	there := job()
	for _, tc := range []struct {
		name      string
		live      client.Reader
		version   string
		transient bool
		want      string
	}{
		{"gone", reader(), "100", true, "all workloads are available"},
		{"the cache lags behind", reader(there), "100", true, "Job net/x: just applied"},
		// The API server is not asked, or this would panic.
		{"gone before this process began", nil, "", true, "all workloads are available"},
		{"one that does not remove itself", nil, "100", false, "Job net/x: missing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := applied(jobKind, tc.version)
			o.Transient = tc.transient
			got, err := Check(t.Context(), reader(), tc.live, []Object{o})
			if err != nil || got.Message != tc.want || got.Ready != (tc.want == "all workloads are available") {
				t.Errorf("%+v, %v; want %q", got, err, tc.want)
			}
		})
	}
}

// TestCounts wants the pods of all workloads together, and a target that changes with what is rolled out only.
func TestCounts(t *testing.T) {
	at := func(ds *appsv1.DaemonSet, d *appsv1.Deployment, j *batchv1.Job) Counts {
		d.Name, j.Name = "d", "j"
		objects := []Object{applied(daemonSetKind, "1"), applied(deploymentKind, "1"), applied(jobKind, "1")}
		objects[1].Name, objects[2].Name = "d", "j"
		result, err := Check(t.Context(), reader(ds, d, j), nil, objects)
		if err != nil {
			t.Fatal(err)
		}
		return result.Counts()
	}
	ds := func() *appsv1.DaemonSet {
		return daemonSet(appsv1.DaemonSetStatus{ObservedGeneration: 2, DesiredNumberScheduled: 5, CurrentNumberScheduled: 5, UpdatedNumberScheduled: 4, NumberAvailable: 3})
	}
	dep := func() *appsv1.Deployment {
		// The old pods go on being available, and there is one too many of them.
		return deployment(ptr.To[int32](2), appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: 3, UpdatedReplicas: 1, AvailableReplicas: 3})
	}
	first := at(ds(), dep(), job())
	if want := (Counts{Target: first.Target, Desired: 8, Updated: 6, Available: 5}); first != want {
		t.Errorf("%+v, want %+v", first, want)
	}
	further := ds()
	further.Status.NumberAvailable, further.ResourceVersion = 4, "200"
	if got := at(further, dep(), job()); got.Target != first.Target || got.Available != 6 {
		t.Errorf("further on: %+v after %+v", got, first)
	}
	changed := ds()
	changed.Generation = 3
	// What the controller has counted so far is about the last spec.
	if got := at(changed, dep(), job()); got.Target == first.Target || got.Updated != 2 {
		t.Errorf("another spec: %+v after %+v", got, first)
	}
	again := ds()
	again.UID = "another"
	if got := at(again, dep(), job()); got.Target == first.Target {
		t.Errorf("made anew: %+v after %+v", got, first)
	}
}

func TestCheckError(t *testing.T) {
	broken := errors.New("cache is not started")
	r := interceptor.NewClient(reader(), interceptor.Funcs{
		Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return broken
		},
	})
	got, err := Check(t.Context(), r, nil, []Object{applied(daemonSetKind, "")})
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "DaemonSet net/x") || got.Ready {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestObjectString(t *testing.T) {
	if got := applied(daemonSetKind, "1").String(); got != "DaemonSet net/x" {
		t.Errorf("namespaced: %q", got)
	}
	if got := (Object{GVK: schema.GroupVersionKind{Kind: "ClusterRole"}, Name: "x"}).String(); got != "ClusterRole x" {
		t.Errorf("of the cluster: %q", got)
	}
}
