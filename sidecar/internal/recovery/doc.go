// Package recovery is the way back of books that are behind: this store is older than what it signed towards a partner, and the partner
// holds the rest. With each such partner it goes by itself, all at the same time:
//
//	behind ── our copy of its log read to its head ── Recall: every entry of our own log beyond ours, up to a checkpoint that we signed
//	            │ our signature in a later life: what both signed to begin the next one comes with it, and all of that is proved; both logs of our
//	            │ life up to where both had them alike, ONE TX: the next life begins, with the ends that both agreed on; again from there
//	            │ a chain that does not lead from our head to our signature: nothing of it is taken, asked again
//	            ▼ Recall again, now with the documents: ONE TX for a few entries: our log goes on with them, nothing is signed anew; the
//	              orders, subscriptions, decisions and jobs that each had made are made again of its document; what the partner says of them
//	              and could not be applied is applied
//	            ▼ our log is where our signature says; what is parked about what it does not tell of yet is applied too
//	          unproven ── asked, as after any start ── level
//
// Which document belongs to an entry says its digest in the entry; both are bound by our own signature, so that a partner can withhold and
// cannot invent. What a document of ours does not say, to which order of which portal it belongs and what the customer was sold, comes back in
// the escrow beside it. How far it has come is our log's own head: whatever ends a run, the next one goes on there. What an entry had made and
// nobody can give back is a parked job, JobLost, for an operator.
package recovery
