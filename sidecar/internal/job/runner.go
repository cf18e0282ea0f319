package job

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/failpoint"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Handler does one run of a job. nil finishes it, ErrFinished says that the handler did so itself; Again and Progress run it
// again, ParkError parks it, any other error is tried again after a back-off. ctx ends before the lease does.
type Handler func(ctx context.Context, j Job) error

// Documents sends documents to partners in batches.
type Documents interface {
	// Knows reports whether jobs of a kind send documents that this version can send.
	Knows(kind string) bool
	// Room is how many more jobs towards a partner it would take now.
	Room(partner string) int
	// Take takes leased jobs over: from now on it extends their leases and writes what becomes of them. It does not wait for that.
	Take(jobs ...Job)
}

// SendingLease is how long a job that sends a document is held before its holder must extend that: a process that dies leaves its
// documents to others that soon.
const SendingLease = 15 * time.Second

// Tx is what the runner needs of a transaction.
type Tx interface{ Jobs() Store }

// Config of a Runner. Work and Handlers are required.
type Config struct {
	Work     unit.Work[Tx]
	Handlers map[string]Handler
	// Documents sends the documents of jobs that send one: it is handed those that other processes left and those that waited in
	// the store. nil leaves them there.
	Documents Documents
	// Owner names this replica in leases; the same after a restart, different from all others that run. Leases under this
	// name are ended at the start, because their process is gone. Default "sidecar".
	Owner string
	// Alone says that no other replica runs on the store: all leases are ended at the start. Default false.
	Alone bool
	// Subscribe gives the wake-ups of a topic; the runner polls too. nil never wakes.
	Subscribe func(topic unit.Topic) (wake <-chan struct{}, cancel func())
	// Workers is the number of jobs that run at once; default 16.
	Workers int
	// PerPartner is how many of one partner run at once; default 4. Jobs without a partner count as one partner's.
	PerPartner int
	// Lease is how long a job is held; default 2 minutes. A handler has three quarters of it.
	Lease time.Duration
	// Poll is how often the runner looks by itself; default 1 second.
	Poll time.Duration
	// Drain is how long running handlers may go on after the end was asked for; default 10 seconds. Then they are cancelled.
	Drain time.Duration
	// BackOff is the wait after the first failure; it doubles up to 15 minutes. Default 1 second.
	BackOff time.Duration
	// Poison is how many crashes in a row park a job; default 3.
	Poison int
	// Now is the clock, After its timer; default time.Now and time.NewTimer.
	Now   func() time.Time
	After func(time.Duration) (fires <-chan time.Time, stop func() bool)
	// Rand gives jitter in [0, 1); default math/rand/v2.
	Rand func() float64
	// Observe is told of every run; result is finished, again, parked or panicked. nil is not told.
	Observe func(kind, result string, took time.Duration)
	// Logger; default discards.
	Logger *slog.Logger
	Fail   *failpoint.Points
}

// maxBackOff caps the wait between two tries.
const maxBackOff = 15 * time.Minute

// Runner runs due jobs.
type Runner struct {
	cfg Config
	mu  sync.Mutex
	// next is the earliest time at which this runner itself made a job due.
	next time.Time
	// open says that leases may be given out in this runner's name: it has ended those of the process before it and runs.
	open bool
	// handed are the leased jobs that were handed over and wait for a worker; knock tells the loop of them. ask has it look into the
	// store, which costs statements that what was handed over does not need.
	handed     []Job
	knock, ask chan struct{}
}

// New checks the configuration and starts nothing.
func New(cfg Config) (*Runner, error) {
	if cfg.Work == nil || len(cfg.Handlers) == 0 {
		return nil, errors.New("job runner: Work and Handlers are required")
	}
	cfg.Owner = cmp.Or(cfg.Owner, "sidecar")
	cfg.Workers = cmp.Or(cfg.Workers, 16)
	cfg.PerPartner = cmp.Or(cfg.PerPartner, 4)
	cfg.Lease = cmp.Or(cfg.Lease, 2*time.Minute)
	cfg.Poll = cmp.Or(cfg.Poll, time.Second)
	cfg.Drain = cmp.Or(cfg.Drain, 10*time.Second)
	cfg.BackOff = cmp.Or(cfg.BackOff, time.Second)
	cfg.Poison = cmp.Or(cfg.Poison, 3)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Float64
	}
	if cfg.After == nil {
		cfg.After = func(d time.Duration) (<-chan time.Time, func() bool) {
			t := time.NewTimer(d)
			return t.C, t.Stop
		}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Runner{cfg: cfg, knock: make(chan struct{}, 1), ask: make(chan struct{}, 1)}, nil
}

// Run runs jobs until ctx ends, then takes no more, waits for the running ones and returns nil.
func (r *Runner) Run(ctx context.Context) error {
	owner := r.cfg.Owner
	if r.cfg.Alone {
		owner = ""
	}
	var wake <-chan struct{}
	if r.cfg.Subscribe != nil {
		var unsubscribe func()
		wake, unsubscribe = r.cfg.Subscribe(unit.Jobs)
		defer unsubscribe()
	}
	handling, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var running sync.WaitGroup
	c := newCrew(r.cfg.Workers)
	run := func(j Job) {
		running.Go(func() {
			r.run(handling, j)
			c.freed <- j.Partner
		})
	}
	began := make(chan struct{}, 1)
	beginning := false
	begin := func(picked, late []Job) {
		beginning = true
		c.take(picked)
		running.Go(func() {
			begun := r.begin(ctx, picked)
			for _, j := range begun {
				run(j)
			}
			for _, j := range without(picked, begun) {
				c.freed <- j.Partner
			}
			r.giveBack(ctx, late)
			began <- struct{}{}
		})
	}
	orphaned, look := true, true
	read := r.cfg.Now().Round(0)
	var alarm alarm
	for ctx.Err() == nil {
		if orphaned && look {
			orphaned = !r.adopt(ctx, owner)
			r.admit(!orphaned)
		}
		if !orphaned && !beginning {
			if picked, late := r.pick(c); len(picked)+len(late) > 0 {
				begin(picked, late)
			}
			look = c.wanted(r.cfg.PerPartner) || look
		}
		if look {
			r.past()
			if !orphaned {
				read = r.follow(ctx, read)
				for _, j := range r.take(ctx, c) {
					run(j)
				}
				r.takeDocuments(ctx)
			}
			alarm.stop()
			look = false
		}
		alarm.within(r, r.pause())
		select {
		case <-ctx.Done():
		case <-wake:
			look = true
		case <-r.ask:
			look = true
		case <-alarm.fires:
			look = true
		case <-r.knock:
		case <-began:
			beginning = false
		case partner := <-c.freed:
			c.ended(partner)
		}
		c.drain()
	}
	alarm.stop()
	r.admit(false)
	r.giveBack(ctx, r.rest())
	r.drain(&running, cancel)
	return nil
}

// drain lets the running handlers end, for a while.
func (r *Runner) drain(running *sync.WaitGroup, cancel func()) {
	ended := make(chan struct{})
	go func() { running.Wait(); close(ended) }()
	fires, stop := r.cfg.After(r.cfg.Drain)
	defer stop()
	select {
	case <-ended:
	case <-fires:
		cancel()
		<-ended
	}
}

// adopt ends the leases that the process before this one left, and what its clock, where that was ahead, would have wait; it reports whether
// it could.
func (r *Runner) adopt(ctx context.Context, owner string) bool {
	var moved int64
	err := r.cfg.Work.Do(ctx, func(tx Tx) (err error) {
		if moved, err = tx.Jobs().ClockBack(r.cfg.Now()); err != nil {
			return err
		}
		return tx.Jobs().EndLeases(owner, r.cfg.Now())
	})
	if err != nil && ctx.Err() == nil {
		r.cfg.Logger.Warn("job leases of the last run cannot be ended yet", "error", err)
	}
	if err == nil {
		r.clockWas(moved)
	}
	return err == nil
}

// follow looks whether the clock was set back since it was read last: what waits by the time before it would wait for that to come again. Wall
// clocks are compared, which jobs go by.
func (r *Runner) follow(ctx context.Context, read time.Time) time.Time {
	now := r.cfg.Now().Round(0)
	if !now.Add(ClocksDiffer).Before(read) {
		return now
	}
	var moved int64
	err := r.cfg.Work.Do(ctx, func(tx Tx) (err error) {
		moved, err = tx.Jobs().ClockBack(now)
		return err
	})
	if err != nil { // asked again at the next look
		return read
	}
	r.forget()
	r.clockWas(moved)
	return now
}

func (r *Runner) clockWas(moved int64) {
	if moved > 0 {
		r.cfg.Logger.Warn("the clock was ahead and is not any more: jobs that were set by it wait no longer than was meant", "jobs", moved)
	}
}

// pause is how long to wait for the next look into the store: the poll, or less when a job of ours is due before.
func (r *Runner) pause() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next.IsZero() {
		return r.cfg.Poll
	}
	return max(0, min(r.next.Sub(r.cfg.Now()), r.cfg.Poll))
}

// past forgets what is looked for now; what is not found is another runner's.
func (r *Runner) past() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.next.After(r.cfg.Now()) {
		r.next = time.Time{}
	}
}

// forget forgets when a job of ours is due, by a clock that was set back.
func (r *Runner) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next = time.Time{}
}

func (r *Runner) expect(due time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next.IsZero() || due.Before(r.next) {
		r.next = due
	}
}

// take leases due jobs for the free workers in one transaction.
func (r *Runner) take(ctx context.Context, c *crew) []Job {
	c.short, c.full = c.free == 0, nil
	if c.free == 0 {
		return nil
	}
	mine := r.lease(ctx, r.cfg.Lease, r.handles, func(jobs Store, now time.Time) (due []Job, err error) {
		due, c.full, err = jobs.Due(now, r.cfg.PerPartner, c.free)
		c.short = len(due) == c.free
		return due, err
	})
	c.take(mine)
	return mine
}

func (r *Runner) handles(kind string) bool {
	_, known := r.cfg.Handlers[kind]
	return known
}

// takeDocuments leases the jobs whose documents can be sent now and hands them over. They need no worker.
func (r *Runner) takeDocuments(ctx context.Context) {
	if r.cfg.Documents == nil {
		return
	}
	sent := r.lease(ctx, SendingLease, r.cfg.Documents.Knows, func(jobs Store, now time.Time) ([]Job, error) {
		return jobs.DueToSend(now, r.cfg.Documents.Room)
	})
	if len(sent) > 0 {
		r.cfg.Documents.Take(sent...)
	}
}

// lease takes those of the due jobs that no other runner was faster with. Those that cannot run here, because they took their process
// along too often or this version does not know their kind, take nobody's place: what becomes of them is written with the leases.
func (r *Runner) lease(ctx context.Context, long time.Duration, known func(kind string) bool, due func(jobs Store, now time.Time) ([]Job, error)) []Job {
	now := r.cfg.Now()
	var found, mine, unfit []Job
	var outs []outcome
	err := r.cfg.Work.View(ctx, func(tx Tx) (err error) {
		found, err = due(tx.Jobs(), now)
		return err
	})
	if err == nil && len(found) > 0 {
		err = r.cfg.Work.Do(ctx, func(tx Tx) error {
			mine, unfit, outs = mine[:0], unfit[:0], outs[:0]
			for _, j := range found {
				take := tx.Jobs().Lease
				if !known(j.Kind) {
					take = tx.Jobs().Hold
				}
				leased, err := take(j, r.cfg.Owner, now.Add(long))
				if fault.Is(err, fault.Conflict) {
					continue
				}
				if err != nil {
					return err
				}
				out, is := r.unfit(leased, known(j.Kind))
				if !is {
					mine = append(mine, leased)
					continue
				}
				if err := out.write(tx.Jobs()); err != nil {
					return err
				}
				unfit, outs = append(unfit, leased), append(outs, out)
			}
			return nil
		})
	}
	if err != nil {
		if ctx.Err() == nil {
			r.cfg.Logger.Warn("jobs cannot be taken now", "error", err)
		}
		return nil
	}
	for i, j := range unfit {
		r.tell(j, outs[i])
		r.observe(j, outs[i], now)
	}
	if len(unfit) > 0 {
		r.Look() // they stood before others
	}
	return mine
}
