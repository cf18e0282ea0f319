package sidecar_test

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

// The rules about who may import whom. ARCHITECTURE.md says why they are as they are.

const module = "github.com/hanse-market/hanse/"

// Groups of foreign packages; an entry stands for itself and everything below it.
var foreign = struct{ sql, redis, fosite, prometheus, protobuf, connect, cel, web []string }{
	sql:        []string{"database/sql", "github.com/jackc/pgx", "modernc.org/sqlite", "zombiezen.com/go/sqlite", "github.com/lib/pq", "github.com/mattn/go-sqlite3"},
	redis:      []string{"github.com/redis/go-redis"},
	fosite:     []string{"github.com/ory/fosite"},
	prometheus: []string{"github.com/prometheus/client_golang"},
	protobuf:   []string{"google.golang.org/protobuf", "github.com/golang/protobuf", "buf.build", module + "sdk/gen", module + "sidecar/internal/store/storepb"},
	connect:    []string{"connectrpc.com"},
	cel:        []string{"cel.dev", "github.com/google/cel-go"},
	web:        []string{"net/http"},
}

// ranks are the packages of the sidecar from the top down. Imports go to the same rank or a lower one; what stands side by side in
// apart does not know its neighbours.
var ranks = []struct {
	name  string
	holds []string
	apart bool
}{
	{name: "programs", holds: append(inside("benchtable", "markettest", "vectors"), "sidecar/cmd", "sidecar/sidecartest"), apart: true},
	{name: "the machines that prove it", holds: inside("chaos", "testpeer"), apart: true},
	{name: "the sidecar", holds: []string{"sidecar"}},
	{name: "in, out, and at rest", apart: true, holds: inside("rpc", "peerlink", "metrics", "store", "hot", "heap", "tlsdev", "testserver", "backup")},
	{name: "the way back", holds: inside("recovery", "reconcile")},
	{name: "commands and feeds between members", holds: inside("exchange", "federation")},
	{name: "the desks", holds: inside("operator", "portal"), apart: true},
	{name: "what is looked over", holds: inside("audit")},
	{name: "work on platforms; a new life after a fork", holds: inside("provision", "life"), apart: true},
	{name: "the halves of a deal", holds: inside("retail", "resale"), apart: true},
	{name: "what both halves share", holds: inside("order", "subscription")},
	{name: "what is sold, to whom, and on which terms", holds: inside("listing", "catalog", "agreement", "member")},
	{name: "tools of the business", holds: inside("act", "search", "recipe", "ledger", "job", "dispatch", "trust")},
	{name: "leaves", holds: inside("fault", "money", "text", "unit", "signed", "price", "failpoint", "filelock", "scribe", "plant")},
}

// infrastructure is what may know wire, storage and the machine; everything else inside is domain.
var infrastructure = inside("rpc", "peerlink", "metrics", "store", "hot", "heap", "tlsdev", "testserver", "markettest", "filelock", "vectors", "benchtable", "backup", "chaos", "testpeer")

// helpers are for tests alone.
var helpers = append(inside("testserver", "markettest"), module+"sidecar/sidecartest", module+"adapters/adapterstest")

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
	{name: "domain packages know neither wire nor storage, by any way", from: inside(""), but: infrastructure, deep: true, never: slices.Concat(foreign.protobuf, foreign.connect, foreign.sql, foreign.redis, foreign.fosite, foreign.prometheus, foreign.cel, foreign.web)},
	{name: "domain packages know no infrastructure", from: inside(""), but: infrastructure, never: append(slices.Clone(infrastructure), module+"auth/authserver", module+"auth/client", module+"auth/guard", module+"auth/bearer")},
	{name: "nothing inside reaches up to the sidecar", from: inside(""), never: []string{module + "sidecar/cmd", module + "sidecar/sidecartest", module + "examples"}},
	{name: "a portal's SDK stays light", from: []string{module + "sdk"}, deep: true, never: slices.Concat(foreign.sql, foreign.redis, foreign.fosite, foreign.prometheus, []string{module + "sidecar", module + "auth", module + "adapters"})},
	{name: "the adapter contract stays light", from: []string{module + "adapters"}, exact: true, deep: true, never: slices.Concat(foreign.sql, foreign.redis, foreign.fosite, foreign.prometheus, []string{module + "sidecar", module + "auth", module + "sdk"})},
	{name: "checking a bearer stays light", from: []string{module + "auth/bearer"}, deep: true, never: slices.Concat(foreign.sql, foreign.redis, foreign.fosite, foreign.prometheus, []string{module + "sidecar"})},
	{name: "names of scopes depend on nothing", from: []string{module + "auth/scope"}, deep: true, never: slices.Concat(foreign.web, []string{module + "auth/bearer", module + "auth/keys", module + "sidecar", "github.com/go-jose"})},
	{name: "auth and adapters do not know the sidecar", from: []string{module + "auth", module + "adapters"}, never: []string{module + "sidecar"}},
	{name: "fosite is imported in auth/authserver alone", from: []string{module}, but: []string{module + "auth/authserver"}, never: foreign.fosite},
	{name: "SQL is spoken in the store and by the postgres adapter alone", from: []string{module}, but: append(inside("store", "testserver"), module+"adapters/postgres", module+"adapters/adapterstest/pgserver", module+"examples"), never: foreign.sql},
	{name: "Redis is spoken in hot alone", from: []string{module}, but: inside("hot", "testserver"), never: foreign.redis},
	{name: "Prometheus is imported in metrics alone", from: []string{module}, but: inside("metrics"), never: foreign.prometheus},
	{name: "what runs for customers uses no helper of tests", from: []string{module}, but: helpers, never: helpers},
}

func inside(names ...string) []string {
	var out []string
	for _, n := range names {
		out = append(out, strings.TrimSuffix(module+"sidecar/internal/"+n, "/"))
	}
	return out
}

// rankOf is the place of a package of the sidecar in ranks and among those who stand there; -1 where it has none.
func rankOf(pkg string) (rank, place int) {
	for i, r := range ranks {
		for j, holds := range r.holds {
			if holds == "sidecar" && pkg == module+"sidecar" || holds != "sidecar" && within(pkg, strings.TrimSuffix(module, "/")+"/"+strings.TrimPrefix(holds, module)) {
				return i, j
			}
		}
	}
	return -1, 0
}

// against says why one package of the sidecar may not import another; "" where it may.
func against(from, to string) string {
	rank, place := rankOf(from)
	toRank, toPlace := rankOf(to)
	switch {
	case rank < 0 || toRank < 0:
		return "" // said of the package itself
	case rank > toRank:
		return fmt.Sprintf("from %q up to %q", ranks[rank].name, ranks[toRank].name)
	case rank == toRank && ranks[rank].apart && place != toPlace:
		return fmt.Sprintf("among %q, which stand apart", ranks[rank].name)
	}
	return ""
}

func TestImports_GoDownTheRanks(t *testing.T) {
	for i, r := range ranks {
		var names []string
		for _, holds := range r.holds {
			names = append(names, strings.TrimPrefix(strings.TrimPrefix(holds, module), "sidecar/internal/"))
		}
		between := ", "
		if r.apart {
			between = " │ "
		}
		t.Logf("%2d  %-45s %s", len(ranks)-i, r.name, strings.Join(names, between))
	}
	g := load(t)
	for _, pkg := range ours(g) {
		if !within(pkg, module+"sidecar") {
			continue
		}
		if rank, _ := rankOf(pkg); rank < 0 {
			t.Errorf("%s has no rank", pkg)
		}
		for _, to := range g[pkg] {
			if why := against(pkg, to); why != "" {
				t.Errorf("%s imports %s: %s", pkg, to, why)
			}
		}
	}
}

func TestImports_EachRankCanFail(t *testing.T) {
	for i, upper := range ranks {
		for _, a := range upper.holds {
			for j, lower := range ranks {
				for _, b := range lower.holds {
					from, to := strings.TrimPrefix(a, module), strings.TrimPrefix(b, module)
					why := against(module+from, module+to)
					refused := i > j || i == j && upper.apart && a != b
					if (why != "") != refused {
						t.Errorf("%s imports %s: %q, refused should be %v", from, to, why, refused)
					}
				}
			}
		}
	}
	if rank, _ := rankOf(module + "sidecar/internal/brandnew"); rank >= 0 {
		t.Error("a package that nobody ranked has a rank")
	}
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
	if got := rules[0].broken(graph{module + "sidecar/internal/order": {"net/httptest", "database/sql/driver", "fmt"}}); len(got) != 0 {
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
	cmd.Dir = root
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
