package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/gowebpki/jcs"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
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

	// countersigned keeps, per partner, the last checkpoint that we countersigned: it goes out with every command.
	mu            sync.Mutex
	countersigned map[string]countersigned
}

type countersigned struct{ checkpoint, jws string }

// wireEntry is the JSON object; field names are part of the protocol.
type wireEntry struct {
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

// Append writes an entry of ours towards a partner in the caller's transaction.
func (b *Book) Append(tx Tx, partner string, kind Kind, subject string, body any) (Entry, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return Entry{}, fmt.Errorf("append %s to ledger: %w", kind, err)
	}
	at := b.Now().UTC()
	entry, err := tx.Ledger().Advance(partner, Own, func(seq int64, prev [32]byte) (Entry, error) {
		if seq == 1 {
			prev = Genesis(trust.PartnershipID(b.Self, partner))
		}
		return seal(partner, wireEntry{
			Seq: seq, At: at.Format(time.RFC3339Nano), Kind: kind, Subject: subject, Body: raw, Prev: hex.EncodeToString(prev[:]),
		})
	})
	if err != nil {
		return Entry{}, fmt.Errorf("append %s to ledger: %w", kind, err)
	}
	return entry, nil
}

func seal(partner string, w wireEntry) (Entry, error) {
	body, err := jcs.Transform(w.Body)
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
		return Entry{}, fmt.Errorf("entry %d has %d bytes", w.Seq, len(raw))
	}
	e, err := w.entry(raw, hash)
	e.Partner, e.Direction = partner, Own
	return e, err
}

// plainText is what at, kind, subject and the hashes are made of, so that their RFC 8785 form is the text in quotes.
var plainText = regexp.MustCompile(`^[A-Za-z0-9._:/+-]{1,128}$`)

// PlainText tells whether a text may be an entry's subject; ids that become subjects are checked when they come in.
func PlainText(s string) bool { return plainText.MatchString(s) }

// canonical is the RFC 8785 form (members sorted by name); Body must be canonical already. Without Hash it leaves the
// member out, which is the form that is hashed.
func (w wireEntry) canonical() []byte {
	var b bytes.Buffer
	b.Grow(len(w.Body) + 320)
	b.WriteString(`{"at":"` + w.At + `","body":`)
	b.Write(w.Body)
	if w.Hash != "" {
		b.WriteString(`,"hash":"` + w.Hash + `"`)
	}
	b.WriteString(`,"kind":"` + string(w.Kind) + `","prev":"` + w.Prev + `","seq":` + strconv.FormatInt(w.Seq, 10) +
		`,"subject":"` + w.Subject + `"}`)
	return b.Bytes()
}

func (w wireEntry) hash() ([32]byte, error) {
	w.Hash = ""
	prev, err := hex.DecodeString(w.Prev)
	if err != nil || len(prev) != sha256.Size {
		return [32]byte{}, errors.New("prev is not a SHA-256")
	}
	for _, s := range []string{w.At, string(w.Kind), w.Subject} {
		if !plainText.MatchString(s) {
			return [32]byte{}, fmt.Errorf("%q is not plain text", s)
		}
	}
	return sha256.Sum256(append(prev, w.canonical()...)), nil
}

func (w wireEntry) entry(raw []byte, hash [32]byte) (Entry, error) {
	at, err := time.Parse(time.RFC3339Nano, w.At)
	if err != nil || w.Seq < 1 {
		return Entry{}, errors.Join(err, fmt.Errorf("seq %d", w.Seq))
	}
	e := Entry{Seq: w.Seq, At: at, Kind: w.Kind, Subject: w.Subject, Body: w.Body, Hash: hash, Bytes: raw}
	_, err = hex.Decode(e.Prev[:], []byte(w.Prev))
	return e, err
}

// MaxEntryBytes bounds one entry.
const MaxEntryBytes = 32 << 10

// Decode reads an entry and checks that its bytes are in RFC 8785 form and that its hash is its own. fault.Invalid with
// reason ledger_entry_malformed or ledger_hash_wrong.
func Decode(raw []byte) (Entry, error) {
	malformed := fault.New(fault.Invalid, "ledger_entry_malformed", "the ledger entry is not in the form that the protocol fixes")
	if len(raw) > MaxEntryBytes {
		return Entry{}, malformed
	}
	var w wireEntry
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&w); err != nil {
		return Entry{}, malformed.Because(err)
	}
	body, err := jcs.Transform(w.Body)
	if err != nil {
		return Entry{}, malformed.Because(err)
	}
	w.Body = body
	want, err := w.hash()
	if err != nil {
		return Entry{}, malformed.Because(err)
	}
	if !bytes.Equal(w.canonical(), raw) {
		return Entry{}, malformed
	}
	if w.Hash != hex.EncodeToString(want[:]) {
		return Entry{}, fault.New(fault.Invalid, "ledger_hash_wrong", "entry %d does not hash to what it says", w.Seq)
	}
	e, err := w.entry(bytes.Clone(raw), want)
	if err != nil {
		return Entry{}, malformed.Because(err)
	}
	return e, nil
}

// Checkpoint is the signed end of a log.
type Checkpoint struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	Seq      int64  `json:"seq"`
	Hash     string `json:"hash"`
}

// Checkpoint signs the point of our log towards a partner at which entry stands. Call it after the commit.
func (b *Book) Checkpoint(partner string, seq int64, hash [32]byte) (string, error) {
	payload, err := json.Marshal(Checkpoint{Issuer: b.Self, Audience: partner, Seq: seq, Hash: hex.EncodeToString(hash[:])})
	if err != nil {
		return "", err
	}
	return b.Signer.Sign(keys.Business, signed.Checkpoint, payload)
}

// VerifyCheckpoint checks a checkpoint's signature and parties. fault.Unauthenticated or fault.Invalid.
func VerifyCheckpoint(jws, issuer, audience string, issuerKey []byte) (Checkpoint, error) {
	payload, err := signed.Open(jws, signed.Checkpoint, issuerKey)
	if err != nil {
		return Checkpoint{}, err
	}
	var c Checkpoint
	if err := signed.Decode(payload, &c); err != nil {
		return Checkpoint{}, err
	}
	if c.Issuer != issuer || c.Audience != audience || c.Seq < 0 {
		return Checkpoint{}, fault.New(fault.Invalid, "checkpoint_parties", "the checkpoint is for other parties")
	}
	return c, nil
}

// Seen is the payload of a countersigned checkpoint (typ hanse-seen+jwt): what the caller verified last of the callee.
type Seen struct {
	Issuer     string `json:"iss"`
	Audience   string `json:"aud"`
	Checkpoint string `json:"checkpoint"`
}

// Countersign makes the proof that we verified a partner's checkpoint.
func (b *Book) Countersign(partner, checkpoint string) (string, error) {
	b.mu.Lock()
	last := b.countersigned[partner]
	b.mu.Unlock()
	if last.checkpoint == checkpoint {
		return last.jws, nil
	}
	payload, err := json.Marshal(Seen{Issuer: b.Self, Audience: partner, Checkpoint: checkpoint})
	if err != nil {
		return "", err
	}
	jws, err := b.Signer.Sign(keys.Business, signed.Seen, payload)
	if err != nil {
		return "", err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.countersigned == nil {
		b.countersigned = make(map[string]countersigned)
	}
	b.countersigned[partner] = countersigned{checkpoint: checkpoint, jws: jws}
	return jws, nil
}

// SeenCheckpoint countersigns the last checkpoint of the partner's log that we verified; "" before the first.
func (b *Book) SeenCheckpoint(ctx context.Context, partner string) (string, error) {
	var head Head
	err := b.Work.View(ctx, func(tx Tx) (err error) {
		head, err = tx.Ledger().Head(partner, Theirs)
		return err
	})
	if err != nil || head.Checkpoint == "" {
		return "", err
	}
	return b.Countersign(partner, head.Checkpoint)
}

// OpenSeen verifies what a caller countersigned: the caller's signature, and ours below it. It answers the checkpoint.
func OpenSeen(seen, caller string, callerKey []byte, self string, ownKeys ...[]byte) (Checkpoint, string, error) {
	payload, err := signed.Open(seen, signed.Seen, callerKey)
	if err != nil {
		return Checkpoint{}, "", err
	}
	var s Seen
	if err := signed.Decode(payload, &s); err != nil {
		return Checkpoint{}, "", err
	}
	if s.Issuer != caller || s.Audience != self {
		return Checkpoint{}, "", fault.New(fault.Invalid, "checkpoint_parties", "the countersigned checkpoint is for other parties")
	}
	var last error
	for _, own := range ownKeys {
		c, err := VerifyCheckpoint(s.Checkpoint, self, caller, own)
		if err == nil {
			return c, s.Checkpoint, nil
		}
		last = err
	}
	return Checkpoint{}, "", last
}

// ErrRecovering says that our log is behind what the partner holds: this store was restored from an old copy.
var ErrRecovering = fault.New(fault.Unavailable, "ledger_recovering",
	"this sidecar's ledger is behind a checkpoint that it signed itself; it takes no new business until it has caught up")

// AcceptSeen checks a countersigned checkpoint against our own log and remembers it.
func AcceptSeen(tx Tx, caller string, c Checkpoint, jws string) error {
	if c.Seq == 0 {
		return nil
	}
	head, err := tx.Ledger().Head(caller, Own)
	if err != nil || head.SeenCheckpoint == jws {
		return err
	}
	e, err := tx.Ledger().Entry(caller, Own, c.Seq)
	if fault.Is(err, fault.NotFound) {
		return ErrRecovering
	}
	if err != nil {
		return err
	}
	if hex.EncodeToString(e.Hash[:]) != c.Hash {
		return fault.New(fault.Precondition, "ledger_fork", "sequence number %d has another hash here; no new business until both operators close the fork", c.Seq)
	}
	return tx.Ledger().SetSeen(caller, c.Seq, jws)
}
