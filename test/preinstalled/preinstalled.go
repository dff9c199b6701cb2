// Package preinstalled puts agents into a test's cluster as kubeadm and kubectl do, and counts what becomes of their pods.
package preinstalled

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

//go:embed *.yaml
var manifests embed.FS

// Manifest is one of kube-proxy, flannel, coredns and multus, with the Kubernetes version in the image of kube-proxy.
func Manifest(name, kubernetesVersion string) string {
	data, err := manifests.ReadFile(name + ".yaml")
	if err != nil {
		panic(err)
	}
	return strings.ReplaceAll(string(data), "VERSION", kubernetesVersion)
}

// Objects reads a manifest.
func Objects(manifest string) []*unstructured.Unstructured {
	decoder := utilyaml.NewYAMLOrJSONDecoder(strings.NewReader(manifest), 4096)
	var out []*unstructured.Unstructured
	for {
		u := &unstructured.Unstructured{}
		err := decoder.Decode(&u.Object)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			panic(err)
		}
		if len(u.Object) > 0 {
			out = append(out, u)
		}
	}
}

// Create creates a manifest's objects under the name of a field manager, as kubeadm does under its own.
func Create(ctx context.Context, c client.Client, manager, manifest string) error {
	for _, u := range Objects(manifest) {
		if err := c.Create(ctx, u, client.FieldOwner(manager)); err != nil {
			return fmt.Errorf("creating %s %s: %w", u.GetKind(), u.GetName(), err)
		}
	}
	return nil
}

// Kubectl runs kubectl apply.
func Kubectl(ctx context.Context, kubectl, kubeconfig, manifest string) error {
	cmd := exec.CommandContext(ctx, kubectl, "--kubeconfig", kubeconfig, "apply", "-f", "-")
	cmd.Stdin = strings.NewReader(manifest)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("kubectl apply: %w: %s", err, out.String())
	}
	return nil
}

// Delete deletes a manifest's objects.
func Delete(ctx context.Context, c client.Client, manifest string) error {
	for _, u := range Objects(manifest) {
		if err := c.Delete(ctx, u); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}

// Versions are the resource versions of a manifest's objects, for showing that nothing was touched. Workloads are left to
// Pods: their status changes by itself.
func Versions(ctx context.Context, c client.Client, manifest string) (map[string]string, error) {
	out := map[string]string{}
	for _, u := range Objects(manifest) {
		if err := c.Get(ctx, client.ObjectKeyFromObject(u), u); err != nil {
			return nil, err
		}
		version := u.GetResourceVersion()
		if u.GroupVersionKind().Group == "apps" {
			version = fmt.Sprint(u.GetGeneration(), u.GetLabels(), u.GetAnnotations())
		}
		out[u.GetKind()+"/"+u.GetName()] = version
	}
	return out, nil
}

// Pods are the UIDs of all pods with a label, and the names of what their templates were recorded as: as long as these are
// the same, no pod was replaced and none will be.
func Pods(ctx context.Context, k kubernetes.Interface, namespace, selector string) ([]string, error) {
	var out []string
	options := metav1.ListOptions{LabelSelector: selector}
	pods, err := k.CoreV1().Pods(namespace).List(ctx, options)
	if err != nil {
		return nil, err
	}
	for i := range pods.Items {
		out = append(out, "pod "+string(pods.Items[i].UID))
	}
	revisions, err := k.AppsV1().ControllerRevisions(namespace).List(ctx, options)
	if err != nil {
		return nil, err
	}
	for i := range revisions.Items {
		out = append(out, "revision "+revisions.Items[i].Name)
	}
	sets, err := k.AppsV1().ReplicaSets(namespace).List(ctx, options)
	if err != nil {
		return nil, err
	}
	for i := range sets.Items {
		out = append(out, "replica set "+sets.Items[i].Name)
	}
	slices.Sort(out)
	return out, nil
}
