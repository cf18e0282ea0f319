package catalog

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/price"
)

// Document is what a supplier publishes of an offering: the JSON object whose exact bytes are hashed, sent and kept.
type Document struct {
	ID          string `json:"id"`
	Revision    int64  `json:"revision"`
	State       State  `json:"state"`
	Name        string `json:"name"`
	Summary     string `json:"summary"`
	Description string `json:"description,omitempty"`
	Category    string `json:"category"`
	// Family names the product that the offering is a variant of, Plan the variant besides its place; "" where it stands alone.
	Family string `json:"family,omitempty"`
	Plan   string `json:"plan,omitempty"`
	// Region is the supplier's name for the place, Country its ISO 3166-1 alpha-2 code.
	Region         string            `json:"region"`
	Country        string            `json:"country"`
	Certifications []string          `json:"certifications,omitempty"`
	Currency       string            `json:"currency"`
	Prices         []price.Component `json:"prices"`
	// MaxQuantity is how many pieces one order line may have; 0, as 1, where it is sold one at a time.
	MaxQuantity int64 `json:"max_quantity,omitempty"`
	// Inputs and Outputs are JSON Schemas (2020-12) of the recipe.
	Inputs  json.RawMessage `json:"inputs"`
	Outputs json.RawMessage `json:"outputs"`
	// OrderableUntil is the supplier's promise (RFC 3339): until then the revision is honoured even when a newer one
	// exists, after it no more. Without it a superseded revision is honoured for the grace period.
	OrderableUntil *time.Time `json:"orderable_until,omitempty"`
}

// Most is how many pieces one order line may have: 1 unless the supplier says otherwise.
func (d Document) Most() int64 { return max(d.MaxQuantity, 1) }

// PriceList is the document's prices in its currency.
func (d Document) PriceList() price.List {
	return price.List{Components: d.Prices, Currency: d.Currency}
}

// Offering is one revision of what we sell.
type Offering struct {
	ID       string
	Revision int64
	State    State
	// Document is the published JSON; Digest its SHA-256.
	Document []byte
	Digest   [32]byte
	// Binding is the private half of the recipe (JSON): which adapter, which connection, with what.
	Binding []byte
	// Source is the digest of the applied YAML document, to see that nothing changed.
	Source [32]byte
	// Name, Category and Currency stand in the document too; kept for listing.
	Name      string
	Category  string
	Currency  string
	CreatedAt time.Time
	// SupersededAt is zero on the current revision.
	SupersededAt time.Time
}

// Foreign is the current revision of a partner's offering, as it arrived.
type Foreign struct {
	Partner string
	ID      string
	// Listing is ListingID(Partner, ID), by which the portal asks for it.
	Listing  string
	Revision int64
	Document []byte
	// Digest is that of the Revision's document; zero where a tombstone is all that was seen of the revision.
	Digest [32]byte
	// Tombstone marks an offering that is gone; it has no Document.
	Tombstone bool
	UpdatedAt time.Time
	// Sweep is the snapshot generation in which it was last seen.
	Sweep int64
	// Change is given by the store at each write, greater than all before it and in commit order, so that a reader that
	// has seen n misses nothing by asking for what is greater than n.
	Change int64
}

// Kept is what there is of a partner's offerings.
type Kept struct {
	// Offerings that are kept, tombstones left out, and the Bytes of their documents.
	Offerings, Bytes int64
	// Gone counts the tombstones.
	Gone    int64
	LeftOut LeftOut
}

// LeftOut is what found no room since the partner's catalog was last read from the beginning.
type LeftOut struct {
	// Changes, the Bytes of their documents, and of the Least of these.
	Changes, Bytes, Least int64
}

// FeedItem is the last change of one offering towards one partner.
type FeedItem struct {
	Partner    string
	Seq        int64
	OfferingID string
	Revision   int64
	Tombstone  bool
}

// Next is a new revision, and the one that it follows: 0 where it is the first of its offering.
type Next struct {
	Offering
	After int64
}

// Forgotten is the stretch of changes of which nobody knows any more in which they were written.
const Forgotten int64 = -1

// Store keeps own offerings, partners' offerings and the feeds.
type Store interface {
	// Current reads the current revision; fault.NotFound with reason offering_not_found.
	Current(id string) (Offering, error)
	// Revision reads one revision, current or not; fault.NotFound.
	Revision(id string, revision int64) (Offering, error)
	// Revisions pages through all revisions of all offerings by (id, revision).
	Revisions(afterID string, afterRevision int64, limit int) ([]Offering, error)
	// List pages through current revisions by id.
	List(afterID string, limit int) ([]Offering, error)
	// CurrentOf reads the current revisions of those of the ids that exist, by id.
	CurrentOf(ids []string) ([]Offering, error)
	// RevisionsOf reads which revisions are the current ones of those of the ids that exist, by id.
	RevisionsOf(ids []string) (map[string]int64, error)
	// OnOffer pages through the ids, in order, of what is on sale or announced.
	OnOffer(afterID string, limit int) (ids []string, err error)
	// PutRevision stores a new revision and supersedes the one before it at its CreatedAt.
	PutRevision(Offering) error
	// PutRevisions is PutRevision for many; fault.Conflict, offering_changed, where one does not follow the current one.
	PutRevisions([]Next) error

	// Publish records changes in the feed of one partner, under the feed's next sequence numbers in their order. Of an item only the
	// offering, its revision and whether it is gone are looked at.
	Publish(partner string, changes []FeedItem) error
	// Feed lists changes towards a partner after seq, ascending.
	Feed(partner string, afterSeq int64, limit int) ([]FeedItem, error)
	// FeedEpoch names this life of the feed; a restored or new feed has another one.
	FeedEpoch(partner string) (string, error)
	// FeedStretch names the stretch in which a change towards a partner was written, by its seq: from one BeginStretch to the next, and by no
	// name that a store has which parted from this one in between. It is 0 where there is no such change, and Forgotten where it was written so
	// many starts ago that nobody knows any more.
	FeedStretch(partner string, seq int64) (int64, error)
	// BeginStretch has what is written from now on be told from what any copy of this store writes from now on.
	BeginStretch() error
	// RenewFeeds begins another life of the feeds towards all partners: whoever read one before reads it from its beginning.
	RenewFeeds() error

	// Foreign reads a partner's offering; fault.NotFound.
	Foreign(partner, id string) (Foreign, error)
	// ForeignOf reads those of a partner's ids that exist, tombstones included, in no order.
	ForeignOf(partner string, ids []string) ([]Foreign, error)
	// AddForeign stores offerings that do not exist, and gives each its Listing and Change; fault.Conflict where one does. Of a tombstone no
	// document is kept, here and in what follows.
	AddForeign([]Foreign) error
	// PutForeign stores it if its revision is not lower than the stored one; reports whether it did.
	PutForeign(Foreign) (bool, error)
	// SeeForeign notes that the snapshot generation has these offerings, as they are stored.
	SeeForeign(partner string, ids []string, generation int64) error
	// ListForeign pages through all partners' offerings by (partner, id), tombstones left out.
	ListForeign(afterPartner, afterID string, limit int) ([]Foreign, error)
	// Unseen pages through a partner's offerings, by id, that the snapshot generation did not see, tombstones left out.
	Unseen(partner string, generation int64, afterID string, limit int) (ids []string, err error)
	// SweepForeign tombstones those of the offerings that the snapshot generation did not see, and counts them.
	SweepForeign(partner string, generation int64, ids []string, now time.Time) (int, error)
	// ForgetForeign removes the oldest n of a partner's tombstones.
	ForgetForeign(partner string, n int64) error
	// Kept is what there is of a partner's offerings. It costs the same however many they are.
	Kept(partner string) (Kept, error)
	// SetLeftOut notes what found no room.
	SetLeftOut(partner string, left LeftOut) error
	// ForeignByListing reads those of the listing ids that exist, tombstones included, in no order.
	ForeignByListing(listings []string) ([]Foreign, error)
	// Changes lists the change numbers of what was written after a change number, ascending, tombstones included.
	Changes(afterChange int64, limit int) ([]int64, error)
	// ForeignChanged lists what was written after a change number, ascending by Change, tombstones included.
	ForeignChanged(afterChange int64, limit int) ([]Foreign, error)
	// LastChange gives a number that no change before it exceeds and every one after it does, and the greatest one of which the tombstone
	// was removed: who has not read as far as that does not learn of it any more.
	LastChange() (last, forgotten int64, err error)
}

// CursorStore keeps how far we read partners' catalog feeds; the ledgers' cursor is their head.
type CursorStore interface {
	// Cursor is where to go on, nil at the start.
	Cursor(partner, feed string) ([]byte, error)
	SetCursor(partner, feed string, cursor []byte) error
}

// ListingID is the listing of a partner's offering: opaque towards customers and stable for as long as the offering lives.
func ListingID(partner, offeringID string) string {
	sum := sha256.Sum256([]byte(partner + "\n" + offeringID))
	return "lst-" + listingText.EncodeToString(sum[:])[:20]
}

var listingText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567")
