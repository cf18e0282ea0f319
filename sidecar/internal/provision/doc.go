// Package provision turns accepted work into calls of an adapter and the adapter's answer into the end of the order. It does
// not decide about orders and does not know any platform.
//
//	job order.provision ─► recipe resolves the binding ─► adapter Apply (finds its tag before it creates)
//	   ─► one transaction: subscription active, sealed access data, order completed, ledger entry
//
// An adapter that cannot say whether something was made is asked again with back-off where its tier allows (A, B: its Apply
// finds what it made). Tier C is never asked again blindly, after a crash neither: the order becomes held.indeterminate and its
// job is parked. When an operator retries the job, the platform is observed first, then Apply is asked.
//
// A run whose lease ended while its adapter worked on is late: if the order has moved on since, it writes nothing and removes
// nothing.
package provision
