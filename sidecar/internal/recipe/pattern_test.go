package recipe

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"runtime"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// heap is how many bytes are in use, and how many were ever asked for.
func heap() (inUse, asked uint64) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, m.TotalAlloc
}

// patterned is a schema of n properties with a pattern each.
func patterned(n int, pattern func(i int) string) string {
	var props []string
	for i := range n {
		props = append(props, fmt.Sprintf(`"p%d":{"type":"string","pattern":%q}`, i, pattern(i)))
	}
	return object(strings.Join(props, ","))
}

func always(s string) func(int) string { return func(int) string { return s } }

// Not parallel: it counts what the whole process asks for.
func TestPatternsAreBoundedBeforeTheyAreCompiled(t *testing.T) {
	deep := func(keyword, pattern string) string {
		return object(`"a":{"type":"object","` + keyword + `":{"` + pattern + `":true}}`)
	}
	for _, c := range []struct{ name, schema, at string }{
		{"a short pattern many times", patterned(1100, always(".{0,999}")), "properties.p"},
		{"repetitions in each other", patterned(1, always("((abcdefghij){10}b){100}")), "properties.p0.pattern"},
		{"repetitions of choices", patterned(1, always("(ab|c[de]|f){999}(gh|i){999}")), "properties.p0.pattern"},
		{"repetitions without an end", patterned(12, always("(?:[a-z]{999,})")), "properties.p"},
		{"classes of hundreds of ranges", patterned(1, always(strings.Repeat(`\pL`, 300))), "properties.p0.pattern"},
		{"as the name of properties", deep("patternProperties", "(abcdefghijklmnopqrst){0,600}"), "properties.a.patternProperties.(abcdefghijklmnopqrst){0,600}"},
		{"for the names of properties", object(`"a":{"type":"object","propertyNames":{"pattern":"(abcdefghijklmnopqrst){0,600}"}}`), "properties.a.propertyNames.pattern"},
		{"in a definition", object(``, `"$defs":{"d":{"items":{"anyOf":[{"pattern":"(abcdefghijklmnopqrst){0,600}"}]}}}`), "$defs.d.items.anyOf[0].pattern"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, before := heap()
			_, err := CompileSchema([]byte(c.schema))
			_, after := heap()
			var f *Flaw
			if !errors.As(err, &f) || !strings.Contains(f.Cause, "steps") || !strings.HasPrefix(text.JoinPath("", f.Path), c.at) {
				t.Errorf("%v, want a pattern refused at %s", err, c.at)
			}
			if asked := after - before; asked > 32<<20 {
				t.Errorf("refusing it took %d MiB", asked>>20)
			}
		})
	}
	for _, usual := range []string{
		"^[a-z][a-z0-9-]{0,62}$", `^(?:[a-z0-9-]{1,63}\.){1,10}[a-z]{2,63}$`, `^ssh-(rsa|ed25519) [A-Za-z0-9+/=]{1,900}`, `^\S(.*\S)?$`, `^[\pL\pN .'-]{1,100}$`,
	} {
		if _, err := CompileSchema([]byte(patterned(3, always(strings.ReplaceAll(usual, `\`, `\`))))); err != nil {
			t.Errorf("%s: %v", usual, err)
		}
	}
}

func TestStepsAreNotUnderestimated(t *testing.T) {
	t.Parallel()
	for _, p := range []string{
		"", "abc", ".{0,999}", "[a-z]{3,}", "(ab|cd){0,300}", `^[a-z][a-z0-9-]{0,62}$`, `\pL{0,200}`, `^(?:[a-z]{1,63}\.){1,10}[a-z]{2,63}$`, "a{1000}",
		"(?i)abc{0,200}", "a|b|c|", "((a*)+)?", "(?:){0,1000}", "x{0}", `\bfoo\B$`, "(a{2}){3}", "(?s).*(a|b){7,9}?",
	} {
		n, err := patternSteps(p)
		if err != nil {
			t.Fatal(err)
		}
		re, err := syntax.Parse(p, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		prog, err := syntax.Compile(re.Simplify())
		if err != nil {
			t.Fatal(err)
		}
		if real := len(prog.Inst) - 2; n < real || n > 3*real+10 { // less the two that each program has
			t.Errorf("%q: %d steps estimated, it has %d", p, n, real)
		}
	}
}

// Not parallel: it counts what the whole process holds.
func TestACompiledSchemaTakesNoMoreThanIsCounted(t *testing.T) {
	enum := make([]string, 7000)
	for i := range enum {
		enum[i] = fmt.Sprint(i)
	}
	for name, schema := range map[string]string{
		"many properties": patterned(900, func(i int) string { return fmt.Sprintf("^a%d", i) }),
		"large patterns":  patterned(4, always(".{0,999}")),
		"many choices":    object(`"a":{"enum":[` + strings.Join(enum, ",") + `]}`),
		"usual patterns":  patterned(60, always("^[a-z][a-z0-9-]{0,62}$")),
	} {
		const copies = 5
		before, _ := heap()
		var kept []*Schema
		for range copies {
			s, err := CompileSchema([]byte(schema))
			if err != nil {
				t.Fatal(name, err)
			}
			// Every pattern is compiled at its first use.
			given := map[string]any{}
			for _, p := range s.root().names() {
				given[p] = "x"
			}
			_ = s.compiled.Validate(given)
			kept = append(kept, s)
		}
		after, _ := heap()
		if held := (int(after) - int(before)) / copies; held > kept[0].bytes {
			t.Errorf("%s: %d bytes are counted, %d held", name, kept[0].bytes, held)
		}
		runtime.KeepAlive(kept)
	}
}

func TestSchemasRememberWithinBytes(t *testing.T) {
	t.Parallel()
	schema := func(i int) []byte {
		return []byte(patterned(20, func(j int) string { return fmt.Sprintf("^%d-%d", i, j) }))
	}
	one, err := CompileSchema(schema(0))
	if err != nil {
		t.Fatal(err)
	}
	c := NewSchemas(16*one.bytes + 8000) // and so four an owner
	compile := func(owner string, i int) *Schema {
		t.Helper()
		s, err := c.Compile(owner, schema(i))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	ours := compile("", 1)
	if compile("", 1) != ours {
		t.Error("compiled twice")
	}
	for i := range 30 {
		compile("greedy", i)
		if c.bytes > c.most || c.owned["greedy"] > c.most/4 || len(c.order) != len(c.byID) {
			t.Fatalf("%d bytes, %d of one partner, %d of %d", c.bytes, c.owned["greedy"], len(c.order), len(c.byID))
		}
	}
	if compile("", 1) != ours {
		t.Error("one partner's schemas pushed out ours")
	}
	if last := compile("greedy", 29); compile("greedy", 29) != last {
		t.Error("the newest is not remembered")
	}
	for i := range 10 {
		for j := range 4 {
			compile(fmt.Sprint("partner", i), 10*i+j)
		}
	}
	if c.bytes > c.most || compile("", 1) == ours {
		t.Errorf("%d of %d bytes, and the oldest is still there", c.bytes, c.most)
	}
	total := 0
	for id, s := range c.byID {
		total += s.bytes
		if c.owned[id.owner] == 0 {
			t.Errorf("%s owns nothing", id.owner)
		}
	}
	if total != c.bytes {
		t.Errorf("%d bytes are counted, %d there", c.bytes, total)
	}
	if _, err := c.Compile("x", []byte(`{"type":"string"}`)); err == nil {
		t.Error("a schema that is none is remembered")
	}
}

func TestACustomersPatternIsBounded(t *testing.T) {
	t.Parallel()
	s, err := CompileSchema([]byte(object(`"filters":{"type":"array","items":{"type":"string","format":"regex"}}`)))
	if err != nil {
		t.Fatal(err)
	}
	for pattern, ok := range map[string]bool{"^a+$": true, "((xyzxyzxyzxyz){100}){10}": false, "(abcdefghijklmnopqrst){0,600}": false, "(": false} {
		if _, err := s.Complete([]byte(`{"filters":["` + pattern + `"]}`)); (err == nil) != ok {
			t.Errorf("%s: %v", pattern, err)
		}
	}
	if _, err := regexp.Compile("(abcdefghijklmnopqrst){0,600}"); err != nil {
		t.Errorf("the pattern is not one that only our bound refuses: %v", err)
	}
}
