// Package federation reads what partners write: it tails their ledgers and watches their catalogs, each with its own cursor,
// verifies before it applies, and applies with the cursor in one transaction.
//
//	partner's ledger ──tail──► chain, checkpoint ──► one transaction: entries stored, applied or parked, checkpoint kept
//	partner's catalog ─watch─► signature, digests ─► one transaction: offerings stored, cursor kept
//
// An entry that verifies but cannot be applied parks its subject: later entries of that subject queue behind it, others go
// on. A stream that breaks is taken up again from the cursor, with back-off and jitter.
package federation
