// Package hot is short-lived state that replicas of one member share: replay caches, deny lists, rate limits, leases and
// wake-ups. In one process it is memory; for several it is Redis. Losing it loses no business fact: whatever is correct only
// because of it is compared and swapped in SQL as well.
package hot
