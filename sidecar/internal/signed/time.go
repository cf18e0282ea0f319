package signed

import (
	"errors"
	"regexp"
	"time"
)

// timeForm is the one spelling of a time: time.Parse alone takes hours of one digit, a comma before the fraction and any offset, which
// other readers refuse or read as another time.
var timeForm = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$`)

var errTime = errors.New("is not a date and time in UTC, like 2026-11-21T12:00:00Z")

// Time reads a time of a signed document or a ledger's entry: RFC 3339 in UTC with Z, whole seconds or up to nine places.
func Time(s string) (time.Time, error) {
	if !timeForm.MatchString(s) {
		return time.Time{}, errTime
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, errTime
	}
	return at, nil
}
