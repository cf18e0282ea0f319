package catalog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/plant"
	"github.com/hanse-market/hanse/sidecar/internal/recipe"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Names under which a reader keeps its place in a partner's feed.
const (
	FeedCursor  = "catalog"
	sweepCursor = "catalog.sweep"
)

// DefaultMaxOfferings is how many offerings of one partner are kept.
const DefaultMaxOfferings = 1_000_000

// DefaultMaxBytes is how many bytes of documents of one partner are kept.
const DefaultMaxBytes = 4 << 30

// DefaultMaxGone is how many tombstones of one partner are kept: at some 300 bytes each.
const DefaultMaxGone = 100_000

// Reader is the reseller's side of the catalog: it applies what a partner's feed brings.
type Reader struct {
	Work    unit.Work[Tx]
	Schemas *recipe.Schemas
	Now     func() time.Time
	// MaxOfferings of one partner; default DefaultMaxOfferings.
	MaxOfferings int64
	// MaxBytes of documents of one partner's offerings; default DefaultMaxBytes.
	MaxBytes int64
	// MaxGone of one partner; default DefaultMaxGone. Of what went before, the revision is not remembered any more.
	MaxGone int64
	// Arrivals are handed what was new; nil is nobody.
	Arrivals *Arrivals

	mu sync.Mutex
	// asked is when a partner's catalog was last asked for anew because there is room: one time for each partner that lacked it.
	asked map[string]time.Time
}

// Refusal is an offering of a page that was not taken over.
type Refusal struct {
	OfferingID string
	Revision   int64
	// Reason: document_invalid, revision_rollback, revision_reused.
	Reason string
	Cause  string
}

// Applied counts what a page did.
type Applied struct {
	Stored  int
	Removed int
	// Refused are those that were not taken over for what they are; LeftOut counts those for which there is no room, by what there is
	// too much of.
	Refused []Refusal
	LeftOut map[Bound]int
	// Full is what there was too much of for the first for which there is no room since the partner's catalog was last read from the
	// beginning, where that is among them; else "".
	Full Bound
	// Again: there is room for all that was left out, and Place says where to ask for it.
	Again bool
}

// Bound is what of a partner's catalog there is a limit on.
type Bound string

// What a partner may have too much of.
const (
	Offerings Bound = "offerings"
	Bytes     Bound = "bytes"
)

// askLeast is how long after a partner's catalog was asked for anew it may be once more, and askPace for each offering of it that is kept:
// reading a large one costs both sides much.
const (
	askLeast = time.Minute
	askPace  = 10 * time.Millisecond
)

// Place is the cursor to ask a partner's feed with, nil for the first time and where there is room for what was left out: which that is,
// only the whole catalog says. For the same room it is asked once in a while, the larger the catalog the more rarely, and after a start
// at once.
func (r *Reader) Place(ctx context.Context, partner string) (place []byte, err error) {
	var kept Kept
	read := func(tx Tx) (err error) {
		if kept, err = tx.Catalog().Kept(partner); err != nil {
			return err
		}
		place, err = tx.Cursors().Cursor(partner, FeedCursor)
		return err
	}
	if err := r.Work.View(ctx, read); err != nil || place == nil {
		return nil, err
	}
	if some, _ := r.room(kept); !some || !r.mayAsk(partner, kept) {
		return place, nil
	}
	err = r.Work.Do(ctx, func(tx Tx) error {
		if err := read(tx); err != nil {
			return err
		}
		if some, _ := r.room(kept); !some {
			return nil
		}
		place = nil
		return tx.Cursors().SetCursor(partner, FeedCursor, nil)
	})
	if err != nil {
		return nil, err
	}
	if place == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.asked == nil {
			r.asked = make(map[string]time.Time)
		}
		r.asked[partner] = r.Now()
	}
	return place, nil
}

// At is where a partner's feed was read up to by now, by whichever replica; nil before the first page.
func (r *Reader) At(ctx context.Context, partner string) (place []byte, err error) {
	err = r.Work.View(ctx, func(tx Tx) (err error) {
		place, err = tx.Cursors().Cursor(partner, FeedCursor)
		return err
	})
	return place, err
}

// room reports whether there is room for the smallest of what was left out, and whether there is for all of it.
func (r *Reader) room(k Kept) (some, all bool) {
	left := k.LeftOut
	some = left.Changes > 0 && k.Offerings < r.Most() && k.Bytes+left.Least <= r.MostBytes()
	return some, some && k.Offerings+left.Changes <= r.Most() && k.Bytes+left.Bytes <= r.MostBytes()
}

// mayAsk reports whether a partner's catalog may be asked for anew already.
func (r *Reader) mayAsk(partner string, kept Kept) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	last, asked := r.asked[partner]
	since := r.Now().Sub(last)
	return !asked || since < 0 || since >= max(askLeast, time.Duration(kept.Offerings)*askPace)
}

// ApplyPage takes over a page that was asked for with the cursor after, and moves the cursor, in one transaction. A page
// whose bytes do not have its digests is refused as a whole (fault.Invalid, digest_mismatch), so is one that another
// reader applied meanwhile (fault.Conflict, cursor_moved). An offering that is wrong in itself is refused alone: a new
// revision that cannot be read hides the offering, since what we have is no longer what is sold. Whether what is kept is sold here,
// under which agreement, is package listing's to say: an agreement may come after the offering. What was applied is told with an error too:
// a snapshot's last page is, before what it did not have is removed.
func (r *Reader) ApplyPage(ctx context.Context, partner string, after []byte, page Page) (Applied, error) {
	if len(page.Items) > MaxPage || len(page.Cursor) == 0 || len(page.Cursor) > 256 {
		return Applied{}, fault.New(fault.Invalid, "page_invalid", "a page has at most %d items and a cursor of 1 to 256 bytes", MaxPage)
	}
	items := make([]item, 0, len(page.Items))
	for _, ch := range page.Items {
		it, err := r.examine(ch, partner)
		if err != nil {
			return Applied{}, fmt.Errorf("catalog page of %s: %w", partner, err)
		}
		items = append(items, it)
	}
	var p pageTx
	err := r.Work.Do(ctx, func(tx Tx) error {
		p = pageTx{Reader: r, tx: tx, partner: partner}
		return p.run(after, page, items)
	})
	if err != nil {
		return Applied{}, fmt.Errorf("catalog page of %s: %w", partner, err)
	}
	r.Arrivals.add(p.arrived)
	if page.SnapshotEnd {
		if err := p.sweepOut(ctx, after, page.Cursor); err != nil {
			return p.applied, fmt.Errorf("catalog page of %s: %w", partner, err)
		}
	}
	_, all := r.room(p.kept)
	p.applied.Again = all && r.mayAsk(partner, p.kept)
	return p.applied, nil
}

// sweepPage bounds how many offerings one transaction tombstones.
const sweepPage = 200

// sweepOut removes what a snapshot did not have, in pieces, so that a partner who sells nothing any more holds up nobody else. The cursor
// moves, and what found no room is noted, with the last piece: until then the page comes again, changes nothing, and the rest is swept.
func (p *pageTx) sweepOut(ctx context.Context, after, next []byte) error {
	for id := ""; ; {
		var ids []string
		err := p.Work.View(ctx, func(tx Tx) (err error) {
			ids, err = tx.Catalog().Unseen(p.partner, p.sweep, id, sweepPage)
			return err
		})
		if err != nil {
			return err
		}
		last := len(ids) < sweepPage
		var gone int
		var kept Kept
		err = p.Work.Do(ctx, func(tx Tx) error {
			if err := stands(tx, p.partner, after); err != nil {
				return err
			}
			if gone, err = tx.Catalog().SweepForeign(p.partner, p.sweep, ids, p.Now()); err != nil {
				return err
			}
			if kept, err = tx.Catalog().Kept(p.partner); err != nil {
				return err
			}
			if err := p.forget(tx, p.partner, kept); err != nil || !last {
				return err
			}
			return p.end(tx, kept.LeftOut, next)
		})
		if err != nil {
			return err
		}
		p.kept.Offerings, p.kept.Bytes = kept.Offerings, kept.Bytes
		if p.applied.Removed += gone; last {
			return nil
		}
		id = ids[len(ids)-1]
	}
}

// forget removes the oldest tombstones of which there are too many: so many at a time that a bound which was lowered holds up nobody.
func (r *Reader) forget(tx Tx, partner string, kept Kept) error {
	most := r.MaxGone
	if most == 0 {
		most = DefaultMaxGone
	}
	if kept.Gone <= most {
		return nil
	}
	return tx.Catalog().ForgetForeign(partner, min(kept.Gone-most, 2*MaxPage))
}

// stands refuses to go on where another reader of the same partner has gone on.
func stands(tx Tx, partner string, after []byte) error {
	place, err := tx.Cursors().Cursor(partner, FeedCursor)
	if err == nil && !bytes.Equal(place, after) {
		err = fault.New(fault.Conflict, "cursor_moved", "another reader applied a page")
	}
	return err
}

// item is a change with what its document says or what is wrong with it, found before the transaction.
type item struct {
	Change
	says    Document
	refused *Refusal
}

func (r *Reader) examine(ch Change, partner string) (item, error) {
	it := item{Change: ch}
	refuse := func(reason, cause string) {
		it.refused = &Refusal{ch.OfferingID, ch.Revision, reason, cause}
	}
	switch {
	case !isID(ch.OfferingID) || ch.Revision < 1:
		return item{}, fault.New(fault.Invalid, "page_invalid", "an item has no valid offering id and revision")
	case ch.Tombstone:
		return it, nil
	case len(ch.Document) > MaxDocumentBytes:
		refuse("document_invalid", "the document is too large")
		return it, nil
	case sha256.Sum256(ch.Document) != ch.Digest:
		return item{}, fault.New(fault.Invalid, "digest_mismatch", "offering %s does not have its digest", ch.OfferingID)
	}
	var err error
	it.says, err = decodeForeign(ch.Document, partner, r.Schemas)
	switch {
	case err != nil:
		refuse("document_invalid", causeOf(err))
	case it.says.ID != ch.OfferingID || it.says.Revision != ch.Revision:
		refuse("document_invalid", "the document is of another offering or revision")
	}
	return it, nil
}

// pageTx applies one page within one transaction: reads what is stored of all its offerings, goes through the changes in memory, and
// writes what they came to. So the number of statements hangs on the page alone.
type pageTx struct {
	*Reader
	tx      Tx
	partner string
	sweep   int64
	kept    Kept
	have    map[string]*row
	applied Applied
	arrived []Arrival
}

// row is an offering of the page.
type row struct {
	Foreign
	// says is what the document says, where it came with the page.
	says Document
	// stored: there is a row of it. seen: it stands in the page as it is stored. changed: it does not.
	stored, seen, changed bool
}

func (p *pageTx) run(after []byte, page Page, items []item) error {
	if err := stands(p.tx, p.partner, after); err != nil {
		return err
	}
	if err := p.read(page.SnapshotBegin, items); err != nil {
		return err
	}
	left := p.kept.LeftOut
	if page.SnapshotBegin {
		p.kept.LeftOut = LeftOut{}
	}
	for _, it := range items {
		p.item(it)
	}
	if err := p.write(items); err != nil {
		return err
	}
	if err := p.forget(p.tx, p.partner, p.kept); err != nil {
		return err
	}
	if page.SnapshotEnd {
		return nil // its end is there once what the snapshot did not have is gone
	}
	return p.end(p.tx, left, page.Cursor)
}

// end notes what found no room, where that is not what was noted before, and moves the cursor.
func (p *pageTx) end(tx Tx, noted LeftOut, next []byte) error {
	if p.kept.LeftOut != noted {
		if err := tx.Catalog().SetLeftOut(p.partner, p.kept.LeftOut); err != nil {
			return err
		}
	}
	return tx.Cursors().SetCursor(p.partner, FeedCursor, next)
}

// read is what is known of the partner and of the page's offerings.
func (p *pageTx) read(begin bool, items []item) error {
	if err := p.generation(begin); err != nil {
		return err
	}
	var err error
	if p.kept, err = p.tx.Catalog().Kept(p.partner); err != nil {
		return err
	}
	ids := make([]string, 0, len(items))
	p.have = make(map[string]*row, len(items))
	for _, it := range items {
		if p.have[it.OfferingID] == nil {
			p.have[it.OfferingID] = &row{}
			ids = append(ids, it.OfferingID)
		}
	}
	stored, err := p.tx.Catalog().ForeignOf(p.partner, ids)
	for _, f := range stored {
		*p.have[f.ID] = row{Foreign: f, stored: true}
	}
	return err
}

// generation reads the number of the running snapshot, or counts up to a new one.
func (p *pageTx) generation(begin bool) error {
	b, err := p.tx.Cursors().Cursor(p.partner, sweepCursor)
	if err != nil {
		return err
	}
	if len(b) == 8 {
		p.sweep = int64(binary.BigEndian.Uint64(b))
	}
	if !begin {
		return nil
	}
	p.sweep++
	return p.tx.Cursors().SetCursor(p.partner, sweepCursor, binary.BigEndian.AppendUint64(nil, uint64(p.sweep)))
}

func (p *pageTx) item(it item) {
	r := p.have[it.OfferingID]
	known := r.stored || r.changed
	if plant.On(plant.KeepTheFirstRevision) && known {
		r.seen = true
		return
	}
	refuse := func(reason, cause string) {
		p.applied.Refused = append(p.applied.Refused, Refusal{it.OfferingID, it.Revision, reason, cause})
	}
	switch {
	case known && it.Revision < r.Revision:
		refuse("revision_rollback", fmt.Sprintf("revision %d is behind %d", it.Revision, r.Revision))
		r.seen = true
		return
	case it.Tombstone || it.refused != nil:
		if it.refused != nil {
			p.applied.Refused = append(p.applied.Refused, *it.refused)
		}
		if !known || (r.Tombstone && r.Revision == it.Revision) {
			return
		}
		p.goes(r, it)
		return
	case known && it.Revision == r.Revision && it.Digest != r.Digest && r.Digest != [32]byte{}:
		refuse("revision_reused", "the same revision has another digest")
		r.seen = true
		return
	case known && it.Revision == r.Revision && !r.Tombstone:
		r.seen = true
		return
	}
	fresh := !known || r.Tombstone
	more := int64(len(it.Document) - len(r.Document))
	switch {
	case fresh && p.kept.Offerings >= p.Most():
		p.leaveOut(it, Offerings)
		return
	case more > 0 && p.kept.Bytes+more > p.MostBytes():
		if p.leaveOut(it, Bytes); !fresh {
			p.goes(r, it) // what we have is no longer what is sold
		}
		return
	case fresh:
		p.kept.Offerings++
	}
	if known && fresh {
		p.kept.Gone--
	}
	p.kept.Bytes += more
	p.applied.Stored++
	r.Foreign, r.says = Foreign{
		Partner: p.partner, ID: it.OfferingID, Revision: it.Revision, Document: it.Document, Digest: it.Digest,
	}, it.says
	p.change(r)
}

// goes makes a tombstone of what we have, at the item's revision.
func (p *pageTx) goes(r *row, it item) {
	if !r.Tombstone {
		p.applied.Removed++
		p.kept.Offerings--
		p.kept.Bytes -= int64(len(r.Document))
		p.kept.Gone++
	}
	if it.Revision > r.Revision {
		r.Digest = it.Digest // zero of a tombstone: what bytes the revision had, nobody here has seen
	}
	r.Tombstone, r.Revision, r.Document = true, it.Revision, nil
	p.change(r)
}

// leaveOut counts what finds no room.
func (p *pageTx) leaveOut(it item, full Bound) {
	size := int64(len(it.Document))
	left := &p.kept.LeftOut
	if left.Changes == 0 {
		p.applied.Full, left.Least = full, size
	}
	if p.applied.LeftOut == nil {
		p.applied.LeftOut = map[Bound]int{}
	}
	p.applied.LeftOut[full]++
	*left = LeftOut{left.Changes + 1, left.Bytes + size, min(left.Least, size)}
}

func (p *pageTx) change(r *row) {
	r.changed, r.Sweep, r.UpdatedAt = true, p.sweep, p.Now()
}

// write stores what the page changed, in its order: first what takes a look at the row each, then all that is new together.
func (p *pageTx) write(items []item) error {
	var fresh []Foreign
	var says []Document
	var seen []string
	for _, it := range items {
		r := p.have[it.OfferingID]
		delete(p.have, it.OfferingID) // an offering may stand in a page more than once
		switch {
		case r == nil:
		case !r.changed && r.seen && r.Sweep != p.sweep:
			seen = append(seen, r.ID) // else it would be swept
		case r.changed && !r.stored:
			fresh, says = append(fresh, r.Foreign), append(says, r.says)
		case r.changed:
			taken, err := p.tx.Catalog().PutForeign(r.Foreign)
			if err == nil && !taken {
				err = fault.New(fault.Conflict, "revision_rollback", "a later revision is stored")
			}
			if err != nil {
				return fmt.Errorf("offering %s: %w", r.ID, err)
			}
		}
	}
	if err := p.tx.Catalog().SeeForeign(p.partner, seen, p.sweep); err != nil {
		return err
	}
	if err := p.tx.Catalog().AddForeign(fresh); err != nil {
		return err
	}
	for i, f := range fresh {
		if !f.Tombstone {
			p.arrived = append(p.arrived, Arrival{Foreign: f, Says: says[i]})
		}
	}
	return nil
}

// Most is how many of a partner's offerings are kept.
func (r *Reader) Most() int64 {
	if r.MaxOfferings > 0 {
		return r.MaxOfferings
	}
	return DefaultMaxOfferings
}

// MostBytes is how many bytes of documents of a partner's offerings are kept.
func (r *Reader) MostBytes() int64 {
	if r.MaxBytes > 0 {
		return r.MaxBytes
	}
	return DefaultMaxBytes
}
