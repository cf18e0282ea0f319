package order

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/money"
	"github.com/hanse-market/hanse/sidecar/internal/price"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
)

// Document is the payload of a hanse-order+jwt. It carries no personal data: inputs are a salted digest, the customer a
// pseudonym.
type Document struct {
	Type            string `json:"type"`
	Issuer          string `json:"iss"`
	Audience        string `json:"aud"`
	ID              string `json:"jti"`
	PlacedAt        string `json:"placed_at"`
	AcceptBy        string `json:"accept_by"`
	Action          Action `json:"action"`
	Intent          Intent `json:"intent"`
	Agreement       string `json:"agreement"`
	AgreementSHA256 string `json:"agreement_sha256"`
	Subscription    string `json:"subscription"`
	Customer        string `json:"customer"`

	Offering       string `json:"offering,omitempty"`
	Revision       int64  `json:"revision,omitempty"`
	OfferingSHA256 string `json:"offering_sha256,omitempty"`
	Quantity       int64  `json:"quantity,omitempty"`
	InputsSHA256   string `json:"inputs_sha256,omitempty"`
	// EscrowSHA256 is the hex SHA-256 of the reseller's sealed notes that travel beside the document.
	EscrowSHA256 string `json:"escrow_sha256,omitempty"`
	// Wholesale totals of the line in minor units; absent where nothing of the kind is owed.
	OneOffMinor    *int64 `json:"one_off_minor,omitempty"`
	RecurringMinor *int64 `json:"recurring_minor,omitempty"`
	Period         string `json:"period,omitempty"`
	Currency       string `json:"currency,omitempty"`
}

// MaxInputsBytes bounds the inputs of one order.
const MaxInputsBytes = 64 << 10

// Bounds of the salt beside the inputs, in bytes.
const (
	MinSaltBytes = 16
	MaxSaltBytes = 64
)

// InputsDigest is the hex SHA-256 of salt and inputs.
func InputsDigest(salt, inputs []byte) string {
	h := sha256.New()
	h.Write(salt)
	h.Write(inputs)
	return hex.EncodeToString(h.Sum(nil))
}

// SubscriptionID is the id of the subscription that an order makes, the same on both sides.
func SubscriptionID(correlationID string) string { return "sub-" + correlationID }

// Maker is the correlation id of the order that made a subscription.
func Maker(subscriptionID string) string { return strings.TrimPrefix(subscriptionID, "sub-") }

// CancelID is the id of the one cancel that an order may have.
func CancelID(order string) string { return "cnl-" + order }

// EraseID is the id of the one request to erase an order.
func EraseID(order string) string { return "ers-" + order }

// Bounds of an order's id. An id that is made of it has four characters more, and travels wherever an id does.
const (
	MinID = 8
	MaxID = ledger.MaxID - 4
)

// IsID reports whether a text may be an order's id.
func IsID(s string) bool { return len(s) >= MinID && len(s) <= MaxID && ledger.PlainText(s) }

// SetPrice writes what the item owes.
func (d *Document) SetPrice(line price.Line, currency string) {
	d.Currency, d.Period = currency, line.Period
	if line.OneOff != nil {
		d.OneOffMinor = &line.OneOff.Minor
	}
	if line.Recurring != nil {
		d.RecurringMinor = &line.Recurring.Minor
	}
}

// Price is what the document says that the item owes.
func (d *Document) Price() price.Line {
	return price.Line{OneOff: amount(d.OneOffMinor, d.Currency), Recurring: amount(d.RecurringMinor, d.Currency), Period: d.Period}
}

// Asks reports whether the document asks exactly for the line.
func (d *Document) Asks(line price.Line, currency string) bool {
	var want Document
	want.SetPrice(line, currency)
	return d.Currency == want.Currency && d.Period == want.Period &&
		equal(d.OneOffMinor, want.OneOffMinor) && equal(d.RecurringMinor, want.RecurringMinor)
}

func equal(a, b *int64) bool { return (a == nil) == (b == nil) && (a == nil || *a == *b) }

func amount(minor *int64, currency string) *money.Amount {
	if minor == nil {
		return nil
	}
	return &money.Amount{Minor: *minor, Currency: currency}
}

// ParseDocument reads a verified payload: the document, and until when it may be accepted. Errors: fault.Invalid with reason
// document_malformed, document_version, order_document_invalid or order_action_unknown.
func ParseDocument(payload []byte) (d Document, acceptBy time.Time, err error) {
	if err := signed.DecodeAs(signed.OrderV1, payload, &d); err != nil {
		return d, time.Time{}, err
	}
	bad := func(field string) (Document, time.Time, error) {
		return d, time.Time{}, fault.New(fault.Invalid, "order_document_invalid", "the order document's %s is missing or out of bounds", field).At(field)
	}
	acceptBy, err = signed.ParseTime(d.AcceptBy)
	switch {
	case !IsID(d.ID):
		return bad("jti")
	case !isTime(d.PlacedAt):
		return bad("placed_at")
	case err != nil:
		return bad("accept_by")
	case !ledger.IsID(d.Agreement):
		return bad("agreement")
	case !ledger.IsID(d.Subscription):
		return bad("subscription")
	case !signed.IsDigest(d.AgreementSHA256):
		return bad("agreement_sha256")
	case d.Customer == "" || utf8.RuneCountInString(d.Customer) > maxCustomer:
		return bad("customer")
	}
	row, taken := RowOf(d.Action, d.Intent)
	if !taken {
		return d, acceptBy, fault.New(fault.Invalid, "order_action_unknown", "action %q with intent %q is not taken here", d.Action, d.Intent).At("action")
	}
	if row.Action == Add && d.Subscription != SubscriptionID(d.ID) {
		return bad("subscription")
	}
	for _, m := range d.purchased() {
		switch {
		case row.Action == Add && !m.good:
			return bad(m.field)
		case row.Action != Add && m.there:
			return d, acceptBy, fault.New(fault.Invalid, "order_document_invalid", "%s belongs to a purchase alone", m.field).At(m.field)
		}
	}
	return d, acceptBy, nil
}

// maxCustomer bounds the pseudonym of a customer, in characters.
const maxCustomer = 128

// purchased are the members that a purchase has and nothing else: whether each is there, and whether a purchase may have it so.
func (d *Document) purchased() []struct {
	field       string
	there, good bool
} {
	_, unknown := money.MinorDigits(d.Currency)
	return []struct {
		field       string
		there, good bool
	}{
		{"offering", d.Offering != "", ledger.IsID(d.Offering)},
		{"revision", d.Revision != 0, d.Revision >= 1},
		{"offering_sha256", d.OfferingSHA256 != "", signed.IsDigest(d.OfferingSHA256)},
		{"quantity", d.Quantity != 0, d.Quantity >= 1 && d.Quantity <= price.MaxQuantity},
		{"inputs_sha256", d.InputsSHA256 != "", signed.IsDigest(d.InputsSHA256)},
		{"escrow_sha256", d.EscrowSHA256 != "", d.EscrowSHA256 == "" || signed.IsDigest(d.EscrowSHA256)},
		{"one_off_minor", d.OneOffMinor != nil, d.OneOffMinor == nil || *d.OneOffMinor >= 0},
		{"recurring_minor", d.RecurringMinor != nil, d.RecurringMinor == nil || *d.RecurringMinor >= 0},
		{"period", d.Period != "", true}, // assessed with the price
		{"currency", d.Currency != "", unknown == nil},
	}
}

func isTime(s string) bool {
	_, err := signed.ParseTime(s)
	return err == nil
}

// MaxItems bounds an order.
const MaxItems = 50

// Body is the body of an item's entries in both ledgers; its members stand by name, as RFC 8785 has them, which saves the sorting.
type Body struct {
	// AccessSHA256 is the hex SHA-256 of the sealed access data, in order.completed of what has some.
	AccessSHA256   string `json:"access_sha256,omitempty"`
	Action         Action `json:"action,omitempty"`
	Agreement      string `json:"agreement,omitempty"`
	DocumentSHA256 string `json:"document_sha256,omitempty"`
	// EscrowSHA256 is that of the escrow that was deleted, in order.erased where there was some.
	EscrowSHA256 string `json:"escrow_sha256,omitempty"`
	Intent       Intent `json:"intent,omitempty"`
	Message      string `json:"message,omitempty"`
	Order        string `json:"order"`
	Reason       string `json:"reason,omitempty"`
	Subscription string `json:"subscription,omitempty"`
}

// ParseBody reads the body of an entry about an order, as ledger.ReadBody does.
func ParseBody(e ledger.Entry) (Body, error) {
	t, err := ledger.ReadBody(e)
	return Body{
		Order: t.Order, DocumentSHA256: t.Document, Agreement: t.Agreement, Subscription: t.Subscription, Action: Action(t.Action), Intent: Intent(t.Intent),
		Reason: t.Reason, Message: t.Message, AccessSHA256: t.Access, EscrowSHA256: t.Escrow,
	}, err
}
