package client

import (
	"net/http"
	"strconv"
	"time"
)

// RetryAfter is when an answer with this header says to come back (RFC 9110 section 10.2.3), 0 where it does not say it. A date is read
// by the clock of who sent it.
func RetryAfter(h http.Header) time.Duration {
	const most = 30 * 24 * time.Hour
	said := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(said, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, most)
	}
	at, err := http.ParseTime(said)
	sent, sentErr := http.ParseTime(h.Get("Date"))
	if err != nil || sentErr != nil {
		return 0
	}
	return min(max(at.Sub(sent), 0), most)
}
