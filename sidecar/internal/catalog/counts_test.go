package catalog_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// numbered is a page of the offerings from to to-1.
func numbered(t testing.TB, cursor string, from, to, revision int) catalog.Page {
	t.Helper()
	var docs []map[string]any
	for i := from; i < to; i++ {
		docs = append(docs, fields{"id": fmt.Sprintf("o-%05d", i), "revision": revision})
	}
	p := published(t, docs...)
	p.Cursor = []byte(cursor)
	return p
}

// TestStatementsOfAPageHangOnThePageAlone: neither what a partner has beside it nor how much of that there is may cost more.
func TestStatementsOfAPageHangOnThePageAlone(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		page catalog.Page
		most int64
	}{
		"100 new ones":              {numbered(t, "next", 90_000, 90_100, 1), 20},
		"100 as they are":           {numbered(t, "next", 0, 100, 1), 10},
		"an edit":                   {numbered(t, "next", 7, 8, 2), 8},
		"100 edits":                 {numbered(t, "next", 0, 100, 2), 2*100 + 10},
		"100 that went":             {tombstones(0, 100), 3*100 + 10},
		"100 that nobody can read":  {unreadable(t, 90_000, 90_100), 10},
		"100 of unknown tombstones": {tombstones(90_000, 90_100), 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			counts := map[int]int64{}
			for _, beside := range []int{200, 800} {
				m := newMember(t)
				cursor := []byte(nil)
				for from := 0; from < beside; from += 200 {
					page := numbered(t, fmt.Sprint(from), from, from+200, 1)
					m.take(t, cursor, page)
					cursor = page.Cursor
				}
				before := m.store.Stats().Statements
				m.take(t, cursor, tc.page)
				counts[beside] = m.store.Stats().Statements - before
			}
			if counts[200] > tc.most || counts[800] > tc.most {
				t.Errorf("%d and %d statements beside 200 and 800 offerings, want at most %d", counts[200], counts[800], tc.most)
			}
		})
	}
}

func tombstones(from, to int) catalog.Page {
	p := catalog.Page{Cursor: []byte("next")}
	for i := from; i < to; i++ {
		p.Items = append(p.Items, catalog.Change{OfferingID: fmt.Sprintf("o-%05d", i), Revision: 1, Tombstone: true})
	}
	return p
}

func unreadable(t testing.TB, from, to int) catalog.Page {
	p := numbered(t, "next", from, to, 1)
	for i := range p.Items {
		p.Items[i].Document = []byte("[")
		p.Items[i].Digest = sha256.Sum256(p.Items[i].Document)
	}
	return p
}

// TestStatementsOfAnApply: what a file costs hangs on what it changes, and on nothing else that is sold.
func TestStatementsOfAnApply(t *testing.T) {
	t.Parallel()
	file := func(from, to int, amount string) string {
		var b strings.Builder
		for i := from; i < to; i++ {
			b.WriteString(offering(fmt.Sprintf("o-%05d", i), "orderable", amount))
		}
		return b.String()
	}
	for name, tc := range map[string]struct {
		file string
		most int64
	}{
		"160 new ones":    {file(5000, 5160, "1"), 80},
		"160 as they are": {file(0, 160, "1"), 10},
		"160 changed":     {file(0, 160, "2"), 160 + 80},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, beside := range []int{160, 400} {
				m := newMember(t)
				m.apply(t, file(0, beside, "1"))
				before := m.store.Stats().Statements
				m.apply(t, tc.file)
				if got := m.store.Stats().Statements - before; got > tc.most+int64(beside/64) {
					t.Errorf("%d statements beside %d offerings, want at most %d", got, beside, tc.most)
				}
			}
		})
	}
}

// failing is a unit of work whose writes fail from the nth on, as in a process that is killed there.
type failing struct {
	unit.Work[catalog.Tx]
	left int
}

var errKilled = errors.New("killed")

func (f *failing) Do(ctx context.Context, fn func(catalog.Tx) error) error {
	if f.left--; f.left < 0 {
		return errKilled
	}
	return f.Work.Do(ctx, fn)
}

func (f *failing) Bulk(ctx context.Context, n int, fn func(catalog.Tx, int) error) error {
	for i := range n { // each step a batch of its own
		if err := f.Do(ctx, func(tx catalog.Tx) error { return fn(tx, i) }); err != nil {
			return err
		}
	}
	return nil
}

// TestASweepThatIsCutOffGoesOn kills the reader at each write of a snapshot's end that 450 offerings do not stand in.
func TestASweepThatIsCutOffGoesOn(t *testing.T) {
	t.Parallel()
	for kill := range 4 {
		t.Run(fmt.Sprint("after ", kill, " writes"), func(t *testing.T) {
			t.Parallel()
			m := newMember(t)
			first := numbered(t, "1", 0, 460, 1)
			m.take(t, nil, first)
			last := numbered(t, "2", 0, 10, 2)
			last.SnapshotBegin, last.SnapshotEnd = true, true
			m.reader.Work = &failing{m.work, kill}
			var want catalog.Applied // what was written is told with the error
			if kill > 0 {
				want = catalog.Applied{Stored: 10, Removed: (kill - 1) * 200}
			}
			if got, err := m.reader.ApplyPage(t.Context(), acme, first.Cursor, last); !errors.Is(err, errKilled) || !cmp.Equal(got, want) {
				t.Fatalf("%+v, want %+v: %v", got, want, err)
			}
			m.reader.Work = m.work
			place, err := m.reader.Place(t.Context(), acme)
			if err != nil || string(place) != "1" {
				t.Fatalf("the cursor stands at %q before the end, %v", place, err)
			}
			m.take(t, place, last)
			if got := strings.Fields(m.shown(t)); len(got) != 10 {
				t.Errorf("%d offerings are left", len(got))
			}
			if kept := m.kept(t); kept.Offerings != 10 {
				t.Errorf("counted %+v", kept)
			}
			if place, err = m.reader.Place(t.Context(), acme); err != nil || string(place) != "2" {
				t.Errorf("the cursor stands at %q, %v", place, err)
			}
		})
	}
}

// TestAnApplyThatIsCutOffIsRepeated kills an Apply between its batches: what is written is published, and the same file does the rest.
func TestAnApplyThatIsCutOffIsRepeated(t *testing.T) {
	t.Parallel()
	var file strings.Builder
	for i := range 50 {
		file.WriteString(offering(fmt.Sprintf("o-%05d", i), "orderable", "1"))
	}
	m := newMember(t)
	m.Work = &failing{m.work, 2}
	if _, _, err := m.Apply(t.Context(), []byte(file.String()), catalog.Options{}); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	m.Work = m.work
	if got := len(m.page(t, acme, nil, 0).Items); got != 32 {
		t.Errorf("%d are published after two batches", got)
	}
	if got := m.apply(t, file.String()); got != (catalog.Counts{Created: 18, Unchanged: 32}) {
		t.Errorf("again: %+v", got)
	}
	if got := len(m.page(t, acme, nil, 0).Items); got != 50 {
		t.Errorf("%d are published", got)
	}
}

// TestWhatFindsNoRoomIsCountedAndComesLater: the rest of a catalog that is larger than we keep is asked for anew once there is room.
func TestWhatFindsNoRoomIsCountedAndComesLater(t *testing.T) {
	t.Parallel()
	m := newMember(t)
	m.reader.MaxOfferings = 3
	first := numbered(t, "1", 0, 5, 1)
	first.SnapshotBegin, first.SnapshotEnd = true, true
	if got := m.take(t, nil, first); got.Stored != 3 || got.LeftOut != 2 || !got.Full || len(got.Refused) > 0 {
		t.Fatalf("%+v", got)
	}
	if got := m.take(t, []byte("1"), numbered(t, "2", 4, 5, 2)); got.LeftOut != 1 || got.Full {
		t.Errorf("the second time: %+v", got)
	}
	if kept := m.kept(t); kept != (catalog.Kept{Offerings: 3, LeftOut: 3}) {
		t.Errorf("%+v", kept)
	}
	if place, err := m.reader.Place(t.Context(), acme); err != nil || string(place) != "2" {
		t.Fatalf("asks from %q without room, %v", place, err)
	}
	m.reader.MaxOfferings = 10
	if place, err := m.reader.Place(t.Context(), acme); err != nil || place != nil {
		t.Fatalf("asks from %q with room, %v", place, err)
	}
	if got := m.take(t, nil, first); got.Stored != 2 || got.LeftOut > 0 {
		t.Errorf("%+v", got)
	}
	if kept := m.kept(t); kept != (catalog.Kept{Offerings: 5}) {
		t.Errorf("%+v", kept)
	}
	if place, err := m.reader.Place(t.Context(), acme); err != nil || string(place) != "1" {
		t.Errorf("asks again from %q, %v", place, err)
	}
}

func (m member) kept(t testing.TB) (k catalog.Kept) {
	t.Helper()
	if err := m.work.View(t.Context(), func(tx catalog.Tx) (err error) { k, err = tx.Catalog().Kept(acme); return err }); err != nil {
		t.Fatal(err)
	}
	return k
}

// TestADocumentOfTooManyValuesIsRefused, however they are put.
func TestADocumentOfTooManyValuesIsRefused(t *testing.T) {
	t.Parallel()
	for name, values := range map[string]string{
		"numbers": strings.Repeat("1,", 20_000) + "1", "lists": strings.Repeat("[],", 20_000) + "[]", "objects": strings.Repeat("{},", 20_000) + "{}",
	} {
		raw := []byte(`{"id":"a","revision":1,"inputs":{"enum":[` + values + `]}}`)
		if _, err := catalog.DecodeDocument(raw); err == nil || !strings.Contains(err.Error(), "20000 values") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// interrupted is a unit of work in which something happens before bulk work begins; documents counts what is read of them in it.
type interrupted struct {
	unit.Work[catalog.Tx]
	before    func()
	documents *int
}

type interruptedTx struct {
	catalog.Tx
	documents *int
}

type interruptedCatalog struct {
	catalog.Store
	documents *int
}

func (i interrupted) Bulk(ctx context.Context, n int, fn func(catalog.Tx, int) error) error {
	i.before()
	return i.Work.Bulk(ctx, n, func(tx catalog.Tx, step int) error { return fn(interruptedTx{tx, i.documents}, step) })
}

func (tx interruptedTx) Catalog() catalog.Store {
	return interruptedCatalog{tx.Tx.Catalog(), tx.documents}
}

func (c interruptedCatalog) CurrentOf(ids []string) ([]catalog.Offering, error) {
	*c.documents += len(ids)
	return c.Store.CurrentOf(ids)
}

// TestACatalogIsPublishedAsItIsByThen, and the writer reads no more of it than what was changed since it was listed.
func TestACatalogIsPublishedAsItIsByThen(t *testing.T) {
	t.Parallel()
	const late = "https://late.localhost"
	m := newMember(t)
	var file strings.Builder
	for i := range 40 {
		file.WriteString(offering(fmt.Sprintf("o-%02d", i), "orderable", "1"))
	}
	m.apply(t, file.String())
	key := m.agree(t, late, "EUR", agreement.Active)
	documents := 0
	publisher := *m.Service
	publisher.Work = interrupted{m.work, func() {
		m.apply(t, offering("o-03", "orderable", "2")+offering("o-17", "endOfSale", "1"))
		m.apply(t, offering("o-17", "endOfSupport", "1"))
	}, &documents}
	if err := publisher.Publish(t.Context(), job.Job{Kind: agreement.JobPublish, Partner: late, Key: key}); err != nil {
		t.Fatal(err)
	}
	if documents != 2 {
		t.Errorf("%d offerings were read again, want the 2 that were changed", documents)
	}
	items := m.page(t, late, nil, 0).Items
	if len(items) != 40 {
		t.Errorf("%d are published", len(items))
	}
	for _, it := range items {
		want := catalog.Change{OfferingID: it.OfferingID, Revision: 1}
		switch it.OfferingID {
		case "o-03":
			want.Revision = 2
		case "o-17":
			want.Revision, want.Tombstone = 3, true
		}
		it.Document, it.Digest = nil, [32]byte{}
		if diff := cmp.Diff(want, it); diff != "" {
			t.Error(diff)
		}
	}
}
