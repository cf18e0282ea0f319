// Package provision turns accepted work into calls of an adapter and the adapter's answer into the end of the order, for which
// it asks package resale. It does not decide about orders and does not know any platform.
//
//	job order.provision ─► recipe resolves the binding ─► adapter Apply (finds its tag before it creates)
//	   ─► one transaction: the step's record, sealed access data, order completed
//
// Each step of a recipe has a record for its subscription, with a tag and a secret of its own; a recipe has one step. An order has
// one job, whatever its steps:
//
//	step      ──► applied ──► destroyed
//	          ──► asking ───► applied, unknown, removing: tier C alone
//	          ──► unknown ──► asking, applied, removing
//	          ──► removing ─► destroyed: it can never be made, so what came to be in part goes before anybody is told
//
// An adapter that cannot say whether something was made is asked again with back-off where its tier allows (A, B: its Apply
// finds what it made). Tier C is never asked again blindly, neither after a crash nor where what it made could not be written
// down, nor where it can list and has the tag already, which a store that is gone asked for: that it is asked is recorded before, the order becomes held.indeterminate and its job is parked. An
// operator says what is there (Resolve): made completes the order; not made has the platform observed first, then Apply asked.
//
// A run whose lease ended while its adapter worked on is late: if the order or the step has moved on since, it writes nothing,
// and it removes nothing.
package provision
