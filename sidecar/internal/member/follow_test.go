package member_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

// counting counts how often members are read; each reading takes until begin is closed.
type counting struct {
	member.Directory
	reads atomic.Int64
	begin chan struct{}
}

func (c *counting) Member(ctx context.Context, origin string) (trust.Info, error) {
	c.reads.Add(1)
	if c.begin != nil {
		<-c.begin
	}
	return c.Directory.Member(ctx, origin)
}

func TestAPartnerIsFollowedByTheDocumentsThatItSigns(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	theirs := h.moveIn(them)
	stale := h.add(them, member.Supplier)
	read := &counting{Directory: h}
	h.service.Directory = read
	before := sign(t, theirs, signed.Order, map[string]any{})
	follow := func(p member.Partner, documents ...string) member.Partner {
		return h.service.Follow(t.Context(), p, documents...)
	}

	follow(stale, before, "", "garbage", "a.b.c")
	if n := read.reads.Load(); n != 0 {
		t.Errorf("by pinned keys, and by what is no document, it was read %d times", n)
	}
	rotate(t, theirs)
	rotate(t, theirs)
	h.rolled(them, theirs)
	after := sign(t, theirs, signed.Order, map[string]any{})
	p := follow(stale, before, after)
	if _, err := p.Keys(h.clock.Now()).Open(after, signed.Order); err != nil || p.Thumbprint != theirs.CurrentKID(keys.Business) || len(p.Past) != 2 {
		t.Errorf("followed: %v, %+v", err, p)
	}
	if _, err := p.Keys(h.clock.Now()).Open(before, signed.Order); err != nil {
		t.Errorf("what was on its way: %v", err)
	}
	if again := follow(stale, after); again.Thumbprint != p.Thumbprint || read.reads.Load() != 1 {
		t.Errorf("who has an old copy reads it %d times, and has %s", read.reads.Load(), again.Thumbprint)
	}

	// Within a minute nothing makes us read it again, and then once.
	rotate(t, theirs)
	h.rolled(them, theirs)
	third := sign(t, theirs, signed.Order, map[string]any{})
	for range 5 {
		if p := follow(p, third); p.Thumbprint == theirs.CurrentKID(keys.Business) || read.reads.Load() != 1 {
			t.Fatalf("within a minute it was read %d times", read.reads.Load())
		}
	}
	h.clock.Pass(time.Minute)
	if p := follow(p, third); p.Thumbprint != theirs.CurrentKID(keys.Business) || read.reads.Load() != 2 {
		t.Errorf("a minute later it has %s, read %d times", p.Thumbprint, read.reads.Load())
	}
}

// TestAllWhoMeetANewKeyReadItOnce: 64 documents of a partner at once are one look at it.
func TestAllWhoMeetANewKeyReadItOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	theirs := h.moveIn(them)
	p := h.add(them, member.Supplier)
	read := &counting{Directory: h, begin: make(chan struct{})}
	h.service.Directory = read
	rotate(t, theirs)
	h.rolled(them, theirs)
	document := sign(t, theirs, signed.Order, map[string]any{})
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if p := h.service.Follow(t.Context(), p, document); p.Thumbprint != theirs.CurrentKID(keys.Business) {
				t.Errorf("one has %s", p.Thumbprint)
			}
		})
	}
	close(read.begin)
	all.Wait()
	if n := read.reads.Load(); n != 1 {
		t.Errorf("it was read %d times", n)
	}
}

// TestAStolenKeyIsNotFollowed: who has the host and the present key, and not the next one, is told of once and changes nothing.
func TestAStolenKeyIsNotFollowed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.moveIn(them)
	p := h.add(them, member.Supplier)
	before := h.partners()
	var told []bool
	h.service.Strange = func(_ member.Partner, _ string, first bool) { told = append(told, first) }
	thief := newKeys(t, pocket{map[keys.Purpose][]keys.Record{}})
	info := h.shown[them]
	info.Past = []trust.Key{{JWK: info.BusinessKey, Thumbprint: info.Thumbprint}}
	info.BusinessKey, info.Thumbprint, info.Document.NextKeyDigest = thief.PublicJWK(keys.Business), thief.CurrentKID(keys.Business), thief.NextDigest()
	h.shown[them] = info
	document := sign(t, thief, signed.Order, map[string]any{})
	for range 3 {
		p = h.service.Follow(t.Context(), p, document)
		if _, err := p.Keys(h.clock.Now()).Open(document, signed.Order); fault.ReasonOf(err) != "document_signature_invalid" {
			t.Errorf("it opens: %v", err)
		}
		h.clock.Pass(2 * time.Minute)
	}
	if len(told) != 3 || !told[0] || told[1] || told[2] {
		t.Errorf("told %v", told)
	}
	h.unchanged(before)
}

// TestAPartnerThatShowsStrangeKeysByTurnsIsToldOfOnceAnHour.
func TestAPartnerThatShowsStrangeKeysByTurnsIsToldOfOnceAnHour(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.moveIn(them)
	p := h.add(them, member.Supplier)
	told := 0
	h.service.Strange = func(_ member.Partner, _ string, first bool) {
		if first {
			told++
		}
	}
	thieves := []*keys.Manager{newKeys(t, pocket{map[keys.Purpose][]keys.Record{}}), newKeys(t, pocket{map[keys.Purpose][]keys.Record{}})}
	for i := range 60 {
		thief := thieves[i%2]
		info := h.shown[them]
		info.BusinessKey, info.Thumbprint, info.Document.NextKeyDigest = thief.PublicJWK(keys.Business), thief.CurrentKID(keys.Business), thief.NextDigest()
		h.shown[them] = info
		h.service.Follow(t.Context(), p, sign(t, thief, signed.Order, map[string]any{}))
		h.clock.Pass(2 * time.Minute)
	}
	if told != 2 {
		t.Errorf("in two hours it was told of %d times", told)
	}
}

// broken panics at its first reading.
type broken struct {
	member.Directory
	once sync.Once
}

func (b *broken) Member(ctx context.Context, origin string) (trust.Info, error) {
	b.once.Do(func() { panic("it cannot be read") })
	return b.Directory.Member(ctx, origin)
}

// TestAPanicKeepsNobodyWaiting: who comes later reads it again.
func TestAPanicKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	theirs := h.moveIn(them)
	p := h.add(them, member.Supplier)
	h.service.Directory = &broken{Directory: h}
	rotate(t, theirs)
	h.rolled(them, theirs)
	document := sign(t, theirs, signed.Order, map[string]any{})
	func() {
		defer func() {
			if recover() == nil {
				t.Error("it did not panic")
			}
		}()
		h.service.Follow(t.Context(), p, document)
	}()
	h.clock.Pass(time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if p := h.service.Follow(ctx, p, document); p.Thumbprint != theirs.CurrentKID(keys.Business) {
		t.Errorf("it has %s", p.Thumbprint)
	}
}
