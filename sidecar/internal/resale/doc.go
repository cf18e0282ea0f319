// Package resale is the supplier's half of a deal: an order that a reseller's sidecar placed with a signed document. It assesses and
// decides, once, and it alone ends an order; provision asks it to when the work has come to an end. Package exchange, where
// documents come in, takes it through the steps, for a batch at a time.
//
//	Open ── payload, parties, attachments
//	Read ── facts, in one View ── Assess ── outside any transaction ── Still, Commit ── order, subscription, job, ledger entry
//	OpenCancel, ReadCancel, CommitCancel ── the same for a cancel: before the order arrived, before its work began, or too late
//	Complete, Abort, Hold ── order, subscription and ledger entry in provision's transaction
package resale
