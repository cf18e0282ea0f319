package recipe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of a JSON text from outside.
type Limits struct {
	Bytes  int
	Depth  int
	Values int
}

// maxNumber bounds a number's text and maxExponent its exponent: exact arithmetic on 1e999999999 takes all memory.
const (
	maxNumber   = 64
	maxExponent = 400
)

// DecodeJSON reads one JSON value within limits. Numbers stay json.Number; duplicate names, text after the value and
// invalid UTF-8 are refused, since two readers might see two things in them.
func DecodeJSON(raw []byte, lim Limits) (any, error) {
	if len(raw) > lim.Bytes {
		return nil, fmt.Errorf("%d bytes are more than %d", len(raw), lim.Bytes)
	}
	if !utf8.Valid(raw) {
		return nil, errors.New("not valid UTF-8")
	}
	d := &decoder{dec: json.NewDecoder(bytes.NewReader(raw)), lim: lim}
	d.dec.UseNumber()
	v, err := d.value(0)
	if err != nil {
		return nil, err
	}
	if _, err := d.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("text after the JSON value")
	}
	return v, nil
}

type decoder struct {
	dec    *json.Decoder
	lim    Limits
	values int
}

func (d *decoder) value(depth int) (any, error) {
	tok, err := d.dec.Token()
	if err != nil {
		return nil, fmt.Errorf("not valid JSON: %w", err)
	}
	if d.values++; d.values > d.lim.Values {
		return nil, fmt.Errorf("more than %d values", d.lim.Values)
	}
	switch t := tok.(type) {
	case json.Delim:
		if depth++; depth > d.lim.Depth {
			return nil, fmt.Errorf("nested deeper than %d", d.lim.Depth)
		}
		if t == '[' {
			return d.array(depth)
		}
		return d.object(depth)
	case json.Number:
		return t, checkNumber(t.String())
	default:
		return tok, nil
	}
}

func (d *decoder) array(depth int) (any, error) {
	list := []any{}
	for d.dec.More() {
		v, err := d.value(depth)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, d.end()
}

func (d *decoder) object(depth int) (any, error) {
	obj := map[string]any{}
	for d.dec.More() {
		tok, err := d.dec.Token()
		if err != nil {
			return nil, fmt.Errorf("not valid JSON: %w", err)
		}
		name, _ := tok.(string)
		if _, twice := obj[name]; twice {
			return nil, fmt.Errorf("name %q stands twice in one object", shorten(name))
		}
		if obj[name], err = d.value(depth); err != nil {
			return nil, err
		}
	}
	return obj, d.end()
}

func (d *decoder) end() error {
	if _, err := d.dec.Token(); err != nil {
		return fmt.Errorf("not valid JSON: %w", err)
	}
	return nil
}

func checkNumber(s string) error {
	_, exp, has := strings.Cut(strings.ToLower(s), "e")
	if n, err := strconv.Atoi(exp); len(s) > maxNumber || (has && (err != nil || n > maxExponent || n < -maxExponent)) {
		return fmt.Errorf("number %s is too large or too exact", shorten(s))
	}
	return nil
}

// plain turns json.Number into float64, so that the value is what encoding/json gives by default.
func plain(v any) any {
	switch t := v.(type) {
	case json.Number:
		f, err := t.Float64()
		if err != nil {
			return t.String()
		}
		return f
	case []any:
		out := make([]any, len(t))
		for i := range t {
			out[i] = plain(t[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(t))
		for k := range t {
			out[k] = plain(t[k])
		}
		return out
	}
	return v
}

// shorten keeps a text from outside short and printable in an error.
func shorten(s string) string {
	const most = 64
	clean := strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	if utf8.RuneCountInString(clean) > most {
		clean = string([]rune(clean)[:most]) + "…"
	}
	return clean
}
