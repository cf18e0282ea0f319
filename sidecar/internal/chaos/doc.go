// Package chaos proves the books: it runs members as real processes of the real binary, hurts them and what lies between them after a plan,
// and then holds against each other what the portals were told, what both sides of each deal know, and what a platform outside all of
// them really made.
//
//	Plan (seed) ── rounds of copies, faults and wishes
//	                  │
//	 portals ── wishes ──► alpha ══ proxy ══► bravo ══ proxy ══► charlie     processes of hanse serve, in dev mode
//	 history.jsonl          │  ══════════ proxy ═════════════►     │
//	                        faults: wire, processes, disks        adapters rig-a, rig-b, rig-c ──► platform, journal.jsonl
//
// It is not a load test, and no test double of a member: nothing in it knows how a member works. What it writes down itself, history and
// journal, is on the disk before anybody counts on it.
package chaos
