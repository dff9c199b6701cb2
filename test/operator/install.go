// Package operator builds, installs and runs the operator against a cluster, for tests, benchmarks and the demo. The
// operator runs as a process of its own and authenticates as the ServiceAccount that the project ships, with the
// permissions that the project ships.
package operator

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/networkstack/networkstack/test/controlplane"
)

// Names of what config/default installs.
const (
	Namespace      = "networkstack-system"
	ServiceAccount = "networkstack-operator"
)

// installTimeout is generous: the machine may be busy.
const installTimeout = 2 * time.Minute

// Root is the top of the repository.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// Install applies config/default (CRDs, namespace, ServiceAccount, RBAC, admission policies) without the operator's Deployment and
// without objects of the given kinds, and waits until the CRDs are served.
func Install(ctx context.Context, cfg *rest.Config, leaveOut ...string) error {
	if err := lookAtSources(); err != nil {
		return err
	}
	c, err := client.New(cfg, client.Options{})
	if err != nil {
		return err
	}
	objects, err := Build(filepath.Join(Root(), "config", "default"))
	if err != nil {
		return err
	}
	for _, obj := range objects {
		if obj.GetKind() == "Deployment" || slices.Contains(leaveOut, obj.GetKind()) {
			continue
		}
		if err := Apply(ctx, c, obj); err != nil {
			return err
		}
	}
	return wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, installTimeout, true, func(ctx context.Context) (bool, error) {
		// A fresh client, because the kinds a client knows of are those that were served when it was made.
		fresh, err := client.New(cfg, client.Options{})
		if err != nil {
			return false, nil //nolint:nilerr // the API server may be starting
		}
		for _, kind := range []string{"NetworkStack", "NetworkComponent"} {
			list := &unstructured.UnstructuredList{}
			list.SetAPIVersion("networkstack.io/v1alpha1")
			list.SetKind(kind + "List")
			if err := fresh.List(ctx, list); err != nil {
				return false, nil //nolint:nilerr // not served yet
			}
		}
		return true, nil
	})
}

// lookAtSources opens every directory that the operator is built from. go test answers from its cache when nothing that
// the test imports or opens has changed, and it knows nothing of a program that the test builds and starts.
func lookAtSources() error {
	for _, dir := range []string{"api", "charts", "cmd", "internal"} {
		err := filepath.WalkDir(filepath.Join(Root(), dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return err
			}
			_, err = os.ReadDir(path)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Build is what kustomize makes of a directory.
func Build(dir string) ([]*unstructured.Unstructured, error) {
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return nil, fmt.Errorf("building %s: %w", dir, err)
	}
	var out []*unstructured.Unstructured
	for _, r := range resources.Resources() {
		data, err := r.AsYAML()
		if err != nil {
			return nil, err
		}
		obj := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(data, obj); err != nil {
			return nil, err
		}
		out = append(out, obj)
	}
	// Namespaces first: what is in them comes after.
	slices.SortStableFunc(out, func(a, b *unstructured.Unstructured) int {
		return cmp.Compare(boolToInt(a.GetKind() != "Namespace"), boolToInt(b.GetKind() != "Namespace"))
	})
	return out, nil
}

func boolToInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Apply applies an object as kubectl apply --server-side would.
func Apply(ctx context.Context, c client.Client, obj *unstructured.Unstructured) error {
	configuration := client.ApplyConfigurationFromUnstructured(obj.DeepCopy())
	if err := c.Apply(ctx, configuration, client.FieldOwner("kubectl"), client.ForceOwnership); err != nil {
		return fmt.Errorf("applying %s %s: %w", obj.GetKind(), obj.GetName(), err)
	}
	return nil
}

// Kubeconfig writes a kubeconfig for the cluster of the given one that authenticates as the operator's ServiceAccount.
func Kubeconfig(ctx context.Context, adminKubeconfig, path string) error {
	return controlplane.ServiceAccountKubeconfig(ctx, adminKubeconfig, Namespace, ServiceAccount, path)
}
