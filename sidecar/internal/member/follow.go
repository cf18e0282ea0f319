package member

import (
	"context"
	"strings"
	"time"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

const (
	// followEvery is how often at most a partner's documents are read again because something names a key that is not pinned (PEER-1, K-8).
	followEvery = time.Minute
	// followTimeout ends such a reading, whoever waits for it.
	followTimeout = 15 * time.Second
	// strangeEvery is how often at most our operator is told of a partner's strange keys: one that shows several by turns is told of no more often.
	strangeEvery = time.Hour
)

// Following returns a partner with the keys that it has rolled over to, where documents of it name one that is not pinned; see Service.Follow. Nil
// leaves every partner as it is.
type Following func(ctx context.Context, p Partner, documents ...string) Partner

// Of is the partner as it is to be taken for these documents of it.
func (f Following) Of(ctx context.Context, p Partner, documents ...string) Partner {
	if f == nil {
		return p
	}
	return f(ctx, p, documents...)
}

// reading is one look at what a partner shows now.
type reading struct {
	at   time.Time
	over chan struct{}
	// told is when our operator was told of a strange key last.
	told time.Time
}

// Follow takes a partner's rollovers over without anybody's word: where a document, of which nothing is verified yet, names a key that does not open what
// the partner sends now, its member document and keys are read again, at most once a minute and by one for all who ask. What is proved by the pinned next
// key is pinned; else the partner stays as it was, and such a document does not open. What comes meanwhile is refused, and sent again later.
func (s *Service) Follow(ctx context.Context, p Partner, documents ...string) Partner {
	now := s.Now()
	if p.knowsAll(documents, now) {
		return p
	}
	stored, err := s.Get(ctx, p.Origin)
	if err != nil || stored.knowsAll(documents, now) { // it was followed since p was read
		return orElse(stored, p, err)
	}
	mine, r := s.reads(p.Origin, now)
	switch {
	case mine:
		s.read(ctx, p.Origin, r)
	case r != nil:
		select {
		case <-r.over:
		case <-ctx.Done():
		}
	}
	stored, err = s.Get(ctx, p.Origin) // also where a look has ended since it was read before
	return orElse(stored, p, err)
}

// read ends a look for all who wait for it, however it ends.
func (s *Service) read(ctx context.Context, origin string, r *reading) {
	defer close(r.over)
	s.follow(ctx, origin)
}

func orElse(stored, p Partner, err error) Partner {
	if err != nil {
		return p
	}
	return stored
}

// reads begins a look at a partner, or finds the one that is under way; nil where the last one was a moment ago.
func (s *Service) reads(origin string, now time.Time) (mine bool, r *reading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.looked[origin]
	if last != nil {
		select {
		case <-last.over:
		default:
			return false, last
		}
		if since := now.Sub(last.at); since >= 0 && since < followEvery {
			return false, nil
		}
	}
	if s.looked == nil {
		s.looked = make(map[string]*reading)
	}
	r = &reading{at: now, over: make(chan struct{})}
	if last != nil {
		r.told = last.told
	}
	s.looked[origin] = r
	return true, r
}

// knowsAll reports whether each key that the documents name opens what the partner sends now. What names none opens with none.
func (p Partner) knowsAll(documents []string, now time.Time) bool {
	last := ""
	for _, jws := range documents {
		head, _, _ := strings.Cut(jws, ".")
		if head == last { // most of a call are of one type
			continue
		}
		last = head
		if kid, err := keys.KID(jws); err == nil && kid != "" && !p.knows(kid, now) {
			return false
		}
	}
	return true
}

func (p Partner) knows(kid string, now time.Time) bool {
	if kid == p.Thumbprint {
		return true
	}
	for _, k := range p.Past {
		if k.Thumbprint == kid {
			return k.opens(now)
		}
	}
	return false
}

// follow reads what the partner shows now and pins the keys that it proves.
func (s *Service) follow(ctx context.Context, origin string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), followTimeout) // others wait for it
	defer cancel()
	var p Partner
	var passed []trust.Key
	proven := false
	info, err := s.Discover(ctx, origin)
	if err == nil {
		err = s.Work.Do(ctx, func(tx Tx) (err error) {
			if p, err = tx.Partners().Get(origin); err != nil {
				return err
			}
			if passed, proven = info.After(p.Thumbprint, p.NextKeyDigest); len(passed) == 0 || !proven {
				return nil
			}
			p.pinAfter(passed, info, s.Now())
			p.SealingKey, p.Documents = info.SealingKey, signed.Announced(info.Document.Documents)
			if p, err = tx.Partners().Put(p); err == nil {
				s.Fail.Hit("member.follow.before_commit")
			}
			return err
		})
	}
	switch {
	case fault.Is(err, fault.NotFound): // it was removed meanwhile
		s.mu.Lock()
		delete(s.looked, origin)
		delete(s.shown, origin)
		s.mu.Unlock()
	case err != nil:
		if s.Unfollowed != nil {
			s.Unfollowed(origin, err)
		}
	case !proven:
		s.strange(p, info)
	case len(passed) > 0:
		s.Fail.Hit("member.follow.after_commit")
		if s.Followed != nil {
			s.Followed(p, passed[0].Thumbprint)
		}
	}
}

// strange tells of a partner that shows another key than the one that may follow the pinned one: the first time where it is another than was
// told last, and that was a while ago.
func (s *Service) strange(p Partner, info trust.Info) {
	shown, now := info.Thumbprint+" "+info.Document.NextKeyDigest, s.Now()
	s.mu.Lock()
	if s.looked == nil {
		s.looked = make(map[string]*reading)
	}
	r := s.looked[p.Origin]
	if r == nil { // our operator looked
		r = &reading{over: make(chan struct{})}
		close(r.over)
		s.looked[p.Origin] = r
	}
	first := s.shown[p.Origin] != shown && (r.told.IsZero() || now.Sub(r.told) >= strangeEvery)
	if first {
		if s.shown == nil {
			s.shown = make(map[string]string)
		}
		s.shown[p.Origin], r.told = shown, now
	}
	s.mu.Unlock()
	if s.Strange != nil {
		s.Strange(p, info.Thumbprint, first)
	}
}
