// Package clock is how a member tells its time to those who call it, in a header of our own: proxies write Date anew, by
// clocks of theirs, so Date is neither written nor read.
//
// Every answer of the Peer API and of the token and revocation endpoints carries the header, refusals too. Callers stamp iat of
// their proofs and assertions in the receiver's time (package client); nothing else follows from it.
package clock

import (
	"net/http"
	"strconv"
	"time"
)

// Header is Unix milliseconds in decimal digits.
const Header = "Hanse-Time"

// maxDigits bounds what is read, far beyond any date and far within int64.
const maxDigits = 15

// Stamp puts our time on an answer, which no cache may keep then: it would tell a time that was.
func Stamp(h http.Header, now time.Time) {
	h.Set(Header, strconv.FormatInt(now.UnixMilli(), 10))
	h.Set("Cache-Control", "no-store")
}

// Read returns the time on an answer. A header that is missing, given twice or not a plain positive number says nothing.
func Read(h http.Header) (at time.Time, ok bool) {
	values := h.Values(Header)
	if len(values) != 1 || len(values[0]) == 0 || len(values[0]) > maxDigits || values[0][0] == '0' {
		return time.Time{}, false
	}
	for _, c := range []byte(values[0]) {
		if c < '0' || c > '9' {
			return time.Time{}, false
		}
	}
	ms, err := strconv.ParseInt(values[0], 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	return time.UnixMilli(ms), true
}
