package federation

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
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
	// Synced is told when everything that a partner published was taken over: at the end of a snapshot, and at a page
	// without changes, which a supplier sends when it has nothing new to say. A page with changes does not tell whether
	// more follow, however few they are. Nil is nobody.
	Synced func(partner string)
}

// Read takes the page of a partner's catalog that follows the cursor after. The signature covers exactly the digests, the cursor and the snapshot marks.
func (r *CatalogReader) Read(ctx context.Context, partner member.Partner, after []byte, page CatalogPage) error {
	payload, err := signed.Open(page.Signature, signed.CatalogPage, partner.BusinessKey)
	if err != nil {
		return err
	}
	want, err := pagePayload(partner.Origin, r.Self, page.Page)
	if err != nil {
		return err
	}
	if !bytes.Equal(payload, want) {
		return fault.New(fault.Invalid, "catalog_page_signature", "the page of %s is not the one it signed", partner.Origin)
	}
	if page.heartbeat(after) {
		r.synced(partner.Origin)
		return nil
	}
	applied, err := r.Catalog.ApplyPage(ctx, partner.Origin, after, page.Page)
	for _, refused := range applied.Refused {
		r.Logger.Warn("offering not taken over", "partner", partner.Origin, "reason", refused.Reason, "cause", text.Foreign(refused.Cause))
	}
	if applied.Full { // once: a partner with a million too many would fill the log
		r.Logger.Error("catalog larger than we keep, the rest is left out", "partner", partner.Origin, "reason", "offerings_limit",
			"max_offerings", r.Catalog.Most())
	}
	if page.News != nil && applied.Stored+applied.Removed > 0 {
		page.News()
	}
	if err == nil && (page.SnapshotEnd || len(page.Items) == 0 && !page.SnapshotBegin) {
		r.synced(partner.Origin)
	}
	return err
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
	var got Outcome
	var read error
	var beat CatalogPage // the last page, where it was a heartbeat
	got.Err = r.Link.WatchCatalog(ctx, partner.Origin, cursor, func(p CatalogPage) error {
		if p.heartbeat(cursor) && beat.heartbeat(cursor) && p.Signature == beat.Signature {
			r.synced(partner.Origin) // it was verified
			return nil
		}
		if read = r.Read(ctx, partner, cursor, p); read != nil {
			return read
		}
		beat = CatalogPage{}
		if p.heartbeat(cursor) {
			beat = p
		}
		got.News = got.News || !bytes.Equal(cursor, p.Cursor)
		cursor = p.Cursor
		return nil
	})
	if fault.ReasonOf(read) == "cursor_moved" {
		// Another replica of ours was faster: what it read is news to us too, and the place to go on from is in the store.
		return Outcome{News: true}
	}
	got.Refused = refused(read)
	return got
}
