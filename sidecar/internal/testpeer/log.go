package testpeer

import (
	"context"
	"encoding/hex"
	"net/http"
	"slices"
	"time"

	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/auth/scope"
	peerv1 "github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1/peerv1connect"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

// hashAt is the hash of our log, or of the copy of theirs, at a place.
func (p *peer) hashAt(log []ledger.Entry, seq int64) [32]byte {
	if seq == 0 {
		return ledger.Genesis(trust.PartnershipID(p.origin, p.target))
	}
	return log[seq-1].Hash
}

// next makes an entry for our log without writing it; the caller holds the lock.
func (p *peer) next(kind ledger.Kind, subject string, body any) (ledger.Entry, error) {
	n := int64(len(p.own))
	return ledger.Draft{Kind: kind, Subject: subject, Body: body}.Seal(p.target, ledger.Position{Seq: n + 1}, time.Now(), p.hashAt(p.own, n))
}

// write appends to our log.
func (p *peer) write(kind ledger.Kind, subject string, body any) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.append(kind, subject, body)
}

// append is write for who holds the lock.
func (p *peer) append(kind ledger.Kind, subject string, body any) error {
	e, err := p.next(kind, subject, body)
	if err != nil {
		return err
	}
	p.own = append(p.own, e)
	p.notify()
	return nil
}

// head is the end of our log.
func (p *peer) head() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int64(len(p.own))
}

// signPlace signs a place of our log; each signature has a tick of its own, so that the later one counts. The caller holds the lock.
func (p *peer) signPlace(seq int64, hash [32]byte) (string, error) {
	p.tick++
	return signWith(p.keys, signed.Checkpoint, ledger.Checkpoint{
		Issuer: p.origin, Audience: p.target, Seq: seq, Hash: hex.EncodeToString(hash[:]), Tick: p.tick,
	})
}

// page is what our log has after a place; the caller holds the lock.
func (p *peer) page(after int64) (entries [][]byte, checkpoint string, more bool, err error) {
	end := min(int64(len(p.own)), after+400)
	for _, e := range p.own[min(after, end):end] {
		entries = append(entries, e.Bytes)
	}
	checkpoint, err = p.signPlace(end, p.hashAt(p.own, end))
	return entries, checkpoint, end < int64(len(p.own)), err
}

// countersigned is what we verified last of theirs; the caller holds the lock.
func (p *peer) countersigned() (string, error) {
	if p.checkpoint == "" {
		return "", nil
	}
	return signWith(p.keys, signed.Seen, ledger.Seen{Issuer: p.origin, Audience: p.target, Checkpoint: p.checkpoint})
}

// read judges a page of their log as J-2 says, and keeps what is new of it.
func (p *peer) read(entries [][]byte, checkpoint string) error {
	c, err := ledger.VerifyCheckpoint(checkpoint, p.target, p.origin, signed.Pin(p.them.BusinessKey))
	if err != nil {
		return broke("J-2", "a checkpoint by the pinned key, for us", "%v", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	fresh := slices.Clone(p.copied)
	last := c.Seq
	for _, raw := range entries {
		e, err := ledger.Decode(raw)
		if err != nil {
			return broke("L-3", "entries in RFC 8785 form that hash to what they say (L-4)", "%v", err)
		}
		if _, err := ledger.ReadBody(e); err != nil && e.Kind.Writer() != "" {
			return broke("L-10", "the body of its kind", "entry %d, %s: %v", e.Seq, e.Kind, err)
		}
		have := int64(len(fresh))
		switch {
		case e.Life != 0 || e.Seq > have+1 || e.Seq < 1:
			return broke("J-2", "entries that follow each other", "%s behind %d", e.Position(), have)
		case e.Seq <= have && fresh[e.Seq-1].Hash != e.Hash:
			return broke("L-14", "one hash for each place", "two for %s", e.Position())
		case e.Seq == have+1 && e.Prev != p.hashAt(fresh, have):
			return broke("L-14", "an entry whose prev is the hash before", "another prev at %s", e.Position())
		case e.Seq == have+1:
			fresh = append(fresh, e)
		}
		last = e.Seq
	}
	if c.Life != 0 || c.Seq != last || c.Seq > int64(len(fresh)) {
		return broke("J-2", "a checkpoint at the last entry of the page", "one at %s", c.Position())
	}
	if hash := p.hashAt(fresh, c.Seq); hex.EncodeToString(hash[:]) != c.Hash {
		return broke("L-14", "the hash of the entry at the checkpoint's place", "another one at %s", c.Position())
	}
	for _, e := range fresh[len(p.copied):] {
		if e.Kind == ledger.AgreementActive && e.Subject == p.deal.doc.ID {
			p.deal.active = true
		}
	}
	p.copied = fresh
	if c.Seq == int64(len(fresh)) {
		p.checkpoint = checkpoint
	}
	p.notify()
	return nil
}

// noteSeen judges how far they say that they read our log (L-17).
func (p *peer) noteSeen(jws string) (int64, error) {
	if jws == "" {
		return 0, nil
	}
	payload, err := signed.Open(jws, signed.Seen, p.them.BusinessKey)
	if err != nil {
		return 0, broke("L-17", "a countersignature by the pinned key", "%v", err)
	}
	var s ledger.Seen
	if err := signed.Decode(payload, &s); err != nil || s.Issuer != p.target || s.Audience != p.origin {
		return 0, broke("L-17", "the members of a countersignature, of the two", "%s %v", payload, err)
	}
	c, err := ledger.VerifyCheckpoint(s.Checkpoint, p.origin, p.target, signed.Pin(p.keys.PublicJWK(keys.Business)))
	if err != nil {
		return 0, broke("L-17", "a checkpoint of ours as it came", "%v", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if hash := p.hashAt(p.own, min(c.Seq, int64(len(p.own)))); c.Seq > int64(len(p.own)) || hex.EncodeToString(hash[:]) != c.Hash {
		return 0, broke("L-17", "what it verified and stored", "place %s, which no good page of ours had", c.Position())
	}
	if c.Seq > p.seen {
		p.seen = c.Seq
		p.notify()
	}
	return c.Seq, nil
}

// tail reads their log until something holds, which it looks at after each message.
func (p *peer) tail(ctx context.Context, until func() bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p.mu.Lock()
	seen, err := p.countersigned()
	after := int64(len(p.copied))
	p.mu.Unlock()
	if err != nil {
		return err
	}
	service := peerv1connect.NewLedgerServiceClient(&http.Client{Transport: p.calls.Transport(p.target, []string{scope.LedgerRead}, "")}, p.target)
	stream, err := service.Tail(ctx, connect.NewRequest(&peerv1.TailRequest{AfterSeq: after, SeenCheckpoint: seen}))
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	for stream.Receive() {
		m := stream.Msg()
		if err := p.read(m.GetEntries(), m.GetCheckpoint()); err != nil {
			return err
		}
		if _, err := p.noteSeen(m.GetSeenCheckpoint()); err != nil {
			return err
		}
		if until() {
			return nil
		}
	}
	return stream.Err()
}

// await is the first entry of their log that is the one, read in the feed where it is not there yet.
func (p *peer) await(ctx context.Context, is func(ledger.Entry) bool) (found ledger.Entry, err error) {
	there := func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		i := slices.IndexFunc(p.copied, is)
		if i >= 0 {
			found = p.copied[i]
		}
		return i >= 0
	}
	if there() {
		return found, nil
	}
	return found, p.tail(ctx, there)
}

// readBy asks how far they have read our log.
func (p *peer) readBy(ctx context.Context) (int64, error) {
	if err := p.tail(ctx, func() bool { return true }); err != nil {
		return 0, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen, nil
}

// isRead waits until they have read our log to its end.
func (p *peer) isRead(ctx context.Context, rule string) error {
	head, at := p.head(), int64(0)
	for deadline := time.Now().Add(p.cfg.Wait); time.Now().Before(deadline); {
		var err error
		if at, err = p.readBy(ctx); err != nil {
			return err
		}
		if at >= head {
			return nil
		}
		if err := pause(ctx, 300*time.Millisecond); err != nil {
			return err
		}
	}
	return broke(rule, "our log read to its end once its pages are good", "it is read to %d of %d after %s", at, head, p.cfg.Wait)
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
