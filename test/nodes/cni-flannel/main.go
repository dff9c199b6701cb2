// Command cni-flannel stands in for Flannel's CNI plugin (github.com/flannel-io/cni-plugin), which there is no Go module of. As that
// one's README has it, it makes no interfaces: it reads what flanneld says of the node, composes the configuration of another plugin,
// by default bridge with addresses of host-local, of one family or both, and lets that one do the work.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Codes of errors, as CNI's specification has them.
const (
	codeVersion     = 1
	codeEnvironment = 4
	codeIO          = 5
	codeDecode      = 6
	codeConfig      = 7
	codeUnavailable = 50
	codeOther       = 100
)

// supported are the versions of CNI, oldest first.
var supported = []string{"0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}

// since is the first version that has a command; the others have been there ever since.
var since = map[string]string{"CHECK": "0.4.0", "GC": "1.1.0", "STATUS": "1.1.0"}

// failure is an error as runtimes read it.
type failure struct {
	CNIVersion string `json:"cniVersion,omitempty"`
	Code       int    `json:"code"`
	Message    string `json:"msg"`
}

func (f *failure) Error() string { return f.Message }

func fail(code int, format string, args ...any) error {
	return &failure{Code: code, Message: fmt.Sprintf(format, args...)}
}

// errDelegate is of a plugin that has printed an error of its own.
var errDelegate = errors.New("the delegate failed")

func main() {
	input, err := io.ReadAll(os.Stdin)
	if err == nil {
		err = run(os.Getenv, input, os.Stdout)
	}
	if err == nil {
		return
	}
	if !errors.Is(err, errDelegate) {
		f := &failure{Code: codeOther, Message: err.Error()}
		_ = errors.As(err, &f)
		f.CNIVersion = versionOf(input)
		_ = json.NewEncoder(os.Stdout).Encode(f)
	}
	os.Exit(1)
}

// versionOf is the version that a configuration is of; the first one had no such field.
func versionOf(input []byte) string {
	var c struct {
		CNIVersion string `json:"cniVersion"`
	}
	if err := json.Unmarshal(input, &c); err != nil || c.CNIVersion == "" {
		return supported[0]
	}
	return c.CNIVersion
}

var containerID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

func run(env func(string) string, input []byte, out io.Writer) error {
	command := env("CNI_COMMAND")
	if command == "VERSION" {
		return json.NewEncoder(out).Encode(map[string]any{"cniVersion": supported[len(supported)-1], "supportedVersions": supported})
	}
	c, err := parse(input)
	if err != nil {
		return err
	}
	at := slices.Index(supported, c.CNIVersion)
	if at < 0 || at < slices.Index(supported, since[command]) {
		return fail(codeVersion, "version %s of CNI is not supported, or has no %s", c.CNIVersion, command)
	}
	p := plugin{config: c, env: env, out: out, container: env("CNI_CONTAINERID")}
	switch command {
	case "STATUS":
		return p.status()
	case "GC":
		return p.collect()
	}
	if !containerID.MatchString(p.container) {
		return fail(codeEnvironment, "CNI_CONTAINERID is %q", p.container)
	}
	switch command {
	case "ADD":
		return p.add()
	case "DEL":
		return p.remove()
	case "CHECK":
		return p.check()
	}
	return fail(codeEnvironment, "CNI_COMMAND is %q", command)
}

// plugin is one call.
type plugin struct {
	config
	env       func(string) string
	out       io.Writer
	container string
}

// saved is where a container's delegate has its configuration: when the container goes, the node's subnet may be another.
func (p plugin) saved() string { return filepath.Join(p.DataDir, p.container) }

func (p plugin) add() error {
	delegate, err := p.compose()
	if err != nil {
		return err
	}
	content, err := json.Marshal(delegate)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(p.DataDir, 0o700); err != nil {
		return fail(codeIO, "%v", err)
	}
	// Nobody shall find half of it.
	half := filepath.Join(p.DataDir, "."+p.container)
	if err := errors.Join(os.WriteFile(half, content, 0o600), os.Rename(half, p.saved())); err != nil {
		return fail(codeIO, "%v", err)
	}
	return p.call(delegate)
}

// remove does nothing where nothing is left.
func (p plugin) remove() error {
	delegate, err := p.load(p.saved())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := p.call(delegate); err != nil {
		return err
	}
	return os.Remove(p.saved())
}

func (p plugin) check() error {
	delegate, err := p.load(p.saved())
	if err != nil {
		return fail(codeOther, "what this container was given: %v", err)
	}
	delegate["prevResult"] = p.PrevResult
	return p.call(delegate)
}

// status says whether pods can be added: not before flanneld has said what the node's subnet is.
func (p plugin) status() error {
	delegate, err := p.compose()
	if err != nil {
		return fail(codeUnavailable, "%v", err)
	}
	return p.call(delegate)
}

// collect removes what belongs to containers of this network that are no more.
func (p plugin) collect() error {
	paths, err := filepath.Glob(filepath.Join(p.DataDir, "*"))
	if err != nil {
		return err
	}
	var stale []string
	called := false
	for _, path := range paths {
		delegate, err := p.load(path)
		if err != nil || delegate["name"] != p.Name {
			continue
		}
		if !called {
			called = true
			delegate["cni.dev/valid-attachments"] = p.Valid
			if err := p.call(delegate); err != nil {
				return err
			}
		}
		if !slices.ContainsFunc(p.Valid, func(a attachment) bool { return a.ContainerID == filepath.Base(path) }) {
			stale = append(stale, path)
		}
	}
	for _, path := range stale {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (p plugin) load(path string) (map[string]any, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	delegate := map[string]any{}
	if err := json.Unmarshal(content, &delegate); err != nil {
		return nil, fail(codeDecode, "%s: %v", path, err)
	}
	return delegate, nil
}

// call lets the delegate do what this plugin was asked for. What it prints is the answer.
func (p plugin) call(delegate map[string]any) error {
	name, _ := delegate["type"].(string)
	input, err := json.Marshal(delegate)
	if err != nil {
		return err
	}
	for _, dir := range filepath.SplitList(p.env("CNI_PATH")) {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			continue
		}
		cmd := exec.Command(path)
		var answer bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &answer, os.Stderr
		err := cmd.Run()
		if _, failed := p.out.Write(answer.Bytes()); failed != nil {
			return failed
		}
		if err != nil && strings.TrimSpace(answer.String()) == "" {
			return fail(codeOther, "%s: %v", path, err)
		} else if err != nil {
			return errDelegate
		}
		return nil
	}
	return fail(codeEnvironment, "there is no plugin %s in CNI_PATH, %s", name, p.env("CNI_PATH"))
}
