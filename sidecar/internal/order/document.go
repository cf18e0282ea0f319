package order

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/money"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
)

// Document is the payload of a hanse-order+jwt. It carries no personal data: inputs are a salted digest, the customer a
// pseudonym.
type Document struct {
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
	// Wholesale totals of the line in minor units; absent where nothing of the kind is owed.
	OneOffMinor    *int64 `json:"one_off_minor,omitempty"`
	RecurringMinor *int64 `json:"recurring_minor,omitempty"`
	Period         string `json:"period,omitempty"`
	Currency       string `json:"currency,omitempty"`
}

// MaxInputsBytes bounds the inputs of one order.
const MaxInputsBytes = 64 << 10

// InputsDigest is the hex SHA-256 of salt and inputs.
func InputsDigest(salt, inputs []byte) string {
	h := sha256.New()
	h.Write(salt)
	h.Write(inputs)
	return hex.EncodeToString(h.Sum(nil))
}

// SubscriptionID is the id of the subscription that an order makes, the same on both sides.
func SubscriptionID(correlationID string) string { return "sub-" + correlationID }

func (d *Document) setPrice(line catalog.Line, currency string) {
	d.Currency, d.Period = currency, line.Period
	if line.OneOff != nil {
		d.OneOffMinor = &line.OneOff.Minor
	}
	if line.Recurring != nil {
		d.RecurringMinor = &line.Recurring.Minor
	}
}

// samePrice tells whether the document asks exactly for the line.
func (d *Document) samePrice(line catalog.Line, currency string) bool {
	var want Document
	want.setPrice(line, currency)
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

// parseDocument reads a verified payload.
func parseDocument(payload []byte) (Document, time.Time, error) {
	var d Document
	if err := signed.Decode(payload, &d); err != nil {
		return d, time.Time{}, err
	}
	bad := func(field string) (Document, time.Time, error) {
		return d, time.Time{}, fault.New(fault.Invalid, "order_document_invalid", "the order document's %s is missing or out of bounds", field).At(field)
	}
	acceptBy, err := time.Parse(time.RFC3339, d.AcceptBy)
	switch {
	case len(d.ID) < 8 || len(d.ID) > 64 || !ledger.PlainText(d.ID):
		return bad("jti")
	case err != nil:
		return bad("accept_by")
	case d.Agreement == "" || len(d.Agreement) > 64:
		return bad("agreement")
	case len(d.Subscription) > 80 || !ledger.PlainText(d.Subscription):
		return bad("subscription")
	case len(d.Customer) > 128:
		return bad("customer")
	}
	switch {
	case d.Action == Add && d.Intent == Purchase:
		if len(d.Offering) > 64 || !ledger.PlainText(d.Offering) || d.Revision < 1 || d.Quantity < 1 || d.Quantity > MaxQuantity {
			return bad("offering, revision or quantity")
		}
		if d.Subscription != SubscriptionID(d.ID) {
			return bad("subscription")
		}
	case d.Action == Delete && d.Intent == Terminate:
	default:
		return d, acceptBy, fault.New(fault.Invalid, "order_action_unknown", "action %q with intent %q is not taken here", d.Action, d.Intent).At("action")
	}
	return d, acceptBy, nil
}

// MaxQuantity bounds an order line.
const MaxQuantity = 10000

// entryBody is the body of the order's ledger entries.
type entryBody struct {
	Order          string `json:"order"`
	DocumentSHA256 string `json:"document_sha256,omitempty"`
	Agreement      string `json:"agreement,omitempty"`
	Subscription   string `json:"subscription,omitempty"`
	Action         Action `json:"action,omitempty"`
	Reason         string `json:"reason,omitempty"`
	Message        string `json:"message,omitempty"`
	AccessSHA256   string `json:"access_sha256,omitempty"`
}

func marshalDigest(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	sum := sha256.Sum256(raw)
	return sum[:]
}
