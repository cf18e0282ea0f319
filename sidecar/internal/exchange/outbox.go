package exchange

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/failpoint"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Bounds of the outbox.
const (
	// batchMost and batchBytes bound what goes in one call.
	batchMost  = 64
	batchBytes = 192 << 10
	// laneBytes bounds what is kept in memory towards one partner, beside Outbox.Most; what waits in the store is read back in
	// portions of readMost.
	laneBytes = 4 << 20
	readMost  = 2 * batchMost
	// renewEvery is how often leases are looked after; those are extended that end before the second look.
	renewEvery = job.SendingLease / 3
	// drain is how long calls under way may go on after the end was asked for.
	drain = 10 * time.Second
	// heardEvery is how often a partner that calls us, but cannot be called, makes us try: up to heardSpread later, so that members that try each
	// other do not fall into step.
	heardEvery  = 10 * time.Second
	heardSpread = heardEvery / 4
	// missingMost is how many answers may name a decision that the partner's log does not have.
	missingMost = 10
	// long is how old a document gets before operators are told that it waits, and toldEvery how often they are told of one partner's.
	long      = 10 * time.Minute
	toldEvery = 6 * time.Hour
	// poison is how many crashes in a row park a document.
	poison = 3
)

// Source is where the documents of one kind of job are kept.
type Source struct {
	// Command is what the documents are to the partner's ledger: only entries of kinds that decide it are decisions on them.
	Command ledger.Command
	// Document reads the document of a job; dispatch.ErrSettled where it need not be sent any more.
	Document func(tx federation.Tx, j job.Job) (dispatch.Document, error)
	// Waits is told, in the transaction that puts the job back, that the document is not decided. check says that waiting mends
	// nothing, and an operator must look. nil is told nothing.
	Waits func(tx federation.Tx, j job.Job, check bool) error
}

// Outbox takes documents to partners. Towards each one call is under way, with up to 64 documents of one agreement; agreements
// take turns; a document that finds nobody under way goes at once, and what comes meanwhile is the next batch.
//
//	Claim ── the committing transaction leases the job to this process
//	Post  ── after the commit, in memory                          ┐
//	Take  ── the job runner: what a dead process left, what found ├─► lane of the partner ──► Submit ──► LedgerReader.Read
//	         no room, what is tried again                         ┘                              │
//	                          applying the decision drops the job in the same transaction ◄──────┤
//	                          undecided, not heard: back into the store, for later or for ever ◄──┘
//
// What fails is the partner's where a callError says so, else ours. While the books are forked new business stays in the store, and
// of what winds down what there is nothing that the partner says is applied: none waits for another, and a change of the books makes all due. While nothing may be
// appended towards a partner nothing is sent to it either: it is as if it were away, until Back.
//
// All that it holds is in the store as leased jobs; it extends the leases, and a process that dies leaves them to others within
// seconds. A partner that gives no usable answer is away: one document is tried, after a back-off, and the others wait in the store.
// So is one that decides nothing because of its books with us. A success towards it, whoever has it, releases them. A partner about whom there is nothing to do costs nothing.
//
// Fields are set before Run; the outbox takes nothing while it does not run.
type Outbox struct {
	Work    unit.Work[federation.Tx]
	Link    Link
	Reader  *federation.LedgerReader
	Book    *ledger.Book
	Sources map[string]Source
	// Owner is the name under which jobs are leased, and whether it may be used now: the job runner's Claim.
	Owner func() (owner string, until time.Time, ok bool)
	// Look has the job runner look for jobs at once.
	Look func()
	// Behind is told of a partner whose log goes on beyond our copy, or that is there again.
	Behind func(partner string)
	// Forked is told where a partner says that its books with us are forked, and where it decides something new all the same; nil is nobody.
	Forked func(partner string, says bool)
	// Waiting are kinds of jobs that wait for a partner and send no documents; they are released with those that do.
	Waiting []string
	// Subscribe gives wake-ups of a topic; nil never wakes.
	Subscribe func(topic unit.Topic) (<-chan struct{}, func())
	// Most is how many documents are kept in memory towards one partner; the rest waits in the store. Default 1,024.
	Most int
	Now  func() time.Time
	// Rand gives jitter in [0, 1).
	Rand func() float64
	// Observe is told what became of each job and how long it was here; result is finished, again or parked. nil is not told.
	Observe func(kind, result string, took time.Duration)
	Logger  *slog.Logger
	Fail    *failpoint.Points

	mu sync.Mutex
	// calls ends what is under way; nil while the outbox does not run.
	calls   context.Context
	closing bool
	// one is held by the lane that sends a document which may be poisonous: of several that are on their way nobody knew which it was.
	one   chan struct{}
	lanes map[string]*lane
	held  map[int64]*parcel
	// told limits how often operators hear of what waits for long, by partner: as many as there were such partners, and no more than
	// there are at all.
	told    map[string]*rate.Limiter
	running sync.WaitGroup
	// leases keeps the extension of leases apart from the writing of outcomes, which name the lease that they end.
	leases sync.RWMutex
}

// Run looks after leases until ctx ends, then gives back what waits, lets calls end and returns nil.
func (o *Outbox) Run(ctx context.Context) error {
	calls, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	o.mu.Lock()
	o.calls, o.closing, o.one = calls, false, make(chan struct{}, 1)
	o.mu.Unlock()
	var flushed <-chan struct{}
	if o.Subscribe != nil {
		wake, end := o.Subscribe(unit.Flushed)
		defer end()
		flushed = wake
	}
	o.Look() // what waited in the store until now
	every := time.NewTicker(renewEvery)
	defer every.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-flushed:
			o.again()
		case <-every.C:
			o.renew(ctx)
			o.tidy()
		}
	}
	o.giveBack(ctx, o.close())
	ended := make(chan struct{})
	go func() { o.running.Wait(); close(ended) }()
	late := time.NewTimer(drain)
	defer late.Stop()
	select {
	case <-ended:
	case <-late.C:
		cancel()
		<-ended
	}
	o.mu.Lock()
	o.calls = nil
	o.mu.Unlock()
	return nil
}

// close lets nothing in any more and returns what waits.
func (o *Outbox) close() (waiting []*parcel) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closing = true
	for _, l := range o.lanes {
		waiting = append(waiting, l.empty()...)
	}
	return waiting
}

// open reports whether documents are taken. Under mu.
func (o *Outbox) open() bool { return o.calls != nil && !o.closing }

// Claim implements dispatch.Outbox.
func (o *Outbox) Claim(partner string, size int) (string, time.Time) {
	owner, _, ok := o.Owner()
	o.mu.Lock()
	defer o.mu.Unlock()
	if !ok || !o.open() {
		return "", time.Time{}
	}
	if l := o.lanes[partner]; l != nil && (l.away() || l.count >= o.most() || l.bytes+size > laneBytes) {
		l.overflow = true
		return "", time.Time{}
	}
	return owner, o.Now().Add(job.SendingLease)
}

func (o *Outbox) most() int { return cmp.Or(o.Most, 1024) }

// Knows implements job.Documents.
func (o *Outbox) Knows(kind string) bool {
	_, known := o.Sources[kind]
	return known
}

// Room implements job.Documents.
func (o *Outbox) Room(partner string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	l := o.lanes[partner]
	switch {
	case !o.open():
		return 0
	case l == nil:
		return readMost
	case l.closed(o.Now()):
		return 0
	case l.away():
		return 1
	case l.count >= o.most(), l.bytes >= laneBytes:
		l.overflow = true
		return 0
	}
	return min(readMost, o.most()-l.count)
}

// Post implements dispatch.Outbox.
func (o *Outbox) Post(parcels ...dispatch.Parcel) { o.post(parcels, false) }

// post queues what has a lease to be sent under; more says that the store may have more for the same partners.
func (o *Outbox) post(parcels []dispatch.Parcel, more bool) {
	var late []*parcel
	o.mu.Lock()
	now := o.Now()
	for _, p := range parcels {
		mine, l := o.parcel(p.Job, p.Document), o.lanes[p.Job.Partner]
		if !o.open() || l != nil && l.closed(now) || mine.lapsed(now) {
			late = append(late, mine)
			continue
		}
		o.queue(mine)
		o.lanes[p.Job.Partner].overflow = more || l != nil && l.overflow
	}
	o.mu.Unlock()
	o.Fail.Hit("outbox.queue.after_take")
	o.giveBack(context.Background(), late)
}

// Take implements job.Documents.
func (o *Outbox) Take(jobs ...job.Job) {
	ctx := context.Background() // the runner that hands them over may be ending; its jobs must not be lost on the way
	var parcels []dispatch.Parcel
	var over []outcome
	read := func(jobs ...job.Job) {
		some, ended, err := o.load(ctx, jobs)
		if err != nil {
			for _, j := range jobs {
				ended = append(ended, o.ours(o.parcel(j, nil), err))
			}
		}
		parcels, over = append(parcels, some...), append(over, ended...)
	}
	var rest []job.Job
	var suspects, late []*parcel
	for _, j := range jobs {
		if p := o.parcel(j, nil); p.suspect() {
			suspects = append(suspects, p)
		} else {
			rest = append(rest, j)
		}
	}
	// One by one many may take longer than all are leased for: what is not read soon comes again.
	end := o.Now().Add(renewEvery)
	for i, p := range suspects {
		if i > 0 && !o.Now().Before(end) {
			late = suspects[i:]
			break
		}
		if err := o.alone(ctx, p, true); err != nil {
			over = append(over, o.ours(p, err))
			continue
		}
		read(p.job)
		if err := o.alone(ctx, p, false); err != nil {
			o.Logger.Warn("a document that may be poisonous cannot be marked as read", "kind", p.job.Kind, "key", p.job.Key, "error", err)
		}
	}
	if len(rest) > 0 {
		read(rest...)
	}
	o.settle(ctx, over)
	o.post(parcels, true)
	o.giveBack(ctx, late)
}

// load reads the documents of jobs that come from the store, and says what becomes of those that have none to send.
func (o *Outbox) load(ctx context.Context, jobs []job.Job) (parcels []dispatch.Parcel, over []outcome, err error) {
	err = o.Work.View(ctx, func(tx federation.Tx) error {
		parcels, over = nil, nil
		for _, j := range jobs {
			var d dispatch.Document
			err := unit.Guarded(func() (err error) { d, err = o.Sources[j.Kind].Document(tx, j); return err })
			if err == nil {
				parcels = append(parcels, dispatch.Parcel{Job: j, Document: &d})
				continue
			}
			if again(err) {
				return err
			}
			over = append(over, o.withoutDocument(j, err))
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	return parcels, over, nil
}
