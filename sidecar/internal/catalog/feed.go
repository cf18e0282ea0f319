package catalog

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
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

// cursor is what a reader gives back to go on. It is opaque to the reader. What it says of us is believed, since only we can have said it.
type cursor struct {
	epoch    string
	seq      int64
	snapshot bool
	// stretch marks the one in which the change at seq was written, see Service.stretch; 0 before the first change.
	stretch uint64
	// most is the greatest revision that its reader may have read of us, in this life of the feed or one before.
	most int64
}

const (
	cursorVersion = 3
	cursorSeq     = 2
	cursorStretch = cursorSeq + 8
	cursorMost    = cursorStretch + 8
	cursorMAC     = cursorMost + 8
	cursorEpoch   = cursorMAC + 16
)

// encode gives the cursor to one partner.
func (s *Service) encode(c cursor, partner string) []byte {
	b := make([]byte, cursorEpoch, cursorEpoch+len(c.epoch))
	b[0] = cursorVersion
	if c.snapshot {
		b[1] = 1
	}
	binary.BigEndian.PutUint64(b[cursorSeq:], uint64(c.seq))
	binary.BigEndian.PutUint64(b[cursorStretch:], c.stretch)
	binary.BigEndian.PutUint64(b[cursorMost:], uint64(c.most))
	b = append(b, c.epoch...)
	copy(b[cursorMAC:cursorEpoch], s.cursorMAC(b, partner))
	return b
}

// stretch is by what a partner's cursor tells a stretch from others. How often we started, which its name counts, it does not say.
func (s *Service) stretch(name int64, partner string) uint64 {
	mac := hmac.New(sha256.New, s.CursorKey)
	mac.Write([]byte("feed stretch "))
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(name)))
	mac.Write([]byte(partner))
	return binary.BigEndian.Uint64(mac.Sum(nil))
}

// cursorMAC is over all but itself.
func (s *Service) cursorMAC(b []byte, partner string) []byte {
	mac := hmac.New(sha256.New, s.CursorKey)
	mac.Write(b[:cursorMAC])
	mac.Write(b[cursorEpoch:])
	mac.Write([]byte(partner))
	return mac.Sum(nil)[:cursorEpoch-cursorMAC]
}

// decode returns ok false for anything that is not a cursor which we gave to this partner.
func (s *Service) decode(b []byte, partner string) (c cursor, ok bool) {
	if len(b) < cursorEpoch || b[0] != cursorVersion || !hmac.Equal(b[cursorMAC:cursorEpoch], s.cursorMAC(b, partner)) {
		return cursor{}, false
	}
	number := func(at int) int64 { return int64(binary.BigEndian.Uint64(b[at:])) }
	return cursor{
		epoch: string(b[cursorEpoch:]), snapshot: b[1] == 1, seq: number(cursorSeq), most: number(cursorMost),
		stretch: binary.BigEndian.Uint64(b[cursorStretch:]),
	}, true
}

// place is where a reader's cursor goes on in our feed. One that we did not give, or not in this life of the feed, begins a snapshot, and so does
// one of a change that is not in this store, or has another in its place: this is an older copy then, whether anybody noticed or not, and older
// says so. One whose change was so long ago that nobody knows any more begins one too, and says nothing of the store.
func (s *Service) place(tx Tx, partner string, after []byte) (c cursor, begin, older bool, err error) {
	epoch, err := tx.Catalog().FeedEpoch(partner)
	if err != nil {
		return cursor{}, false, false, err
	}
	c, given := s.decode(after, partner)
	ok, forgotten := given && c.epoch == epoch, false
	if ok && c.seq > 0 {
		stretch, err := tx.Catalog().FeedStretch(partner, c.seq)
		if err != nil {
			return cursor{}, false, false, err
		}
		ok, forgotten = s.stretch(stretch, partner) == c.stretch, stretch == Forgotten
	}
	if !ok {
		c = cursor{epoch: epoch, snapshot: true, most: c.most}
	}
	return c, !ok, given && !ok && !forgotten, nil
}

// FeedPage reads what a partner has not seen after a cursor, at most limit changes (0 is DefaultPage). A cursor that is
// empty, or of another life of the feed, starts a snapshot. A page without items that is no snapshot's end means: wait.
// Where the cursor says that its reader has revisions which this store would count up to once more, they go on above those first; or at the
// next call after PutBack, where that is to come yet.
func (s *Service) FeedPage(ctx context.Context, partner string, after []byte, limit int) (Page, error) {
	if limit <= 0 {
		limit = DefaultPage
	}
	limit = min(limit, MaxPage)
	var page Page
	var lost int64
	err := s.Work.View(ctx, func(tx Tx) (err error) {
		page, lost, err = s.feedPage(tx, partner, after, limit)
		return err
	})
	if err == nil && lost > 0 {
		if err = s.goAbove(ctx, partner, lost); err == nil {
			return s.FeedPage(ctx, partner, after, limit)
		}
	}
	if err != nil {
		return Page{}, fmt.Errorf("catalog feed of %s: %w", partner, err)
	}
	return page, nil
}

// feedPage returns a page, or the greatest revision that the reader has of a store before this one, where this one has not gone on above it.
func (s *Service) feedPage(tx Tx, partner string, after []byte, limit int) (page Page, lost int64, err error) {
	c, begin, older, err := s.place(tx, partner, after)
	if err != nil {
		return Page{}, 0, err
	}
	if older && c.most > 0 {
		floor, err := Floor(tx.Cursors(), s.Self)
		if err != nil {
			return Page{}, 0, err
		}
		var awaited bool
		if c.most >= floor {
			awaited, err = s.putBackAwaited(tx)
		}
		if err != nil || c.most >= floor && !awaited {
			return Page{}, c.most, err
		}
	}
	page.SnapshotBegin = begin
	if plant.On(plant.ForgetTheFeedGeneration) && len(after) >= cursorEpoch {
		c.seq = int64(binary.BigEndian.Uint64(after[cursorSeq:]))
	}
	items, err := tx.Catalog().Feed(partner, c.seq, limit+1)
	if err != nil {
		return Page{}, 0, err
	}
	page.More = len(items) > limit
	size := 0
	for i, it := range items[:min(limit, len(items))] {
		ch := Change{OfferingID: it.OfferingID, Revision: it.Revision, Tombstone: it.Tombstone}
		if !it.Tombstone {
			o, err := tx.Catalog().Revision(it.OfferingID, it.Revision)
			if err != nil {
				return Page{}, 0, fmt.Errorf("offering %s revision %d: %w", it.OfferingID, it.Revision, err)
			}
			if size += len(o.Document); size > maxPageBytes && i > 0 {
				page.More = true
				break
			}
			ch.Document, ch.Digest = o.Document, o.Digest
		}
		page.Items = append(page.Items, ch)
		c.seq, c.most = it.Seq, max(c.most, it.Revision)
	}
	if len(page.Items) > 0 {
		stretch, err := tx.Catalog().FeedStretch(partner, c.seq)
		if err != nil {
			return Page{}, 0, err
		}
		c.stretch = s.stretch(stretch, partner)
	}
	if c.snapshot && !page.More {
		c.snapshot = false
		page.SnapshotEnd = true
	}
	page.Cursor = s.encode(c, partner)
	return page, 0, nil
}
