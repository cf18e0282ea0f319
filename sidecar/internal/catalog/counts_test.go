package catalog_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

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
				m := openMember(t, true)
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
				m := openMember(t, true)
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
			m := openMember(t, true)
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
	m := openMember(t, true)
	m.Work = &failing{m.work, 2}
	if _, _, err := m.Apply(t.Context(), []byte(file.String()), catalog.Options{}); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	m.Work = m.work
	if got := len(m.page(t, acme, nil, 0).Items); got != 32 {
		t.Errorf("%d are published after two batches", got)
	}
	// A check says what is left, in the order in which it would be written.
	left, _, err := m.Apply(t.Context(), []byte(file.String()), catalog.Options{DryRun: true})
	if err != nil || left.Counts != (catalog.Counts{Created: 18, Unchanged: 32}) || left.Changes[0].ID != "o-00032" {
		t.Errorf("left %+v, %v", left, err)
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
	m := openMember(t, true)
	m.reader.MaxOfferings = 3
	first := numbered(t, "1", 0, 5, 1)
	first.SnapshotBegin, first.SnapshotEnd = true, true
	if got := m.take(t, nil, first); got.Stored != 3 || got.LeftOut[catalog.Offerings] != 2 || got.Full != catalog.Offerings || len(got.Refused) > 0 {
		t.Fatalf("%+v", got)
	}
	if got := m.take(t, []byte("1"), numbered(t, "2", 4, 5, 2)); got.LeftOut[catalog.Offerings] != 1 || got.Full != "" {
		t.Errorf("the second time: %+v", got)
	}
	if kept := m.kept(t); kept.Offerings != 3 || kept.LeftOut.Changes != 3 {
		t.Errorf("%+v", kept)
	}
	if place, err := m.reader.Place(t.Context(), acme); err != nil || string(place) != "2" {
		t.Fatalf("asks from %q without room, %v", place, err)
	}
	m.reader.MaxOfferings = 10
	if place, err := m.reader.Place(t.Context(), acme); err != nil || place != nil {
		t.Fatalf("asks from %q with room, %v", place, err)
	}
	if got := m.take(t, nil, first); got.Stored != 2 || len(got.LeftOut) > 0 {
		t.Errorf("%+v", got)
	}
	if kept := m.kept(t); kept.Offerings != 5 || kept.LeftOut != (catalog.LeftOut{}) {
		t.Errorf("%+v", kept)
	}
	if place, err := m.reader.Place(t.Context(), acme); err != nil || string(place) != "1" {
		t.Errorf("asks again from %q, %v", place, err)
	}
}

// TestAPartnerThatSellsAndWithdrawsForEverLeavesNothing, whichever way its offerings go: what is remembered of them is bounded, and has
// nothing of their texts.
func TestAPartnerThatSellsAndWithdrawsForEverLeavesNothing(t *testing.T) {
	t.Parallel()
	const most, each = 50, 40
	for name, goes := range map[string]func(t *testing.T, round int) catalog.Page{
		"by tombstones": func(t *testing.T, round int) catalog.Page {
			return tombstones(round*each, (round+1)*each)
		},
		"by a snapshot without them": func(t *testing.T, round int) catalog.Page {
			return catalog.Page{SnapshotBegin: true, SnapshotEnd: true}
		},
		"by what cannot be read": func(t *testing.T, round int) catalog.Page {
			p := unreadable(t, round*each, (round+1)*each)
			for i := range p.Items {
				p.Items[i].Revision = 2
			}
			return p
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := openMember(t, true)
			m.reader.MaxGone = most
			var cursor []byte
			for round := range 6 {
				page := numbered(t, fmt.Sprint("sold ", round), round*each, (round+1)*each, 1)
				m.take(t, cursor, page)
				last := goes(t, round)
				last.Cursor = fmt.Append(nil, "gone ", round)
				if got := m.take(t, page.Cursor, last); got.Removed != each {
					t.Fatalf("%+v", got)
				}
				cursor = last.Cursor
			}
			rows, documents := 0, 0
			err := m.work.View(t.Context(), func(tx catalog.Tx) error {
				all, err := tx.Catalog().ForeignChanged(0, 1000)
				for _, f := range all {
					rows++
					documents += len(f.Document)
				}
				return err
			})
			if err != nil || rows != most || documents != 0 {
				t.Errorf("%d rows are left, with %d bytes of documents, %v", rows, documents, err)
			}
			if kept := m.kept(t); kept != (catalog.Kept{Gone: most}) {
				t.Errorf("counted %+v", kept)
			}
			// What is remembered goes no way back; what is not may come anew.
			back := numbered(t, "back", 0, 1, 1)
			if got := m.take(t, cursor, back); got.Stored != 1 || len(got.Refused) > 0 {
				t.Errorf("what was forgotten comes as %+v", got)
			}
		})
	}
}

// TestASnapshotIsResumedOverWhatIsForgotten: the cursor stands inside it, and what went is as it was.
func TestASnapshotIsResumedOverWhatIsForgotten(t *testing.T) {
	t.Parallel()
	m := openMember(t, true)
	m.reader.MaxGone = 1
	m.take(t, nil, numbered(t, "0", 0, 10, 1))
	first := numbered(t, "1", 0, 3, 1)
	first.SnapshotBegin = true
	m.take(t, []byte("0"), first)
	gone := tombstones(3, 6) // within the snapshot; two of them are forgotten
	gone.Cursor = []byte("2")
	m.take(t, []byte("1"), gone)
	last := numbered(t, "3", 5, 8, 2) // one that went comes again
	last.SnapshotEnd = true
	m.take(t, []byte("2"), last)
	if got := m.shown(t); got != "o-00000@1 o-00001@1 o-00002@1 o-00005@2 o-00006@2 o-00007@2" {
		t.Errorf("shown %q", got)
	}
	if kept := m.kept(t); kept.Offerings != 6 || kept.Gone != 1 {
		t.Errorf("counted %+v", kept)
	}
}

// sized is a page of one offering whose document has so many bytes.
func sized(t testing.TB, cursor, id string, revision, bytes int) catalog.Page {
	t.Helper()
	p := published(t, fields{"id": id, "revision": revision})
	doc := p.Items[0].Document
	if len(doc) > bytes {
		t.Fatalf("a document has at least %d bytes", len(doc))
	}
	doc = append(doc, blanks(bytes-len(doc))...)
	p.Items[0].Document, p.Items[0].Digest, p.Cursor = doc, sha256.Sum256(doc), []byte(cursor)
	return p
}

// blanks may stand behind a JSON object.
func blanks(n int) []byte { return []byte(strings.Repeat(" ", n)) }

// TestDocumentsAreKeptUpToSoManyBytes: whatever a page makes longer, shorter, removes or brings back is charged as the rows are.
func TestDocumentsAreKeptUpToSoManyBytes(t *testing.T) {
	t.Parallel()
	const k = 1000
	gone := func(id string, revision int64) func(*testing.T) catalog.Page {
		return func(*testing.T) catalog.Page {
			return catalog.Page{Items: []catalog.Change{{OfferingID: id, Revision: revision, Tombstone: true}}}
		}
	}
	sells := func(id string, revision, bytes int) func(*testing.T) catalog.Page {
		return func(t *testing.T) catalog.Page { return sized(t, "", id, revision, bytes) }
	}
	m := openMember(t, true)
	m.reader.MaxBytes = 10 * k
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	m.reader.Now = func() time.Time { return now }
	asks := map[string]bool{"one goes": true, "it goes again": true, "what was left out fits": true}
	cursor := []byte(nil)
	for i, step := range []struct {
		name  string
		page  func(*testing.T) catalog.Page
		shown string
		bytes int64
		full  catalog.Bound
		left  catalog.LeftOut
	}{
		{"one", sells("a", 1, 4*k), "a@1", 4 * k, "", catalog.LeftOut{}},
		{"another", sells("b", 1, 4*k), "a@1 b@1", 8 * k, "", catalog.LeftOut{}},
		{"the same again", sells("b", 1, 4*k), "a@1 b@1", 8 * k, "", catalog.LeftOut{}},
		{"one too large", sells("c", 1, 3*k), "a@1 b@1", 8 * k, catalog.Bytes, catalog.LeftOut{Changes: 1, Bytes: 3 * k, Least: 3 * k}},
		{"it is changed", sells("c", 2, 5*k/2), "a@1 b@1", 8 * k, "", catalog.LeftOut{Changes: 2, Bytes: 11 * k / 2, Least: 5 * k / 2}},
		{"one that fits exactly", sells("d", 1, 2*k), "a@1 b@1 d@1", 10 * k, "", catalog.LeftOut{Changes: 2, Bytes: 11 * k / 2, Least: 5 * k / 2}},
		{"a revision that is shorter", sells("b", 2, 3*k), "a@1 b@2 d@1", 9 * k, "", catalog.LeftOut{Changes: 2, Bytes: 11 * k / 2, Least: 5 * k / 2}},
		{"one that is longer and fits", sells("a", 2, 5*k), "a@2 b@2 d@1", 10 * k, "", catalog.LeftOut{Changes: 2, Bytes: 11 * k / 2, Least: 5 * k / 2}},
		{"one that does not: what we have is not sold", sells("d", 2, 3*k), "a@2 b@2", 8 * k, "", catalog.LeftOut{Changes: 3, Bytes: 17 * k / 2, Least: 5 * k / 2}},
		{"the same again", sells("d", 2, 3*k), "a@2 b@2", 8 * k, "", catalog.LeftOut{Changes: 4, Bytes: 23 * k / 2, Least: 5 * k / 2}},
		{"one goes", gone("a", 2), "b@2", 3 * k, "", catalog.LeftOut{Changes: 4, Bytes: 23 * k / 2, Least: 5 * k / 2}},
		{"it goes again", gone("a", 3), "b@2", 3 * k, "", catalog.LeftOut{Changes: 4, Bytes: 23 * k / 2, Least: 5 * k / 2}},
		{"what was left out fits", sells("d", 2, 3*k), "b@2 d@2", 6 * k, "", catalog.LeftOut{Changes: 4, Bytes: 23 * k / 2, Least: 5 * k / 2}},
		{"all anew", func(t *testing.T) catalog.Page {
			p := sized(t, "", "c", 2, 5*k/2)
			p.SnapshotBegin, p.SnapshotEnd = true, true
			return p
		}, "c@2", 5 * k / 2, "", catalog.LeftOut{}},
	} {
		page := step.page(t)
		page.Cursor = fmt.Append(nil, i)
		got := m.take(t, cursor, page)
		cursor = page.Cursor
		if shown := m.shown(t); shown != step.shown || got.Full != step.full || len(got.Refused) > 0 {
			t.Errorf("%s: shown %q, want %q: %+v", step.name, shown, step.shown, got)
		}
		if kept := m.kept(t); kept.Bytes != step.bytes || kept.LeftOut != step.left {
			t.Errorf("%s: counted %+v, want %d bytes and %+v", step.name, kept, step.bytes, step.left)
		}
		if step.name == "all anew" {
			continue
		}
		if place, err := m.reader.Place(t.Context(), acme); err != nil || (place == nil) != asks[step.name] {
			t.Errorf("%s: asks from %q, %v", step.name, place, err)
		} else if place == nil { // as if it had not been asked
			now = now.Add(time.Minute)
			if err := m.work.Do(t.Context(), func(tx catalog.Tx) error { return tx.Cursors().SetCursor(acme, catalog.FeedCursor, cursor) }); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestWhatWasLeftOutIsAskedForOnceThereIsRoom: at once where there is for all of it, and not over and over where a catalog is at its bound.
func TestWhatWasLeftOutIsAskedForOnceThereIsRoom(t *testing.T) {
	t.Parallel()
	const most = 100
	m := openMember(t, true)
	m.reader.MaxOfferings = most
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	m.reader.Now = func() time.Time { return now }
	cursor, n := []byte(nil), 0
	take := func(page catalog.Page) catalog.Applied {
		n++
		page.Cursor = fmt.Append(nil, n)
		got := m.take(t, cursor, page)
		cursor = page.Cursor
		return got
	}
	asks := func() bool {
		t.Helper()
		place, err := m.reader.Place(t.Context(), acme)
		if err != nil || place != nil && string(place) != string(cursor) {
			t.Fatalf("%q, %v", place, err)
		}
		cursor = place
		return place == nil
	}
	if asked := asks(); !asked {
		t.Fatal("a first time asks from somewhere")
	}
	all := numbered(t, "", 0, most+3, 1)
	all.SnapshotBegin, all.SnapshotEnd = true, true
	if got := take(all); got.LeftOut[catalog.Offerings] != 3 || got.Again || asks() {
		t.Fatalf("three have no room: %+v", got)
	}
	if got := take(tombstones(0, 2)); got.Again {
		t.Error("two of three have room, and it is asked for within the stream")
	}
	if got := take(tombstones(2, 3)); !got.Again {
		t.Error("all have room, and it is not asked for at once")
	}
	if !asks() {
		t.Error("it is not asked for")
	}
	rest := numbered(t, "", 3, most+3, 1)
	rest.SnapshotBegin, rest.SnapshotEnd = true, true
	if got := take(rest); got.Stored != 3 || got.Again || asks() {
		t.Errorf("the three come as %+v", got)
	}
	// Each replaces another from now on, the new one first.
	rounds := 0
	for i := range 20 {
		if got := take(numbered(t, "", most+3+i, most+4+i, 1)); got.LeftOut[catalog.Offerings] != 1 {
			t.Fatalf("%+v", got)
		}
		again := take(tombstones(3+i, 4+i)).Again
		asked := asks()
		if again && !asked {
			t.Errorf("round %d: told to ask, and it does not", i)
		}
		if asked {
			rounds++
			whole := numbered(t, "", 4+i, most+4+i, 1)
			whole.SnapshotBegin, whole.SnapshotEnd = true, true
			take(whole)
		}
		now = now.Add(6 * time.Second)
		if !asked { // its next revision finds room
			take(numbered(t, "", most+3+i, most+4+i, 1))
		}
	}
	if rounds < 1 || rounds > 2 {
		t.Errorf("a catalog of %d offerings is read %d times in two minutes", most, rounds)
	}
	// Room by a higher bound is found after the start that it takes.
	take(numbered(t, "", 500, 505, 1))
	m.reader = &catalog.Reader{Work: m.work, Schemas: m.reader.Schemas, Now: m.reader.Now, MaxOfferings: most + 1}
	if !asks() {
		t.Error("a higher bound asks for nothing")
	}
}

// TestWhatIsLeftOutIsCountedOnce, however often the end of a snapshot is cut off and comes again.
func TestWhatIsLeftOutIsCountedOnce(t *testing.T) {
	t.Parallel()
	m := openMember(t, true)
	m.reader.MaxOfferings = 25
	first := numbered(t, "1", 0, 20, 1)
	first.SnapshotBegin = true
	m.take(t, nil, first)
	last := numbered(t, "2", 30, 40, 1)
	last.SnapshotEnd = true
	for kill := range 2 {
		m.reader.Work = &failing{m.work, kill}
		if _, err := m.reader.ApplyPage(t.Context(), acme, first.Cursor, last); !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
	}
	m.reader.Work = m.work
	m.take(t, first.Cursor, last)
	kept := m.kept(t)
	size := int64(len(last.Items[0].Document))
	if kept.Offerings != 25 || kept.LeftOut != (catalog.LeftOut{Changes: 5, Bytes: 5 * size, Least: size}) {
		t.Errorf("counted %+v", kept)
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
	m := openMember(t, true)
	var file strings.Builder
	for i := range 40 {
		file.WriteString(offering(fmt.Sprintf("o-%02d", i), "orderable", "1"))
	}
	m.apply(t, file.String())
	key := m.agree(t, late, "EUR", agreement.Active)
	documents := 0
	publisher := &catalog.Service{Self: m.Service.Self, Now: m.Service.Now, CheckStep: m.Service.CheckStep}
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
