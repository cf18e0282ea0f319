package recipe

import (
	"encoding/json"
	"math/big"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// samples are values that a place allows: all that it lists, or else some of each type, numbers from both ends of their range. Each
// was held against the place itself, so whatever else must take every value of the place must take these. There may be none: nothing
// was found that the place allows.
func (x *sense) samples(p place) []any {
	if x.steps--; x.steps < 0 {
		return nil
	}
	candidates, listed := p.listed()
	if !listed {
		types, _ := p.types()
		for _, t := range types {
			candidates = append(candidates, x.ofKind(p, t)...)
		}
	}
	var out []any
	for _, v := range candidates[:min(len(candidates), maxTries)] {
		if v, ok := x.takes(v, p); ok && !slices.ContainsFunc(out, func(other any) bool { return equal(v, other) }) {
			out = append(out, v)
		}
	}
	return out
}

// takes reports whether a place allows a value, and what becomes of it with the defaults inside it.
func (x *sense) takes(v any, p place) (filled any, does bool) {
	v, _, err := text.Exact(v)
	f := x.filler()
	v = f.value(v, f.slot(p))
	if err != nil || f.left < 0 || p.never != nil {
		return nil, false
	}
	for _, n := range p.nodes {
		compiled, err := x.compile(n.path)
		if err != nil || compiled.Validate(v) != nil {
			return nil, false
		}
	}
	return v, true
}

// ofKind are candidates of a type.
func (x *sense) ofKind(p place, t string) []any {
	switch t {
	case "string":
		return p.texts()
	case "integer", "number":
		return p.numbers(t == "integer")
	case "boolean":
		return []any{true, false}
	case "array":
		return x.lists(p)
	case "object":
		return x.groups(p)
	case "null":
		return []any{nil}
	}
	return nil
}

func (p place) texts() []any {
	out := []any{"x"}
	if least := p.tightest("minLength", false, false, nil); least != nil && least.at.Cmp(big.NewRat(maxPattern, 1)) <= 0 {
		n, _ := least.at.Float64()
		out = append(out, strings.Repeat("x", int(n)))
	}
	for _, n := range p.nodes {
		if pattern, has := n.doc["pattern"].(string); has {
			if re, err := syntax.Parse(pattern, syntax.Perl); err == nil {
				out = append(out, matching(re))
			}
		}
		if format, has := n.doc["format"].(string); has {
			out = append(out, formatted(format))
		}
		examples, _ := n.doc["examples"].([]any)
		out = append(out, examples...)
	}
	return out
}

// matching is a text that a pattern most likely matches; what it says of borders is passed over.
func matching(re *syntax.Regexp) string {
	var b strings.Builder
	switch re.Op {
	case syntax.OpLiteral:
		return string(re.Rune)
	case syntax.OpCharClass:
		for _, r := range append([]rune("xX0"), re.Rune...) {
			for i := 0; i+1 < len(re.Rune); i += 2 {
				if re.Rune[i] <= r && r <= re.Rune[i+1] {
					return string(r)
				}
			}
		}
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return "x"
	case syntax.OpCapture, syntax.OpPlus, syntax.OpAlternate:
		return matching(re.Sub[0])
	case syntax.OpRepeat:
		return strings.Repeat(matching(re.Sub[0]), re.Min)
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			b.WriteString(matching(sub))
		}
	}
	return b.String()
}

// formatted is a text of a format of JSON Schema 2020-12 section 7.3.
func formatted(format string) string {
	switch format {
	case "email", "idn-email":
		return "a@example.com"
	case "hostname", "idn-hostname":
		return "example.com"
	case "uri", "iri":
		return "https://example.com"
	case "date-time":
		return "2030-01-01T00:00:00Z"
	case "date":
		return "2030-01-01"
	case "time":
		return "00:00:00Z"
	case "duration":
		return "P1D"
	case "ipv4":
		return "192.0.2.1"
	case "ipv6":
		return "2001:db8::1"
	case "uuid":
		return "00000000-0000-4000-8000-000000000000"
	case "json-pointer":
		return "/x"
	}
	return "x"
}

// numbers are candidates from the ends of a range: an end itself, the multiples next to it, and fractions between where they may be.
func (p place) numbers(whole bool) []any {
	const most = 1<<53 - 1
	low, high := p.ends()
	if low == nil {
		low = &bound{at: big.NewRat(-most, 1)}
	}
	if high == nil {
		high = &bound{at: big.NewRat(most, 1)}
	}
	var out []any
	add := func(r *big.Rat) { out = append(out, number(r)) }
	if !whole {
		half := big.NewRat(1, 2)
		add(big.NewRat(3, 2))
		add(new(big.Rat).Add(low.at, half))
		add(new(big.Rat).Sub(high.at, half))
		add(new(big.Rat).Mul(half, new(big.Rat).Add(low.at, high.at)))
	}
	steps := []*big.Rat{big.NewRat(1, 1)}
	for _, n := range p.nodes {
		if m := rational(n.doc["multipleOf"]); m != nil && m.Sign() > 0 {
			steps = append(steps, m)
		}
	}
	add(low.at)
	for _, step := range steps {
		add(low.multiple(step))
	}
	add(high.at)
	for _, step := range steps {
		down := (&bound{at: new(big.Rat).Neg(high.at), open: high.open}).multiple(step)
		add(down.Neg(down))
	}
	return out
}

func number(r *big.Rat) json.Number {
	if r.IsInt() {
		return json.Number(r.Num().String())
	}
	f, _ := r.Float64()
	return json.Number(strconv.FormatFloat(f, 'f', -1, 64))
}

// lists are the empty list, and the shortest one that is long enough.
func (x *sense) lists(p place) []any {
	out := []any{[]any{}}
	least := p.tightest("minItems", false, false, nil)
	if least == nil {
		return out
	}
	const looked = 20
	list := []any{}
	for i := 0; i < looked && least.at.Cmp(big.NewRat(int64(i), 1)) > 0; i++ {
		values := x.samples(x.element(p, i))
		if len(values) == 0 {
			return out
		}
		list = append(list, values[0])
	}
	return append(out, list)
}

// groups are the object with no more than what is required and not filled in.
func (x *sense) groups(p place) []any {
	group := map[string]any{}
	for _, n := range p.nodes {
		required, _ := n.doc["required"].([]any)
		for _, r := range required {
			name, _ := r.(string)
			sub, _ := x.member(p, name)
			if _, has := sub.byDefault(); has {
				continue
			}
			values := x.samples(sub)
			if len(values) == 0 {
				return nil
			}
			group[name] = values[0]
		}
	}
	return []any{group}
}
