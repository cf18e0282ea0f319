// Package unit is the unit of work as the business sees it, and the list of what it wakes.
package unit

import "context"

// Work runs transactions; T is the consumer's own view of one. Closures are pure and may run again.
type Work[T any] interface {
	// Do commits what fn wrote, or nothing where it returns an error.
	Do(ctx context.Context, fn func(tx T) error) error
	// View reads one snapshot.
	View(ctx context.Context, fn func(tx T) error) error
	// Bulk runs fn for i = 0 to n-1 in as many transactions as it takes, behind all waiting Do calls and for at most 10 ms in
	// each. It is not atomic: an error ends it, and earlier batches stay. So the steps are idempotent.
	Bulk(ctx context.Context, n int, fn func(tx T, i int) error) error
}
