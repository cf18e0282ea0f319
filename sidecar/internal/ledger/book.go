package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Tx is what this package needs of a transaction.
type Tx interface {
	Ledger() Store
}

// Book writes and checks the ledgers of one member.
type Book struct {
	// Self is our origin.
	Self   string
	Work   unit.Work[Tx]
	Signer signed.Signer
	Now    func() time.Time

	// OwnKeys are our published business keys, the present one and those before it.
	OwnKeys func() signed.Pinned
	// Forked is told once of a partner that holds another log of ours than this store has, under our signature; nil is nobody.
	Forked func(partner string, err error)
	// Older is told once of a partner that holds a checkpoint of ours beyond our log, and the place; nil is nobody.
	Older func(partner string, at Position)
	// Bare reports whether nothing of an ended life of a log need be here, for what ended it says that the two had nothing of it alike; nil is
	// that of each life something is.
	Bare func(ctx context.Context, partner string, dir Direction, life int64) (bool, error)
	// Surpassed is told once of a partner that gave back a tick of ours which this store has not come to; nil is nobody.
	Surpassed func(partner string, stored, came int64)
	// WentBack is told of a store whose tick is lower than it was; nil is nobody.
	WentBack func(stored, last int64)

	// countersigned keeps, per partner, the last checkpoint that we countersigned, opened the last one that it did: they stay the
	// same until there is something new to read.
	mu            sync.Mutex
	countersigned map[string]countersigned
	opened        map[string]opened

	// tick goes into every checkpoint.
	tick  atomic.Int64
	court Court
	// shut says that nothing is appended to any log.
	shut atomic.Bool
}

// Shut has nothing appended to any log until it is called with false: the books could not be set to unproven yet, as they must be first.
func (b *Book) Shut(is bool) { b.shut.Store(is) }

// IsShut reports whether it is so.
func (b *Book) IsShut() bool { return b.shut.Load() }

// Forget drops what is remembered of a partner that is no partner any more.
func (b *Book) Forget(partner string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.countersigned, partner)
	delete(b.opened, partner)
}

// Resign has what we countersigned signed anew when it is asked for next: our business key is another one, and what is signed with the one
// before opens for a while only.
func (b *Book) Resign() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.countersigned)
}

// wireEntry is the JSON object; field names are part of the protocol.
type wireEntry struct {
	Life    int64           `json:"life"`
	Seq     int64           `json:"seq"`
	At      string          `json:"at"`
	Kind    Kind            `json:"kind"`
	Subject string          `json:"subject"`
	Body    json.RawMessage `json:"body"`
	Prev    string          `json:"prev"`
	Hash    string          `json:"hash,omitempty"`
}

// Genesis is the prev of a first entry.
func Genesis(partnershipID string) [32]byte { return sha256.Sum256([]byte(partnershipID)) }

// Draft is an entry that is not in the log yet.
type Draft struct {
	Kind    Kind
	Subject string
	// Body is marshalled; it carries no personal data and no secret.
	Body any
}

// Append writes an entry of ours towards a partner in the caller's transaction.
func (b *Book) Append(tx Tx, partner string, kind Kind, subject string, body any) (Entry, error) {
	all, err := b.AppendAll(tx, partner, []Draft{{Kind: kind, Subject: subject, Body: body}})
	if err != nil {
		return Entry{}, err
	}
	return all[0], nil
}

// AppendAll is Append for several entries, in their order. It is the one place that keeps a store from going on with a log of which it is
// not known to have all: see BooksState.Closed.
func (b *Book) AppendAll(tx Tx, partner string, drafts []Draft) ([]Entry, error) {
	if len(drafts) == 0 {
		return nil, nil
	}
	if err := Closed(tx, partner); err != nil {
		return nil, err
	}
	if b.shut.Load() {
		return nil, Unproven.Closed()
	}
	return b.append(tx, partner, drafts)
}

// append is AppendAll for whoever knows that the log may go on.
func (b *Book) append(tx Tx, partner string, drafts []Draft) ([]Entry, error) {
	if len(drafts) == 0 {
		return nil, nil
	}
	at := b.Now().UTC().Format(time.RFC3339Nano)
	all, err := tx.Ledger().Advance(partner, Own, func(after Position, prev [32]byte) ([]Entry, error) {
		entries := make([]Entry, 0, len(drafts))
		for _, d := range drafts {
			after.Seq++
			e, err := d.seal(partner, after, at, prev)
			if err != nil {
				return nil, fmt.Errorf("entry %s: %w", d.Kind, err)
			}
			entries, prev = append(entries, e), e.Hash
		}
		return entries, nil
	})
	if err != nil {
		return nil, fmt.Errorf("append to ledger: %w", err)
	}
	return all, nil
}

// Seal makes the entry for a place of a log that no Book keeps: of a member that is written to test others. prev is the hash before it.
func (d Draft) Seal(partner string, place Position, at time.Time, prev [32]byte) (Entry, error) {
	return d.seal(partner, place, at.UTC().Format(time.RFC3339Nano), prev)
}

func (d Draft) seal(partner string, place Position, at string, prev [32]byte) (Entry, error) {
	raw, err := json.Marshal(d.Body)
	if err != nil {
		return Entry{}, err
	}
	return seal(partner, wireEntry{
		Life: place.Life, Seq: place.Seq, At: at, Kind: d.Kind, Subject: d.Subject, Body: raw, Prev: hex.EncodeToString(prev[:]),
	})
}

func seal(partner string, w wireEntry) (Entry, error) {
	body, err := canonicalBody(w.Body)
	if err != nil {
		return Entry{}, err
	}
	w.Body = body
	hash, err := w.hash()
	if err != nil {
		return Entry{}, err
	}
	w.Hash = hex.EncodeToString(hash[:])
	raw := w.canonical()
	if len(raw) > MaxEntryBytes {
		return Entry{}, fmt.Errorf("%d bytes are more than an entry has", len(raw))
	}
	e, err := w.entry(raw, hash)
	e.Partner, e.Direction = partner, Own
	return e, err
}

// PlainText reports whether a text has letters and digits of ASCII and . _ : / + - alone, 1 to 128 of them. at, kind and subject are
// made of these, so that their RFC 8785 form is the text in quotes; ids that become subjects are checked when they come in.
func PlainText(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.IndexByte("._:/+-", c) >= 0:
		default:
			return false
		}
	}
	return s != "" && len(s) <= 128
}

// MaxID bounds the ids that documents and bodies of entries hold, those that are made of others too.
const MaxID = 64

// IsID reports whether a text may be an id in a document or in the body of an entry.
func IsID(s string) bool { return len(s) <= MaxID && PlainText(s) }

// canonical is the RFC 8785 form (members sorted by name); Body must be canonical already.
func (w wireEntry) canonical() []byte { return w.append(make([]byte, 0, len(w.Body)+420)) }

// append writes the canonical form; without Hash it leaves the member out, which is the form that is hashed.
func (w wireEntry) append(b []byte) []byte {
	b = append(append(append(b, `{"at":"`...), w.At...), `","body":`...)
	b = append(b, w.Body...)
	if w.Hash != "" {
		b = append(append(append(b, `,"hash":"`...), w.Hash...), '"')
	}
	b = append(append(append(b, `,"kind":"`...), w.Kind...), `","life":`...)
	b = strconv.AppendInt(b, w.Life, 10)
	b = append(append(append(b, `,"prev":"`...), w.Prev...), `","seq":`...)
	b = strconv.AppendInt(b, w.Seq, 10)
	return append(append(append(b, `,"subject":"`...), w.Subject...), `"}`...)
}

// hashed checks what goes into the hash and begins the bytes that are hashed: prev, then room for the entry.
func (w wireEntry) hashed() ([]byte, error) {
	b := make([]byte, sha256.Size, sha256.Size+len(w.Body)+420)
	n, err := hex.Decode(b, []byte(w.Prev[:min(len(w.Prev), 2*sha256.Size)]))
	if err != nil || n != sha256.Size || len(w.Prev) != 2*sha256.Size || strings.ContainsAny(w.Prev, "ABCDEF") {
		return nil, errors.New("prev is not a SHA-256 in lower-case hex")
	}
	for _, s := range []string{w.At, string(w.Kind), w.Subject} {
		if !PlainText(s) {
			return nil, fmt.Errorf("%q is not plain text", s)
		}
	}
	return b, nil
}

func (w wireEntry) hash() ([32]byte, error) {
	b, err := w.hashed()
	if err != nil {
		return [32]byte{}, err
	}
	w.Hash = ""
	return sha256.Sum256(w.append(b)), nil
}

func (w wireEntry) entry(raw []byte, hash [32]byte) (Entry, error) {
	at, err := signed.ParseTime(w.At)
	if err != nil || w.Life < 0 || w.Seq < 1 {
		return Entry{}, errors.Join(err, fmt.Errorf("life %d, seq %d", w.Life, w.Seq))
	}
	e := Entry{Life: w.Life, Seq: w.Seq, At: at, Kind: w.Kind, Subject: w.Subject, Body: w.Body, Hash: hash, Bytes: raw}
	_, err = hex.Decode(e.Prev[:], []byte(w.Prev))
	return e, err
}
