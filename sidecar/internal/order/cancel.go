package order

import (
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/signed"

	"github.com/hanse-market/hanse/sidecar/internal/ledger"
)

// Cancel is the payload of a hanse-cancel+jwt: the reseller takes an order back. It counts until the supplier's work begins; where
// it arrives before the order, the order is refused when it comes.
type Cancel struct {
	Type         string `json:"type"`
	Issuer       string `json:"iss"`
	Audience     string `json:"aud"`
	ID           string `json:"jti"`
	PlacedAt     string `json:"placed_at"`
	Agreement    string `json:"agreement"`
	Subscription string `json:"subscription"`
	// Order is the jti of the order's document, OrderSHA256 the hex SHA-256 of its payload.
	Order       string `json:"order"`
	OrderSHA256 string `json:"order_sha256"`
}

// ParseCancel reads a verified payload. Errors: fault.Invalid with reason document_malformed, document_version or
// cancel_document_invalid.
func ParseCancel(payload []byte) (c Cancel, err error) {
	if err := signed.DecodeAs(signed.CancelV1, payload, &c); err != nil {
		return c, err
	}
	for _, m := range []struct {
		field string
		good  bool
	}{
		{"jti", c.ID == CancelID(c.Order)},
		{"placed_at", isTime(c.PlacedAt)},
		{"agreement", ledger.IsID(c.Agreement)},
		{"subscription", ledger.IsID(c.Subscription)},
		{"order", IsID(c.Order)},
		{"order_sha256", signed.IsDigest(c.OrderSHA256)},
	} {
		if !m.good {
			return c, fault.New(fault.Invalid, "cancel_document_invalid", "the cancel's %s is missing or out of bounds", m.field).At(m.field)
		}
	}
	return c, nil
}
