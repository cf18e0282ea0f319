// Package agreement is the contract between one supplier and one reseller: the supplier signs the bytes, the reseller signs
// the same bytes back, both pin the other's keys in them.
//
//	supplier                              reseller
//	Offer: offered ── command Offer ────► offered
//	                                      Accept: agreed (job agreement.accept)
//	active ◄───────── command Accept ────
//	ledger agreement.active ── feed ────► active
//
// What is offered when either of the two refuses the partnership is refused with it, at both; what the reseller signed and has no answer
// to is refused when it hears of that. A supplier that had taken the signature before says so in its ledger:
//
//	offered ──► refused ◄── agreed
//	               └──────► active
//
// A pair may have several active agreements: each currency has its own (see Deals), and the last that became active in a currency is
// the one that new orders are placed under.
//
// Every step is safe to repeat: a payload's digest tells the same document from another one.
package agreement
