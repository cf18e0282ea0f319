package chaos

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	"github.com/hanse-market/hanse/sidecar/internal/order"
)

const (
	// healTime bounds how long everything may take to end once nothing is hurt any more.
	healTime = 90 * time.Second
	// sayEvery is how often people read how far it is.
	sayEvery = 5 * time.Second
	// page is how many orders, subscriptions or jobs one answer has.
	page = 500
)

// tag is how a parked job names what it made, or not.
var tag = regexp.MustCompile(`\bh[0-9a-f]{24,39}\b`)

// heal ends all faults, has the portals repeat everything and the operators do what is theirs, and waits until all has ended.
func (m *market) heal(ctx context.Context) error {
	m.say("everything heals")
	m.platform.Slow(0)
	m.lostLate()
	m.lostAny()
	for _, name := range memberNames {
		who := m.members[name]
		who.proxy.heal()
		if err := who.right(ctx); err != nil {
			return err
		}
	}
	from := time.Now()
	ctx, cancel := context.WithTimeout(ctx, healTime)
	defer cancel()
	repeated := map[string]bool{}
	said := time.Now()
	defer func() { m.unanswered(repeated) }()
	for {
		open := m.repeat(ctx, repeated, from)
		left, err := m.operators(ctx)
		if open == 0 && left == 0 && err == nil {
			m.say("all has ended after %.1f s", time.Since(from).Seconds())
			return nil
		}
		if time.Since(said) > sayEvery {
			said = time.Now()
			m.say("%d orders open, %d jobs left%s", open, left, because(err))
		}
		if ctx.Err() != nil {
			return nil // what is left is found by the checks
		}
		pause(ctx, nil, 100*time.Millisecond)
	}
}

// unanswered finds orders that portals placed again, or cancelled again, and that were refused until the end: invariant 11.
func (m *market) unanswered(repeated map[string]bool) {
	for _, o := range m.history.all() {
		if o.void == "" && o.refused == "" && !repeated[o.ID] {
			m.found(11, stuck, o.ID, "placed again at %s, it got no answer until the end", o.Member)
		}
	}
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// repeat has the portals place everything once more that they ever placed, and cancel again what they cancelled; it returns how many have
// not ended.
func (m *market) repeat(ctx context.Context, repeated map[string]bool, from time.Time) (open int) {
	var mu sync.Mutex
	queue := make(chan placed)
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for o := range queue {
				ended := m.repeatOne(ctx, o, repeated, &mu, from)
				mu.Lock()
				if !ended {
					open++
				}
				mu.Unlock()
			}
		})
	}
	for _, o := range m.history.all() {
		mu.Lock()
		again := !repeated[o.ID]
		mu.Unlock()
		if o.void == "" && (again || !o.ended) {
			queue <- o
		}
	}
	close(queue)
	all.Wait()
	return open
}

func (m *market) repeatOne(ctx context.Context, o placed, repeated map[string]bool, mu *sync.Mutex, from time.Time) (ended bool) {
	mu.Lock()
	again := !repeated[o.ID]
	mu.Unlock()
	if again {
		err := m.place(ctx, o.ID)
		if err == nil && o.calledOff {
			err = m.callOff(ctx, o.ID)
		}
		if o = m.history.of(o.ID); o.void != "" || o.refused != "" {
			return true
		}
		if err != nil {
			m.history.change(o.ID, func(p *placed) { p.ended = false })
			return false
		}
		mu.Lock()
		repeated[o.ID] = true
		mu.Unlock()
	}
	return m.look(ctx, o.ID, from)
}

// operators do what only they can: say of a held order what the platform made of it, settle what no partner gave back, and try again what was
// parked. They return how many jobs are left.
func (m *market) operators(ctx context.Context) (left int, err error) {
	for _, name := range memberNames {
		who := m.members[name]
		jobs, failed := m.jobs(ctx, who)
		if failed != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", name, failed))
			continue
		}
		left += len(jobs)
		for _, j := range jobs {
			if j.GetState() != "parked" {
				continue
			}
			switch kind := j.GetKind(); {
			case kind == "recovery.lost" && m.mayLack(ctx, name, j):
				m.settle(ctx, who, j, "settled: the portals have repeated their orders", &m.told)
			case m.accessGone(ctx, name, j):
				m.settle(ctx, who, j, "the supplier has no copy any more: the customer gets new access data", &m.noAccess)
			case kind == "order.provision" && m.resolve(ctx, who, j):
			default:
				_, _ = operatorOf(who, operatorv1connect.NewJobServiceClient).RetryJob(ctx, connect.NewRequest(&operatorv1.RetryJobRequest{Id: j.GetId()}))
			}
		}
	}
	return left, err
}

// accessGone reports whether a job says that access data are gone for a reason: the reseller lost its copy after the supplier deleted the other,
// or the supplier lost the only one before it was fetched. The service runs.
func (m *market) accessGone(ctx context.Context, name string, j *operatorv1.Job) bool {
	return j.GetKind() == "access.fetch" && strings.Contains(j.GetLastError(), "access_data_gone") && m.mayLack(ctx, name, j)
}

// about is how a job names what it tells of: a subscription, or the order at a supplier that made one or ended it.
var about = regexp.MustCompile(`\bsub-[0-9a-z-]+|^order ([0-9a-z-]+) with `)

// mayLack reports whether what a job tells of may have been lost: its member or the partner was put back after the order was first placed that it
// is about. Who was put back before has lost nothing of it. Of what is no order that a portal knows by its subscription, at any time.
func (m *market) mayLack(ctx context.Context, name string, j *operatorv1.Job) bool {
	subscription, made := j.GetKey(), false
	if j.GetKind() != "access.fetch" {
		named := about.FindStringSubmatch(j.GetLastError())
		switch {
		case named == nil:
			return m.backSince(name, j.GetPartner(), time.Time{})
		case named[1] != "":
			subscription, made = order.SubscriptionID(named[1]), true
		default:
			subscription = named[0]
		}
	}
	var first time.Time
	for _, o := range m.history.all() {
		if len(o.subscriptions) == 0 && !o.acknowledged.IsZero() && o.void == "" {
			_, _ = m.read(ctx, o.ID)
			o = m.history.of(o.ID)
		}
		if slices.Contains(o.subscriptions, subscription) && (first.IsZero() || o.first.Before(first)) {
			first = o.first
		}
	}
	switch {
	case !first.IsZero():
		return m.backSince(name, j.GetPartner(), first)
	case made: // it ended one
		return m.backSince(name, j.GetPartner(), time.Time{})
	}
	return false
}

// backSince reports whether a member, or the partner at an origin, was put back after a time.
func (m *market) backSince(name, origin string, since time.Time) bool {
	if m.wentBack(name, since) {
		return true
	}
	for other, who := range m.members {
		if who.origin == origin && m.wentBack(other, since) {
			return true
		}
	}
	return false
}

func (m *market) jobs(ctx context.Context, who *member) ([]*operatorv1.Job, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	res, err := operatorOf(who, operatorv1connect.NewJobServiceClient).ListJobs(ctx, connect.NewRequest(&operatorv1.ListJobsRequest{PageSize: page}))
	if err != nil {
		return nil, err
	}
	return res.Msg.GetJobs(), nil
}

// settle drops a job that an operator may drop, and counts it.
func (m *market) settle(ctx context.Context, who *member, j *operatorv1.Job, reason string, count *int) {
	if count == &m.noAccess {
		m.mu.Lock()
		m.gone[j.GetKey()] = true // also where the answer is lost
		m.mu.Unlock()
	}
	_, err := operatorOf(who, operatorv1connect.NewJobServiceClient).DropJob(ctx, connect.NewRequest(&operatorv1.DropJobRequest{Id: j.GetId(), Reason: reason}))
	if err != nil {
		return
	}
	m.mu.Lock()
	*count++
	m.mu.Unlock()
	m.say("%s: the operator drops %s: %s", who.name, j.GetKind(), brief(j.GetLastError()))
}

// resolve says of a held order what stands in the platform's journal.
func (m *market) resolve(ctx context.Context, who *member, j *operatorv1.Job) bool {
	orders := operatorOf(who, operatorv1connect.NewOrderServiceClient)
	got, err := orders.GetOrder(ctx, connect.NewRequest(&operatorv1.GetOrderRequest{Id: j.GetKey(), Partner: j.GetPartner(), Side: "resale"}))
	if err != nil || got.Msg.GetOrder().GetState() != "held.indeterminate" {
		return false
	}
	o, named := got.Msg.GetOrder(), tag.FindString(j.GetLastError())
	if named == "" {
		return false
	}
	say := &operatorv1.ResolveOrderRequest{Id: o.GetId(), Partner: o.GetPartner(), Outcome: operatorv1.HeldOutcome_HELD_OUTCOME_NOT_MADE, Observed: "the journal has no instance"}
	if there := m.platform.Live(named); len(there) > 0 {
		say.Outcome, say.Observed = operatorv1.HeldOutcome_HELD_OUTCOME_MADE, "the journal has instance "+there[0].ID
		say.Outputs = map[string]string{"url": address(there[0]), "password": there[0].Password}
	}
	if _, err := orders.ResolveOrder(ctx, connect.NewRequest(say)); err != nil {
		m.say("%s cannot resolve %s: %v", who.name, o.GetId(), err)
		return true
	}
	m.mu.Lock()
	m.resolved++
	m.mu.Unlock()
	return true
}
