package exchange_test

import (
	"slices"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// TestNothingIsSentToAPartnerThatIsHeld, however long, and others are not held with it; a flush sends all that waits at once.
func TestNothingIsSentToAPartnerThatIsHeld(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		members := &member.Service{Work: store.For[member.Tx](o.Store), Now: o.Clock.Now, Flushed: o.box.Back}
		if _, err := members.SetHold(t.Context(), firstOrigin, act.Word{By: "operator", Reason: "they move"}); err != nil {
			t.Fatal(err)
		}
		o.place("first/a", ids("a", 3)...)
		o.place("second/a", "order-second")
		pass(2 * time.Hour)
		for _, c := range o.made() {
			if c.partner == firstOrigin {
				t.Fatalf("%d documents were sent to a partner that is held", len(c.Documents))
			}
		}
		if len(o.made()) != 1 {
			t.Fatalf("%d calls to the other", len(o.made()))
		}
		if reason := o.public("a-000000"); reason != "" {
			t.Errorf("the customer reads %q", reason)
		}
		before := time.Now()
		if _, err := members.Flush(t.Context(), firstOrigin, act.Word{By: "operator"}); err != nil {
			t.Fatal(err)
		}
		pass(0)
		if sizes := o.sent(); !slices.Equal(sizes, []int{1, 3}) || !time.Now().Equal(before) {
			t.Errorf("sent %v after %v", sizes, time.Since(before))
		}
		o.decided(4)
	})
}
