package catalog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
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

// Reader is the reseller's side of the catalog: it applies what a partner's feed brings.
type Reader struct {
	Work    unit.Work[Tx]
	Schemas *recipe.Schemas
	Now     func() time.Time
	// MaxOfferings of one partner; default DefaultMaxOfferings.
	MaxOfferings int64
	// Arrivals are handed what was new; nil is nobody.
	Arrivals *Arrivals
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
	// Refused are those that were not taken over for what they are; LeftOut counts those for which there is no room.
	Refused []Refusal
	LeftOut int
	// Full: the first for which there is none since the partner's catalog was last read from the beginning is among them.
	Full bool
}

// Place is the cursor to ask a partner's feed with, nil for the first time and where there is room for what was left out: which that is,
// only the whole catalog says.
func (r *Reader) Place(ctx context.Context, partner string) (place []byte, err error) {
	room := func(tx Tx) (bool, error) {
		kept, err := tx.Catalog().Kept(partner)
		return kept.LeftOut > 0 && kept.Offerings < r.Most(), err
	}
	var again bool
	err = r.Work.View(ctx, func(tx Tx) (err error) {
		if again, err = room(tx); err != nil {
			return err
		}
		place, err = tx.Cursors().Cursor(partner, FeedCursor)
		return err
	})
	if err != nil || !again {
		return place, err
	}
	return nil, r.Work.Do(ctx, func(tx Tx) error {
		if again, err := room(tx); err != nil || !again {
			return err
		}
		return tx.Cursors().SetCursor(partner, FeedCursor, nil)
	})
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
	var applied Applied
	var sweep int64
	var arrived []Arrival
	err := r.Work.Do(ctx, func(tx Tx) error {
		p := &pageTx{Reader: r, tx: tx, partner: partner}
		err := p.run(after, page, items)
		applied, sweep, arrived = p.applied, p.sweep, p.arrived
		return err
	})
	if err != nil {
		return Applied{}, fmt.Errorf("catalog page of %s: %w", partner, err)
	}
	r.Arrivals.add(arrived)
	if page.SnapshotEnd {
		if err := r.sweepOut(ctx, partner, after, page.Cursor, sweep, &applied); err != nil {
			return applied, fmt.Errorf("catalog page of %s: %w", partner, err)
		}
	}
	return applied, nil
}

// sweepPage bounds how many offerings one transaction tombstones.
const sweepPage = 200

// sweepOut removes what a snapshot did not have, in pieces, so that a partner who sells nothing any more holds up nobody else. The cursor
// moves with the last piece: until then the page comes again, changes nothing, and the rest is swept.
func (r *Reader) sweepOut(ctx context.Context, partner string, after, next []byte, generation int64, applied *Applied) error {
	for id := ""; ; {
		var ids []string
		err := r.Work.View(ctx, func(tx Tx) (err error) {
			ids, err = tx.Catalog().Unseen(partner, generation, id, sweepPage)
			return err
		})
		if err != nil {
			return err
		}
		last := len(ids) < sweepPage
		var gone int
		err = r.Work.Do(ctx, func(tx Tx) error {
			if err := stands(tx, partner, after); err != nil {
				return err
			}
			if gone, err = tx.Catalog().SweepForeign(partner, generation, ids, r.Now()); err != nil || !last {
				return err
			}
			return tx.Cursors().SetCursor(partner, FeedCursor, next)
		})
		if err != nil {
			return err
		}
		if applied.Removed += gone; last {
			return nil
		}
		id = ids[len(ids)-1]
	}
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
		p.kept.LeftOut = 0
	}
	for _, it := range items {
		p.item(it)
	}
	if err := p.write(items); err != nil {
		return err
	}
	if p.kept.LeftOut != left {
		if err := p.tx.Catalog().SetLeftOut(p.partner, p.kept.LeftOut); err != nil {
			return err
		}
	}
	if page.SnapshotEnd {
		return nil // the cursor moves once what the snapshot did not have is gone
	}
	return p.tx.Cursors().SetCursor(p.partner, FeedCursor, page.Cursor)
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
		if !r.Tombstone {
			p.applied.Removed++
			p.kept.Offerings--
		}
		if it.Revision > r.Revision {
			r.Digest = it.Digest // zero of a tombstone: what bytes the revision had, nobody here has seen
		}
		r.Tombstone, r.Revision = true, it.Revision
		p.change(r)
		return
	case known && it.Revision == r.Revision && it.Digest != r.Digest && r.Digest != [32]byte{}:
		refuse("revision_reused", "the same revision has another digest")
		r.seen = true
		return
	case known && it.Revision == r.Revision && !r.Tombstone:
		r.seen = true
		return
	}
	if !known || r.Tombstone {
		if p.kept.Offerings >= p.Most() {
			p.applied.Full = p.applied.Full || p.kept.LeftOut == 0
			p.applied.LeftOut++
			p.kept.LeftOut++
			return
		}
		p.kept.Offerings++
	}
	p.applied.Stored++
	r.Foreign, r.says = Foreign{
		Partner: p.partner, ID: it.OfferingID, Revision: it.Revision, Document: it.Document, Digest: it.Digest,
	}, it.says
	p.change(r)
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
