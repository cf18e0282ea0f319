package keys

import "sync/atomic"

var signed, checked atomic.Int64

// Counted is how many ES256 signatures this process has made and checked since it started: the dearest thing that it does over and
// over, so tests hold how often.
func Counted() (signatures, verifications int64) { return signed.Load(), checked.Load() }

// CountSigned is for those who sign past a Manager.
func CountSigned() { signed.Add(1) }
