package text

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Limits of a JSON text from outside. Zero allows nothing.
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

// DecodeJSON reads one JSON value within limits. Numbers stay json.Number. The value is I-JSON (RFC 7493): see Tokens. Errors:
// ErrTwice and ErrTooDeep, wrapped; others say what else is wrong. All are safe to show to who sent the text.
func DecodeJSON(raw []byte, lim Limits) (any, error) {
	return (&reader{lim: lim, keep: true}).read(raw)
}

// CheckJSON is DecodeJSON without the value, for callers who hand on bytes whose number they have bounded. Numbers are not
// looked at: the decoder that comes after knows how large one may be.
func CheckJSON(raw []byte, depth int) error {
	_, err := (&reader{lim: Limits{Bytes: len(raw), Depth: depth, Values: len(raw)}}).read(raw)
	return err
}

type reader struct {
	tokens *Tokens
	lim    Limits
	values int
	// keep makes the value.
	keep bool
}

func (r *reader) read(raw []byte) (any, error) {
	if len(raw) > r.lim.Bytes {
		return nil, fmt.Errorf("%d bytes are more than %d", len(raw), r.lim.Bytes)
	}
	r.tokens = NewTokens(raw, r.lim.Depth)
	defer r.tokens.Close()
	tok, err := r.tokens.Next()
	if err != nil {
		return nil, err
	}
	v, err := r.value(tok)
	if err != nil {
		return nil, err
	}
	return v, r.tokens.End()
}

func (r *reader) value(tok Token) (any, error) {
	if r.values++; r.values > r.lim.Values {
		return nil, fmt.Errorf("more than %d values", r.lim.Values)
	}
	switch tok.Kind {
	case '[':
		return r.array()
	case '{':
		return r.object()
	case '0':
		if !r.keep {
			return nil, nil
		}
		return json.Number(tok.Text), checkNumber(tok.Text)
	case '"':
		return tok.Text, nil
	case 't', 'f':
		return tok.Kind == 't', nil
	}
	return nil, nil
}

func (r *reader) array() (any, error) {
	list := []any{}
	for {
		tok, err := r.tokens.Next()
		if err != nil || tok.Kind == ']' {
			return list, err
		}
		v, err := r.value(tok)
		if err != nil {
			return nil, err
		}
		if r.keep {
			list = append(list, v)
		}
	}
}

func (r *reader) object() (any, error) {
	obj := map[string]any{}
	for {
		tok, err := r.tokens.Next()
		if err != nil || tok.Kind == '}' {
			return obj, err
		}
		name := tok.Text
		if tok, err = r.tokens.Next(); err != nil {
			return nil, err
		}
		v, err := r.value(tok)
		if err != nil {
			return nil, err
		}
		if r.keep {
			obj[name] = v
		}
	}
}

func checkNumber(s string) error {
	_, exp, has := strings.Cut(strings.ToLower(s), "e")
	if n, err := strconv.Atoi(exp); len(s) > maxNumber || (has && (err != nil || n > maxExponent || n < -maxExponent)) {
		return fmt.Errorf("number %s is too large or too exact", Shorten(s))
	}
	return nil
}
