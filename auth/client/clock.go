package client

import (
	"net/http"
	"time"

	"github.com/hanse-market/hanse/auth/refusal"
)

const (
	// MaxSkew is the largest clock difference that is followed.
	MaxSkew = 300 * time.Second
	// tolerated is a difference too small to correct: Date counts whole seconds and the answer took a while.
	tolerated = 2 * time.Second
)

// Skew is how far a partner's clock was ahead of ours when it last answered.
func (c *Client) Skew(origin string) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.clocks[origin]
}

// timeAt is the partner's time.
func (c *Client) timeAt(origin string) time.Time { return c.cfg.Now().Add(c.Skew(origin)) }

// learn reads the partner's clock off an answer. It refuses to follow a clock that is too far away.
func (c *Client) learn(origin string, answer http.Header) error {
	date, err := http.ParseTime(answer.Get("Date"))
	if err != nil {
		return nil
	}
	// Date is cut to the second, so the middle of that second is the best guess.
	ahead := date.Add(500 * time.Millisecond).Sub(c.cfg.Now())
	if ahead.Abs() <= tolerated {
		ahead = 0
	}
	c.cfg.Skew(origin, ahead)
	if ahead.Abs() > MaxSkew {
		return refusal.New(refusal.Unavailable, ReasonSkew, "the partner's clock and ours are %s apart", ahead.Abs().Round(time.Second))
	}
	c.mu.Lock()
	c.clocks[origin] = ahead
	c.mu.Unlock()
	return nil
}
