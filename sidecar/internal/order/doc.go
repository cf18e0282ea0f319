// Package order is what the two sides of a deal share: the document that the reseller signs, the bodies of the entries that
// the supplier answers with, the item that both keep, and what it is for. The customer's order is package retail, the
// supplier's half package resale, the running product package subscription, the work on a platform package provision.
//
//	                ┌──────────► rejected
//	acknowledged ───┤   ┌──────► failed
//	     ▲  │       └─► inProgress ──► completed
//	     │  ▼           │      │
//	     │  │           │      ▼
//	     │  │           │  held.indeterminate
//	     │  │           └──────► cancelled, while no work began
//	 pending.unreachable
//
//	acknowledged, pending.unreachable, inProgress ──► assessingCancellation ──► cancelled, or back to inProgress: too late
//
//	assessingCancellation ──► pendingCancellation, when accept_by passed ──► cancelled, rejected, inProgress, or failed: given up
//
//	pending.rebuilding ──► acknowledged, or failed: nobody gave it back
//
// An item is pending.rebuilding where the store of the reseller is older than what it signed: others of its order came back from their suppliers,
// and this one has not. At the reseller a cancel is asked for; while it is on its way the supplier may still reject, complete or fail the order. What it has
// not decided in time is cancelled without being asked for, and a day later an operator may give it up.
//
// Each item is one deal with one supplier, tied to the supplier's half by one correlation id, and the supplier decides. A
// retail order has no state of its own: Sum gives it from those of its items, partial among them.
package order
