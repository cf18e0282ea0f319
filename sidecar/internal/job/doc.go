// Package job is durable follow-up work: a state change enqueues a job in its own transaction, and a Runner carries it out
// later, as often as it takes.
//
//	At ──▶ waiting ──Lease──▶ running ──┬─ Done in the handler's own transaction, or nil ──▶ gone
//	          ▲                         ├─ Again, any error ──▶ waiting, later
//	          ├──── Retry (operator) ── parked ◀── ParkError, poison
//	          └──── lease ended: the next runner takes it over
//
// A process may add a job leased to itself (AllLeased) and hand it to its runner in memory after the commit (Take): it runs as soon as
// a worker is free, and the row stays the truth, which another process takes over when this one dies.
//
// That a job begins is durable before its handler first runs: Lease writes it, and Begin, once for all that the runner picks from its
// memory at a time, in the transaction that writes what came of those that ended before. A job has begun for ever. Withdraw deletes one that has not, whoever holds it, and nobody runs it then.
//
// A job is keyed: kind, partner and key name it, and adding it again changes nothing while it is there. It may run more than once
// (a process that dies has told nobody how far it came), so handlers are idempotent: they begin by reading the state.
//
// Every run is counted when it is leased, before the work. A job whose runs panic or never report three times in a row is
// parked: it may be what takes the process down. Of documents, which a process holds many of, nobody is blamed for the company it was in:
// after two such deaths each goes alone (Store.Alone), and what dies then is counted for it. A lease that ends before the job began says nothing of it. Back-off doubles,
// with jitter, up to 15 minutes.
//
// One slow partner never takes all runners: at most PerPartner jobs of one partner run at once, over all replicas. A lease
// only saves work; what a handler writes is protected by the compare-and-swap of its own transaction. A handler's deadline
// ends before its lease.
package job
