package text

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// What callers tell apart of why a JSON text is refused. Each is a part of the message that wraps it.
var (
	// ErrTwice: a name stands twice in one object.
	ErrTwice = errors.New("stands twice in one object")
	// ErrTooDeep: more objects and arrays in each other than the limit.
	ErrTooDeep = errors.New("nested deeper")
)

// Token is one token of a JSON text.
type Token struct {
	// Kind is jsontext's: one of n t f " 0 { } [ ], by the token's first byte; 0 is any number.
	Kind jsontext.Kind
	// Text is what a string says, and a number as it is written.
	Text string
}

// Tokens reads a JSON text token by token and refuses what is not I-JSON (RFC 7493), since two readers might see two things
// in it: names that stand twice (who checks takes the first, who acts the last), text after the value, invalid UTF-8,
// surrogates without their other half, code points that are no characters. Its errors are safe to show to who sent the text.
type Tokens struct {
	dec   *jsontext.Decoder
	raw   []byte
	text  string
	depth int
}

// decoders are those that nobody reads with now: each is several kilobytes.
var decoders = sync.Pool{New: func() any { return jsontext.NewDecoder(bytes.NewReader(nil)) }}

// NewTokens reads raw, which must not change meanwhile, with at most depth objects and arrays in each other. Close it when it is read.
func NewTokens(raw []byte, depth int) *Tokens {
	dec := decoders.Get().(*jsontext.Decoder)
	dec.Reset(bytes.NewBuffer(raw))
	return &Tokens{dec: dec, raw: raw, text: string(raw), depth: depth}
}

// Close ends the reading.
func (t *Tokens) Close() {
	t.dec.Reset(bytes.NewReader(nil))
	decoders.Put(t.dec)
	t.dec = nil
}

// Next is the next token.
func (t *Tokens) Next() (Token, error) {
	next := Token{Kind: t.dec.PeekKind()}
	switch next.Kind {
	case '"', '0':
		raw, err := t.dec.ReadValue()
		if err != nil {
			return Token{}, t.explain(err)
		}
		return t.scalar(next, raw)
	case '{', '[':
		if t.dec.StackDepth() >= t.depth {
			return next, fmt.Errorf("%w than %d", ErrTooDeep, t.depth)
		}
	}
	_, err := t.dec.ReadToken()
	if err != nil {
		return Token{}, t.explain(err)
	}
	return next, nil
}

// scalar is a string or a number. Where nothing is escaped its text is a piece of the whole, which is copied once.
func (t *Tokens) scalar(next Token, raw jsontext.Value) (Token, error) {
	end := t.dec.InputOffset()
	begin := end - int64(len(raw))
	switch {
	case next.Kind == '0':
		next.Text = t.text[begin:end]
		return next, nil
	case bytes.IndexByte(raw, '\\') < 0:
		next.Text = t.text[begin+1 : end-1]
	default:
		plain, err := jsontext.AppendUnquote(nil, raw)
		if err != nil {
			return Token{}, t.explain(err)
		}
		next.Text = string(plain)
	}
	if hasNoncharacter(next.Text) {
		return next, fmt.Errorf("a text before byte %d holds a code point that is no character", end)
	}
	return next, nil
}

// Rest reads what is left of the value whose first token was read last, and returns the whole value as it stands in the text
// if it is an object or an array.
func (t *Tokens) Rest(first Token) ([]byte, error) {
	if k := first.Kind; k != '{' && k != '[' {
		return nil, nil
	}
	begin, outside := t.dec.InputOffset()-1, t.dec.StackDepth()-1
	for t.dec.StackDepth() > outside {
		if _, err := t.Next(); err != nil {
			return nil, err
		}
	}
	return t.raw[begin:t.dec.InputOffset()], nil
}

// End refuses text after the value.
func (t *Tokens) End() error {
	end := t.dec.InputOffset()
	if _, err := t.dec.ReadToken(); !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("text after the JSON value at byte %d", end)
	}
	return nil
}

func (t *Tokens) explain(err error) error {
	var at *jsontext.SyntacticError
	switch {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("not valid JSON near byte %d: %w", t.dec.InputOffset(), io.ErrUnexpectedEOF)
	case !errors.As(err, &at):
		return fmt.Errorf("not valid JSON near byte %d: %w", t.dec.InputOffset(), err)
	case errors.Is(err, jsontext.ErrDuplicateName):
		return fmt.Errorf("name %q %w", Shorten(at.JSONPointer.LastToken()), ErrTwice)
	case !utf8.Valid(t.raw):
		return errors.New("not valid UTF-8")
	}
	return fmt.Errorf("not valid JSON near byte %d: %w", at.ByteOffset, at.Err)
}

// hasNoncharacter reports whether s holds a code point that Unicode keeps from use in interchange (RFC 7493 section 2.1).
func hasNoncharacter(s string) bool {
	for i := range len(s) {
		if s[i] < utf8.RuneSelf {
			continue
		}
		return strings.ContainsFunc(s[i:], isNoncharacter)
	}
	return false
}

func isNoncharacter(r rune) bool { return r&0xfffe == 0xfffe || r >= 0xfdd0 && r <= 0xfdef }
