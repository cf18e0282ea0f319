package order

import (
	"regexp"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
)

// Cancel is the payload of a hanse-cancel+jwt: the reseller does not want an order any more.
type Cancel struct {
	Type         string `json:"type"`
	Issuer       string `json:"iss"`
	Audience     string `json:"aud"`
	ID           string `json:"jti"`
	PlacedAt     string `json:"placed_at"`
	Agreement    string `json:"agreement"`
	Subscription string `json:"subscription"`
	// Order is the order's id, OrderSHA256 the hex SHA-256 of its payload.
	Order       string `json:"order"`
	OrderSHA256 string `json:"order_sha256"`
}

// CancelType is the type of a Cancel.
const CancelType = "hanse-cancel/1"

// CancelID is the id of the one cancel that an order may have.
func CancelID(order string) string { return "cnl-" + order }

// ReasonTooLate refuses a cancel of what was begun, or has ended.
const ReasonTooLate = "too_late"

var digestText = regexp.MustCompile(`^[0-9a-f]{64}$`)

// ParseCancel reads a verified payload. Errors: fault.Invalid with reason document_malformed or cancel_document_invalid.
func ParseCancel(payload []byte) (c Cancel, err error) {
	if err := signed.Decode(payload, &c); err != nil {
		return c, err
	}
	bad := func(field string) (Cancel, error) {
		return c, fault.New(fault.Invalid, "cancel_document_invalid", "the cancel document's %s is missing or out of bounds", field).At(field)
	}
	switch {
	case c.Type != CancelType:
		return bad("type")
	case len(c.Order) < 8 || len(c.Order) > 64 || !ledger.PlainText(c.Order):
		return bad("order")
	case c.ID != CancelID(c.Order):
		return bad("jti")
	case c.Agreement == "" || len(c.Agreement) > 64:
		return bad("agreement")
	case len(c.Subscription) > 80 || !ledger.PlainText(c.Subscription):
		return bad("subscription")
	case !digestText.MatchString(c.OrderSHA256):
		return bad("order_sha256")
	}
	return c, nil
}
