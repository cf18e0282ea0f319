// Package retail is the customer's order: placed by a portal, of one to fifty items, each of them a deal of its own with one
// supplier.
//
//	Place ── one transaction: order, subscriptions, signed documents, ledger entries, a job an item
//	job order.submit ── repeats an item's document until the supplier has decided
//	Apply ── an entry of the supplier's ledger, in the reply to a Submit or by feed, whichever comes first
//
// The order's state follows from its items' (order.Sum). Only the supplier's signed word ends an item; an error of a call never
// does. What a customer reads is ours: a supplier's texts and its own reasons stay with the operator.
package retail
