package life

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Given is a document that a partner gives back as the one by which a life of the logs with it began, to a store that is from before that. Both
// signed it; that the life began with it, and with no other that we signed for it, says our own log of that life, whose first hash has its digest.
type Given struct {
	Document
	from member.Partner
	jws  [2]string // the proposer's and the recipient's
	all  []byte
}

// Given verifies a document that both signed to open a life: by us with any key that we ever had, by the partner with any that was ever
// pinned. fault.Invalid or fault.Unauthenticated where it is not that.
func (s *Service) Given(from member.Partner, number int64, countersigned, proposal string) (*Given, error) {
	payload, err := signed.Payload(proposal)
	if err != nil {
		return nil, fault.New(fault.Invalid, "document_malformed", "what opens life %d is no document", number).Because(err)
	}
	d, err := Parse(payload)
	if err != nil {
		return nil, err
	}
	parties := [2]string{d.Proposer, d.Recipient}
	if parties != [2]string{from.Origin, s.Self} && parties != [2]string{s.Self, from.Origin} {
		return nil, fault.New(fault.Invalid, "document_parties", "the document is between other parties")
	}
	if d.Life != number {
		return nil, fault.New(fault.Invalid, "life_invalid", "the document opens life %d, not life %d", d.Life, number)
	}
	g := &Given{Document: d, from: from, jws: [2]string{proposal, countersigned}, all: payload}
	ours, theirs := s.Book.OwnKeys(), from.EverKeys()
	for i, jws := range g.jws {
		by := theirs
		if g.signer(i) == s.Self {
			by = ours
		}
		have, err := by.Open(jws, signed.Life)
		if err != nil {
			return nil, fmt.Errorf("signature of %s: %w", g.signer(i), err)
		}
		if !bytes.Equal(have, payload) {
			return nil, fault.New(fault.Invalid, "life_differs", "%s signed another document than %s", d.Recipient, d.Proposer)
		}
	}
	return g, nil
}

func (g *Given) signer(i int) string {
	if i == 0 {
		return g.Proposer
	}
	return g.Recipient
}

// Opening is what the first entry of either log of the life names.
func (g *Given) Opening() ledger.Opening { return opening(g.Document, g.all) }

// First is the hash before the first entry of either log of the life.
func (g *Given) First() [32]byte {
	return ledger.First(g.from.PartnershipID, g.Life, g.Opening().Digest)
}

// Ends are the subjects that both end, whoever supplies them.
func (g *Given) Ends() map[string]bool {
	all := make(map[string]bool)
	for _, subject := range g.Subjects {
		all[subject.Subscription] = all[subject.Subscription] || subject.Ended()
	}
	return all
}

// ValidAt refuses a document with the signature of a key that either side had given up long before the life began: who came by a key that was
// retired signs no past with it.
func (s *Service) ValidAt(g *Given, began time.Time) error {
	for i, jws := range g.jws {
		kid, err := keys.KID(jws)
		if err != nil {
			return err
		}
		valid := !slices.ContainsFunc(g.from.Past, func(k member.PastKey) bool { return k.Thumbprint == kid && !began.Before(k.Until.Add(member.Grace)) })
		if g.signer(i) == s.Self {
			valid = s.signedAt(kid, began)
		}
		if !valid {
			return fault.New(fault.Unauthenticated, "document_signature_invalid", "the key with which %s signed the document of life %d signed nothing any more when that began", g.signer(i), g.Life)
		}
	}
	return nil
}

// told reports whether an entry is written again in a life that ends these of our subjects: that a subject has an end says nothing of what was
// deleted beside its orders.
func told(ended map[string]bool, e ledger.Entry) bool {
	return !ended[e.Subject] || e.Kind == ledger.OrderErased
}

// Again begins a life in a store that is from before it, while its books are read back: both logs stand before their first entry, ours comes
// back and is not written anew; the subjects get the ends that both agreed on, as they did then. What the partner's ended log says up to where
// both had it alike may wait still for what comes back of ours; what it says after that it tells again. fault.Precondition where the logs here
// are not those that the document names.
func (s *Service) Again(ctx context.Context, g *Given) error {
	partner := g.from.Origin
	return unit.Fresh(func() error {
		open, err := s.Retail.OpenAbout(ctx, partner, g.ended(partner))
		if err != nil {
			return err
		}
		return s.Work.Do(ctx, func(tx Tx) error {
			books, err := tx.Ledger().Books(partner)
			if err == nil && !books.Recovers() {
				err = errors.New("the books are not behind any more")
			}
			if err != nil {
				return err
			}
			if err := s.alike(tx, partner, g.Document); err != nil {
				return err
			}
			r, err := s.recorded(tx, g)
			if err != nil {
				return err
			}
			ends := g.Ends()
			common := g.Theirs(s.Self).Common.Position()
			left := func(p ledger.Parked) bool { return p.Position().Compare(common) > 0 || ends[p.Subject] }
			if err := ledger.Reopen(tx, partner, g.Life, g.First(), left); err != nil {
				return err
			}
			if err := ledger.EndedFork(tx, partner); err != nil {
				return err
			}
			if err := s.endsAgain(tx, g.Document, partner, r.Payload, open); err != nil {
				return err
			}
			if err := s.replaceOthers(tx, r, s.Now().UTC()); err != nil {
				return err
			}
			return tx.Lives().Put(r)
		})
	})
}

// Has reports whether a log has a place of the life in which its head is, with its hash.
func (s *Service) Has(ctx context.Context, partner string, head ledger.Head, at Place) (has bool, err error) {
	err = s.Work.View(ctx, func(tx Tx) (err error) { has, err = s.has(tx, partner, head, at); return err })
	return has, err
}

// recorded is the record of a document that both signed, with the proof of the fork that it ended, where this store has it.
func (s *Service) recorded(tx Tx, g *Given) (Record, error) {
	r := Record{
		Partner: g.from.Origin, ID: g.ID, Ours: g.Proposer == s.Self, Life: g.Life, Round: g.Round, State: Opened,
		Payload: g.all, JWS: g.jws[0], Countersigned: g.jws[1], At: s.Now().UTC(),
	}
	raw, err := tx.Ledger().Evidence(r.Partner)
	if err != nil || len(raw) == 0 {
		return r, err
	}
	var proof ledger.Evidence
	if err := json.Unmarshal(raw, &proof); err != nil {
		return r, err
	}
	if proof.Other != nil {
		r.Evidence, err = json.Marshal(proof.Other)
	}
	return r, err
}

// EndAgain gives the subjects that the document of the present life ends their ends once more, while the books are read back: what our log told
// again in that life came back as it was before.
func (s *Service) EndAgain(ctx context.Context, partner string) error {
	return unit.Fresh(func() error {
		var r Record
		var d Document
		err := s.Work.View(ctx, func(tx Tx) (err error) {
			r, d, err = present(tx, partner)
			return err
		})
		if err != nil || r.ID == "" {
			return err
		}
		open, err := s.Retail.OpenAbout(ctx, partner, d.ended(partner))
		if err != nil {
			return err
		}
		return s.Work.Do(ctx, func(tx Tx) error {
			books, err := tx.Ledger().Books(partner)
			if err != nil || !books.Recovers() {
				return err
			}
			now, _, err := present(tx, partner)
			if err == nil && now.ID != r.ID {
				err = unit.ErrStale
			}
			if err != nil {
				return err
			}
			return s.endsAgain(tx, d, partner, r.Payload, open)
		})
	})
}

// EndedSince reports whether both signed an end of what an entry is about, in a later life than it stands in.
func EndedSince(tx interface{ Lives() Store }, e ledger.Entry) (bool, error) {
	all, err := tx.Lives().List(e.Partner)
	if err != nil {
		return false, err
	}
	for _, r := range all {
		if r.State != Opened || r.Life <= e.Life {
			continue
		}
		d, err := Parse(r.Payload)
		if err != nil {
			return false, err
		}
		for _, s := range d.Subjects {
			if s.Subscription == e.Subject && s.Ended() {
				return true, nil
			}
		}
	}
	return false, nil
}

// Bare reports whether the document that ended a life says that both had nothing of a log of it alike: who is from before it gets nothing of
// that back.
func (s *Service) Bare(ctx context.Context, partner string, dir ledger.Direction, life int64) (bare bool, err error) {
	err = s.Work.View(ctx, func(tx Tx) error {
		all, err := tx.Lives().List(partner)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(r Record) bool { return r.State == Opened && r.Life == life+1 })
		if bare = false; i < 0 {
			return nil
		}
		d, err := Parse(all[i].Payload)
		if err != nil {
			return err
		}
		log := d.Mine(s.Self)
		if dir == ledger.Theirs {
			log = d.Theirs(s.Self)
		}
		bare = log.Common.Seq == 0
		return nil
	})
	return bare, err
}

// present is what opened the life in which our log is; zero where that is the first one.
func present(tx Tx, partner string) (r Record, d Document, err error) {
	head, err := tx.Ledger().Head(partner, ledger.Own)
	if err != nil || head.Life == 0 {
		return r, d, err
	}
	all, err := tx.Lives().List(partner)
	if err != nil {
		return r, d, err
	}
	i := slices.IndexFunc(all, func(r Record) bool { return r.State == Opened && r.Life == head.Life })
	if i < 0 {
		return r, d, fmt.Errorf("there is no document of life %d with %s", head.Life, partner)
	}
	d, err = Parse(all[i].Payload)
	return all[i], d, err
}
