package exchange

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
)

// Comparison is the payload of a hanse-compare+jwt: what one member holds of the other's signed word, fresh by the nonce.
type Comparison struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	Nonce    string `json:"nonce"`
	// Held is the newest of the asker's own signed checkpoints that the answerer holds; "" is none.
	Held string `json:"held"`
	// Life, Seq, Hash and Tick are the answerer's head towards the asker; where it signed two logs, what its last word says.
	Life int64  `json:"life"`
	Seq  int64  `json:"seq"`
	Hash string `json:"hash"`
	Tick int64  `json:"tick"`
}

// Bounds of a nonce in bytes.
const (
	minNonce = 16
	maxNonce = 64
)

// Compare answers a partner's question how both books stand, in every state of them. It changes nothing but the epoch: what the partner
// submitted before and is not decided yet is refused when it comes to be, and what a process of it from before sent when it arrives, so that
// the answer stays true.
func (d *Desk) Compare(ctx context.Context, partner string, token ledger.Token, nonce []byte) (string, error) {
	if len(nonce) < minNonce || len(nonce) > maxNonce {
		return "", fault.New(fault.Invalid, "nonce_range", "a nonce has %d to %d bytes", minNonce, maxNonce).At("nonce")
	}
	var own, theirs ledger.Head
	var held, word ledger.Checkpoint
	var jws string
	var bound bool
	err := d.Work.Do(ctx, func(tx Tx) (err error) {
		if err = tx.Ledger().Answer(partner, token); err != nil {
			return err
		}
		if own, theirs, err = tx.Ledger().Heads(partner); err != nil {
			return err
		}
		if held, jws, err = tx.Decisions().Held(partner); err != nil {
			return err
		}
		word, _, bound, err = d.Book.LastWord(tx, partner)
		return err
	})
	if err != nil {
		return "", err
	}
	if theirs.Checkpoint != "" && (jws == "" || !newer(held, theirs)) {
		jws = theirs.Checkpoint
	}
	if !bound {
		word = ledger.Checkpoint{Life: own.Life, Seq: own.Seq, Hash: hex.EncodeToString(own.Hash[:]), Tick: d.Book.Tick()}
	}
	payload, err := json.Marshal(Comparison{
		Issuer: d.Self, Audience: partner, Nonce: base64.RawURLEncoding.EncodeToString(nonce), Held: jws,
		Life: word.Life, Seq: word.Seq, Hash: word.Hash, Tick: word.Tick,
	})
	if err != nil {
		return "", err
	}
	return d.Signer.Sign(keys.Business, signed.Compare, payload)
}

// newer reports whether a checkpoint was signed after the one at a head.
func newer(c ledger.Checkpoint, head ledger.Head) bool {
	if order := c.Position().Compare(head.Position()); order != 0 {
		return order > 0
	}
	return c.Tick > head.Tick
}
