package sidecar_test

import (
	"encoding/json"
	"go/ast"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// notForCustomers are reasons that no call of a customer's page ends with: partners and operators meet them.
var notForCustomers = []string{"access_data_gone", "access_digest", "document_mismatch", "document_not_given_back", "order_contradiction", "order_not_accepted"}

// TestPagesKnowEveryCode holds what the sidecar can send to a customer's page against the list for which the custom elements have
// a text in every language: their tests run the same file.
func TestPagesKnowEveryCode(t *testing.T) {
	raw, err := os.ReadFile("../sdk/web/testdata/codes.json")
	if err != nil {
		t.Fatal(err)
	}
	var known struct {
		OrderStates        []string `json:"order_states"`
		OrderReasons       []string `json:"order_reasons"`
		SubscriptionStates []string `json:"subscription_states"`
		Availability       []string
		Errors             []string
	}
	if err := json.Unmarshal(raw, &known); err != nil {
		t.Fatal(err)
	}
	files := sources(t)
	states := func(pkg string) []string { return slices.Collect(maps.Values(readMachine(t, files, pkg).words)) }
	for _, list := range []struct {
		name       string
		known, all []string
	}{
		{"order_states", known.OrderStates, states("order")},
		{"order_reasons", known.OrderReasons, append(explained(t, files[filepath.Join("internal", "retail", "explain.go")]), "order_refused")},
		{"subscription_states", known.SubscriptionStates, states("subscription")},
		{"availability", known.Availability, typedConstants(files[filepath.Join("internal", "listing", "listing.go")], "Availability")},
		{"errors", known.Errors, refusals(files)},
	} {
		slices.Sort(list.all)
		if d := cmp.Diff(list.known, slices.Compact(list.all)); d != "" {
			t.Errorf("%s: what pages know (-) and what they can get (+); add it to codes.json and its text to src/messages:\n%s", list.name, d)
		}
	}
}

// explained are the keys of the map explanations.
func explained(t *testing.T, file *ast.File) (reasons []string) {
	t.Helper()
	named := constants(file)
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || spec.Names[0].Name != "explanations" {
			return true
		}
		for _, e := range spec.Values[0].(*ast.CompositeLit).Elts {
			switch key := e.(*ast.KeyValueExpr).Key.(type) {
			case *ast.Ident:
				reasons = append(reasons, named[key.Name])
			case *ast.BasicLit:
				if text := unquoted(key); text != "" {
					reasons = append(reasons, text)
				}
			}
		}
		return false
	})
	if len(reasons) == 0 || slices.Contains(reasons, "") {
		t.Fatalf("the explanations cannot be read: %q", reasons)
	}
	return reasons
}

// constants are the text constants of a file by name.
func constants(file *ast.File) map[string]string {
	all := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
			if lit, ok := spec.Values[0].(*ast.BasicLit); ok {
				all[spec.Names[0].Name] = unquoted(lit)
			}
		}
		return true
	})
	return all
}

// typedConstants are the values of a file's constants of one type.
func typedConstants(file *ast.File, of string) (all []string) {
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == of {
			all = append(all, unquoted(spec.Values[0].(*ast.BasicLit)))
		}
		return true
	})
	return all
}

// refusals are the reasons with which packages behind the Portal API refuse what a customer asks: not found, conflict and
// precondition. For the other kinds pages have one text each.
func refusals(files map[string]*ast.File) (reasons []string) {
	kinds := []string{"NotFound", "Conflict", "Precondition"}
	for path, file := range files {
		if !slices.Contains([]string{"listing", "retail", "subscription"}, filepath.Base(filepath.Dir(path))) {
			continue
		}
		named := constants(file)
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 2 {
				return true
			}
			kind, isKind := call.Args[0].(*ast.SelectorExpr)
			if !isKind || !slices.Contains(kinds, kind.Sel.Name) {
				return true
			}
			reason := ""
			switch arg := call.Args[1].(type) {
			case *ast.BasicLit:
				reason = unquoted(arg)
			case *ast.Ident:
				reason = named[arg.Name]
			}
			if reason != "" && !slices.Contains(notForCustomers, reason) {
				reasons = append(reasons, reason)
			}
			return true
		})
	}
	return reasons
}

func unquoted(lit *ast.BasicLit) string {
	text, err := strconv.Unquote(lit.Value)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(text)
}
