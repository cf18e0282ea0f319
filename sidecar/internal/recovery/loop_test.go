package recovery_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/life"
	"github.com/hanse-market/hanse/sidecar/internal/listing"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/recovery"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

const (
	self    = "https://reseller.localhost:1"
	partner = "https://supplier.localhost:2"
)

// restored is a reseller of which an old copy was put back: it signed five entries, and the copy has two.
type restored struct {
	*markettest.Member
	t     *testing.T
	loop  *recovery.Loop
	peer  *markettest.Member
	whole exchange.Recalled
	// lie changes what the partner gives back; the stream is counted from 1.
	lie     func(stream int, page *exchange.Recalled)
	streams int
	logged  bytes.Buffer
	retried []string
}

// noOffers sells nothing any more.
type noOffers struct{}

func (noOffers) Offer(context.Context, string) (listing.Offer, error) {
	return listing.Offer{}, fault.New(fault.NotFound, "listing_not_found", "there is none")
}

// purchase is a document of an order, and the body of the entry that places it.
func purchase(id string) (payload []byte, body order.Body) {
	d := order.Document{
		Type: signed.OrderV1, Issuer: self, Audience: partner, ID: id, PlacedAt: "2026-11-21T12:00:00Z", AcceptBy: "2026-11-22T12:00:00Z",
		Action: order.Add, Intent: order.Purchase, Agreement: "agr-1", AgreementSHA256: signed.Digest(nil), Subscription: order.SubscriptionID(id),
		Customer: "cus-1", Offering: "db", Revision: 1, OfferingSHA256: signed.Digest(nil), Quantity: 1, InputsSHA256: order.InputsDigest([]byte("sixteen bytes of it"), []byte("{}")),
		Currency: "EUR",
	}
	payload, err := json.Marshal(d)
	if err != nil {
		panic(err)
	}
	return payload, order.Body{
		Order: id, DocumentSHA256: signed.Digest(payload), Agreement: "agr-1", Subscription: d.Subscription, Action: d.Action, Intent: d.Intent,
	}
}

func newRestored(t *testing.T) *restored {
	t.Helper()
	now := markettest.NewMember(t, self)
	r := &restored{t: t, peer: markettest.Open(t, partner, markettest.Config{Clock: now.Clock})}
	now.Meet(r.peer)
	var docs []exchange.Document
	place := func(id string) {
		payload, body := purchase(id)
		jws, err := now.Keys.Sign(keys.Business, signed.Order, payload)
		if err != nil {
			t.Fatal(err)
		}
		now.Do(func(tx *store.Tx) error {
			_, err := now.Book.Append(tx, partner, ledger.OrderPlaced, body.Subscription, body)
			return err
		})
		d := exchange.Document{JWS: jws}
		d.Inputs, d.InputsSalt = []byte("{}"), []byte("sixteen bytes of it")
		docs = append(docs, d)
	}
	place("order-0001")
	place("order-0002")
	copied := t.TempDir() + "/copy.db"
	for _, suffix := range []string{"", "-wal"} {
		raw, err := os.ReadFile(now.Path + suffix)
		if err == nil {
			err = os.WriteFile(copied+suffix, raw, 0o600)
		}
		if err != nil && !(suffix != "" && errors.Is(err, os.ErrNotExist)) {
			t.Fatal(err)
		}
	}
	place("order-0003")
	place("order-0004")
	place("order-0005")
	page, err := now.Book.Tail(t.Context(), partner, ledger.Position{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	r.whole = exchange.Recalled{Entries: page.Entries, Checkpoint: page.Checkpoint, Documents: docs}
	r.Member = markettest.Open(t, self, markettest.Config{Path: copied, Clock: now.Clock})
	r.Do(func(tx *store.Tx) error {
		books, err := tx.Ledger().Books(partner)
		if err != nil {
			return err
		}
		books.State, books.Reason = ledger.Behind, "ledger_recovering"
		_, err = tx.Ledger().PutBooks(books)
		return err
	})
	r.loop = &recovery.Loop{
		Self: self, Work: store.For[recovery.Tx](r.Store), Book: r.Book, Link: r, Now: r.Clock.Now, Rand: func() float64 { return 0.5 },
		Logger: slog.New(slog.NewTextHandler(&r.logged, nil)),
		Copied: func(context.Context, member.Partner) error { return nil },
		Retry:  func(_ context.Context, _, subject string) error { r.retried = append(r.retried, subject); return nil },
		Lives:  &life.Service{Self: self, Work: store.For[life.Tx](r.Store), Book: r.Book, Signer: r.Keys, Now: r.Clock.Now},
		Retail: &retail.Service{Self: self, Work: store.For[retail.Tx](r.Store), Offers: noOffers{}, Book: r.Book, Signer: r.Keys, Now: r.Clock.Now},
	}
	return r
}

// Recall is the wire: pages of two.
func (r *restored) Recall(_ context.Context, _ string, after ledger.Position, fn func(exchange.Recalled) error) error {
	r.streams++
	all := r.whole.Entries[min(after.Seq, int64(len(r.whole.Entries))):]
	for i := 0; i == 0 || i < len(all); i += 2 {
		end := min(i+2, len(all))
		from := int(after.Seq) + i
		page := exchange.Recalled{
			Entries: slices.Clone(all[i:end]), Checkpoint: r.whole.Checkpoint, Documents: slices.Clone(r.whole.Documents[from : from+end-i]), More: end < len(all),
		}
		if r.lie != nil {
			r.lie(r.streams, &page)
		}
		if err := fn(page); err != nil {
			return err
		}
	}
	return nil
}

// Ended is a partner whose log never ended.
func (r *restored) Ended(context.Context, string, ledger.Position, func(exchange.Recalled) error) error {
	return nil
}

// endless is a partner that sends pages without entries for ever.
type endless struct {
	*restored
	pages int
}

func (e *endless) Recall(_ context.Context, _ string, _ ledger.Position, fn func(exchange.Recalled) error) error {
	for e.pages = 1; e.pages < 1000; e.pages++ {
		if err := fn(exchange.Recalled{Checkpoint: e.whole.Checkpoint}); err != nil {
			return err
		}
	}
	return nil
}

// TestPagesThatBringNothingEnd: one is a partner's last word, and it is asked again after a pause.
func TestPagesThatBringNothingEnd(t *testing.T) {
	t.Parallel()
	r := newRestored(t)
	e := &endless{restored: r}
	r.loop.Link = e
	if done, err := r.loop.Once(t.Context(), partner); err == nil || done || e.pages > 2 {
		t.Errorf("after %d pages it is done %v, %v", e.pages, done, err)
	}
}

func (r *restored) stands() (books ledger.BooksState, own int64) {
	r.t.Helper()
	r.View(func(tx *store.Tx) error {
		head, err := tx.Ledger().Head(partner, ledger.Own)
		if err != nil {
			return err
		}
		own = head.Seq
		books, err = tx.Ledger().Standing(partner)
		return err
	})
	return books, own
}

func (r *restored) jobs() (kinds []string) {
	r.t.Helper()
	r.View(func(tx *store.Tx) error {
		all, err := tx.Jobs().List(100)
		for _, j := range all {
			kinds = append(kinds, j.Kind)
		}
		return err
	})
	slices.Sort(kinds)
	return kinds
}

func (r *restored) order(id string) (o retail.Order, err error) {
	r.t.Helper()
	r.View(func(tx *store.Tx) error {
		o, _, err = tx.RetailOrders().ByCorrelation(id)
		return nil
	})
	return o, err
}

func TestOurLogAndWhatItMadeComeBack(t *testing.T) {
	t.Parallel()
	r := newRestored(t)
	if done, err := r.loop.Once(t.Context(), partner); err != nil || !done {
		t.Fatalf("done %v, %v", done, err)
	}
	if books, own := r.stands(); books != ledger.Unproven || own != 5 {
		t.Errorf("the books are %s, our log has %d entries", books, own)
	}
	for i := 3; i <= 5; i++ {
		id := fmt.Sprintf("order-000%d", i)
		o, err := r.order(id)
		if err != nil || o.State() != order.Acknowledged || o.Items[0].Document != r.whole.Documents[i-1].JWS || !o.Recovered() {
			t.Errorf("order %s is %+v, %v", id, o, err)
		}
	}
	if got := r.jobs(); !slices.Equal(got, []string{retail.JobSubmit, retail.JobSubmit, retail.JobSubmit}) {
		t.Errorf("the jobs are %q", got)
	}
	reports, err := r.Book.VerifyPartner(t.Context(), partner, r.peer.Pinned())
	if err != nil || len(reports[0].Problems) > 0 {
		t.Errorf("our log verifies: %+v, %v", reports, err)
	}
}

// TestARunThatEndedIsGoneOnWith wherever it ended: our log's head says how far it had come.
func TestARunThatEndedIsGoneOnWith(t *testing.T) {
	t.Parallel()
	for _, after := range []int64{3, 4, 5} {
		r := newRestored(t)
		r.evidence(5)
		r.Do(func(tx *store.Tx) error {
			_, err := tx.Ledger().Advance(partner, ledger.Own, func(ledger.Position, [32]byte) (all []ledger.Entry, err error) {
				for _, raw := range r.whole.Entries[2:after] {
					e, err := ledger.Decode(raw)
					if err != nil {
						return nil, err
					}
					all = append(all, e)
				}
				return all, nil
			})
			if err != nil {
				return err
			}
			return tx.Ledger().Park(ledger.Parked{Partner: partner, Subject: "sub-order-0003", Seq: 1})
		})
		before := false // anything more is read back
		retry := r.loop.Retry
		r.loop.Retry = func(ctx context.Context, from, subject string) error {
			before = before || r.streams == 0 && subject == "sub-order-0003"
			return retry(ctx, from, subject)
		}
		if done, err := r.loop.Once(t.Context(), partner); err != nil || !done {
			t.Fatalf("after %d: done %v, %v", after, done, err)
		}
		if books, own := r.stands(); books != ledger.Unproven || own != 5 {
			t.Errorf("after %d the books are %s, our log has %d entries", after, books, own)
		}
		if !before {
			t.Errorf("after %d nothing is applied that the partner said of what was taken last", after)
		}
	}
}

// TestAPartnerThatHoldsAnotherLogOfOursIsTold with every try, for no try will end that: operators do.
func TestAPartnerThatHoldsAnotherLogOfOursIsTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		signs bool // another entry after the copy, as a store does that goes on by itself
		told  int
	}{
		"this store went on by itself": {true, 2},
		"this store is an old copy":    {false, 0},
	} {
		r := newRestored(t)
		r.evidence(5)
		if c.signs {
			r.Do(func(tx *store.Tx) error {
				_, body := purchase("order-0033")
				_, err := tx.Ledger().Advance(partner, ledger.Own, func(head ledger.Position, prev [32]byte) ([]ledger.Entry, error) {
					e, err := ledger.Draft{Kind: ledger.OrderPlaced, Subject: body.Subscription, Body: body}.Seal(partner, ledger.Position{Life: head.Life, Seq: head.Seq + 1}, r.Clock.Now(), prev)
					return []ledger.Entry{e}, err
				})
				return err
			})
		}
		told := 0
		r.loop.Parted = func(of string) {
			if told++; of != partner {
				t.Errorf("%s: told of %s", name, of)
			}
		}
		for range 2 {
			if _, err := r.loop.Once(t.Context(), partner); c.signs && fault.ReasonOf(err) != "recall_parted" {
				t.Errorf("%s: %v", name, err)
			}
		}
		if told != c.told {
			t.Errorf("%s: it is told %d times, not %d", name, told, c.told)
		}
	}
}

// TestWhatOurLogDoesNotTellOfIsAppliedToo: while our agreement was not back, what the partner placed under it was parked, and our log has nothing
// about it yet.
func TestWhatOurLogDoesNotTellOfIsAppliedToo(t *testing.T) {
	t.Parallel()
	r := newRestored(t)
	r.Do(func(tx *store.Tx) error {
		for seq, subject := range []string{"sub-order-0008", "sub-order-0009", "sub-order-0009"} {
			if err := tx.Ledger().Park(ledger.Parked{Partner: partner, Subject: subject, Seq: int64(seq + 1), Behind: seq == 2}); err != nil {
				return err
			}
		}
		return tx.Ledger().Park(ledger.Parked{Partner: "https://another.localhost:3", Subject: "sub-order-0007", Seq: 1})
	})
	retry := r.loop.Retry
	r.loop.Retry = func(ctx context.Context, from, subject string) error {
		if _, own := r.stands(); own != 5 {
			t.Errorf("%s is applied when %d entries of our log are back", subject, own)
		}
		return retry(ctx, from, subject)
	}
	if done, err := r.loop.Once(t.Context(), partner); err != nil || !done {
		t.Fatalf("done %v, %v", done, err)
	}
	if want := []string{"sub-order-0008", "sub-order-0009"}; !slices.Equal(r.retried, want) {
		t.Errorf("what is applied is %q, not %q", r.retried, want)
	}
}

// TestBooksStayBehindBeforeWhatThePartnerHasShown: who signed on from an earlier place would sign two logs.
func TestBooksStayBehindBeforeWhatThePartnerHasShown(t *testing.T) {
	t.Parallel()
	r := newRestored(t)
	r.evidence(5)
	e, err := ledger.Decode(r.whole.Entries[3])
	if err != nil {
		t.Fatal(err)
	}
	whole, early := r.whole, r.whole
	early.Entries, early.Documents = whole.Entries[:4], whole.Documents[:4]
	if early.Checkpoint, err = r.Book.Checkpoint(partner, e.Position(), e.Hash); err != nil {
		t.Fatal(err)
	}
	r.whole = early
	for range 2 {
		if done, err := r.loop.Once(t.Context(), partner); done || fault.ReasonOf(err) != "recall_short" {
			t.Errorf("done %v, %v", done, err)
		}
		if books, own := r.stands(); books != ledger.Behind || own != 4 {
			t.Errorf("the books are %s, our log has %d entries", books, own)
		}
	}
	r.whole = whole
	if done, err := r.loop.Once(t.Context(), partner); err != nil || !done {
		t.Errorf("then: done %v, %v", done, err)
	}
}

// TestNothingIsReadBackOverTheBeginningOfALife: what both agreed on then no entry says.
func TestNothingIsReadBackOverTheBeginningOfALife(t *testing.T) {
	t.Parallel()
	r := newRestored(t)
	before := r.whole
	var err error
	if r.whole.Checkpoint, err = r.Book.Checkpoint(partner, ledger.Position{Life: 1, Seq: 2}, [32]byte{1}); err != nil {
		t.Fatal(err)
	}
	if done, err := r.loop.Once(t.Context(), partner); done || fault.ReasonOf(err) != "recall_life" {
		t.Errorf("done %v, %v", done, err)
	}
	if books, own := r.stands(); books != ledger.Behind || own != 2 {
		t.Errorf("the books are %s, our log has %d entries", books, own)
	}
	r.whole = before
	if done, err := r.loop.Once(t.Context(), partner); err != nil || !done {
		t.Errorf("in the present life: done %v, %v", done, err)
	}
}

// TestWhoDoesNotGiveBackWhatItHasShownForksTheBooks after three days in which it answered, and undoes that when it does.
func TestWhoDoesNotGiveBackWhatItHasShownForksTheBooks(t *testing.T) {
	t.Parallel()
	r := newRestored(t)
	r.evidence(5)
	told := 0
	r.loop.Withheld = func(string) { told++ }
	r.lie = func(_ int, page *exchange.Recalled) { page.Entries, page.Documents, page.More = nil, nil, false }
	for hours := 0.0; hours < 73; hours += 0.5 {
		if _, err := r.loop.Once(t.Context(), partner); err == nil {
			t.Fatal("it is taken for all")
		}
		if books, _ := r.stands(); (books == ledger.Forked) != (hours >= 72) || (told == 1) != (hours >= 72) {
			t.Fatalf("after %v hours the books are %s, told %d times", hours, books, told)
		}
		r.Clock.Pass(30 * time.Minute)
	}
	r.lie = nil
	if done, err := r.loop.Once(t.Context(), partner); err != nil || !done {
		t.Errorf("then: done %v, %v", done, err)
	}
	r.View(func(tx *store.Tx) error {
		books, err := tx.Ledger().Books(partner)
		if books.State != ledger.Unproven || books.Reason != recovery.ReasonReadBack || books.Doubted {
			t.Errorf("then the books are %+v", books)
		}
		return err
	})
}

// evidence keeps what the partner has shown: our signature at a place.
func (r *restored) evidence(seq int64) {
	r.t.Helper()
	raw, err := json.Marshal(ledger.Evidence{At: ledger.Position{Seq: seq}})
	if err != nil {
		r.t.Fatal(err)
	}
	r.Do(func(tx *store.Tx) error { return tx.Ledger().PutEvidence(partner, raw) })
}

// TestWhatAPartnerInventsIsNotTaken: whatever it gives back instead of our log, ours stays as it is, and the books behind.
func TestWhatAPartnerInventsIsNotTaken(t *testing.T) {
	t.Parallel()
	other := markettest.NewMember(t, self)
	for name, lie := range map[string]func(r *restored) func(stream int, page *exchange.Recalled){
		"an entry is left out": func(*restored) func(int, *exchange.Recalled) {
			return func(_ int, page *exchange.Recalled) { page.Entries = page.Entries[1:] }
		},
		"an entry is another": func(r *restored) func(int, *exchange.Recalled) {
			return func(_ int, page *exchange.Recalled) {
				page.Entries[0] = bytes.Replace(page.Entries[0], []byte("agr-1"), []byte("agr-2"), 1)
			}
		},
		"the order is another": func(*restored) func(int, *exchange.Recalled) {
			return func(_ int, page *exchange.Recalled) { slices.Reverse(page.Entries) }
		},
		"it is from the start": func(r *restored) func(int, *exchange.Recalled) {
			return func(_ int, page *exchange.Recalled) { page.Entries = slices.Clone(r.whole.Entries[:2]) }
		},
		"it ends too early": func(*restored) func(int, *exchange.Recalled) {
			return func(_ int, page *exchange.Recalled) { page.Entries, page.More = nil, false }
		},
		"there is always more": func(*restored) func(int, *exchange.Recalled) {
			return func(_ int, page *exchange.Recalled) { page.Entries, page.Documents, page.More = nil, nil, true }
		},
		"a page has too many entries": func(r *restored) func(int, *exchange.Recalled) {
			return func(_ int, page *exchange.Recalled) {
				for len(page.Entries) <= exchange.RecallEntries {
					page.Entries = append(page.Entries, page.Entries[0])
				}
			}
		},
		"more documents than entries": func(r *restored) func(int, *exchange.Recalled) {
			return func(_ int, page *exchange.Recalled) { page.Documents = append(page.Documents, page.Documents...) }
		},
		"the checkpoint is the partner's": func(r *restored) func(int, *exchange.Recalled) {
			jws, err := r.peer.Book.Checkpoint(self, ledger.Position{Seq: 5}, [32]byte{1})
			if err != nil {
				r.t.Fatal(err)
			}
			return func(_ int, page *exchange.Recalled) { page.Checkpoint = jws }
		},
		"the checkpoint is for another partner": func(r *restored) func(int, *exchange.Recalled) {
			jws, err := r.Book.Checkpoint("https://other.localhost:3", ledger.Position{Seq: 5}, [32]byte{1})
			if err != nil {
				r.t.Fatal(err)
			}
			return func(_ int, page *exchange.Recalled) { page.Checkpoint = jws }
		},
		"the checkpoint is by another key": func(r *restored) func(int, *exchange.Recalled) {
			jws, err := other.Book.Checkpoint(partner, ledger.Position{Seq: 5}, [32]byte{1})
			if err != nil {
				r.t.Fatal(err)
			}
			return func(_ int, page *exchange.Recalled) { page.Checkpoint = jws }
		},
		"the checkpoint is no further than ours": func(r *restored) func(int, *exchange.Recalled) {
			jws, err := r.Book.OwnCheckpoint(r.t.Context(), partner)
			if err != nil {
				r.t.Fatal(err)
			}
			return func(_ int, page *exchange.Recalled) { page.Checkpoint = jws }
		},
		"it has shown more than it gives back": func(r *restored) func(int, *exchange.Recalled) {
			jws, err := r.Book.OwnCheckpoint(r.t.Context(), partner)
			if err != nil {
				r.t.Fatal(err)
			}
			return func(_ int, page *exchange.Recalled) {
				page.Entries, page.Documents, page.Checkpoint, page.More = nil, nil, jws, false
			}
		},
		"our signature is over another end": func(r *restored) func(int, *exchange.Recalled) {
			jws, err := r.Book.Checkpoint(partner, ledger.Position{Seq: 5}, [32]byte{1})
			if err != nil {
				r.t.Fatal(err)
			}
			return func(_ int, page *exchange.Recalled) { page.Checkpoint = jws }
		},
		"there are entries beyond our signature": func(r *restored) func(int, *exchange.Recalled) {
			e, err := ledger.Decode(r.whole.Entries[2])
			if err != nil {
				r.t.Fatal(err)
			}
			jws, err := r.Book.Checkpoint(partner, e.Position(), e.Hash)
			if err != nil {
				r.t.Fatal(err)
			}
			return func(_ int, page *exchange.Recalled) { page.Checkpoint = jws }
		},
		"the second time it is another": func(*restored) func(int, *exchange.Recalled) {
			return func(stream int, page *exchange.Recalled) {
				if stream > 2 {
					page.Entries = page.Entries[1:]
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRestored(t)
			r.evidence(5)
			r.lie = lie(r)
			if done, err := r.loop.Once(t.Context(), partner); err == nil || done {
				t.Errorf("done %v, %v", done, err)
			}
			if books, own := r.stands(); books != ledger.Behind || own != 2 {
				t.Errorf("the books are %s, our log has %d entries", books, own)
			}
			if got := r.jobs(); len(got) > 0 {
				t.Errorf("there are jobs %q", got)
			}
			// It may come to its senses.
			r.lie = nil
			if done, err := r.loop.Once(t.Context(), partner); err != nil || !done {
				t.Errorf("then: done %v, %v", done, err)
			}
		})
	}
}

// TestADocumentThatIsNotOursIsNotTaken: our log comes back all the same, and an operator reads of which entry nothing else did.
func TestADocumentThatIsNotOursIsNotTaken(t *testing.T) {
	t.Parallel()
	payload, _ := purchase("order-0004")
	for name, lie := range map[string]func(r *restored, page *exchange.Recalled){
		"withheld": func(_ *restored, page *exchange.Recalled) { page.Documents = nil },
		"signed by the partner": func(r *restored, page *exchange.Recalled) {
			for i, d := range page.Documents {
				if have, err := signed.Payload(d.JWS); err != nil || !bytes.Equal(have, payload) {
					continue
				}
				jws, err := r.peer.Keys.Sign(keys.Business, signed.Order, payload)
				if err != nil {
					r.t.Fatal(err)
				}
				page.Documents[i].JWS = jws
			}
		},
		"of another type": func(r *restored, page *exchange.Recalled) {
			for i, d := range page.Documents {
				if have, err := signed.Payload(d.JWS); err != nil || !bytes.Equal(have, payload) {
					continue
				}
				jws, err := r.Keys.Sign(keys.Business, signed.Cancel, payload)
				if err != nil {
					r.t.Fatal(err)
				}
				page.Documents[i].JWS = jws
			}
		},
		"another order's": func(r *restored, page *exchange.Recalled) {
			for i := range page.Documents {
				page.Documents[i] = r.whole.Documents[0]
			}
		},
		"no document": func(_ *restored, page *exchange.Recalled) {
			for i := range page.Documents {
				page.Documents[i].JWS = "x"
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRestored(t)
			r.lie = func(_ int, page *exchange.Recalled) { lie(r, page) }
			var seen []string
			r.loop.Observe = func(_, result string) { seen = append(seen, result) }
			wanted := []string{"made", "lost", "made"}
			if !strings.HasPrefix(name, "signed") && !strings.HasPrefix(name, "of ") {
				wanted = []string{"lost", "lost", "lost"}
			}
			if done, err := r.loop.Once(t.Context(), partner); err != nil || !done {
				t.Fatalf("done %v, %v", done, err)
			}
			if books, own := r.stands(); books != ledger.Unproven || own != 5 {
				t.Errorf("the books are %s, our log has %d entries", books, own)
			}
			if _, err := r.order("order-0004"); !fault.Is(err, fault.NotFound) {
				t.Errorf("the order is there: %v", err)
			}
			if !slices.Equal(seen, wanted) {
				t.Errorf("counted are %q, want %q", seen, wanted)
			}
			if !slices.Contains(r.jobs(), recovery.JobLost) || !strings.Contains(r.logged.String(), "sub-order-0004") {
				t.Errorf("no operator hears of it: %q\n%s", r.jobs(), r.logged.String())
			}
			err := r.loop.Lost(t.Context(), job.Job{Kind: recovery.JobLost, Key: "0.4", Partner: partner})
			var parked *job.ParkError
			if !errors.As(err, &parked) || !strings.Contains(err.Error(), "order.placed about sub-order-0004") {
				t.Errorf("the job says %v", err)
			}
		})
	}
}

// TestInputsThatAreNotTheSignedOnesAreNotTaken though the order is.
func TestInputsThatAreNotTheSignedOnesAreNotTaken(t *testing.T) {
	t.Parallel()
	for name, salt := range map[string][]byte{"under our salt": []byte("sixteen bytes of it"), "under none": nil} {
		t.Run(name, func(t *testing.T) { t.Parallel(); inputsOfTheirs(t, salt) })
	}
}

func inputsOfTheirs(t *testing.T, salt []byte) {
	t.Helper()
	r := newRestored(t)
	r.lie = func(_ int, page *exchange.Recalled) {
		for i := range page.Documents {
			page.Documents[i].Inputs, page.Documents[i].InputsSalt = []byte(`{"title":"theirs"}`), salt
		}
	}
	if done, err := r.loop.Once(t.Context(), partner); err != nil || !done {
		t.Fatalf("done %v, %v", done, err)
	}
	r.View(func(tx *store.Tx) error {
		for i := 3; i <= 5; i++ {
			o, _, err := tx.RetailOrders().ByCorrelation(fmt.Sprintf("order-000%d", i))
			if err != nil {
				return err
			}
			if inputs, err := tx.Subscriptions().Secret(subscription.RetailKey(o.Items[0].SubscriptionID), subscription.SecretInputs); !fault.Is(err, fault.NotFound) {
				t.Errorf("it has inputs %s, %v", inputs, err)
			}
		}
		return nil
	})
}

// away is a partner that cannot be reached.
type away struct{ asked chan struct{} }

func (a away) Recall(context.Context, string, ledger.Position, func(exchange.Recalled) error) error {
	a.asked <- struct{}{}
	return fault.New(fault.Unavailable, "unreachable", "it is away")
}

func (away) Ended(context.Context, string, ledger.Position, func(exchange.Recalled) error) error {
	return nil
}

// TestAPartnerThatReturnsIsAskedAtOnce, and so is one that calls us, but for the second time at the end of a while; no pause has to be over.
func TestAPartnerThatReturnsIsAskedAtOnce(t *testing.T) {
	t.Parallel()
	r := newRestored(t)
	link, pauses := away{make(chan struct{})}, make(chan chan time.Time)
	r.loop.Link = link
	r.loop.Subscribe = func(unit.Topic) (<-chan struct{}, func()) { return nil, func() {} }
	ctx, stop := context.WithCancel(t.Context())
	r.loop.After = func(d time.Duration) <-chan time.Time {
		timer := make(chan time.Time, 1)
		if d == 15*time.Second { // the states are read
			return timer
		}
		select {
		case pauses <- timer:
		case <-ctx.Done():
		}
		return timer
	}
	ended := make(chan error)
	go func() { ended <- r.loop.Run(ctx) }()
	asked := func() { <-link.asked; <-pauses }
	asked()
	r.loop.Back(partner)
	asked()
	r.loop.Heard(partner)
	r.loop.Heard("https://other.localhost:3")
	asked()
	r.loop.Heard(partner) // so soon that it has to wait
	early := <-pauses
	early <- r.Clock.Now()
	asked()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
