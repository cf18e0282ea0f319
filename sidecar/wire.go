package sidecar

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/hanse-market/hanse/auth/authserver"
	"github.com/hanse-market/hanse/auth/bearer"
	"github.com/hanse-market/hanse/auth/client"
	"github.com/hanse-market/hanse/auth/dpop"
	"github.com/hanse-market/hanse/auth/guard"
	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/auth/refusal"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/failpoint"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/hot"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/listing"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/metrics"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/peerlink"
	"github.com/hanse-market/hanse/sidecar/internal/portal"
	"github.com/hanse-market/hanse/sidecar/internal/provision"
	"github.com/hanse-market/hanse/sidecar/internal/recipe"
	"github.com/hanse-market/hanse/sidecar/internal/rpc"
	"github.com/hanse-market/hanse/sidecar/internal/search"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/tlsdev"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// wire builds everything from the configuration; this file is the map of the sidecar.
func (s *Sidecar) wire(ctx context.Context) error {
	cfg := s.cfg
	fail, err := failpoint.Parse(cfg.Failpoint)
	if err != nil {
		return err
	}
	siteKey, err := cfg.SiteKey()
	if err != nil {
		return err
	}
	if err := s.openHot(ctx); err != nil {
		return err
	}
	meters, err := s.meters()
	if err != nil {
		return err
	}
	if err := s.openStore(ctx, siteKey, meters.Commit); err != nil {
		return err
	}
	st := s.store
	keyring, err := keys.New(ctx, keys.Config{Store: st, Now: cfg.Now})
	if err != nil {
		return err
	}
	s.keys = keyring

	// Out: guarded, authenticated calls to partners.
	g, err := s.guard()
	if err != nil {
		return err
	}
	caller, err := client.New(client.Config{Origin: cfg.Origin, Keys: keyring, Guard: g, Now: cfg.Now, Skew: meters.PeerSkew})
	if err != nil {
		return err
	}
	book := &ledger.Book{Self: cfg.Origin, Work: store.For[ledger.Tx](st), Signer: keyring, Now: cfg.Now}
	s.reach = &peerlink.Status{Changed: meters.PeerUp, Back: s.expedite}
	reach := s.reach
	link := &peerlink.Link{Transports: caller, Book: book, Status: reach, Now: cfg.Now}

	// The domain.
	schemas := recipe.NewSchemas(0)
	members := &member.Service{
		Self: cfg.Origin, Work: store.For[member.Tx](st), Directory: &peerlink.Directory{Fetch: g, Now: cfg.Now},
		Link: link, Signer: keyring, OwnKey: func() string { return keyring.CurrentKID(keys.Business) }, Now: cfg.Now, NewID: newID,
	}
	agreements := &agreement.Service{
		Self: cfg.Origin, Work: store.For[agreement.Tx](st), Link: link, Book: book, Publisher: publisher{}, Signer: keyring,
		OwnKeys: func() (string, string) { return keyring.CurrentKID(keys.Business), keyring.NextDigest() }, Now: cfg.Now, NewID: newID,
	}
	s.relations = &agreement.Relations{Self: cfg.Origin, Work: store.For[agreement.Tx](st), Now: cfg.Now}
	s.platforms, err = s.openPlatforms()
	if err != nil {
		return err
	}
	offerings := &catalog.Service{
		Work: store.For[catalog.Tx](st), Audience: audience{self: cfg.Origin}, Now: cfg.Now, CheckStep: s.platforms.checkStep,
	}
	s.listings = &listing.Service{Self: cfg.Origin, Work: store.For[listing.Tx](st), Index: search.New(), Now: cfg.Now}
	s.closers = append(s.closers, func() error { s.listings.Index.Close(); return nil })
	s.indexer = &listing.Indexer{Self: cfg.Origin, Work: store.For[listing.Tx](st), Index: s.listings.Index, Now: cfg.Now, Log: cfg.Logger}
	orders := &order.Service{
		Self: cfg.Origin, Work: store.For[order.Tx](st), Offers: offers{s.listings},
		Schemas: schemas, Link: link, Book: book, Signer: keyring, Pseudonym: pseudonyms(siteKey), Now: cfg.Now, NewID: newID,
		Rand: fillRandom, Fail: fail, Away: func(partner string) bool { r := reach.Of(partner); return r.Known && !r.Up },
	}
	subscriptions := &subscription.Service{
		Self: cfg.Origin, Work: store.For[subscription.Tx](st), Link: link, Book: book, Signer: keyring, Opener: keyring, Now: cfg.Now, Fail: fail,
	}
	provisioning := &provision.Service{
		Work: store.For[provision.Tx](st), Book: book, Connections: s.platforms, Seal: keys.Seal, Observe: meters.AdapterCall,
		Now: cfg.Now, Logger: cfg.Logger, Fail: fail,
	}

	// The loops.
	replica, err := cfg.ReplicaID()
	if err != nil {
		return err
	}
	s.jobs, err = job.New(job.Config{
		Work: store.For[job.Tx](st), Owner: replica, Now: cfg.Now, Subscribe: s.hot.Subscribe, Logger: cfg.Logger, Workers: 32, PerPartner: 16, Lease: 5 * time.Minute,
		Alone: len(cfg.Redis.Addresses) == 0, Observe: meters.JobRun,
		Handlers: map[string]job.Handler{
			agreement.JobOffer:            agreements.SendOffer,
			agreement.JobAccept:           agreements.SendAcceptance,
			order.JobSubmit:               orders.Submit,
			order.JobProvision:            provisioning.Handle,
			order.JobAccessFetch:          subscriptions.FetchAccess,
			subscription.JobAccessConfirm: subscriptions.SendConfirmation,
		},
	})
	if err != nil {
		return err
	}
	s.feeds = &federation.Manager{
		Work: store.For[federation.Tx](st), Link: link, Self: cfg.Origin, Subscribe: s.hot.Subscribe, Logger: cfg.Logger,
		Ledger: &federation.LedgerReader{
			Self: cfg.Origin, Work: store.For[federation.Tx](st), Orders: orders, Agreements: agreements, Now: cfg.Now, Fail: fail,
			Lag: meters.FeedLag, Tailed: func(partner string) { meters.LedgerTailed(partner, cfg.Now()) },
			Parked: func(p ledger.Parked) {
				cfg.Logger.Error("ledger entry parked", "partner", p.Partner, "seq", p.Seq, "subject", p.Subject, "reason", p.Reason)
			},
		},
		Catalog: &federation.CatalogReader{
			Self: cfg.Origin, Logger: cfg.Logger, Synced: func(partner string) { meters.CatalogSynced(partner, cfg.Now()) },
			Catalog: &catalog.Reader{Work: store.For[catalog.Tx](st), Schemas: schemas, Now: cfg.Now},
		},
	}

	// In: the surfaces.
	hashKey, err := derive(siteKey, "portal keys")
	if err != nil {
		return err
	}
	s.portals, err = portal.New(portal.Config{Work: store.For[portal.Tx](st), HashKey: hashKey, Now: cfg.Now, Rand: rand.Reader})
	if err != nil {
		return err
	}
	operator, err := portal.LoadOperator(cfg.DataDir, rand.Reader)
	if err != nil {
		return err
	}
	surface := func(name string) rpc.Config {
		return rpc.Config{
			Log: cfg.Logger, Now: cfg.Now, NewID: newID, Wakeups: s.hot, Allow: s.allow(name),
			Observe: func(procedure, code string, took time.Duration) { meters.RPC(name, procedure, code, took) },
			Refused: func(reason string) { meters.AuthFailure(name, reason) },
		}
	}
	if s.handlers.portal, err = rpc.NewPortal(rpc.PortalConfig{
		Config: surface(metrics.SurfacePortal), Callers: s.portals, Shop: s.listings, Orders: orders, Subscriptions: subscriptions,
	}); err != nil {
		return err
	}
	s.handlers.portal = s.endingStreams(s.handlers.portal)
	if s.handlers.operator, err = rpc.NewOperator(rpc.OperatorConfig{
		Config: surface(metrics.SurfaceOperator), Operators: operator, Partners: members,
		Status: partnerStatus{store: st, reach: reach}, Agreements: agreements, Offerings: ownOfferings{offerings, st}, Listings: s.listings,
		Orders: orders, Subscriptions: subscriptions, Ledgers: ledgers{store: st, book: book, keys: keyring},
		Portals: s.portals, Jobs: jobAdmin{store: st, now: cfg.Now}, Words: keys.Words,
	}); err != nil {
		return err
	}
	peer, err := rpc.NewPeer(rpc.PeerConfig{
		Config: surface(metrics.SurfacePeer), Partners: members, Agreements: agreements, Orders: orders, Access: subscriptions,
		Catalog: &federation.CatalogFeed{Self: cfg.Origin, Feed: offerings, Signer: keyring}, Ledger: book,
		Checkpoints: &checkpoints{self: cfg.Origin, store: st, keys: keyring}, Relation: grants{s.relations}.Relation,
	})
	if err != nil {
		return err
	}
	if s.handlers.peer, err = s.peerHandler(peer, keyring, g, meters); err != nil {
		return err
	}
	for _, h := range []*http.Handler{&s.handlers.portal, &s.handlers.operator, &s.handlers.peer, &s.handlers.ops} {
		*h = impatient(*h)
	}
	return nil
}

// peerHandler puts PEER-1 in front of the peer procedures and mounts OAuth and the member's documents beside them.
func (s *Sidecar) peerHandler(peer http.Handler, keyring *keys.Manager, g *guard.Guard, meters *metrics.Metrics) (http.Handler, error) {
	cfg := s.cfg
	relation := grants{s.relations}
	refused := func(replay string) func(string, *refusal.Error) {
		return func(_ string, r *refusal.Error) {
			meters.AuthFailure(metrics.SurfacePeer, r.Reason)
			if r.Reason == dpop.ReasonReplayed {
				meters.Replay(replay)
			}
		}
	}
	as, err := authserver.New(authserver.Config{
		Origin: cfg.Origin, Name: cfg.Member.Name, Keys: keyring, Replay: s.hot, Revoked: s.hot, Grants: relation, Guard: g.Unsolicited(),
		Now: cfg.Now, Refused: refused("token_request"),
	})
	if err != nil {
		return nil, err
	}
	verifier, err := bearer.New(bearer.Config{
		Origin: cfg.Origin, Keys: keyring, Replay: s.hot, Revoked: s.hot, Scopes: bearer.PeerScopes(), Relation: relation.Relation,
		Now: cfg.Now, Refused: refused("call"),
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	oauth := as.Handler()
	mux.Handle("/oauth2/", oauth)
	mux.Handle("/.well-known/", oauth)
	documents := &memberDocuments{
		origin: cfg.Origin, member: cfg.Member, keys: keyring, now: cfg.Now,
		limits: trust.Limits{MaxMessageBytes: 256 << 10, MaxOfferings: catalog.DefaultMaxOfferings},
	}
	documents.register(mux)
	mux.Handle("/", verifier.Middleware(s.nudging(s.endingStreams(peer))))
	return mux, nil
}

// nudging tells the feeds that a partner is there: it just called.
func (s *Sidecar) nudging(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p, ok := bearer.FromContext(r.Context()); ok {
			s.feeds.Nudge(p.Origin)
			if have := s.reach.Of(p.Origin); have.Known && !have.Up {
				s.expedite(p.Origin)
			}
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Sidecar) openHot(ctx context.Context) error {
	cfg := s.cfg
	if len(cfg.Redis.Addresses) == 0 {
		s.hot = hot.NewMemory(cfg.Now)
		s.closers = append(s.closers, s.hot.Close)
		return nil
	}
	password, err := cfg.RedisPassword()
	if err != nil {
		return err
	}
	shared, err := hot.NewRedis(ctx, hot.RedisConfig{
		Addresses: cfg.Redis.Addresses, MasterName: cfg.Redis.MasterName, Username: cfg.Redis.Username, Password: password,
		TLS: cfg.Redis.TLS, Prefix: cfg.Origin, Now: cfg.Now, Logger: cfg.Logger,
	})
	if err != nil {
		return err
	}
	s.hot = shared
	s.closers = append(s.closers, s.hot.Close)
	return nil
}

func (s *Sidecar) openStore(ctx context.Context, siteKey []byte, committed func(closures int, took time.Duration)) error {
	cfg := s.cfg
	dsn, err := cfg.DatabaseDSN()
	if err != nil {
		return err
	}
	config := store.Config{
		SiteKey: siteKey, Exclusive: len(cfg.Redis.Addresses) == 0, Now: cfg.Now, Logger: cfg.Logger, Committed: committed,
		Wake: func(topic unit.Topic) {
			if err := s.hot.Publish(context.WithoutCancel(ctx), topic); err != nil {
				cfg.Logger.Warn("wake-up lost, loops poll", "topic", topic, "error", err)
			}
		},
	}
	if cfg.Database.Driver == "postgres" {
		config.DSN = dsn
	} else {
		config.Path = dsn
	}
	s.store, err = store.Open(ctx, config)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, s.store.Close)
	return nil
}

func (s *Sidecar) guard() (*guard.Guard, error) {
	config := guard.Config{Dev: s.cfg.Dev, Now: s.cfg.Now}
	if s.cfg.Dev {
		pool, err := devPool(s.cfg)
		if err != nil {
			return nil, err
		}
		config.RootCAs = pool
	}
	g := guard.New(config)
	s.closers = append(s.closers, func() error { g.Close(); return nil })
	return g, nil
}

func devPool(cfg Config) (*x509.CertPool, error) {
	ca, err := tlsdev.Open(cfg.DevCADir, cfg.Now)
	if err != nil {
		return nil, err
	}
	return ca.Pool(), nil
}

// derive makes a key for one purpose out of the site key.
func derive(siteKey []byte, purpose string) ([]byte, error) {
	return hkdf.Key(sha256.New, siteKey, nil, "hanse "+purpose, 32)
}

// pseudonyms hides customers: one partner's pseudonym says nothing to another, and nothing without the site key.
func pseudonyms(siteKey []byte) func(partner, portal, customer string) string {
	return func(partner, portal, customer string) string {
		mac := hmac.New(sha256.New, siteKey)
		for _, s := range []string{"hanse pseudonym", partner, portal, customer} {
			mac.Write([]byte(s))
			mac.Write([]byte{0})
		}
		return "cus-" + hex.EncodeToString(mac.Sum(nil)[:16])
	}
}
