package operator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/yaml"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// RunTests is the TestMain of a package that starts operators: it builds one binary for all tests and puts its path into
// binary. The result is the exit code.
func RunTests(m *testing.M, binary *string) int {
	log.SetLogger(logr.Discard())
	dir, err := os.MkdirTemp("", "networkstack-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if *binary, err = Binary(context.Background(), dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// Client knows the project's kinds beside Kubernetes' own. It does not hold itself back.
func Client(cfg *rest.Config) (client.Client, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), networkstackv1alpha1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	cfg = rest.CopyConfig(cfg)
	cfg.QPS = -1
	return client.New(cfg, client.Options{Scheme: scheme})
}

// Sample is one of config/samples.
func Sample(name string) (*networkstackv1alpha1.NetworkStack, error) {
	data, err := os.ReadFile(filepath.Join(Root(), "config", "samples", name))
	if err != nil {
		return nil, err
	}
	var stack networkstackv1alpha1.NetworkStack
	return &stack, yaml.UnmarshalStrict(data, &stack)
}

// SmallStack is the sample that the binary carries all of, with CNI, kube-proxy and DNS alone: for tests to which the rest would
// only add time.
func SmallStack() (*networkstackv1alpha1.NetworkStack, error) {
	stack, err := Sample("networkstack_flannel.yaml")
	if err != nil {
		return nil, err
	}
	stack.Spec.CNI.NetworkPolicy = ""
	stack.Spec.Ingress, stack.Spec.SecondaryNetworks = nil, nil
	return stack, nil
}

// ApplyStack applies a stack's spec as kubectl apply --server-side would.
func ApplyStack(ctx context.Context, c client.Client, stack *networkstackv1alpha1.NetworkStack) error {
	obj, err := StackObject(stack)
	if err != nil {
		return err
	}
	return Apply(ctx, c, obj)
}

// StackObject is a stack as a user writes it: name and spec.
func StackObject(stack *networkstackv1alpha1.NetworkStack) (*unstructured.Unstructured, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&networkstackv1alpha1.NetworkStack{Spec: stack.Spec})
	if err != nil {
		return nil, err
	}
	obj := &unstructured.Unstructured{Object: map[string]any{"spec": content["spec"]}}
	obj.SetAPIVersion(networkstackv1alpha1.GroupVersion.String())
	obj.SetKind("NetworkStack")
	obj.SetName(stack.Name)
	return obj, nil
}

// Log collects what operators print. The zero value is ready for use, by many at a time.
type Log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write adds to the log.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// String is all of it.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// Tail is the last n bytes.
func (l *Log) Tail(n int) string {
	s := l.String()
	return s[max(0, len(s)-n):]
}

// Count is how often a text occurs.
func (l *Log) Count(text string) int { return strings.Count(l.String(), text) }
