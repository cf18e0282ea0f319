package exchange

import (
	"context"
	"encoding/hex"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/life"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// Recalled is a page of what we hold of a partner: its own log as we verified it, and the documents that these entries name.
type Recalled struct {
	Entries [][]byte
	// Checkpoint is the partner's own at the end of our copy, as it signed it; "" where the copy is empty.
	Checkpoint string
	// Documents are those of either side that an entry of the page names by digest, as far as we keep them.
	Documents []Document
	// Opening is what both signed to begin the life after the one of the place that was asked for, with either signature; nil where we are in
	// no later one.
	Opening *Document
	// Last is the place of the last entry, or that after which was asked; More says that there are entries after it.
	Last ledger.Position
	More bool
}

// Bounds of a page: entries, and about how many bytes with the documents.
const (
	RecallEntries = 100
	recallBytes   = 1 << 20
)

// Recall gives a partner back what we hold of its own log after a place. It is a read that is answered in every state of the books, for a
// store that lost what it signed has nobody else to ask. Nothing of another partner can be in it: every entry is one that this partner
// wrote for us, and a document is there because such an entry names its digest.
func (d *Desk) Recall(ctx context.Context, partner string, after ledger.Position) (page Recalled, err error) {
	err = d.Work.View(ctx, func(tx Tx) error {
		head, err := tx.Ledger().Head(partner, ledger.Theirs)
		if err != nil {
			return err
		}
		page = Recalled{Checkpoint: head.Checkpoint, Last: after}
		if after.Life < head.Life {
			if page.Opening, err = openingOf(tx, partner, after.Life+1); err != nil {
				return err
			}
		}
		entries, err := tx.Ledger().Entries(partner, ledger.Theirs, after, RecallEntries)
		if err != nil {
			return err
		}
		size := 0
		for _, e := range entries {
			doc, err := d.kept(tx, e)
			if err != nil {
				return err
			}
			size += len(e.Bytes)
			if doc != nil {
				size += doc.size()
			}
			if size > recallBytes && len(page.Entries) > 0 {
				break
			}
			if doc != nil {
				page.Documents = append(page.Documents, *doc)
			}
			page.Entries, page.Last = append(page.Entries, e.Bytes), e.Position()
		}
		page.More = page.Last.Compare(head.Position()) < 0
		return nil
	})
	return page, err
}

// Ended gives a partner entries of our own log towards it after a place, of lives that have ended: of those it signed with us up to where both
// had them alike, and a store that lost its copy has nobody else to ask. It is answered as Recall is, and nothing vouches for it here: the hash
// that both signed does.
func (d *Desk) Ended(ctx context.Context, partner string, after ledger.Position) (page Recalled, err error) {
	err = d.Work.View(ctx, func(tx Tx) error {
		page = Recalled{Last: after}
		head, err := tx.Ledger().Head(partner, ledger.Own)
		if err != nil || after.Life >= head.Life {
			return err
		}
		entries, err := tx.Ledger().Entries(partner, ledger.Own, after, RecallEntries)
		if err != nil {
			return err
		}
		size := 0
		for _, e := range entries {
			if size += len(e.Bytes); e.Life >= head.Life || size > recallBytes && len(page.Entries) > 0 {
				break
			}
			page.Entries, page.Last = append(page.Entries, e.Bytes), e.Position()
		}
		if len(page.Entries) == 0 {
			return nil
		}
		next, err := tx.Ledger().Entries(partner, ledger.Own, page.Last, 1)
		page.More = len(next) > 0 && next[0].Life < head.Life
		return err
	})
	return page, err
}

func (doc Document) size() int {
	return len(doc.JWS) + len(doc.Inputs) + len(doc.InputsSalt) + len(doc.Escrow) + len(doc.Proposal)
}

// kept is the document that an entry of a partner's log names, with what lies beside it; nil where we do not keep it.
func (d *Desk) kept(tx Tx, e ledger.Entry) (*Document, error) {
	b, err := ledger.ReadBody(e)
	if err != nil || b.Document == "" {
		return nil, nil // what it says is nobody's document
	}
	var doc *Document
	switch {
	case e.Kind == ledger.LifeOpened:
		doc, err = keptLife(tx, e, b)
	case b.Order == "" && b.Subscription == "":
		doc, err = d.keptAgreement(tx, e, b)
	case e.Kind.Writer() == ledger.Reseller:
		doc, err = keptSold(tx, e, b)
	default:
		doc, err = keptBought(tx, e, b)
	}
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	return doc, err
}

// keptLife is what both signed to begin a life of the log, with either signature.
func keptLife(tx Tx, e ledger.Entry, b ledger.Told) (*Document, error) {
	return openedBy(tx, e.Partner, func(r life.Record) bool { return r.ID == b.Opening && signed.Digest(r.Payload) == b.Document })
}

// openingOf is keptLife of the life with a number.
func openingOf(tx Tx, partner string, number int64) (*Document, error) {
	return openedBy(tx, partner, func(r life.Record) bool { return r.Life == number })
}

func openedBy(tx Tx, partner string, is func(life.Record) bool) (*Document, error) {
	all, err := tx.Lives().List(partner)
	for _, r := range all {
		if r.State == life.Opened && is(r) {
			return &Document{JWS: r.Countersigned, Proposal: r.JWS}, err
		}
	}
	return nil, err
}

// keptSold is what a reseller placed with us.
func keptSold(tx Tx, e ledger.Entry, b ledger.Told) (*Document, error) {
	key := Key{signed.Order, b.Order}
	switch e.Kind {
	case ledger.CancelPlaced:
		key = Key{signed.Cancel, order.CancelID(b.Order)}
	case ledger.ErasePlaced:
		key = Key{signed.Erase, order.EraseID(b.Order)}
	case ledger.AccessConfirmed:
		key = Key{signed.AccessReceipt, subscription.ReceiptID(b.Access)}
	}
	known, err := tx.Decisions().Decisions(e.Partner, []Key{key})
	if err != nil {
		return nil, err
	}
	decided := known[key]
	if hex.EncodeToString(decided.Digest) != b.Document {
		return nil, nil
	}
	if key.Type != signed.Order {
		if decided.Document == "" { // it was decided by a store that is gone, and did not come back
			return nil, nil
		}
		return &Document{JWS: decided.Document}, nil
	}
	o, err := tx.ResaleOrders().Get(e.Partner, b.Order)
	if err != nil {
		return nil, err
	}
	doc := &Document{JWS: o.Document, Attachments: resale.Attachments{InputsSalt: o.InputsSalt, Escrow: decided.Escrow}}
	return doc, beside(tx, doc, o.Item, o.Subscription())
}

// keptBought is what we placed with a supplier and it decided.
func keptBought(tx Tx, e ledger.Entry, b ledger.Told) (*Document, error) {
	if e.Kind.Decides(ledger.Receipt) {
		sub, err := tx.Subscriptions().Get(subscription.RetailKey(e.Subject))
		if err != nil || sub.Partner != e.Partner || hex.EncodeToString(sub.ReceiptDigest) != b.Document {
			return nil, err
		}
		return &Document{JWS: sub.Receipt}, nil
	}
	o, i, err := tx.RetailOrders().ByCorrelation(b.Order)
	if err != nil {
		return nil, err
	}
	it := o.Items[i]
	switch {
	case it.Partner != e.Partner:
		return nil, nil
	case hex.EncodeToString(it.CancelDigest) == b.Document && it.CancelDocument != "":
		return &Document{JWS: it.CancelDocument}, nil
	case hex.EncodeToString(it.EraseDigest) == b.Document && it.EraseDocument != "":
		return &Document{JWS: it.EraseDocument}, nil
	case hex.EncodeToString(it.PayloadDigest) != b.Document || it.Document == "":
		return nil, nil
	}
	doc := &Document{JWS: it.Document, Attachments: resale.Attachments{InputsSalt: it.InputsSalt}}
	if doc.Escrow, err = tx.RetailOrders().Escrow(it.CorrelationID); err != nil {
		return nil, err
	}
	return doc, beside(tx, doc, it.Item, subscription.RetailKey(it.SubscriptionID))
}

// beside adds the inputs of a purchase; they are gone once the subscription has ended.
func beside(tx Tx, doc *Document, it order.Item, sub subscription.Key) (err error) {
	if it.Action != order.Add {
		return nil
	}
	doc.Inputs, err = tx.Subscriptions().Secret(sub, subscription.SecretInputs)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

// keptAgreement is the offer or the acceptance that an entry of either side is about.
func (d *Desk) keptAgreement(tx Tx, e ledger.Entry, b ledger.Told) (*Document, error) {
	supplier := e.Partner
	if e.Kind.Writer() == ledger.Reseller {
		supplier = d.Self
	}
	a, err := tx.Agreements().Get(supplier, b.Agreement)
	if err != nil || hex.EncodeToString(a.Digest[:]) != b.Document || a.Other(d.Self) != e.Partner {
		return nil, err
	}
	return agreementDocument(e.Kind, a), nil
}

func agreementDocument(kind ledger.Kind, a agreement.Agreement) *Document {
	jws := a.SupplierJWS
	if kind == ledger.AgreementAccepted || kind == ledger.AgreementActive {
		jws = a.ResellerJWS
	}
	if jws == "" {
		return nil
	}
	return &Document{JWS: jws}
}
