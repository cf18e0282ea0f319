// Package dispatch is what the business says to the outbox: here is a signed document, and the transaction that decided to send it
// is committed. The outbox itself, which knows partners, calls and ledgers, stands above the business in package exchange.
//
//	one transaction:  state + ledger entry + Sender.Add (the job, held by this process)
//	after the commit: Sender.Send (to the outbox, in memory)
//
// The job is the truth. A process that dies between the two, an outbox without room and a partner that is away leave the job
// waiting in the store, and the document is read from there when its turn comes.
package dispatch
