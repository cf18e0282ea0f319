package sidecar_test

import (
	"go/ast"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var reasonWord = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)

// reasonsIn are the reasons that code below folders gives: constants called Reason…, what is handed to fault.New as its second
// argument, and to functions that make a refusal as their first.
func reasonsIn(t *testing.T, folders ...string) (reasons []string) {
	t.Helper()
	for path, file := range tree(t, folders...) {
		named := constants(file)
		take := func(e ast.Expr) {
			text := ""
			switch e := e.(type) {
			case *ast.BasicLit:
				text = unquoted(e)
			case *ast.Ident:
				text = named[e.Name]
			}
			if reasonWord.MatchString(text) {
				reasons = append(reasons, text)
			}
		}
		for name, value := range named {
			if strings.HasPrefix(strings.ToLower(name), "reason") && reasonWord.MatchString(value) {
				reasons = append(reasons, value)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			switch f := call.Fun.(type) {
			case *ast.SelectorExpr:
				if x, ok := f.X.(*ast.Ident); ok && (x.Name == "fault" || x.Name == "refusal") && f.Sel.Name == "New" {
					take(call.Args[1])
				}
			case *ast.Ident:
				if f.Name == "refuse" && len(call.Args) > 1 && !strings.Contains(path, "/catalog/") { // there it names a field
					take(call.Args[0])
				}
			}
			return true
		})
	}
	slices.Sort(reasons)
	return slices.Compact(reasons)
}

// crossing are the packages whose reasons a partner may meet.
var crossing = []string{
	"auth/authserver", "auth/bearer", "auth/dpop", "auth/guard", "sidecar/internal/agreement", "sidecar/internal/catalog", "sidecar/internal/exchange",
	"sidecar/internal/federation", "sidecar/internal/ledger", "sidecar/internal/life", "sidecar/internal/member", "sidecar/internal/order", "sidecar/internal/resale",
	"sidecar/internal/rpc/gate", "sidecar/internal/rpc/peer", "sidecar/internal/signed", "sidecar/internal/subscription", "sidecar/internal/trust",
}

// TestPeerPage_HasEveryReason holds the page's tables of reasons against what the code can say to a partner, and the reverse.
func TestPeerPage_HasEveryReason(t *testing.T) {
	tables := about(t, "reasons")
	page := map[string]bool{}
	for _, table := range tables {
		for _, r := range table.first() {
			page[r] = true
		}
	}
	for _, part := range []struct {
		table   string
		folders []string
	}{
		{"token", []string{"auth/authserver"}},
		{"proof", []string{"auth/dpop"}},
		{"bearer", []string{"auth/bearer"}},
		{"fetch", []string{"auth/guard"}},
		{"gate", []string{"sidecar/internal/rpc/gate"}},
	} {
		for _, r := range reasonsIn(t, part.folders...) {
			if !page[r] && unheard[r] == "" {
				t.Errorf("%s can be said by %s and stands in no table (%s)", r, part.folders[0], part.table)
			}
		}
	}
	folders := slices.DeleteFunc(slices.Clone(crossing), func(folder string) bool {
		_, err := os.Stat(root + folder)
		return err != nil
	})
	said := reasonsIn(t, folders...)
	for _, r := range said {
		switch {
		case page[r] && unheard[r] != "":
			t.Errorf("%s stands on the page and is said to be unheard alone", r)
		case !page[r] && unheard[r] == "":
			t.Errorf("%s can reach a partner, but does not stand on the page; put it there, or into unheard with who hears it", r)
		}
	}
	for r := range unheard {
		if !slices.Contains(said, r) {
			t.Errorf("unheard names %s, which nobody says", r)
		}
	}
	// A reason may stand before a colon, and that of books is made of their state.
	written := map[string]bool{}
	for _, text := range literals(t, `^[a-z][a-z0-9_]*(:.*)?$`, "auth", "sidecar") {
		word, _, _ := strings.Cut(text, ":")
		written[word] = true
	}
	for _, state := range typedConstants(sources(t)[filepath.Join("internal", "ledger", "books.go")], "BooksState") {
		written["books_"+state] = written["books_"]
	}
	for r := range page {
		if !written[r] {
			t.Errorf("%s stands on the page, and no code says it", r)
		}
	}
	t.Logf("peer-1: %d reasons", len(page))
}

// codesOf are the words of the page for the kinds of faults.
var codesOf = map[string]string{
	"Invalid": "invalid_argument", "NotFound": "not_found", "Conflict": "already_exists", "Precondition": "failed_precondition", "Denied": "permission_denied",
	"Unauthenticated": "unauthenticated", "Exhausted": "resource_exhausted", "Unavailable": "unavailable", "Internal": "internal",
}

// TestPeerPage_SaysWhoseMoveItIs holds the codes that the page gives to reasons, and which undecided documents are final, against
// the kinds of faults that code makes with them.
func TestPeerPage_SaysWhoseMoveItIs(t *testing.T) {
	kinds := map[string]map[string]bool{}
	for _, file := range tree(t, crossing[4:]...) {
		named := constants(file)
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 2 {
				return true
			}
			kind, ok := call.Args[0].(*ast.SelectorExpr)
			if !ok || codesOf[kind.Sel.Name] == "" {
				return true
			}
			reason := ""
			switch arg := call.Args[1].(type) {
			case *ast.BasicLit:
				reason = unquoted(arg)
			case *ast.Ident:
				reason = named[arg.Name]
			}
			if kinds[reason] == nil {
				kinds[reason] = map[string]bool{}
			}
			kinds[reason][kind.Sel.Name] = true
			return true
		})
	}
	final := map[string]bool{"Invalid": true, "NotFound": true, "Conflict": true, "Precondition": true}
	held := 0
	for what, table := range about(t, "reasons") {
		code, ends := slices.Index(table.header, "Code"), slices.Index(table.header, "Final")
		for _, row := range table.rows {
			for _, reason := range codeWords(row[0]) {
				if len(kinds[reason]) != 1 || reason == "deadline_exceeded" || reason == "canceled" {
					continue // of several kinds, made by others, or with a code of its own
				}
				kind := slices.Collect(maps.Keys(kinds[reason]))[0]
				if code > 0 && codeWords(row[code])[0] != codesOf[kind] {
					t.Errorf("%s: the page gives %s the code %s, the code %s", what, reason, row[code], codesOf[kind])
				}
				if ends > 0 && kind != "Denied" && (row[ends] == "yes") != final[kind] {
					t.Errorf("%s: the page says of %s that it is final: %s; it is of kind %s", what, reason, row[ends], kind)
				}
				held++
			}
		}
	}
	if held < 60 {
		t.Errorf("only %d reasons were compared", held)
	}
}

// unheard are reasons of those packages that no partner hears: who does.
var unheard = map[string]string{
	"access_data_pending":    "a portal",
	"subject_parked":         "our operator",
	"subjects_range":         "nobody: the message's own bound comes first",
	"agreement_ambiguous":    "our operator",
	"agreement_not_offered":  "our operator",
	"agreement_differs":      "our operator",
	"books_asked_again":      "our operator, of a question about the books",
	"changes_differ":         "our operator",
	"comparison_contradicts": "our operator, of an answer to Compare",
	"comparison_forgets":     "our operator, of an answer to Compare",
	"comparison_malformed":   "our operator, of an answer to Compare",
	"document_missing":       "our operator, of an answer to Compare",
	"ledger_not_read":        "our operator, of an answer to Compare",
	"offering_not_found":     "our operator",
	"offering_changed":       "our operator",
	"partner_held":           "our operator, of what is sent",
	"server_changed":         "our operator, as why books are unproven",
	"started":                "our operator, as why books are unproven",
	"store_restored":         "our operator, as why books are unproven",
	"store_went_back":        "our operator, as why books are unproven",
	"books_not_unproven":     "our operator",
	"changes_not_found":      "our operator",
	"currency_unknown":       "our operator",
	"cursor_moved":           "another replica of ours",
	"discount_range":         "our operator",
	"fingerprint_mismatch":   "our operator",
	"key_multiple":           "a portal",
	"key_scheme":             "a portal",
	"document_limit":         "our operator",
	"ledger_entry_panic":     "our operator",
	"member_changed":         "our operator",
	"number_inexact":         "a portal: no message between members holds free JSON",
	"offering_unreadable":    "our log",
	"order_changed":          "our job",
	"order_state":            "our log",
	"own_ledger_fork":        "our operator",
	"parked_entry_not_first": "our operator",
	"parked_not_found":       "our operator",
	"reason_invalid":         "our operator",
	"reply_malformed":        "our operator: a partner's answer has other outcomes than documents",
	"stream_flood":           "our log: the stream is ended, with a code of its own",
	"subscription_ended":     "a portal",
	"life_opened":            "our operator, as why books are unproven",
	"life_opening":           "our operator, as why books are forked",
	"books_not_forked":       "our operator",
	"life_differs":           "our operator",
	"life_heads_differ":      "our operator",
	"ledger_withheld":        "our operator",
	"life_alone":             "our operator",
	"life_alone_early":       "our operator",
	"life_parked":            "our operator",
	"life_retell_range":      "our operator",
	"life_round":             "our operator",
	"life_state":             "our operator",
	"life_agreed":            "a portal, and our operator: why an order has its end",
}
