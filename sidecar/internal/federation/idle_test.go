package federation_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/recipe"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// spent is what fn costs a party's store.
func spent(p *party, fn func()) (statements, commits int64) {
	before := p.Store.Stats()
	fn()
	after := p.Store.Stats()
	return after.Statements - before.Statements, after.Commits - before.Commits
}

// TestAQuietPartnerCosts counts what a heartbeat of each feed costs those who send and read it.
func TestAQuietPartnerCosts(t *testing.T) {
	t.Parallel()
	s, r, _, reader, partner := setUp(t)
	ctx := t.Context()
	markettest.Agree(s.Member, r.Member, "a", agreement.Terms{Currency: "EUR"})
	s.Append(reseller, ledger.OrderAccepted, "order-1")
	if _, err := reader.Read(ctx, partner, ledger.Position{}, s.page(t, reseller, 0, 9)); err != nil {
		t.Fatal(err)
	}
	end := ledger.Position{Seq: 1}
	ours := &federation.LedgerFeed{Work: store.For[federation.Tx](s.Store), Book: s.Book, Reader: reader}
	var page ledger.Page
	statements, commits := spent(s, func() {
		var err error
		if page, _, err = ours.Beat(ctx, reseller, end, 100); err != nil || len(page.Entries) > 0 {
			t.Fatal(page, err)
		}
	})
	if statements > 3 || commits != 0 { // where both logs end, and whether we signed two
		t.Errorf("a heartbeat of the ledger costs its sender %d statements, %d commits", statements, commits)
	}
	if _, err := s.Book.Beat(ctx, s.Book.Tick()); err != nil {
		t.Fatal(err)
	}
	beat, _, err := ours.Beat(ctx, reseller, end, 100)
	if err != nil {
		t.Fatal(err)
	}
	statements, commits = spent(r, func() {
		if _, err := reader.Read(ctx, partner, end, federation.LedgerPage{Checkpoint: beat.Checkpoint}); err != nil {
			t.Fatal(err)
		}
	})
	if statements != 3 || commits != 1 { // the state of the books, where our copy ends, the checkpoint with its later tick
		t.Errorf("a heartbeat of the ledger costs its reader %d statements, %d commits", statements, commits)
	}
	sent := &federation.CatalogFeed{
		Self: supplier, Signer: s.Keys, Catalog: &catalog.Service{Self: supplier, Work: store.For[catalog.Tx](s.Store), Now: s.Clock.Now},
	}
	var beats []federation.CatalogPage
	synced := 0
	offers := &federation.CatalogReader{
		Self: reseller, Alone: true, Work: store.For[federation.Tx](r.Store), Logger: slog.New(slog.DiscardHandler),
		Catalog: &catalog.Reader{Work: store.For[catalog.Tx](r.Store), Schemas: recipe.NewSchemas(0), Now: r.Clock.Now},
		Synced:  func(string) { synced++ },
		Link: link{watch: func(ctx context.Context, cursor []byte, fn func(federation.CatalogPage) error) error {
			var last federation.CatalogPage
			for i := range 4 {
				page, err := sent.Page(ctx, reseller, cursor, last)
				if err != nil {
					return err
				}
				statements, commits := spent(r, func() { err = fn(page) })
				if i > 0 && (statements != 0 || commits != 0) {
					t.Errorf("heartbeat %d of the catalog costs its reader %d statements, %d commits", i, statements, commits)
				}
				if i > 0 {
					beats = append(beats, page)
				}
				if err != nil {
					return err
				}
				cursor, last = page.Cursor, page
			}
			forged := last
			forged.Signature = beats[0].Signature + "x"
			return fn(forged)
		}},
	}
	if got := offers.Feed().Once(ctx, partner); !got.Refused || synced != 4 {
		t.Errorf("told %d times that all was read, and a heartbeat that the partner did not sign gives %+v", synced, got)
	}
	if beats[1].Signature != beats[2].Signature {
		t.Error("the same heartbeat was signed twice")
	}
}

// TestThePartnershipsAreReadInAsManyStatementsAsThereAreFeeds compares one partner with 50.
func TestThePartnershipsAreReadInAsManyStatementsAsThereAreFeeds(t *testing.T) {
	t.Parallel()
	_, r, _, reader, _ := setUp(t)
	offers := &federation.CatalogReader{Self: reseller}
	read := func() (wanted int, statements int64) {
		statements, _ = spent(r, func() {
			r.View(func(tx *store.Tx) error {
				partners, err := tx.Partners().List()
				for _, f := range []federation.Feed{reader.Feed(), offers.Feed()} {
					of, werr := f.Wanted(tx)
					if err != nil || werr != nil {
						t.Fatal(err, werr)
					}
					for _, p := range partners {
						if of(p) {
							wanted++
						}
					}
				}
				return nil
			})
		})
		return wanted, statements
	}
	before, few := read()
	r.Do(func(tx *store.Tx) error {
		for i := range 50 {
			origin := fmt.Sprintf("https://p%d.localhost:1", i)
			if _, err := tx.Partners().Put(member.Partner{Origin: origin, PartnershipID: origin, State: member.Active, Roles: []member.Role{member.Supplier}}); err != nil {
				return err
			}
			if _, err := tx.Agreements().Put(agreement.Agreement{ID: "a", Supplier: origin, Reseller: reseller, State: agreement.Active}); err != nil {
				return err
			}
		}
		return nil
	})
	after, many := read()
	if after != before+100 || many != few {
		t.Errorf("%d loops in %d statements, then %d in %d", before, few, after, many)
	}
}
