package testpeer

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	peerv1 "github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

// idle writes an entry from which nothing follows (L-21): it places an order that never comes. The caller holds the lock.
func (p *peer) idle() error {
	id := newID("ord")
	return p.append(ledger.OrderPlaced, "sub-"+id, map[string]any{
		"agreement": p.deal.doc.ID, "order": id, "document_sha256": signed.Digest([]byte(id)), "subscription": "sub-" + id, "action": "add", "intent": "purchase",
	})
}

// misread tells a page that no reader may take, and then the truth. Nothing of the page may be taken, and the truth must be read
// afterwards.
func (p *peer) misread(ctx context.Context, rule string, lie func(*peerv1.TailResponse) error) error {
	if err := p.isRead(ctx, "J-1"); err != nil {
		return err
	}
	before := p.head()
	if err := p.lie(lies{tail: lie}, func() error { return errors.Join(p.idle(), p.idle(), p.idle()) }); err != nil {
		return err
	}
	at, err := p.afterLie(ctx)
	var b *breach
	if errors.As(err, &b) && b.rule == "L-17" {
		return broke(rule, "nothing of a bad page taken", "%s", b.seen)
	}
	if err != nil {
		return err
	}
	if at > before {
		return broke(rule, fmt.Sprintf("nothing of a bad page taken: our log read to %d", before), "it is read to %d", at)
	}
	p.honest()
	return p.isRead(ctx, "J-5")
}

// afterLie waits until a reader hung up on a lie, as long as it may take, and asks how far our log is read then.
func (p *peer) afterLie(ctx context.Context) (int64, error) {
	short, cancel := context.WithTimeout(ctx, p.cfg.Wait)
	defer cancel()
	// Any call is a reason to read our feed now (I-6).
	if _, err := p.readBy(ctx); err != nil {
		return 0, err
	}
	err := p.until(short, "somebody reads our log", func() bool { return p.lies.heard > 0 })
	var b *breach
	if errors.As(err, &b) || err != nil && ctx.Err() != nil {
		return 0, err
	}
	return p.readBy(ctx)
}

// badPage is a case of a page of our log that no reader may take.
func badPage(name, rule, does string, lie func(*peer, *peerv1.TailResponse) error) Case {
	return Case{Name: name, Rules: []string{rule, "J-5", "J-6"}, Does: does, play: func(ctx context.Context, p *peer) error {
		return p.misread(ctx, rule, func(m *peerv1.TailResponse) error { return lie(p, m) })
	}}
}

// again signs the checkpoint of a page anew, with its members changed.
func (p *peer) again(m *peerv1.TailResponse, change func(*ledger.Checkpoint)) error {
	c, err := ledger.ReadVerified(m.GetCheckpoint())
	if err != nil {
		return err
	}
	change(&c)
	m.Checkpoint, err = p.sign(signed.Checkpoint, c)
	return err
}

func logs() []Case {
	return []Case{
		badPage("ledger-gap", "J-11", "Tells of its log from the second new entry on.", func(_ *peer, m *peerv1.TailResponse) error {
			m.Entries = m.GetEntries()[1:]
			return nil
		}),
		badPage("ledger-out-of-order", "J-2", "Tells of its log with two entries in the wrong order.", func(_ *peer, m *peerv1.TailResponse) error {
			m.Entries = slices.Clone(m.GetEntries())
			m.Entries[0], m.Entries[1] = m.Entries[1], m.Entries[0]
			return nil
		}),
		badPage("ledger-entry-left-out", "J-2", "Tells of its log without an entry in the middle.", func(_ *peer, m *peerv1.TailResponse) error {
			m.Entries = slices.Delete(slices.Clone(m.GetEntries()), 1, 2)
			return nil
		}),
		badPage("ledger-edited-entry", "L-4", "Tells of an entry whose text was changed and whose hash was not.", func(_ *peer, m *peerv1.TailResponse) error {
			m.Entries = slices.Clone(m.GetEntries())
			m.Entries[1] = bytes.Replace(m.Entries[1], []byte(`"intent":"purchase"`), []byte(`"intent":"terminate"`), 1)
			return nil
		}),
		badPage("ledger-rehashed-entry", "J-2", "Tells of an entry that was changed and hashed anew, so that the next does not follow it.", func(p *peer, m *peerv1.TailResponse) error {
			at := int64(len(p.own)) - 2
			e := p.own[at-1]
			other, err := ledger.Draft{Kind: e.Kind, Subject: e.Subject, Body: e.Body}.Seal(p.target, e.Position(), e.At.Add(time.Hour), e.Prev)
			m.Entries = slices.Clone(m.GetEntries())
			m.Entries[0] = other.Bytes
			return err
		}),
		badPage("ledger-double-member", "L-3", "Tells of an entry that says its place twice.", func(_ *peer, m *peerv1.TailResponse) error {
			m.Entries = slices.Clone(m.GetEntries())
			m.Entries[0] = bytes.Replace(m.Entries[0], []byte(`"seq":`), []byte(`"seq":1,"seq":`), 1)
			return nil
		}),
		badPage("ledger-not-canonical", "L-3", "Tells of an entry that is written with spaces.", func(_ *peer, m *peerv1.TailResponse) error {
			m.Entries = slices.Clone(m.GetEntries())
			m.Entries[0] = bytes.Replace(m.Entries[0], []byte(`"kind":`), []byte(`"kind": `), 1)
			return nil
		}),
		badPage("ledger-checkpoint-wrong-key", "J-2", "Tells of its log under a checkpoint by another key.", func(p *peer, m *peerv1.TailResponse) error {
			payload, err := signed.Payload(m.GetCheckpoint())
			if err != nil {
				return err
			}
			m.Checkpoint, err = signWith(p.strange, signed.Checkpoint, payload)
			return err
		}),
		badPage("ledger-checkpoint-of-others", "J-2", "Tells of its log under a checkpoint that it signed for another member.", func(p *peer, m *peerv1.TailResponse) error {
			return p.again(m, func(c *ledger.Checkpoint) { c.Audience = "https://another.example" })
		}),
		badPage("ledger-checkpoint-ahead", "J-2", "Tells of its log under a checkpoint beyond the last entry.", func(p *peer, m *peerv1.TailResponse) error {
			return p.again(m, func(c *ledger.Checkpoint) { c.Seq += 5 })
		}),
		badPage("ledger-checkpoint-other-hash", "J-2", "Tells of its log under a checkpoint with another hash than the last entry's.", func(p *peer, m *peerv1.TailResponse) error {
			return p.again(m, func(c *ledger.Checkpoint) { c.Hash = signed.Digest([]byte("another")) })
		}),
		badPage("ledger-of-others", "J-2", "Tells of the log that it keeps towards another member.", func(p *peer, m *peerv1.TailResponse) error {
			prev := ledger.Genesis(trust.PartnershipID(p.origin, "https://another.example"))
			at := int64(len(p.own)) - 3
			m.Entries = nil
			for _, e := range p.own[at:] {
				other, err := ledger.Draft{Kind: e.Kind, Subject: e.Subject, Body: e.Body}.Seal(p.target, e.Position(), e.At, prev)
				if err != nil {
					return err
				}
				m.Entries, prev = append(m.Entries, other.Bytes), other.Hash
			}
			return p.again(m, func(c *ledger.Checkpoint) {
				c.Audience, c.Hash = "https://another.example", hex.EncodeToString(prev[:])
			})
		}),
		badPage("ledger-later-life", "L-19", "Tells of its log in a life that nobody opened.", func(p *peer, m *peerv1.TailResponse) error {
			first := ledger.First(trust.PartnershipID(p.origin, p.target), 1, [32]byte{})
			e, err := ledger.Draft{Kind: ledger.OrderPlaced, Subject: p.own[len(p.own)-1].Subject, Body: p.own[len(p.own)-1].Body}.
				Seal(p.target, ledger.Position{Life: 1, Seq: 1}, time.Now(), first)
			m.Entries = [][]byte{e.Bytes}
			return errors.Join(err, p.again(m, func(c *ledger.Checkpoint) { c.Life, c.Seq, c.Hash = 1, 1, hex.EncodeToString(e.Hash[:]) }))
		}),
		{
			Name: "ledger-rolled-back", Rules: []string{"J-3", "L-20", "B-9"}, Does: "Signs the end of its log at a place that it was long beyond.",
			play: func(ctx context.Context, p *peer) error {
				err := p.misread(ctx, "J-3", func(m *peerv1.TailResponse) error {
					back := int64(len(p.own)) - 5
					hash := p.hashAt(p.own, back)
					m.Entries = [][]byte{p.own[back-1].Bytes}
					return p.again(m, func(c *ledger.Checkpoint) { c.Seq, c.Hash = back, hex.EncodeToString(hash[:]) })
				})
				if err != nil {
					return err
				}
				held, err := p.compared(ctx)
				if err == nil && held.Seq < p.head() {
					err = broke("B-9", fmt.Sprintf("the newest of our checkpoints, at %d", p.head()), "one at %d", held.Seq)
				}
				return err
			},
		},
		{
			Name: "ledger-unknown-kind", Rules: []string{"L-11", "J-8"}, Does: "Tells of an entry of a kind that nobody knows, and of others behind it; it leaves one parked subject with the member under test.",
			play: func(ctx context.Context, p *peer) error {
				if err := p.write("testpeer.greeting", newID("greeting"), map[string]any{"subscription": "sub-testpeer"}); err != nil {
					return err
				}
				if err := p.lie(lies{}, p.idle); err != nil {
					return err
				}
				if err := p.isRead(ctx, "L-11"); err != nil {
					return err
				}
				_, _, err := p.buy(ctx)
				return err
			},
		},
		{
			Name: "books-behind-falsely", Rules: []string{"B-7", "B-5"}, Does: "Answers every Tail as if the member under test had shown a checkpoint beyond our log, and orders meanwhile.",
			play: func(ctx context.Context, p *peer) error {
				if err := p.lie(lies{refuse: away("ledger_recovering")}, p.idle); err != nil {
					return err
				}
				if _, err := p.afterLie(ctx); err != nil {
					return err
				}
				// It has no checkpoint of its own in hand that is beyond its log, so its books are not behind.
				d, papers, err := p.purchase(nil)
				if err != nil {
					return err
				}
				o, err := p.one(ctx, p.deal.doc.ID, ordering, papers)
				if err != nil {
					return err
				}
				if err := p.decidedAs(ctx, "B-7", o, ledger.OrderAccepted, ""); err != nil {
					return err
				}
				if _, err := p.completed(ctx, d); err != nil {
					return err
				}
				p.honest()
				return p.isRead(ctx, "E-5")
			},
		},
	}
}

// forks are the cases after which the books are forked.
func forks() []Case {
	forked := func(ctx context.Context, p *peer, rule string) error {
		deadline := time.Now().Add(p.cfg.Wait)
		for {
			_, papers, err := p.purchase(nil)
			if err != nil {
				return err
			}
			o, err := p.one(ctx, p.deal.doc.ID, ordering, papers)
			if err != nil {
				return err
			}
			if err = undecided(rule, o, false, "books_forked"); err == nil || time.Now().After(deadline) {
				return err
			}
			if err := pause(ctx, 500*time.Millisecond); err != nil {
				return err
			}
		}
	}
	return []Case{
		{
			Name: "fork-page", Alone: true, Rules: []string{"J-7", "J-12", "Z-6", "B-8"}, Does: "Tells of another entry, signed as well, at a place that was read; new business must end and what runs must go on.",
			play: func(ctx context.Context, p *peer) error {
				d, _, err := p.buy(ctx)
				if err != nil {
					return err
				}
				if _, err := p.completed(ctx, d); err != nil {
					return err
				}
				if err := p.isRead(ctx, "J-1"); err != nil {
					return err
				}
				err = p.lie(lies{tail: func(m *peerv1.TailResponse) error {
					e := p.own[len(p.own)-2]
					other, err := ledger.Draft{Kind: e.Kind, Subject: e.Subject, Body: e.Body}.Seal(p.target, e.Position(), e.At.Add(time.Hour), e.Prev)
					m.Entries = [][]byte{other.Bytes}
					return errors.Join(err, p.again(m, func(c *ledger.Checkpoint) { c.Seq, c.Hash = other.Seq, hex.EncodeToString(other.Hash[:]) }))
				}}, p.idle)
				if err != nil {
					return err
				}
				if _, err := p.afterLie(ctx); err != nil {
					return err
				}
				if err := forked(ctx, p, "J-7"); err != nil {
					return err
				}
				// A cancel, as all that winds down, is decided on (B-8); its answer is empty, so the outcome alone says so.
				_, papers, err := p.terminate(d.Subscription)
				if err != nil {
					return err
				}
				o, err := p.one(ctx, p.deal.doc.ID, ending, papers)
				if err == nil && o.GetNoted() == "" && o.GetDecided() == nil {
					err = broke("B-8", "the end of what runs decided, in spite of the fork", "%s", told(o))
				}
				return err
			},
		},
		{
			Name: "fork-checkpoint", Alone: true, Rules: []string{"S-17", "J-7", "Z-6"}, Does: "Submits under a checkpoint that has another hash at a place that was read.",
			play: func(ctx context.Context, p *peer) error {
				if err := p.isRead(ctx, "J-1"); err != nil {
					return err
				}
				_, papers, err := p.purchase(nil)
				if err != nil {
					return err
				}
				r, err := p.submission(papers)
				if err != nil {
					return err
				}
				c, err := ledger.ReadVerified(r.GetCheckpoint())
				if err != nil {
					return err
				}
				c.Hash = signed.Digest([]byte("another"))
				if r.Checkpoint, err = p.sign(signed.Checkpoint, c); err != nil {
					return err
				}
				outcomes, a, err := p.send(ctx, p.deal.doc.ID, ordering, r)
				if err != nil {
					return err
				}
				if a.status != 200 {
					return broke("S-17", "an answer all the same", "%s", a)
				}
				if err := undecided("S-17", outcomes[0], false, "books_forked"); err != nil {
					return err
				}
				return forked(ctx, p, "B-2")
			},
		},
	}
}
