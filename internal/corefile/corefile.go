// Package corefile reads, changes and writes the configuration of CoreDNS, with CoreDNS's own parser. It is pure: what would
// make that parser look at files or environment variables is an error.
package corefile

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/coredns/caddy/caddyfile"
)

// Server is one server block.
type Server struct {
	// Zones that it answers for, such as "." and "dns://example.org"; Port is common to all.
	Zones   []Zone
	Plugins []Plugin
}

// Zone is one key of a server block.
type Zone struct {
	// Scheme with its "://"; empty for plain DNS.
	Scheme string
	// Name as it is written, such as "." or "example.org".
	Name string
	// Port; empty for the scheme's own.
	Port string
}

// Plugin is one directive of a server block: its arguments, and the lines of its block.
type Plugin struct {
	Name string
	Args []string
	// Block are the lines in braces. A line that opens a block of its own ends in "{", and a line "}" closes it.
	Block [][]string
}

// String is the zone as a Corefile has it.
func (z Zone) String() string {
	if z.Port == "" {
		return z.Scheme + z.Name
	}
	return z.Scheme + z.Name + ":" + z.Port
}

// EffectivePort is the port, or that of plain DNS.
func (z Zone) EffectivePort() string { return cmp.Or(z.Port, "53") }

// Domain is the zone's name in the one form that two names of the same zone have: lower case, without the last dot; empty for the root.
func (z Zone) Domain() string { return domain(z.Name) }

func domain(name string) string { return strings.TrimSuffix(strings.ToLower(name), ".") }

// maxImports bounds what snippets that import snippets grow to.
const maxImports = 16

// Errors of texts that are not parsed, because reading them depends on where they are read.
var (
	ErrImport      = errors.New("it imports a file, which only CoreDNS itself could read")
	ErrImports     = fmt.Errorf("it imports snippets more than %d times, which may add up to a lot: write them out", maxImports)
	ErrEnvironment = errors.New("it refers to an environment variable, which only CoreDNS itself could read")
)

// Parse reads the text of a Corefile. Snippets that are defined in it are put in where they are imported.
func Parse(text string) ([]Server, error) {
	if err := closed(text); err != nil {
		return nil, err
	}
	// The parser takes back at a time what it reads ahead, and does not expect a text that ends in the midst of things.
	blocks, err := caddyfile.Parse("Corefile", strings.NewReader(text), nil)
	if err != nil {
		return nil, errors.New(strings.Replace(err.Error(), "Corefile:", "line ", 1))
	}
	if len(blocks) == 0 {
		return nil, errors.New("it has no server block")
	}
	out := make([]Server, 0, len(blocks))
	for i := range blocks {
		server := Server{Plugins: pluginsOf(blocks[i].Tokens)}
		for _, key := range blocks[i].Keys {
			if strings.ContainsAny(key, "{}") {
				return nil, fmt.Errorf("%q is no zone: put a space before the brace", key)
			}
			server.Zones = append(server.Zones, parseZone(key))
		}
		out = append(out, server)
	}
	return out, nil
}

// closed says whether a text means the same wherever it is read. The parser replaces environment variables and opens files, so it
// is not asked.
func closed(text string) error {
	d := caddyfile.NewDispenser("Corefile", strings.NewReader(text))
	snippets := map[string]bool{}
	importing, imports := false, 0
	for d.Next() {
		token := d.Val()
		if strings.Contains(token, "{$") || strings.Contains(token, "{%") {
			return ErrEnvironment
		}
		if importing && !snippets[token] {
			return ErrImport
		}
		if importing = token == "import"; importing {
			imports++
		}
		if imports > maxImports {
			return ErrImports
		}
		if name, ok := strings.CutPrefix(token, "("); ok {
			snippets[strings.TrimSuffix(name, ")")] = true
		}
	}
	return nil
}

func parseZone(key string) Zone {
	var z Zone
	if scheme, rest, ok := strings.Cut(key, "://"); ok {
		z.Scheme, key = scheme+"://", rest
	}
	z.Name = key
	if colon := strings.LastIndex(key, ":"); colon >= 0 && strings.Trim(key[colon+1:], "0123456789") == "" && colon < len(key)-1 {
		z.Name, z.Port = key[:colon], key[colon+1:]
	}
	z.Name = cmp.Or(z.Name, ".")
	return z
}

// pluginsOf puts directives back into the order of the text: the parser has them by name.
func pluginsOf(tokens map[string][]caddyfile.Token) []Plugin {
	type placed struct {
		Plugin
		line int
	}
	var all []placed
	for name, list := range tokens {
		for _, lines := range statements(list) {
			first := lines[0]
			p := Plugin{Name: name}
			for _, t := range first[1:] {
				p.Args = append(p.Args, t.Text)
			}
			if n := len(p.Args); n > 0 && p.Args[n-1] == "{" {
				p.Args = p.Args[:n-1]
				for _, line := range lines[1:] {
					p.Block = append(p.Block, texts(line))
				}
				if last := len(p.Block) - 1; last >= 0 && slices.Equal(p.Block[last], []string{"}"}) {
					p.Block = p.Block[:last]
				}
			}
			if len(p.Args) == 0 {
				p.Args = nil
			}
			all = append(all, placed{p, first[0].Line})
		}
	}
	slices.SortStableFunc(all, func(a, b placed) int { return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.Name, b.Name)) })
	out := make([]Plugin, len(all))
	for i := range all {
		out[i] = all[i].Plugin
	}
	return out
}

// statements are the directives of one name, each as its lines.
func statements(tokens []caddyfile.Token) [][][]caddyfile.Token {
	var out [][][]caddyfile.Token
	nesting, line := 0, -1
	for i, t := range tokens {
		// A quoted token may span lines, and what follows it is on its last one.
		newLine := line < 0 || t.Line > line || t.Text == "}"
		if i > 0 {
			newLine = newLine || tokens[i-1].Text == "{"
		}
		line = t.Line + strings.Count(t.Text, "\n")
		if t.Text == "}" {
			nesting--
		}
		switch last := len(out) - 1; {
		case newLine && nesting == 0 && t.Text != "}":
			out = append(out, [][]caddyfile.Token{{t}})
		case newLine:
			out[last] = append(out[last], []caddyfile.Token{t})
		default:
			end := len(out[last]) - 1
			out[last][end] = append(out[last][end], t)
		}
		if t.Text == "{" {
			nesting++
		}
	}
	return out
}

func texts(tokens []caddyfile.Token) []string {
	out := make([]string, len(tokens))
	for i := range tokens {
		out[i] = tokens[i].Text
	}
	return out
}

// Line is a line of a plugin's block, as it is written.
func Line(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = quoted(w)
	}
	return strings.Join(out, " ")
}

// quoted is a token as the parser reads it back.
func quoted(token string) string {
	if token != "" && !strings.ContainsAny(token, " \t\r\n\"#") {
		return token
	}
	return `"` + strings.ReplaceAll(token, `"`, `\"`) + `"`
}

// Parameters are a plugin's arguments in one line.
func (p *Plugin) Parameters() string { return Line(p.Args) }

// BlockText is a plugin's block, one line each, with what is nested indented.
func (p *Plugin) BlockText() string {
	var out strings.Builder
	depth := 0
	for i, words := range p.Block {
		if len(words) > 0 && words[0] == "}" {
			depth--
		}
		if i > 0 {
			out.WriteString("\n")
		}
		out.WriteString(strings.Repeat("    ", max(depth, 0)) + Line(words))
		if len(words) > 0 && words[len(words)-1] == "{" {
			depth++
		}
	}
	return out.String()
}

// Find is the first plugin of a name; nil when there is none.
func (s *Server) Find(name string) *Plugin {
	for i := range s.Plugins {
		if s.Plugins[i].Name == name {
			return &s.Plugins[i]
		}
	}
	return nil
}

// Set puts plugins in the place of all of a name, where the first of them was, or at the end.
func (s *Server) Set(name string, with ...Plugin) {
	at := slices.IndexFunc(s.Plugins, func(p Plugin) bool { return p.Name == name })
	s.Plugins = slices.DeleteFunc(s.Plugins, func(p Plugin) bool { return p.Name == name })
	if at < 0 || at > len(s.Plugins) {
		at = len(s.Plugins)
	}
	s.Plugins = slices.Insert(s.Plugins, at, with...)
}

// SetOption puts a line in the place of all lines of a plugin's block that begin with its first word. Without arguments the
// lines are only taken out.
func (p *Plugin) SetOption(name string, args ...string) {
	p.Block = slices.DeleteFunc(p.Block, func(line []string) bool { return len(line) > 0 && line[0] == name })
	if len(args) > 0 {
		p.Block = append(p.Block, append([]string{name}, args...))
	}
}

// Serves says whether the server has a zone of this name, at the port of plain DNS.
func (s *Server) Serves(name string) bool {
	return slices.ContainsFunc(s.Zones, func(z Zone) bool { return z.Domain() == domain(name) && z.EffectivePort() == "53" })
}

// Text is the Corefile of servers.
func Text(servers []Server) string {
	var out strings.Builder
	for i := range servers {
		for _, z := range servers[i].Zones {
			out.WriteString(z.String() + " ")
		}
		out.WriteString("{\n")
		for j := range servers[i].Plugins {
			p := &servers[i].Plugins[j]
			out.WriteString("    " + strings.TrimSpace(p.Name+" "+p.Parameters()))
			if len(p.Block) > 0 {
				out.WriteString(" {\n" + p.BlockText() + "\n    }")
			}
			out.WriteString("\n")
		}
		out.WriteString("}\n")
	}
	return out.String()
}
