package sidecar

import (
	"context"
	"crypto/rand"
	mathrand "math/rand/v2"
	"time"

	"github.com/hanse-market/hanse/auth/guard"
	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/audit"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/life"
	"github.com/hanse-market/hanse/sidecar/internal/listing"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/operator"
	"github.com/hanse-market/hanse/sidecar/internal/peerlink"
	"github.com/hanse-market/hanse/sidecar/internal/portal"
	"github.com/hanse-market/hanse/sidecar/internal/provision"
	"github.com/hanse-market/hanse/sidecar/internal/recipe"
	"github.com/hanse-market/hanse/sidecar/internal/reconcile"
	"github.com/hanse-market/hanse/sidecar/internal/recovery"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/search"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/text"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// domain is the business.
type domain struct {
	members       *member.Service
	agreements    *agreement.Service
	offerings     *catalog.Service
	foreign       *catalog.Reader
	retail        *retail.Service
	resale        *resale.Service
	subscriptions *subscription.Service
	exchange      *exchange.Desk
	provisioning  *provision.Service
	lives         *life.Service
	desk          *operator.Desk
	operators     *portal.Operator
	books         *federation.LedgerReader
	auditor       *audit.Auditor
}

func (s *Sidecar) wireDomain(in *infra) (*domain, error) {
	cfg, st, d := s.cfg, s.store, &domain{}
	schemas := recipe.NewSchemas(0)
	escrow, err := retail.NewEscrow(in.recovery)
	if err != nil {
		return nil, err
	}
	s.outbox = &exchange.Outbox{} // those who send through it come first; wireLoops makes it complete
	s.prover = &exchange.Prover{}
	s.recovery = &recovery.Loop{}
	s.reconciler = &reconcile.Reconciler{}
	d.members = &member.Service{
		Self:      cfg.Origin,
		Work:      store.For[member.Tx](st),
		Directory: &peerlink.Directory{Fetch: in.guard, Now: cfg.Now},
		Link:      in.link,
		Signer:    in.keys,
		OwnKey:    func() string { return in.keys.CurrentKID(keys.Business) },
		Site:      guard.Site,
		Dropped: func(p member.Partner, why string) {
			cfg.Logger.Info("proposal dropped", "partner", p.Origin, "why", why, "proposed", p.UpdatedAt)
			in.book.Forget(p.Origin)
			d.books.Forget(p.Origin)
		},
		Changed: func(p member.Partner) {
			cfg.Logger.Info("partner would change: hanse partner show", "partner", p.Origin, "changes", len(p.Proposed()))
		},
		Flushed: s.flushed,
		Followed: func(p member.Partner, before string) {
			cfg.Logger.Info("partner rolled its business key over, and proved it by the pinned next key", "partner", p.Origin, "thumbprint", p.Thumbprint, "before", before)
		},
		Strange: func(p member.Partner, shown string, first bool) {
			in.meters.StrangeKey(p.Origin)
			if first {
				cfg.Logger.Error("partner shows a business key that does not follow the pinned one: nothing that it signs with it is taken; ask it over another channel whether its keys or its domain are somebody else's, or its database was put back",
					"partner", p.Origin, "shown", shown, "pinned", p.Thumbprint, "next", p.NextKeyDigest)
			}
		},
		Unfollowed: func(partner string, err error) {
			cfg.Logger.Warn("partner names a business key that is not pinned, and cannot be read: it is read again in a minute", "partner", partner, "error", text.ForeignError(err))
		},
		Now:   cfg.Now,
		NewID: newID,
		Fail:  in.fail,
	}
	d.agreements = &agreement.Service{
		Self:    cfg.Origin,
		Work:    store.For[agreement.Tx](st),
		Outbox:  s.outbox,
		Book:    in.book,
		Signer:  in.keys,
		OwnKeys: func() (string, string) { return in.keys.CurrentKID(keys.Business), in.keys.NextDigest() },
		Now:     cfg.Now,
		NewID:   newID,
		Settled: s.prover.Settled,
	}
	s.relations = &agreement.Relations{
		Self: cfg.Origin,
		Work: store.For[agreement.Tx](st),
		Now:  cfg.Now,
	}
	if s.platforms, err = s.openPlatforms(); err != nil {
		return nil, err
	}
	cursorKey, err := derive(in.siteKey, "catalog cursor")
	if err != nil {
		return nil, err
	}
	d.offerings = &catalog.Service{
		Self:      cfg.Origin,
		Work:      store.For[catalog.Tx](st),
		Now:       cfg.Now,
		CheckStep: s.platforms.checkStep,
		CursorKey: cursorKey,
	}
	told := in.book.WentBack
	in.book.WentBack = func(stored, last int64) {
		d.offerings.Anew()
		told(stored, last)
	}
	arrivals := &catalog.Arrivals{}
	d.foreign = &catalog.Reader{
		Work:    store.For[catalog.Tx](st),
		Schemas: schemas,
		Now:     cfg.Now,

		MaxOfferings: int64(cfg.Limits.MaxOfferings),
		MaxBytes:     cfg.Limits.catalogBytes(),
		Arrivals:     arrivals,
	}
	s.listings = &listing.Service{
		Self:  cfg.Origin,
		Work:  store.For[listing.Tx](st),
		Index: search.New(),
		Now:   cfg.Now,
	}
	s.closers = append(s.closers, func() error { s.listings.Index.Close(); return nil })
	s.offers = &listing.Memory{Service: s.listings}
	s.indexer = &listing.Indexer{
		Self:  cfg.Origin,
		Work:  store.For[listing.Tx](st),
		Index: s.listings.Index,
		Now:   cfg.Now,
		Log:   cfg.Logger,

		Arrivals: arrivals,
	}
	d.retail = &retail.Service{
		Self:       cfg.Origin,
		Work:       store.For[retail.Tx](st),
		Offers:     s.listings,
		Remembered: s.offers,
		Schemas:    schemas,
		Outbox:     s.outbox,
		Book:       in.book,
		Signer:     in.keys,
		Pseudonym:  pseudonyms(in.siteKey),
		Away:       s.away,
		Now:        cfg.Now,
		Correlate:  retail.Correlate(in.correlation),
		Escrow:     escrow,
		Rand:       fillRandom,
		Logger:     cfg.Logger,
		Fail:       in.fail,

		AcceptWithin: cfg.DevAcceptWithin, // 0 outside tests
	}
	s.overdue = &retail.Sweep{Orders: d.retail}
	d.resale = &resale.Service{
		Self:    cfg.Origin,
		Work:    store.For[resale.Tx](st),
		Schemas: schemas,
		Book:    in.book,
		Now:     cfg.Now,
		Fail:    in.fail,
	}
	d.subscriptions = &subscription.Service{
		Self:   cfg.Origin,
		Work:   store.For[subscription.Tx](st),
		Link:   in.link,
		Outbox: s.outbox,
		Book:   in.book,
		Signer: in.keys,
		Opener: in.keys,
		Now:    cfg.Now,
		Fail:   in.fail,
	}
	d.provisioning = &provision.Service{
		Work:        store.For[provision.Tx](st),
		Orders:      d.resale,
		Connections: s.platforms,
		Seal:        keys.Seal,
		Observe:     in.meters.AdapterCall,
		Now:         cfg.Now,
		Logger:      cfg.Logger,
		Fail:        in.fail,
	}
	d.lives = &life.Service{
		Self:   cfg.Origin,
		Work:   store.For[life.Tx](st),
		Book:   in.book,
		Signer: in.keys,
		Outbox: s.outbox,
		Retail: d.retail,
		Resale: d.resale,
		Ends:   s.prover.Ends,
		Now:    cfg.Now,
		NewID:  newID,
		Fail:   in.fail,
	}
	in.book.Bare = d.lives.Bare
	d.exchange = &exchange.Desk{
		Self:          cfg.Origin,
		Work:          store.For[exchange.Tx](st),
		Book:          in.book,
		Signer:        in.keys,
		Orders:        d.resale,
		Agreements:    d.agreements,
		Subscriptions: d.subscriptions,
		Lives:         d.lives,
		Follow:        d.members.Follow,
		Allowed:       s.relations.Allowed,
		Claim:         func() (string, time.Time, bool) { return s.jobs.Claim() },
		Provision:     func(jobs ...job.Job) { s.jobs.Take(jobs...) },
		Now:           cfg.Now,
		Logger:        cfg.Logger,
		Fail:          in.fail,
	}
	d.desk = &operator.Desk{
		Self:     cfg.Origin,
		Work:     store.For[operator.Tx](st),
		Book:     in.book,
		Reach:    s.reachOf,
		Complete: s.prover.Complete,
		PutBack:  d.putBack,
		Vouched: func(partner, reason string) {
			cfg.Logger.Warn("an operator vouched for the books with a partner that does not answer", "partner", partner, "reason", reason)
			s.outbox.Back(partner) // nobody is asked, and Level told, while our own origin gives no answer
			s.prover.Heard(partner)
		},
		Keys: ownKeys{in.keys, s},
		Now:  cfg.Now,
		Fail: in.fail,

		MaxOfferings: int64(cfg.Limits.MaxOfferings),
		MaxBytes:     cfg.Limits.catalogBytes(),
	}
	d.auditor = &audit.Auditor{
		Self: cfg.Origin,
		Work: store.For[audit.Tx](st),
		Book: in.book,
		Now:  cfg.Now,
	}
	if d.operators, err = portal.LoadOperator(cfg.DataDir, rand.Reader); err != nil {
		return nil, err
	}
	hashKey, err := derive(in.siteKey, "portal keys")
	if err != nil {
		return nil, err
	}
	s.portals, err = portal.New(portal.Config{
		Work:    store.For[portal.Tx](st),
		HashKey: hashKey,
		Now:     cfg.Now,
		Rand:    rand.Reader,
	})
	return d, err
}

// flushed has all sent that waits for a partner, by every replica.
func (s *Sidecar) flushed(partner string) {
	s.outbox.Back(partner)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := s.hot.Publish(ctx, unit.Flushed); err != nil {
		s.cfg.Logger.Warn("other replicas are not told of a flush, and try when their pauses end", "partner", partner, "error", err)
	}
}

// away reports whether a partner could not be reached by the last call.
func (s *Sidecar) away(partner string) bool { r := s.reach.Of(partner); return r.Known && !r.Up }

// reachOf is a partner's presence as an operator sees it.
func (s *Sidecar) reachOf(partner string) operator.Reach {
	r := s.reach.Of(partner)
	return operator.Reach{Known: r.Known, Up: r.Up, LastContact: r.LastSuccess, LastError: r.LastError, Forked: r.Forked}
}

// wireLoops registers who carries out which job and who applies which entry of a partner's ledger.
func (s *Sidecar) wireLoops(in *infra, d *domain) error {
	cfg, st := s.cfg, s.store
	replica, giveBack, err := cfg.ReplicaID()
	if err != nil {
		return err
	}
	s.closers = append(s.closers, giveBack)
	s.jobs, err = job.New(job.Config{
		Work:       store.For[job.Tx](st),
		Owner:      replica,
		Alone:      len(cfg.Redis.Addresses) == 0,
		Subscribe:  s.hot.Subscribe,
		Workers:    32,
		PerPartner: 16,
		Lease:      5 * time.Minute,
		Now:        cfg.Now,
		Observe:    in.meters.JobRun,
		Logger:     cfg.Logger,
		Fail:       in.fail,
		Documents:  s.outbox,
		Handlers: map[string]job.Handler{
			agreement.JobPublish:        d.offerings.Publish,
			catalog.JobNumber:           d.offerings.Number,
			resale.JobProvision:         d.provisioning.Handle,
			retail.JobSign:              d.retail.Sign,
			retail.JobSignCancel:        d.retail.Sign,
			retail.JobRebuild:           d.retail.Rebuilt,
			subscription.JobAccessFetch: d.subscriptions.FetchAccess,
			resale.JobLook:              d.provisioning.Look,
			recovery.JobLost:            s.recovery.Lost,
			reconcile.JobDiffers:        s.reconciler.Look,
		},
	})
	if err != nil {
		return err
	}
	order := func(tx federation.Tx, e ledger.Entry) error { return d.retail.Apply(tx, e) }
	placed := func(tx federation.Tx, e ledger.Entry) error {
		return resale.ApplyPlaced(e, func(agreementID string) error { return d.agreements.Sold(tx, e.Partner, agreementID) })
	}
	d.books = &federation.LedgerReader{
		Self: cfg.Origin,
		Work: store.For[federation.Tx](st),
		Link: in.link,
		Handlers: map[ledger.Kind]federation.Handler{
			ledger.AgreementOffered:  func(tx federation.Tx, e ledger.Entry) error { return d.agreements.ApplyOffered(tx, e) },
			ledger.AgreementReceived: func(tx federation.Tx, e ledger.Entry) error { return d.agreements.ApplyReceived(tx, e) },
			ledger.AgreementAccepted: func(tx federation.Tx, e ledger.Entry) error { return d.agreements.ApplyAccepted(tx, e) },
			ledger.AgreementActive:   func(tx federation.Tx, e ledger.Entry) error { return d.agreements.ApplyActive(tx, e) },
			ledger.OrderPlaced:       placed,
			ledger.OrderAccepted:     order,
			ledger.OrderRejected:     order,
			ledger.OrderHeld:         order,
			ledger.OrderCompleted:    order,
			ledger.OrderFailed:       order,
			ledger.CancelPlaced:      placed,
			ledger.OrderCancelled:    order,
			ledger.CancelRefused:     order,
			ledger.AccessConfirmed:   func(tx federation.Tx, e ledger.Entry) error { return d.subscriptions.ApplyConfirmed(tx, e) },
			ledger.AccessDeleted:     func(tx federation.Tx, e ledger.Entry) error { return d.subscriptions.ApplyDeleted(tx, e) },
			ledger.ErasePlaced:       placed,
			ledger.OrderErased:       func(tx federation.Tx, e ledger.Entry) error { return d.retail.ApplyErased(tx, e) },
			ledger.LifeOpened:        func(tx federation.Tx, e ledger.Entry) error { return d.lives.Joined(tx, e) },
		},
		Now:    cfg.Now,
		Fail:   in.fail,
		Follow: d.members.Follow,
		Book:   in.book,
		Lag:    in.meters.FeedLag,
		Tailed: func(partner string) { in.meters.LedgerTailed(partner, cfg.Now()); s.prover.Read(partner) },
		Lacks:  s.lacks(d),
		Parked: func(p ledger.Parked) {
			if p.Recovering { // what stays so is told when they are level
				cfg.Logger.Warn("ledger entry parked until the books are level", "partner", p.Partner, "seq", p.Seq, "subject", p.Subject, "reason", p.Reason)
				return
			}
			cfg.Logger.Error("ledger entry parked", "partner", p.Partner, "seq", p.Seq, "subject", p.Subject, "reason", p.Reason)
		},
		StillParked: func(first ledger.Parked, n int) {
			cfg.Logger.Error("the books with a partner are level, and ledger entries stay parked: hanse ledger parked list", "partner", first.Partner,
				"subjects", n, "first", first.Position().String(), "subject", first.Subject, "reason", first.Reason)
		},
		Refused: in.meters.PageRefused,
		Forked: func(partner string, err error) {
			cfg.Logger.Error("partner signed two ledgers: books are forked, no new business until both operators agree", "partner", partner, "error", err)
		},
		Contradicted: func(partner string, err error) {
			cfg.Logger.Error("partner holds a checkpoint of ours that our ledger does not have", "partner", partner, "error", text.ForeignError(err))
		},
		Released: func(p ledger.Parked) {
			cfg.Logger.Warn("parked ledger entry released by an operator", "partner", p.Partner, "seq", p.Seq, "subject", p.Subject, "reason", p.Reason)
			s.prover.Heard(p.Partner)
		},
	}
	d.exchange.Reader = d.books
	if err := d.books.Check(); err != nil {
		return err
	}
	offers := &federation.CatalogReader{
		Self:    cfg.Origin,
		Work:    store.For[federation.Tx](st),
		Link:    in.link,
		Catalog: d.foreign,
		Logger:  cfg.Logger,
		Follow:  d.members.Follow,
		Alone:   len(cfg.Redis.Addresses) == 0,
		Synced:  func(partner string) { in.meters.CatalogSynced(partner, cfg.Now()) },
		LeftOut: func(partner string, bound catalog.Bound, n int) { in.meters.CatalogLeftOut(partner, string(bound), n) },
	}
	s.feeds = &federation.Manager{
		Work:      store.For[federation.Tx](st),
		Feeds:     []federation.Feed{d.books.Feed(), offers.Feed()},
		Away:      s.away,
		Subscribe: s.hot.Subscribe,
		Now:       cfg.Now,
		Logger:    cfg.Logger,
	}
	s.wireOutbox(in, d)
	s.wireProver(in, d)
	s.wireRecovery(in, d)
	s.wireReconciler(in, d)
	return nil
}

// wireRecovery says who makes again what entries of our own log had made.
func (s *Sidecar) wireRecovery(in *infra, d *domain) {
	cfg, r := s.cfg, s.recovery
	r.Self, r.Work, r.Book, r.Link = cfg.Origin, store.For[recovery.Tx](s.store), in.book, in.link
	r.Copied, r.Observe, r.Withheld = s.prover.Copied, in.meters.Recovered, s.prover.Withheld
	r.Parted = func(partner string) { s.saysForked(partner, true) }
	r.Retry = func(ctx context.Context, partner, subject string) error {
		_, _, err := d.books.Resume(ctx, partner, subject)
		return err
	}
	r.CopyEnded, r.Lives = d.books.ReadBack, d.lives
	r.Retail, r.Resale, r.Agreements, r.Subscriptions = d.retail, d.resale, d.agreements, d.subscriptions
	r.Subscribe, r.Rand, r.Now, r.Logger, r.Fail = s.hot.Subscribe, mathrand.Float64, cfg.Now, cfg.Logger, in.fail
}

// wireReconciler says whom to ask what partners have, and who applies again what their ledgers decide.
func (s *Sidecar) wireReconciler(in *infra, d *domain) {
	cfg, r := s.cfg, s.reconciler
	r.Self, r.Work, r.Link, r.Again = cfg.Origin, store.For[reconcile.Tx](s.store), in.link, d.books.Again
	r.Away, r.Behind, r.Now, r.Logger = s.away, s.feeds.Nudge, cfg.Now, cfg.Logger
}

// lacks reports whether an entry of a partner's ledger decides a document of ours that this store does not have.
func (s *Sidecar) lacks(d *domain) func(tx federation.Tx, e ledger.Entry) (bool, error) {
	return func(tx federation.Tx, e ledger.Entry) (bool, error) {
		partner, err := tx.Partners().Get(e.Partner)
		if err != nil {
			return false, err
		}
		if !partner.Has(member.Supplier) { // it decides nothing that we order, and became no supplier without an agreement
			return d.agreements.Lacks(tx, e)
		}
		for _, lacks := range []func() (bool, error){
			func() (bool, error) { return d.retail.Lacks(tx, e) },
			func() (bool, error) { return d.agreements.Lacks(tx, e) },
			func() (bool, error) { return d.subscriptions.Lacks(tx, e) },
		} {
			if is, err := lacks(); is || err != nil {
				return is, err
			}
		}
		return false, nil
	}
}

// putBack is told before the books with a partner are level of a store that was put back.
func (d *domain) putBack(ctx context.Context, partner string) error {
	if err := d.provisioning.PutBack(ctx, partner); err != nil {
		return err
	}
	return d.offerings.PutBack(ctx, partner)
}

// wireProver says who is asked whether our store is the one that signed our logs, and who is told.
func (s *Sidecar) wireProver(in *infra, d *domain) {
	cfg, p := s.cfg, s.prover
	p.Self, p.Work, p.Book, p.Link = cfg.Origin, store.For[federation.Tx](s.store), in.book, in.link
	p.Lacks, p.Follow = s.lacks(d), d.members.Follow
	p.PutBack = d.putBack
	p.Behind = s.feeds.Nudge
	p.Level = func(partner string) {
		s.reach.Forked(partner, false, cfg.Now()) // it says so again where it is so still
		s.outbox.Back(partner)
		d.books.TellParked(partner)
	}
	p.Subscribe, p.Nonce, p.Rand = s.hot.Subscribe, fillRandom, mathrand.Float64
	p.Now, p.Logger, p.Fail = cfg.Now, cfg.Logger, in.fail
}

// saysForked keeps whether a partner says that the books are forked, and tells operators once.
func (s *Sidecar) saysForked(partner string, says bool) {
	if s.reach.Forked(partner, says, s.cfg.Now()) {
		s.cfg.Logger.Error("a partner says that the books with us are forked, and takes no new business until both operators agree: speak to its operator, hanse ledger fork show",
			"partner", partner)
	}
}

// wireOutbox says where each kind of document is kept, and who is told that it waits.
func (s *Sidecar) wireOutbox(in *infra, d *domain) {
	cfg, box := s.cfg, s.outbox
	box.Work, box.Link, box.Reader, box.Book = store.For[federation.Tx](s.store), in.link, d.books, in.book
	box.Forked = s.saysForked
	waits := func(tx federation.Tx, j job.Job, check bool) error { return d.retail.Waits(tx, j, check) }
	box.Sources = map[string]exchange.Source{
		agreement.JobOffer: {Command: ledger.Offer, Document: func(tx federation.Tx, j job.Job) (dispatch.Document, error) {
			return d.agreements.OfferDocument(tx, j)
		}},
		agreement.JobAccept: {Command: ledger.Acceptance, Document: func(tx federation.Tx, j job.Job) (dispatch.Document, error) {
			return d.agreements.AcceptDocument(tx, j)
		}},
		retail.JobSubmit: {
			Command:  ledger.OrderDoc,
			Document: func(tx federation.Tx, j job.Job) (dispatch.Document, error) { return d.retail.OrderDocument(tx, j) },
			Waits:    waits,
		},
		retail.JobCancel: {
			Command:  ledger.CancelDoc,
			Document: func(tx federation.Tx, j job.Job) (dispatch.Document, error) { return d.retail.CancelDocument(tx, j) },
			Waits:    waits,
		},
		subscription.JobAccessConfirm: {Command: ledger.Receipt, Document: func(tx federation.Tx, j job.Job) (dispatch.Document, error) {
			return d.subscriptions.ReceiptDocument(tx, j)
		}},
		retail.JobErase: {Command: ledger.EraseDoc, Document: func(tx federation.Tx, j job.Job) (dispatch.Document, error) {
			return d.retail.EraseDocument(tx, j)
		}},
		life.JobPropose: {Document: func(tx federation.Tx, j job.Job) (dispatch.Document, error) {
			return d.lives.ProposalDocument(tx, j)
		}},
		life.JobCountersign: {Command: ledger.NewLife, Document: func(tx federation.Tx, j job.Job) (dispatch.Document, error) {
			return d.lives.CountersignDocument(tx, j)
		}},
	}
	box.Subscribe = s.hot.Subscribe
	box.Owner, box.Look, box.Behind = s.jobs.Claim, s.jobs.Look, s.feeds.Nudge
	box.Observe = in.meters.JobRun
	box.Waiting = []string{subscription.JobAccessFetch, retail.JobSign, retail.JobSignCancel, resale.JobLook}
	box.Now, box.Rand, box.Logger, box.Fail = cfg.Now, mathrand.Float64, cfg.Logger, in.fail
}
