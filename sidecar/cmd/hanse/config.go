package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/hanse-market/hanse/sidecar"
)

type configCmd struct {
	Check configCheckCmd `cmd:"" help:"Check the configuration and the files that it names, without starting; exits with 1 where something is wrong."`
}

type configCheckCmd struct{}

// checked is what config check tells.
type checked struct {
	File     string    `json:"configuration"`
	Valid    bool      `json:"valid"`
	Origin   string    `json:"origin,omitempty"`
	DataDir  string    `json:"data_dir,omitempty"`
	Problems []problem `json:"problems"`
}

// problem is one thing wrong with a configuration, at its line of the file, 0 where it is in none.
type problem struct {
	Line    int    `json:"line,omitempty"`
	Key     string `json:"key,omitempty"`
	Problem string `json:"problem"`
	Action  string `json:"action,omitempty"`
}

func (c *configCheckCmd) Run(a *app) error {
	file, err := a.configFile()
	if err != nil {
		return err
	}
	out := checked{File: file, Problems: []problem{}}
	cfg, err := sidecar.LoadConfig(file, a.getenv)
	if err == nil {
		cfg = rigged(cfg)
		err = cfg.Check()
		cfg, _ = cfg.Complete()
		out.Origin, out.DataDir = cfg.Origin, absolute(cfg.DataDir)
	} else if missing := noConfiguration(file, err); missing != nil {
		return missing
	}
	out.Problems = append(out.Problems, locate(file, err)...)
	out.Valid = len(out.Problems) == 0
	if err := a.show(out, func(t *table) { describeCheck(t, out, fileName(sidecar.Config{File: file})) }); err != nil || out.Valid {
		return err
	}
	cause := "1 problem"
	if n := len(out.Problems); n > 1 {
		cause = fmt.Sprintf("%d problems", n)
	}
	return &commandError{
		Code: exitFailure, Reason: "bad_configuration", Cause: cause, Action: "docs/configuration.md lists every key",
	}
}

func describeCheck(t *table, c checked, name string) {
	for _, p := range c.Problems {
		// A line of its own without cells: editors jump to file:line.
		_, _ = fmt.Fprintln(t.w, printable(p.at(name)))
	}
	if c.Valid {
		t.fact("Configuration", name)
		t.fact("Origin", c.Origin)
		t.fact("Data folder", c.DataDir)
		t.row("Nothing is wrong with it.")
	}
}

func (p problem) at(file string) string {
	where := file + ": "
	if p.Line > 0 {
		where = fmt.Sprintf("%s:%d: ", file, p.Line)
	}
	if strings.HasPrefix(p.Key, "HANSE_") {
		where = ""
	}
	if p.Key != "" {
		where += p.Key + ": "
	}
	if p.Action == "" {
		return where + p.Problem
	}
	return where + p.Problem + "; " + p.Action
}

// locate lists what is wrong, each at its line, in the order of the file; what stands at no line comes last.
func locate(file string, err error) []problem {
	all := problemsOf(file, err)
	slices.SortStableFunc(all, func(a, b problem) int {
		if a.Line == 0 || b.Line == 0 {
			return cmp.Compare(b.Line, a.Line)
		}
		return cmp.Compare(a.Line, b.Line)
	})
	return all
}

// yamlLine is how the parser says where it stopped; it says several where keys stand twice.
var yamlLine = regexp.MustCompile(`line (\d+): ([^\n]+)`)

func problemsOf(file string, err error) (all []problem) {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			all = append(all, problemsOf(file, e)...)
		}
		return all
	}
	var own *sidecar.ConfigError
	if errors.As(err, &own) {
		return []problem{{Line: lineOf(file, own.Key), Key: own.Key, Problem: own.Problem, Action: own.Action}}
	}
	_, said, isYAML := strings.Cut(err.Error(), "yaml: ")
	for _, m := range yamlLine.FindAllStringSubmatch(said, -1) {
		if line, err := strconv.Atoi(m[1]); err == nil && isYAML {
			all = append(all, problem{Line: line, Problem: "this is no configuration in YAML: " + m[2]})
		}
	}
	if all == nil {
		all = []problem{{Problem: strings.ReplaceAll(err.Error(), "\n", " ")}}
	}
	return all
}

// lineOf is where a key stands in the file, or the nearest one above it that does; 0 where neither is there.
func lineOf(file, key string) int {
	raw, err := os.ReadFile(file)
	var doc yaml.Node
	if err != nil || yaml.Unmarshal(raw, &doc) != nil || len(doc.Content) == 0 {
		return 0
	}
	key, _, _ = strings.Cut(key, "[")
	node, line := doc.Content[0], 0
	for key != "" && node.Kind == yaml.MappingNode {
		var below *yaml.Node
		for i := 0; i+1 < len(node.Content); i += 2 {
			name := node.Content[i].Value
			if rest, found := strings.CutPrefix(key, name); found && (rest == "" || rest[0] == '.') {
				below, line, key = node.Content[i+1], node.Content[i].Line, strings.TrimPrefix(rest, ".")
				break
			}
		}
		if below == nil {
			break
		}
		node = below
	}
	return line
}
