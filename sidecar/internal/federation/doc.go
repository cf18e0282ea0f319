// Package federation lets partners follow each other. It reads what partners write (LedgerReader, CatalogReader): each feed with
// a cursor of its own, verified before it is applied, applied with the cursor in one transaction. And it serves them what we
// write (LedgerFeed, CatalogFeed).
//
//	partner's ledger ──tail──► chain, checkpoint ──► one transaction: entries stored, applied or parked, checkpoint kept
//	partner's catalog ─watch─► signature, digests ─► one transaction: offerings stored, cursor kept
//
// An entry that verifies but cannot be applied parks its subject: later entries of that subject queue behind it, others go
// on. A stream that breaks is taken up again from the cursor, with back-off and jitter.
package federation
