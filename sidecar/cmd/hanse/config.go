package main

import (
	"errors"
	"fmt"
	"os"
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
	return &commandError{
		Code: exitFailure, Reason: "bad_configuration", Cause: fmt.Sprintf("%d problems", len(out.Problems)), Action: "docs/configuration.md lists every key",
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

// locate lists what is wrong, each at its line.
func locate(file string, err error) []problem {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []problem
		for _, e := range joined.Unwrap() {
			all = append(all, locate(file, e)...)
		}
		return all
	}
	var own *sidecar.ConfigError
	if !errors.As(err, &own) {
		return []problem{{Problem: strings.ReplaceAll(err.Error(), "\n", " ")}}
	}
	return []problem{{Line: lineOf(file, own.Key), Key: own.Key, Problem: own.Problem, Action: own.Action}}
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
