// Package subscription is the running product that an order made (TMF637), with its access data.
//
//	pendingActive ──► active ◄──► suspended
//	      │            │   ▲          │
//	      ▼            ▼   │          ▼
//	   aborted     pendingTerminate ──► terminated
//
// Access data travel sealed to the reseller: the supplier's ledger names only their digest; the reseller fetches them, keeps
// them under the subscription's own data key, confirms, and the supplier deletes its copy.
package subscription
