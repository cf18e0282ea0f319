package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"strconv"
	"strings"
)

// scanPlain reads an entry as nearly all are: members in their order, numbers short, a plain body. False means that Decode must read
// in the general way; true that these bytes are the RFC 8785 form of what was read. With it comes the hash of the entry.
func scanPlain(raw []byte) (w wireEntry, hash [32]byte, ok bool, err error) {
	s := scanner{rest: string(raw), ok: true}
	at := func() int { return len(raw) - len(s.rest) }
	w.At = s.text(`{"at":`)
	body := at() + len(`,"body":`)
	s.skip(`,"body":`)
	s.plainObject()
	before := at()
	w.Hash = s.text(`,"hash":`)
	after := at()
	w.Kind = Kind(s.text(`,"kind":`))
	w.Life = s.number(`,"life":`)
	w.Prev = s.text(`,"prev":`)
	w.Seq = s.number(`,"seq":`)
	w.Subject = s.text(`,"subject":`)
	s.skip(`}`)
	if !s.ok || s.rest != "" || w.Hash == "" {
		return wireEntry{}, hash, false, nil
	}
	w.Body = json.RawMessage(bytes.Clone(raw[body:before]))
	b, err := w.hashed()
	return w, sha256.Sum256(append(append(b, raw[:before]...), raw[after:]...)), true, err
}

// isPlainObject reports whether body is one flat object of plain texts with its members in order. That is its own RFC 8785 form,
// and within every limit of checkBody.
func isPlainObject(body []byte) bool {
	s := scanner{rest: string(body), ok: true}
	s.plainObject()
	return s.ok && s.rest == ""
}

// scanner reads forward; ok is false from the first thing on that is not plain.
type scanner struct {
	rest string
	ok   bool
}

func (s *scanner) skip(what string) {
	rest, found := strings.CutPrefix(s.rest, what)
	s.rest, s.ok = rest, s.ok && found
}

// text reads what stands before a text, and the text: printable ASCII, of which nothing is escaped in any writer's JSON.
func (s *scanner) text(before string) string {
	s.skip(before)
	s.skip(`"`)
	for i := range len(s.rest) {
		switch c := s.rest[i]; {
		case c == '"':
			found := s.rest[:i]
			s.rest = s.rest[i+1:]
			return found
		case c < ' ' || c > '~' || c == '\\':
			s.ok = false
			return ""
		}
	}
	s.ok = false
	return ""
}

// number reads what stands before a whole number from zero on, and the number, if it is one that every reader keeps.
func (s *scanner) number(before string) int64 {
	s.skip(before)
	end := 0
	for end < len(s.rest) && s.rest[end] >= '0' && s.rest[end] <= '9' {
		end++
	}
	n, err := strconv.ParseInt(s.rest[:end], 10, 64)
	s.ok = s.ok && err == nil && n <= maxExact && (end == 1 || s.rest[0] != '0')
	s.rest = s.rest[end:]
	return n
}

func (s *scanner) plainObject() {
	before, last := `{`, ""
	for s.ok {
		name := s.text(before)
		s.text(`:`)
		// ASCII, so that the order of bytes is that of RFC 8785; the same name twice is out of order too.
		s.ok = s.ok && name > last
		if strings.HasPrefix(s.rest, `}`) {
			s.skip(`}`)
			return
		}
		before, last = `,`, name
	}
}
