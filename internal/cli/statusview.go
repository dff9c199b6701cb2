package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	networkstackv1alpha1 "github.com/networkstack/networkstack/api/v1alpha1"
)

// observed is what is seen of a stack at a moment.
type observed struct {
	stack      *networkstackv1alpha1.NetworkStack
	components []networkstackv1alpha1.NetworkComponent
	// nodes are those of the cluster, by name; nil when they may not be read.
	nodes []observedNode
	// pods are those of agents that are being rolled out.
	pods []agentPod
}

// observedNode is as much of a node as matters to a roll-out.
type observedNode struct {
	name  string
	ready bool
}

// The states of an agent on a node, in the order in which a roll-out goes through them.
const (
	agentOld      = "old"
	agentMissing  = "no pod"
	agentStarting = "starting"
	agentFailing  = "failing"
	agentUpdated  = "updated"
)

// agentPod is how a component's agent is on a node.
type agentPod struct {
	component, workload, node, state string
	// since it is in this state; zero when that is not known.
	since time.Time
	// reason why it does not come up.
	reason string
}

// The bounds of the view.
const (
	narrowest   = 40
	recentDrift = 5
	barWidth    = 16
)

// view draws a stack.
type view struct {
	paint painter
	width int
	now   time.Time
	lines []string
}

// statusLines is what is shown of a stack, in lines that are no wider than width.
func statusLines(o *observed, width int, paint painter, now time.Time) []string {
	v := &view{paint: paint, width: max(width, narrowest), now: now}
	v.headline(o)
	v.components(o)
	v.drift(o)
	v.pools(o.stack)
	v.policies(o.stack)
	v.conditions(o.stack)
	return v.lines
}

// state is how a stack is, in a word, and the colour of it.
func state(s *networkstackv1alpha1.NetworkStack) (word, color string) {
	c := conditionsOf(s)
	switch {
	case s.DeletionTimestamp != nil:
		return "Deleting", yellow
	case s.Spec.Suspend:
		return "Suspended", yellow
	case isReady(s):
		return "Ready", green
	case c.is(networkstackv1alpha1.ConditionAccepted, metav1.ConditionFalse):
		if c.get(networkstackv1alpha1.ConditionAccepted).Reason == networkstackv1alpha1.ReasonConflict {
			return "Conflict", red
		}
		return "Refused", red
	case c.is(networkstackv1alpha1.ConditionStalled, metav1.ConditionTrue):
		return "Stalled", red
	default:
		return "Reconciling", yellow
	}
}

// isReady says whether everything is as the spec wants it, and the operator has seen the spec as it is.
func isReady(s *networkstackv1alpha1.NetworkStack) bool {
	ready := conditionsOf(s).get(networkstackv1alpha1.ConditionReady)
	return s.DeletionTimestamp == nil && ready != nil && ready.Status == metav1.ConditionTrue && ready.ObservedGeneration == s.Generation
}

// conditionList finds conditions by type.
type conditionList []metav1.Condition

func conditionsOf(s *networkstackv1alpha1.NetworkStack) conditionList { return s.Status.Conditions }

func (l conditionList) get(typ string) *metav1.Condition {
	i := slices.IndexFunc(l, func(c metav1.Condition) bool { return c.Type == typ })
	if i < 0 {
		return nil
	}
	return &l[i]
}

func (l conditionList) is(typ string, status metav1.ConditionStatus) bool {
	c := l.get(typ)
	return c != nil && c.Status == status
}

// headline says how the stack is and what is waited for.
func (v *view) headline(o *observed) {
	s := o.stack
	word, color := state(s)
	ready, wanted := 0, len(s.Status.Components)
	for i := range s.Status.Components {
		if s.Status.Components[i].Ready {
			ready++
		}
	}
	title := "NetworkStack " + s.Name
	count := fmt.Sprintf("%d/%d components", ready, wanted)
	if line := title + "  " + word + "  " + count; utf8.RuneCountInString(line) <= v.width {
		v.add(v.paint.paint(bold, title) + "  " + v.paint.paint(color, word) + "  " + count)
	} else {
		v.add(v.paint.paint(bold, v.fit(title)))
		v.add("  " + v.paint.paint(color, word) + "  " + count)
	}
	if text := clusterText(o); text != "" {
		v.wrapped("  ", faint, text)
	}
	for _, w := range waitingFor(s) {
		v.wrapped("  ", color, w)
	}
}

func clusterText(o *observed) string {
	var parts []string
	if f := o.stack.Status.Facts; f != nil {
		parts = append(parts, strings.TrimSpace("Kubernetes "+f.KubernetesVersion))
		if f.Distribution != "" {
			parts = append(parts, f.Distribution)
		}
		if o.nodes == nil && f.Nodes > 0 {
			parts = append(parts, plural(int(f.Nodes), "node"))
		}
	}
	if o.nodes != nil {
		text := plural(len(o.nodes), "node")
		if n := len(o.nodes) - countReady(o.nodes); n > 0 {
			text += fmt.Sprintf(" (%d not ready)", n)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

func countReady(nodes []observedNode) int {
	n := 0
	for _, node := range nodes {
		if node.ready {
			n++
		}
	}
	return n
}

// waitingFor is what keeps a stack from being Ready, in the operator's words.
func waitingFor(s *networkstackv1alpha1.NetworkStack) []string {
	c := conditionsOf(s)
	if s.Status.ObservedGeneration != s.Generation {
		return []string{"waiting for the operator to take notice of what was changed last"}
	}
	if isReady(s) {
		return nil
	}
	for _, typ := range []string{
		networkstackv1alpha1.ConditionAccepted, networkstackv1alpha1.ConditionStalled, networkstackv1alpha1.ConditionReady,
	} {
		cond := c.get(typ)
		holds := cond != nil && (typ == networkstackv1alpha1.ConditionStalled) == (cond.Status == metav1.ConditionTrue)
		if holds && cond.Status != metav1.ConditionUnknown || holds && typ == networkstackv1alpha1.ConditionReady {
			return splitMessage(cond.Message)
		}
	}
	return []string{"waiting for the operator"}
}

// splitMessage gives each thing that a message says a line of its own.
func splitMessage(message string) []string {
	return strings.Split(strings.ReplaceAll(message, "; ", "\n"), "\n")
}

// components is a table, with more below those that something is to be said of.
func (v *view) components(o *observed) {
	list := o.stack.Status.Components
	if len(list) == 0 {
		return
	}
	v.section("Components")
	rows := make([][]string, len(list))
	widths := make([]int, len(componentColumns))
	for i, c := range componentColumns {
		widths[i] = utf8.RuneCountInString(c)
	}
	for i := range list {
		rows[i] = componentRow(&list[i], componentOf(o, list[i].Name))
		for j, cell := range rows[i] {
			widths[j] = max(widths[j], utf8.RuneCountInString(cell))
		}
	}
	v.add(v.paint.paint(faint, v.fit(cells(componentColumns, widths))))
	for i := range list {
		l, c := &list[i], componentOf(o, list[i].Name)
		line := v.fit(cells(rows[i], widths))
		v.add(strings.Replace(line, string(l.Phase), v.paint.paint(phaseColor(l), string(l.Phase)), 1))
		if !l.Ready && l.Message != "" {
			v.wrapped("        ", "", l.Message)
		}
		v.rollout(o, l, c)
	}
}

var componentColumns = []string{"STAGE", "COMPONENT", "PHASE", "VERSION", "PODS"}

func componentRow(l *networkstackv1alpha1.ComponentSummary, c *networkstackv1alpha1.NetworkComponent) []string {
	version := cmp.Or(l.Version, l.WantedVersion)
	if l.Version != "" && l.WantedVersion != "" && strings.TrimPrefix(l.Version, "v") != strings.TrimPrefix(l.WantedVersion, "v") {
		version = l.Version + " -> " + l.WantedVersion
	}
	pods := "-"
	if c != nil && c.Status.Rollout != nil && c.Status.Rollout.Desired > 0 {
		pods = fmt.Sprintf("%d/%d", c.Status.Rollout.Available, c.Status.Rollout.Desired)
	}
	return []string{fmt.Sprint(l.Stage), l.Name, string(l.Phase), version, pods}
}

func componentOf(o *observed, name string) *networkstackv1alpha1.NetworkComponent {
	i := slices.IndexFunc(o.components, func(c networkstackv1alpha1.NetworkComponent) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return &o.components[i]
}

func phaseColor(l *networkstackv1alpha1.ComponentSummary) string {
	switch {
	case l.Phase == networkstackv1alpha1.PhaseFailed:
		return red
	case l.Ready:
		return green
	case l.Phase == networkstackv1alpha1.PhasePending:
		return faint
	default:
		return yellow
	}
}

// rollout says how far pods have come, and where they are just now.
func (v *view) rollout(o *observed, l *networkstackv1alpha1.ComponentSummary, c *networkstackv1alpha1.NetworkComponent) {
	if c == nil || c.Status.Rollout == nil || c.Status.Rollout.Desired == 0 {
		return
	}
	r := c.Status.Rollout
	if l.Ready && r.Updated >= r.Desired && r.Available >= r.Desired {
		return
	}
	text := fmt.Sprintf("%s %d of %d updated, %d available", v.bar(int64(r.Updated), int64(r.Desired)), r.Updated, r.Desired, r.Available)
	if r.Deadline != nil && !r.Deadline.After(v.now) {
		text += ", stalled"
	} else if r.LastProgressTime != nil {
		text += ", last progress " + v.ago(r.LastProgressTime.Time)
	}
	v.add(v.fit("        " + text))
	v.nodes(o, l.Name)
}

// nodes says on which nodes something is going on; on how many nothing has begun, and where it is done, is a number.
func (v *view) nodes(o *observed, component string) {
	var busy []string
	old := 0
	for _, p := range o.pods {
		switch {
		case p.component != component || p.state == agentUpdated:
		case p.state == agentOld:
			old++
		default:
			text := p.node + " " + p.state
			if !p.since.IsZero() {
				text += " " + duration.HumanDuration(v.now.Sub(p.since))
			}
			if p.reason != "" {
				text += " (" + p.reason + ")"
			}
			if i := slices.IndexFunc(o.nodes, func(n observedNode) bool { return n.name == p.node }); i >= 0 && !o.nodes[i].ready {
				text += ", node not ready"
			}
			busy = append(busy, text)
		}
	}
	const most = 6
	if len(busy) > most {
		busy = append(busy[:most:most], fmt.Sprintf("and %d more", len(busy)-most))
	}
	for _, text := range busy {
		v.wrapped("        ", "", "node "+text)
	}
	if old > 0 {
		v.add(v.fit("        " + plural(old, "node") + " to go"))
	}
}

// bar is how much of something is there.
func (*view) bar(part, whole int64) string {
	full := 0
	if whole > 0 {
		full = int(min(max(part, 0), whole) * barWidth / whole)
	}
	return "[" + strings.Repeat("#", full) + strings.Repeat("-", barWidth-full) + "]"
}

func (v *view) ago(t time.Time) string {
	return duration.HumanDuration(max(v.now.Sub(t), 0)) + " ago"
}

// found is a drift and where.
type found struct {
	component string
	networkstackv1alpha1.Drift
}

// drift says what was found last, and what is open.
func (v *view) drift(o *observed) {
	var open, recent []found
	var contested []string
	total := int64(0)
	for i := range o.components {
		c := &o.components[i]
		if c.Status.Drift == nil {
			continue
		}
		total += c.Status.Drift.Count
		for _, d := range c.Status.Drift.Open {
			open = append(open, found{c.Name, d})
		}
		for _, d := range c.Status.Drift.Recent {
			recent = append(recent, found{c.Name, d})
		}
		for _, f := range c.Status.Drift.Contested {
			contested = append(contested, fmt.Sprintf("%s: %s of %s is left to %s", c.Name, f.Path, f.Object, f.Manager))
		}
	}
	if len(open)+len(recent)+len(contested) == 0 {
		return
	}
	v.section(fmt.Sprintf("Drift (%d so far)", total))
	at := func(f found) time.Time {
		if f.Time == nil {
			return time.Time{}
		}
		return f.Time.Time
	}
	slices.SortStableFunc(recent, func(a, b found) int { return at(b).Compare(at(a)) })
	for _, f := range open {
		v.wrapped("  ", red, "open: "+v.driftText(f))
	}
	for _, text := range contested {
		v.wrapped("  ", red, "contested: "+text)
	}
	for _, f := range recent[:min(len(recent), recentDrift)] {
		v.wrapped("  ", "", v.driftText(f))
	}
}

func (v *view) driftText(f found) string {
	what := map[string]string{
		networkstackv1alpha1.ReasonDriftCorrected: "corrected", networkstackv1alpha1.ReasonObjectRestored: "restored",
		networkstackv1alpha1.ReasonDriftDetected: "found", networkstackv1alpha1.ReasonDriftContested: "contested",
	}[f.Reason]
	text := fmt.Sprintf("%s: %s %s", f.component, f.Object, cmp.Or(what, f.Reason))
	if f.Time != nil {
		text = v.ago(f.Time.Time) + "  " + text
	}
	if f.Manager != "" {
		text += ", by " + f.Manager
	}
	var paths []string
	for _, field := range f.Fields {
		paths = append(paths, field.Path)
	}
	const most = 3
	more := len(paths) - most + int(f.MoreFields)
	if len(paths) > 0 {
		text += ": " + strings.Join(paths[:min(len(paths), most)], ", ")
		if more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
	}
	return text
}

// pools says how much of each is given out.
func (v *view) pools(s *networkstackv1alpha1.NetworkStack) {
	if len(s.Status.IPPools) == 0 {
		return
	}
	v.section("Pools")
	for i := range s.Status.IPPools {
		p := &s.Status.IPPools[i]
		unit := "addresses"
		if p.Unit == networkstackv1alpha1.PoolNodeRanges {
			unit = "ranges of nodes"
		}
		text := fmt.Sprintf("%s %s  %d %s given out", p.Name, p.Family, p.Allocated, unit)
		if p.Capacity != nil {
			text = fmt.Sprintf("%s %s  %s %d of %d %s", p.Name, p.Family, v.bar(p.Allocated, *p.Capacity), p.Allocated, *p.Capacity, unit)
		}
		color := ""
		switch {
		case p.Disabled:
			text += ", disabled"
		case p.State != "":
			text += ", " + string(p.State)
			if p.State != networkstackv1alpha1.PoolSufficient {
				color = red
			}
		}
		if p.FullAt != nil {
			text += ", full in " + duration.HumanDuration(max(p.FullAt.Sub(v.now), 0))
		}
		v.wrapped("  ", color, text)
	}
}

// policies says what has become of the baseline policies.
func (v *view) policies(s *networkstackv1alpha1.NetworkStack) {
	p := s.Status.Policies
	if p == nil {
		return
	}
	v.section("Baseline policies")
	text := string(p.Mode)
	if p.API != "" {
		text += " by " + string(p.API)
	}
	text += fmt.Sprintf(": %s, %s", p.Deny, plural(int(p.Namespaces), "namespace"))
	if p.Pending > 0 {
		text += fmt.Sprintf(", %d to be written", p.Pending)
	}
	if p.FindingsTotal > 0 {
		text += ", " + plural(int(p.FindingsTotal), "finding")
		if p.Dangerous > 0 {
			text += fmt.Sprintf(" (%d dangerous)", p.Dangerous)
		}
	}
	color := ""
	if p.Deny == networkstackv1alpha1.DenyHeld || p.Deny == networkstackv1alpha1.DenyPulled {
		color = yellow
	}
	v.wrapped("  ", color, text)
	if p.Message != "" {
		v.wrapped("  ", "", p.Message)
	}
}

// conditions are those that say something beyond the headline.
func (v *view) conditions(s *networkstackv1alpha1.NetworkStack) {
	if len(s.Status.Conditions) == 0 {
		return
	}
	v.section("Conditions")
	for i := range s.Status.Conditions {
		c := &s.Status.Conditions[i]
		text := c.Type + "=" + string(c.Status)
		if c.Reason != "" && c.Reason != c.Type {
			text += " " + c.Reason
		}
		if !c.LastTransitionTime.IsZero() {
			text += ", since " + duration.HumanDuration(max(v.now.Sub(c.LastTransitionTime.Time), 0))
		}
		v.add(v.fit("  " + text))
	}
	if n := len(s.Status.Warnings); n > 0 {
		v.add(v.fit("  " + plural(n, "warning") + ": kubectl describe netstack " + s.Name))
	}
}

func (v *view) section(title string) {
	v.lines = append(v.lines, "", v.paint.paint(bold, v.fit(title)))
}

func (v *view) add(line string) { v.lines = append(v.lines, strings.TrimRight(line, " ")) }

// fit cuts a line that is too wide.
func (v *view) fit(line string) string {
	if utf8.RuneCountInString(line) <= v.width {
		return line
	}
	const dots = "..."
	return string([]rune(line)[:v.width-len(dots)]) + dots
}

// wrapped adds a text in as many lines as it takes, indented, at most four.
func (v *view) wrapped(indent, color, text string) {
	const most = 4
	width := v.width - len(indent)
	lines := wrap(text, width)
	if len(lines) > most {
		last := (&view{width: width}).fit(strings.Join(lines[most-1:], " "))
		lines = append(lines[:most-1:most-1], last)
	}
	for _, line := range lines {
		v.add(indent + v.paint.paint(color, line))
	}
}

// wrap breaks a text between words; a word that is too long is broken.
func wrap(text string, width int) []string {
	var out []string
	line := ""
	for _, word := range strings.Fields(text) {
		for utf8.RuneCountInString(word) > width {
			if line != "" {
				out, line = append(out, line), ""
			}
			out, word = append(out, string([]rune(word)[:width])), string([]rune(word)[width:])
		}
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
			line += " " + word
		default:
			out, line = append(out, line), word
		}
	}
	if line != "" {
		out = append(out, line)
	}
	return out
}

// cells are a row of a table.
func cells(row []string, widths []int) string {
	var b strings.Builder
	for i, cell := range row {
		b.WriteString("  ")
		b.WriteString(cell)
		b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)))
	}
	return strings.TrimRight(b.String(), " ")
}
