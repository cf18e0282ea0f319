package sidecar

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"

	"github.com/hanse-market/hanse/auth/client"
	"github.com/hanse-market/hanse/auth/guard"
	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/failpoint"
	"github.com/hanse-market/hanse/sidecar/internal/hot"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/metrics"
	"github.com/hanse-market/hanse/sidecar/internal/peerlink"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/tlsdev"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// infra is what the business stands on and does not know.
type infra struct {
	fail    *failpoint.Points
	siteKey []byte
	// correlation is the key of correlation ids, recovery that to which is sealed what partners keep for us.
	correlation []byte
	recovery    []byte
	meters      *metrics.Metrics
	registry    *metrics.Registry
	keys        *keys.Manager
	guard       *guard.Guard
	book        *ledger.Book
	link        *peerlink.Link
}

func (s *Sidecar) wireInfra(ctx context.Context) (*infra, error) {
	cfg := s.cfg
	in := &infra{registry: metrics.NewRegistry()}
	var err error
	if in.fail, err = failpoint.Parse(cfg.Failpoint); err != nil {
		return nil, err
	}
	if in.siteKey, err = cfg.SiteKey(); err != nil {
		return nil, err
	}
	if err := s.openHot(ctx); err != nil {
		return nil, err
	}
	if in.meters, err = s.meters(in.registry); err != nil {
		return nil, err
	}
	if err := s.openStore(ctx, in); err != nil {
		return nil, err
	}
	if in.correlation, err = s.store.CorrelationKey(ctx); err != nil {
		return nil, err
	}
	if in.recovery, err = s.store.RecoveryKey(ctx); err != nil {
		return nil, err
	}
	if in.keys, err = keys.New(ctx, keys.Config{Store: s.store, Now: cfg.Now}); err != nil {
		return nil, err
	}
	s.keys = in.keys
	signs := in.keys.CurrentKID(keys.Business)
	s.signs.Store(&signs)
	if in.guard, err = s.guard(); err != nil {
		return nil, err
	}
	// Out: guarded, authenticated calls to partners.
	caller, err := client.New(client.Config{
		Origin: cfg.Origin,
		Keys:   in.keys,
		Guard:  in.guard,
		Now:    cfg.Now,
		Skew:   in.meters.PeerSkew,
	})
	if err != nil {
		return nil, err
	}
	in.book = &ledger.Book{
		Self:    cfg.Origin,
		Work:    store.For[ledger.Tx](s.store),
		Signer:  in.keys,
		OwnKeys: func() signed.Pinned { return signed.PinSet(in.keys.Public(keys.Business)) },
		Now:     cfg.Now,
		Forked: func(partner string, err error) {
			cfg.Logger.Error("partner holds another ledger under our own signature: books are forked, no new business until both operators agree",
				"partner", partner, "error", err)
		},
		Older: func(partner string, at ledger.Position) {
			cfg.Logger.Error("this store is older than what we signed: partner holds a checkpoint of ours beyond our ledger; books are behind, nothing goes on with it until what is missing is read back from it, and all other partners are asked",
				"partner", partner, "checkpoint", at.String())
		},
		Surpassed: func(partner string, stored, came int64) {
			cfg.Logger.Error("this store is an older copy of what this member was: a partner holds what we signed later; all partners are asked how the books stand, what they have is read back, and what no partner has is done anew: portal keys, revocations, policies, offerings, listings, markups, webhooks",
				"partner", partner, "tick", came, "stored", stored)
		},
		WentBack: func(stored, last int64) {
			caller.Anew() // partners then tell what was sent before from what is sent now
			cfg.Logger.Error("the database was put back to an older state while the sidecar was running: all partners are asked how the books stand; stop all replicas before a copy is put back",
				"tick", last, "stored", stored)
		},
	}
	if err := in.book.LoadTick(ctx); err != nil {
		return nil, err
	}
	s.book = in.book
	s.twins = &twins{origin: cfg.Origin, store: s.store, fetch: in.guard.Fetch, log: cfg.Logger}
	if s.twins.key, err = derive(in.siteKey, "store nonce"); err != nil {
		return nil, err
	}
	s.reach = &peerlink.Status{
		Changed: in.meters.PeerUp,
		Back: func(partner string) {
			s.feeds.Back(partner)
			s.outbox.Back(partner)
			s.prover.Back(partner)
			s.recovery.Back(partner)
		},
	}
	in.link = &peerlink.Link{
		Transports: caller,
		Book:       in.book,
		Status:     s.reach,
		Over: func(o peerlink.Overflow) {
			in.meters.FeedFlood(o.Partner, o.Feed, o.Bound)
			if o.First {
				cfg.Logger.Warn("feed ended: more than a partner may send", "partner", o.Partner, "feed", o.Feed, "bound", o.Bound)
			}
		},
		Behind: func(partner string) { s.prover.Suspect(partner) },
		Now:    cfg.Now,
		Fail:   in.fail,
	}
	return in, nil
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

func (s *Sidecar) openStore(ctx context.Context, in *infra) error {
	cfg := s.cfg
	dsn, err := cfg.DatabaseDSN()
	if err != nil {
		return err
	}
	config := store.Config{
		// Replicas share a Redis and a PostgreSQL; with a file there is one sidecar.
		SiteKey: in.siteKey, Exclusive: !cfg.Replicated(), Now: cfg.Now, Logger: cfg.Logger,
		Committed: in.meters.Commit, Failed: in.meters.CommitFailed, Rehearse: cfg.Rehearse, Fail: in.fail,
		Wake: func(topic unit.Topic) {
			// Here it holds at once, not only for those who are woken.
			switch {
			case topic == unit.Listings && s.offers != nil:
				s.offers.Forget()
			case topic == unit.Partners && s.relations != nil:
				s.relations.Forget()
			}
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
	of, err := s.store.Origin(ctx, cfg.Origin)
	if err == nil && of != cfg.Origin {
		err = &ConfigError{
			Key: "origin", Problem: fmt.Sprintf("is %s, and the database is that of %s, under which all its partners know it", cfg.Origin, of),
			Action: "give the origin back, or start a new member with a data_dir and a database of its own",
		}
	}
	return err
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
