// Package store is the system of record: one schema and one set of statements on SQLite (embedded, the default) and
// PostgreSQL (several replicas). It implements the Store interfaces that the domain packages declare.
//
// # The unit of work
//
// Do runs a closure in one read-write transaction and commits records, ledger entries, jobs and cursors in one step; View
// runs one on a read-only snapshot. A closure is pure: it may run again, on another transaction, when the engine asks for
// it. It must not sign, call out, or keep its Tx. What it passes to Tx.Wake is published after the commit and dropped with
// a rollback. A panic inside is contained: the closure is rolled back and Do returns an error.
//
//	callers ──Do──▶ queue ──▶ one writes: BEGIN, closure, SAVEPOINT closure, SAVEPOINT closure, ..., COMMIT ──▶ callers
//	        ──Bulk─▶ queue (behind) ──▶ the same, at most 10 ms in one commit
//	        ──View─▶ pool of read-only connections, one snapshot each
//
// On SQLite one caller at a time is the writer. It commits at once when it is alone, and takes everybody who waits into its
// commit; whoever waited during a commit is in the next one. A closure that fails goes back to its savepoint; its neighbours
// commit. On PostgreSQL each closure is a SERIALIZABLE
// transaction of its own and runs again after a serialization failure or a deadlock; after a few of those it runs alone in
// this process, so that it ends.
//
// # Who may write
//
// One sidecar alone has a database, unless its replicas share a Redis. An SQLite file is locked itself, by whatever link or mount it
// is reached, and has one name. On PostgreSQL an advisory lock lives in one session, which is proved to be ours alone; each
// transaction asks for it right before its commit, and the next holder waits for that commit. A server that is read-only, going
// or gone is left for one that can be written. One of another system identifier or timeline may lack what was committed:
// it is read, and written when an operator has accepted it; no schema is changed there before. Writable tells whether a commit would
// be taken now, and the log when that ended and began.
//
// # Records
//
// A row keeps the domain record as protobuf bytes (storepb) plus the columns that queries need. An update loads the stored
// record, overwrites the fields it knows in place and keeps the ones it does not: versions N-1 and N share a database while
// an upgrade rolls. Records with a Version change by compare-and-swap; fault.Conflict tells the loser.
//
// # Secrets
//
// Keys for two purposes are derived from the site key: one wraps the per-subscription data keys under which inputs and
// access data rest, one seals the member's private keys. AES-256-GCM throughout; the additional data name table and row, so
// that a ciphertext cannot be moved. Erase destroys a data key for good.
//
// It is not a query layer: a new question is a new method on the interface of whoever asks.
package store
