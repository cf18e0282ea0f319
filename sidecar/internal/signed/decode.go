package signed

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// Limits of a payload. The largest are access data and sets of keys.
const (
	MaxPayloadBytes = 1 << 20
	maxPayloadDepth = 16
)

// Decode reads a verified payload so that no two readers see different things in it: one object of I-JSON (RFC 7493) whose
// members are exactly those of the struct that into points to, in any order, each once and in its own case (encoding/json
// folds it), each of its type and not null; whole numbers as such, within the range that a double keeps. A member is required
// unless its tag says omitempty. On an error, fault.Invalid with reason document_malformed and the member's path, into is left
// as it was.
func Decode(payload []byte, into any) error { return decode(payload, into, maxPayloadDepth, false) }

// DecodeDeep is Decode for a payload that holds what has a depth of its own, as an offering has a schema.
func DecodeDeep(payload []byte, into any, depth int) error {
	return decode(payload, into, depth, false)
}

// DecodeOpen is Decode for member documents and files of keys, to which later versions may add: members that are not known,
// and they are known in their own case alone, are ignored once they are found to be I-JSON.
func DecodeOpen(payload []byte, into any) error { return decode(payload, into, maxPayloadDepth, true) }

// DecodeBody is Decode for the body of a ledger entry: fault.Invalid with reason ledger_body_malformed.
func DecodeBody(seq int64, body []byte, into any) error {
	err := Decode(body, into)
	if err == nil {
		return nil
	}
	var f *fault.Error
	errors.As(err, &f)
	return fault.New(fault.Invalid, "ledger_body_malformed", "the body of entry %d is not of its kind: %s", seq, f.Cause).At(f.Field)
}

func decode(payload []byte, into any, depth int, open bool) error {
	target := reflect.ValueOf(into).Elem()
	read := reflect.New(target.Type()).Elem()
	if err := readPayload(payload, read, depth, open); err != nil {
		malformed := fault.New(fault.Invalid, "document_malformed", "%s", err.Error()).
			Do("send the document as its version defines it, signed anew")
		var at *misfit
		if errors.As(err, &at) {
			return malformed.At(at.path)
		}
		return malformed
	}
	target.Set(read)
	return nil
}

func readPayload(payload []byte, into reflect.Value, depth int, open bool) error {
	if len(payload) > MaxPayloadBytes {
		return fmt.Errorf("%d bytes are more than %d", len(payload), MaxPayloadBytes)
	}
	r := reader{tokens: text.NewTokens(payload, depth), open: open}
	defer r.tokens.Close()
	first, err := r.tokens.Next()
	if err != nil {
		return err
	}
	if err := r.value(first, shapeOf(into.Type()), into); err != nil {
		return err
	}
	return r.tokens.End()
}

// misfit is what is wrong with one member. Its path is written on the way out, and only then.
type misfit struct {
	path, cause string
	err         error
}

func (m *misfit) Error() string {
	if m.path == "" {
		return "the payload " + m.cause
	}
	return m.path + " " + m.cause
}

func (m *misfit) Unwrap() error { return m.err }

// within puts what is wrong below a member or an element.
func within(step string, err error) error {
	m, ok := err.(*misfit) //nolint:errorlint // made here, never wrapped
	if !ok {
		return &misfit{path: step, cause: "holds what is no I-JSON: " + err.Error(), err: err}
	}
	if m.path != "" && !strings.HasPrefix(m.path, "[") {
		step += "."
	}
	m.path = step + m.path
	return m
}

// reader reads one payload.
type reader struct {
	tokens *text.Tokens
	open   bool
}

// value reads the value that begins with first.
func (r *reader) value(first text.Token, s *shape, into reflect.Value) error {
	if k := first.Kind; k != s.begins && (s.kind != reflect.Bool || k != 'f') {
		return &misfit{cause: "is " + nameOf(k) + " where " + nameOf(s.begins) + " belongs"}
	}
	switch s.kind {
	case reflect.Pointer:
		into.Set(reflect.New(s.elem.typ))
		return r.value(first, s.elem, into.Elem())
	case reflect.String:
		into.SetString(first.Text)
	case reflect.Bool:
		into.SetBool(first.Kind == 't')
	case reflect.Int:
		n, err := whole(first.Text, s.typ.Bits())
		if err != nil {
			return err
		}
		into.SetInt(n)
	case reflect.Interface: // bytes that another reader takes
		raw, err := r.tokens.Rest(first)
		if err != nil {
			return err
		}
		into.SetBytes(append([]byte(nil), raw...))
	case reflect.Func:
		at, err := ParseTime(first.Text)
		if err != nil {
			return &misfit{cause: "is " + err.Error()}
		}
		into.Set(reflect.ValueOf(at))
	case reflect.Slice:
		return r.list(s, into)
	default:
		return r.object(s, into)
	}
	return nil
}

// whole reads a number that must be written as a whole one: 1.0, 1e3 and -0 have other readers, or other bytes, elsewhere.
func whole(s string, bits int) (int64, error) {
	n, err := strconv.ParseInt(s, 10, bits)
	switch {
	case errors.Is(err, strconv.ErrRange) || n > text.MaxExact || n < -text.MaxExact:
		return 0, &misfit{cause: "is a number out of range"}
	case err != nil || s == "-0":
		return 0, &misfit{cause: "is not a whole number in plain digits"}
	}
	return n, nil
}

func (r *reader) list(s *shape, into reflect.Value) error {
	into.Set(reflect.MakeSlice(s.typ, 0, 0))
	for i := 0; ; i++ {
		tok, err := r.tokens.Next()
		if err != nil {
			return err
		}
		if tok.Kind == ']' {
			return nil
		}
		into.Grow(1)
		into.SetLen(i + 1)
		if err := r.value(tok, s.elem, into.Index(i)); err != nil {
			return within("["+strconv.Itoa(i)+"]", err)
		}
	}
}

func (r *reader) object(s *shape, into reflect.Value) error {
	var seen uint64
	for {
		tok, err := r.tokens.Next()
		if err != nil {
			return err
		}
		if tok.Kind == '}' {
			break
		}
		name := tok.Text
		if tok, err = r.tokens.Next(); err != nil {
			return err
		}
		i, known := s.byName[name]
		switch {
		case known:
			seen |= 1 << i
			m := &s.members[i]
			if err := r.value(tok, m.shape, into.Field(m.field)); err != nil {
				return within(name, err)
			}
		case r.open:
			if _, err := r.tokens.Rest(tok); err != nil {
				return within(text.Shorten(name), err)
			}
		default:
			return &misfit{path: text.Shorten(name), cause: unknown(name, s)}
		}
	}
	if missing := s.required &^ seen; missing != 0 {
		for i := range s.members {
			if missing&(1<<i) != 0 {
				return &misfit{path: s.members[i].name, cause: "is missing"}
			}
		}
	}
	return nil
}

// unknown says why a member is refused. Who wrote it in another case finds out.
func unknown(name string, s *shape) string {
	for i := range s.members {
		if strings.EqualFold(s.members[i].name, name) {
			return "is not known here: write " + s.members[i].name
		}
	}
	return "is not known in this version of the document"
}

func nameOf(k jsontext.Kind) string {
	switch k {
	case '"':
		return "a text"
	case '0':
		return "a number"
	case '{':
		return "an object"
	case '[':
		return "a list"
	case 'n':
		return "null"
	}
	return "true or false"
}
