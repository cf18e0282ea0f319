// Package audit looks whether what a store holds fits together. What must hold has a number and one sentence; some of it one store shows by
// itself, some only both stores of a deal together, some only whoever made the faults and counted the effects, and some nothing shows yet.
//
// An audit reads in pages, a View each, while the sidecar works: what belongs together is read in one View. Its time grows with what there
// is, its memory does not: of a log it keeps a few bytes for each order that is written in it, and nothing of the orders themselves. It
// changes nothing.
//
// It shares no code with what it looks at where that could be wrong in the same way: the path of an order is read off the ledger by the
// table of order states, its price is computed from the stored revision again, its signature is verified again.
package audit
