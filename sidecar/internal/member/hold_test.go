package member_test

import (
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

func TestAPartnerIsHeldUntilItIsFlushed(t *testing.T) {
	t.Parallel()
	m := markettest.NewMember(t, self)
	m.Know(markettest.NewMember(t, them))
	var flushed []string
	s := &member.Service{Work: store.For[member.Tx](m.Store), Now: m.Clock.Now, Flushed: func(p string) { flushed = append(flushed, p) }}
	first := m.Clock.Now()
	for _, reason := range []string{"they move", "again"} {
		p, err := s.SetHold(t.Context(), them, act.Word{By: "operator", Reason: reason})
		if err != nil || p.Hold == nil || p.Hold.Reason != "they move" || p.Hold.By != "operator" || !p.Hold.Since.Equal(first) {
			t.Fatalf("%+v, %v", p.Hold, err)
		}
		m.Clock.Pass(time.Hour)
	}
	p, err := s.Get(t.Context(), them)
	if err != nil || fault.ReasonOf(p.Held()) != member.ReasonHeld || len(flushed) > 0 {
		t.Fatalf("%v, %v, flushed %v", p.Held(), err, flushed)
	}
	for range 2 {
		if p, err = s.Flush(t.Context(), them, act.Word{By: "operator"}); err != nil || p.Held() != nil {
			t.Fatalf("%v, %v", p.Held(), err)
		}
	}
	if len(flushed) != 2 {
		t.Errorf("flushed %v", flushed)
	}
	m.View(func(tx *store.Tx) error {
		acts, err := tx.Acts().About(them, "")
		if len(acts) != 3 || acts[0].Verb != "partner hold" || acts[1].Verb != "partner flush" {
			t.Errorf("on record is %+v", acts)
		}
		return err
	})
	if _, err := s.SetHold(t.Context(), third, act.Word{}); fault.ReasonOf(err) != "partner_not_found" {
		t.Errorf("a stranger: %v", err)
	}
}
