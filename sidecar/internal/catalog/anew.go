package catalog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// floorFeed is where the cursor store keeps, under our own origin, from which numbers revisions went on each time that our store was put back, or
// that a reader's cursor said more: 8 bytes each, the last of them the least number that a next revision may have.
const floorFeed = "catalog.floor"

// lifeFeed is where it keeps beside that which life the feeds began then. If they have another one now, the store is in doubt once more, also
// where no process saw it go back: an operator accepted another server.
const lifeFeed = "catalog.floor.life"

const (
	// slowClock is how far our clock may be behind the one that our ledgers were written by, another replica's maybe.
	slowClock = time.Hour
	// setBack is how far above all that is known to have been used numbers go on where our clock does not say it: a number a second for 12 days.
	setBack = 1 << 20
)

// JobNumber has what is on offer go on above what a reseller has of a store that was lost; its key is the least number of a next revision.
const JobNumber = "catalog.number"

// numbering is how far this process has come with numbering the revisions of a copy anew. What it has not seen itself it does again: a copy
// that was put back half numbered may have lost what was sold after that.
type numbering struct {
	mu sync.Mutex
	numbered
	// copy is the one that it is about: see copies.
	copy int64
	// copies counts those that were put back under this process.
	copies atomic.Int64
}

// numbered is how far all that is on offer has its number.
type numbered struct {
	// floor is where it begins, 0 before it has; after is the last offering that has its number; done says that all have.
	floor int64
	after string
	done  bool
}

// Anew is told that another copy of the database was put back under this process.
func (s *Service) Anew() { s.anew.copies.Add(1) }

// PutBack has the revisions of a store that was put back go on above all that its partners may have read of those that it lost: by the time in
// seconds, which nobody counted up to, or what our own ledgers know of it where our clock is behind that. What is on offer gets such a revision at
// once, of the same text; an offering so large that the longer number has no room in it stays as it is. The feeds begin anew too: a
// partner may have read on beyond their end, where the same numbers say something else now. It is done once for each copy: one from before has
// lost the floor too, and of another server that was accepted the feeds began anew since. What is cut short goes on where it was at the next call.
func (s *Service) PutBack(ctx context.Context, _ string) error {
	s.anew.mu.Lock()
	defer s.anew.mu.Unlock()
	if err := s.begin(ctx); err != nil {
		return fmt.Errorf("number revisions anew: %w", err)
	}
	if err := s.number(ctx, &s.anew.numbered); err != nil {
		return fmt.Errorf("number revisions anew: %w", err)
	}
	return nil
}

// goAbove has revisions go on above one that a partner has of a store before this one, and which neither the clock nor our ledgers spoke of: the
// clock by which that store was put back itself was ahead, say. All partners read what is on offer under its next number, as soon as it has it.
func (s *Service) goAbove(ctx context.Context, partner string, lost int64) error {
	return s.Work.Do(ctx, func(tx Tx) error {
		before, err := Floor(tx.Cursors(), s.Self)
		if err != nil || before > lost {
			return err
		}
		floor := s.Now().Unix()
		if floor <= lost {
			floor = lost + setBack
		}
		if err := goOn(tx, s.Self, floor); err != nil {
			return err
		}
		return tx.Jobs().At(JobNumber, strconv.FormatInt(floor, 10), partner, s.Now())
	})
}

// putBackAwaited says that PutBack has to come yet, and renews the feeds then: readers come back with what their cursors say. To go on above it
// before that would be to number everything twice.
func (s *Service) putBackAwaited(tx Tx) (bool, error) {
	life, err := tx.Catalog().FeedEpoch("")
	if err != nil {
		return false, err
	}
	numbered, err := tx.Cursors().Cursor(s.Self, lifeFeed)
	if err != nil || life == string(numbered) {
		return false, err
	}
	uneven, err := tx.Ledger().Uneven()
	if err != nil {
		return false, err
	}
	for partner := range uneven {
		books, err := tx.Ledger().Books(partner)
		if err != nil {
			return false, err
		}
		if books.PutBack() && books.Reason != ledger.ReasonMissing { // which speaks of one partner, and may wait for an operator for ever
			return true, nil
		}
	}
	return false, nil
}

// Number is the handler of JobNumber.
func (s *Service) Number(ctx context.Context, j job.Job) error {
	if err := s.number(ctx, &numbered{}); err != nil {
		return fmt.Errorf("number revisions from %s on: %w", j.Key, err)
	}
	return nil
}

// begin finds where the numbers of this copy go on, unless this process has.
func (s *Service) begin(ctx context.Context) error {
	n := &s.anew
	latest := n.copies.Load()
	var floor int64
	var same bool
	err := s.Work.View(ctx, func(tx Tx) (err error) {
		if floor, err = Floor(tx.Cursors(), s.Self); err != nil {
			return err
		}
		numbered, err := tx.Cursors().Cursor(s.Self, lifeFeed)
		if err != nil {
			return err
		}
		life, err := tx.Catalog().FeedEpoch("")
		same = n.floor > 0 && n.copy == latest && floor >= n.floor && life == string(numbered)
		return err
	})
	if err != nil {
		return err
	}
	if same {
		if floor > n.floor { // another replica went on from there, and may not have come to the end
			n.numbered = numbered{floor: floor}
		}
		return nil
	}
	err = s.Work.Do(ctx, func(tx Tx) error {
		before, err := Floor(tx.Cursors(), s.Self)
		if err != nil {
			return err
		}
		told, err := lastTold(tx)
		if err != nil {
			return err
		}
		if err := tx.Catalog().RenewFeeds(); err != nil {
			return err
		}
		life, err := tx.Catalog().FeedEpoch("")
		if err != nil {
			return err
		}
		if err := tx.Cursors().SetCursor(s.Self, lifeFeed, []byte(life)); err != nil {
			return err
		}
		floor = nextFloor(s.Now().Unix(), before, told)
		return goOn(tx, s.Self, floor)
	})
	if err != nil {
		return err
	}
	n.numbered, n.copy = numbered{floor: floor}, latest
	return nil
}

// nextFloor is above all numbers that were used: the time now; before, where they went on last; and told, when our ledgers were last written to
// by the clock of then. A clock that is far behind those was set back, and nobody knows how far it had come. One that has not come beyond where
// they went on last says nothing of how many were used since: whoever only learns of the same copy later, by a clock that is behind, takes more
// than it needs.
func nextFloor(now, before, told int64) int64 {
	known := max(before, told)
	if now <= before || known-now > int64(slowClock/time.Second) {
		return known + setBack
	}
	return max(now, known)
}

// lastTold is when, by our own clock, the newest entry of our ledgers was written.
func lastTold(tx Tx) (newest int64, err error) {
	partners, err := tx.Ledger().Kept()
	if err != nil {
		return 0, err
	}
	for _, partner := range partners {
		head, err := tx.Ledger().Head(partner, ledger.Own)
		if err != nil {
			return 0, err
		}
		if head.Seq == 0 {
			continue
		}
		e, err := tx.Ledger().Entry(partner, ledger.Own, head.Position())
		if err != nil {
			return 0, err
		}
		newest = max(newest, e.At.Unix()+1)
	}
	return newest, nil
}

// number gives all that is on offer its number.
func (s *Service) number(ctx context.Context, n *numbered) error {
	for !n.done {
		if err := unit.Fresh(func() error { return s.numberPage(ctx, n) }); err != nil {
			return err
		}
	}
	return nil
}

// numberPage gives the next offerings their numbers: all from the beginning, where they go on from a higher one meanwhile.
func (s *Service) numberPage(ctx context.Context, n *numbered) error {
	var page []Offering
	var at numbered
	err := s.Work.View(ctx, func(tx Tx) error {
		floor, err := Floor(tx.Cursors(), s.Self)
		if err != nil {
			return err
		}
		if at = *n; floor > at.floor {
			at = numbered{floor: floor}
		}
		page, err = tx.Catalog().List(at.after, publishPage)
		return err
	})
	if err != nil {
		return err
	}
	*n = at
	p := plan{Service: s, floor: n.floor}
	for _, o := range page {
		if o.Revision >= p.floor {
			continue
		}
		doc, err := Known(o.Document)
		if err != nil {
			return fmt.Errorf("offering %s revision %d: %w", o.ID, o.Revision, err)
		}
		if _, err := p.put(o, doc, o.Binding, o.Source); err != nil && !errors.Is(err, errTooLarge) {
			return fmt.Errorf("offering %s: %w", o.ID, err)
		}
	}
	if err := s.write(ctx, p.todo); err != nil {
		if fault.ReasonOf(err) == offeringChanged { // by an operator meanwhile: read again
			return fmt.Errorf("%w: %w", unit.ErrStale, err)
		}
		return err
	}
	if n.done = len(page) < publishPage; !n.done {
		n.after = page[len(page)-1].ID
	}
	return nil
}

// goOn has numbers go on from a floor.
func goOn(tx Tx, self string, floor int64) error {
	kept, err := tx.Cursors().Cursor(self, floorFeed)
	if err != nil {
		return err
	}
	return tx.Cursors().SetCursor(self, floorFeed, binary.BigEndian.AppendUint64(kept, uint64(floor)))
}

// Floor is the least number that the next revision of an offering may have; 0 where our store was never put back.
func Floor(cursors CursorStore, self string) (int64, error) {
	floors, err := Floors(cursors, self)
	if err != nil || len(floors) == 0 {
		return 0, err
	}
	return floors[len(floors)-1], nil
}

// Floors are the numbers from which revisions went on, each time that our store was put back or a reader's cursor said more, in order.
func Floors(cursors CursorStore, self string) (floors []int64, err error) {
	raw, err := cursors.Cursor(self, floorFeed)
	for ; len(raw) >= 8; raw = raw[8:] {
		floors = append(floors, int64(binary.BigEndian.Uint64(raw)))
	}
	return floors, err
}

const offeringChanged = "offering_changed"

// putRevisions stores next revisions; fault.Conflict, offering_changed, where numbers went on from another one since they were planned.
func putRevisions(tx Tx, changes []change, floor int64) error {
	next := make([]Next, len(changes))
	for i, c := range changes {
		if c.Revision < floor {
			return fault.New(fault.Conflict, offeringChanged, "revision %d of offering %s was planned before this store was put back: numbers go on from %d", c.Revision, c.ID, floor).
				Do("apply the file again")
		}
		next[i] = Next{c.Offering, c.after}
	}
	return tx.Catalog().PutRevisions(next)
}
