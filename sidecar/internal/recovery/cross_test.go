package recovery_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/life"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/recovery"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// crossing is restored where a life began since: what was placed third was read, what was placed fourth was not and is told again, and both end;
// the fifth was placed in the new life. The partner wrote one entry in the life that ended, which the copy does not have.
type crossing struct {
	*restored
	document life.Document
	opening  exchange.Document
	// next opened the life after that, where there is one.
	next   *exchange.Document
	theirs []ledger.Entry
	copied []ledger.Entry
	// give changes what the partner says opened the life, twist its own ended log.
	give  func(*exchange.Document) *exchange.Document
	twist func(*exchange.Recalled)
}

func newCrossing(t *testing.T) *crossing {
	t.Helper()
	return crossingOf(t, newRestored(t))
}

func crossingOf(t *testing.T, r *restored, change ...func(*life.Document)) *crossing {
	t.Helper()
	c := &crossing{restored: r}
	var partnership string
	r.View(func(tx *store.Tx) error {
		p, err := tx.Partners().Get(partner)
		partnership = p.PartnershipID
		return err
	})
	first := ledger.Genesis(partnership)
	theirs, err := ledger.Draft{Kind: ledger.AgreementOffered, Subject: "agr-1", Body: map[string]string{"agreement": "agr-1", "document_sha256": signed.Digest(nil)}}.
		Seal(self, ledger.Position{Seq: 1}, r.Clock.Now(), first)
	if err != nil {
		t.Fatal(err)
	}
	c.theirs = []ledger.Entry{theirs}
	var own []ledger.Entry
	for _, raw := range r.whole.Entries[:4] {
		e, err := ledger.Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		own = append(own, e)
	}
	c.document = life.Document{
		Type: signed.LifeV1, ID: "life-1-1-test", Life: 1, Round: 1, Proposer: partner, Recipient: self, Evidence: signed.Digest(nil),
		ProposerLog:  life.Heads{Own: place(theirs), Read: place(theirs), Common: place(theirs)},
		RecipientLog: life.Heads{Own: place(own[3]), Read: place(own[2]), Common: place(own[2])},
		Subjects: []life.Subject{
			{Subscription: own[2].Subject, Supplier: partner, State: subscription.Aborted, Pays: life.PaysSupplier},
			{Subscription: own[3].Subject, Supplier: partner, State: subscription.Aborted, Pays: life.PaysSupplier},
		},
	}
	for _, fn := range change {
		fn(&c.document)
	}
	var payload []byte
	c.opening, payload = c.sign(c.document)
	// Our log of the new life, as the store that is gone wrote it.
	at, prev := ledger.Position{Life: 1}, ledger.First(partnership, 1, [32]byte(sum(payload)))
	log := func(d ledger.Draft) {
		at.Seq++
		e, err := d.Seal(partner, at, r.Clock.Now(), prev)
		if err != nil {
			t.Fatal(err)
		}
		prev, r.whole.Entries = e.Hash, append(r.whole.Entries, e.Bytes)
	}
	fifth, err := ledger.Decode(r.whole.Entries[4])
	if err != nil {
		t.Fatal(err)
	}
	r.whole.Entries = r.whole.Entries[:3]
	log(ledger.Draft{Kind: ledger.LifeOpened, Subject: c.document.ID, Body: map[string]string{"opening": c.document.ID, "document_sha256": signed.Digest(payload)}})
	log(ledger.Draft{Kind: own[3].Kind, Subject: own[3].Subject, Body: own[3].Body})
	log(ledger.Draft{Kind: fifth.Kind, Subject: fifth.Subject, Body: fifth.Body})
	if r.whole.Checkpoint, err = r.Book.Checkpoint(partner, at, prev); err != nil {
		t.Fatal(err)
	}
	r.Do(func(tx *store.Tx) error {
		raw, err := json.Marshal(ledger.Evidence{At: at})
		if err != nil {
			return err
		}
		return tx.Ledger().PutEvidence(partner, raw)
	})
	r.loop.Link = c
	r.loop.Lives.Retail = r.loop.Retail
	r.loop.CopyEnded = func(_ context.Context, _ string, after ledger.Position, entries []ledger.Entry) error {
		c.copied = append(c.copied, entries...)
		r.Do(func(tx *store.Tx) error {
			_, err := tx.Ledger().Advance(partner, ledger.Theirs, func(at ledger.Position, _ [32]byte) ([]ledger.Entry, error) {
				if at != after {
					t.Errorf("what follows %s is put behind %s", after, at)
				}
				return entries, nil
			})
			return err
		})
		return nil
	}
	return c
}

func place(e ledger.Entry) life.Place {
	return life.Place{Life: e.Life, Seq: e.Seq, Hash: hex.EncodeToString(e.Hash[:])}
}

// again has a life end of which the partner read the first entry alone, and one after it begin, which tells the rest.
func (c *crossing) again() {
	c.t.Helper()
	var partnership string
	c.View(func(tx *store.Tx) error {
		p, err := tx.Partners().Get(partner)
		partnership = p.PartnershipID
		return err
	})
	var ended []ledger.Entry
	for _, raw := range c.whole.Entries[3:] {
		e, err := ledger.Decode(raw)
		if err != nil {
			c.t.Fatal(err)
		}
		ended = append(ended, e)
	}
	first := life.Place{Life: 1, Hash: hex.EncodeToString(ended[0].Prev[:])}
	d := life.Document{
		Type: signed.LifeV1, ID: "life-2-1-test", Life: 2, Round: 1, Proposer: partner, Recipient: self, Evidence: signed.Digest(nil), Subjects: []life.Subject{},
		ProposerLog:  life.Heads{Own: first, Read: first, Common: first},
		RecipientLog: life.Heads{Own: place(ended[2]), Read: place(ended[0]), Common: place(ended[0])},
	}
	next, payload := c.sign(d)
	c.next = &next
	c.whole.Entries = c.whole.Entries[:4]
	at, prev := ledger.Position{Life: 2}, ledger.First(partnership, 2, [32]byte(sum(payload)))
	opened := ledger.Draft{Kind: ledger.LifeOpened, Subject: d.ID, Body: map[string]string{"opening": d.ID, "document_sha256": signed.Digest(payload)}}
	for i, draft := range []ledger.Draft{opened, {Kind: ended[1].Kind, Subject: ended[1].Subject, Body: ended[1].Body}, {Kind: ended[2].Kind, Subject: ended[2].Subject, Body: ended[2].Body}} {
		at.Seq = int64(i) + 1
		e, err := draft.Seal(partner, at, c.Clock.Now(), prev)
		if err != nil {
			c.t.Fatal(err)
		}
		prev, c.whole.Entries = e.Hash, append(c.whole.Entries, e.Bytes)
	}
	var err error
	if c.whole.Checkpoint, err = c.Book.Checkpoint(partner, at, prev); err != nil {
		c.t.Fatal(err)
	}
	c.Do(func(tx *store.Tx) error {
		raw, err := json.Marshal(ledger.Evidence{At: at})
		if err != nil {
			return err
		}
		return tx.Ledger().PutEvidence(partner, raw)
	})
}

func sum(payload []byte) []byte {
	b, err := hex.DecodeString(signed.Digest(payload))
	if err != nil {
		panic(err)
	}
	return b
}

// sign is a document with both signatures.
func (c *crossing) sign(d life.Document) (exchange.Document, []byte) {
	c.t.Helper()
	payload, err := json.Marshal(d)
	if err != nil {
		c.t.Fatal(err)
	}
	return exchange.Document{JWS: c.by(c.restored.Member, payload), Proposal: c.by(c.peer, payload)}, payload
}

func (c *crossing) by(m *markettest.Member, payload []byte) string {
	c.t.Helper()
	jws, err := m.Keys.Sign(keys.Business, signed.Life, payload)
	if err != nil {
		c.t.Fatal(err)
	}
	return jws
}

// Recall is the wire: pages of two, with all documents that may belong to them.
func (c *crossing) Recall(_ context.Context, _ string, after ledger.Position, fn func(exchange.Recalled) error) error {
	c.streams++
	var all []ledger.Entry
	for _, raw := range c.whole.Entries {
		if e, err := ledger.Decode(raw); err != nil {
			return err
		} else if e.Position().Compare(after) > 0 {
			all = append(all, e)
		}
	}
	for i := 0; i == 0 || i < len(all); i += 2 {
		page := exchange.Recalled{Checkpoint: c.whole.Checkpoint, More: i+2 < len(all)}
		if i == 0 && after.Life == 0 {
			opening := c.opening
			page.Opening = &opening
			if c.give != nil {
				page.Opening = c.give(&opening)
			}
		}
		if i == 0 && after.Life == 1 {
			page.Opening = c.next
		}
		for _, e := range all[i:min(i+2, len(all))] {
			page.Entries = append(page.Entries, e.Bytes)
			for _, d := range c.whole.Documents {
				if payload, err := signed.Payload(d.JWS); err == nil && bytes.Contains(e.Body, []byte(signed.Digest(payload))) {
					page.Documents = append(page.Documents, d)
				}
			}
		}
		if c.lie != nil {
			c.lie(c.streams, &page)
		}
		if err := fn(page); err != nil {
			return err
		}
	}
	return nil
}

// Ended is the partner's own log of the life that ended.
func (c *crossing) Ended(_ context.Context, _ string, after ledger.Position, fn func(exchange.Recalled) error) error {
	var page exchange.Recalled
	for _, e := range c.theirs {
		if e.Position().Compare(after) > 0 {
			page.Entries = append(page.Entries, e.Bytes)
		}
	}
	if c.twist != nil {
		c.twist(&page)
	}
	return fn(page)
}

// at is where our log ends, and the states of the books.
func (c *crossing) at() (books ledger.BooksState, own ledger.Position) {
	c.t.Helper()
	c.View(func(tx *store.Tx) error {
		head, err := tx.Ledger().Head(partner, ledger.Own)
		if err != nil {
			return err
		}
		own = head.Position()
		books, err = tx.Ledger().Standing(partner)
		return err
	})
	return books, own
}

// comesOver goes on until the books are proved, and looks at what came.
func (c *crossing) comesOver() {
	c.t.Helper()
	if done, err := c.loop.Once(c.t.Context(), partner); err != nil || !done {
		c.t.Fatalf("done %v, %v\n%s", done, err, c.logged.String())
	}
	if books, own := c.at(); books != ledger.Unproven || own != (ledger.Position{Life: 1, Seq: 3}) {
		c.t.Errorf("the books are %s, our log ends at %s", books, own)
	}
	for id, want := range map[string]order.State{"order-0003": order.Failed, "order-0004": order.Failed, "order-0005": order.Acknowledged} {
		if o, err := c.order(id); err != nil || o.State() != want {
			c.t.Errorf("order %s is %q, not %q: %v", id, o.State(), want, err)
		}
	}
	if got := c.jobs(); !slices.Equal(got, []string{"order.submit"}) {
		c.t.Errorf("the jobs are %q", got)
	}
	if len(c.copied) != len(c.theirs) {
		c.t.Errorf("%d entries of its ended log are copied", len(c.copied))
	}
	c.View(func(tx *store.Tx) error {
		all, err := tx.Lives().List(partner)
		if err != nil || len(all) != 1 || all[0].State != life.Opened || all[0].Ours || all[0].JWS != c.opening.Proposal || all[0].Countersigned != c.opening.JWS {
			c.t.Errorf("what opened the life is kept as %+v, %v", all, err)
		}
		return err
	})
	reports, err := c.Book.VerifyPartner(c.t.Context(), partner, c.peer.Pinned())
	if err != nil || len(reports[0].Problems) > 0 {
		c.t.Errorf("our log verifies: %+v, %v", reports, err)
	}
}

// TestOurLogComesBackOverTheBeginningOfALife with the ends that both agreed on, of what was read and of what is told again.
func TestOurLogComesBackOverTheBeginningOfALife(t *testing.T) {
	t.Parallel()
	newCrossing(t).comesOver()
}

// TestNoLifeIsTakenThatDidNotBeginSo: whatever the partner says opened it, or gives back of either log, nothing is taken of it.
func TestNoLifeIsTakenThatDidNotBeginSo(t *testing.T) {
	t.Parallel()
	opens := func(change func(c *crossing, d *life.Document)) func(c *crossing) {
		return func(c *crossing) {
			d := c.document
			d.Subjects = slices.Clone(d.Subjects)
			change(c, &d)
			other, _ := c.sign(d)
			c.give = func(*exchange.Document) *exchange.Document { return &other }
		}
	}
	const broken = "recall_broken"
	for name, test := range map[string]struct {
		lie  func(c *crossing)
		want string
	}{
		"nothing opens it": {func(c *crossing) { c.give = func(*exchange.Document) *exchange.Document { return nil } }, "recall_life"},
		"we did not sign it": {func(c *crossing) {
			c.give = func(d *exchange.Document) *exchange.Document { d.JWS = d.Proposal; return d }
		}, broken},
		"the partner did not sign it": {func(c *crossing) {
			c.give = func(d *exchange.Document) *exchange.Document { d.Proposal = d.JWS; return d }
		}, broken},
		"we signed something else": {func(c *crossing) {
			d := c.document
			d.Round = 2
			other, _ := c.sign(d)
			c.give = func(d *exchange.Document) *exchange.Document { d.JWS = other.JWS; return d }
		}, broken},
		"it is no document": {func(c *crossing) {
			c.give = func(*exchange.Document) *exchange.Document { return &exchange.Document{JWS: "x.y.z", Proposal: "x"} }
		}, broken},
		"it is another that both signed": {opens(func(_ *crossing, d *life.Document) { d.Round = 2 }), broken},
		"it ends nothing":                {opens(func(_ *crossing, d *life.Document) { d.Subjects = []life.Subject{} }), broken},
		"it ends something else":         {opens(func(_ *crossing, d *life.Document) { d.Subjects[0].State = subscription.Terminated }), broken},
		"it says that less was alike":    {opens(func(_ *crossing, d *life.Document) { d.RecipientLog.Common = d.ProposerLog.Common }), broken},
		"it is of another pair":          {opens(func(_ *crossing, d *life.Document) { d.Proposer = "https://other.localhost:3" }), broken},
		"a life is skipped": {opens(func(_ *crossing, d *life.Document) {
			d.Life = 2
			for _, p := range []*life.Place{&d.ProposerLog.Own, &d.ProposerLog.Common, &d.RecipientLog.Own, &d.RecipientLog.Common} {
				p.Life = 1
			}
		}), broken},
		"an older life is given for the present one": {func(c *crossing) {
			e, err := ledger.Decode(c.whole.Entries[2])
			if err != nil {
				c.t.Fatal(err)
			}
			if c.whole.Checkpoint, err = c.Book.Checkpoint(partner, e.Position(), e.Hash); err != nil {
				c.t.Fatal(err)
			}
			c.whole.Entries = c.whole.Entries[:3]
		}, "recall_short"},
		"its beginning is left out":  {func(c *crossing) { c.whole.Entries = slices.Delete(c.whole.Entries, 3, 4) }, broken},
		"an entry of it is left out": {func(c *crossing) { c.whole.Entries = slices.Delete(c.whole.Entries, 4, 5) }, broken},
		"an entry of it is another": {func(c *crossing) {
			last := c.whole.Entries[5]
			c.lie = func(_ int, page *exchange.Recalled) {
				for i, raw := range page.Entries {
					if bytes.Equal(raw, last) {
						page.Entries[i] = bytes.Replace(raw, []byte("agr-1"), []byte("agr-2"), 1)
					}
				}
			}
		}, broken},
		"less of it is given back":               {func(c *crossing) { c.whole.Entries = c.whole.Entries[:5] }, broken},
		"an entry of the ended life is left out": {func(c *crossing) { c.whole.Entries = slices.Delete(c.whole.Entries, 2, 3) }, broken},
		"its own ended log is withheld": {func(c *crossing) {
			c.twist = func(page *exchange.Recalled) { page.Entries = nil }
		}, broken},
		"its own ended log is another": {func(c *crossing) {
			c.twist = func(page *exchange.Recalled) {
				page.Entries[0] = bytes.Replace(page.Entries[0], []byte("agr-1"), []byte("agr-2"), 1)
			}
		}, broken},
		"our own log is given for its own": {func(c *crossing) {
			c.twist = func(page *exchange.Recalled) { page.Entries = slices.Clone(c.whole.Entries[:1]) }
		}, broken},
		"our key had long been given up": {func(c *crossing) {
			c.loop.Lives.Signer = retired{c.Keys, c.Clock.Now().Add(-member.Grace - time.Hour)}
		}, broken},
		"its key had long been given up": {func(c *crossing) {
			c.Do(func(tx *store.Tx) error {
				p, err := tx.Partners().Get(partner)
				if err != nil {
					return err
				}
				kid, err := keys.KID(c.opening.Proposal)
				if err != nil {
					return err
				}
				p.Past = []member.PastKey{{Key: p.BusinessKey, Thumbprint: kid, Until: c.Clock.Now().Add(-member.Grace - time.Hour)}}
				_, err = tx.Partners().Put(p)
				return err
			})
		}, broken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCrossing(t)
			whole := c.whole
			whole.Entries = slices.Clone(whole.Entries)
			test.lie(c)
			if done, err := c.loop.Once(t.Context(), partner); done || fault.ReasonOf(err) != test.want {
				t.Errorf("done %v, %v", done, err)
			}
			books, own := c.at()
			if books != ledger.Behind || own.Life != 0 || own.Seq > 3 {
				t.Errorf("the books are %s, our log ends at %s", books, own)
			}
			c.View(func(tx *store.Tx) error {
				if all, err := tx.Lives().List(partner); err != nil || len(all) > 0 {
					t.Errorf("there are lives %+v, %v", all, err)
				}
				return nil
			})
			if name == "our key had long been given up" || name == "its key had long been given up" {
				return
			}
			c.whole, c.give, c.twist, c.lie = whole, nil, nil, nil
			c.comesOver()
		})
	}
}

// retired are keys of which the one that signed was given up.
type retired struct {
	*keys.Manager
	until time.Time
}

func (r retired) Standing() keys.Standing {
	s := r.Manager.Standing()
	return keys.Standing{Current: "another", Past: []keys.Signed{{KID: s.Current, Until: r.until}}}
}

// TestACopyOfALedgerThatWasGivenUpIsNotTaken: what it has beyond what both had alike is not told again in the new life.
func TestACopyOfALedgerThatWasGivenUpIsNotTaken(t *testing.T) {
	t.Parallel()
	c := newCrossing(t)
	c.Do(func(tx *store.Tx) error {
		_, err := tx.Ledger().Advance(partner, ledger.Own, func(at ledger.Position, prev [32]byte) ([]ledger.Entry, error) {
			third, err := ledger.Decode(c.whole.Entries[2])
			if err != nil {
				return nil, err
			}
			_, body := purchase("order-0009")
			other, err := ledger.Draft{Kind: ledger.OrderPlaced, Subject: body.Subscription, Body: body}.
				Seal(partner, ledger.Position{Seq: 4}, c.Clock.Now(), third.Hash)
			return []ledger.Entry{third, other}, err
		})
		return err
	})
	if done, err := c.loop.Once(t.Context(), partner); done || fault.ReasonOf(err) != "recall_other_copy" {
		t.Errorf("done %v, %v", done, err)
	}
	if books, own := c.at(); books != ledger.Behind || own != (ledger.Position{Seq: 4}) {
		t.Errorf("the books are %s, our log ends at %s", books, own)
	}
}

// has puts an order of its own behind the end of a log of the copy.
func (c *crossing) has(dir ledger.Direction, id string, seq int64) {
	c.t.Helper()
	c.Do(func(tx *store.Tx) error {
		_, err := tx.Ledger().Advance(partner, dir, func(_ ledger.Position, prev [32]byte) ([]ledger.Entry, error) {
			_, body := purchase(id)
			to := partner
			if dir == ledger.Theirs {
				to = self
			}
			e, err := ledger.Draft{Kind: ledger.OrderPlaced, Subject: body.Subscription, Body: body}.Seal(to, ledger.Position{Seq: seq}, c.Clock.Now(), prev)
			return []ledger.Entry{e}, err
		})
		return err
	})
}

// TestACopyOfALedgerThatWasGivenUpBeforeWhatBothHadAlikeIsNotTaken: the partner withholds nothing of it, and nothing is taken over the beginning
// of the life.
func TestACopyOfALedgerThatWasGivenUpBeforeWhatBothHadAlikeIsNotTaken(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		copy func(t *testing.T) *crossing
		own  int64
	}{
		"another entry of ours where both had it alike": {func(t *testing.T) *crossing {
			c := newCrossing(t)
			c.has(ledger.Own, "order-0009", 3)
			return c
		}, 3},
		"another entry of ours before that": {func(t *testing.T) *crossing {
			r := newRestored(t)
			var prev [32]byte
			for i, raw := range r.whole.Entries {
				e, err := ledger.Decode(raw)
				if i == 1 {
					_, body := purchase("order-0009")
					if e.Body, err = json.Marshal(body); err != nil {
						t.Fatal(err)
					}
				}
				if i > 0 {
					e, err = ledger.Draft{Kind: e.Kind, Subject: e.Subject, Body: e.Body}.Seal(partner, e.Position(), e.At, prev)
				}
				if err != nil {
					t.Fatal(err)
				}
				prev, r.whole.Entries[i] = e.Hash, e.Bytes
			}
			return crossingOf(t, r)
		}, 2},
		"another entry of the partner's": {func(t *testing.T) *crossing {
			c := newCrossing(t)
			c.has(ledger.Theirs, "order-0009", 1)
			return c
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := test.copy(t)
			if done, err := c.loop.Once(t.Context(), partner); done || fault.ReasonOf(err) != "recall_other_copy" {
				t.Errorf("done %v, %v", done, err)
			}
			if books, own := c.at(); books != ledger.Behind || own != (ledger.Position{Seq: test.own}) || len(c.copied) > 0 {
				t.Errorf("the books are %s, our log ends at %s, %d entries are copied", books, own, len(c.copied))
			}
			c.View(func(tx *store.Tx) error {
				books, err := tx.Ledger().Books(partner)
				if !books.Withheld.Since.IsZero() {
					t.Error("the partner is said to withhold our log")
				}
				return err
			})
		})
	}
}

// until has the copy be from after an entry that the new life tells again: it has the order that it placed, with its document.
func (c *crossing) until(id string) {
	c.t.Helper()
	third, err := ledger.Decode(c.whole.Entries[2])
	if err != nil {
		c.t.Fatal(err)
	}
	c.Do(func(tx *store.Tx) error {
		_, err := tx.Ledger().Advance(partner, ledger.Own, func(ledger.Position, [32]byte) ([]ledger.Entry, error) { return []ledger.Entry{third}, nil })
		return err
	})
	c.has(ledger.Own, id, 4)
	c.Do(func(tx *store.Tx) error {
		e, err := tx.Ledger().Entry(partner, ledger.Own, ledger.Position{Seq: 4})
		if err != nil {
			return err
		}
		from, err := tx.Partners().Get(partner)
		if err != nil {
			return err
		}
		for _, d := range c.whole.Documents {
			if payload, err := signed.Payload(d.JWS); err == nil && bytes.Contains(e.Body, []byte(signed.Digest(payload))) {
				return c.loop.Remake(c.t.Context(), tx, from, e, d)
			}
		}
		return nil
	})
}

// TestWhatIsToldAgainIsKnownToTheCopy: one from after what the partner had not read has it once, also after a second life that tells it again,
// and nothing of it is lost, though the partner decided nothing of it and gives no document back.
func TestWhatIsToldAgainIsKnownToTheCopy(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(d *life.Document)
		state  order.State
		jobs   int
		lives  int64
	}{
		"it ends":                   {func(*life.Document) {}, order.Failed, 1, 1},
		"it goes on":                {func(d *life.Document) { d.Subjects = d.Subjects[:1] }, order.Acknowledged, 2, 1},
		"a second life tells it":    {func(d *life.Document) { d.Subjects = d.Subjects[:1] }, order.Acknowledged, 2, 2},
		"it ends before the second": {func(*life.Document) {}, order.Failed, 1, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := crossingOf(t, newRestored(t), test.change)
			if test.lives == 2 {
				c.again()
			}
			c.until("order-0004")
			c.whole.Documents = slices.Delete(c.whole.Documents, 3, 4)
			if done, err := c.loop.Once(t.Context(), partner); err != nil || !done {
				t.Fatalf("done %v, %v", done, err)
			}
			if books, own := c.at(); books != ledger.Unproven || own != (ledger.Position{Life: test.lives, Seq: 3}) {
				t.Errorf("the books are %s, our log ends at %s", books, own)
			}
			if o, err := c.order("order-0004"); err != nil || o.State() != test.state {
				t.Errorf("order 4 is %q, %v", o.State(), err)
			}
			if got := c.jobs(); len(got) != test.jobs || slices.Contains(got, recovery.JobLost) {
				t.Errorf("the jobs are %q", got)
			}
			if logged := c.logged.String(); strings.Contains(logged, "nobody gave back") {
				t.Errorf("it is logged: %s", logged)
			}
			reports, err := c.Book.VerifyPartner(t.Context(), partner, c.peer.Pinned())
			if err != nil || len(reports[0].Problems) > 0 {
				t.Errorf("our log verifies: %+v, %v", reports, err)
			}
		})
	}
}

// TestTheProofOfAForkIsKeptWithTheLifeThatEndedIt, and with none after it.
func TestTheProofOfAForkIsKeptWithTheLifeThatEndedIt(t *testing.T) {
	t.Parallel()
	c := newCrossing(t)
	c.again()
	c.Do(func(tx *store.Tx) error {
		raw, err := json.Marshal(ledger.Evidence{At: ledger.Position{Life: 2, Seq: 3}, Other: &ledger.Evidence{At: ledger.Position{Seq: 2}, Seen: "the fork"}})
		if err != nil {
			return err
		}
		return tx.Ledger().PutEvidence(partner, raw)
	})
	if done, err := c.loop.Once(t.Context(), partner); err != nil || !done {
		t.Fatalf("done %v, %v", done, err)
	}
	c.View(func(tx *store.Tx) error {
		all, err := tx.Lives().List(partner)
		if err != nil || len(all) != 2 || len(all[0].Evidence) > 0 || !strings.Contains(string(all[1].Evidence), "the fork") {
			t.Errorf("the lives are %+v, %v", all, err)
		}
		return nil
	})
}

// TestWhatTheCopyHasIsToldByALaterLife, where the one after it ended before all of that was read: or it is of a log that was given up.
func TestWhatTheCopyHasIsToldByALaterLife(t *testing.T) {
	t.Parallel()
	c := newCrossing(t)
	c.again()
	c.until("order-0009")
	if done, err := c.loop.Once(t.Context(), partner); done || fault.ReasonOf(err) != "recall_other_copy" {
		t.Errorf("done %v, %v", done, err)
	}
	if books, own := c.at(); books != ledger.Behind || own != (ledger.Position{Seq: 4}) {
		t.Errorf("the books are %s, our log ends at %s", books, own)
	}
}

// TestWhatTheCopyDecidedIsFoundWhereItIsToldAgain: an order that it had held and completed is not held once more, and what was decided about it is
// decided there.
func TestWhatTheCopyDecidedIsFoundWhereItIsToldAgain(t *testing.T) {
	t.Parallel()
	const id = "order-0009"
	r := newRestored(t)
	third, err := ledger.Decode(r.whole.Entries[2])
	if err != nil {
		t.Fatal(err)
	}
	var decided []ledger.Entry
	r.whole.Entries, r.whole.Documents = r.whole.Entries[:3], r.whole.Documents[:3]
	prev := third.Hash
	for i, kind := range []ledger.Kind{ledger.OrderHeld, ledger.OrderCompleted} {
		body := order.Body{Order: id, Subscription: order.SubscriptionID(id), Action: order.Add}
		if kind == ledger.OrderHeld {
			body.Reason = "adapter_indeterminate"
		}
		e, err := ledger.Draft{Kind: kind, Subject: order.SubscriptionID(id), Body: body}.Seal(partner, ledger.Position{Seq: int64(i) + 4}, r.Clock.Now(), prev)
		if err != nil {
			t.Fatal(err)
		}
		prev, r.whole.Entries, decided = e.Hash, append(r.whole.Entries, e.Bytes), append(decided, e)
	}
	c := crossingOf(t, r, func(d *life.Document) { d.Subjects = d.Subjects[:1] })
	c.loop.Resale = &resale.Service{Self: self, Work: store.For[resale.Tx](c.Store), Now: c.Clock.Now, Book: c.Book}
	key := exchange.Key{Type: signed.Order, ID: id}
	c.Do(func(tx *store.Tx) error {
		_, err := tx.Ledger().Advance(partner, ledger.Own, func(ledger.Position, [32]byte) ([]ledger.Entry, error) {
			return append([]ledger.Entry{third}, decided...), nil
		})
		if err != nil {
			return err
		}
		item := order.Item{SubscriptionID: order.SubscriptionID(id), State: order.Completed}
		if _, err := tx.ResaleOrders().Put(resale.Order{Partner: partner, ID: id, Item: item}); err != nil {
			return err
		}
		return tx.Decisions().PutDecisions([]exchange.Decision{{Partner: partner, Key: key, Digest: sum(nil), At: decided[0].Position()}})
	})
	if done, err := c.loop.Once(t.Context(), partner); err != nil || !done {
		t.Fatalf("done %v, %v", done, err)
	}
	if logged := c.logged.String(); strings.Contains(logged, "nobody gave back") || slices.Contains(c.jobs(), recovery.JobLost) {
		t.Errorf("the jobs are %q, it is logged: %s", c.jobs(), logged)
	}
	c.View(func(tx *store.Tx) error {
		o, err := tx.ResaleOrders().Get(partner, id)
		if err != nil || o.State != order.Completed {
			t.Errorf("the order is %q, %v", o.State, err)
		}
		known, err := tx.Decisions().Decisions(partner, []exchange.Key{key})
		if at := known[key].At; err != nil || at != (ledger.Position{Life: 1, Seq: 2}) {
			t.Errorf("it is decided at %s, %v", at, err)
		}
		return err
	})
}
