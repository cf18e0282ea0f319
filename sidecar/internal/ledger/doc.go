// Package ledger is the per-partner log of business events: append-only, hash-chained, with checkpoints signed after the
// commit. Each member keeps its own log towards a partner and a verified copy of the partner's.
//
// An entry is one JSON object in RFC 8785 form: seq, at, kind, subject, body, prev, hash, where hash is the SHA-256 of prev
// followed by the RFC 8785 form of the entry without hash, and the first prev is the SHA-256 of the partnership id.
// Entries carry no personal data and no secrets.
//
//	kind                 whose ledger  decides document             subject
//	agreement.offered    supplier      -                            agreement id
//	agreement.received   reseller      the supplier's agreement     agreement id
//	agreement.accepted   reseller      -                            agreement id
//	agreement.active     supplier      the reseller's agreement     agreement id
//	order.placed         reseller      -                            subscription id
//	order.accepted       supplier      order                        subscription id
//	order.rejected       supplier      order                        subscription id
//	order.held           supplier      -                            subscription id
//	order.completed      supplier      -                            subscription id
//	order.failed         supplier      -                            subscription id
//	cancel.placed        reseller      -                            subscription id
//	order.cancelled      supplier      cancel (before the order     subscription id
//	                                   arrived, that one too)
//	cancel.refused       supplier      cancel                       subscription id
//	access.confirmed     reseller      -                            subscription id
//	access.deleted       supplier      access receipt               subscription id
package ledger

// Kind of an entry.
type Kind string

const (
	AgreementOffered  Kind = "agreement.offered"
	AgreementReceived Kind = "agreement.received"
	AgreementAccepted Kind = "agreement.accepted"
	AgreementActive   Kind = "agreement.active"
	OrderPlaced       Kind = "order.placed"
	OrderAccepted     Kind = "order.accepted"
	OrderRejected     Kind = "order.rejected"
	OrderHeld         Kind = "order.held"
	OrderCompleted    Kind = "order.completed"
	OrderFailed       Kind = "order.failed"
	CancelPlaced      Kind = "cancel.placed"
	OrderCancelled    Kind = "order.cancelled"
	CancelRefused     Kind = "cancel.refused"
	AccessConfirmed   Kind = "access.confirmed"
	AccessDeleted     Kind = "access.deleted"
)

// Kinds lists all kinds.
func Kinds() []Kind {
	return []Kind{
		AgreementOffered, AgreementReceived, AgreementAccepted, AgreementActive, OrderPlaced, OrderAccepted, OrderRejected, OrderHeld,
		OrderCompleted, OrderFailed, CancelPlaced, OrderCancelled, CancelRefused, AccessConfirmed, AccessDeleted,
	}
}
