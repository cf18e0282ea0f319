// Package hot is short-lived state that replicas of one member share: replay caches, deny lists, rate limits, leases and
// wake-ups. In one process it is memory; for several it is Redis. Losing it loses no business fact: whatever is correct only
// because of it is compared and swapped in SQL as well.
//
// A replay cache that forgets would let proofs through a second time, so it knows its birth: whoever claims refuses proofs
// that are older. Redis has a new birth when its memory is another one than before: flushed, restarted, or a replica that was
// promoted and may lack the last claims. That is noticed in the very step that claims, by the server's run id. A Redis that
// may evict keys is refused.
//
// Redis down means errors within a second, and callers that protect something fail closed. Wake-ups within the process go on.
package hot
