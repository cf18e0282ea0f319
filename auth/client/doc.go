// Package client is our side at partners' servers: it discovers a member from its origin, gets and caches access tokens, and
// signs each call with a DPoP proof.
//
// Time. A partner accepts proofs and assertions within a narrow window of its own clock, so they are stamped with its time:
// each answer's Hanse-Time (package clock) teaches the difference to ours, and nothing else does. An answer with reason
// clock_skew is retried once with what its Hanse-Time said. A difference beyond 300 s is not followed but reported: somebody's
// clock is broken, and a human must look. A partner whose clock stepped back, by its Hanse-Time or because it refuses a token
// as issued in the future, loses all its cached tokens: it would refuse each of them.
//
// Retry. A call is repeated once, with a fresh proof and if need be a fresh token, when the partner's reason says that this
// can help (replayed, clock_skew, token_expired and the like) and its body can be sent again. Nothing else is retried here:
// what a lost answer means is for the caller to decide.
package client
