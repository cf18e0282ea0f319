// Package testpeer is a member that tests other members. It speaks PEER-1 to a member at its real origin, as its supplier or its
// reseller: the honest story, and one wrong thing at a time, whose answer it judges. It says which numbered rule of docs/peer-1.md was broken.
//
//	Run ── peer ── propose ── what people of the other side have to do ── agreement ── case after case ── findings
//
// What it judges by is what the member under test answers and publishes over the peer interface alone: refusals and their reasons, its
// ledger, the place up to which it countersigns ours, the cursors that it asks with. It never looks into its database.
//
// It is no sidecar: it has no store, keeps keys and logs in memory, and decides whatever a case needs. A run begins with keys of its own,
// so that each is a partner that nobody knows: the origin of one before is a key discontinuity (K-9).
package testpeer
