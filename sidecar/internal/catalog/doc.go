// Package catalog is what a member sells and what its partners sell: offerings, their revisions and prices, and the feed
// by which one member's catalog reaches another's.
//
// An offering is applied from YAML (offering.schema.json), becomes a JSON document whose exact bytes are hashed, and is
// published under a new revision to every reseller with an active agreement in its currency:
//
//	YAML ──Parse──> Parsed ──Service.Apply──> revision n+1 ──┬─> feed of partner A ──FeedPage──> partner's Reader.ApplyPage
//	                                                         └─> feed of partner B
//
// States (MEF LSO product lifecycle; the table is in state.go):
//
//	inTest ──> announced ──> orderable <──> onHold
//	                             └──────> endOfSale ──> endOfSupport ──> obsolete
//
// A feed holds the last change of each offering towards one partner under a growing sequence number. A snapshot is the
// feed read from its beginning, so that a reader can resume inside it; a change during a snapshot moves behind what was
// read and is read again. At the end the reader tombstones what it did not see.
//
// What is kept of one partner is bounded: offerings, bytes of their documents, and the tombstones of those that went, which have no document.
// What finds no room is left out; a new revision that finds none removes the offering, since what we have is not what is sold any more.
// Once there is room, the catalog is asked for from the beginning, and not more often than its size allows.
//
// What a partner sends is its word only: bytes are checked against their digest, documents against the same rules as our
// own, revisions never go back, and one bad offering never stops the others.
//
// Who sees the catalog follows from the agreements; what a reseller pays and shows of it does not: terms are given to prices,
// and listing decides what customers see.
package catalog
