// Package order is what the two sides of a deal share: the document that the reseller signs, the bodies of the entries that
// the supplier answers with, the item that both keep, and what it is for. The customer's order is package retail, the
// supplier's half package resale, the running product package subscription, the work on a platform package provision.
//
//	                ┌──────────► rejected
//	acknowledged ───┤   ┌──────► failed
//	     ▲  │       └─► inProgress ──► completed
//	     │  ▼           │   ▲  │
//	     │  │           │   │  ▼
//	     │  │           │  held.indeterminate
//	     │  │           └──────► cancelled, while no work began
//	 pending.unreachable
//
//	acknowledged, pending.unreachable, inProgress ──► assessingCancellation ──► cancelled, or back to inProgress: too late
//
// At the reseller a cancel is asked for; while it is on its way the supplier may still reject, complete or fail the order.
//
// Each item is one deal with one supplier, tied to the supplier's half by one correlation id, and the supplier decides. A
// retail order has no state of its own: Sum gives it from those of its items, partial among them.
package order
