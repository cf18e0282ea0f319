package catalog

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/hanse-market/hanse/sidecar/internal/plant"
)

// Change is one offering in a page of a feed.
type Change struct {
	OfferingID string
	Revision   int64
	// Document is empty for a tombstone; Digest is its SHA-256.
	Document  []byte
	Digest    [32]byte
	Tombstone bool
}

// Page is a piece of a partner's feed.
type Page struct {
	Items []Change
	// Cursor goes on after this page.
	Cursor []byte
	// SnapshotBegin: what follows, up to SnapshotEnd, is the whole catalog.
	SnapshotBegin bool
	SnapshotEnd   bool
	// More can be read at once.
	More bool
}

// Limits of a page.
const (
	DefaultPage  = 100
	MaxPage      = 500
	maxPageBytes = 1 << 20
)

// cursor is what a reader gives back to go on. It is opaque to the reader, who could forge one and would read its own
// feed from another place.
type cursor struct {
	epoch    string
	seq      int64
	snapshot bool
}

const cursorVersion = 1

func (c cursor) encode() []byte {
	b := make([]byte, 10, 10+len(c.epoch))
	b[0] = cursorVersion
	if c.snapshot {
		b[1] = 1
	}
	binary.BigEndian.PutUint64(b[2:], uint64(c.seq))
	return append(b, c.epoch...)
}

// decodeCursor returns ok false for anything that is not a cursor of this epoch: the reader then starts a snapshot.
func decodeCursor(b []byte, epoch string) (c cursor, ok bool) {
	if len(b) < 10 || b[0] != cursorVersion || b[1] > 1 || string(b[10:]) != epoch {
		return cursor{}, false
	}
	seq := binary.BigEndian.Uint64(b[2:10])
	if seq > 1<<62 {
		return cursor{}, false
	}
	return cursor{epoch: epoch, seq: int64(seq), snapshot: b[1] == 1}, true
}

// FeedPage reads what a partner has not seen after a cursor, at most limit changes (0 is DefaultPage). A cursor that is
// empty, or of another life of the feed, starts a snapshot. A page without items that is no snapshot's end means: wait.
func (s *Service) FeedPage(ctx context.Context, partner string, after []byte, limit int) (Page, error) {
	if limit <= 0 {
		limit = DefaultPage
	}
	limit = min(limit, MaxPage)
	var page Page
	err := s.Work.View(ctx, func(tx Tx) error {
		page = Page{}
		epoch, err := tx.Catalog().FeedEpoch(partner)
		if err != nil {
			return err
		}
		c, ok := decodeCursor(after, epoch)
		if !ok {
			c = cursor{epoch: epoch, snapshot: true}
			page.SnapshotBegin = true
		}
		if plant.On(plant.ForgetTheFeedGeneration) && len(after) >= 10 {
			c.seq = int64(binary.BigEndian.Uint64(after[2:10]))
		}
		items, err := tx.Catalog().Feed(partner, c.seq, limit+1)
		if err != nil {
			return err
		}
		page.More = len(items) > limit
		size := 0
		for i, it := range items[:min(limit, len(items))] {
			ch := Change{OfferingID: it.OfferingID, Revision: it.Revision, Tombstone: it.Tombstone}
			if !it.Tombstone {
				o, err := tx.Catalog().Revision(it.OfferingID, it.Revision)
				if err != nil {
					return fmt.Errorf("offering %s revision %d: %w", it.OfferingID, it.Revision, err)
				}
				if size += len(o.Document); size > maxPageBytes && i > 0 {
					page.More = true
					break
				}
				ch.Document, ch.Digest = o.Document, o.Digest
			}
			page.Items = append(page.Items, ch)
			c.seq = it.Seq
		}
		if c.snapshot && !page.More {
			c.snapshot = false
			page.SnapshotEnd = true
		}
		page.Cursor = c.encode()
		return nil
	})
	if err != nil {
		return Page{}, fmt.Errorf("catalog feed of %s: %w", partner, err)
	}
	return page, nil
}
