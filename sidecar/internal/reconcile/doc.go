// Package reconcile compares with each partner what both sides have of the deals that are open or run: once a day, and when an operator asks.
//
//	all that the partner lists against ours, all of ours that it did not list ── equal: nothing follows
//	    │ the others, a hundred at once: they may only be under way
//	    ▼ asked by name ── our copy of its log read to the head in the answer ── ours read ── asked by name again
//	equal at any time, or either side moved between: under way, the next comparison looks again
//	else it differs ── the partner decides: what its log says of the deal is applied again, by the one function that applies entries
//	                       │ all of it or nothing; equal then: repaired
//	                       ▼
//	                   raised: a parked job, until both are equal or an operator drops it
//
// A difference counts where the partner said the same before and after we read ours, and ours followed from all that it had written when it
// first said so; where it follows from our log, it had read as far as we had written when we first looked. What we decide the partner has to
// repair: it is told by its own comparison.
//
// A comparison is reads alone between members. What counts is the digest of the agreed form, see exchange.DealDigest.
package reconcile
