// Package subscription is the running product that an order made (TMF637), with its access data. It alone moves
// subscriptions: Begin takes one onto the course of an order's intent, Finish and Undo take it off again.
//
//	pendingActive ──► active ◄──► active.pendingChange
//	pendingActive ──► active ◄──► suspended
//	      │            │   ▲          │  ▲
//	      ▼            ▼   │          ▼  │
//	   aborted     pendingTerminate ──► terminated
//
// A course that comes to nothing gives the subscription back to where it was. What was aborted by a reseller that had given up waiting, and
// was made by its supplier all the same, is ended there and terminated then.
//
// Access data travel sealed to the reseller: the supplier's ledger names only their digest; the reseller fetches them, keeps
// them under the subscription's own data key, confirms, and the supplier deletes its copy.
package subscription
