package order

import (
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
)

// Erase is the payload of a hanse-erase+jwt: the reseller has erased what it knew of an order's customer, and its supplier deletes what it
// keeps beside the order for it. All of it follows from the order's own document, and no time stands in it: who lost a request that its
// ledger names makes it again, with the same digest.
type Erase struct {
	Type         string `json:"type"`
	Issuer       string `json:"iss"`
	Audience     string `json:"aud"`
	ID           string `json:"jti"`
	Agreement    string `json:"agreement"`
	Subscription string `json:"subscription"`
	// Order is the jti of the order's document, OrderSHA256 the hex SHA-256 of its payload.
	Order       string `json:"order"`
	OrderSHA256 string `json:"order_sha256"`
	// EscrowSHA256 is that of the escrow beside the order, as its document has it.
	EscrowSHA256 string `json:"escrow_sha256,omitempty"`
}

// ParseErase reads a verified payload. Errors: fault.Invalid with reason document_malformed, document_version or
// erase_document_invalid.
func ParseErase(payload []byte) (e Erase, err error) {
	if err := signed.DecodeAs(signed.EraseV1, payload, &e); err != nil {
		return e, err
	}
	for _, m := range []struct {
		field string
		good  bool
	}{
		{"jti", e.ID == EraseID(e.Order)},
		{"agreement", ledger.IsID(e.Agreement)},
		{"subscription", ledger.IsID(e.Subscription)},
		{"order", IsID(e.Order)},
		{"order_sha256", signed.IsDigest(e.OrderSHA256)},
		{"escrow_sha256", e.EscrowSHA256 == "" || signed.IsDigest(e.EscrowSHA256)},
	} {
		if !m.good {
			return e, fault.New(fault.Invalid, "erase_document_invalid", "the request's %s is missing or out of bounds", m.field).At(m.field)
		}
	}
	return e, nil
}
