package store_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

func offering(id string, revision int64) catalog.Offering {
	return catalog.Offering{
		ID: id, Revision: revision, State: catalog.Orderable, Document: []byte(fmt.Sprintf(`{"id":%q}`, id)),
		Digest: [32]byte{byte(revision)}, Binding: []byte(`{"adapter":"process"}`), Source: [32]byte{9}, Name: "VM " + id,
		Category: "compute", Currency: "EUR", CreatedAt: start.Add(time.Duration(revision) * time.Minute),
	}
}

func TestRevisionsOfAnOffering(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		one, two := offering("vm", 1), offering("vm", 2)
		do(t, s, func(tx *store.Tx) error {
			must(0, tx.Catalog().PutRevision(one))
			must(0, tx.Catalog().PutRevision(two))
			must(0, tx.Catalog().PutRevision(offering("db", 7)))
			return nil
		})
		one.SupersededAt = two.CreatedAt
		for _, stale := range []int64{1, 2} {
			err := s.Do(t.Context(), func(tx *store.Tx) error { return tx.Catalog().PutRevision(offering("vm", stale)) })
			wantKind(t, err, fault.Conflict, "offering_changed")
		}
		view(t, s, func(tx *store.Tx) error {
			c := tx.Catalog()
			if diff := cmp.Diff(two, must(c.Current("vm"))); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(one, must(c.Revision("vm", 1))); diff != "" {
				t.Error(diff)
			}
			_, err := c.Current("none")
			wantKind(t, err, fault.NotFound, "offering_not_found")
			_, err = c.Revision("vm", 3)
			wantKind(t, err, fault.NotFound, "offering_not_found")
			if diff := cmp.Diff([]catalog.Offering{offering("db", 7), two}, must(c.List("", 10))); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]catalog.Offering{two}, must(c.List("db", 10))); diff != "" {
				t.Error(diff)
			}
			return nil
		})
	})
}

func TestFeedKeepsTheLastChangeOfEachOffering(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, woken *topics) {
		do(t, s, func(tx *store.Tx) error {
			must(0, tx.Catalog().Publish(them, []catalog.FeedItem{{OfferingID: "vm", Revision: 1, Tombstone: false}}))
			must(0, tx.Catalog().Publish(them, []catalog.FeedItem{{OfferingID: "db", Revision: 1, Tombstone: false}}))
			must(0, tx.Catalog().Publish(them, []catalog.FeedItem{{OfferingID: "vm", Revision: 2, Tombstone: false}}))
			must(0, tx.Catalog().Publish(them, []catalog.FeedItem{{OfferingID: "db", Revision: 1, Tombstone: true}}))
			return tx.Catalog().Publish("https://other.example", []catalog.FeedItem{{OfferingID: "vm", Revision: 2, Tombstone: false}})
		})
		if diff := cmp.Diff([]string{"catalog/" + them, "catalog/https://other.example"}, woken.take()); diff != "" {
			t.Error(diff)
		}
		view(t, s, func(tx *store.Tx) error {
			want := []catalog.FeedItem{
				{Partner: them, Seq: 3, OfferingID: "vm", Revision: 2},
				{Partner: them, Seq: 4, OfferingID: "db", Revision: 1, Tombstone: true},
			}
			if diff := cmp.Diff(want, must(tx.Catalog().Feed(them, 0, 10))); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(want[1:], must(tx.Catalog().Feed(them, 3, 10))); diff != "" {
				t.Error(diff)
			}
			return nil
		})
	})
}

func TestFeedEpochLastsUntilARestore(t *testing.T) {
	t.Parallel()
	for name, config := range engines {
		t.Run(name, func(t *testing.T) {
			cfg := config(t)
			epoch := func(s *store.Store) (e string) {
				view(t, s, func(tx *store.Tx) (err error) { e, err = tx.Catalog().FeedEpoch(them); return err })
				return e
			}
			first := open(t, cfg)
			was := epoch(first)
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
			second := open(t, cfg)
			if got := epoch(second); got != was || len(got) != 32 {
				t.Fatalf("epoch %q after a restart, was %q", got, was)
			}
			if err := second.Restored(t.Context()); err != nil {
				t.Fatal(err)
			}
			if epoch(second) == was {
				t.Fatal("a restored feed kept its epoch")
			}
		})
	}
}

// TestStretchesOfAFeed: a change keeps the name of the one in which it was written, for the last hundred and, of a feed that rests, for ever. Of those
// before it is known that nobody knows.
func TestStretchesOfAFeed(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		publish := func(partner string) {
			do(t, s, func(tx *store.Tx) error {
				return tx.Catalog().Publish(partner, []catalog.FeedItem{{OfferingID: "vm", Revision: 1}})
			})
		}
		of := func(partner string, seq int64) (name int64) {
			view(t, s, func(tx *store.Tx) (err error) { name, err = tx.Catalog().FeedStretch(partner, seq); return err })
			return name
		}
		begin := func() { do(t, s, func(tx *store.Tx) error { return tx.Catalog().BeginStretch() }) }
		const rests = "https://rests.localhost"
		if got := of(them, 1); got != 0 {
			t.Errorf("a change that is not there is of %d", got)
		}
		publish(them)
		publish(rests)
		var names []int64
		for range 3 {
			if names = append(names, of(them, int64(len(names)+1))); of(rests, 1) != names[0] {
				t.Errorf("what rests is of %d, was of %d", of(rests, 1), names[0])
			}
			begin()
			begin()
			publish(them)
		}
		for i, name := range names {
			if got := of(them, int64(i+1)); got != name || name == 0 || i > 0 && name <= names[i-1] {
				t.Errorf("change %d is of %d, was of %d, of %v", i+1, got, name, names)
			}
		}
		for range 101 {
			begin()
		}
		last := of(them, 4)
		known := last != 0 && last != catalog.Forgotten && of(them, 5) == 0 && of(rests, 1) == names[0]
		for seq := int64(1); seq < 4; seq++ {
			known = known && of(them, seq) == catalog.Forgotten
		}
		if !known {
			t.Errorf("after many starts the last is of %d, the first of %d, the one that rests of %d, was of %d", last, of(them, 1), of(rests, 1), names[0])
		}
		publish(them)
		for range 101 {
			begin()
		}
		if now := of(them, 5); of(them, 3) != catalog.Forgotten || of(them, 4) != catalog.Forgotten || now == 0 || now == catalog.Forgotten || of(them, 6) != 0 {
			t.Errorf("after many more, changes 3 to 6 are of %d, %d, %d and %d", of(them, 3), of(them, 4), now, of(them, 6))
		}
	})
}

func foreign(id string, revision, sweep int64) catalog.Foreign {
	return catalog.Foreign{
		Partner: them, ID: id, Listing: catalog.ListingID(them, id), Revision: revision, Document: []byte(`{"id":"` + id + `"}`),
		Digest: [32]byte{byte(revision)}, UpdatedAt: start, Sweep: sweep,
	}
}

// read drops the change number, which only its order makes meaningful.
func read(f catalog.Foreign) catalog.Foreign { f.Change = 0; return f }

func TestForeignOfferings(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, woken *topics) {
		put := func(f catalog.Foreign) (stored bool) {
			do(t, s, func(tx *store.Tx) (err error) { stored, err = tx.Catalog().PutForeign(f); return err })
			return stored
		}
		get := func(id string) (f catalog.Foreign) {
			view(t, s, func(tx *store.Tx) (err error) { f, err = tx.Catalog().Foreign(them, id); return err })
			return f
		}
		if !put(foreign("vm", 2, 1)) || !put(foreign("db", 1, 1)) {
			t.Fatal("not stored")
		}
		if diff := cmp.Diff([]string{"listing", "listing"}, woken.take()); diff != "" {
			t.Error(diff)
		}
		first := get("vm")
		if diff := cmp.Diff(foreign("vm", 2, 1), read(first)); diff != "" {
			t.Error(diff)
		}
		if put(foreign("vm", 1, 2)) {
			t.Error("a lower revision replaced a higher one")
		}
		if got := get("vm"); got.Sweep != 2 || got.Revision != 2 || got.Change != first.Change {
			t.Errorf("old news changed the offering, or the sweep missed it: %+v", got)
		}
		if !put(foreign("vm", 2, 3)) {
			t.Error("the same revision was not taken")
		}
		if got := get("vm"); got.Sweep != 3 || got.Change != first.Change {
			t.Errorf("the same again: %+v", got)
		}
		if got := woken.take(); got != nil {
			t.Errorf("nothing changed and woke %v", got)
		}
		gone := foreign("vm", 2, 3)
		gone.Tombstone = true
		if got := get("vm"); !put(gone) || !get("vm").Tombstone || get("vm").Document != nil {
			t.Errorf("the tombstone was not taken, or keeps a document: %+v", got)
		}
		if !put(foreign("vm", 3, 3)) || get("vm").Tombstone {
			t.Error("the offering did not come back")
		}
		view(t, s, func(tx *store.Tx) error {
			if k := must(tx.Catalog().Kept(them)); k.Offerings != 2 {
				t.Errorf("%+v", k)
			}
			return nil
		})
		woken.take()
		do(t, s, func(tx *store.Tx) error {
			want := foreign("db", 1, 1)
			want.Tombstone, want.Document, want.UpdatedAt = true, nil, start.Add(time.Hour)
			if ids := must(tx.Catalog().Unseen(them, 3, "", 10)); !slices.Equal(ids, []string{"db"}) {
				t.Errorf("unseen %v", ids)
			}
			if gone := must(tx.Catalog().SweepForeign(them, 3, []string{"db", "vm", "none"}, start.Add(time.Hour))); gone != 1 {
				t.Errorf("swept %d", gone)
			}
			if diff := cmp.Diff(want, read(must(tx.Catalog().Foreign(them, "db")))); diff != "" {
				t.Error(diff)
			}
			return nil
		})
		if diff := cmp.Diff([]string{"listing"}, woken.take()); diff != "" {
			t.Error(diff)
		}
		view(t, s, func(tx *store.Tx) error {
			c := tx.Catalog()
			if k := must(c.Kept(them)); k.Offerings != 1 {
				t.Errorf("%+v", k)
			}
			if all := must(c.ListForeign("", "", 10)); len(all) != 1 || all[0].ID != "vm" {
				t.Errorf("listed %+v", all)
			}
			if all := must(c.ListForeign(them, "vm", 10)); len(all) != 0 {
				t.Errorf("listed %+v", all)
			}
			ids := []string{catalog.ListingID(them, "vm"), "lst-none", catalog.ListingID(them, "db")}
			if all := must(c.ForeignByListing(ids)); len(all) != 2 {
				t.Errorf("by listing: %+v", all)
			}
			numbers := must(c.Changes(0, 10))
			if rest := must(c.Changes(numbers[0], 10)); len(numbers) != 2 || !slices.Equal(rest, numbers[1:]) || !slices.Equal(must(c.Changes(0, 1)), numbers[:1]) {
				t.Errorf("changes %v, after the first %v", numbers, rest)
			}
			changes := must(c.ForeignChanged(0, 10))
			if changes[0].Change != numbers[0] || changes[1].Change != numbers[1] {
				t.Errorf("changes %v: %+v", numbers, changes)
			}
			if len(changes) != 2 || changes[0].ID != "vm" || changes[1].ID != "db" || changes[0].Change >= changes[1].Change {
				t.Errorf("changes: %+v", changes)
			}
			if rest := must(c.ForeignChanged(changes[0].Change, 10)); len(rest) != 1 || rest[0].ID != "db" {
				t.Errorf("changes: %+v", rest)
			}
			_, err := c.Foreign(them, "none")
			wantKind(t, err, fault.NotFound, "offering_not_found")
			return nil
		})
	})
}

// TestTheLastChangeIsAnEnd: a reader that begins there has missed nothing that was written, and sees all that is written after it.
func TestTheLastChangeIsAnEnd(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		last := func() (last int64) {
			view(t, s, func(tx *store.Tx) (err error) { last, _, err = tx.Catalog().LastChange(); return err })
			return last
		}
		if n := last(); n != 0 {
			t.Errorf("%d in an empty store", n)
		}
		for i := range int64(3) {
			before := last()
			do(t, s, func(tx *store.Tx) error {
				_, err := tx.Catalog().PutForeign(foreign("vm", i+1, 1))
				if err == nil {
					_, err = tx.Catalog().PutForeign(foreign("db", i+1, 1))
				}
				return err
			})
			view(t, s, func(tx *store.Tx) error {
				all := must(tx.Catalog().ForeignChanged(before, 10))
				if len(all) != 2 || all[1].Change > last() {
					t.Errorf("after %d there are %+v, up to %d", before, all, last())
				}
				return nil
			})
		}
		err := s.Do(t.Context(), func(tx *store.Tx) error {
			must(tx.Catalog().PutForeign(foreign("vm", 9, 1)))
			return fault.New(fault.Conflict, "undone", "not to be")
		})
		wantKind(t, err, fault.Conflict, "undone")
		before := last()
		do(t, s, func(tx *store.Tx) error { must(tx.Catalog().PutForeign(foreign("vm", 9, 1))); return nil })
		view(t, s, func(tx *store.Tx) error {
			if all := must(tx.Catalog().ForeignChanged(before, 10)); len(all) != 1 {
				t.Errorf("after a write that was undone: %+v", all)
			}
			return nil
		})
	})
}

// TestTheOldestTombstonesAreForgotten, and who has not read of them is told that it may miss something.
func TestTheOldestTombstonesAreForgotten(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		gone := func(id string) catalog.Foreign { f := foreign(id, 1, 1); f.Tombstone = true; return f }
		forgotten := func() (upTo int64) {
			view(t, s, func(tx *store.Tx) (err error) { _, upTo, err = tx.Catalog().LastChange(); return err })
			return upTo
		}
		do(t, s, func(tx *store.Tx) error {
			return tx.Catalog().AddForeign([]catalog.Foreign{gone("c"), foreign("d", 1, 1), gone("b"), gone("a")})
		})
		var changes []int64
		view(t, s, func(tx *store.Tx) error {
			for _, f := range must(tx.Catalog().ForeignChanged(0, 10)) {
				changes = append(changes, f.Change)
			}
			return nil
		})
		if n := forgotten(); n != 0 {
			t.Fatalf("%d is forgotten", n)
		}
		do(t, s, func(tx *store.Tx) error { return tx.Catalog().ForgetForeign(them, 2) })
		if n := forgotten(); n != changes[2] {
			t.Errorf("forgotten up to %d of %v", n, changes)
		}
		view(t, s, func(tx *store.Tx) error {
			all := must(tx.Catalog().ForeignChanged(0, 10))
			if len(all) != 2 || all[0].ID != "d" || all[1].ID != "a" {
				t.Errorf("there is %+v", all)
			}
			return nil
		})
		do(t, s, func(tx *store.Tx) error { return tx.Catalog().ForgetForeign(them, 5) })
		do(t, s, func(tx *store.Tx) error { return tx.Catalog().ForgetForeign(them, 5) })
		if n := forgotten(); n != changes[3] {
			t.Errorf("forgotten up to %d of %v", n, changes)
		}
		do(t, s, func(tx *store.Tx) error { return tx.Catalog().AddForeign([]catalog.Foreign{foreign("b", 1, 2)}) })
		view(t, s, func(tx *store.Tx) error {
			if k := must(tx.Catalog().Kept(them)); k.Offerings != 2 || k.Gone != 0 {
				t.Errorf("%+v", k)
			}
			return nil
		})
	})
}

// A reader that follows change numbers misses nothing, whoever writes at the same time.
func TestReaderOfChangesMissesNothing(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		const writers, each = 16, 10
		stop, read := make(chan struct{}), make(chan map[string]bool, 1)
		follow := func(seen map[string]bool, after int64) int64 {
			view(t, s, func(tx *store.Tx) error {
				for _, f := range must(tx.Catalog().ForeignChanged(after, 7)) {
					seen[f.ID], after = true, f.Change
				}
				return nil
			})
			return after
		}
		go func() {
			seen, after := map[string]bool{}, int64(0)
			for ended := false; ; {
				next := follow(seen, after)
				if ended && next == after {
					read <- seen
					return
				}
				after = next
				select {
				case <-stop:
					ended = true // and what is there by now is read to its end
				default:
				}
			}
		}()
		together(writers, func(w int) {
			for i := range each {
				do(t, s, func(tx *store.Tx) error {
					must(tx.Catalog().PutForeign(foreign(fmt.Sprint(w, "-", i, "a"), 1, 1)))
					must(tx.Catalog().PutForeign(foreign(fmt.Sprint(w, "-", i, "b"), 1, 1)))
					return nil
				})
			}
		})
		close(stop)
		if seen := <-read; len(seen) != writers*each*2 {
			t.Fatalf("saw %d of %d", len(seen), writers*each*2)
		}
	})
}

func TestCursors(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		do(t, s, func(tx *store.Tx) error {
			if got := must(tx.Cursors().Cursor(them, "catalog")); got != nil {
				t.Errorf("cursor %q at the start", got)
			}
			must(0, tx.Cursors().SetCursor(them, "catalog", []byte("1")))
			must(0, tx.Cursors().SetCursor(them, "catalog", []byte("2")))
			return tx.Cursors().SetCursor(them, "other", nil)
		})
		view(t, s, func(tx *store.Tx) error {
			if got := must(tx.Cursors().Cursor(them, "catalog")); string(got) != "2" {
				t.Errorf("cursor %q", got)
			}
			if got := must(tx.Cursors().Cursor(them, "other")); got != nil {
				t.Errorf("cursor %q", got)
			}
			return nil
		})
	})
}

// TestManyRevisionsAtOnce: each is the one after the current one, or none of them is stored.
func TestManyRevisionsAtOnce(t *testing.T) {
	t.Parallel()
	many := func(revision int64) (all []catalog.Offering) {
		for i := range 70 {
			all = append(all, offering(fmt.Sprintf("vm-%02d", i), revision))
		}
		return all
	}
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		next := func(all ...catalog.Next) error {
			return s.Do(t.Context(), func(tx *store.Tx) error { return tx.Catalog().PutRevisions(all) })
		}
		put := func(all ...catalog.Offering) error {
			following := make([]catalog.Next, len(all))
			for i, o := range all {
				following[i] = catalog.Next{Offering: o, After: o.Revision - 1}
			}
			return next(following...)
		}
		before := s.Stats().Statements
		must(0, put(many(1)...))
		if n := s.Stats().Statements - before; n > 4 {
			t.Errorf("%d statements for 70 new offerings", n)
		}
		must(0, put(many(2)...))
		onHold := offering("vm-03", 3)
		onHold.State = catalog.OnHold
		must(0, put(onHold))
		for name, stale := range map[string][]catalog.Offering{
			"a new one that exists":      {offering("aa", 1), offering("vm-00", 1)},
			"the revision that is there": {offering("aa", 1), offering("vm-00", 2)},
			"one too far":                {offering("aa", 1), offering("vm-00", 4)},
			"a later one of nothing":     {offering("aa", 1), offering("none", 2)},
		} {
			t.Run(name, func(t *testing.T) { wantKind(t, put(stale...), fault.Conflict, "offering_changed") })
		}
		for name, stale := range map[string]catalog.Next{
			"a first one, far up, that exists":      {Offering: offering("vm-00", 9)},
			"far up, and another one is there":      {Offering: offering("vm-00", 9), After: 1},
			"far up, after one that is not the end": {Offering: offering("vm-00", 9), After: 3},
		} {
			t.Run(name, func(t *testing.T) {
				wantKind(t, next(catalog.Next{Offering: offering("aa", 9)}, stale), fault.Conflict, "offering_changed")
			})
		}
		var far []catalog.Next
		for _, o := range many(9)[10:69] {
			far = append(far, catalog.Next{Offering: o, After: 2})
		}
		before = s.Stats().Statements
		must(0, next(append(far, catalog.Next{Offering: offering("zz", 9)})...))
		if n := s.Stats().Statements - before; n > 66 { // one each makes way
			t.Errorf("%d statements for 60 that leave numbers out", n)
		}
		view(t, s, func(tx *store.Tx) error {
			c := tx.Catalog()
			var ids []string
			for _, o := range must(c.CurrentOf([]string{"vm-03", "none", "vm-00", "aa", "vm-69"})) {
				ids = append(ids, fmt.Sprintf("%s@%d", o.ID, o.Revision))
			}
			if diff := cmp.Diff([]string{"vm-00@2", "vm-03@3", "vm-69@2"}, ids); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(map[string]int64{"vm-00": 2, "vm-03": 3, "vm-69": 2}, must(c.RevisionsOf([]string{"vm-03", "none", "vm-00", "aa", "vm-69"}))); diff != "" {
				t.Error(diff)
			}
			ids = nil
			for page, after := true, ""; page; {
				some := must(c.OnOffer(after, 30))
				ids = append(ids, some...)
				if page = len(some) == 30; page {
					after = some[29]
				}
			}
			if len(ids) != 70 || !slices.Contains(ids, "zz") || slices.Contains(ids, "vm-03") || !slices.IsSorted(ids) {
				t.Errorf("on offer: %v", ids)
			}
			return nil
		})
	})
}

// TestKeptIsCountedAsItChanges compares the number that is kept with the rows, through all that changes them.
func TestKeptIsCountedAsItChanges(t *testing.T) {
	t.Parallel()
	many := func(from, to int, revision, sweep int64) (all []catalog.Foreign) {
		for i := from; i < to; i++ {
			all = append(all, foreign(fmt.Sprintf("vm-%03d", i), revision, sweep))
		}
		return all
	}
	gone := func(f catalog.Foreign) catalog.Foreign { f.Tombstone = true; return f }
	onEach(t, func(t *testing.T, s *store.Store, woken *topics) {
		for _, step := range []struct {
			name       string
			do         func(c catalog.Store) error
			want, gone int64
		}{
			{"many new ones", func(c catalog.Store) error { return c.AddForeign(many(0, 100, 1, 1)) }, 100, 0},
			{"none", func(c catalog.Store) error { return c.AddForeign(nil) }, 100, 0},
			{"a new one that is gone", func(c catalog.Store) error { return c.AddForeign([]catalog.Foreign{gone(foreign("x", 1, 1))}) }, 100, 1},
			{"one of another partner", func(c catalog.Store) error {
				f := foreign("vm-000", 1, 1)
				f.Partner = "https://other.example"
				return c.AddForeign([]catalog.Foreign{f})
			}, 100, 1},
			{"a later revision", func(c catalog.Store) error { _, err := c.PutForeign(foreign("vm-000", 2, 1)); return err }, 100, 1},
			{"a longer document", func(c catalog.Store) error {
				f := foreign("vm-001", 2, 1)
				f.Document = append(f.Document, "              "...)
				_, err := c.PutForeign(f)
				return err
			}, 100, 1},
			{"a shorter one", func(c catalog.Store) error {
				f := foreign("vm-001", 3, 1)
				f.Document = []byte("{}")
				_, err := c.PutForeign(f)
				return err
			}, 100, 1},
			{"the same again", func(c catalog.Store) error {
				f := foreign("vm-001", 3, 1)
				f.Document = []byte("{}")
				_, err := c.PutForeign(f)
				return err
			}, 100, 1},
			{"a tombstone", func(c catalog.Store) error { _, err := c.PutForeign(gone(foreign("vm-000", 3, 1))); return err }, 99, 2},
			{"a later tombstone", func(c catalog.Store) error { _, err := c.PutForeign(gone(foreign("vm-000", 4, 1))); return err }, 99, 2},
			{"one that comes back", func(c catalog.Store) error { _, err := c.PutForeign(foreign("vm-000", 5, 1)); return err }, 100, 1},
			{"old news", func(c catalog.Store) error { _, err := c.PutForeign(gone(foreign("vm-000", 1, 1))); return err }, 100, 1},
			{"what is left out", func(c catalog.Store) error {
				return c.SetLeftOut(them, catalog.LeftOut{Changes: 7, Bytes: 700, Least: 20})
			}, 100, 1},
			{"a snapshot of some", func(c catalog.Store) error { return c.SeeForeign(them, []string{"vm-000", "vm-001", "none"}, 2) }, 100, 1},
			{"its end", func(c catalog.Store) error {
				ids := must(c.Unseen(them, 2, "", 1000))
				if len(ids) != 98 {
					t.Errorf("%d unseen", len(ids))
				}
				_, err := c.SweepForeign(them, 2, ids, start)
				return err
			}, 2, 99},
			{"its end again", func(c catalog.Store) error { _, err := c.SweepForeign(them, 2, []string{"vm-002"}, start); return err }, 2, 99},
			{"what is forgotten", func(c catalog.Store) error { return c.ForgetForeign(them, 9) }, 2, 90},
			{"nothing of another", func(c catalog.Store) error { return c.ForgetForeign("https://other.example", 9) }, 2, 90},
		} {
			do(t, s, func(tx *store.Tx) error { return step.do(tx.Catalog()) })
			view(t, s, func(tx *store.Tx) error {
				var rows catalog.Kept
				for _, f := range must(tx.Catalog().ForeignChanged(0, 1000)) {
					switch {
					case f.Partner != them:
					case f.Tombstone:
						rows.Gone++
						if len(f.Document) > 0 {
							t.Errorf("%s: %s is gone and has a document", step.name, f.ID)
						}
					default:
						rows.Offerings++
						rows.Bytes += int64(len(f.Document))
					}
				}
				kept := must(tx.Catalog().Kept(them))
				kept.LeftOut = catalog.LeftOut{}
				if kept != rows || rows.Offerings != step.want || rows.Gone != step.gone {
					t.Errorf("%s: %+v, counted %+v, want %d and %d gone", step.name, rows, kept, step.want, step.gone)
				}
				return nil
			})
		}
		woken.take()
		err := s.Do(t.Context(), func(tx *store.Tx) error { return tx.Catalog().AddForeign(many(99, 101, 1, 1)) })
		wantKind(t, err, fault.Conflict, "offering_exists")
		if got := woken.take(); got != nil {
			t.Errorf("woke %v", got)
		}
		view(t, s, func(tx *store.Tx) error {
			if kept := must(tx.Catalog().Kept(them)); kept.Offerings != 2 || kept.Gone != 90 || kept.LeftOut != (catalog.LeftOut{Changes: 7, Bytes: 700, Least: 20}) {
				t.Errorf("%+v", kept)
			}
			all := must(tx.Catalog().ForeignOf(them, []string{"none", "vm-000", "vm-050"}))
			slices.SortFunc(all, func(a, b catalog.Foreign) int { return int(b.Revision - a.Revision) })
			if len(all) != 2 || all[0].Revision != 5 || all[0].Tombstone || !all[1].Tombstone {
				t.Errorf("%+v", all)
			}
			return nil
		})
	})
}

// TestAFeedNumbersWhatIsPublishedTogether in its order, and moves what is published again.
func TestAFeedNumbersWhatIsPublishedTogether(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		var first, second []catalog.FeedItem
		for i := range 90 {
			first = append(first, catalog.FeedItem{OfferingID: fmt.Sprintf("vm-%02d", i), Revision: 1})
		}
		for i := 20; i < 40; i++ {
			second = append(second, catalog.FeedItem{OfferingID: fmt.Sprintf("vm-%02d", i), Revision: 2, Tombstone: i%2 == 0})
		}
		var want []catalog.FeedItem
		for i, it := range append(slices.Clone(first), second...) {
			if it.Partner, it.Seq = them, int64(i+1); i < 20 || i >= 40 {
				want = append(want, it)
			}
		}
		do(t, s, func(tx *store.Tx) error { return tx.Catalog().Publish(them, first) })
		do(t, s, func(tx *store.Tx) error { return tx.Catalog().Publish(them, second) })
		do(t, s, func(tx *store.Tx) error { return tx.Catalog().Publish(them, nil) })
		view(t, s, func(tx *store.Tx) error {
			if diff := cmp.Diff(want, must(tx.Catalog().Feed(them, 0, 1000))); diff != "" {
				t.Error(diff)
			}
			return nil
		})
	})
}
