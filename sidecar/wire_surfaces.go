package sidecar

import (
	"net/http"
	"time"

	"github.com/hanse-market/hanse/auth/authserver"
	"github.com/hanse-market/hanse/auth/bearer"
	"github.com/hanse-market/hanse/auth/dpop"
	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/auth/refusal"
	"github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1/peerv1connect"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/metrics"
	"github.com/hanse-market/hanse/sidecar/internal/rpc/gate"
	rpcoperator "github.com/hanse-market/hanse/sidecar/internal/rpc/operator"
	rpcpeer "github.com/hanse-market/hanse/sidecar/internal/rpc/peer"
	rpcportal "github.com/hanse-market/hanse/sidecar/internal/rpc/portal"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

// surface is what the gate of every surface needs.
func (s *Sidecar) surface(name string, in *infra) gate.Config {
	return gate.Config{
		Log:     s.cfg.Logger,
		Now:     s.cfg.Now,
		NewID:   newID,
		Wakeups: s.hot,
		Allow:   s.allow(name),
		Observe: func(procedure, code string, took time.Duration) { in.meters.RPC(name, procedure, code, took) },
		Refused: func(reason string) { in.meters.AuthFailure(name, reason) },

		TailPace: 50 * time.Millisecond,
	}
}

func (s *Sidecar) portalSurface(in *infra, d *domain) (http.Handler, error) {
	h, err := rpcportal.New(rpcportal.Config{
		Config:        s.surface(metrics.SurfacePortal, in),
		Callers:       s.portals,
		Shop:          s.listings,
		Orders:        d.retail,
		Subscriptions: d.subscriptions,
	})
	if err != nil {
		return nil, err
	}
	shop, err := s.storefront()
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle(storefrontPath, shop)
	mux.Handle("/", s.endingStreams(h))
	return mux, nil
}

func (s *Sidecar) operatorSurface(in *infra, d *domain) (http.Handler, error) {
	h, err := rpcoperator.New(rpcoperator.Config{
		Config:     s.surface(metrics.SurfaceOperator, in),
		Operators:  d.operators,
		Desk:       d.desk,
		Partners:   d.members,
		Agreements: d.agreements,
		Offerings:  d.offerings,
		Listings:   s.listings,
		Orders:     d.retail,
		Books:      d.books,
		Auditor:    d.auditor,
		Reconciler: s.reconciler,
		Lives:      d.lives,
		Held:       d.provisioning,
		Orphans:    d.provisioning,
		Portals:    s.portals,
		House:      s.house,
		Words:      keys.Words,
	})
	if err != nil {
		return nil, err
	}
	return s.endingStreams(h), nil
}

func (s *Sidecar) opsSurface(in *infra, _ *domain) (http.Handler, error) {
	return metrics.OpsHandler(metrics.OpsConfig{
		Gatherer: in.registry,
		Ready:    s.readiness(),
	}), nil
}

// peerSurface puts PEER-1 in front of the peer procedures and mounts OAuth and the member's documents beside them.
func (s *Sidecar) peerSurface(in *infra, d *domain) (http.Handler, error) {
	cfg := s.cfg
	relation := grants{s.relations}
	refused := func(replay string) func(string, *refusal.Error) {
		return func(_ string, r *refusal.Error) {
			in.meters.AuthFailure(metrics.SurfacePeer, r.Reason)
			if r.Reason == dpop.ReasonReplayed {
				in.meters.Replay(replay)
			}
		}
	}
	as, err := authserver.New(authserver.Config{
		Origin:  cfg.Origin,
		Name:    cfg.Member.Name,
		Keys:    in.keys,
		Replay:  s.hot,
		Revoked: s.hot,
		Grants:  relation,
		Guard:   in.guard.Unsolicited(),
		Now:     cfg.Now,
		Refused: refused("token_request"),
	})
	if err != nil {
		return nil, err
	}
	verifier, err := bearer.New(bearer.Config{
		Origin:   cfg.Origin,
		Keys:     in.keys,
		Replay:   s.hot,
		Revoked:  s.hot,
		Scopes:   bearer.PeerScopes(),
		Relation: relation.Relation,
		Now:      cfg.Now,
		Refused:  refused("call"),
	})
	if err != nil {
		return nil, err
	}
	procedures, err := rpcpeer.New(rpcpeer.Config{
		Config:   s.surface(metrics.SurfacePeer, in),
		Partners: d.members,
		Exchange: d.exchange,
		Catalog:  &federation.CatalogFeed{Self: cfg.Origin, Catalog: d.offerings, Signer: in.keys},
		Access:   d.subscriptions,
		Ledger:   &federation.LedgerFeed{Work: store.For[federation.Tx](s.store), Book: in.book, Reader: d.books},
		Relation: verifier.Still,
	})
	if err != nil {
		return nil, err
	}
	documents := &memberDocuments{
		origin: cfg.Origin,
		member: cfg.Member,
		keys:   in.keys,
		limits: trust.Limits{MaxMessageBytes: 256 << 10, MaxOfferings: cfg.Limits.MaxOfferings, MaxCatalogBytes: cfg.Limits.catalogBytes()},
		now:    cfg.Now,
	}
	mux := http.NewServeMux()
	oauth := as.Handler()
	mux.Handle("/oauth2/", oauth)
	mux.Handle("/.well-known/", oauth)
	documents.register(mux)
	s.twins.register(mux)
	mux.Handle("/", verifier.Middleware(s.nudging(in.guard.Forgive, s.endingStreams(procedures))))
	if in.fail.Edges() {
		return sending(in.fail, mux), nil
	}
	return mux, nil
}

// nudging tells the feeds that a partner is there: it just called.
func (s *Sidecar) nudging(forgive func(partner string), next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, ok := bearer.FromContext(r.Context())
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		if r.URL.Path == peerv1connect.ExchangeServiceCompareProcedure {
			// What begins before the answer about the books counts for nothing after it.
			next.ServeHTTP(w, r)
			s.heard(p.Origin, forgive)
			return
		}
		s.heard(p.Origin, forgive)
		next.ServeHTTP(w, r)
	})
}

// heard has all that waits for a partner look whether it is there again; what could not be fetched from it a moment ago is fetched anew.
func (s *Sidecar) heard(partner string, forgive func(partner string)) {
	away := s.away(partner)
	if away {
		forgive(partner)
	}
	s.feeds.Nudge(partner)
	s.prover.Heard(partner)
	s.recovery.Heard(partner)
	if away {
		s.outbox.Heard(partner)
	}
}
