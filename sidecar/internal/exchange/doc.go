// Package exchange is how members command each other: signed documents, submitted in batches, safe to repeat for ever. What was
// decided about a document stands in the callee's ledger and is read there alone; the answer to a call is a page of it.
//
// The Desk is the callee's side:
//
//	Submit ── who calls, and how far it has read
//	  each document: signature by the pinned key ── type ── strict payload ── parties
//	  may the token, and the partnership now, submit it? Asked once, it counts for what is not decided yet
//	  in waves, of each subject and id the first, cancels before all others:
//	    one View: decided before? books; facts ── assessed outside
//	    one Do: facts unchanged, effects, ledger entries, decisions, jobs
//	  work handed over in memory, its job being the truth
//	  reply: our ledger after what the caller has read, a checkpoint, and of each document where it is decided or why it is not
//
// What fails about one document leaves that one undecided and without a trace. Facts that changed meanwhile repeat the wave; a
// document that cannot be written, or loses every time, takes the batch apart, so that the others go on.
//
// The Outbox is the caller's side: it sends what jobs ask for, and reads the reply as it reads the feed.
package exchange
