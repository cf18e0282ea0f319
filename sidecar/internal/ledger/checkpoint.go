package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
)

// Checkpoint is the signed end of a log.
type Checkpoint struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	Life     int64  `json:"life"`
	Seq      int64  `json:"seq"`
	Hash     string `json:"hash"`
	// Tick is the issuer's slow counter: the later of two checkpoints at one place has the higher one.
	Tick int64 `json:"tick"`
}

// Position is the place that was signed.
func (c Checkpoint) Position() Position { return Position{c.Life, c.Seq} }

// Checkpoint signs a place of our log towards a partner and the hash there. Call it after the commit.
func (b *Book) Checkpoint(partner string, at Position, hash [32]byte) (string, error) {
	payload, err := json.Marshal(Checkpoint{
		Issuer: b.Self, Audience: partner, Life: at.Life, Seq: at.Seq, Hash: hex.EncodeToString(hash[:]), Tick: b.tick.Load(),
	})
	if err != nil {
		return "", err
	}
	return b.Signer.Sign(keys.Business, signed.Checkpoint, payload)
}

// VerifyCheckpoint checks a checkpoint's signature and parties. fault.Unauthenticated or fault.Invalid.
func VerifyCheckpoint(jws, issuer, audience string, issuerKey signed.Pinned) (Checkpoint, error) {
	payload, err := issuerKey.Open(jws, signed.Checkpoint)
	if err != nil {
		return Checkpoint{}, err
	}
	var c Checkpoint
	if err := signed.Decode(payload, &c); err != nil {
		return Checkpoint{}, err
	}
	if c.Issuer != issuer || c.Audience != audience || c.Life < 0 || c.Seq < 0 || c.Tick < 0 {
		return Checkpoint{}, fault.New(fault.Invalid, "checkpoint_parties", "the checkpoint is for other parties")
	}
	if raw, err := hex.DecodeString(c.Hash); err != nil || len(raw) != sha256.Size || hex.EncodeToString(raw) != c.Hash {
		return Checkpoint{}, fault.New(fault.Invalid, "checkpoint_malformed", "the checkpoint carries no SHA-256")
	}
	return c, nil
}

// ReadVerified reads a checkpoint that was verified when it came. Before it proves anything it is verified again.
func ReadVerified(jws string) (c Checkpoint, err error) {
	_, rest, _ := strings.Cut(jws, ".")
	body, _, _ := strings.Cut(rest, ".")
	payload, err := base64.RawURLEncoding.DecodeString(body)
	if err == nil {
		err = signed.Decode(payload, &c)
	}
	return c, err
}

// LastWord is, once we signed two logs towards a partner or may have, the checkpoint of ours that says all that we may sign still: the newest that
// the partner showed us. Whatever we signed anew would be another second hash. bound says that it is so.
func (b *Book) LastWord(tx Tx, partner string) (c Checkpoint, jws string, bound bool, err error) {
	books, err := tx.Ledger().Books(partner)
	if err != nil || books.State != Forked || books.Shown == "" && books.Word == "" {
		return c, "", false, err
	}
	if jws = books.Shown; jws == "" {
		jws = books.Word
	}
	b.mu.Lock()
	if last, known := b.opened[partner]; known {
		jws = last.proof.JWS
	}
	b.mu.Unlock()
	c, err = ReadVerified(jws)
	return c, jws, true, err
}

// OwnCheckpoint signs the end of our log towards a partner, or repeats our last word.
func (b *Book) OwnCheckpoint(ctx context.Context, partner string) (string, error) {
	var head Head
	var word string
	var bound bool
	err := b.Work.View(ctx, func(tx Tx) (err error) {
		if _, word, bound, err = b.LastWord(tx, partner); err != nil || bound {
			return err
		}
		head, err = tx.Ledger().Head(partner, Own)
		return err
	})
	if err != nil || bound {
		return word, err
	}
	return b.Checkpoint(partner, head.Position(), head.Hash)
}
