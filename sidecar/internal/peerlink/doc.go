// Package peerlink is our side of the Peer API: it turns what the domain wants to say into calls at partners' sidecars and
// their answers into the domain's words. It decides nothing and repeats nothing; jobs and feeds do.
//
// An error of kind Unavailable, Exhausted, Unauthenticated, Denied or Internal is no decision of the partner; Invalid,
// NotFound, Conflict and Precondition are its words about what we sent.
package peerlink
