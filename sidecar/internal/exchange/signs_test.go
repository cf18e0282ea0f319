package exchange_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/exchange"
)

// TestAPauseEndsWhereThePartnerGivesASign and not for another partner's, nor for what was told before somebody tried.
func TestAPauseEndsWhereThePartnerGivesASign(t *testing.T) {
	t.Parallel()
	const pause = time.Minute
	for name, c := range map[string]struct {
		// signs come after this long, of three pauses one after the other.
		signs func(s *exchange.Signs)
		ends  [3]time.Duration
		// spread is how much later the second and third may end.
		spread time.Duration
	}{
		"nothing": {func(*exchange.Signs) {}, [3]time.Duration{pause, pause, pause}, 0},
		"another": {func(s *exchange.Signs) { s.Heard("b"); s.Back("b") }, [3]time.Duration{pause, pause, pause}, 0},
		"read":    {func(s *exchange.Signs) { s.Read("a") }, [3]time.Duration{pause, pause, pause}, 0},
		"back":    {func(s *exchange.Signs) { s.Back("a") }, [3]time.Duration{time.Second, time.Second, time.Second}, 0},
		"heard":   {func(s *exchange.Signs) { s.Heard("a") }, [3]time.Duration{time.Second, 10 * time.Second, 10 * time.Second}, 2500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var s exchange.Signs
				s.Back("a") // nobody tries
				of := s.Begin("a")
				if of == nil || s.Begin("a") != nil {
					t.Fatal("two try at the same time")
				}
				for i, ends := range c.ends {
					begun := time.Now()
					time.AfterFunc(time.Second, func() { c.signs(&s) })
					of.Rest(t.Context(), pause, time.Now, time.After)
					if took := time.Since(begun); took < ends || took > ends+c.spread {
						t.Errorf("pause %d took %v, want %v and up to %v more", i+1, took, ends, c.spread)
					}
				}
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				begun := time.Now()
				if of.Rest(ctx, pause, time.Now, time.After); time.Since(begun) != 0 {
					t.Error("it pauses though nobody waits")
				}
				s.End("a")
				if s.Begin("a") == nil {
					t.Error("nobody may begin again")
				}
			})
		})
	}
}
