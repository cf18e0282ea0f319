package ledger

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/gowebpki/jcs"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// MaxEntryBytes bounds one entry.
const MaxEntryBytes = 32 << 10

// Limits of what a body holds: objects and arrays in each other, and whole numbers that every reader keeps (RFC 7493 section 2.2).
const (
	maxBodyDepth = 16
	maxExact     = 1<<53 - 1
)

// Decode reads an entry and checks that its bytes are in RFC 8785 form, so that every member stands once, in its place and in its
// own case; that its body is an object of I-JSON (RFC 7493), which two readers cannot read differently; and that its hash is its
// own. fault.Invalid with reason ledger_entry_malformed or ledger_hash_wrong.
func Decode(raw []byte) (Entry, error) {
	malformed := fault.New(fault.Invalid, "ledger_entry_malformed", "the ledger entry is not in the form that the protocol fixes")
	if len(raw) > MaxEntryBytes {
		return Entry{}, malformed.Because(fmt.Errorf("%d bytes", len(raw)))
	}
	w, want, plain, err := scanPlain(raw)
	if !plain {
		if w, err = readAny(raw); err != nil {
			return Entry{}, malformed.Because(err)
		}
		want, err = w.hash()
	}
	if err != nil {
		return Entry{}, malformed.Because(err)
	}
	// What encoding/json is lenient in, names in another case, twice, or unknown, is not in these bytes.
	if !plain && !bytes.Equal(w.canonical(), raw) {
		return Entry{}, malformed
	}
	if w.Hash != hex.EncodeToString(want[:]) {
		return Entry{}, fault.New(fault.Invalid, "ledger_hash_wrong", "entry %s does not hash to what it says", Position{w.Life, w.Seq})
	}
	e, err := w.entry(bytes.Clone(raw), want)
	if err != nil {
		return Entry{}, malformed.Because(err)
	}
	return e, nil
}

// BodyIn is the part of an entry's bytes that is its body, for bytes that Decode took before; nil where none is to be seen.
func BodyIn(raw []byte) json.RawMessage {
	const before, after = `","body":`, `,"hash":"`
	// What stands before the body and behind it is plain text, without a quote in it.
	from, to := bytes.Index(raw, []byte(before)), bytes.LastIndex(raw, []byte(after))
	if from += len(before); from < len(before) || to < from {
		return nil
	}
	return json.RawMessage(raw[from:to:to])
}

// readAny reads the members of an entry, and the RFC 8785 form of its body.
func readAny(raw []byte) (w wireEntry, err error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&w); err != nil {
		return wireEntry{}, err
	}
	w.Body, err = canonicalBody(w.Body)
	return w, err
}

// canonicalBody is the RFC 8785 form of a body.
func canonicalBody(body []byte) ([]byte, error) {
	if isPlainObject(body) {
		return body, nil
	}
	if err := checkBody(body); err != nil {
		return nil, err
	}
	return jcs.Transform(body)
}

// checkBody refuses what is no object of I-JSON.
func checkBody(body []byte) error {
	tokens := text.NewTokens(body, maxBodyDepth)
	defer tokens.Close()
	open := 0
	for first := true; first || open > 0; first = false {
		token, err := tokens.Next()
		if err != nil {
			return fmt.Errorf("body: %w", err)
		}
		switch token.Kind {
		case '{', '[':
			open++
		case '}', ']':
			open--
		case '0':
			if n, err := strconv.ParseFloat(token.Text, 64); err != nil || n > maxExact || n < -maxExact {
				return fmt.Errorf("body: %s is beyond the numbers that every reader keeps", text.Shorten(token.Text))
			}
		}
		if first && token.Kind != '{' {
			return errors.New("body is no object")
		}
	}
	return tokens.End()
}
