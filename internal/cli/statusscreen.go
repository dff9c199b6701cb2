package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// What terminals are told. The view has a screen of its own, so that what was there before comes back when it ends.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l" // the other screen, without a cursor
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	toTop       = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// terminalScreen draws the view in its place.
type terminalScreen struct {
	out   io.Writer
	paint painter
	size  func() (width, height int)
	now   func() time.Time
}

func newTerminalScreen(f *os.File, paint painter) *terminalScreen {
	s := &terminalScreen{out: f, paint: paint, now: time.Now, size: func() (int, int) { return terminalSize(f) }}
	fmt.Fprint(s.out, enterScreen)
	return s
}

// terminalSize is that of a terminal, or the usual one.
func terminalSize(f *os.File) (width, height int) {
	const usualWidth, usualHeight = 80, 24
	width, height, err := term.GetSize(int(f.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		return usualWidth, usualHeight
	}
	return width, height
}

// show draws the view.
func (s *terminalScreen) show(o *observed) {
	width, height := s.size()
	lines := s.lines(o, width)
	if len(lines) >= height && height > 1 {
		more := len(lines) - (height - 1) + 1
		lines = append(lines[:max(height-2, 0):max(height-2, 0)], fmt.Sprintf("... %d more lines", more))
	}
	var b strings.Builder
	b.WriteString(toTop)
	for _, line := range lines {
		b.WriteString(line + clearLine + "\r\n")
	}
	b.WriteString(clearBelow)
	fmt.Fprint(s.out, b.String())
}

func (s *terminalScreen) lines(o *observed, width int) []string {
	if o == nil {
		return []string{"there is no NetworkStack yet: waiting for one"}
	}
	return statusLines(o, width, s.paint, s.now())
}

// end gives the terminal back, and leaves on it what was shown last.
func (s *terminalScreen) end(o *observed) {
	fmt.Fprint(s.out, leaveScreen)
	width, _ := s.size()
	if o != nil {
		for _, line := range s.lines(o, width) {
			fmt.Fprintln(s.out, line)
		}
	}
}

// lineScreen writes a line for each change.
type lineScreen struct {
	out io.Writer
	now func() time.Time
	was map[string]string
}

// show writes what has changed.
func (s *lineScreen) show(o *observed) {
	is, order := saidOf(o)
	for _, key := range order {
		if s.was[key] != is[key] {
			fmt.Fprintf(s.out, "%s %s\n", s.now().UTC().Format(time.RFC3339), is[key])
		}
	}
	for key := range s.was {
		if _, there := is[key]; !there && strings.HasPrefix(key, componentKey) {
			fmt.Fprintf(s.out, "%s %s is gone\n", s.now().UTC().Format(time.RFC3339), strings.TrimPrefix(key, componentKey))
		}
	}
	s.was = is
}

// end has nothing to add.
func (*lineScreen) end(*observed) {}

const componentKey = "component "

// saidOf is a line for each thing that may change, without ages, and their order.
func saidOf(o *observed) (lines map[string]string, order []string) {
	lines = map[string]string{}
	say := func(key, format string, args ...any) {
		lines[key] = strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " ")
		order = append(order, key)
	}
	if o == nil {
		say("stack", "there is no NetworkStack")
		return lines, order
	}
	s := o.stack
	for i := range s.Status.Components {
		l := &s.Status.Components[i]
		row := componentRow(l, componentOf(o, l.Name))
		text := fmt.Sprintf("component %s: %s %s", l.Name, l.Phase, row[3])
		if row[4] != "-" {
			text += ", " + row[4] + " pods"
		}
		if !l.Ready && l.Message != "" {
			text += ": " + l.Message
		}
		say(componentKey+l.Name, "%s", text)
	}
	for i := range o.components {
		c := &o.components[i]
		if c.Status.Drift == nil || c.Status.Drift.Count == 0 || len(c.Status.Drift.Recent) == 0 {
			continue
		}
		d := found{c.Name, c.Status.Drift.Recent[0]}
		d.Time = nil
		say("drift "+c.Name, "drift %d of %s", c.Status.Drift.Count, (&view{}).driftText(d))
	}
	for i := range s.Status.IPPools {
		if p := &s.Status.IPPools[i]; p.State != "" {
			say("pool "+p.Name+string(p.Family), "pool %s %s: %s", p.Name, p.Family, p.State)
		}
	}
	if p := s.Status.Policies; p != nil {
		say("policies", "baseline policies: %s %s %s", p.Mode, p.Deny, p.Message)
	}
	conditions := slices.Clone(s.Status.Conditions)
	slices.SortFunc(conditions, func(a, b metav1.Condition) int { return strings.Compare(a.Type, b.Type) })
	for i := range conditions {
		if c := &conditions[i]; c.Type != networkstackv1alpha1.ConditionReady {
			say("condition "+c.Type, "%s=%s %s", c.Type, c.Status, c.Reason)
		}
	}
	word, _ := state(s)
	say("stack", "NetworkStack %s: %s: %s", s.Name, word, strings.Join(waitingFor(s), "; "))
	lines["stack"] = strings.TrimSuffix(lines["stack"], ":")
	return lines, order
}
