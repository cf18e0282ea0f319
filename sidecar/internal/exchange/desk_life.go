package exchange

import (
	"context"
	"encoding/hex"
	"encoding/json"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Noted is the payload of a hanse-noted+jwt: the callee has a document, and a later life of its ledger says what became of it.
type Noted struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	// Document is the SHA-256 of the document's payload.
	Document string `json:"document_sha256"`
}

// note signs that we have a document.
func (d *Desk) note(partner string, digest []byte) (string, error) {
	payload, err := json.Marshal(Noted{Issuer: d.Self, Audience: partner, Document: hex.EncodeToString(digest)})
	if err != nil {
		return "", err
	}
	return d.Signer.Sign(keys.Business, signed.Noted, payload)
}

func openLife(d *Desk, partner string, doc Document, payload []byte) (opened, error) {
	r, err := d.Lives.Open(partner, doc.JWS, doc.Proposal, payload)
	if err != nil {
		return opened{}, err
	}
	return scoped(opened{life: r, key: Key{signed.Life, r.ID}, digest: r.Digest[:], subject: r.ID}, signed.Life, "")
}

// lives takes the documents of a call that open a new life, before all others: what these meet is what the life makes of the books. They are
// taken in every state of the books, for they end what keeps others waiting.
func (d *Desk) lives(ctx context.Context, v *visit) error {
	for _, it := range v.items {
		if it.done || it.life == nil {
			continue
		}
		if it.refusal != nil {
			it.undecided(it.refusal)
			continue
		}
		var err error
		if it.life.Proposal() {
			if err = d.Lives.Keep(ctx, it.life); err == nil {
				it.done, it.noted = true, true
			}
		} else {
			err = unit.Fresh(func() error { return d.countersigned(ctx, v, it) })
		}
		if err != nil {
			it.undecided(err)
		}
	}
	return nil
}

// countersigned begins the new life that we proposed and the partner decided on.
func (d *Desk) countersigned(ctx context.Context, v *visit, it *item) error {
	if err := d.Lives.Prepare(ctx, it.life); err != nil {
		return err
	}
	var before Decision
	var known bool
	var at ledger.Position
	d.Fail.Hit("life.apply.before_commit")
	err := d.Work.Do(ctx, func(tx Tx) error {
		decided, err := tx.Decisions().Decisions(v.call.Partner, []Key{it.key})
		if before, known = decided[it.key]; err != nil || known {
			return err
		}
		if at, err = d.Lives.Apply(tx, it.life); err != nil {
			return err
		}
		if err := tx.Decisions().PutDecisions((&batch{desk: d, v: v, tx: tx}).made(it, at)); err != nil || !v.shown.News() {
			return err
		}
		// What cannot be taken the feed brings again; the life begins whatever that is.
		err = tx.Savepoint(func() error { return d.Reader.Take(tx, v.call.Partner, v.shown) })
		if again(err) {
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	v.books, v.news = "", false // of both logs another life counts now
	if known {
		it.recall(before)
		return nil
	}
	d.Fail.Hit("life.apply.after_commit")
	it.decided(at)
	return nil
}
