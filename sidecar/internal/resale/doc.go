// Package resale is the supplier's half of a deal: an order that a reseller's sidecar placed with a signed document. It receives,
// assesses and decides, once, and it alone ends an order; provision asks it to when the work has come to an end.
//
//	Receive ── facts read ── assessed outside any transaction ── one transaction: order, subscription, ledger entry, job
//	Complete, Abort, Hold ── order, subscription and ledger entry in provision's transaction
package resale
