// Package pages reads the documentation as its readers use it: the commands and the examples in it, and where its links lead.
//
// What a test needs to know of a block stands above it, in comments that no reader sees:
//
//	<!-- file: NAME -->                   the block is a file that later commands read, at this place of the project
//	<!-- test: cluster -->                from here on, on a new cluster
//	<!-- test: first COMMAND -->          what a reader would have done before
//	<!-- test: run -->                    what it prints is that of another cluster: not compared
//	<!-- test: scratch -->                run in a directory of its own rather than in the project, which $PROJECT names
//	<!-- test: skip REASON -->            not run, and why
//	<!-- test: printed by COMMAND -->     lines that the command, which stands further below, prints
package pages

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// Block is a block of code.
type Block struct {
	// Page is the file it is in, and Line where it begins, counted from 1.
	Page string
	Line int
	// Language is what stands behind its fence.
	Language string
	Text     string
	// File is the name under which later commands find it.
	File string
	// Cluster says that a new cluster begins.
	Cluster bool
	// First are commands to run before it.
	First []string
	// Uncompared says that what it prints is not compared.
	Uncompared bool
	// Scratch says that it runs in a directory of its own.
	Scratch bool
	// PrintedBy is the beginning of the command whose output it has lines of.
	PrintedBy string
	// Skip is why it is not run.
	Skip string
}

// Place names the block in messages.
func (b Block) Place() string { return fmt.Sprintf("%s:%d", b.Page, b.Line) }

var comment = regexp.MustCompile(`^\s*<!-- (file|test): (.*?) -->\s*$`)

// Read takes a page apart. A directive that is unknown, or stands above no block, is an error.
func Read(page string) ([]Block, error) {
	data, err := os.ReadFile(page)
	if err != nil {
		return nil, err
	}
	return parse(page, string(data))
}

func parse(page, text string) ([]Block, error) {
	var blocks []Block
	var next, open *Block
	take := func() *Block {
		if next == nil {
			next = &Block{Page: page}
		}
		return next
	}
	for i, line := range strings.Split(text, "\n") {
		fence, isFence := strings.CutPrefix(strings.TrimLeft(line, " "), "```")
		switch m := comment.FindStringSubmatch(line); {
		case open != nil && isFence:
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			open.Text += line + "\n"
		case isFence:
			open, next = take(), nil
			open.Line, open.Language = i+1, strings.TrimSpace(fence)
		case m != nil:
			if err := take().direct(m[1], m[2]); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", page, i+1, err)
			}
		case next != nil && strings.TrimSpace(line) != "":
			return nil, fmt.Errorf("%s:%d: the directive above belongs to no block", page, i+1)
		}
	}
	if open != nil || next != nil {
		return nil, fmt.Errorf("%s: a block or a directive is not closed", page)
	}
	return blocks, nil
}

func (b *Block) direct(kind, what string) error {
	if kind == "file" {
		b.File = what
		return nil
	}
	word, rest, _ := strings.Cut(what, " ")
	switch {
	case word == "cluster" && rest == "":
		b.Cluster = true
	case word == "run" && rest == "":
		b.Uncompared = true
	case word == "scratch" && rest == "":
		b.Scratch = true
	case word == "first" && rest != "":
		b.First = append(b.First, rest)
	case word == "printed" && strings.HasPrefix(rest, "by "):
		b.PrintedBy = strings.TrimPrefix(rest, "by ")
	case word == "skip" && rest != "":
		b.Skip = rest
	default:
		return fmt.Errorf("there is no directive %q", what)
	}
	return nil
}

// Shell says whether the block is of commands.
func (b Block) Shell() bool { return b.Language == "sh" || b.Language == "console" }

// Command is one command of a block.
type Command struct {
	Text string
	// Output is what the page shows of what it prints; nil when it shows nothing.
	Output []string
	// Refused says that it is meant to fail: its comment begins with "refused".
	Refused bool
}

// Commands are those of the block, in order. Lines that end in a backslash go on in the next one.
func (b Block) Commands() []Command {
	var commands []Command
	continues := false
	for line := range strings.Lines(b.Text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case continues:
			commands[len(commands)-1].Text += "\n" + line
		case b.Language == "console":
			command, ok := strings.CutPrefix(line, "$ ")
			if !ok {
				if n := len(commands); n > 0 {
					commands[n-1].Output = append(commands[n-1].Output, line)
				}
				continue
			}
			commands = append(commands, Command{Text: command})
		case strings.TrimSpace(line) == "" || strings.HasPrefix(strings.TrimSpace(line), "#"):
			continue
		default:
			commands = append(commands, Command{Text: line})
		}
		continues = strings.HasSuffix(line, `\`)
	}
	for i := range commands {
		commands[i].Refused = strings.Contains(commands[i].Text, "# refused")
	}
	return commands
}

var (
	// What differs from run to run: times, durations, and the ports and the directories of clusters for a test.
	varying = regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z|\b\d+(\.\d+)? ?(ms|s|m|h|d)(\d+(ms|s|m))?\b|\b\d+\.\d+\.\d+\.\d+:\d+\b`)
	spaces  = regexp.MustCompile(`\s+`)
)

// passing is a line that is printed only when somebody looks at the right moment.
var passing = regexp.MustCompile(`\b(Fetching|Pending|Installing|RollingOut)\b`)

// Missing are the lines of a page that were not printed, in whatever order; those of a passing state need not be.
func Missing(shown, printed string) []string {
	got := map[string]bool{}
	for line := range strings.Lines(printed) {
		got[shape(line)] = true
	}
	var missing []string
	for line := range strings.Lines(shown) {
		if !got[shape(line)] && !passing.MatchString(line) {
			missing = append(missing, shape(line))
		}
	}
	return missing
}

func shape(line string) string {
	return strings.TrimSpace(spaces.ReplaceAllString(varying.ReplaceAllString(line, "#"), " "))
}

// Differs says which line of what a page shows is not in what was printed, in this order. A page may leave out lines where it has a line
// "…", and the end of a line by an "…" there; empty lines do not count.
func Differs(shown []string, printed string) string {
	var got []string
	for line := range strings.Lines(printed) {
		if s := shape(line); s != "" {
			got = append(got, s)
		}
	}
	gap := false
	for _, line := range shown {
		want := shape(line)
		if want == "" {
			continue
		}
		if want == "…" {
			gap = true
			continue
		}
		found := -1
		for i, g := range got {
			if head, cut := strings.CutSuffix(want, "…"); g == want || cut && strings.HasPrefix(g, head) {
				found = i
			}
			if found >= 0 || !gap {
				break
			}
		}
		if found < 0 {
			if len(got) == 0 {
				return fmt.Sprintf("shown: %s\nprinted: nothing more", want)
			}
			return fmt.Sprintf("shown:   %s\nprinted: %s", want, strings.Join(got, "\n         "))
		}
		got, gap = got[found+1:], false
	}
	if !gap && len(got) > 0 {
		return "printed, but not shown: " + strings.Join(got, "\n")
	}
	return ""
}
