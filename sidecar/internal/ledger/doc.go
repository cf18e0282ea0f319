// Package ledger is the per-partner log of business events: append-only, hash-chained, with checkpoints signed after the
// commit. Each member keeps its own log towards a partner and a verified copy of the partner's.
//
// An entry is one JSON object in RFC 8785 form: life, seq, at, kind, subject, body, prev, hash, where hash is the SHA-256 of prev
// followed by the RFC 8785 form of the entry without hash, and the first prev is the SHA-256 of the partnership id, in a later life with
// that life and the digest of the document that opened it. The form is
// fixed for a life: what else stands in an entry, or stands twice, is refused. Its place is (life, seq); seq starts at 1 in each
// life. Entries carry no personal data and no secrets.
//
// This is the table of kinds. Whose ledger: the side of the subject's deal that writes it; from the other side it parks. Decides:
// the document of the other side that the entry decides; an entry that decides none tells what its writer does. From: where the
// subject must be at the reader, as the reader sees it; from elsewhere it parks, and what is so already changes nothing. A kind
// has the version of its body behind a stroke from the second on; an unknown one parks its subject.
//
//	kind                whose ledger  decides         subject          from
//	agreement.offered   supplier      -               agreement id     any: the document itself follows
//	agreement.received  reseller      the offer       agreement id     offered
//	agreement.accepted  reseller      -               agreement id     any: the document itself follows
//	agreement.active    supplier      the acceptance  agreement id     agreed
//	order.placed        reseller      -               subscription id  any: the document itself follows
//	order.accepted      supplier      order           subscription id  acknowledged, pending.*, assessingCancellation, pendingCancellation
//	order.rejected      supplier      order           subscription id  acknowledged, pending.*, assessingCancellation, pendingCancellation
//	order.held          supplier      -               subscription id  inProgress, assessingCancellation
//	order.completed     supplier      -               subscription id  inProgress, held.*, assessingCancellation, pendingCancellation
//	order.failed        supplier      -               subscription id  inProgress, held.*, assessingCancellation, pendingCancellation
//	cancel.placed       reseller      -               subscription id  any: the document itself follows
//	order.cancelled     supplier      cancel, order   subscription id  assessingCancellation, pendingCancellation
//	cancel.refused      supplier      cancel          subscription id  assessingCancellation
//	access.confirmed    reseller      -               subscription id  any: the document itself follows
//	access.deleted      supplier      access receipt  subscription id  active
//	erase.placed        reseller      -               subscription id  any: the document itself follows
//	order.erased        supplier      erase           subscription id  ended
//	life.opened         both          countersignature  life document id  forked: it begins the log's new life, see Begin
//
// What a reader knows of both logs of a partnership is its Books: two signatures of a partner that cannot both be true make them
// forked, with the evidence; see Forked and Fenced.
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
	ErasePlaced       Kind = "erase.placed"
	OrderErased       Kind = "order.erased"
	LifeOpened        Kind = "life.opened"
)

// Kinds lists all kinds.
func Kinds() []Kind {
	return []Kind{
		AgreementOffered, AgreementReceived, AgreementAccepted, AgreementActive, OrderPlaced, OrderAccepted, OrderRejected, OrderHeld,
		OrderCompleted, OrderFailed, CancelPlaced, OrderCancelled, CancelRefused, AccessConfirmed, AccessDeleted, ErasePlaced, OrderErased,
		LifeOpened,
	}
}
