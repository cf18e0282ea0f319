package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"The shell: ${enum}."`
}

// scripts hand the words of a command line to hanse complete, so that they never go out of date. Where it has no answer the shell
// completes file names.
func scripts() map[string]string {
	return map[string]string{
		"bash": `# eval "$(hanse completion bash)", or keep it as /etc/bash_completion.d/hanse
_hanse() {
	local IFS=$'\n'
	COMPREPLY=($(hanse complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _hanse hanse
`,
		"zsh": `#compdef hanse
# eval "$(hanse completion zsh)" after compinit, or keep it as _hanse in a folder of $fpath
_hanse() {
	local -a found
	found=("${(@f)$(hanse complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
	if [[ -n "$found" ]]; then compadd -a found; else _files; fi
}
if [[ $funcstack[1] = _hanse ]]; then _hanse "$@"; else compdef _hanse hanse; fi
`,
		"fish": `# hanse completion fish | source, or keep it as ~/.config/fish/completions/hanse.fish
complete -c hanse -a '(hanse complete -- (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)'
`,
	}
}

func (c *completionCmd) Run(a *app) error {
	script := scripts()[c.Shell]
	return a.show(map[string]string{"shell": c.Shell, "script": script}, func(t *table) { _, _ = fmt.Fprint(t.w, script) })
}

// completeCmd answers the scripts: the words so far, of which the last is being typed.
type completeCmd struct {
	Words []string `arg:"" optional:"" passthrough:""`
}

func (c *completeCmd) Run(a *app) error {
	words := c.Words
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	found := complete(a.parser.Model.Node, words)
	return a.show(found, func(t *table) {
		for _, word := range found {
			_, _ = fmt.Fprintln(t.w, word)
		}
	})
}

// complete is what the last word can become.
func complete(node *kong.Node, words []string) []string {
	if len(words) == 0 {
		words = []string{""}
	}
	words = rejoined(words)
	last := words[len(words)-1]
	var value *kong.Value // that the next word is for
	arguments := 0
	for _, word := range words[:len(words)-1] {
		switch {
		case value != nil:
			value = nil
		case strings.HasPrefix(word, "-"):
			if f := flagOf(node, word); f != nil && !f.IsBool() && !strings.Contains(word, "=") {
				value = f.Value
			}
		default:
			if child := childOf(node, word); child != nil {
				node, arguments = child, 0
			} else {
				arguments++
			}
		}
	}
	switch {
	case value != nil:
		return starting(last, choices(value))
	case strings.HasPrefix(last, "-"):
		return starting(last, flagsOf(node))
	case arguments < len(node.Positional):
		return starting(last, choices(node.Positional[arguments]))
	}
	return starting(last, commandsOf(node))
}

// rejoined takes a lone = after a flag away: bash splits --output=j into three words, and completes the last of them.
func rejoined(words []string) []string {
	out := make([]string, 0, len(words))
	for i, word := range words {
		if word != "=" || i == 0 || !strings.HasPrefix(words[i-1], "-") {
			out = append(out, word)
		} else if i == len(words)-1 {
			out = append(out, "") // the value, of which nothing is typed
		}
	}
	return out
}

func starting(prefix string, words []string) []string {
	found := []string{}
	for _, w := range words {
		if strings.HasPrefix(w, prefix) {
			found = append(found, w)
		}
	}
	slices.Sort(found)
	return found
}

func choices(v *kong.Value) []string {
	if v.Enum == "" {
		return nil
	}
	return slices.DeleteFunc(strings.Split(v.Enum, ","), func(s string) bool { return s == "" })
}

func childOf(node *kong.Node, name string) *kong.Node {
	for _, child := range node.Children {
		if child.Name == name {
			return child
		}
	}
	return nil
}

func commandsOf(node *kong.Node) []string {
	var names []string
	for _, child := range node.Children {
		if !child.Hidden {
			names = append(names, child.Name)
		}
	}
	return names
}

func flagsOf(node *kong.Node) []string {
	var names []string
	for _, group := range node.AllFlags(true) {
		for _, f := range group {
			names = append(names, "--"+f.Name)
		}
	}
	return names
}

func flagOf(node *kong.Node, word string) *kong.Flag {
	name, _, _ := strings.Cut(word, "=")
	for _, group := range node.AllFlags(true) {
		for _, f := range group {
			if name == "--"+f.Name || (f.Short != 0 && name == "-"+string(f.Short)) {
				return f
			}
		}
	}
	return nil
}
