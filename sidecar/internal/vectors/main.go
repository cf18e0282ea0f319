// Command vectors writes docs/vectors: signed examples of everything that travels between members, by keys that everybody has, for
// whoever implements the protocol a second time.
//
//	go run ./sidecar/internal/vectors DIR
//
// What it writes is the same at each run: signatures follow RFC 6979, times, ids, salts and ephemeral keys are fixed. It makes JSON,
// hashes and signatures by itself, as the page docs/peer-1.md says, and knows none of our readers: its test reads all of it back
// with them.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: vectors DIR")
		os.Exit(2)
	}
	if err := write(os.Args[1], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "vectors:", err)
		os.Exit(1)
	}
}

// files are what is written, by name.
func files() map[string]any {
	m := market()
	return map[string]any{
		"keys.json":      m.keyFile(),
		"wellknown.json": m.wellKnown(),
		"tokens.json":    m.tokens(),
		"documents.json": m.documents(),
		"ledgers.json":   m.ledgers(),
		"catalog.json":   m.catalog(),
		"access.json":    m.access(),
		"messages.json":  m.messages(),
		"prices.json":    prices(),
		"states.json":    m.states(),
		"negative.json":  m.negative(),
		"lives.json":     m.lives(),
		"rollovers.json": m.rollovers(),
	}
}

func write(dir string, out io.Writer) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	all := files()
	names := make([]string, 0, len(all))
	for name, content := range all {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(content); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o644); err != nil {
			return err
		}
		names = append(names, name)
	}
	slices.Sort(names)
	_, err := fmt.Fprintf(out, "wrote %v\n", names)
	return err
}

// must ends the program: what fails here is a defect of it.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
