package client

import (
	"net/http"
	"time"

	"github.com/hanse-market/hanse/auth/clock"
	"github.com/hanse-market/hanse/auth/refusal"
)

const (
	// MaxSkew is the largest clock difference that is followed.
	MaxSkew = 300 * time.Second
	// tolerated is a change too small to follow: partners accept more than that, and jitter must not look like a clock that stepped.
	tolerated = 2 * time.Second
	// maxShown bounds the difference that is reported: beyond a day it only says that a clock is broken.
	maxShown = 24 * time.Hour
)

// Skew is how far a partner's clock was ahead of ours when it last answered.
func (c *Client) Skew(origin string) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.clocks[origin]
}

// timeAt is the partner's time, for iat alone.
func (c *Client) timeAt(origin string) time.Time { return c.cfg.Now().Add(c.Skew(origin)) }

// learn reads the partner's clock off an answer to what was sent at that time of ours. It refuses to follow a clock that is too
// far away. An answer without the header, or with an odd one, teaches nothing.
func (c *Client) learn(origin string, answer http.Header, sent time.Time) error {
	theirs, ok := clock.Read(answer)
	if !ok {
		return nil
	}
	received := c.cfg.Now()
	c.mu.Lock()
	known := c.clocks[origin]
	ahead := explaining(known, theirs.Sub(received), theirs.Sub(sent))
	// A partner's clock that stepped back finds its own tokens issued in the future.
	if ahead < known {
		c.dropAll(origin)
	}
	follow := ahead.Abs() <= MaxSkew
	if follow {
		c.clocks[origin] = ahead
	}
	c.mu.Unlock()
	ahead = min(max(ahead, -maxShown), maxShown)
	c.cfg.Skew(origin, ahead)
	if !follow {
		return refusal.New(refusal.Unavailable, ReasonSkew, "the partner's clock and ours are %s apart", ahead.Abs().Round(time.Second))
	}
	return nil
}

// explaining is the difference nearest to the known one that explains an answer. The partner wrote its time at some moment
// between our sending and our receiving, so a slow answer says little about its clock and moves nothing by mistake.
func explaining(known, one, other time.Duration) time.Duration {
	low, high := min(one, other), max(one, other) // Our own clock may have stepped in between.
	if known >= low-tolerated && known <= high+tolerated {
		return known
	}
	return min(max(known, low), high)
}
