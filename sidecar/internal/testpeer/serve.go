package testpeer

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/auth/authserver"
	"github.com/hanse-market/hanse/auth/bearer"
	"github.com/hanse-market/hanse/auth/clock"
	"github.com/hanse-market/hanse/auth/keys"
	peerv1 "github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1/peerv1connect"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/hot"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/peerlink"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

// heartbeat is how long our streams say nothing at most (I-1).
const heartbeat = 15 * time.Second

// lies are what a case has our feeds say in place of the truth.
type lies struct {
	// tail changes what a message of our log says that would bring news; a stream that heard it hears nothing more.
	tail func(*peerv1.TailResponse) error
	// refuse is how Tail is refused.
	refuse error
	// watch changes a page of our catalog in the same way.
	watch func(*peerv1.WatchResponse) error
	// heard counts the streams that their reader ended after a lie.
	heard int
}

// honest ends all lies.
func (p *peer) honest() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lies = lies{}
	p.notify()
}

// lie begins to tell something else, in the same step as change makes news.
func (p *peer) lie(l lies, change func() error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lies = l
	defer p.notify()
	return change()
}

// all grants everybody what is asked for: who calls whom is not what is tested here.
type all struct{}

func (all) Grant(_ context.Context, r authserver.GrantRequest) (authserver.Granted, error) {
	return authserver.Granted{Scopes: r.Scopes, Agreement: r.Agreement}, nil
}

// door serves everything that the member under test calls.
func (p *peer) door() (http.Handler, error) {
	memory := hot.NewMemory(time.Now)
	as, err := authserver.New(authserver.Config{
		Origin: p.origin, Name: "testpeer", Keys: p.keys, Replay: memory, Revoked: memory, Grants: all{}, Guard: p.guard, Now: time.Now,
	})
	if err != nil {
		return nil, err
	}
	verifier, err := bearer.New(bearer.Config{
		Origin: p.origin, Keys: p.keys, Replay: memory, Revoked: memory, Scopes: bearer.PeerScopes(), Now: time.Now,
		Relation: func(context.Context, bearer.Principal) error { return nil },
	})
	if err != nil {
		return nil, err
	}
	s := service{p}
	procedures := http.NewServeMux()
	procedures.Handle(peerv1connect.NewPeeringServiceHandler(s))
	procedures.Handle(peerv1connect.NewExchangeServiceHandler(s))
	procedures.Handle(peerv1connect.NewLedgerServiceHandler(s))
	procedures.Handle(peerv1connect.NewCatalogServiceHandler(s))
	procedures.Handle(peerv1connect.NewOrderServiceHandler(s))
	mux := http.NewServeMux()
	mux.Handle("/oauth2/", as.Handler())
	mux.Handle("/.well-known/", as.Handler())
	mux.HandleFunc("GET "+peerlink.PathMember, p.serveMember)
	mux.HandleFunc("GET "+peerlink.PathKeys, p.serveKeys)
	mux.Handle("/", verifier.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if caller, _ := bearer.FromContext(r.Context()); caller.Origin != p.target {
			http.Error(w, "this member is there for another one alone", http.StatusForbidden)
			return
		}
		clock.Stamp(w.Header(), time.Now())
		procedures.ServeHTTP(w, r)
	})))
	return mux, nil
}

func (p *peer) serveMember(w http.ResponseWriter, _ *http.Request) {
	now := time.Now()
	jws, err := p.sign(signed.Member, trust.MemberDocument{
		Issuer: p.origin, IssuedAt: now.Unix(), ExpiresAt: now.Add(24 * time.Hour).Unix(), Versions: []string{trust.Protocol}, Documents: signed.Versions(),
		Name: "testpeer", LegalName: "A member that tests others", Roles: []string{"supplier", "reseller"},
		BusinessKey: p.keys.CurrentKID(keys.Business), NextKeyDigest: p.keys.NextDigest(), SealingKey: p.keys.CurrentKID(keys.Sealing),
		Limits: trust.Limits{MaxMessageBytes: 256 << 10, MaxOfferings: 10_000},
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", peerlink.TypeMember)
	w.Header().Set("Cache-Control", "max-age=300")
	_, _ = w.Write([]byte(jws))
}

func (p *peer) serveKeys(w http.ResponseWriter, _ *http.Request) {
	body, err := json.Marshal(trust.KeysDocument{Business: p.keys.PublicJWKS(keys.Business), Sealing: p.keys.PublicJWKS(keys.Sealing)})
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "max-age=300")
	_, _ = w.Write(body)
}

// service is the Peer API of our member.
type service struct{ p *peer }

func away(reason string) error { return connect.NewError(connect.CodeUnavailable, errors.New(reason)) }

func (s service) Propose(context.Context, *connect.Request[peerv1.ProposeRequest]) (*connect.Response[peerv1.ProposeResponse], error) {
	return connect.NewResponse(&peerv1.ProposeResponse{State: "qualified"}), nil
}

func (s service) Submit(_ context.Context, r *connect.Request[peerv1.SubmitRequest]) (*connect.Response[peerv1.SubmitResponse], error) {
	p := s.p
	seen, err := p.noteSeen(r.Msg.GetSeenCheckpoint())
	if err != nil {
		return nil, p.caught(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.notify()
	out := &peerv1.SubmitResponse{}
	for _, d := range r.Msg.GetDocuments() {
		seq, err := p.decide(d)
		if err != nil {
			return nil, p.caughtHere(err)
		}
		out.Outcomes = append(out.Outcomes, &peerv1.Outcome{Result: &peerv1.Outcome_Decided{Decided: &peerv1.Decided{Seq: seq}}})
	}
	if out.Entries, out.Checkpoint, out.More, err = p.page(seen); err != nil {
		return nil, err
	}
	out.SeenCheckpoint, err = p.countersigned()
	return connect.NewResponse(out), err
}

// decide decides a document of the member under test and returns where; the same one again is decided where it was (S-7). The caller
// holds the lock.
func (p *peer) decide(d *peerv1.Document) (int64, error) {
	typ := typOf(d.GetJws())
	payload, err := signed.Open(d.GetJws(), typ, p.them.BusinessKey)
	if err != nil {
		return 0, broke("D-1", "a document by the pinned business key", "%v", err)
	}
	sha := signed.Digest(payload)
	if seq := p.desk.decided[typ+sha]; seq > 0 {
		return seq, nil
	}
	switch {
	case typ == signed.Agreement && p.cfg.Side == Reseller:
		err = p.receive(payload, sha)
	case typ == signed.Agreement:
		err = p.activate(payload, sha)
	case typ == signed.Order:
		err = p.sold(payload, sha, d)
	case typ == signed.AccessReceipt:
		err = p.confirmed(payload, sha)
	default:
		return 0, away("nothing of the kind is decided here: " + typ)
	}
	if err != nil {
		return 0, err
	}
	if p.desk.decided == nil {
		p.desk.decided = map[string]int64{}
	}
	p.desk.decided[typ+sha] = int64(len(p.own))
	return int64(len(p.own)), nil
}

// receive takes the offer of an agreement as A-3 says; the caller holds the lock.
func (p *peer) receive(payload []byte, sha string) error {
	var doc agreement.Document
	if err := signed.DecodeAs(signed.AgreementV1, payload, &doc); err != nil {
		return broke("A-2", "the payload of an agreement", "%v", err)
	}
	if doc.Supplier != p.target || doc.Reseller != p.origin {
		return broke("A-2", "an agreement of the two", "%s and %s", doc.Supplier, doc.Reseller)
	}
	if doc.SupplierKey != p.them.Thumbprint || doc.SupplierNextKey != p.them.Document.NextKeyDigest || doc.ResellerKey != p.keys.CurrentKID(keys.Business) || doc.ResellerNextKey != p.keys.NextDigest() {
		return broke("A-2", "the four keys as pinned", "others")
	}
	if p.deal.payload == nil {
		p.deal = deal{doc: doc, sha: sha, payload: payload}
	}
	return p.append(ledger.AgreementReceived, doc.ID, map[string]any{"agreement": doc.ID, "document_sha256": sha})
}

// caught keeps what the member under test did wrong in a call of its own, for the case that waits; the first counts.
func (p *peer) caught(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.caughtHere(err)
}

func (p *peer) caughtHere(err error) error {
	var b *breach
	if errors.As(err, &b) && p.wrong == nil {
		p.wrong = b
		p.notify()
	}
	return connect.NewError(connect.CodeInvalidArgument, err)
}

func (s service) Compare(_ context.Context, r *connect.Request[peerv1.CompareRequest]) (*connect.Response[peerv1.CompareResponse], error) {
	p := s.p
	p.mu.Lock()
	defer p.mu.Unlock()
	end := int64(len(p.own))
	hash := p.hashAt(p.own, end)
	jws, err := p.sign(signed.Compare, exchange.Comparison{
		Issuer: p.origin, Audience: p.target, Nonce: base64.RawURLEncoding.EncodeToString(r.Msg.GetNonce()), Held: p.checkpoint,
		Seq: end, Hash: hex.EncodeToString(hash[:]), Tick: p.tick,
	})
	return connect.NewResponse(&peerv1.CompareResponse{Document: jws}), err
}

func (s service) States(context.Context, *connect.Request[peerv1.StatesRequest]) (*connect.Response[peerv1.StatesResponse], error) {
	return connect.NewResponse(&peerv1.StatesResponse{}), nil
}

func (s service) Recall(context.Context, *connect.Request[peerv1.RecallRequest], *connect.ServerStream[peerv1.RecallResponse]) error {
	return away("nothing is given back here")
}

// Tail tells our log, or what a case has it say.
func (s service) Tail(ctx context.Context, r *connect.Request[peerv1.TailRequest], stream *connect.ServerStream[peerv1.TailResponse]) error {
	p := s.p
	if _, err := p.noteSeen(r.Msg.GetSeenCheckpoint()); err != nil {
		return p.caught(err)
	}
	after, first := r.Msg.GetAfterSeq(), true
	for beat := time.Now(); ; {
		p.mu.Lock()
		lie, changed, news := p.lies, p.changed, int64(len(p.own)) > after
		var m *peerv1.TailResponse
		var err error
		if lie.refuse == nil && (news || first || time.Since(beat) >= heartbeat) {
			m = &peerv1.TailResponse{}
			m.Entries, m.Checkpoint, _, err = p.page(after)
			if err == nil {
				m.SeenCheckpoint, err = p.countersigned()
			}
			if err == nil && lie.tail != nil && news {
				err = lie.tail(m)
			}
		}
		p.mu.Unlock()
		switch {
		case lie.refuse != nil:
			p.heard()
			return lie.refuse
		case err != nil:
			return err
		case m != nil:
			if err := stream.Send(m); err != nil {
				p.heard()
				return err
			}
			beat, first = time.Now(), false
			if lie.tail != nil && news {
				return p.listen(ctx, changed)
			}
			after += int64(len(m.GetEntries()))
			continue
		}
		select {
		case <-changed:
		case <-time.After(heartbeat):
		case <-ctx.Done():
			return nil
		}
	}
}

// listen waits until the reader ends a stream in which it heard a lie, or the lie ends.
func (p *peer) listen(ctx context.Context, changed chan struct{}) error {
	for {
		select {
		case <-ctx.Done():
			p.heard()
			return nil
		case <-changed:
		}
		p.mu.Lock()
		over := p.lies.tail == nil && p.lies.watch == nil
		changed = p.changed
		p.mu.Unlock()
		if over {
			return nil
		}
	}
}

func (p *peer) heard() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lies.heard++
	p.notify()
}
