package ledger

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
)

// Seen is the payload of a countersigned checkpoint (typ hanse-seen+jwt): what the caller verified last of the callee.
type Seen struct {
	Issuer     string `json:"iss"`
	Audience   string `json:"aud"`
	Checkpoint string `json:"checkpoint"`
}

type countersigned struct {
	at              Position
	checkpoint, jws string
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
	// While nothing new was read, heartbeats only bring later ticks: what was signed last says the same.
	b.mu.Lock()
	last := b.countersigned[partner]
	b.mu.Unlock()
	if last.at == head.Position() && last.jws != "" {
		return last.jws, nil
	}
	jws, err := b.Countersign(partner, head.Checkpoint)
	if err != nil {
		return "", err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.countersigned[partner] = countersigned{at: head.Position(), checkpoint: head.Checkpoint, jws: jws}
	return jws, nil
}

// Proof is a checkpoint of ours that a partner countersigned: it proves how far the partner has read.
type Proof struct {
	Checkpoint
	// JWS is our own checkpoint as we signed it.
	JWS string
}

type opened struct {
	jws   string
	proof Proof
}

// OpenSeen verifies what a partner countersigned: its signature with its pinned key, and ours below it. Our tick goes on above the
// one that comes back in it. fault.Unauthenticated or fault.Invalid.
func (b *Book) OpenSeen(ctx context.Context, partner string, key []byte, jws string) (Proof, error) {
	b.mu.Lock()
	last := b.opened[partner]
	b.mu.Unlock()
	if last.jws == jws {
		return last.proof, nil
	}
	payload, err := signed.Open(jws, signed.Seen, key)
	if err != nil {
		return Proof{}, err
	}
	var s Seen
	if err := signed.Decode(payload, &s); err != nil {
		return Proof{}, err
	}
	if s.Issuer != partner || s.Audience != b.Self {
		return Proof{}, fault.New(fault.Invalid, "checkpoint_parties", "the countersigned checkpoint is for other parties")
	}
	c, err := firstValid(b.OwnKeys(), func(own []byte) (Checkpoint, error) { return VerifyCheckpoint(s.Checkpoint, b.Self, partner, own) })
	if err != nil {
		return Proof{}, err
	}
	if err := b.surpass(ctx, c.Tick); err != nil {
		return Proof{}, err
	}
	p := Proof{Checkpoint: c, JWS: s.Checkpoint}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.opened == nil {
		b.opened = make(map[string]opened)
	}
	b.opened[partner] = opened{jws: jws, proof: p}
	return p, nil
}

// ErrRecovering says that our log is behind what the partner holds: this store was restored from an old copy.
var ErrRecovering = fault.New(fault.Unavailable, "ledger_recovering",
	"this sidecar's ledger is behind a checkpoint that it signed itself; it takes no new business until it has caught up")

// AcceptSeen checks a proof against our own log and remembers it.
func AcceptSeen(tx Tx, partner string, p Proof) error {
	if p.Seq == 0 {
		return nil
	}
	head, err := tx.Ledger().Head(partner, Own)
	if err != nil || head.SeenCheckpoint == p.JWS {
		return err
	}
	e, err := tx.Ledger().Entry(partner, Own, p.Position())
	if fault.Is(err, fault.NotFound) {
		return ErrRecovering
	}
	if err != nil {
		return err
	}
	if hex.EncodeToString(e.Hash[:]) != p.Hash {
		return fault.New(fault.Precondition, "ledger_fork", "sequence number %s has another hash here; no new business until both operators close the fork", p.Position())
	}
	if p.Position() == head.Seen { // a later tick alone
		return nil
	}
	return tx.Ledger().SetSeen(partner, p.Checkpoint, p.JWS)
}

// Hear takes what a partner countersigned of ours outside a command: OpenSeen and AcceptSeen. What was taken last costs nothing.
func (b *Book) Hear(ctx context.Context, partner string, key []byte, jws string) error {
	b.mu.Lock()
	last := b.heard[partner]
	b.mu.Unlock()
	if last == jws {
		return nil
	}
	proof, err := b.OpenSeen(ctx, partner, key, jws)
	if err != nil {
		return err
	}
	if err := b.Work.Do(ctx, func(tx Tx) error { return AcceptSeen(tx, partner, proof) }); err != nil {
		return fmt.Errorf("countersigned checkpoint of %s: %w", partner, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.heard == nil {
		b.heard = make(map[string]string)
	}
	b.heard[partner] = jws
	return nil
}
