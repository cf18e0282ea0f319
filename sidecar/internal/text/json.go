package text

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

// What callers tell apart of why a JSON text is refused. Each is a part of the message that wraps it.
var (
	// ErrTwice: a name stands twice in one object.
	ErrTwice = errors.New("stands twice in one object")
	// ErrTooDeep: more objects and arrays in each other than Limits.Depth.
	ErrTooDeep = errors.New("nested deeper")
)

// DecodeJSON reads one JSON value within limits. Numbers stay json.Number; names that stand twice, text after the value
// and invalid UTF-8 are refused, since two readers might see two things in them: who checks takes the first, who acts the
// last. Errors: ErrTwice and ErrTooDeep, wrapped; others say what else is wrong. All are safe to show to who sent the text.
func DecodeJSON(raw []byte, lim Limits) (any, error) {
	r := newReader(raw, lim)
	r.keep = true
	return r.read(raw)
}

// CheckJSON is DecodeJSON without the value, for callers who hand on bytes whose number they have bounded. Numbers are not
// looked at: the decoder that comes after knows how large one may be.
func CheckJSON(raw []byte, depth int) error {
	_, err := newReader(raw, Limits{Bytes: len(raw), Depth: depth, Values: len(raw)}).read(raw)
	return err
}

type reader struct {
	dec    *json.Decoder
	lim    Limits
	values int
	// keep makes the value; without it only names are kept, which must not stand twice.
	keep bool
}

func newReader(raw []byte, lim Limits) *reader {
	r := &reader{dec: json.NewDecoder(bytes.NewReader(raw)), lim: lim}
	r.dec.UseNumber()
	return r
}

func (r *reader) read(raw []byte) (any, error) {
	if len(raw) > r.lim.Bytes {
		return nil, fmt.Errorf("%d bytes are more than %d", len(raw), r.lim.Bytes)
	}
	if !utf8.Valid(raw) {
		return nil, errors.New("not valid UTF-8")
	}
	v, err := r.value(0)
	if err != nil {
		return nil, err
	}
	if _, err := r.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("text after the JSON value at byte %d", r.dec.InputOffset())
	}
	return v, nil
}

func (r *reader) token() (json.Token, error) {
	tok, err := r.dec.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("not valid JSON near byte %d: %w", r.dec.InputOffset(), err)
	}
	return tok, nil
}

func (r *reader) value(depth int) (any, error) {
	tok, err := r.token()
	if err != nil {
		return nil, err
	}
	if r.values++; r.values > r.lim.Values {
		return nil, fmt.Errorf("more than %d values", r.lim.Values)
	}
	switch t := tok.(type) {
	case json.Delim:
		if depth++; depth > r.lim.Depth {
			return nil, fmt.Errorf("%w than %d", ErrTooDeep, r.lim.Depth)
		}
		if t == '[' {
			return r.array(depth)
		}
		return r.object(depth)
	case json.Number:
		if r.keep {
			return t, checkNumber(t.String())
		}
	}
	return tok, nil
}

func (r *reader) array(depth int) (any, error) {
	list := []any{}
	for r.dec.More() {
		v, err := r.value(depth)
		if err != nil {
			return nil, err
		}
		if r.keep {
			list = append(list, v)
		}
	}
	_, err := r.token()
	return list, err
}

func (r *reader) object(depth int) (any, error) {
	obj := map[string]any{}
	for r.dec.More() {
		tok, err := r.token()
		if err != nil {
			return nil, err
		}
		name, _ := tok.(string)
		if _, twice := obj[name]; twice {
			return nil, fmt.Errorf("name %q %w", Shorten(name), ErrTwice)
		}
		v, err := r.value(depth)
		if err != nil {
			return nil, err
		}
		if !r.keep {
			v = nil
		}
		obj[name] = v
	}
	_, err := r.token()
	return obj, err
}

func checkNumber(s string) error {
	_, exp, has := strings.Cut(strings.ToLower(s), "e")
	if n, err := strconv.Atoi(exp); len(s) > maxNumber || (has && (err != nil || n > maxExponent || n < -maxExponent)) {
		return fmt.Errorf("number %s is too large or too exact", Shorten(s))
	}
	return nil
}
