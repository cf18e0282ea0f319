// Package order is the deal: the retail order at the reseller and the resale order at the supplier, tied by one correlation
// id. It is not the running product (subscription) nor the work on a platform (provision).
//
//	                ┌──────────► rejected
//	acknowledged ───┤   ┌─────► failed
//	     ▲  │       └─► inProgress ──► completed
//	     │  ▼               ▲  │
//	 pending.unreachable    │  ▼
//	                      held.indeterminate
//
// The supplier decides. The reseller's Place writes the retail order, the signed document, the ledger entry and the job that
// submits it in one transaction; Submit repeats the command until the supplier's decision is there; the receipt and the
// supplier's ledger feed apply through the same idempotent functions, whichever comes first.
package order
