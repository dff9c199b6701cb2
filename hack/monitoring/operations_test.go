package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// entry is a call that logs.
type entry struct {
	at   token.Position
	text ast.Expr
	keys []ast.Expr
	// method is Info or Error.
	method string
}

// entries are all calls that log, in what the operator is made of.
func entries(t *testing.T) []entry {
	t.Helper()
	var all []entry
	for _, dir := range []string{"cmd", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
				return err
			}
			set := token.NewFileSet()
			parsed, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				method, ok := call.Fun.(*ast.SelectorExpr)
				if !ok || !isLogger(method.X) {
					return true
				}
				e := entry{at: set.Position(call.Pos()), method: method.Sel.Name}
				switch {
				case e.method == "Info" && len(call.Args) > 0:
					e.text, e.keys = call.Args[0], call.Args[1:]
				case e.method == "Error" && len(call.Args) > 1:
					e.text, e.keys = call.Args[1], call.Args[2:]
				default:
					return true
				}
				all = append(all, e)
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(all) < 30 {
		t.Fatalf("only %d calls that log were found", len(all))
	}
	return all
}

// isLogger says whether an expression is a logger, by its name: ctrl.Log, w.log.V(1), logr.FromContextOrDiscard(ctx).
func isLogger(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.Ident:
		return strings.EqualFold(x.Name, "log") || strings.EqualFold(x.Name, "logger")
	case *ast.SelectorExpr:
		return strings.EqualFold(x.Sel.Name, "log") || strings.EqualFold(x.Sel.Name, "logger")
	case *ast.CallExpr:
		switch f := x.Fun.(type) {
		case *ast.Ident:
			return f.Name == "ctrlLog"
		case *ast.SelectorExpr:
			return f.Sel.Name == "FromContextOrDiscard" || f.Sel.Name == "LoggerFrom" ||
				(f.Sel.Name == "V" || f.Sel.Name == "WithName" || f.Sel.Name == "WithValues") && isLogger(f.X)
		}
	}
	return false
}

func operations(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "docs/operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// firstCells are the words in code of the first column of the table below a heading.
func firstCells(t *testing.T, page, heading string) map[string]bool {
	t.Helper()
	_, section, found := strings.Cut(page, "\n## "+heading+"\n")
	if !found {
		t.Fatalf("no section %s", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	cells := map[string]bool{}
	for line := range strings.SplitSeq(section, "\n") {
		if !strings.HasPrefix(line, "| ") {
			continue
		}
		for _, word := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(strings.SplitN(line, "|", 3)[1], -1) {
			cells[word[1]] = true
		}
	}
	return cells
}

// TestLogs holds what is logged to the page: the keys there are, messages that can be searched for, no other levels.
func TestLogs(t *testing.T) {
	t.Parallel()
	documented := firstCells(t, operations(t), "Logs")
	used := map[string]bool{"error": true, "info": true, "debug": true, "2": true} // levels
	secretive := regexp.MustCompile(`(?i)\b(values?|data|stringData|password|token|key|keys|content)\b`)
	for _, e := range entries(t) {
		if text, ok := e.text.(*ast.BasicLit); ok {
			message, err := strconv.Unquote(text.Value)
			if err != nil || message == "" || unicode.IsUpper([]rune(message)[0]) || strings.HasSuffix(message, ".") {
				t.Errorf("%s: message %s", e.at, text.Value)
			}
		} else if len(e.keys) == 0 && !strings.Contains(e.at.Filename, "release") {
			t.Errorf("%s: a message that is made up, and no keys", e.at)
		}
		if len(e.keys)%2 != 0 {
			t.Errorf("%s: a key without a value", e.at)
			continue
		}
		for i := 0; i < len(e.keys); i += 2 {
			literal, ok := e.keys[i].(*ast.BasicLit)
			if !ok {
				t.Errorf("%s: a key that is no constant", e.at)
				continue
			}
			key, err := strconv.Unquote(literal.Value)
			if err != nil || !documented[key] {
				t.Errorf("%s: docs/operations.md has no key %s", e.at, literal.Value)
			}
			used[key] = true
			if id, ok := e.keys[i+1].(*ast.Ident); ok && secretive.MatchString(id.Name) {
				t.Errorf("%s: logs %s", e.at, id.Name)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(documented)) {
		if !used[key] {
			t.Errorf("docs/operations.md has key %s, and nothing logs it", key)
		}
	}
}

// TestEvents wants every reason of the API to be documented, as that of an event or of a condition, and no others to be.
func TestEvents(t *testing.T) {
	t.Parallel()
	events := firstCells(t, operations(t), "Events")
	guide, err := os.ReadFile(filepath.Join(root, "docs/user-guide.md"))
	if err != nil {
		t.Fatal(err)
	}
	constants := map[string]bool{}
	for _, file := range []string{"api/v1alpha1/networkstack_status.go", "internal/plan/plan.go"} {
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			action, isAction := spec.Type.(*ast.Ident)
			if !strings.HasPrefix(spec.Names[0].Name, "Reason") && (!isAction || action.Name != "Action") {
				return true
			}
			if literal, ok := spec.Values[0].(*ast.BasicLit); ok {
				if value, err := strconv.Unquote(literal.Value); err == nil {
					constants[value] = true
				}
			}
			return true
		})
	}
	if len(constants) < 40 {
		t.Fatalf("only %d reasons were found", len(constants))
	}
	for reason := range constants {
		if reason != "Keep" && !events[reason] && !strings.Contains(string(guide), "`"+reason+"`") {
			t.Errorf("reason %s is documented nowhere", reason)
		}
	}
	for reason := range events {
		if !constants[reason] && reason != "Accepted" && reason != "Ready" {
			t.Errorf("docs/operations.md has an event %s, which there is not", reason)
		}
	}
}

// TestFlags wants the page of flags to have those of this page's.
func TestFlags(t *testing.T) {
	t.Parallel()
	install, err := os.ReadFile(filepath.Join(root, "docs/install.md"))
	if err != nil {
		t.Fatal(err)
	}
	options, err := os.ReadFile(filepath.Join(root, "cmd/operator/options.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range regexp.MustCompile(`f\.\w+Var\([^"]*"([a-z-]+)"`).FindAllStringSubmatch(string(options), -1) {
		if !strings.Contains(string(install), "`--"+f[1]) {
			t.Errorf("docs/install.md has no flag --%s", f[1])
		}
	}
}
