package release

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	helmrelease "helm.sh/helm/v3/pkg/release"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/utils/ptr"
)

const (
	// detailTimeout bounds what is spent on finding out why a hook failed.
	detailTimeout = 15 * time.Second
	// logTimeout bounds the reading of a log: the kubelet may be out of reach when it is the network that is installed.
	logTimeout = 10 * time.Second
	logLines   = 20
	logBytes   = 2048
	// logRead is how much of a log's last lines is read, of which the last logBytes are reported.
	logRead = 64 * 1024
)

func isJob(gk schema.GroupKind) bool { return gk.Group == batchv1.GroupName && gk.Kind == "Job" }
func isPod(gk schema.GroupKind) bool { return gk.Group == "" && gk.Kind == "Pod" }

// clearHook makes room for a hook that is to run. With other deletion policies than before-hook-creation, the Job or Pod of
// an earlier run may still be there: applying it again would run nothing, and its old end would be taken for the new one's.
func (s *session) clearHook(i *resource.Info) error {
	gk := i.Mapping.GroupVersionKind.GroupKind()
	if i.Name == "" || !isJob(gk) && !isPod(gk) {
		return nil
	}
	if u, ok := i.Object.(*unstructured.Unstructured); ok {
		policies := u.GetAnnotations()[helmrelease.HookDeleteAnnotation]
		if policies == "" || strings.Contains(policies, string(helmrelease.HookBeforeHookCreation)) {
			return nil // Helm has done so
		}
	}
	heads := s.heads(i.Mapping, i.Namespace)
	live, err := heads.Get(s.ctx, i.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if who, owner := s.ownerOf(live, gk); who == foreign {
		return s.conflict(infoObject(i), who, owner)
	}
	err = heads.Delete(s.ctx, i.Name, metav1.DeleteOptions{
		PropagationPolicy: ptr.To(metav1.DeletePropagationBackground), Preconditions: &metav1.Preconditions{UID: &live.UID},
	})
	if err != nil && !apierrors.IsNotFound(err) && !isOtherUID(err) {
		return err
	}
	return s.waitGone(i.Mapping, i.Namespace, i.Name, goneTimeout)
}

// waitForHook waits until a hook has done its work: a Job has completed, a Pod has succeeded.
// Everything else has done its work by being there.
func (s *session) waitForHook(i *resource.Info, timeout time.Duration) error {
	var done func(*unstructured.Unstructured) (bool, error)
	switch gk := i.Mapping.GroupVersionKind.GroupKind(); {
	case isJob(gk):
		done = jobDone
	case isPod(gk):
		done = podDone
	default:
		return nil
	}
	err := s.standBy(func() error { return s.watchObject(i.Mapping, i.Namespace, i.Name, timeout, done) })
	if err == nil {
		return nil
	}
	if errors.Is(err, errTimeout) {
		err = fmt.Errorf("not finished after %s", timeout)
	}
	failed := objectError("wait for", infoObject(i), err)
	failed.Hook = true
	if s.ctx.Err() == nil && !errors.Is(err, errHookGone) {
		failed.Detail = s.hookDetail(infoObject(i))
	}
	return failed
}

var errHookGone = errors.New("it was deleted before it had finished")

func jobDone(u *unstructured.Unstructured) (bool, error) {
	if u == nil {
		return false, errHookGone
	}
	conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	for _, c := range conditions {
		c, _ := c.(map[string]any)
		if c["status"] != "True" {
			continue
		}
		switch c["type"] {
		case "Complete", "SuccessCriteriaMet":
			return true, nil
		case "Failed", "FailureTarget":
			return false, fmt.Errorf("it failed: %v: %s", c["reason"], joinLines(fmt.Sprint(c["message"])))
		}
	}
	return false, nil
}

func podDone(u *unstructured.Unstructured) (bool, error) {
	if u == nil {
		return false, errHookGone
	}
	phase, _, _ := unstructured.NestedString(u.Object, "status", "phase")
	switch phase {
	case "Succeeded":
		return true, nil
	case "Failed":
		reason, _, _ := unstructured.NestedString(u.Object, "status", "reason")
		return false, fmt.Errorf("it failed: %s", cmp.Or(reason, "its containers did not succeed"))
	}
	return false, nil
}

// hookDetail says what is known of a Job or Pod that failed as a hook. What cannot be found out is left out: the failure
// itself is known already.
func (s *session) hookDetail(o Object) string {
	ctx, cancel := context.WithTimeout(s.ctx, detailTimeout)
	defer cancel()
	pod, detail := s.hookPod(ctx, o)
	if pod == nil {
		return s.scrub(detail)
	}
	container, state := podTrouble(pod)
	detail = fmt.Sprintf("pod %s/%s: %s", pod.Namespace, pod.Name, state)
	if log := s.lastLog(ctx, pod, container); log != "" {
		detail += "; its log ends with: " + log
	}
	return s.scrub(detail)
}

// hookPod finds the pod to ask, or says why there is none.
func (s *session) hookPod(ctx context.Context, o Object) (*corev1.Pod, string) {
	core := s.kube.CoreV1()
	if isPod(o.GVK.GroupKind()) {
		pod, err := core.Pods(o.Namespace).Get(ctx, o.Name, metav1.GetOptions{})
		if err != nil {
			return nil, ""
		}
		return pod, ""
	}
	pods, err := core.Pods(o.Namespace).List(ctx, metav1.ListOptions{LabelSelector: batchv1.JobNameLabel + "=" + o.Name})
	if err != nil {
		return nil, ""
	}
	if len(pods.Items) > 0 {
		return ptr.To(slices.MaxFunc(pods.Items, laterFailure)), ""
	}
	events, err := core.Events(o.Namespace).List(ctx, metav1.ListOptions{FieldSelector: fields.AndSelectors(
		fields.OneTermEqualSelector("involvedObject.kind", o.GVK.Kind),
		fields.OneTermEqualSelector("involvedObject.name", o.Name),
		fields.OneTermEqualSelector("reason", "FailedCreate")).String()})
	if err != nil || len(events.Items) == 0 {
		return nil, "no pod was created for it"
	}
	last := slices.MaxFunc(events.Items, func(a, b corev1.Event) int { return a.LastTimestamp.Compare(b.LastTimestamp.Time) })
	return nil, "no pod could be created for it: " + joinLines(last.Message)
}

// laterFailure orders pods: failed ones last, and younger ones after older ones.
func laterFailure(a, b corev1.Pod) int {
	rank := func(p *corev1.Pod) int {
		if p.Status.Phase == corev1.PodFailed {
			return 1
		}
		return 0
	}
	return cmp.Or(rank(&a)-rank(&b), a.CreationTimestamp.Compare(b.CreationTimestamp.Time))
}

// podTrouble says which container of a pod has not come to a good end, and how things are with it.
func podTrouble(pod *corev1.Pod) (container, state string) {
	statuses := slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses)
	describe := func(reason, message string) string {
		if message = joinLines(message); message != "" {
			return reason + ": " + message
		}
		return reason
	}
	for _, c := range statuses {
		t := c.State.Terminated
		if t == nil {
			// A container that is restarted over and over again is waiting; what it died of is what matters.
			t = c.LastTerminationState.Terminated
		}
		if t != nil && t.ExitCode != 0 {
			why := describe(cmp.Or(t.Reason, "Error"), t.Message)
			return c.Name, fmt.Sprintf("container %s ended with exit code %d, %s", c.Name, t.ExitCode, why)
		}
	}
	for _, c := range statuses {
		if w := c.State.Waiting; w != nil && w.Reason != "" && w.Reason != "PodInitializing" && w.Reason != "ContainerCreating" {
			return c.Name, fmt.Sprintf("container %s is waiting, %s", c.Name, describe(w.Reason, w.Message))
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return "", describe("not scheduled, "+c.Reason, c.Message)
		}
	}
	if len(pod.Spec.Containers) > 0 {
		container = pod.Spec.Containers[0].Name
	}
	phase := "phase " + string(pod.Status.Phase)
	if pod.Status.Reason != "" {
		phase += ", " + describe(pod.Status.Reason, pod.Status.Message)
	}
	return container, phase
}

// lastLog reads the last lines of a container's log, as one line.
func (s *session) lastLog(ctx context.Context, pod *corev1.Pod, container string) string {
	if container == "" || pod.Spec.NodeName == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, logTimeout)
	defer cancel()
	stream, err := s.kube.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{
		Container: container, TailLines: ptr.To[int64](logLines), LimitBytes: ptr.To[int64](logRead),
	}).Stream(ctx)
	if err != nil {
		return ""
	}
	defer stream.Close()
	text, err := io.ReadAll(io.LimitReader(stream, logRead))
	if err != nil && len(text) == 0 {
		return ""
	}
	if n := bytes.LastIndexByte(text, '\n'); len(text) == logRead && n >= 0 {
		text = text[:n] // half a line may hold half a secret, which nobody would recognise
	}
	return tail(s.scrub(string(text)))
}

// tail is the end of a log: its last lines, bounded in bytes.
func tail(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = joinLines(line); line != "" {
			lines = append(lines, line)
		}
	}
	if surplus := len(lines) - logLines; surplus > 0 {
		lines = lines[surplus:]
	}
	out := strings.Join(lines, " | ")
	if surplus := len(out) - logBytes; surplus > 0 {
		out = strings.ToValidUTF8("..."+out[surplus+3:], "")
	}
	return strings.ToValidUTF8(out, "?")
}

// scrub takes sensitive values, and the content of the release's Secrets, out of a text.
func (s *session) scrub(text string) string {
	if text == "" {
		return ""
	}
	secrets := map[string]any{}
	for _, objs := range s.parsed {
		for _, o := range objs {
			if o.GetKind() != "Secret" || o.GroupVersionKind().Group != "" {
				continue
			}
			data, _, _ := unstructured.NestedMap(o.Object, "data")
			for k, v := range data {
				encoded, _ := v.(string)
				if plain, err := base64.StdEncoding.DecodeString(encoded); err == nil {
					secrets[o.GetNamespace()+"/"+o.GetName()+"/"+k] = string(plain)
				}
			}
		}
	}
	// The key makes all that is below it sensitive.
	return scrubValues(errors.New(text), map[string]any{"secret": secrets, "values": s.values}).Error()
}
