package resale

import (
	"crypto/sha256"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
)

// Attachments lie beside an order document, bound by digests in it.
type Attachments struct {
	Inputs, InputsSalt []byte
	Escrow             []byte
}

// MaxEscrowBytes bounds a reseller's escrow as it travels: 1 KiB of its own, padded, in a JWE.
const MaxEscrowBytes = 4096

// Received is an order that can be trusted: who placed it, under which agreement, with what content.
type Received struct {
	Attachments
	// Partner placed it.
	Partner  string
	Document order.Document
	// JWS is the document as it came, Digest the SHA-256 of its payload.
	JWS    string
	Digest []byte

	acceptBy time.Time
	facts    facts
	verdict  verdict
	// taken says that a purchase met a subscription where it makes its own. Hardly any does, so only then one is looked for.
	taken bool
}

// Open reads the payload of an order that a partner signed. Everything that it may say is a fault without a decision.
func (s *Service) Open(partner, jws string, payload []byte, a Attachments) (*Received, error) {
	r := &Received{Partner: partner, JWS: jws, Attachments: a}
	var err error
	if r.Document, r.acceptBy, err = order.ParseDocument(payload); err != nil {
		return nil, err
	}
	d := r.Document
	switch {
	case d.Issuer != partner || d.Audience != s.Self:
		return nil, fault.New(fault.Denied, "document_parties", "the order is between other parties")
	case d.Action != order.Add && len(a.Inputs)+len(a.InputsSalt)+len(a.Escrow) > 0:
		return nil, fault.New(fault.Invalid, "attachment_unexpected", "something lies beside an order that is no purchase").At("inputs")
	case d.Action == order.Add && (len(a.InputsSalt) < order.MinSaltBytes || len(a.InputsSalt) > order.MaxSaltBytes):
		return nil, fault.New(fault.Invalid, "inputs_salt_range", "the salt of the inputs has %d to %d bytes", order.MinSaltBytes, order.MaxSaltBytes).At("inputs_salt")
	case len(a.Inputs) > order.MaxInputsBytes:
		return nil, fault.New(fault.Invalid, "inputs_too_large", "inputs take at most %d bytes", order.MaxInputsBytes).At("inputs")
	case len(a.Escrow) > MaxEscrowBytes:
		return nil, fault.New(fault.Invalid, "escrow_too_large", "escrow takes at most %d bytes", MaxEscrowBytes).At("escrow")
	case d.EscrowSHA256 == "" && len(a.Escrow) > 0, d.EscrowSHA256 != "" && signed.Digest(a.Escrow) != d.EscrowSHA256:
		return nil, fault.New(fault.Invalid, "escrow_digest", "the escrow is not the one that the document names").At("escrow")
	}
	sum := sha256.Sum256(payload)
	r.Digest = sum[:]
	return r, nil
}
