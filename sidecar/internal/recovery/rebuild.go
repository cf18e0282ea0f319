package recovery

import (
	"bytes"
	"context"
	"encoding/hex"

	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/life"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/provision"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// rebuilt is what an entry of our own log had made, ready to be made again; err is why it cannot be.
type rebuilt struct {
	commit func(tx Tx, e ledger.Entry) error
	// decided keeps what the entry decided, which counts whether what it had made came back or not.
	decided func(tx Tx, e ledger.Entry) error
	err     error
}

// document is one that came back and whose signature is verified.
type document struct {
	exchange.Document
	payload []byte
}

// whose says which of the two signed the document that an entry of a kind names, and of which type it is.
var whose = map[ledger.Kind]struct {
	typ  string
	ours bool
}{
	ledger.OrderPlaced:       {signed.Order, true},
	ledger.CancelPlaced:      {signed.Cancel, true},
	ledger.AccessConfirmed:   {signed.AccessReceipt, true},
	ledger.AgreementOffered:  {signed.Agreement, true},
	ledger.AgreementAccepted: {signed.Agreement, true},
	ledger.AgreementReceived: {signed.Agreement, false},
	ledger.AgreementActive:   {signed.Agreement, false},
	ledger.OrderAccepted:     {signed.Order, false},
	ledger.OrderRejected:     {signed.Order, false},
	ledger.OrderCancelled:    {signed.Cancel, false},
	ledger.CancelRefused:     {signed.Cancel, false},
	ledger.AccessDeleted:     {signed.AccessReceipt, false},
	ledger.ErasePlaced:       {signed.Erase, true},
	ledger.OrderErased:       {signed.Erase, false},
}

// prepare finds the document of an entry and verifies who signed it, outside any transaction.
func (l *Loop) prepare(ctx context.Context, from member.Partner, e ledger.Entry, docs map[string][]exchange.Document, erased *erasures) rebuilt {
	b, err := ledger.ReadBody(e)
	if err != nil {
		return rebuilt{err: err}
	}
	var doc document
	if by, named := whose[e.Kind]; named {
		doc, err = l.open(from, b.Document, by.typ, by.ours, docs)
		doc = erased.beside(doc, b.Order)
	}
	if err != nil && (e.Kind == ledger.ErasePlaced || e.Kind == ledger.OrderErased) {
		doc, err = document{}, nil // what was erased stays erased, whether the request came back or not
	}
	r := rebuilt{err: err, decided: func(tx Tx, e ledger.Entry) error { return l.decided(tx, e, b, doc) }}
	if err == nil {
		r.commit, r.err = l.remade(ctx, from, e, b, doc, erased)
	}
	return r
}

// remade makes again what an entry had made, of its document.
func (l *Loop) remade(ctx context.Context, from member.Partner, e ledger.Entry, b ledger.Told, doc document, erased *erasures) (func(tx Tx, e ledger.Entry) error, error) {
	switch e.Kind {
	case ledger.OrderPlaced:
		r, err := l.Retail.Recollect(ctx, from.Origin, retail.Recalled{
			JWS: doc.JWS, Payload: doc.payload, Inputs: doc.Inputs, InputsSalt: doc.InputsSalt, Escrow: doc.Escrow, Erased: erased.bought[b.Order],
		})
		return func(tx Tx, e ledger.Entry) error { return l.Retail.Recover(tx, e, r) }, err
	case ledger.CancelPlaced:
		r, err := l.Retail.RecollectCancel(ctx, from.Origin, e.Position(), retail.RecalledCancel{JWS: doc.JWS, Payload: doc.payload})
		return func(tx Tx, e ledger.Entry) error { return l.Retail.RecoverCancel(tx, e, r) }, err
	case ledger.AccessConfirmed:
		return func(tx Tx, e ledger.Entry) error { return l.Subscriptions.Recover(tx, e, doc.JWS, doc.payload) }, nil
	case ledger.AgreementOffered, ledger.AgreementAccepted, ledger.AgreementReceived, ledger.AgreementActive:
		return func(tx Tx, e ledger.Entry) error { return l.Agreements.Recover(tx, e, doc.JWS, doc.payload) }, nil
	case ledger.ErasePlaced:
		var err error
		if doc.JWS == "" {
			e.Partner = from.Origin
			doc.JWS, doc.payload, err = l.Retail.Request(ctx, e)
		}
		return func(tx Tx, e ledger.Entry) error { return l.Retail.RecoverErase(tx, e, doc.JWS, doc.payload) }, err
	case ledger.OrderErased:
		return func(tx Tx, e ledger.Entry) error {
			if err := l.Resale.ForgetAgain(tx, e.Partner, b.Order); err != nil {
				return err
			}
			return tx.Decisions().DropEscrow(e.Partner, exchange.Key{Type: signed.Order, ID: b.Order})
		}, nil
	case ledger.LifeOpened:
		return func(Tx, ledger.Entry) error { return nil }, nil // what it made was made when the life began
	case ledger.AccessDeleted:
		return func(tx Tx, e ledger.Entry) error { return l.Subscriptions.RecoverDeleted(tx, e, doc.payload) }, nil
	}
	return func(tx Tx, e ledger.Entry) error {
		r := resale.Recalled{JWS: doc.JWS, Payload: doc.payload, Attachments: doc.Attachments}
		if err := l.Resale.Recover(tx, e, r); err != nil {
			return err
		}
		return provision.ReadBack(tx, l.Self, e.Partner, b.Order)
	}, nil
}

// open finds the document that our entry names by its digest, and verifies that the side signed it whose it is.
func (l *Loop) open(from member.Partner, digest, typ string, ours bool, docs map[string][]exchange.Document) (d document, err error) {
	by := from.EverKeys()
	if ours {
		by = l.Book.OwnKeys()
	}
	err = fault.New(fault.NotFound, "document_not_given_back", "%s has not given back the document with SHA-256 %s", from.Origin, digest)
	for _, d.Document = range docs[digest] {
		if d.payload, err = by.Open(d.JWS, typ); err == nil {
			return d, nil
		}
	}
	return d, err
}

// decided keeps what our entry says became of the partner's document, so that the same one gets the same answer.
func (l *Loop) decided(tx Tx, e ledger.Entry, b ledger.Told, doc document) error {
	var made []exchange.Decision
	add := func(typ, id string, digest []byte, jws string) {
		made = append(made, exchange.Decision{
			Partner: e.Partner, Key: exchange.Key{Type: typ, ID: id}, Digest: digest, At: e.Position(), Document: jws, Escrow: doc.Escrow,
		})
	}
	digest, err := hex.DecodeString(b.Document)
	if err != nil {
		return err
	}
	switch e.Kind {
	case ledger.OrderAccepted, ledger.OrderRejected:
		add(signed.Order, b.Order, digest, "")
	case ledger.OrderCancelled:
		add(signed.Cancel, order.CancelID(b.Order), digest, doc.JWS)
		_, err := tx.ResaleOrders().Get(e.Partner, b.Order)
		if fault.Is(err, fault.NotFound) {
			add(signed.Order, b.Order, nil, "")
		} else if err != nil {
			return err
		}
	case ledger.CancelRefused:
		add(signed.Cancel, order.CancelID(b.Order), digest, doc.JWS)
	case ledger.AccessDeleted:
		add(signed.AccessReceipt, subscription.ReceiptID(b.Access), digest, doc.JWS)
	case ledger.OrderErased:
		add(signed.Erase, order.EraseID(b.Order), digest, doc.JWS)
		never, err := undecided(tx, e.Partner, b.Order)
		if err != nil {
			return err
		}
		if never {
			add(signed.Order, b.Order, nil, "")
		}
	case ledger.AgreementReceived:
		add(signed.Agreement, "offer/"+b.Agreement, digest, "")
	case ledger.AgreementActive:
		add(signed.Agreement, "accept/"+b.Agreement, digest, "")
	case ledger.LifeOpened:
		all, err := tx.Lives().List(e.Partner)
		if err != nil {
			return err
		}
		for _, r := range all {
			if r.Ours && r.ID == b.Opening && r.State == life.Opened {
				add(signed.Life, r.ID, digest, r.Countersigned)
			}
		}
	default:
		return nil
	}
	for _, d := range made {
		known, err := tx.Decisions().Decisions(e.Partner, []exchange.Key{d.Key})
		if err != nil {
			return err
		}
		if before, there := known[d.Key]; there {
			// What an ended life had decided is told again in this one, and found there.
			if before.At.Life < e.Life && (len(d.Digest) == 0 || bytes.Equal(before.Digest, d.Digest)) {
				if err := tx.Lives().Moved(e.Partner, d.Key.ID, before.At, d.At); err != nil {
					return err
				}
			}
			continue
		}
		if err := tx.Decisions().PutDecisions([]exchange.Decision{d}); err != nil {
			return err
		}
	}
	return nil
}

// undecided reports whether nothing was ever decided of an order that was erased: both had ended it before it came.
func undecided(tx Tx, partner, id string) (bool, error) {
	key := exchange.Key{Type: signed.Order, ID: id}
	known, err := tx.Decisions().Decisions(partner, []exchange.Key{key})
	if _, is := known[key]; err != nil || is {
		return false, err
	}
	_, err = tx.ResaleOrders().Get(partner, id)
	if fault.Is(err, fault.NotFound) {
		return true, nil
	}
	return false, err
}
