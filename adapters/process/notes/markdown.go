package notes

import (
	"net/url"
	"regexp"
	"strings"
)

// block is one piece of a rendered body. Templates print its texts, so everything is escaped.
type block struct {
	// Kind is h1, h2, h3, p, li, task, quote, code or rule.
	Kind string
	Text []span
	// Line and Done are a task's.
	Line int
	Done bool
	Code string
}

// span is a run of text in one style: "", strong, em, code, br or link. A link's text is its http or https address.
type span struct {
	Style, Text string
}

// blocks reads Markdown-lite: headings, lists, checklists, quotes, fenced code, rules, paragraphs.
func blocks(body string) []block {
	var out []block
	lines := strings.Split(body, "\n")
	for i := 0; i < len(lines); i++ {
		line := strings.TrimRight(lines[i], " \t")
		text := strings.TrimLeft(line, " \t")
		switch {
		case text == "":
		case strings.HasPrefix(text, "```"):
			var code []string
			for i++; i < len(lines) && !strings.HasPrefix(strings.TrimSpace(lines[i]), "```"); i++ {
				code = append(code, lines[i])
			}
			out = append(out, block{Kind: "code", Code: strings.Join(code, "\n")})
		case task.MatchString(line):
			m := task.FindStringSubmatch(line)
			out = append(out, block{Kind: "task", Line: i, Done: m[2] != " ", Text: spans(strings.TrimPrefix(m[3], "] "))})
		case text == "---" || text == "***":
			out = append(out, block{Kind: "rule"})
		default:
			kind, rest := lineKind(text)
			if kind == "p" && i > 0 && len(out) > 0 && out[len(out)-1].Kind == "p" && strings.TrimSpace(lines[i-1]) != "" {
				last := &out[len(out)-1]
				last.Text = append(append(last.Text, span{Style: "br"}), spans(rest)...)
				continue
			}
			out = append(out, block{Kind: kind, Text: spans(rest)})
		}
	}
	return out
}

func lineKind(text string) (kind, rest string) {
	for _, p := range []struct{ prefix, kind string }{
		{"### ", "h3"}, {"## ", "h2"}, {"# ", "h1"}, {"- ", "li"}, {"* ", "li"}, {"> ", "quote"},
	} {
		if rest, ok := strings.CutPrefix(text, p.prefix); ok {
			return p.kind, rest
		}
	}
	return "p", text
}

var inline = regexp.MustCompile("`[^`]+`|\\*\\*[^*]+\\*\\*|\\*[^*\\s][^*]*\\*|https?://[^\\s<>\"']+")

func spans(text string) []span {
	var out []span
	for text != "" {
		at := inline.FindStringIndex(text)
		if at == nil {
			return append(out, span{Text: text})
		}
		if at[0] > 0 {
			out = append(out, span{Text: text[:at[0]]})
		}
		found := text[at[0]:at[1]]
		switch {
		case found[0] == '`':
			out = append(out, span{Style: "code", Text: found[1 : len(found)-1]})
		case strings.HasPrefix(found, "**"):
			out = append(out, span{Style: "strong", Text: found[2 : len(found)-2]})
		case found[0] == '*':
			out = append(out, span{Style: "em", Text: found[1 : len(found)-1]})
		default:
			link := strings.TrimRight(found, ".,;:!?)]")
			at[1] -= len(found) - len(link)
			if u, err := url.Parse(link); err == nil && u.Host != "" {
				out = append(out, span{Style: "link", Text: link})
			} else {
				out = append(out, span{Text: link})
			}
		}
		text = text[at[1]:]
	}
	return out
}
