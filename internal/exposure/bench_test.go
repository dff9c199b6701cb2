package exposure

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/networkstack/networkstack/internal/policy/analysis"
)

// town gives out pods in pages, ten of each Deployment, a Service for each of these, and a namespace for ten.
type town struct {
	client.Reader
	pods int
}

func (c *town) List(_ context.Context, list client.ObjectList, opts ...client.ListOption) error {
	o := client.ListOptions{}
	for _, opt := range opts {
		opt.ApplyToList(&o)
	}
	first, _ := strconv.Atoi(o.Continue)
	list.SetContinue("")
	page := func(all int, add func(i int)) {
		last := min(all, first+int(o.Limit))
		for i := first; i < last; i++ {
			add(i)
		}
		if last < all {
			list.SetContinue(strconv.Itoa(last))
		}
	}
	switch l := list.(type) {
	case *metav1.PartialObjectMetadataList:
		l.Items = nil
		page(c.pods/100, func(i int) {
			n := metav1.PartialObjectMetadata{}
			n.Name, n.Labels = fmt.Sprintf("namespace-%d", i), map[string]string{"covered": "yes", corev1.LabelMetadataName: fmt.Sprintf("namespace-%d", i)}
			l.Items = append(l.Items, n)
		})
	case *corev1.ServiceList:
		l.Items = nil
		page(c.pods/10, func(i int) {
			s := corev1.Service{}
			s.Namespace, s.Name = fmt.Sprintf("namespace-%d", i/10), fmt.Sprintf("web-%d", i)
			s.Spec.Selector = map[string]string{"app": s.Name}
			s.Spec.Ports = []corev1.ServicePort{{Name: "http", Port: 80}}
			l.Items = append(l.Items, s)
		})
	case *corev1.PodList:
		l.Items = nil
		page(c.pods, func(i int) {
			name := fmt.Sprintf("web-%d", i/10)
			p := pod(fmt.Sprintf("%s-abc-%d", name, i))
			p.Namespace, p.OwnerReferences[0].Name = fmt.Sprintf("namespace-%d", i/100), name+"-abc"
			p.Labels = map[string]string{"app": name, "pod-template-hash": "abc", "team": "shop", "version": "v1", "tier": "web"}
			for k := range 30 {
				p.Spec.Containers[0].Env = append(p.Spec.Containers[0].Env, corev1.EnvVar{Name: fmt.Sprintf("VARIABLE_%d", k), Value: fmt.Sprintf("value %d of %d", k, i)})
			}
			p.Status.PodIPs[0].IP = fmt.Sprintf("10.%d.%d.%d", 1+i>>16, i>>8&255, i&255)
			l.Items = append(l.Items, *p)
		})
	}
	return nil
}

// BenchmarkSurvey looks at 10,000 pods: what is kept until the analysis is done, and what goes through memory on the way.
func BenchmarkSurvey(b *testing.B) {
	for _, pods := range []int{10_000, 50_000} {
		b.Run(strconv.Itoa(pods), func(b *testing.B) {
			b.ReportAllocs()
			var before, after runtime.MemStats
			for b.Loop() {
				runtime.GC()
				runtime.ReadMemStats(&before)
				cluster, err := Collect(b.Context(), &town{pods: pods}, analysis.Known{})
				if err != nil {
					b.Fatal(err)
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				report := analysis.Analyse(setOf(), cluster)
				if len(cluster.Pods) != pods/10 || len(report.Findings) != 0 {
					b.Fatalf("%d workloads, %d findings", len(cluster.Pods), len(report.Findings))
				}
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB-kept")
		})
	}
}
