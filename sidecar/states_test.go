package sidecar_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// notEntered are the states that stand in a table and that no code enters yet. The list only ever shrinks: who builds the verb
// that enters one takes it out here.
var notEntered = map[string][]string{
	"agreement":    {"Countered", "Draft", "Expired", "InNotice", "Superseded", "Suspended", "Terminated"},
	"member":       {"Ended", "Suspended"},
	"order":        {"PendingRequote"},
	"subscription": {"Suspended"},
	// What suppliers write in YAML becomes an offering's state; all of its machine is theirs to enter.
	"catalog": {},
}

// machine is what a package says of its states.
type machine struct {
	// words are the constants with their wire names, table the states that the transitions name.
	words map[string]string
	table map[string]bool
}

// TestStates holds three things against each other for each machine: the table in state.go, the drawing in doc.go, and what the
// code enters.
func TestStates(t *testing.T) {
	files := sources(t)
	for pkg, waiting := range notEntered {
		t.Run(pkg, func(t *testing.T) {
			m := readMachine(t, files, pkg)
			for name := range m.words {
				if !m.table[name] && name != "Partial" { // an order's alone: the sum of its items
					t.Errorf("%s has no row in the table", name)
				}
			}
			enters := entered(files, pkg, m)
			drawn := drawing(files[filepath.Join("internal", pkg, "doc.go")])
			for name := range m.table {
				idle, word := slices.Contains(waiting, name), m.words[name]
				switch {
				case pkg == "catalog":
				case idle && enters[name]:
					t.Errorf("%s is entered now: take it out of notEntered", name)
				case !idle && !enters[name]:
					t.Errorf("no code enters %s, and notEntered does not say so", name)
				}
				if !idle && !drawn(word) {
					t.Errorf("doc.go does not draw %s", word)
				}
			}
			for _, name := range waiting {
				if !m.table[name] {
					t.Errorf("notEntered names %s, which is no state", name)
				}
			}
			t.Logf("%d states, %d entered by no code yet", len(m.table), len(waiting))
		})
	}
}

// sources are the parsed files of the sidecar that are not tests, by path.
func sources(t *testing.T) map[string]*ast.File {
	t.Helper()
	files := make(map[string]*ast.File)
	set := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(set, path, nil, parser.ParseComments)
		files[path] = f
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func readMachine(t *testing.T, files map[string]*ast.File, pkg string) machine {
	t.Helper()
	m := machine{words: map[string]string{}, table: map[string]bool{}}
	file := files[filepath.Join("internal", pkg, "state.go")]
	if file == nil {
		t.Fatalf("%s has no state.go", pkg)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "State" {
			m.words[spec.Names[0].Name], _ = strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		}
		if spec.Names[0].Name == "transitions" {
			ast.Inspect(spec.Values[0], func(n ast.Node) bool {
				if id, ok := n.(*ast.Ident); ok && id.Name != "State" {
					m.table[id.Name] = true
				}
				return true
			})
		}
		return true
	})
	if len(m.words) == 0 || len(m.table) == 0 {
		t.Fatalf("%s/state.go has no states or no table", pkg)
	}
	return m
}

// entered are the states of a package that code may give to something: they are returned, assigned, handed over or set in a
// literal. Comparing with one, listing states, and saying from where a course begins enters nothing.
func entered(files map[string]*ast.File, pkg string, m machine) map[string]bool {
	out := make(map[string]bool)
	for path, file := range files {
		if base := filepath.Base(path); filepath.Dir(path) == filepath.Join("internal", pkg) && (base == "state.go" || base == "sum.go") {
			continue // the table itself, and what adds states up
		}
		name := func(e ast.Expr) string {
			switch e := e.(type) {
			case *ast.Ident:
				if file.Name.Name == pkg {
					return e.Name
				}
			case *ast.SelectorExpr:
				if x, ok := e.X.(*ast.Ident); ok && x.Name == pkg {
					return e.Sel.Name
				}
			}
			return ""
		}
		take := func(values ...ast.Expr) {
			for _, v := range values {
				if n := name(v); m.words[n] != "" {
					out[n] = true
				}
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				take(n.Args...)
			case *ast.ReturnStmt:
				take(n.Results...)
			case *ast.AssignStmt:
				take(n.Rhs...)
			case *ast.KeyValueExpr:
				take(n.Value)
			}
			return true
		})
	}
	return out
}

// drawing reports whether a package's comment draws a state; a part of a longer word is none.
func drawing(doc *ast.File) func(word string) bool {
	text := ""
	for _, group := range doc.Comments {
		for _, c := range group.List {
			text += c.Text + "\n"
		}
	}
	words := make(map[string]bool)
	for _, w := range regexp.MustCompile(`[A-Za-z]+(?:\.[A-Za-z]+)?`).FindAllString(text, -1) {
		words[strings.TrimSuffix(w, ".")] = true
	}
	return func(word string) bool { return words[word] }
}
