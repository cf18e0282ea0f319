package ledger

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/plant"
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
	var at Position
	var checkpoint string
	err := b.Work.View(ctx, func(tx Tx) (err error) {
		at, checkpoint, err = tx.Ledger().Verified(partner)
		return err
	})
	if err != nil {
		return "", err
	}
	return b.countersign(partner, at, checkpoint)
}

// countersign is SeenCheckpoint where our copy of the partner's log ends at a place, under a checkpoint.
func (b *Book) countersign(partner string, at Position, checkpoint string) (string, error) {
	if checkpoint == "" {
		return "", nil
	}
	// While nothing new was read, heartbeats only bring later ticks: what was signed last says the same.
	b.mu.Lock()
	last := b.countersigned[partner]
	b.mu.Unlock()
	if last.at == at && last.jws != "" {
		return last.jws, nil
	}
	jws, err := b.Countersign(partner, checkpoint)
	if err != nil {
		return "", err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.countersigned[partner] = countersigned{at: at, checkpoint: checkpoint, jws: jws}
	return jws, nil
}

// Proof is a checkpoint of ours that a partner countersigned: it proves how far the partner has read.
type Proof struct {
	Checkpoint
	// JWS is our own checkpoint as we signed it, Seen what the partner signed over it.
	JWS, Seen string
}

// opened is a proof with the key that verified it: another key has to verify it again.
type opened struct {
	key   string
	proof Proof
	// kept says that it was held against our log and says nothing that is not kept.
	kept bool
}

// OpenSeen verifies what a partner countersigned: its signature with its pinned key, and ours below it. Our tick goes on above the
// one that comes back in it. fault.Unauthenticated or fault.Invalid.
func (b *Book) OpenSeen(ctx context.Context, partner string, key signed.Pinned, jws string) (Proof, error) {
	if last, known := b.lastSeen(partner, key, jws); known {
		return last.proof, nil
	}
	payload, err := key.Open(jws, signed.Seen)
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
	c, err := b.ours(partner, s.Checkpoint)
	if err != nil {
		return Proof{}, err
	}
	if err := b.surpass(ctx, partner, c.Tick); err != nil {
		return Proof{}, err
	}
	p := Proof{Checkpoint: c, JWS: s.Checkpoint, Seen: jws}
	b.keepSeen(partner, opened{key: key.Names(), proof: p})
	return p, nil
}

func (b *Book) lastSeen(partner string, key signed.Pinned, jws string) (opened, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	last := b.opened[partner]
	return last, jws != "" && last.proof.Seen == jws && last.key == key.Names()
}

func (b *Book) keepSeen(partner string, o opened) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.opened == nil {
		b.opened = make(map[string]opened)
	}
	b.opened[partner] = o
}

// ErrRecovering says that our log is behind what the partner holds: this store was restored from an old copy.
var ErrRecovering = fault.New(fault.Unavailable, "ledger_recovering",
	"this sidecar's ledger is behind a checkpoint that it signed itself; it takes no new business until it has caught up")

// Weigh holds a proof against our own log, and reports whether it goes beyond what the partner had proved before: only that is worth
// a write, SetSeen; a later tick alone is not. ErrRecovering where this store is older than what it signed, and fault.Conflict with reason
// own_ledger_fork where we signed another log than we have; either is on record then.
func (b *Book) Weigh(ctx context.Context, partner string, p Proof) (news bool, err error) {
	if p.Seq == 0 || plant.On(plant.StaleCheckpointIsLevel) {
		return false, nil
	}
	fork := false
	err = b.Work.View(ctx, func(tx Tx) error {
		news, fork = false, false
		head, err := tx.Ledger().Head(partner, Own)
		if err != nil || head.SeenCheckpoint == p.JWS || p.Life < head.Life { // of a life that has ended it says nothing
			return err
		}
		e, err := tx.Ledger().Entry(partner, Own, p.Position())
		if fault.Is(err, fault.NotFound) {
			if p.Position().Compare(head.Position()) > 0 {
				return ErrRecovering
			}
			err = errors.New(err.Error()) // nobody asked for it: it is missing here
		}
		if err != nil {
			return err
		}
		fork = hex.EncodeToString(e.Hash[:]) != p.Hash
		news = !fork && p.Position().Compare(head.Seen) > 0
		return nil
	})
	switch {
	case err == nil && fork:
		err = b.forked(ctx, partner, p)
	case errors.Is(err, ErrRecovering):
		if kept := b.older(ctx, partner, p); kept != nil {
			return false, kept
		}
	}
	return news, err
}

// Held weighs a checkpoint of ours that a partner says it holds, in a document that it signed.
func (b *Book) Held(ctx context.Context, partner, jws, document string) (Checkpoint, error) {
	c, err := b.ours(partner, jws)
	if err == nil {
		err = b.surpass(ctx, partner, c.Tick)
	}
	if err == nil {
		_, err = b.Weigh(ctx, partner, Proof{Checkpoint: c, JWS: jws, Seen: document})
	}
	return c, err
}

// Hear takes what a partner countersigned of ours outside a command: it is opened, weighed and kept. What was taken last costs nothing.
func (b *Book) Hear(ctx context.Context, partner string, key signed.Pinned, jws string) error {
	if last, known := b.lastSeen(partner, key, jws); known && last.kept {
		return nil
	}
	proof, err := b.OpenSeen(ctx, partner, key, jws)
	if err != nil {
		return err
	}
	news, err := b.Weigh(ctx, partner, proof)
	if err == nil && news {
		err = b.Work.Do(ctx, func(tx Tx) error { return tx.Ledger().SetSeen(partner, proof.Checkpoint, proof.JWS) })
	}
	if err != nil {
		return fmt.Errorf("countersigned checkpoint of %s: %w", partner, err)
	}
	b.keepSeen(partner, opened{key: key.Names(), proof: proof, kept: true})
	return nil
}
