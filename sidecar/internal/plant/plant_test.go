package plant_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func parse(t *testing.T, file string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// declared are the constants of plant.go, by their Go names.
func declared(t *testing.T) map[string]string {
	t.Helper()
	names := map[string]string{}
	ast.Inspect(parse(t, "plant.go"), func(n ast.Node) bool {
		if spec, is := n.(*ast.ValueSpec); is {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			names[spec.Names[0].Name] = value
		}
		return true
	})
	return names
}

func TestEachBugStandsAtOnePlace(t *testing.T) {
	names, places := declared(t), map[string][]string{}
	if len(names) < 25 {
		t.Fatalf("there are %d bugs", len(names))
	}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		ast.Inspect(parse(t, path), func(n ast.Node) bool {
			call, is := n.(*ast.CallExpr)
			if !is || !selects(call.Fun, "On") {
				return true
			}
			of, is := call.Args[0].(*ast.SelectorExpr)
			if !is {
				t.Errorf("%s asks for a bug that has no name there", path)
				return true
			}
			places[of.Sel.Name] = append(places[of.Sel.Name], path)
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range names {
		if len(places[name]) != 1 {
			t.Errorf("%s stands at %v", name, places[name])
		}
		delete(places, name)
	}
	if len(places) > 0 {
		t.Errorf("no bugs are %v", places)
	}
}

// selects reports whether an expression is plant.name.
func selects(e ast.Expr, name string) bool {
	s, is := e.(*ast.SelectorExpr)
	if !is || s.Sel.Name != name {
		return false
	}
	of, is := s.X.(*ast.Ident)
	return is && of.Name == "plant"
}

// TestTheTableHasEachBug reads the table of planted builds, which this one does not have.
func TestTheTableHasEachBug(t *testing.T) {
	names := declared(t)
	var values []string
	for _, v := range names {
		values = append(values, v)
	}
	if slices.Sort(values); len(slices.Compact(slices.Clone(values))) != len(values) {
		t.Errorf("two bugs have one name: %v", values)
	}
	ast.Inspect(parse(t, "on.go"), func(n ast.Node) bool {
		row, is := n.(*ast.CompositeLit)
		if !is || row.Type != nil || len(row.Elts) != 3 {
			return true
		}
		name := row.Elts[0].(*ast.Ident).Name
		if names[name] == "" {
			t.Errorf("the table has %s, which is no bug or is there twice", name)
		}
		delete(names, name)
		breaks := row.Elts[2].(*ast.CompositeLit).Elts
		for _, b := range breaks {
			if n, err := strconv.Atoi(b.(*ast.BasicLit).Value); err != nil || n < 1 || n > 20 {
				t.Errorf("%s breaks %d, which is no invariant", name, n)
			}
		}
		if len(breaks) == 0 || row.Elts[1].(*ast.BasicLit).Value == `""` {
			t.Errorf("%s breaks nothing, or does nothing", name)
		}
		return true
	})
	if len(names) > 0 {
		t.Errorf("the table does not have %v", names)
	}
}
