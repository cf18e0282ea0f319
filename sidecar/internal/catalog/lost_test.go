package catalog_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
)

// newSupplier is a member whose cursors only those with its key can have given.
func newSupplier(t *testing.T, key string) member {
	t.Helper()
	m := newMember(t)
	m.CursorKey = []byte(key)
	return m
}

// read takes over all that a supplier has to say, from where the reader stands, and returns the reasons of what was refused.
func (m member) read(t *testing.T, from member) (refused []string) {
	t.Helper()
	for {
		at, err := m.reader.At(t.Context(), acme)
		if err != nil {
			t.Fatal(err)
		}
		p := from.page(t, acme, at, 0)
		for _, r := range m.take(t, at, p).Refused {
			refused = append(refused, r.Reason)
		}
		if len(p.Items) == 0 && !p.SnapshotBegin {
			return refused
		}
	}
}

// number does the jobs that have offerings go on above what a reseller has, and returns their keys.
func (m member) number(t *testing.T) (keys string) {
	t.Helper()
	var all []job.Job
	if err := m.work.View(t.Context(), func(tx catalog.Tx) (err error) { all, err = tx.Jobs().List(100); return err }); err != nil {
		t.Fatal(err)
	}
	for _, j := range all {
		if j.Kind != catalog.JobNumber {
			continue
		}
		if err := m.Number(t.Context(), j); err != nil {
			t.Fatal(err)
		}
		if err := m.work.Do(t.Context(), func(tx catalog.Tx) error { return tx.Jobs().Drop(j.Kind, j.Key, j.Partner) }); err != nil {
			t.Fatal(err)
		}
		keys += j.Partner + " " + j.Key + "\n"
	}
	return keys
}

// priced is the amount that the reader shows of an offering.
func (m member) priced(t *testing.T, id string) string {
	t.Helper()
	var f catalog.Foreign
	if err := m.work.View(t.Context(), func(tx catalog.Tx) (err error) { f, err = tx.Catalog().Foreign(acme, id); return err }); err != nil {
		t.Fatal(err)
	}
	_, amount, _ := strings.Cut(string(f.Document), `"amount":"`)
	amount, _, _ = strings.Cut(amount, `"`)
	return amount
}

// TestNumbersGoOnAboveWhatAResellerHasOfALostStore: by a clock that was ahead they had come further than ours, and neither it nor a ledger says so.
// The reseller's cursor does, whatever was done before it came.
func TestNumbersGoOnAboveWhatAResellerHasOfALostStore(t *testing.T) {
	t.Parallel()
	for name, made := range map[string]func(m member){
		"that comes before anything is on offer": func(member) {},
		"that comes while numbers are the first": func(m member) { m.apply(t, offering("a", "orderable", "2")) },
		"that comes after numbering anew":        func(m member) { m.apply(t, offering("a", "orderable", "2")); m.putBack(t) },
		"that comes after a change since": func(m member) {
			m.apply(t, offering("a", "orderable", "1"))
			m.putBack(t)
			m.apply(t, offering("a", "orderable", "2"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lost, m, reseller := newSupplier(t, "key"), newSupplier(t, "key"), newMember(t)
			lost.apply(t, offering("a", "orderable", "1"))
			ahead := lost.Now().Add(40 * time.Second)
			lost.Service.Now = func() time.Time { return ahead }
			lost.putBack(t)
			reseller.read(t, lost)
			if had := reseller.shown(t); had != "a@"+unix(ahead) {
				t.Fatalf("of the store that is lost it has %s", had)
			}

			made(m)
			reseller.read(t, m)
			m.apply(t, offering("a", "orderable", "2"))
			m.number(t)
			reseller.read(t, m)
			if got := reseller.priced(t, "a"); got != "2" {
				t.Errorf("it shows %s at %s, and %v is on offer", reseller.shown(t), got, m.revisions(t))
			}
			m.apply(t, offering("a", "orderable", "3"))
			if refused := reseller.read(t, m); len(refused) > 0 || reseller.priced(t, "a") != "3" {
				t.Errorf("the next change is refused as %q, it shows %s", refused, reseller.priced(t, "a"))
			}
			if again := m.number(t); again != "" {
				t.Errorf("a reader that has read all has numbers go on: %s", again)
			}
		})
	}
}

func unix(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }

// TestOneRaiseIsEnoughForAll: partners who read less, or a little more, of the store that was lost.
func TestOneRaiseIsEnoughForAll(t *testing.T) {
	t.Parallel()
	lost, m := newSupplier(t, "key"), newSupplier(t, "key")
	ahead := lost.Now().Add(time.Hour)
	lost.Service.Now = func() time.Time { return ahead }
	lost.apply(t, offering("a", "orderable", "1"))
	lost.putBack(t)
	cursors := [][]byte{lost.page(t, acme, nil, 0).Cursor}
	for _, amount := range []string{"2", "3", "4"} {
		lost.apply(t, offering("a", "orderable", amount))
		cursors = append(cursors, lost.page(t, acme, nil, 0).Cursor)
	}
	m.apply(t, offering("a", "orderable", "5"))
	m.putBack(t)
	var done string
	for _, i := range []int{1, 0, 3, 2, 3} {
		m.page(t, acme, cursors[i], 0)
		done += m.number(t)
	}
	if n := strings.Count(done, "\n"); n != 1 {
		t.Errorf("numbers went on %d times: %q", n, done)
	}
	if got, last := m.revisions(t)["a"], lost.revisions(t)["a"]; got <= last {
		t.Errorf("they go on from %d, and went to %d before", got, last)
	}
}

// TestNumbersGoOnForNobodyElse: what a reader made up, what was given to somebody else, and what is not above our numbers.
func TestNumbersGoOnForNobodyElse(t *testing.T) {
	t.Parallel()
	lost, m, other := newSupplier(t, "key"), newSupplier(t, "key"), newSupplier(t, "other key")
	for _, of := range []member{lost, m, other} {
		ahead := of.Now().Add(time.Hour)
		of.Service.Now = func() time.Time { return ahead }
		of.apply(t, offering("a", "orderable", "1"))
		of.putBack(t)
	}
	theirs := lost.page(t, acme, nil, 0).Cursor
	now := m.Now().Add(time.Minute)
	m.Service.Now = func() time.Time { return now }
	m.Anew()
	m.putBack(t)
	forged := bytes.Clone(theirs)
	forged[11] ^= 1 // of the number
	before := m.revisions(t)["a"]
	for name, cursor := range map[string][]byte{
		"of a lesser number": theirs, "that was changed": forged, "of another key": other.page(t, acme, nil, 0).Cursor,
		"of the first version": append([]byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 9}, "ffffffffffffffffffffffffffffffff"...),
	} {
		if p := m.page(t, acme, cursor, 0); !p.SnapshotBegin {
			t.Errorf("a cursor %s begins no snapshot", name)
		}
	}
	if p := m.page(t, dell, theirs, 0); !p.SnapshotBegin {
		t.Error("another partner's cursor begins no snapshot")
	}
	if went := m.number(t); went != "" || m.revisions(t)["a"] != before {
		t.Errorf("numbers went on: %q, %v", went, m.revisions(t))
	}
}

// TestACursorInsideASnapshotRemembers what its reader has of the store before, for a store that is lost again.
func TestACursorInsideASnapshotRemembers(t *testing.T) {
	t.Parallel()
	lost, second, third := newSupplier(t, "key"), newSupplier(t, "key"), newSupplier(t, "key")
	ahead := lost.Now().Add(time.Hour)
	lost.Service.Now = func() time.Time { return ahead }
	for _, of := range []member{lost, second, third} {
		of.apply(t, offering("a", "orderable", "1")+offering("b", "orderable", "1"))
	}
	lost.putBack(t)
	read := lost.page(t, acme, nil, 0).Cursor
	begun := second.page(t, acme, read, 1)
	if !begun.SnapshotBegin || begun.SnapshotEnd {
		t.Fatalf("the second store says %s", show(begun))
	}
	third.page(t, acme, begun.Cursor, 0)
	third.number(t)
	if got := third.revisions(t); got["a"] <= ahead.Unix() || got["b"] <= ahead.Unix() {
		t.Errorf("they go on from %v, and went to %d before", got, ahead.Unix())
	}
}

// begin is what a sidecar does with its store before it serves.
func (m member) begin(t *testing.T) {
	t.Helper()
	if err := m.work.Do(t.Context(), func(tx catalog.Tx) error { return tx.Catalog().BeginStretch() }); err != nil {
		t.Fatal(err)
	}
}

// copied is a copy of the store as it is now, and not begun with yet.
func (m member) copied(t *testing.T) member {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hanse.db")
	for _, suffix := range []string{"", "-wal"} {
		raw, err := os.ReadFile(m.own.Path + suffix)
		if err == nil {
			err = os.WriteFile(path+suffix, raw, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	c := memberOf(t, markettest.Config{Path: path, Clock: m.own.Clock})
	c.CursorKey = m.CursorKey
	return c
}

// TestACopyThatNobodyNoticedIsReadAnew: its ledgers end where the partners have them end, only the catalog was changed since it was made.
func TestACopyThatNobodyNoticedIsReadAnew(t *testing.T) {
	t.Parallel()
	all := func(a, b, c string) string {
		return offering("a", "orderable", a) + offering("b", "orderable", b) + offering("c", "orderable", c)
	}
	for name, c := range map[string]struct {
		// restarts: the lost store was begun with again after the copy was made.
		restarts bool
		// then is what the copy has on offer, one after the other, before the reseller comes.
		then []string
	}{
		"while nothing was changed in it":        {then: nil},
		"while it is behind what was read":       {then: []string{all("1", "2", "1")}},
		"once it is as far as what was read":     {then: []string{all("1", "2", "1"), all("1", "3", "1")}},
		"once it is further than what was read":  {then: []string{all("1", "2", "1"), all("1", "3", "1"), all("1", "4", "1"), all("1", "5", "1")}},
		"and was begun with again":               {restarts: true, then: []string{all("1", "2", "1"), all("1", "3", "1")}},
		"and was begun with again, and is short": {restarts: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lost, reseller := newSupplier(t, "key"), newMember(t)
			lost.begin(t)
			lost.apply(t, all("1", "1", "1"))
			reseller.read(t, lost)
			m := lost.copied(t)
			if c.restarts {
				lost.begin(t)
			}
			lost.apply(t, all("2", "1", "1"))
			lost.apply(t, all("2", "1", "2"))
			reseller.read(t, lost)

			m.begin(t)
			on := all("1", "1", "1")
			for _, on = range c.then {
				m.apply(t, on)
			}
			reseller.read(t, m)
			m.number(t)
			reseller.read(t, m)
			got := all(reseller.priced(t, "a"), reseller.priced(t, "b"), reseller.priced(t, "c"))
			if got != on {
				t.Errorf("it shows\n%s\nand on offer is\n%s", got, on)
			}
			if again := m.number(t); again != "" {
				t.Errorf("numbers go on once more: %s", again)
			}
		})
	}
}

// TestAReaderGoesOnOverStarts of a supplier that was never put back, wherever it is.
func TestAReaderGoesOnOverStarts(t *testing.T) {
	t.Parallel()
	m := newSupplier(t, "key")
	m.begin(t)
	var places [][]byte
	for i, amount := range []string{"1", "2", "3", "4"} {
		m.apply(t, offering("a", "orderable", amount)+offering(fmt.Sprintf("b-%d", i), "orderable", "1"))
		at := []byte(nil)
		if i > 0 {
			at = places[len(places)-1]
		}
		p := m.page(t, acme, at, 1)
		places = append(places, p.Cursor, m.page(t, acme, p.Cursor, 0).Cursor)
		for range i {
			m.begin(t)
		}
	}
	for i, at := range places {
		if p := m.page(t, acme, at, 0); p.SnapshotBegin {
			t.Errorf("the reader at %d begins from the beginning", i)
		} else if i == len(places)-1 && (len(p.Items) > 0 || !bytes.Equal(p.Cursor, at)) {
			t.Errorf("the last one is told %s", show(p))
		}
	}
}

// doubted has the books with a partner in doubt, as after hanse restore.
func (m member) doubted(t *testing.T, partner, reason string) {
	t.Helper()
	err := m.work.Do(t.Context(), func(tx catalog.Tx) error {
		_, err := tx.Ledger().PutBooks(ledger.Books{Partner: partner, State: ledger.Unproven, Reason: reason})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestAReaderThatComesBeforePutBackRaisesNothing: what is on offer is numbered once then, by the clock, and again only where the reader has more.
func TestAReaderThatComesBeforePutBackRaisesNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		// ahead is how far the clock of the lost store was ahead of ours.
		ahead time.Duration
		// of and reason are of the books in doubt.
		of, reason string
		// raised says that numbers go on from what the reader has.
		raised, before bool
	}{
		"by a clock as ours":                  {ahead: -time.Second, of: acme, reason: ledger.ReasonRestored},
		"with books of another partner":       {ahead: -time.Second, of: dell, reason: ledger.ReasonRestored},
		"by a clock that was ahead":           {ahead: time.Minute, of: acme, reason: ledger.ReasonRestored, raised: true},
		"where a partner's log is not proved": {ahead: time.Minute, of: dell, reason: ledger.ReasonMissing, raised: true, before: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lost, m, reseller := newSupplier(t, "key"), newSupplier(t, "key"), newMember(t)
			then := lost.Now().Add(c.ahead)
			lost.Service.Now = func() time.Time { return then }
			lost.apply(t, offering("a", "orderable", "1"))
			lost.putBack(t)
			reseller.read(t, lost)

			m.apply(t, offering("a", "orderable", "2"))
			m.doubted(t, c.of, c.reason)
			reseller.read(t, m)
			if early := m.number(t); (early != "") != c.before {
				t.Errorf("numbers go on before the store is known for one that was put back: %q", early)
			}
			if !c.before {
				m.putBack(t)
			}
			reseller.read(t, m)
			if later := m.number(t); (later != "") != (c.raised && !c.before) {
				t.Errorf("numbers go on after it: %q", later)
			}
			reseller.read(t, m)
			want := m.Now().Unix()
			if c.raised {
				want = then.Unix() + 1<<20
			}
			if got := m.revisions(t)["a"]; got != want && !c.before || reseller.priced(t, "a") != "2" {
				t.Errorf("it is numbered %d, want %d, and shown at %s", got, want, reseller.priced(t, "a"))
			}
		})
	}
}

// TestAReaderOfLongAgoReadsAnew, and numbers do not go on for that: nobody knows any more in which stretch it was.
func TestAReaderOfLongAgoReadsAnew(t *testing.T) {
	t.Parallel()
	m := newSupplier(t, "key")
	m.begin(t)
	m.apply(t, offering("a", "orderable", "1"))
	longAgo := m.page(t, acme, nil, 0).Cursor
	m.begin(t)
	m.apply(t, offering("b", "orderable", "1")+offering("c", "orderable", "1"))
	for range 101 {
		m.begin(t)
	}
	m.apply(t, offering("d", "orderable", "1"))
	m.begin(t)
	p := m.page(t, acme, longAgo, 1)
	if went := m.number(t); !p.SnapshotBegin || went != "" {
		t.Errorf("it is told %s, and numbers go on: %q", show(p), went)
	}
	for range 4 { // to whatever change it comes
		if p = m.page(t, acme, p.Cursor, 1); p.SnapshotBegin {
			t.Fatalf("and begins again: %s", show(p))
		}
	}
	if len(p.Items) > 0 || !p.SnapshotEnd && p.More {
		t.Errorf("it does not come to the end: %s", show(p))
	}
}

// TestACursorDoesNotSayHowOftenWeStarted.
func TestACursorDoesNotSayHowOftenWeStarted(t *testing.T) {
	t.Parallel()
	m := newSupplier(t, "key")
	m.apply(t, offering("a", "orderable", "1"))
	var stretch int64
	if err := m.work.View(t.Context(), func(tx catalog.Tx) (err error) { stretch, err = tx.Catalog().FeedStretch(acme, 1); return err }); err != nil {
		t.Fatal(err)
	}
	name := binary.BigEndian.AppendUint64(nil, uint64(stretch))
	if cursor := m.page(t, acme, nil, 0).Cursor; stretch == 0 || bytes.Contains(cursor, name[:4]) && bytes.Contains(cursor, name[4:]) {
		t.Errorf("the cursor %x has the name %x", cursor, name)
	}
}

// TestNumbersThatGoOnMeanwhile are those that a job of before gives too.
func TestNumbersThatGoOnMeanwhile(t *testing.T) {
	t.Parallel()
	m := newSupplier(t, "key")
	m.apply(t, offering("a", "orderable", "1"))
	m.putBack(t)
	first, second := m.Now().Add(time.Minute), m.Now().Add(time.Hour)
	died := errors.New("died")
	raised := func(at time.Time) {
		other := &catalog.Service{Self: self, Work: &between{Work: m.work, before: func(int) error { return died }}, Now: func() time.Time { return at }}
		if err := other.PutBack(t.Context(), acme); !errors.Is(err, died) {
			t.Fatal(err)
		}
	}
	raised(first)
	m.Service.Work = &between{Work: m.work, before: func(batch int) error {
		if batch == 1 {
			raised(second)
		}
		return nil
	}}
	if err := m.Number(t.Context(), job.Job{Key: unix(first)}); err != nil {
		t.Fatal(err)
	}
	if got := m.revisions(t)["a"]; got != second.Unix() {
		t.Errorf("it is numbered %d, want %d", got, second.Unix())
	}
}
