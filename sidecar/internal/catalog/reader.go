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
const DefaultMaxOfferings = 50_000

// Reader is the reseller's side of the catalog: it applies what a partner's feed brings.
type Reader struct {
	Work    unit.Work[Tx]
	Schemas *recipe.Schemas
	Now     func() time.Time
	// MaxOfferings of one partner; default DefaultMaxOfferings.
	MaxOfferings int64
}

// Refusal is an offering of a page that was not taken over.
type Refusal struct {
	OfferingID string
	Revision   int64
	// Reason: document_invalid, revision_rollback, revision_reused, offerings_limit.
	Reason string
	Cause  string
}

// Applied counts what a page did.
type Applied struct {
	Stored  int
	Removed int
	Refused []Refusal
}

// Place is the cursor to ask a partner's feed with, nil for the first time.
func (r *Reader) Place(ctx context.Context, partner string) ([]byte, error) {
	var place []byte
	err := r.Work.View(ctx, func(tx Tx) (err error) {
		place, err = tx.Cursors().Cursor(partner, FeedCursor)
		return err
	})
	return place, err
}

// ApplyPage takes over a page that was asked for with the cursor after, and moves the cursor, in one transaction. A page
// whose bytes do not have its digests is refused as a whole (fault.Invalid, digest_mismatch), so is one that another
// reader applied meanwhile (fault.Conflict, cursor_moved). An offering that is wrong in itself is refused alone: a new
// revision that cannot be read hides the offering, since what we have is no longer what is sold. Whether what is kept is sold here,
// under which agreement, is package listing's to say: an agreement may come after the offering.
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
	err := r.Work.Do(ctx, func(tx Tx) error {
		p := &pageTx{Reader: r, tx: tx, partner: partner}
		err := p.run(after, page, items)
		applied = p.applied
		return err
	})
	if err != nil {
		return Applied{}, fmt.Errorf("catalog page of %s: %w", partner, err)
	}
	return applied, nil
}

// item is a change with what is wrong with it, found before the transaction.
type item struct {
	Change
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
	doc, err := decodeForeign(ch.Document, partner, r.Schemas)
	switch {
	case err != nil:
		refuse("document_invalid", causeOf(err))
	case doc.ID != ch.OfferingID || doc.Revision != ch.Revision:
		refuse("document_invalid", "the document is of another offering or revision")
	}
	return it, nil
}

// pageTx applies one page within one transaction.
type pageTx struct {
	*Reader
	tx      Tx
	partner string
	sweep   int64
	count   int64
	applied Applied
}

func (p *pageTx) run(after []byte, page Page, items []item) error {
	place, err := p.tx.Cursors().Cursor(p.partner, FeedCursor)
	if err != nil {
		return err
	}
	if !bytes.Equal(place, after) {
		return fault.New(fault.Conflict, "cursor_moved", "another reader applied a page")
	}
	if err := p.generation(page.SnapshotBegin); err != nil {
		return err
	}
	if p.count, err = p.tx.Catalog().CountForeign(p.partner); err != nil {
		return err
	}
	for _, it := range items {
		if err := p.item(it); err != nil {
			return fmt.Errorf("offering %s: %w", it.OfferingID, err)
		}
	}
	if page.SnapshotEnd {
		gone, err := p.tx.Catalog().SweepForeign(p.partner, p.sweep, p.Now())
		if err != nil {
			return err
		}
		p.applied.Removed += len(gone)
	}
	return p.tx.Cursors().SetCursor(p.partner, FeedCursor, page.Cursor)
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

func (p *pageTx) item(it item) error {
	old, err := p.tx.Catalog().Foreign(p.partner, it.OfferingID)
	known := err == nil
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	refuse := func(reason, cause string) {
		p.applied.Refused = append(p.applied.Refused, Refusal{it.OfferingID, it.Revision, reason, cause})
	}
	switch {
	case known && it.Revision < old.Revision:
		refuse("revision_rollback", fmt.Sprintf("revision %d is behind %d", it.Revision, old.Revision))
		return p.seen(old)
	case it.Tombstone || it.refused != nil:
		if it.refused != nil {
			p.applied.Refused = append(p.applied.Refused, *it.refused)
		}
		if !known || (old.Tombstone && old.Revision == it.Revision) {
			return nil
		}
		if !old.Tombstone {
			p.applied.Removed++
			p.count--
		}
		if it.Revision > old.Revision {
			old.Digest = it.Digest // zero of a tombstone: what bytes the revision had, nobody here has seen
		}
		old.Tombstone, old.Revision = true, it.Revision
		return p.put(old)
	case known && it.Revision == old.Revision && it.Digest != old.Digest && old.Digest != [32]byte{}:
		refuse("revision_reused", "the same revision has another digest")
		return p.seen(old)
	case known && it.Revision == old.Revision && !old.Tombstone:
		return p.seen(old)
	}
	if !known || old.Tombstone {
		most := p.MaxOfferings
		if most == 0 {
			most = DefaultMaxOfferings
		}
		if p.count >= most {
			refuse("offerings_limit", fmt.Sprintf("the partner has %d offerings", most))
			return nil
		}
		p.count++
	}
	p.applied.Stored++
	return p.put(Foreign{
		Partner: p.partner, ID: it.OfferingID, Listing: ListingID(p.partner, it.OfferingID), Revision: it.Revision,
		Document: it.Document, Digest: it.Digest,
	})
}

// seen keeps an offering from being swept.
func (p *pageTx) seen(f Foreign) error {
	if f.Sweep == p.sweep {
		return nil
	}
	return p.put(f)
}

func (p *pageTx) put(f Foreign) error {
	f.Sweep, f.UpdatedAt = p.sweep, p.Now()
	stored, err := p.tx.Catalog().PutForeign(f)
	if err == nil && !stored {
		err = fault.New(fault.Conflict, "revision_rollback", "a later revision is stored")
	}
	return err
}
