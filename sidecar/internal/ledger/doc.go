// Package ledger is the per-partner log of business events: append-only, hash-chained, with checkpoints signed after the
// commit. Each member keeps its own log towards a partner and a verified copy of the partner's.
//
// An entry is one JSON object in RFC 8785 form: seq, at, kind, subject, body, prev, hash, where hash is the SHA-256 of prev
// followed by the RFC 8785 form of the entry without hash, and the first prev is the SHA-256 of the partnership id.
// Entries carry no personal data and no secrets.
//
//	kind                 whose ledger  who decides  subject
//	agreement.offered    supplier      supplier     agreement id
//	agreement.accepted   reseller      reseller     agreement id
//	agreement.active     supplier      supplier     agreement id
//	order.placed         reseller      reseller     correlation id
//	order.accepted       supplier      supplier     correlation id
//	order.rejected       supplier      supplier     correlation id
//	order.held           supplier      supplier     correlation id
//	order.completed      supplier      supplier     correlation id
//	order.failed         supplier      supplier     correlation id
//	access.confirmed     reseller      reseller     subscription id
package ledger

// Kind of an entry.
type Kind string

const (
	AgreementOffered  Kind = "agreement.offered"
	AgreementAccepted Kind = "agreement.accepted"
	AgreementActive   Kind = "agreement.active"
	OrderPlaced       Kind = "order.placed"
	OrderAccepted     Kind = "order.accepted"
	OrderRejected     Kind = "order.rejected"
	OrderHeld         Kind = "order.held"
	OrderCompleted    Kind = "order.completed"
	OrderFailed       Kind = "order.failed"
	AccessConfirmed   Kind = "access.confirmed"
)

// Kinds lists all kinds.
func Kinds() []Kind {
	return []Kind{
		AgreementOffered, AgreementAccepted, AgreementActive, OrderPlaced, OrderAccepted, OrderRejected, OrderHeld, OrderCompleted,
		OrderFailed, AccessConfirmed,
	}
}
