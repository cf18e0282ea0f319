package sidecar_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"buf.build/go/protovalidate"
	"connectrpc.com/connect"
	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/hanse-market/hanse/auth/bearer"
	"github.com/hanse-market/hanse/auth/scope"
	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	peerv1 "github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// pagePath is the protocol as a second implementer reads it. A table that code is held against has a comment before it, which names
// what it lists.
const pagePath = "docs/peer-1.md"

// pageTable is one table of the page under its comment.
type pageTable struct {
	what   string
	header []string
	rows   [][]string
}

// first are the words in code type in the first cell of each row.
func (p pageTable) first() (words []string) {
	for _, row := range p.rows {
		words = append(words, codeWords(row[0])...)
	}
	return words
}

var (
	tableMark = regexp.MustCompile(`^<!-- (.+) -->$`)
	codeWord  = regexp.MustCompile("`([^`]*)`")
	ruleMark  = regexp.MustCompile(`^- \*\*([A-Z])-([0-9]+)\*\* `)
	// ruleUse is a rule that is named in the text; P-256 is a curve.
	ruleUse = regexp.MustCompile(`\b([A-Z]-[0-9]+)\b`)
)

func codeWords(cell string) (words []string) {
	for _, m := range codeWord.FindAllStringSubmatch(cell, -1) {
		words = append(words, m[1])
	}
	return words
}

func pageTables(t *testing.T) (all []pageTable) {
	t.Helper()
	lines := strings.Split(read(t, pagePath), "\n")
	for i := 0; i < len(lines); i++ {
		mark := tableMark.FindStringSubmatch(lines[i])
		if mark == nil {
			continue
		}
		table := pageTable{what: mark[1]}
		for i++; i < len(lines) && strings.HasPrefix(lines[i], "|"); i++ {
			cells := strings.Split(strings.Trim(strings.ReplaceAll(lines[i], `\|`, "\x00"), "|"), "|")
			for j := range cells {
				cells[j] = strings.ReplaceAll(strings.TrimSpace(cells[j]), "\x00", "|")
			}
			table.rows = append(table.rows, cells)
		}
		if len(table.rows) < 3 {
			t.Fatalf("no table follows <!-- %s -->", table.what)
		}
		table.header, table.rows = table.rows[0], table.rows[2:]
		all = append(all, table)
	}
	return all
}

// about are the tables whose comment begins with a word, by the rest of it.
func about(t *testing.T, word string) map[string]pageTable {
	t.Helper()
	found := map[string]pageTable{}
	for _, table := range pageTables(t) {
		if first, rest, _ := strings.Cut(table.what, " "); first == word {
			if _, twice := found[rest]; twice {
				t.Errorf("the page has two tables of %s", table.what)
			}
			found[rest] = table
		}
	}
	if len(found) == 0 {
		t.Fatalf("the page has no table of %s", word)
	}
	return found
}

func same(t *testing.T, what string, page, code []string) {
	t.Helper()
	page, code = slices.Clone(page), slices.Clone(code)
	slices.Sort(page)
	slices.Sort(code)
	if d := gocmp.Diff(page, slices.Compact(code)); d != "" {
		t.Errorf("%s: the page (-) and the code (+):\n%s", what, d)
	}
}

// tree are the parsed files below folders of the repository that are not tests, by path.
func tree(t *testing.T, folders ...string) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	for _, folder := range folders {
		err := filepath.WalkDir(root+folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			files[strings.TrimPrefix(filepath.ToSlash(path), root)] = f
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func TestPeerPage_NumbersItsRules(t *testing.T) {
	last, rules := map[string]int{}, map[string]bool{}
	text := read(t, pagePath)
	for _, line := range strings.Split(text, "\n") {
		m := ruleMark.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		n, _ := strconv.Atoi(m[2])
		if n <= last[m[1]] {
			t.Errorf("rule %s-%d follows %s-%d", m[1], n, m[1], last[m[1]])
		}
		last[m[1]], rules[m[1]+"-"+m[2]] = n, true
	}
	for _, m := range ruleUse.FindAllStringSubmatch(text, -1) {
		if !rules[m[1]] && m[1] != "P-256" {
			t.Errorf("there is no rule %s", m[1])
		}
	}
	vectors, err := os.ReadDir(root + "docs/vectors")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		if !strings.Contains(text, "| `"+v.Name()+"` |") {
			t.Errorf("the page says nothing of docs/vectors/%s", v.Name())
		}
	}
	t.Logf("peer-1: %d rules", len(rules))
}

// jsonMembers are the members of a struct by their tags, in its order; a member that may be left out has true.
func jsonMembers(t *testing.T, folder, typ string) (names []string, optional map[string]bool) {
	t.Helper()
	optional = map[string]bool{}
	for path, file := range tree(t, folder) {
		if filepath.ToSlash(filepath.Dir(path)) != folder {
			continue
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || spec.Name.Name != typ {
				return true
			}
			fields, ok := spec.Type.(*ast.StructType)
			if !ok {
				return false
			}
			for _, f := range fields.Fields.List {
				if f.Tag == nil {
					continue
				}
				tag, _ := strconv.Unquote(f.Tag.Value)
				name, options, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
				if name != "" && name != "-" {
					names = append(names, name)
					optional[name] = strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero")
				}
			}
			return false
		})
	}
	if len(names) == 0 {
		t.Errorf("%s has no type %s with members", folder, typ)
	}
	return names, optional
}

// TestPeerPage_HasEveryMember holds the members of documents against the structs that read and write them.
func TestPeerPage_HasEveryMember(t *testing.T) {
	members := 0
	for what, table := range about(t, "members") {
		folder, typ, _ := strings.Cut(what, " ")
		names, optional := jsonMembers(t, folder, typ)
		same(t, what, table.first(), names)
		members += len(names)
		for _, row := range table.rows {
			name := codeWords(row[0])
			if len(name) == 1 && strings.Contains(row[1], "may be absent") && !optional[name[0]] {
				t.Errorf("%s: the page lets %s be absent, the code does not", what, name[0])
			}
		}
	}
	for what, table := range about(t, "keys") {
		folder, function, _ := strings.Cut(what, " ")
		same(t, what, table.first(), literalKeys(t, folder, function))
	}
	t.Logf("peer-1: %d members of documents", members)
}

// literalKeys are the keys of the map that a function writes.
func literalKeys(t *testing.T, folder, function string) (keys []string) {
	t.Helper()
	for _, file := range tree(t, folder) {
		ast.Inspect(file, func(n ast.Node) bool {
			f, ok := n.(*ast.FuncDecl)
			if !ok || f.Name.Name != function {
				return true
			}
			ast.Inspect(f.Body, func(n ast.Node) bool {
				if kv, ok := n.(*ast.KeyValueExpr); ok {
					if lit, ok := kv.Key.(*ast.BasicLit); ok {
						keys = append(keys, unquoted(lit))
					}
				}
				return true
			})
			return false
		})
	}
	return keys
}

// TestPeerPage_HasEveryMessage holds the messages of the Peer API with their fields, numbers, types and bounds against the contract.
func TestPeerPage_HasEveryMessage(t *testing.T) {
	tables := about(t, "message")
	var all []string
	file := peerv1.File_hanse_peer_v1_peer_proto
	for i := range file.Messages().Len() {
		all = append(all, string(file.Messages().Get(i).FullName()))
	}
	all = append(all, "hanse.type.v1.ErrorInfo")
	same(t, "messages", slices.Collect(maps.Keys(tables)), all)
	for name, table := range tables {
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
		if err != nil {
			t.Error(err)
			continue
		}
		fields := d.(protoreflect.MessageDescriptor).Fields()
		var page, code []string
		for _, row := range table.rows {
			page = append(page, fmt.Sprintf("%s %s %s", codeWords(row[0])[0], row[1], row[2]))
		}
		for i := range fields.Len() {
			f := fields.Get(i)
			kind := f.Kind().String()
			if f.Message() != nil {
				kind = string(f.Message().Name())
			}
			if f.IsList() {
				kind = "repeated " + kind
			}
			code = append(code, fmt.Sprintf("%s %d %s", f.Name(), f.Number(), kind))
			if most := longest(f); most > 0 && !strings.Contains(strings.ReplaceAll(table.rows[min(i, len(table.rows)-1)][3], ",", ""), strconv.FormatUint(most, 10)) {
				t.Errorf("%s: the page does not say that %s has at most %d", name, f.Name(), most)
			}
		}
		same(t, name, page, code)
	}
	procedures := map[string]bool{}
	for path := range bearer.PeerScopes() {
		procedures[strings.TrimPrefix(path, "/hanse.peer.v1.")] = true
	}
	text := read(t, pagePath)
	for name := range procedures {
		if !strings.Contains(text, "| `"+name+"` |") {
			t.Errorf("the page has no procedure %s", name)
		}
	}
	t.Logf("peer-1: %d messages, %d procedures", len(all), len(procedures))
}

// longest is the greatest length of a field, 0 where there is no bound.
func longest(f protoreflect.FieldDescriptor) uint64 {
	rules, err := protovalidate.ResolveFieldRules(f)
	if err != nil || rules == nil {
		return 0
	}
	return cmp.Or(rules.GetString().GetMaxLen(), rules.GetBytes().GetMaxLen(), rules.GetRepeated().GetMaxItems())
}

// literals are the texts in code below folders that a pattern fits.
func literals(t *testing.T, pattern string, folders ...string) (found []string) {
	t.Helper()
	fits := regexp.MustCompile(pattern)
	for path, file := range tree(t, folders...) {
		if strings.Contains(path, "/vectors/") {
			continue
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if text := unquoted(lit); fits.MatchString(text) {
					found = append(found, text)
				}
			}
			return true
		})
	}
	return found
}

func TestPeerPage_HasEveryKindOfDocument(t *testing.T) {
	var typs, types []string
	for _, row := range about(t, "typs")[""].rows {
		if strings.Contains(row[0], "not yet") {
			continue
		}
		typs = append(typs, codeWords(row[0])...)
		types = append(types, codeWords(row[2])...)
	}
	same(t, "typ", typs, literals(t, `^hanse-[a-z-]+\+jwt$`, "sidecar/internal"))
	same(t, "type", types, literals(t, `^hanse-[a-z-]+/[0-9]+$`, "sidecar/internal"))
	// The table of scopes is a map in code that nobody may list: every type and intent is tried.
	var page, code []string
	for _, row := range about(t, "documents")[""].rows {
		page = append(page, strings.Join(append(codeWords(row[0]), append(codeWords(row[1]), codeWords(row[2])...)...), " "))
	}
	intents := append(typedConstants(sources(t)[filepath.Join("internal", "order", "intent.go")], "Intent"), "")
	for _, row := range about(t, "typs")[""].rows {
		for _, intent := range intents {
			if needed, known := scope.OfDocument(codeWords(row[0])[0], intent); known {
				code = append(code, strings.Join(strings.Fields(codeWords(row[2])[0]+" "+intent+" "+needed), " "))
			}
		}
	}
	same(t, "scopes of documents", page, code)
}

func TestPeerPage_HasEveryKindOfEntry(t *testing.T) {
	kinds, bodies := about(t, "kinds")[""], about(t, "bodies")[""]
	var code []string
	for _, k := range ledger.Kinds() {
		code = append(code, string(k))
	}
	same(t, "kinds", kinds.first(), code)
	same(t, "bodies", bodies.first(), code)
	doc := read(t, "sidecar/internal/ledger/doc.go")
	for _, row := range kinds.rows {
		if !regexp.MustCompile(regexp.QuoteMeta(codeWords(row[0])[0]) + ` +` + row[1] + ` `).MatchString(doc) {
			t.Errorf("ledger/doc.go does not say that %s stands in the %s's ledger", row[0], row[1])
		}
	}
	var columns, members []string
	for _, cell := range bodies.header[1:] {
		columns = append(columns, codeWords(cell)...)
	}
	for folder, typ := range map[string]string{"order": "Body", "subscription": "Body", "agreement": "summary", "ledger": "openedBody"} {
		names, _ := jsonMembers(t, "sidecar/internal/"+folder, typ)
		members = append(members, names...)
	}
	same(t, "members of bodies", columns, members)
	t.Logf("peer-1: %d kinds of entries", len(code))
}

// entriesStandOnThePage holds what a running member wrote and read against the page's kinds and bodies.
func entriesStandOnThePage(t *testing.T, of *sidecartest.Member) {
	t.Helper()
	table := about(t, "bodies")[""]
	partners, err := operatorv1connect.NewPartnerServiceClient(http.DefaultClient, of.OperatorURL, of.OperatorAuth()).
		ListPartners(t.Context(), connect.NewRequest(&operatorv1.ListPartnersRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	client := operatorv1connect.NewLedgerServiceClient(http.DefaultClient, of.OperatorURL, of.OperatorAuth())
	for _, p := range partners.Msg.GetPartners() {
		res, err := client.ListEntries(t.Context(), connect.NewRequest(&operatorv1.ListEntriesRequest{Partner: p.GetMember().GetOrigin(), Direction: "own", PageSize: 1000}))
		if err != nil || len(res.Msg.GetEntries()) == 0 {
			t.Errorf("entries of %s for %s: %v", of.Origin, p.GetMember().GetOrigin(), err)
			continue
		}
		for _, raw := range res.Msg.GetEntries() {
			var e struct {
				Kind string         `json:"kind"`
				Body map[string]any `json:"body"`
			}
			if err := json.Unmarshal([]byte(raw), &e); err != nil {
				t.Fatal(err)
			}
			if wrong := table.body(e.Kind, e.Body); wrong != "" {
				t.Errorf("%s: %s", raw, wrong)
			}
		}
	}
}

// body says what in the body of an entry is not as the table of bodies has it.
func (p pageTable) body(kind string, members map[string]any) string {
	at := slices.IndexFunc(p.rows, func(row []string) bool { return slices.Contains(codeWords(row[0]), kind) })
	if at < 0 {
		return "the page has no body of " + kind
	}
	known := 0
	for i, mark := range p.rows[at][1:] {
		name := codeWords(p.header[i+1])[0]
		_, has := members[name]
		if mark == "+" && !has || mark == "" && has {
			return fmt.Sprintf("the page says %q of the member %s", mark, name)
		}
		if has {
			known++
		}
	}
	if known < len(members) {
		return "the page does not know all members"
	}
	return ""
}

func TestPeerPage_HasEveryScopeByState(t *testing.T) {
	if d := gocmp.Diff(about(t, "scopes")[""].first(), scope.All()); d != "" {
		t.Errorf("scopes: the page (-) and the code (+):\n%s", d)
	}
	text := read(t, pagePath)
	_, after, _ := strings.Cut(text, "The *wind-down set* is ")
	set, _, _ := strings.Cut(after, ":  ")
	set, _, _ = strings.Cut(set, ": new business")
	windDown := codeWords(set)
	given := func(cell string) []string {
		if cell == "the wind-down set" {
			return windDown
		}
		return codeWords(cell)
	}
	granted := func(p member.State, a ...agreement.State) []string {
		return slices.Sorted(maps.Keys(agreement.Scopes(p, a...)))
	}
	files := sources(t)
	tables := about(t, "granted")
	seen := map[string]bool{}
	for _, row := range tables["partnership"].rows {
		states := codeWords(row[0])
		if row[0] == "unknown" {
			states = []string{""}
		}
		for _, s := range states {
			seen[s] = true
			same(t, "scopes of a partnership that is "+s, given(row[1]), granted(member.State(s)))
		}
	}
	for _, word := range readMachine(t, files, "member").words {
		if !seen[word] {
			t.Errorf("the page says nothing of a partnership that is %s", word)
		}
	}
	seen = map[string]bool{}
	base := granted(member.Active)
	for _, row := range tables["agreement"].rows {
		for _, s := range codeWords(row[0]) {
			seen[s] = true
			want := append(slices.Clone(base), given(row[1])...)
			slices.Sort(want)
			same(t, "scopes of an agreement that is "+s, slices.Compact(want), granted(member.Active, agreement.State(s)))
		}
	}
	for _, word := range readMachine(t, files, "agreement").words {
		if !seen[word] && !slices.Equal(granted(member.Active, agreement.State(word)), base) {
			t.Errorf("the page says nothing of an agreement that is %s", word)
		}
	}
}

func TestPeerPage_HasEveryIntent(t *testing.T) {
	var page, code []string
	for _, row := range about(t, "intents")[""].rows {
		page = append(page, codeWords(row[0])[0]+" "+codeWords(row[1])[0])
	}
	files := sources(t)
	intents := files[filepath.Join("internal", "order", "intent.go")]
	for _, i := range typedConstants(intents, "Intent") {
		for _, a := range typedConstants(intents, "Action") {
			if _, taken := order.RowOf(order.Action(a), order.Intent(i)); taken {
				code = append(code, i+" "+a)
			}
		}
	}
	same(t, "intents", page, code)
}
