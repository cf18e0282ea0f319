package exchange_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

// compare asks and opens the answer.
func (b *bench) compare(nonce []byte) (c exchange.Comparison) {
	b.t.Helper()
	jws, err := b.desk.Compare(b.t.Context(), buyer, ledger.Token{}, nonce)
	if err != nil {
		b.t.Fatal(err)
	}
	payload, err := signed.Open(jws, signed.Compare, b.Key())
	if err != nil {
		b.t.Fatal(err)
	}
	if err := signed.Decode(payload, &c); err != nil {
		b.t.Fatal(err)
	}
	if c.Issuer != self || c.Audience != buyer || c.Nonce != base64.RawURLEncoding.EncodeToString(nonce) {
		b.t.Fatalf("the answer is %+v", c)
	}
	return c
}

func TestAComparisonSaysWhatWeHold(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	nonce := bytes.Repeat([]byte{7}, 32)
	if c := b.compare(nonce); c.Held != "" || c.Seq != 0 || c.Hash == "" {
		t.Errorf("before anything: %+v", c)
	}
	// What came with a decision is held, though nobody has tailed the partner's log.
	b.members[buyer].Append(self, ledger.OrderPlaced, "sub-order-0001")
	call := b.call(b.order(b.purchase("order-0001")))
	if _, err := b.desk.Submit(t.Context(), call); err != nil {
		t.Fatal(err)
	}
	var head ledger.Head
	b.View(func(tx *store.Tx) (err error) { head, err = tx.Ledger().Head(buyer, ledger.Own); return err })
	if c := b.compare(nonce); c.Held != call.Checkpoint || c.Seq != 1 || c.Hash != hex.EncodeToString(head.Hash[:]) {
		t.Errorf("after a decision: %+v", c)
	}
	// An older one that comes with a later document is not the newest.
	older := b.call(b.order(b.purchase("order-0002")))
	older.Checkpoint = b.checkpointAt(ledger.Checkpoint{})
	if _, err := b.desk.Submit(t.Context(), older); err != nil {
		t.Fatal(err)
	}
	if c := b.compare(nonce); c.Held != call.Checkpoint {
		t.Errorf("an older checkpoint took its place")
	}
	// Of two at one place the later one has the higher tick.
	same, err := ledger.VerifyCheckpoint(call.Checkpoint, buyer, self, b.members[buyer].Pinned())
	if err != nil {
		t.Fatal(err)
	}
	same.Tick += 5
	ticked := b.call(b.order(b.purchase("order-0003")))
	ticked.Checkpoint = b.checkpointAt(same)
	if _, err := b.desk.Submit(t.Context(), ticked); err != nil {
		t.Fatal(err)
	}
	if c := b.compare(nonce); c.Held != ticked.Checkpoint {
		t.Errorf("the later tick is not the newest")
	}
}

func TestAComparisonSaysWhatOurCopyOfTheLogHolds(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.members[buyer].Append(self, ledger.OrderPlaced, "sub-order-0001")
	page, err := b.members[buyer].Book.Tail(t.Context(), self, ledger.Position{}, 10)
	if err != nil {
		t.Fatal(err)
	}
	call := b.call(b.order(b.purchase("order-0001")))
	call.Checkpoint = b.checkpointAt(ledger.Checkpoint{})
	if _, err := b.desk.Submit(t.Context(), call); err != nil {
		t.Fatal(err)
	}
	b.copied(page)
	if c := b.compare(make([]byte, 16)); c.Held != page.Checkpoint {
		t.Errorf("held is %s", c.Held)
	}
}

// copied puts a page of the buyer's log into our copy of it.
func (b *bench) copied(page ledger.Page) {
	b.t.Helper()
	cp, err := ledger.VerifyCheckpoint(page.Checkpoint, buyer, self, b.members[buyer].Pinned())
	if err != nil {
		b.t.Fatal(err)
	}
	b.Do(func(tx *store.Tx) error {
		_, err := tx.Ledger().Advance(buyer, ledger.Theirs, func(ledger.Position, [32]byte) (all []ledger.Entry, err error) {
			for _, raw := range page.Entries {
				e, err := ledger.Decode(raw)
				if err != nil {
					return nil, err
				}
				all = append(all, e)
			}
			return all, nil
		})
		if err != nil {
			return err
		}
		return tx.Ledger().SetCheckpoint(buyer, cp, page.Checkpoint)
	})
}

// checkpointAt has the buyer sign a place of its log; without a hash, the start.
func (b *bench) checkpointAt(c ledger.Checkpoint) string {
	b.t.Helper()
	c.Issuer, c.Audience = buyer, self
	if c.Hash == "" {
		first := ledger.Genesis(trust.PartnershipID(self, buyer))
		c.Hash = hex.EncodeToString(first[:])
	}
	return b.sign(buyer, signed.Checkpoint, members{
		"iss": c.Issuer, "aud": c.Audience, "life": c.Life, "seq": c.Seq, "hash": c.Hash, "tick": c.Tick,
	})
}

func TestANonceHasBounds(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, n := range []int{0, 15, 65} {
		if _, err := b.desk.Compare(t.Context(), buyer, ledger.Token{}, make([]byte, n)); !fault.Is(err, fault.Invalid) || fault.ReasonOf(err) != "nonce_range" {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}
