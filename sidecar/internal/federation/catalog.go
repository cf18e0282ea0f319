package federation

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"

	"github.com/go-json-experiment/json"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/text"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// CatalogPage is one message of a catalog feed with the supplier's signature over its digests.
type CatalogPage struct {
	catalog.Page
	// Signature is a compact JWS, typ hanse-catalog-page+jwt.
	Signature string
	// News is told of a page that changed what we have, once it is applied; nil is nobody.
	News func()
}

// heartbeat reports whether the page says that nothing follows a cursor.
func (p CatalogPage) heartbeat(cursor []byte) bool {
	return len(p.Items) == 0 && !p.SnapshotBegin && !p.SnapshotEnd && len(cursor) > 0 && bytes.Equal(p.Cursor, cursor)
}

// ends reports whether nothing was left to say behind the page.
func (p CatalogPage) ends() bool {
	return p.SnapshotEnd || len(p.Items) == 0 && !p.SnapshotBegin
}

// signedPage is the payload of a page's signature. Members stand in the order of their names, so that it is in RFC 8785 form as it is
// written.
type signedPage struct {
	Audience string         `json:"aud"`
	Begin    bool           `json:"begin,omitzero"`
	Changes  []signedChange `json:"changes"`
	Cursor   []byte         `json:"cursor"`
	End      bool           `json:"end,omitzero"`
	Issuer   string         `json:"iss"`
}

type signedChange struct {
	Offering  string `json:"offering"`
	Revision  int64  `json:"revision"`
	SHA256    string `json:"sha256,omitzero"`
	Tombstone bool   `json:"tombstone,omitzero"`
}

// maxExact is the greatest number that every reader of JSON reads as it is written.
const maxExact = 1<<53 - 1

// pagePayload is in RFC 8785 form: the reader makes it of what it got and compares bytes.
func pagePayload(issuer, audience string, p catalog.Page) ([]byte, error) {
	s := signedPage{
		Issuer: issuer, Audience: audience, Cursor: p.Cursor, Begin: p.SnapshotBegin, End: p.SnapshotEnd,
		Changes: make([]signedChange, len(p.Items)),
	}
	for i, c := range p.Items {
		if c.Revision < -maxExact || c.Revision > maxExact {
			return nil, fault.New(fault.Invalid, "page_invalid", "a revision is not a number that is read as it is written")
		}
		s.Changes[i] = signedChange{Offering: c.OfferingID, Revision: c.Revision, Tombstone: c.Tombstone}
		if !c.Tombstone {
			sum := sha256.Sum256(c.Document)
			s.Changes[i].SHA256 = hex.EncodeToString(sum[:])
		}
	}
	return json.Marshal(s, json.FormatNilSliceAsNull(true))
}

// CatalogFeed signs the pages of our catalog feed.
type CatalogFeed struct {
	Self    string
	Catalog *catalog.Service
	Signer  signed.Signer
}

// pageSize bounds one page of a feed: it costs its reader a verification and a commit, however little is in it, and keeps other writes
// waiting while it is taken over, the longer the more is in it.
const pageSize = 250

// Page reads the changes towards a partner after its cursor, signed once over their digests. last is the page that was sent before:
// a heartbeat that follows another is the same page.
func (f *CatalogFeed) Page(ctx context.Context, partner string, cursor []byte, last CatalogPage) (CatalogPage, error) {
	page, err := f.Catalog.FeedPage(ctx, partner, cursor, pageSize)
	if err != nil {
		return CatalogPage{}, err
	}
	if last.heartbeat(page.Cursor) && (CatalogPage{Page: page}).heartbeat(cursor) {
		return last, nil
	}
	payload, err := pagePayload(f.Self, partner, page)
	if err != nil {
		return CatalogPage{}, err
	}
	signature, err := f.Signer.Sign(keys.Business, signed.CatalogPage, payload)
	return CatalogPage{Page: page, Signature: signature}, err
}

// CatalogLink watches partners' catalogs: see Feed.Once.
type CatalogLink interface {
	WatchCatalog(ctx context.Context, partner string, cursor []byte, fn func(CatalogPage) error) error
}

// CatalogReader verifies and keeps what partners sell.
type CatalogReader struct {
	Self    string
	Work    unit.Work[Tx]
	Link    CatalogLink
	Catalog *catalog.Reader
	Logger  *slog.Logger
	// Follow takes over a partner's rollover where a page names a key that is not pinned; nil takes none.
	Follow member.Following
	// Alone: no other replica reads partners' catalogs into the store.
	Alone bool
	// Synced is told when everything that a partner published was taken over: at the end of a snapshot, and at a page
	// without changes, which a supplier sends when it has nothing new to say. A page with changes does not tell whether
	// more follow, however few they are. Nil is nobody.
	Synced func(partner string)
	// LeftOut is told how many changes of a page found no room, and what there is too much of. Nil is nobody.
	LeftOut func(partner string, bound catalog.Bound, changes int)
}

// Read takes the page of a partner's catalog that follows the cursor after. The signature covers exactly the digests, the cursor and the snapshot marks.
func (r *CatalogReader) Read(ctx context.Context, partner member.Partner, after []byte, page CatalogPage) error {
	_, err := r.read(ctx, partner, after, page)
	return err
}

// read reports whether the catalog is to be asked for again, from where the store says.
func (r *CatalogReader) read(ctx context.Context, partner member.Partner, after []byte, page CatalogPage) (again bool, err error) {
	partner = r.Follow.Of(ctx, partner, page.Signature)
	payload, err := partner.Keys(r.Catalog.Now()).Open(page.Signature, signed.CatalogPage)
	if err != nil {
		return false, err
	}
	want, err := pagePayload(partner.Origin, r.Self, page.Page)
	if err != nil {
		return false, err
	}
	if !bytes.Equal(payload, want) {
		return false, fault.New(fault.Invalid, "catalog_page_signature", "the page of %s is not the one it signed", partner.Origin)
	}
	if page.heartbeat(after) {
		r.synced(partner.Origin)
		return false, nil
	}
	applied, err := r.Catalog.ApplyPage(ctx, partner.Origin, after, page.Page)
	for _, refused := range applied.Refused {
		r.Logger.Warn("offering not taken over", "partner", partner.Origin, "reason", refused.Reason, "cause", text.Foreign(refused.Cause))
	}
	for bound, n := range applied.LeftOut {
		if r.LeftOut != nil {
			r.LeftOut(partner.Origin, bound, n)
		}
	}
	switch applied.Full { // once: a partner with a million too many would fill the log
	case catalog.Offerings:
		r.Logger.Error("catalog larger than we keep, the rest is left out", "partner", partner.Origin, "reason", "offerings_limit",
			"max_offerings", r.Catalog.Most())
	case catalog.Bytes:
		r.Logger.Error("catalog larger than we keep, the rest is left out", "partner", partner.Origin, "reason", "catalog_limit",
			"max_catalog_mib", r.Catalog.MostBytes()>>20)
	}
	if page.News != nil && applied.Stored+applied.Removed > 0 {
		page.News()
	}
	if err == nil && page.ends() {
		r.synced(partner.Origin)
	}
	return applied.Again, err
}

func (r *CatalogReader) synced(partner string) {
	if r.Synced != nil {
		r.Synced(partner)
	}
}

// Feed watches the catalogs of suppliers with whom we have an active agreement.
func (r *CatalogReader) Feed() Feed {
	return Feed{
		Name: catalog.FeedCursor, Once: r.once,
		Wanted: func(tx Tx) (func(member.Partner) bool, error) {
			all, err := tx.Agreements().List()
			sells := map[string]bool{}
			for _, a := range all {
				sells[a.Supplier] = sells[a.Supplier] || a.Reseller == r.Self && a.State == agreement.Active
			}
			return func(p member.Partner) bool {
				return p.State == member.Active && p.Has(member.Supplier) && sells[p.Origin]
			}, err
		},
	}
}

// once watches the catalog from our cursor.
func (r *CatalogReader) once(ctx context.Context, partner member.Partner) Outcome {
	cursor, err := r.Catalog.Place(ctx, partner.Origin)
	if err != nil {
		return Outcome{Err: err}
	}
	w := &watch{CatalogReader: r, partner: partner, cursor: cursor}
	err = r.Link.WatchCatalog(ctx, partner.Origin, cursor, func(p CatalogPage) error { return w.page(ctx, p) })
	if errors.Is(err, errElsewhere) {
		return Outcome{News: true}
	}
	return Outcome{News: w.news, Refused: refused(w.failed), Err: err}
}

// errElsewhere ends a stream because what the store lacks is not what the stream brings: another replica of ours moved the cursor, which is
// news to us too, or the catalog is to be asked for anew. The place to go on from is in the store.
var errElsewhere = errors.New("the catalog is read on from another place")

// watch is one stream of a partner's catalog.
type watch struct {
	*CatalogReader
	partner member.Partner
	cursor  []byte
	// beat is the last page, where it was a heartbeat.
	beat CatalogPage
	news bool
	// failed is why a page was not taken.
	failed error
}

func (w *watch) page(ctx context.Context, p CatalogPage) error {
	if !w.Alone {
		if taken, err := w.taken(ctx, p); taken || err != nil {
			return err
		}
	}
	if p.heartbeat(w.cursor) && w.beat.heartbeat(w.cursor) && p.Signature == w.beat.Signature {
		w.synced(w.partner.Origin) // it was verified
		return nil
	}
	again, err := w.read(ctx, w.partner, w.cursor, p)
	if fault.ReasonOf(err) == "cursor_moved" {
		taken, err := w.taken(ctx, p)
		if err == nil && !taken {
			err = errElsewhere
		}
		return err
	}
	if err != nil {
		w.failed = err
		return err
	}
	w.step(p)
	if again {
		return errElsewhere
	}
	return nil
}

// taken reports whether another replica took the page that follows our cursor; errElsewhere where the feed stands neither there nor at
// our cursor.
func (w *watch) taken(ctx context.Context, p CatalogPage) (bool, error) {
	at, err := w.Catalog.At(ctx, w.partner.Origin)
	switch {
	case err != nil:
		return false, err
	case bytes.Equal(at, w.cursor):
		return false, nil
	case !bytes.Equal(at, p.Cursor):
		return false, errElsewhere
	}
	if p.News != nil {
		p.News()
	}
	if p.ends() {
		w.synced(w.partner.Origin)
	}
	w.step(p)
	return true, nil
}

// step goes on behind a page.
func (w *watch) step(p CatalogPage) {
	w.beat = CatalogPage{}
	if p.heartbeat(w.cursor) {
		w.beat = p
	}
	w.news = w.news || !bytes.Equal(w.cursor, p.Cursor)
	w.cursor = p.Cursor
}
