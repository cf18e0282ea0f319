package recipe

import (
	"encoding/json"
	"math/big"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// impossible is why a place allows no value at all; nil where it allows one, or where that cannot be told.
func (x *sense) impossible(p place) *Flaw {
	if x.steps--; x.steps < 0 {
		return nil
	}
	if p.never != nil {
		return flawed(p.never, "allows no value, and one is needed")
	}
	if f, decided := x.listed(p); decided {
		return f
	}
	types, all := p.types()
	if len(types) == 0 {
		return flawed(p.nodes[0].path, "allows no value: no type is left that all of it allows")
	}
	if !all {
		var first *Flaw
		for _, t := range types {
			f := x.ofType(p, t)
			if f == nil {
				first = nil
				break
			}
			if first == nil {
				first = f
			}
		}
		if first != nil {
			return first
		}
	}
	return x.choices(p)
}

// listed decides a place that lists its values: each of them is tried.
func (x *sense) listed(p place) (f *Flaw, decided bool) {
	for _, n := range p.nodes {
		keyword := "const"
		list := []any{n.doc["const"]}
		if _, has := n.doc["const"]; !has {
			keyword = "enum"
			if list, has = n.doc["enum"].([]any); !has {
				continue
			}
		}
		at := below(n.path, keyword)
		if len(list) == 0 {
			return flawed(at, "lists no value"), true
		}
		cause := ""
		for _, v := range list {
			if x.steps < 0 {
				return nil, true
			}
			if cause = x.unfilled(v, p); cause == "" {
				return nil, true
			}
		}
		return flawed(at, "has no value that the rest of the schema allows: %s", cause), true
	}
	return nil, false
}

// unfilled is refused without defaults.
func (x *sense) unfilled(v any, p place) string {
	for _, n := range p.nodes {
		if cause := x.invalid(v, n.path); cause != "" {
			return cause
		}
	}
	return ""
}

func (x *sense) choices(p place) *Flaw {
	for _, n := range p.nodes {
		if v, has := n.doc["not"]; has && everything(v) {
			return flawed(below(n.path, "not"), "allows no value, and one is needed")
		}
		for _, keyword := range []string{"anyOf", "oneOf"} {
			branches, _ := n.doc[keyword].([]any)
			var last *Flaw
			for i, b := range branches {
				with := place{nodes: append([]node{}, p.nodes...)}
				for j := range with.nodes {
					with.nodes[j].doc = without(with.nodes[j].doc, keyword)
				}
				if last = x.impossible(x.place(with, b, below(n.path, keyword, strconv.Itoa(i)))); last == nil {
					break
				}
			}
			if last != nil {
				return flawed(below(n.path, keyword), "has no choice that is possible: %s", last.Error())
			}
		}
	}
	return nil
}

// without is a schema less one keyword, so that a choice is taken once.
func without(doc map[string]any, keyword string) map[string]any {
	if _, has := doc[keyword]; !has {
		return doc
	}
	out := make(map[string]any, len(doc))
	for k, v := range doc {
		if k != keyword {
			out[k] = v
		}
	}
	return out
}

func (x *sense) ofType(p place, t string) *Flaw {
	switch t {
	case "integer", "number":
		return p.noNumber(t == "integer")
	case "string":
		return p.noText()
	case "array":
		return x.noList(p)
	case "object":
		return x.noObject(p)
	}
	return nil
}

// bound is one end of a range and where it stands.
type bound struct {
	at    *big.Rat
	open  bool
	where []string
}

// tightest is the bound that is left when all of the keyword's hold: the highest, or for upper the lowest.
func (p place) tightest(keyword string, open, upper bool, than *bound) *bound {
	for _, n := range p.nodes {
		r := rational(n.doc[keyword])
		if r == nil {
			continue
		}
		b := &bound{r, open, below(n.path, keyword)}
		if than == nil {
			than = b
			continue
		}
		c := r.Cmp(than.at)
		if upper {
			c = -c
		}
		if c > 0 || c == 0 && open {
			than = b
		}
	}
	return than
}

func rational(v any) *big.Rat {
	n, ok := v.(json.Number)
	if !ok {
		return nil
	}
	r, ok := new(big.Rat).SetString(n.String())
	if !ok {
		return nil
	}
	return r
}

// ends are the bounds of a place's numbers; nil where there is none.
func (p place) ends() (low, high *bound) {
	return p.tightest("exclusiveMinimum", true, false, p.tightest("minimum", false, false, nil)),
		p.tightest("exclusiveMaximum", true, true, p.tightest("maximum", false, true, nil))
}

func (p place) noNumber(whole bool) *Flaw {
	low, high := p.ends()
	if low == nil || high == nil {
		return nil
	}
	if c := low.at.Cmp(high.at); c > 0 || c == 0 && (low.open || high.open) {
		return flawed(high.where, "allows no number: it must be at least %s and at most %s", low.say(), high.say())
	}
	steps := []*big.Rat{}
	if whole {
		steps = append(steps, big.NewRat(1, 1))
	}
	for _, n := range p.nodes {
		if m := rational(n.doc["multipleOf"]); m != nil && m.Sign() > 0 {
			steps = append(steps, m)
		}
	}
	for _, step := range steps {
		if !between(low, high, step) {
			return flawed(high.where, "allows no number: there is no multiple of %s from %s to %s", short(step), low.say(), high.say())
		}
	}
	return nil
}

func (b *bound) say() string {
	if b.open {
		return "but not " + short(b.at)
	}
	return short(b.at)
}

func short(r *big.Rat) string {
	if r.IsInt() {
		return text.Shorten(r.Num().String())
	}
	return text.Shorten(r.FloatString(6))
}

// between reports whether a multiple of step lies in the range.
func between(low, high *bound, step *big.Rat) bool {
	c := low.multiple(step).Cmp(high.at)
	return c < 0 || c == 0 && !high.open
}

// multiple is the least multiple of step that a lower bound allows.
func (b *bound) multiple(step *big.Rat) *big.Rat {
	first := ceiling(new(big.Rat).Quo(b.at, step))
	v := new(big.Rat).Mul(new(big.Rat).SetInt(first), step)
	if b.open && v.Cmp(b.at) == 0 {
		v.Add(v, step)
	}
	return v
}

func ceiling(r *big.Rat) *big.Int {
	q, m := new(big.Int).DivMod(r.Num(), r.Denom(), new(big.Int))
	if m.Sign() > 0 {
		q.Add(q, big.NewInt(1))
	}
	return q
}

// counts refuses a least number of something above the most.
func (p place) counts(least, most string) *Flaw {
	low, high := p.tightest(least, false, false, nil), p.tightest(most, false, true, nil)
	if low != nil && high != nil && low.at.Cmp(high.at) > 0 {
		return flawed(high.where, "is %s, less than %s %s", short(high.at), least, short(low.at))
	}
	return nil
}

func (p place) noText() *Flaw {
	if f := p.counts("minLength", "maxLength"); f != nil {
		return f
	}
	most := p.tightest("maxLength", false, true, nil)
	for _, n := range p.nodes {
		pattern, has := n.doc["pattern"].(string)
		if !has || most == nil {
			continue
		}
		if least := shortest(pattern); most.at.Cmp(big.NewRat(int64(least), 1)) < 0 {
			return flawed(most.where, "is %s, and the pattern needs %d characters", short(most.at), least)
		}
	}
	return nil
}

func (x *sense) noList(p place) *Flaw {
	if f := p.counts("minItems", "maxItems"); f != nil {
		return f
	}
	least := p.tightest("minItems", false, false, nil)
	if least == nil {
		return nil
	}
	const looked = 20
	for i := range looked {
		if least.at.Cmp(big.NewRat(int64(i), 1)) <= 0 {
			return nil
		}
		if f := x.impossible(x.element(p, i)); f != nil {
			return f
		}
	}
	return nil
}

func (x *sense) noObject(p place) *Flaw {
	if f := p.counts("minProperties", "maxProperties"); f != nil {
		return f
	}
	required := map[string][]string{}
	for _, n := range p.nodes {
		list, _ := n.doc["required"].([]any)
		for i, name := range list {
			if s, ok := name.(string); ok {
				required[s] = below(n.path, "required", strconv.Itoa(i))
			}
		}
	}
	if most := p.tightest("maxProperties", false, true, nil); most != nil && most.at.Cmp(big.NewRat(int64(len(required)), 1)) < 0 {
		return flawed(most.where, "is %s, and %d properties are required", short(most.at), len(required))
	}
	for _, name := range sortedKeys(required) {
		for _, n := range p.nodes {
			if _, has := n.doc["propertyNames"]; has && x.invalid(name, below(n.path, "propertyNames")) != "" {
				return flawed(required[name], "is a property that propertyNames does not allow")
			}
		}
		sub, known := x.member(p, name)
		if x.steps < 0 {
			return nil
		}
		if sub.never != nil && !known {
			return flawed(required[name], "is required, and no property %s is allowed", text.Shorten(name))
		}
		if f := x.impossible(sub); f != nil {
			return f
		}
	}
	return nil
}

// member is the place of a property by any of the keywords that speak of it.
func (x *sense) member(p place, name string) (sub place, known bool) {
	for _, n := range p.nodes {
		spoken := false
		props, _ := n.doc["properties"].(map[string]any)
		if v, has := props[name]; has {
			sub, spoken, known = x.place(sub, v, below(n.path, "properties", name)), true, true
		}
		patterns, _ := n.doc["patternProperties"].(map[string]any)
		for _, pattern := range sortedKeys(patterns) {
			if x.matches(pattern, name) {
				sub, spoken, known = x.place(sub, patterns[pattern], below(n.path, "patternProperties", pattern)), true, true
			}
		}
		if v, has := n.doc["additionalProperties"]; has && !spoken {
			sub = x.place(sub, v, below(n.path, "additionalProperties"))
		}
	}
	return sub, known
}

// matches pays for what it does: a long pattern held against a long name takes more than one step.
func (x *sense) matches(pattern, name string) bool {
	re, known := x.patterns[pattern]
	if !known {
		n, err := patternSteps(pattern)
		if err != nil {
			return false
		}
		compiled, err := newPattern(pattern)
		if err != nil {
			return false
		}
		re = countedPattern{compiled, n}
		x.patterns[pattern] = re
	}
	if x.steps -= re.steps * len(name) / patternPerStep; x.steps < 0 {
		return false
	}
	return re.MatchString(name)
}

type countedPattern struct {
	jsonschema.Regexp
	steps int
}
