package retail_test

import (
	"database/sql"
	"errors"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/hanse-market/hanse/sidecar/internal/audit"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

// keepsLog has a supplier write what it tells into a log of its own, of which we keep a copy, as an audit reads it.
func (c *counter) keepsLog(supplier string) {
	c.t.Helper()
	m := markettest.Open(c.t, supplier, markettest.Config{Clock: c.Clock})
	m.Know(c.Member)
	if c.logs == nil {
		c.logs = map[string]*ledger.Book{}
	}
	// Here it is known by our key.
	c.logs[supplier] = &ledger.Book{Self: supplier, Work: store.For[ledger.Tx](m.Store), Signer: c.Keys, Now: c.Clock.Now, OwnKeys: m.Book.OwnKeys}
}

// writes is an entry as a supplier writes it, and its word there.
func (c *counter) writes(supplier string, e ledger.Entry) (ledger.Entry, string) {
	c.t.Helper()
	book := c.logs[supplier]
	var written ledger.Entry
	err := book.Work.Do(c.t.Context(), func(tx ledger.Tx) (err error) {
		written, err = book.Append(tx, buyer, e.Kind, e.Subject, e.Body)
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	checkpoint, err := book.Checkpoint(buyer, written.Position(), written.Hash)
	if err != nil {
		c.t.Fatal(err)
	}
	written.Partner, written.Direction = supplier, ledger.Theirs
	return written, checkpoint
}

// copies has our copy of a supplier's log go on by an entry.
func copies(tx *store.Tx, e ledger.Entry, checkpoint string) error {
	_, err := tx.Ledger().Advance(e.Partner, ledger.Theirs, func(ledger.Position, [32]byte) ([]ledger.Entry, error) { return []ledger.Entry{e}, nil })
	if err != nil {
		return err
	}
	at, err := ledger.ReadVerified(checkpoint)
	if err != nil {
		return err
	}
	return tx.Ledger().SetCheckpoint(e.Partner, at, checkpoint)
}

// inOrder has an audit find nothing.
func (c *counter) inOrder() {
	c.t.Helper()
	report, err := (&audit.Auditor{Self: buyer, Work: store.For[audit.Tx](c.Store), Book: c.Book, Now: c.Clock.Now}).Run(c.t.Context(), "", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, i := range report.Invariants {
		if i.Result == audit.Broken {
			c.t.Errorf("an audit finds %d broken: %+v", i.Number, i.Examples)
		}
	}
}

// forgets has the store lose its orders and no entry: it returns what was lost, with its escrow.
func (c *counter) forgets() retail.Order {
	c.t.Helper()
	o := c.order()
	c.View(func(tx *store.Tx) (err error) {
		for i := range o.Items {
			if o.Items[i].Escrow, err = tx.RetailOrders().Escrow(o.Items[i].CorrelationID); err != nil {
				return err
			}
		}
		return nil
	})
	db, err := sql.Open("sqlite", c.Path)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, table := range []string{"retail_order", "retail_item", "subscription", "secret", "job"} {
		if _, err := db.Exec(`DELETE FROM ` + table); err != nil {
			c.t.Fatal(err)
		}
	}
	return o
}

// comesBack has an item come back by what our own log says of it at a place.
func (c *counter) comesBack(it retail.Item, seq int64) {
	c.t.Helper()
	payload, err := signed.Payload(it.Document)
	if err != nil {
		c.t.Fatal(err)
	}
	r, err := c.service.Recollect(c.t.Context(), it.Partner, retail.Recalled{JWS: it.Document, Payload: payload, Inputs: []byte("{}"), InputsSalt: it.InputsSalt, Escrow: it.Escrow})
	if err != nil {
		c.t.Fatal(err)
	}
	c.Do(func(tx *store.Tx) error {
		e, err := tx.Ledger().Entry(it.Partner, ledger.Own, ledger.Position{Seq: seq})
		if err != nil {
			return err
		}
		return c.service.Recover(tx, e, r)
	})
}

// hears has the vendor say what becomes of the first item.
func (c *counter) hears(kinds ...ledger.Kind) {
	c.t.Helper()
	for _, kind := range kinds {
		if err := c.apply(kind, `{}`); err != nil {
			c.t.Fatal(err)
		}
		c.inOrder()
	}
}

// TestAuditOfAStoryThatIsLegal finds nothing, at none of its steps.
func TestAuditOfAStoryThatIsLegal(t *testing.T) {
	t.Parallel()
	for name, story := range map[string]func(c *counter){
		"both logs begin a new life, in which all is told again": func(c *counter) {
			c.hears(ledger.OrderAccepted, ledger.OrderCompleted)
			again := func(ledger.Entry) bool { return true }
			moved := func(ledger.Entry, ledger.Position) error { return nil }
			opening := ledger.Opening{Life: 1, ID: "life-1", Digest: [32]byte{1}}
			partnership := trust.PartnershipID(buyer, vendor)
			c.Do(func(tx *store.Tx) error {
				if _, err := c.Book.Open(tx, vendor, partnership, opening, ledger.ReasonOpened); err != nil {
					return err
				}
				return c.Book.Retell(tx, vendor, ledger.Position{}, ledger.Position{Seq: 1}, again, moved)
			})
			book := c.logs[vendor]
			var opened ledger.Entry
			err := book.Work.Do(c.t.Context(), func(tx ledger.Tx) (err error) {
				if opened, err = book.Open(tx, buyer, partnership, opening, ledger.ReasonOpened); err != nil {
					return err
				}
				books, err := tx.Ledger().Books(buyer)
				if err == nil {
					books.State = ledger.Level
					_, err = tx.Ledger().PutBooks(books)
				}
				return err
			})
			if err != nil {
				c.t.Fatal(err)
			}
			checkpoint, err := book.Checkpoint(buyer, opened.Position(), opened.Hash)
			if err != nil {
				c.t.Fatal(err)
			}
			opened.Partner, opened.Direction = vendor, ledger.Theirs
			c.Do(func(tx *store.Tx) error { return copies(tx, opened, checkpoint) })
			c.stand(vendor, ledger.Level)
			c.hears(ledger.OrderAccepted, ledger.OrderCompleted)
		},
		"both operators agree on its end, and it was not signed yet": func(c *counter) {
			c.stand(vendor, ledger.Unproven)
			o, err := c.service.Place(c.t.Context(), retail.PlaceCommand{Portal: "shop", Customer: "c", ID: "order-0002", Items: []retail.ItemCommand{add("lst")}})
			if err != nil {
				c.t.Fatal(err)
			}
			c.endsAgreed(o, subscription.Aborted)
			c.stand(vendor, ledger.Level)
		},
		"both operators agree on its end, whatever was told": func(c *counter) {
			c.hears(ledger.OrderAccepted)
			c.endsAgreed(c.order(), subscription.Terminated)
		},
		"its cancel alone comes back": func(c *counter) {
			c.cancel()
			c.inOrder()
			it := c.forgets().Items[0]
			var e ledger.Entry
			c.View(func(tx *store.Tx) (err error) {
				e, err = tx.Ledger().Entry(vendor, ledger.Own, ledger.Position{Seq: 2})
				return err
			})
			if err := c.recallsCancel(e, it); err != nil {
				c.t.Fatal(err)
			}
			c.inOrder()
			c.hears(ledger.OrderCancelled)
		},
		"an operator left aside what the supplier told": func(c *counter) {
			c.hears(ledger.OrderAccepted)
			it := c.order().Items[0]
			body, err := said(it, ledger.OrderCompleted, `{}`)
			if err != nil {
				c.t.Fatal(err)
			}
			e, checkpoint := c.writes(vendor, ledger.Entry{Kind: ledger.OrderCompleted, Subject: it.SubscriptionID, Body: body})
			c.Do(func(tx *store.Tx) error {
				if err := copies(tx, e, checkpoint); err != nil {
					return err
				}
				return tx.Acts().Add(word.On(c.Clock.Now(), "ledger parked release", vendor, it.SubscriptionID, "entry 2"))
			})
		},
		"its supplier lost its disk, and counts its revisions anew": func(c *counter) {
			o := markettest.NewMember(c.t, second).Offer(markettest.Offering{})
			c.Do(func(tx *store.Tx) error {
				_, err := tx.Catalog().PutForeign(catalog.Foreign{
					Partner: vendor, ID: "db", Listing: catalog.ListingID(vendor, "db"), Revision: 3, Document: o.Document, Digest: o.Digest, UpdatedAt: c.Clock.Now(),
				})
				return err
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newOrder(t)
			c.keepsLog(vendor)
			c.inOrder()
			story(c)
			c.inOrder()
		})
	}
}

// endsAgreed gives the subscription of an order of one item the end that both operators agreed on.
func (c *counter) endsAgreed(o retail.Order, to subscription.State) {
	c.t.Helper()
	c.endAgreed(o.Items[0].SubscriptionID, to)
}

// TestAuditOfWhatWasTakenForLost and comes back after all: it begins anew.
func TestAuditOfWhatWasTakenForLost(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	c.keepsLog(vendor)
	if _, err := c.place(add("lst"), add("other")); err != nil {
		t.Fatal(err)
	}
	was := c.forgets()
	c.comesBack(was.Items[1], 1)
	if err := c.rebuilt(); !errors.Is(err, job.ErrFinished) {
		t.Fatal(err)
	}
	o, err := c.found("shop")
	if err != nil || o.Items[0].State != order.Failed {
		t.Fatalf("it is %+v, %v", o, err)
	}
	c.comesBack(was.Items[0], 1)
	c.inOrder()
	c.hears(ledger.OrderAccepted, ledger.OrderCompleted)
}
