package signed

import (
	"errors"
	"strings"
	"time"
)

var errTime = errors.New("not a date and time of RFC 3339 in UTC, like 2026-11-21T12:00:00Z")

// maxPlaces is how many places a second may have.
const maxPlaces = 9

// ParseTime reads a time as documents and entries have it: RFC 3339 in UTC with Z, whole seconds or up to nine places, from 1970 to the
// end of 2261, so that nanoseconds since 1970 hold it.
func ParseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || !strings.HasSuffix(s, "Z") || strings.Contains(s, ",") || t.Year() < 1970 || t.Year() > 2261 {
		return time.Time{}, errTime
	}
	if _, places, has := strings.Cut(s, "."); has && len(places) > maxPlaces+len("Z") {
		return time.Time{}, errTime
	}
	return t, nil
}
