package signed

import (
	"errors"
	"regexp"
	"time"
)

var errTime = errors.New("not a date and time of RFC 3339 in UTC, like 2026-11-21T12:00:00Z")

// timeForm is the one spelling: time.Parse alone takes hours of one digit, a comma before the fraction and any offset, which other
// readers refuse or read as another time.
var timeForm = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$`)

// ParseTime reads a time as documents and entries have it: RFC 3339 in UTC with Z, whole seconds or up to nine places, from 1970 to the
// end of 2261, so that nanoseconds since 1970 hold it.
func ParseTime(s string) (time.Time, error) {
	if !timeForm.MatchString(s) {
		return time.Time{}, errTime
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() < 1970 || t.Year() > 2261 {
		return time.Time{}, errTime
	}
	return t, nil
}
