package exchange

import (
	"encoding/hex"
	"maps"
	"slices"

	"github.com/hanse-market/hanse/auth/scope"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/life"
	"github.com/hanse-market/hanse/sidecar/internal/provision"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// matter is an opened document on its way to a decision. read and commit run in a transaction each, assess in none; still comes
// before any commit of the same transaction.
type matter interface {
	read(b *batch) error
	assess() error
	still(b *batch) error
	commit(b *batch) (resale.Decided, error)
}

// openers are the types of documents that are submitted. Which scope each needs, and with it whether it goes under an agreement or
// under the partnership alone, stands in scope.OfDocument.
var openers = map[string]func(d *Desk, partner string, doc Document, payload []byte) (opened, error){
	signed.Order:         openOrder,
	signed.Cancel:        openCancel,
	signed.AccessReceipt: openReceipt,
	signed.Agreement:     openAgreement,
	signed.Life:          openLife,
	signed.Erase:         openErase,
}

// reasonNotGivenBack keeps a cancel of an order undecided of which nothing but its decision came back from the partner: it may run.
const reasonNotGivenBack = "order_not_given_back"

// Types are those of documents that are submitted.
func Types() []string { return slices.Sorted(maps.Keys(openers)) }

// scoped completes what was opened with the scope that it needs; a type or an intent without one is denied.
func scoped(o opened, typ, intent string) (opened, error) {
	needed, known := scope.OfDocument(typ, intent)
	if !known {
		return opened{}, fault.New(fault.Invalid, "document_type_unknown", "documents of this type and intent are not submitted here")
	}
	o.scope = needed
	return o, nil
}

type orderMatter struct {
	desk  *Desk
	order *resale.Received
}

func openOrder(d *Desk, partner string, doc Document, payload []byte) (opened, error) {
	r, err := d.Orders.Open(partner, doc.JWS, payload, doc.Attachments)
	if err != nil {
		return opened{}, err
	}
	return scoped(opened{
		matter: &orderMatter{d, r}, key: Key{signed.Order, r.Document.ID}, digest: r.Digest, subject: r.Document.Subscription, agreement: r.Document.Agreement,
	}, signed.Order, string(r.Document.Intent))
}

func (m *orderMatter) read(b *batch) error  { return m.desk.Orders.Read(b.look, m.order) }
func (m *orderMatter) assess() error        { return m.desk.Orders.Assess(m.order) }
func (m *orderMatter) still(b *batch) error { return m.desk.Orders.Still(b.look, m.order) }
func (m *orderMatter) commit(b *batch) (resale.Decided, error) {
	return m.desk.Orders.Commit(b.tx, m.order, b.enqueue)
}

type cancelMatter struct {
	desk   *Desk
	cancel *resale.Cancelling
}

func openCancel(d *Desk, partner string, _ Document, payload []byte) (opened, error) {
	c, err := d.Orders.OpenCancel(partner, payload)
	if err != nil {
		return opened{}, err
	}
	return scoped(opened{
		matter: &cancelMatter{d, c}, key: Key{signed.Cancel, c.ID}, ends: Key{signed.Order, c.Order}, digest: c.Digest,
		subject: c.Subscription, agreement: c.Agreement,
	}, signed.Cancel, "")
}

func (m *cancelMatter) read(b *batch) error {
	if err := m.desk.Orders.ReadCancel(b.tx, m.cancel); err != nil || !m.cancel.Unseen() {
		return err
	}
	about := Key{signed.Order, m.cancel.Order}
	known, err := b.tx.Decisions().Decisions(m.cancel.Partner, []Key{about})
	if err != nil {
		return err
	}
	if before, is := known[about]; is {
		return fault.New(fault.Denied, reasonNotGivenBack, "order %s was decided in entry %s and did not come back: the operator has to look", m.cancel.Order, before.At)
	}
	return b.roomForEarly()
}
func (*cancelMatter) assess() error      { return nil }
func (*cancelMatter) still(*batch) error { return nil } // commit compares the order that it ends
func (m *cancelMatter) commit(b *batch) (resale.Decided, error) {
	decided, err := m.desk.Orders.CommitCancel(b.tx, m.cancel, func(o resale.Order) (bool, error) { return provision.Withdraw(b.tx, o) })
	if err == nil && m.cancel.Unseen() {
		err = b.countEarly()
	}
	return decided, err
}

type eraseMatter struct {
	desk  *Desk
	erase *resale.Erasing
	// about is the decision on the order; never says that there is none, nor will be, for both signed an end of what it was to make.
	about Decision
	never bool
}

func openErase(d *Desk, partner string, _ Document, payload []byte) (opened, error) {
	e, err := d.Orders.OpenErase(partner, payload)
	if err != nil {
		return opened{}, err
	}
	return scoped(opened{matter: &eraseMatter{desk: d, erase: e}, key: Key{signed.Erase, e.ID}, digest: e.Digest, subject: e.Subscription}, signed.Erase, "")
}

func (m *eraseMatter) read(b *batch) error {
	e := m.erase
	if err := m.desk.Orders.ReadErase(b.tx, e); err != nil {
		return err
	}
	key := Key{signed.Order, e.Order}
	known, err := b.tx.Decisions().Decisions(e.Partner, []Key{key})
	if err != nil {
		return err
	}
	decided := false
	if m.about, decided = known[key]; !decided {
		m.never, err = life.EndedSince(b.tx, ledger.Entry{Partner: e.Partner, Subject: e.Subscription})
		if err == nil && !m.never {
			err = resale.EraseTooEarly(e.Order)
		}
		return err
	}
	m.never = false
	if len(m.about.Digest) > 0 && hex.EncodeToString(m.about.Digest) != e.OrderSHA256 || len(m.about.Escrow) > 0 && signed.Digest(m.about.Escrow) != e.EscrowSHA256 {
		return resale.EraseMismatch(e.Order)
	}
	return nil
}
func (*eraseMatter) assess() error      { return nil }
func (*eraseMatter) still(*batch) error { return nil } // commit compares the order; a decision stays, and loses its escrow here alone
func (m *eraseMatter) commit(b *batch) (resale.Decided, error) {
	draft, err := m.desk.Orders.CommitErase(b.tx, m.erase, m.about.Escrow)
	if err != nil {
		return resale.Decided{}, err
	}
	return drafted(draft), b.tx.Decisions().DropEscrow(m.erase.Partner, m.about.Key)
}

type receiptMatter struct {
	desk    *Desk
	receipt *subscription.Confirmed
}

func openReceipt(d *Desk, partner string, _ Document, payload []byte) (opened, error) {
	c, err := d.Subscriptions.OpenReceipt(partner, payload)
	if err != nil {
		return opened{}, err
	}
	return scoped(opened{
		matter: &receiptMatter{d, c}, key: Key{signed.AccessReceipt, c.ID}, digest: c.Digest, subject: c.Subscription, agreement: c.Agreement,
	}, signed.AccessReceipt, "")
}

func (m *receiptMatter) read(b *batch) error {
	return m.desk.Subscriptions.ReadReceipt(b.tx, m.receipt)
}
func (*receiptMatter) assess() error      { return nil }
func (*receiptMatter) still(*batch) error { return nil } // commit compares the subscription
func (m *receiptMatter) commit(b *batch) (resale.Decided, error) {
	draft, err := m.desk.Subscriptions.CommitReceipt(b.tx, m.receipt)
	return drafted(draft), err
}

type agreementMatter struct {
	desk      *Desk
	agreement *agreement.Received
}

func openAgreement(d *Desk, partner string, doc Document, payload []byte) (opened, error) {
	r, err := d.Agreements.Open(partner, doc.JWS, payload)
	if err != nil {
		return opened{}, err
	}
	// Both members may sell to each other, and each makes the ids of its own agreements.
	id := "accept/" + r.ID
	if r.Offer() {
		id = "offer/" + r.ID
	}
	return scoped(opened{matter: &agreementMatter{d, r}, key: Key{signed.Agreement, id}, digest: r.Digest[:], subject: r.ID}, signed.Agreement, "")
}

func (m *agreementMatter) read(b *batch) error  { return m.desk.Agreements.Read(b.tx, m.agreement) }
func (m *agreementMatter) assess() error        { return m.desk.Agreements.Assess(m.agreement) }
func (m *agreementMatter) still(b *batch) error { return m.desk.Agreements.Still(b.tx, m.agreement) }

func (m *agreementMatter) commit(b *batch) (resale.Decided, error) {
	draft, err := m.desk.Agreements.Commit(b.tx, m.agreement)
	return drafted(draft), err
}

// drafted is a decision whose entry nothing names.
func drafted(d ledger.Draft) resale.Decided {
	return resale.Decided{Draft: d, Settle: func(ledger.Entry) error { return nil }}
}
