// Package gitops judges NetworkStacks and their components as the tools do that keep clusters as Git has them: Flux by kstatus, and
// Argo CD by the script that the project ships for it, in the interpreter that Argo CD uses.
package gitops

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	lua "github.com/yuin/gopher-lua"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/networkstack/networkstack/test/operator"
)

// Verdict is what the tools say of an object.
type Verdict struct {
	// Kstatus is one of kstatus's statuses, and Argo one of Argo CD's.
	Kstatus status.Status
	Argo    string
	// Message is Argo CD's.
	Message string
}

// Judge an object of the project's.
type Judge struct{ scripts map[string]string }

// NewJudge reads the scripts that are shipped in config/argocd.
func NewJudge() (*Judge, error) {
	data, err := os.ReadFile(filepath.Join(operator.Root(), "config", "argocd", "argocd-cm.yaml"))
	if err != nil {
		return nil, err
	}
	var cm corev1.ConfigMap
	if err := yaml.UnmarshalStrict(data, &cm); err != nil {
		return nil, err
	}
	return &Judge{scripts: cm.Data}, nil
}

// Of is the verdict on an object.
func (j *Judge) Of(u *unstructured.Unstructured) (Verdict, error) {
	result, err := status.Compute(u)
	if err != nil {
		return Verdict{}, err
	}
	key := "resource.customizations.health." + u.GroupVersionKind().Group + "_" + u.GetKind()
	script, ok := j.scripts[key]
	if !ok {
		return Verdict{}, fmt.Errorf("no script %s", key)
	}
	v := Verdict{Kstatus: result.Status}
	v.Argo, v.Message, err = run(script, u.Object)
	return v, err
}

// run gives the script what Argo CD gives it, the object in the global obj, and nothing of Lua's libraries that reaches outside.
func run(script string, object map[string]any) (health, message string, err error) {
	l := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer l.Close()
	for _, lib := range []struct {
		name string
		open lua.LGFunction
	}{
		{lua.LoadLibName, lua.OpenPackage}, {lua.BaseLibName, lua.OpenBase},
		{lua.TabLibName, lua.OpenTable}, {lua.StringLibName, lua.OpenString},
	} {
		if err := l.CallByParam(lua.P{Fn: l.NewFunction(lib.open), Protect: true}, lua.LString(lib.name)); err != nil {
			return "", "", err
		}
	}
	l.SetGlobal("obj", value(l, object))
	if err := l.DoString(script); err != nil {
		return "", "", fmt.Errorf("the script: %w", err)
	}
	answer, ok := l.Get(-1).(*lua.LTable)
	if !ok {
		return "", "", fmt.Errorf("the script answers %s", l.Get(-1).Type())
	}
	return lua.LVAsString(answer.RawGetString("status")), lua.LVAsString(answer.RawGetString("message")), nil
}

// value is what Lua knows a part of an object as.
func value(l *lua.LState, v any) lua.LValue {
	switch v := v.(type) {
	case bool:
		return lua.LBool(v)
	case string:
		return lua.LString(v)
	case int64:
		return lua.LNumber(v)
	case float64:
		return lua.LNumber(v)
	case map[string]any:
		table := l.NewTable()
		for key, item := range v {
			table.RawSetString(key, value(l, item))
		}
		return table
	case []any:
		table := l.NewTable()
		for _, item := range v {
			table.Append(value(l, item))
		}
		return table
	default:
		return lua.LNil
	}
}
