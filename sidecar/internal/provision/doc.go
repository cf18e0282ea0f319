// Package provision turns accepted work into calls of an adapter and the adapter's answer into the end of the order. It does
// not decide about orders and does not know any platform.
//
//	job order.provision ─► recipe resolves the binding ─► adapter Apply (finds its tag before it creates)
//	   ─► one transaction: subscription active, sealed access data, order completed, ledger entry
//
// An adapter that cannot say whether something was made is observed and asked again where its tier allows, and held for an
// operator where it does not.
package provision
