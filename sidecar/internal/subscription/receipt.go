package subscription

import (
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
)

// Receipt is the payload of a hanse-access-receipt+jwt: the reseller has the access data, the supplier may delete its copy.
type Receipt struct {
	Type         string `json:"type"`
	Issuer       string `json:"iss"`
	Audience     string `json:"aud"`
	ID           string `json:"jti"`
	Agreement    string `json:"agreement"`
	Subscription string `json:"subscription"`
	// AccessSHA256 is the hex SHA-256 of the sealed access data.
	AccessSHA256 string `json:"access_sha256"`
}

// ReceiptID is the jti of the receipt for access data: there is one for each.
func ReceiptID(accessSHA256 string) string { return "rcp-" + accessSHA256[:min(len(accessSHA256), 60)] }

// ParseReceipt reads a verified payload. Errors: fault.Invalid with reason document_malformed, document_version or
// receipt_document_invalid.
func ParseReceipt(payload []byte) (r Receipt, err error) {
	if err := signed.DecodeAs(signed.AccessReceiptV1, payload, &r); err != nil {
		return r, err
	}
	for _, m := range []struct {
		field string
		good  bool
	}{
		{"agreement", ledger.IsID(r.Agreement)},
		{"subscription", ledger.IsID(r.Subscription)},
		{"access_sha256", signed.IsDigest(r.AccessSHA256)},
		{"jti", r.ID == ReceiptID(r.AccessSHA256)},
	} {
		if !m.good {
			return r, fault.New(fault.Invalid, "receipt_document_invalid", "the receipt's %s is missing or out of bounds", m.field).At(m.field)
		}
	}
	return r, nil
}
