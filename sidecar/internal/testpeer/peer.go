package testpeer

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/hanse-market/hanse/auth/client"
	"github.com/hanse-market/hanse/auth/guard"
	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1/peerv1connect"

	peerv1 "github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1"

	"github.com/hanse-market/hanse/auth/scope"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

// peer is one member of ours towards the member under test.
type peer struct {
	cfg            Config
	origin, target string
	keys           *keys.Manager
	// strange has keys that no member publishes.
	strange *keys.Manager
	secrets *secrets
	guard   *guard.Guard
	calls   *client.Client
	// them is the member under test as it was pinned (K-9).
	them trust.Info

	mu      sync.Mutex
	changed chan struct{} // closed and made anew by every change
	own     []ledger.Entry
	copied  []ledger.Entry
	// checkpoint is theirs at the end of copied; seen is how far they countersigned ours.
	checkpoint string
	seen       int64
	tick       int64
	// deal is the agreement, offered counts what they submitted of it; active is its state.
	deal  deal
	goods goods
	desk  desk
	lies  lies
	// wrong is the first thing that the member under test did wrong in a call of its own.
	wrong *breach
}

// deal is the agreement of the two.
type deal struct {
	doc     agreement.Document
	sha     string
	payload []byte
	active  bool
}

// goods is an offering that can be ordered, as its bytes came or go.
type goods struct {
	doc   catalog.Document
	bytes []byte
}

func (g goods) sha() string { return signed.Digest(g.bytes) }

// secrets is keys.Store in memory.
type secrets struct {
	mu      sync.Mutex
	records map[keys.Purpose][]keys.Record
}

func (s *secrets) Keys(_ context.Context, p keys.Purpose) ([]keys.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.records[p]), nil
}

func (s *secrets) SaveKeys(_ context.Context, p keys.Purpose, _ string, records []keys.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[p] = append(s.records[p], records...)
	return nil
}

// private is the current private key of a purpose.
func (s *secrets) private(p keys.Purpose) (*ecdsa.PrivateKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.records[p] {
		var k jose.JSONWebKey
		if r.State != keys.Current {
			continue
		}
		if err := json.Unmarshal(r.Private, &k); err != nil {
			return nil, err
		}
		if private, is := k.Key.(*ecdsa.PrivateKey); is {
			return private, nil
		}
	}
	return nil, fmt.Errorf("there is no %s key", p)
}

func newPeer(ctx context.Context, cfg Config, origin string) (*peer, error) {
	p := &peer{cfg: cfg, origin: origin, target: cfg.Target, changed: make(chan struct{}), secrets: &secrets{records: map[keys.Purpose][]keys.Record{}}}
	var err error
	if p.keys, err = keys.New(ctx, keys.Config{Store: p.secrets, Now: time.Now}); err != nil {
		return nil, err
	}
	if p.strange, err = keys.New(ctx, keys.Config{Store: &secrets{records: map[keys.Purpose][]keys.Record{}}, Now: time.Now}); err != nil {
		return nil, err
	}
	p.guard = guard.New(guard.Config{Dev: cfg.Dev, RootCAs: cfg.Roots})
	p.calls, err = client.New(client.Config{Origin: origin, Keys: p.keys, Guard: p.guard, Now: time.Now})
	return p, err
}

// notify tells whoever waits that something changed; the caller holds the lock.
func (p *peer) notify() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// until waits for a condition, which it looks at under the lock whenever something changed.
func (p *peer) until(ctx context.Context, what string, holds func() bool) error {
	for {
		p.mu.Lock()
		done, changed, wrong := holds(), p.changed, p.wrong
		p.mu.Unlock()
		if wrong != nil {
			return wrong
		}
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waited in vain until %s", what)
		}
	}
}

// newID is a random id of letters and digits, which begins with what it is of.
func newID(of string) string {
	var b [10]byte
	_, _ = rand.Read(b[:])
	return of + "-" + hex.EncodeToString(b[:])
}

// sign signs a document with our business key.
func (p *peer) sign(typ string, payload any) (string, error) { return signWith(p.keys, typ, payload) }

func signWith(k *keys.Manager, typ string, payload any) (string, error) {
	raw, is := payload.([]byte)
	if !is {
		var err error
		if raw, err = json.Marshal(payload); err != nil {
			return "", err
		}
	}
	return k.Sign(keys.Business, typ, raw)
}

// forge signs with our business key under a header that nobody should write.
func (p *peer) forge(header map[string]any, payload []byte) (string, error) {
	private, err := p.secrets.private(keys.Business)
	if err != nil {
		return "", err
	}
	head, err := json.Marshal(header)
	if err != nil {
		return "", err
	}
	input := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(payload)
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, private, sum[:])
	if err != nil {
		return "", err
	}
	var signature [64]byte
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return input + "." + base64.RawURLEncoding.EncodeToString(signature[:]), nil
}

// partner makes the partnership and an active agreement; it waits for the people of the other side as long as they may take.
func (p *peer) partner(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Patience)
	defer cancel()
	if err := p.propose(ctx); err != nil {
		return err
	}
	if p.cfg.Side == Supplier {
		return p.sell(ctx)
	}
	p.ask(Wish{Origin: p.origin, Side: Reseller, Command: fmt.Sprintf("hanse agreement offer %s --discount 10%% --currency EUR", p.origin)})
	if err := p.until(ctx, "the member under test offers an agreement", func() bool { return p.deal.payload != nil }); err != nil {
		return err
	}
	if err := p.accept(ctx); err != nil {
		return err
	}
	return p.shop(ctx)
}

// propose pins the member under test and proposes a partnership, again while it cannot be taken.
func (p *peer) propose(ctx context.Context) error {
	d := directory(p.guard)
	them, err := d.Member(ctx, p.target)
	if err != nil {
		return fmt.Errorf("read the member documents of %s: %w", p.target, err)
	}
	p.them = them
	role := member.Supplier
	if p.cfg.Side == Supplier {
		role = member.Reseller
	}
	document, err := p.sign(signed.Peering, member.Proposal{
		Issuer: p.origin, Audience: p.target, ID: newID("prp"), Partnership: trust.PartnershipID(p.origin, p.target), Role: role, RecipientKey: them.Thumbprint,
	})
	if err != nil {
		return err
	}
	var out peerv1.ProposeResponse
	var a answer
	for {
		a, err = p.call(ctx, peerv1connect.PeeringServiceProposeProcedure, "", []string{scope.PeeringRequest}, &peerv1.ProposeRequest{Document: document}, &out)
		// What it cannot tell now, as what is over its limit, it may tell later (E-3, T-11).
		if err != nil || a.status != http.StatusServiceUnavailable && a.status != http.StatusTooManyRequests {
			break
		}
		fmt.Fprintf(p.cfg.Progress, "the proposal is not taken yet: %s\n", a)
		if pause(ctx, 5*time.Second) != nil {
			break
		}
	}
	switch {
	case err != nil:
		return fmt.Errorf("propose: %w", err)
	case a.status != 200:
		return fmt.Errorf("the proposal was refused: %s", a)
	case out.GetState() == "refused":
		return fmt.Errorf("the proposal was refused: %s", out.GetReason())
	}
	return nil
}

// accept signs the agreement that was offered, as the reseller.
func (p *peer) accept(ctx context.Context) error {
	p.mu.Lock()
	deal := p.deal
	p.mu.Unlock()
	jws, err := p.sign(signed.Agreement, deal.payload)
	if err != nil {
		return err
	}
	if err := p.write(ledger.AgreementAccepted, deal.doc.ID, map[string]any{"agreement": deal.doc.ID, "document_sha256": deal.sha}); err != nil {
		return err
	}
	outcomes, a, err := p.submit(ctx, "", []string{scope.LedgerRead, scope.AgreementSign}, paper{jws: jws})
	if err != nil {
		return err
	}
	if len(outcomes) != 1 || outcomes[0].GetDecided() == nil {
		return fmt.Errorf("the acceptance of the agreement is not decided: %s %v", a, outcomes)
	}
	_, err = p.await(ctx, func(e ledger.Entry) bool { return e.Kind == ledger.AgreementActive && e.Subject == deal.doc.ID })
	return err
}
