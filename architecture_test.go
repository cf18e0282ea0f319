// Package hanse_test holds the rules about who may import whom. ARCHITECTURE.md says why they are as they are.
package hanse_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/hanse-market/hanse/"

// Groups of foreign packages; an entry stands for itself and everything below it.
var (
	sql        = []string{"database/sql", "github.com/jackc/pgx", "modernc.org/sqlite", "github.com/lib/pq", "github.com/mattn/go-sqlite3"}
	redis      = []string{"github.com/redis/go-redis"}
	fosite     = []string{"github.com/ory/fosite"}
	prometheus = []string{"github.com/prometheus/client_golang"}
	protobuf   = []string{"google.golang.org/protobuf", "github.com/golang/protobuf", "buf.build", module + "sdk/gen", module + "sidecar/internal/store/storepb"}
	connect    = []string{"connectrpc.com"}
)

// domain is what the business is made of. It knows neither wire nor storage.
var domain = inside(
	"fault", "money", "member", "agreement", "catalog", "listing", "order", "subscription", "ledger", "job", "federation",
	"provision", "recipe", "portal", "search", "trust", "failpoint", "text",
)

// rule says what packages may not import.
type rule struct {
	name string
	// from are the packages that the rule binds, below included; but are exceptions among them.
	from, but []string
	// exact binds only the packages named in from and not those below them.
	exact bool
	// never is what they may not import: directly, or with deep, by any way.
	never []string
	deep  bool
}

var rules = []rule{
	{name: "domain packages know neither wire nor storage", from: domain, never: slices.Concat(protobuf, connect, sql, redis, fosite, prometheus, []string{"net/http"})},
	{name: "domain packages do not reach up to those who use them", from: domain, never: append(inside("rpc", "peerlink", "store", "hot", "metrics"), module+"auth/authserver", module+"auth/client", module+"auth/guard")},
	{name: "nothing inside reaches up to the sidecar", from: []string{module + "sidecar/internal"}, never: []string{module + "sidecar/cmd", module + "sidecar/sidecartest", module + "examples"}},
	{name: "a portal's SDK stays light", from: []string{module + "sdk"}, deep: true, never: slices.Concat(sql, redis, fosite, prometheus, []string{module + "sidecar", module + "auth", module + "adapters"})},
	{name: "the adapter contract stays light", from: []string{module + "adapters"}, exact: true, deep: true, never: slices.Concat(sql, redis, fosite, prometheus, []string{module + "sidecar", module + "auth", module + "sdk"})},
	{name: "checking a bearer stays light", from: []string{module + "auth/bearer"}, deep: true, never: slices.Concat(sql, redis, fosite, prometheus, []string{module + "sidecar"})},
	{name: "auth and adapters do not know the sidecar", from: []string{module + "auth", module + "adapters"}, never: []string{module + "sidecar"}},
	{name: "fosite is imported in auth/authserver alone", from: []string{module}, but: []string{module + "auth/authserver"}, never: fosite},
	{name: "SQL is spoken in the store and by the postgres adapter alone", from: []string{module}, but: append(inside("store", "testserver"), module+"adapters/postgres", module+"adapters/adapterstest/pgserver", module+"examples"), never: sql},
	{name: "Redis is spoken in hot alone", from: []string{module}, but: inside("hot", "testserver"), never: redis},
	{name: "Prometheus is imported in metrics alone", from: []string{module}, but: inside("metrics"), never: prometheus},
}

func inside(names ...string) []string {
	var out []string
	for _, n := range names {
		out = append(out, module+"sidecar/internal/"+n)
	}
	return out
}

// graph is who imports whom, tests left out: they may use anything.
type graph map[string][]string

func TestImports_FollowTheRules(t *testing.T) {
	g := load(t)
	for _, r := range rules {
		for _, chain := range r.broken(g) {
			t.Errorf("%s:\n\t%s", r.name, strings.Join(chain, "\n\timports "))
		}
	}
}

// TestImports_RulesBindSomething fails when a rename has left a rule without packages.
func TestImports_RulesBindSomething(t *testing.T) {
	g := load(t)
	for _, r := range rules {
		for _, from := range r.from {
			if !slices.ContainsFunc(ours(g), func(pkg string) bool { return within(pkg, from) }) {
				t.Errorf("%s: there is no package %s", r.name, from)
			}
		}
	}
}

// TestImports_EachRuleCanFail breaks every rule in a made-up program.
func TestImports_EachRuleCanFail(t *testing.T) {
	for _, r := range rules {
		from := strings.TrimSuffix(r.from[0], "/")
		for _, never := range r.never {
			direct := graph{from: {never}}
			if len(r.broken(direct)) != 1 {
				t.Errorf("%s: %s may import %s", r.name, from, never)
			}
			far := graph{from: {"example.org/a"}, "example.org/a": {"example.org/b"}, "example.org/b": {never + "/x"}}
			want := 0
			if r.deep {
				want = 1
			}
			if got := r.broken(far); len(got) != want || want == 1 && len(got[0]) != 4 {
				t.Errorf("%s: over two others to %s: %v", r.name, never, got)
			}
		}
		for _, free := range r.but {
			if got := r.broken(graph{free: r.never}); len(got) != 0 {
				t.Errorf("%s: forbids the exception %s", r.name, free)
			}
		}
	}
	if got := rules[0].broken(graph{domain[0]: {"net/httptest", "database/sql/driver", "fmt"}}); len(got) != 0 {
		t.Errorf("forbids neighbours of what is forbidden: %v", got)
	}
}

// broken lists one chain of imports for each package and forbidden import.
func (r rule) broken(g graph) [][]string {
	var chains [][]string
	for _, pkg := range ours(g) {
		if !r.binds(pkg) {
			continue
		}
		for _, never := range r.never {
			if chain := g.way(pkg, never, r.deep); chain != nil {
				chains = append(chains, chain)
			}
		}
	}
	return chains
}

func (r rule) binds(pkg string) bool {
	if slices.ContainsFunc(r.but, func(free string) bool { return within(pkg, free) }) {
		return false
	}
	return slices.ContainsFunc(r.from, func(from string) bool {
		return pkg == from || !r.exact && within(pkg, from)
	})
}

// way is the shortest chain from pkg to something within target; only its direct imports unless deep.
func (g graph) way(pkg, target string, deep bool) []string {
	before := map[string]string{pkg: ""}
	for queue := []string{pkg}; len(queue) > 0; queue = queue[1:] {
		for _, next := range g[queue[0]] {
			if _, seen := before[next]; seen {
				continue
			}
			before[next] = queue[0]
			if within(next, target) && !within(pkg, target) {
				var chain []string
				for at := next; at != ""; at = before[at] {
					chain = append([]string{at}, chain...)
				}
				return chain
			}
			queue = append(queue, next)
		}
		if !deep {
			return nil
		}
	}
	return nil
}

// within: database/sql/driver holds interfaces that ids and decimals implement too; it is not the SQL layer.
func within(pkg, group string) bool {
	group = strings.TrimSuffix(group, "/")
	return pkg != "database/sql/driver" && (pkg == group || strings.HasPrefix(pkg, group+"/"))
}

// ours are the module's packages in g, sorted.
func ours(g graph) []string {
	var out []string
	for pkg := range g {
		if within(pkg, module) {
			out = append(out, pkg)
		}
	}
	slices.Sort(out)
	return out
}

func load(t *testing.T) graph {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Imports", "./...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	g := graph{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(fmt.Errorf("go list: %w", err))
		}
		g[p.ImportPath] = p.Imports
	}
	return g
}
