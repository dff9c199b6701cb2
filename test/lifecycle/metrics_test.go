package lifecycle

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/networkstack/networkstack/test/operator"
)

// metricsAsDocumented scrapes an operator whose stack is Ready with Flannel. Everything that it exports is on the page of metrics, and
// what it says of the objects is so. What is the operator's own suits Prometheus' linter.
func metricsAsDocumented(t *testing.T, e *env, url string) {
	data, err := os.ReadFile(filepath.Join(operator.Root(), "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	e.eventually("what is told of objects", func(ctx context.Context) (bool, string) {
		text := operator.Answer(ctx, url)
		for _, want := range []string{
			`networkstack_build_info{goversion="` + runtime.Version() + `",version="dev"} 1`,
			`networkstack_stack_condition{stack="cluster",status="True",type="Ready"} 1`,
			`networkstack_stack_condition{stack="cluster",status="False",type="Ready"} 0`,
			`networkstack_stack_suspended{stack="cluster"} 0`,
			`networkstack_component_condition{component="flannel",status="True",type="Ready"} 1`,
			`networkstack_component_failed_attempts{component="flannel"} 0`,
			`networkstack_component_info{chart="flannel",component="flannel",type="Flannel",version="`,
			`networkstack_component_pods{component="flannel",state="desired"} `,
			`networkstack_operations_total{component="flannel",operation="apply",result="success"} 1`,
			`networkstack_operation_duration_seconds_count{operation="apply"} `,
		} {
			if !strings.Contains(text, "\n"+want) {
				return false, fmt.Sprintf("no %s in\n%s", want, text)
			}
		}
		return true, ""
	})
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(operator.Answer(t.Context(), url)))
	if err != nil {
		t.Fatal(err)
	}
	own := 0
	for name, family := range families {
		if !strings.HasPrefix(name, "networkstack_") {
			if !strings.HasPrefix(name, "go_") && !strings.Contains(page, "`"+name+"`") {
				t.Errorf("docs/metrics.md has no %s", name)
			}
			continue
		}
		own++
		if row := fmt.Sprintf("| `%s` | %s | ", name, strings.ToLower(family.GetType().String())); !strings.Contains(page, row) {
			t.Errorf("docs/metrics.md has no %q", row)
		}
		problems, err := promlint.NewWithMetricFamilies([]*dto.MetricFamily{family}).Lint()
		if err != nil || len(problems) > 0 {
			t.Errorf("%s: %v, %v", name, problems, err)
		}
	}
	if own < 10 {
		t.Errorf("only %d metrics of its own", own)
	}
}
