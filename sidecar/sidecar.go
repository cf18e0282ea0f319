// Package sidecar is one member's sidecar as a library: New opens it and starts nothing, Run runs its loops, every surface
// is an http.Handler, and the host program owns listeners, signals and exit codes. The daemon `hanse serve`, a portal that
// embeds it, and tests start from the same Config and New.
package sidecar

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sdk"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	"github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1/peerv1connect"
	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/hot"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/listing"
	"github.com/hanse-market/hanse/sidecar/internal/peerlink"
	"github.com/hanse-market/hanse/sidecar/internal/portal"
	"github.com/hanse-market/hanse/sidecar/internal/reconcile"
	"github.com/hanse-market/hanse/sidecar/internal/recovery"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/scribe"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Sidecar is one member's sidecar. Its handlers may be served as soon as New has returned; orders move while Run runs.
type Sidecar struct {
	cfg        Config
	store      *store.Store
	hot        hot.State
	keys       *keys.Manager
	portals    *portal.Service
	listings   *listing.Service
	indexer    *listing.Indexer
	relations  *agreement.Relations
	offers     *listing.Memory
	jobs       *job.Runner
	feeds      *federation.Manager
	platforms  *platforms
	reach      *peerlink.Status
	outbox     *exchange.Outbox
	prover     *exchange.Prover
	recovery   *recovery.Loop
	overdue    *retail.Sweep
	reconciler *reconcile.Reconciler
	handlers   handlers
	memory     *memoryListener
	scribe     *scribe.Handler
	book       *ledger.Book
	twins      *twins
	counts     *counts

	started  time.Time
	draining atomic.Bool
	// signs is the business key that signed when the keys were read last.
	signs atomic.Pointer[string]
	// streams ends when Drain has waited, and all streams with it.
	streams    context.Context
	endStreams context.CancelFunc
	closers    []func() error
	closeOnce  sync.Once
	closeErr   error
}

type handlers struct{ portal, operator, peer, ops http.Handler }

// New validates the configuration, opens the store, the keys and the adapters, and wires everything. It starts no loop.
//
// The host ends a sidecar in this order:
//
//  1. Drain. /readyz says no, so that balancers look elsewhere, and all is served as before for Config.DrainDelay. Then streams
//     end, which would otherwise keep step 2 from ending; their callers go on elsewhere from their cursors.
//  2. Shut down the servers of the portal, operator and peer handlers, and give requests in flight Config.DrainTimeout to
//     finish. The loops still run, so these requests meet a whole sidecar. OpsHandler may be served to the end.
//  3. End Run's context and wait for Run. Jobs in progress have a few seconds to end, and what they commit last wakes other
//     replicas. What is left undone is durable: it goes on here after the next start, or in another replica.
//  4. Close. The database, its lock and all connections are released.
//
// A host that ends Run's context without step 1 gets it from Run. A host that is killed at any step loses nothing that was acknowledged; its callers meet more refusals.
func New(ctx context.Context, cfg Config) (*Sidecar, error) {
	cfg, err := cfg.Complete()
	if err != nil {
		return nil, err
	}
	cfg.Now = cfg.shifted()
	s := &Sidecar{cfg: cfg, memory: newMemoryListener(), started: cfg.Now(), scribe: scribe.New(cfg.Logger.Handler(), cfg.Now)}
	s.cfg.Logger = slog.New(s.scribe)
	s.counts = newCounts(s.count, cfg.Now)
	s.streams, s.endStreams = context.WithCancel(context.WithoutCancel(ctx))
	err = s.wire(ctx)
	if err == nil {
		if err = s.doubt(ctx); fault.Is(err, fault.Unavailable) {
			cfg.Logger.Warn("nothing can be written yet, so nothing goes on", "error", err)
			s.book.Shut(true)
			err = nil
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open sidecar %s: %w", cfg.Origin, err), s.Close())
	}
	return s, nil
}

// doubt begins with books that are to be proved level, and what is written to feeds with a name of its own, where no other replica is there
// that knows the store: it may be a copy.
func (s *Sidecar) doubt(ctx context.Context) error {
	return s.store.Sole(ctx, func(tx *store.Tx) error {
		if err := tx.Catalog().BeginStretch(); err != nil {
			return err
		}
		return ledger.Doubt(tx, ledger.ReasonStarted, s.cfg.Now())
	})
}

// begin is doubt where it could not be written when the sidecar was opened: before any loop starts, however long it takes.
func (s *Sidecar) begin(ctx context.Context) error {
	for s.book.IsShut() {
		switch err := s.doubt(ctx); {
		case err == nil:
			s.book.Shut(false)
			return nil
		case !fault.Is(err, fault.Unavailable) && ctx.Err() == nil:
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
	return nil
}

// Run runs the loops until ctx ends: durable jobs, partners' feeds, the search index. It returns when they have ended; when to
// end them, see New.
func (s *Sidecar) Run(ctx context.Context) error {
	// Store and hot state are looked after until the last loop has drained: its commits need the lock and wake other replicas.
	below, endBelow := context.WithCancel(context.WithoutCancel(ctx))
	defer endBelow()
	working, endWork := context.WithCancel(below)
	defer endWork()
	group, working := errgroup.WithContext(working)
	group.Go(func() error { return s.store.Run(below) })
	group.Go(func() error { return s.hot.Run(below) })
	group.Go(func() error {
		defer endWork()
		select {
		case <-ctx.Done():
			s.Drain(working)
		case <-working.Done():
		}
		return nil
	})
	group.Go(func() error {
		defer endBelow()
		return s.loops(working)
	})
	err := group.Wait()
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (s *Sidecar) loops(ctx context.Context) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	alone := s.cfg.OriginUnreachable
	if !alone {
		var err error
		if alone, err = s.twins.first(ctx); err != nil {
			return err
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if !alone {
			if err := s.twins.wait(ctx); err != nil {
				return err
			}
		}
		return s.prover.Run(ctx)
	})
	group.Go(func() error { return s.recovery.Run(ctx) })
	group.Go(func() error { return s.reconciler.Run(ctx) })
	group.Go(func() error { return s.jobs.Run(ctx) })
	group.Go(func() error { return s.outbox.Run(ctx) })
	group.Go(func() error { return s.feeds.Run(ctx) })
	group.Go(func() error { return s.platforms.Run(ctx) })
	group.Go(func() error { return s.index(ctx) })
	group.Go(func() error { return s.forgetRelations(ctx) })
	group.Go(func() error { return s.reloadKeys(ctx) })
	group.Go(func() error { return s.tick(ctx) })
	group.Go(func() error { return s.sweep(ctx) })
	group.Go(func() error { return s.serveMemory(ctx) })
	group.Go(func() error { return s.scribe.Run(ctx) })
	group.Go(func() error { return s.counts.run(ctx) })
	return group.Wait()
}

// forgetRelations drops what is remembered of partnerships and listings as soon as another replica changes one. What this one changes
// it has forgotten before the change is answered: see openStore.
func (s *Sidecar) forgetRelations(ctx context.Context) error {
	partners, partnersEnd := s.hot.Subscribe(unit.Partners)
	defer partnersEnd()
	listings, listingsEnd := s.hot.Subscribe(unit.Listings)
	defer listingsEnd()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-partners:
			s.relations.Forget()
		case <-listings:
			s.offers.Forget()
		}
	}
}

// tick has the counter grow that goes into our checkpoints.
func (s *Sidecar) tick(ctx context.Context) error {
	beat := time.NewTicker(ledger.TickEvery)
	defer beat.Stop()
	last := s.book.Tick()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-beat.C:
			var err error
			if last, err = s.book.Beat(ctx, last); err != nil && ctx.Err() == nil {
				s.cfg.Logger.Warn("ledger tick did not grow", "error", err)
			}
		}
	}
}

// sweepEvery is how often the orders are looked for that no supplier decided in time.
const sweepEvery = time.Minute

// sweep has the cancel of such orders begin.
func (s *Sidecar) sweep(ctx context.Context) error {
	beat := time.NewTicker(s.overdue.Every(sweepEvery))
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-beat.C:
			begun, err := s.overdue.Once(ctx)
			if begun > 0 {
				s.cfg.Logger.Warn("orders were not decided in time and are being cancelled: hanse order list --open", "orders", begun)
			}
			if err != nil && ctx.Err() == nil {
				s.cfg.Logger.Warn("overdue orders are looked for again", "error", err)
			}
		}
	}
}

// reloadEvery is how soon a replica knows of another one's key rotation; a new key is published that much before its use.
const reloadEvery = time.Minute

// rotateAfter is how long a key that only we and short-lived tokens depend on is used. The business key is pinned by partners:
// its rollover is theirs to agree to, never a matter of time alone.
const rotateAfter = 30 * 24 * time.Hour

// ownKeys are our keys of which all is renewed that was signed with the one before and is kept.
type ownKeys struct {
	*keys.Manager
	of *Sidecar
}

// Reload reads all keys again.
func (k ownKeys) Reload(ctx context.Context) error {
	if err := k.Manager.Reload(ctx); err != nil {
		return err
	}
	now := k.CurrentKID(keys.Business)
	if before := k.of.signs.Swap(&now); before != nil && *before != now {
		k.of.book.Resign()
		k.of.cfg.Logger.Info("the business key was rolled over", "thumbprint", now, "before", *before)
	}
	return nil
}

// reloadKeys reads the keys again from time to time and when one was changed, for another replica may have rotated one, and rotates token and client
// keys that have come of age.
func (s *Sidecar) reloadKeys(ctx context.Context) error {
	tick := time.NewTicker(reloadEvery)
	defer tick.Stop()
	turned, end := s.hot.Subscribe(unit.Keys)
	defer end()
	reminded := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-turned:
			if err := (ownKeys{s.keys, s}).Reload(ctx); err != nil && ctx.Err() == nil {
				s.cfg.Logger.Warn("keys not read again", "error", err)
			}
		case <-tick.C:
			if err := (ownKeys{s.keys, s}).Reload(ctx); err != nil && ctx.Err() == nil {
				s.cfg.Logger.Warn("keys not read again", "error", err)
				continue
			}
			if stale := s.staleExport(ctx); stale != reminded {
				if reminded = stale; stale != "" {
					s.cfg.Logger.Warn("after a lost disk the exported keys would not be enough", "reason", stale)
				}
			}
			for _, purpose := range []keys.Purpose{keys.Token, keys.Client} {
				rotated, err := s.keys.RotateAged(ctx, purpose, rotateAfter)
				if rotated {
					s.cfg.Logger.Info("key rotated", "purpose", string(purpose))
				} else if err != nil && ctx.Err() == nil {
					s.cfg.Logger.Warn("key not rotated", "purpose", string(purpose), "error", err)
				}
			}
		}
	}
}

// index keeps the search index equal to the listings.
func (s *Sidecar) index(ctx context.Context) error {
	wake, cancel := s.hot.Subscribe(unit.Listings)
	defer cancel()
	return s.indexer.Run(ctx, wake)
}

// serveMemory answers the embedding program's client.
func (s *Sidecar) serveMemory(ctx context.Context) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	server := &http.Server{Handler: s.handlers.portal, ReadHeaderTimeout: 5 * time.Second, Protocols: protocols}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(s.memory); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// PortalHandler serves hanse.portal.v1 and, below /hanse/, the storefront. Bind it where only the portal's backend and its web
// server reach it; of the latter's requests let /hanse/ alone through.
func (s *Sidecar) PortalHandler() http.Handler { return s.handlers.portal }

// OperatorHandler serves hanse.operator.v1 to holders of the operator token.
func (s *Sidecar) OperatorHandler() http.Handler { return s.handlers.operator }

// PeerHandler serves partners: hanse.peer.v1, OAuth and the well-known documents.
func (s *Sidecar) PeerHandler() http.Handler { return s.handlers.peer }

// OpsHandler serves /metrics, /healthz and /readyz.
func (s *Sidecar) OpsHandler() http.Handler { return s.handlers.ops }

// Client is the sdk client of a portal in the same program, over memory. It makes the portal client of that name, or gives
// it a new key where it exists; the key lives in this process only. The name of a portal that was removed is refused until an
// operator takes it again: hanse portal add NAME --reuse. It answers while Run runs.
func (s *Sidecar) Client(ctx context.Context, portalName string) (*sdk.Client, error) {
	_, key, err := s.portals.Rotate(ctx, portalName, 0)
	if fault.Is(err, fault.NotFound) {
		_, key, err = s.portals.Add(ctx, portalName, nil, false)
	}
	if err != nil {
		return nil, fmt.Errorf("portal client %s: %w", portalName, err)
	}
	return sdk.New("http://sidecar.memory", key, sdk.WithHTTPClient(s.memory.client()))
}

// Drain makes the sidecar not ready at once, and ends its streams after Config.DrainDelay, or when ctx ends if that is earlier. It
// returns then: the first step of the end, see New. Calling it again waits for the same end.
func (s *Sidecar) Drain(ctx context.Context) {
	s.draining.Store(true)
	delay := time.NewTimer(s.cfg.DrainDelay)
	defer delay.Stop()
	select {
	case <-delay.C:
	case <-ctx.Done():
	case <-s.streams.Done():
	}
	s.endStreams()
}

// Close releases what New opened: the last step of the end, see New.
func (s *Sidecar) Close() error {
	s.closeOnce.Do(func() {
		s.endStreams()
		_ = s.memory.Close()
		for i := len(s.closers) - 1; i >= 0; i-- {
			s.closeErr = errors.Join(s.closeErr, s.closers[i]())
		}
	})
	return s.closeErr
}

// streamProcedures are those that answer for as long as the caller listens, or there is something to look at.
var streamProcedures = map[string]bool{
	portalv1connect.OrderServiceWatchOrderProcedure: true,
	peerv1connect.CatalogServiceWatchProcedure:      true,
	peerv1connect.LedgerServiceTailProcedure:        true,
	operatorv1connect.LedgerServiceVerifyProcedure:  true,
}

var errStopping = fault.New(fault.Unavailable, "draining", "the sidecar is stopping").Do("open the stream again where it ended")

// endingStreams ends streams, and no other request, when Drain has waited: their callers go on elsewhere from their cursors.
func (s *Sidecar) endingStreams(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if streamProcedures[r.URL.Path] {
			ctx, cancel := context.WithCancelCause(r.Context())
			defer cancel(nil)
			defer context.AfterFunc(s.streams, func() { cancel(errStopping) })()
			r = r.WithContext(ctx)
		}
		next.ServeHTTP(w, r)
	})
}

// newID is a UUIDv7: unique without coordination, and sorted by time in the store.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

func fillRandom(b []byte) {
	// crypto/rand.Read never fails; it ends the program where the system has no randomness.
	_, _ = rand.Read(b)
}
