package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"filippo.io/age"

	"github.com/hanse-market/hanse/adapters/rig"
	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	"github.com/hanse-market/hanse/sidecar/internal/tlsdev"
)

// market is the members, what they stand on, and what their customers know.
type market struct {
	cfg      Config
	dir      string
	members  map[string]*member
	platform *rig.Platform
	servers  *servers
	history  *history
	// listings by reseller, supplier and offering.
	listings map[string]string
	// identity opens backups, recipient seals them.
	identity  string
	recipient string
	// files is held by whoever writes a supplier's offerings.
	files sync.Mutex
	// backing is held by whoever puts a member back while orders are under way.
	backing sync.Mutex
	// hasty are the operators who vouch for members that were put back in this round.
	hasty   sync.WaitGroup
	twice   atomic.Int64
	closing sync.Once

	mu     sync.Mutex
	copies map[int]taken
	// losing says that the platform's next answers are lost.
	losing   bool
	findings []Finding
	healing  []time.Duration
	done     map[FaultKind]int
	notRun   map[string]string
	points   map[string]int
	restores int
	emptied  int
	told     int
	resolved int
	noAccess int
	// gone are the subscriptions whose access data operators dropped.
	gone map[string]bool
	// late are faults that wait for a later round, leftOut why those were not made that wait no longer.
	late    []late
	leftOut map[FaultKind][]string
	// again is how often something was made anew that both sides had forgotten, leftOver what runs of what both have.
	again    int
	leftOver []string
	// backs are all times that a member was put back.
	backs []back
	// starved is until when processes may end by themselves, by member; "" is all of them.
	starved map[string]time.Time
	log     io.Writer
	started time.Time
}

// taken is a copy that was made.
type taken struct {
	Copy
	path    string
	edition map[string]int
	key     string
	at      time.Time
	// unread are the partners of which the store had not read all that they wrote and that it may have heard of: where such a one is put back too,
	// nobody can give that back to it.
	unread []string
}

// back is a member that was put back: at a time, to what it was at another. An emptied disk is of no time.
type back struct {
	member  string
	at, was time.Time
}

// nearly is how long after a member was put back its partners may not have given it all it lacks.
const nearly = 20 * time.Second

// forgotten reports whether both sides of an order lost what happened to it at a time, before another: they were put back so close together
// that neither could give it back to the other. Nobody but the portal knows of it then.
func (m *market) forgotten(o placed, happened, before time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	lost := func(b back, member string) bool {
		return b.member == member && b.was.Before(happened) && b.at.After(happened) && b.at.Before(before)
	}
	for _, a := range m.backs {
		for _, b := range m.backs {
			if lost(a, o.Member) && lost(b, o.Supplier) && a.at.Sub(b.at).Abs() < nearly {
				return true
			}
		}
	}
	return false
}

// wentBack reports whether a member was put back after a time: what it was told before may be gone.
func (m *market) wentBack(member string, since time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.backs, func(b back) bool { return b.member == member && b.at.After(since) })
}

// deathTime is how long after its disk was full, or PostgreSQL down, a process may still end of it.
const deathTime = 10 * time.Second

// starve lets a member's processes end by themselves until some time after its fault is over; "" is all members.
func (m *market) starve(name string, long time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.starved[name] = time.Now().Add(long + deathTime)
}

// death is a process that ended and was to run: nothing but what it stands on may do that.
func (m *market) death(name string) {
	m.mu.Lock()
	now := time.Now()
	may := now.Before(m.starved[name]) || now.Before(m.starved[""])
	m.mu.Unlock()
	if !may {
		m.found(18, broken, name, "a process of it ended by itself; see its log")
	}
}

// setUp makes and starts a market whose members trade. With an error all that was started has ended.
func setUp(ctx context.Context, cfg Config) (m *market, err error) {
	m = &market{
		cfg: cfg, dir: cfg.Dir, members: map[string]*member{}, listings: map[string]string{}, copies: map[int]taken{}, done: map[FaultKind]int{}, starved: map[string]time.Time{},
		gone: map[string]bool{}, notRun: map[string]string{}, points: map[string]int{}, log: cfg.Progress, started: time.Now(),
	}
	defer func() {
		if err != nil {
			m.close()
		}
	}()
	for _, dir := range []string{m.dir, filepath.Join(m.dir, "logs"), filepath.Join(m.dir, "copies")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return m, err
		}
	}
	if m.history, err = openHistory(filepath.Join(m.dir, "history.jsonl")); err != nil {
		return m, err
	}
	if m.platform, err = rig.Open(filepath.Join(m.dir, "journal.jsonl"), time.Now); err != nil {
		return m, err
	}
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return m, err
	}
	m.identity, m.recipient = filepath.Join(m.dir, "identity.age"), identity.Recipient().String()
	if err := os.WriteFile(m.identity, []byte(identity.String()+"\n"), 0o600); err != nil {
		return m, err
	}
	if cfg.Engine == postgresEngine {
		m.say("starting PostgreSQL and Redis")
		if m.servers, err = startServers(ctx); err != nil {
			return m, err
		}
	}
	if err := m.populate(ctx); err != nil {
		return m, err
	}
	m.say("the members make their agreements")
	return m, m.trade(ctx)
}

func (m *market) populate(ctx context.Context) error {
	ca, err := tlsdev.Open(filepath.Join(m.dir, "dev-ca"), time.Now)
	if err != nil {
		return err
	}
	each := 1 + 4*m.cfg.Replicas
	ports, err := freePorts(each*len(memberNames), m.cfg.beside)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var starting sync.WaitGroup
	defer starting.Wait()
	defer cancel() // who cannot start the second need not wait for the first
	failed := make(chan error, len(memberNames))
	for i, name := range memberNames {
		mine := ports[i*each : (i+1)*each]
		who := &member{
			name: name, origin: fmt.Sprintf("https://%s.localhost:%d", name, mine[0]), binary: m.cfg.Binary, plant: m.cfg.Plant, edition: map[string]int{},
			place: place{root: m.dir, ca: filepath.Join(m.dir, "dev-ca"), platform: m.platform.URL, port: mine[0]}, dir: filepath.Join(m.dir, name, "0"),
		}
		if m.servers != nil {
			who.database, who.place.dsn, who.place.redis = name, m.servers.dsn(name), m.servers.redisSocket()
			if err := m.servers.renew(ctx, name, ""); err != nil {
				return err
			}
		}
		who.died = func() { m.death(name) }
		var targets []string
		for r := range m.cfg.Replicas {
			at := func(n int) string { return fmt.Sprintf("127.0.0.1:%d", mine[1+4*r+n]) }
			who.replicas = append(who.replicas, &replica{
				child: child{log: filepath.Join(m.dir, "logs", fmt.Sprintf("%s-%d.log", name, r))}, peer: at(0), portal: at(1), operator: at(2), ops: at(3),
			})
			targets = append(targets, at(0))
		}
		for _, id := range offers[name] {
			who.edition[id] = 1
		}
		if who.proxy, err = newProxy(ca, name+".localhost", fmt.Sprintf("127.0.0.1:%d", mine[0]), targets, &m.twice); err != nil {
			return err
		}
		m.members[name] = who
		if err := who.configure(); err != nil {
			return err
		}
		starting.Go(func() {
			who.life.Lock()
			defer who.life.Unlock()
			failed <- who.start(ctx)
		})
	}
	starting.Wait()
	close(failed)
	for err := range failed {
		if err != nil {
			return err
		}
	}
	return nil
}

// trade makes partners, agreements, offerings and portals.
func (m *market) trade(ctx context.Context) error {
	for _, name := range memberNames {
		who := m.members[name]
		if len(offers[name]) > 0 {
			if err := m.publish(ctx, who); err != nil {
				return err
			}
		}
	}
	for _, d := range deals {
		reseller, supplier := m.members[d.reseller], m.members[d.supplier]
		for _, step := range []func() error{
			func() error {
				_, err := reseller.operate(ctx, "partner", "add", supplier.origin, "--as", "supplier", "--yes")
				return err
			},
			func() error {
				_, err := supplier.operate(ctx, "agreement", "offer", reseller.origin, "--discount", "20%", "--currency", "EUR")
				return err
			},
			func() error {
				_, err := reseller.operate(ctx, "partner", "accept", supplier.origin, "--yes")
				return err
			},
		} {
			if err := within(ctx, time.Minute, step); err != nil {
				return err
			}
		}
	}
	for _, name := range []string{"alpha", "bravo"} {
		if err := m.members[name].openPortal(ctx); err != nil {
			return err
		}
	}
	return within(ctx, time.Minute, func() error { return m.readListings(ctx) })
}

func listingKey(reseller, supplier, offering string) string {
	return reseller + " " + supplier + " " + offering
}

func (m *market) listing(w Wish) string {
	return m.listings[listingKey(w.Member, w.Supplier, w.Offering)]
}

func (m *market) readListings(ctx context.Context) error {
	for _, d := range deals {
		all, err := operatorOf(m.members[d.reseller], operatorv1connect.NewListingServiceClient).ListListings(ctx, connect.NewRequest(&operatorv1.ListListingsRequest{Partner: m.members[d.supplier].origin}))
		if err != nil {
			return err
		}
		for _, l := range all.Msg.GetListings() {
			if l.GetOrderable() {
				m.listings[listingKey(d.reseller, d.supplier, l.GetOfferingId())] = l.GetId()
			}
		}
		for _, id := range offers[d.supplier] {
			if m.listings[listingKey(d.reseller, d.supplier, id)] == "" {
				return fmt.Errorf("%s has no listing of %s from %s", d.reseller, id, d.supplier)
			}
		}
	}
	return nil
}

// play goes through the rounds of a plan.
func (m *market) play(ctx context.Context, plan Plan) error {
	watching, stop := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	defer watchers.Wait()
	defer m.hasty.Wait()
	defer stop()
	for _, name := range memberNames {
		for _, r := range m.members[name].replicas {
			watchers.Go(func() { m.members[name].watch(watching, r) })
		}
	}
	for i := 0; i < len(plan.Rounds)+latest; i++ { // the last ones are for what was put off
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var round Round
		if i < len(plan.Rounds) {
			round = plan.Rounds[i]
		}
		round.Faults = slices.Clone(round.Faults)
		for n := range round.Faults {
			round.Faults[n].round = i
		}
		round.Faults = append(round.Faults, m.due(plan, i)...)
		if i >= len(plan.Rounds) && len(round.Faults) == 0 {
			break
		}
		m.say("round %d of %d: %d wishes; %s", i+1, len(plan.Rounds), len(round.Wishes), describe(round))
		if len(round.Copies) > 0 {
			_ = m.settleDown(ctx, copyTime)
		}
		for _, c := range round.Copies {
			if err := m.copy(ctx, c); err != nil {
				return fmt.Errorf("copy %d of %s: %w", c.ID, c.Member, err)
			}
		}
		var busy sync.WaitGroup
		errs := make(chan error, len(round.Faults))
		for _, f := range round.Faults { // first what needs a still market; callers wait for it
			if f.Kind.still() {
				for _, name := range memberNames { // partners refuse what a wrong clock dates, and nothing would come to rest
					if err := m.members[name].right(ctx); err != nil {
						return err
					}
				}
				if !m.settleDown(ctx, restTime) { // what no partner has read cannot come back from it
					m.putOff(f, "the market did not come to rest")
					continue
				}
				errs <- m.hurt(ctx, f)
			}
		}
		for _, f := range round.Faults {
			if f.Kind.still() {
				continue
			}
			busy.Go(func() {
				pause(ctx, nil, f.After)
				errs <- m.hurt(ctx, f)
			})
		}
		m.call(ctx, round.Wishes)
		busy.Wait()
		m.hasty.Wait()
		close(errs)
		for err := range errs {
			if err != nil && ctx.Err() == nil {
				return err
			}
		}
		m.lostLate()
		if round.Breath {
			m.breathe(ctx, breathTime)
		}
	}
	m.leaveLate()
	return nil
}

func describe(r Round) (text string) {
	for _, f := range r.Faults {
		who := f.Member
		if f.Other != "" {
			who += "+" + f.Other
		}
		if f.Point != "" {
			who += " " + f.Point
		}
		text += fmt.Sprintf("%s %s, ", f.Kind, who)
	}
	if text == "" {
		return "no fault"
	}
	return text[:len(text)-2]
}

const callers = 6

// call has some callers carry out wishes, spread a little.
func (m *market) call(ctx context.Context, wishes []Wish) {
	queue := make(chan Wish)
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for w := range queue {
				m.carryOut(ctx, w)
				pause(ctx, nil, time.Duration(rand.Int64N(int64(500*time.Millisecond))))
			}
		})
	}
	for _, w := range wishes {
		if w.Kind == Buy || w.Kind == End {
			m.history.want(w)
		}
		queue <- w
	}
	close(queue)
	all.Wait()
}

// breathe waits until what was acknowledged has ended, and notes how long that took for each.
func (m *market) breathe(ctx context.Context, limit time.Duration) {
	from := time.Now()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	operated := time.Now()
	var refused error
	err := within(ctx, limit, func() error {
		var open []string
		if time.Since(operated) > time.Second { // some of it waits for an operator, or is not known to a member that was put back
			operated = time.Now()
			_, _ = m.operators(ctx)
			refused = m.remind(ctx)
		}
		for _, o := range m.history.all() {
			if !o.acknowledged.IsZero() && !o.ended && o.void == "" && !m.look(ctx, o.ID, from) {
				open = append(open, o.ID)
			}
		}
		if len(open) > 0 {
			return errors.Join(fmt.Errorf("%d orders are open, such as %s", len(open), open[0]), refused)
		}
		return nil
	})
	if err != nil {
		m.say("not all ends: %v", err)
	}
}

// remind has portals place again what they see that their member does not know any more, and returns why some of it is not taken.
func (m *market) remind(ctx context.Context) (err error) {
	for _, o := range m.history.all() {
		if o.acknowledged.IsZero() || o.ended || o.void != "" {
			continue
		}
		if _, unknown := m.read(ctx, o.ID); connect.CodeOf(unknown) == connect.CodeNotFound {
			err = errors.Join(err, m.place(ctx, o.ID))
		}
	}
	return err
}

const (
	// breathTime is how long a breath waits until all has ended, copyTime a copy, which is made all the same, readTime until a member that
	// is copied has read what its partners wrote, stillTime what is put back while
	// orders are under way, and restTime what is put back while nothing is.
	breathTime = 5 * time.Second
	copyTime   = 2 * time.Second
	readTime   = 3 * time.Second
	stillTime  = 10 * time.Second
	restTime   = time.Minute
)

// settleDown waits until what was ordered has ended, nobody has anything to do that no operator is wanted for, all books are level, and all
// members have read what their partners wrote: only what a partner has read can come back from it. Each of the two waits lasts so long at most.
func (m *market) settleDown(ctx context.Context, limit time.Duration) bool {
	m.breathe(ctx, limit)
	err := within(ctx, limit, func() error {
		for _, name := range memberNames { // access data that are not fetched yet are gone with their supplier's disk
			jobs, err := m.jobs(ctx, m.members[name])
			if err != nil {
				return err
			}
			for _, j := range jobs {
				if j.GetState() != "parked" {
					return fmt.Errorf("%s has %s to do, %s", name, j.GetKind(), j.GetState())
				}
			}
		}
		for _, d := range deals {
			reseller, supplier := m.members[d.reseller], m.members[d.supplier]
			if err := m.level(ctx, reseller, supplier); err != nil {
				return err
			}
			if err := m.hasRead(ctx, supplier, reseller); err != nil {
				return err
			}
			if err := m.hasRead(ctx, reseller, supplier); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		m.say("the market does not come to rest: %v", err)
	}
	return err == nil
}

func (m *market) partner(ctx context.Context, who *member, origin string) (*operatorv1.Partner, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	res, err := operatorOf(who, operatorv1connect.NewPartnerServiceClient).GetPartner(ctx, connect.NewRequest(&operatorv1.GetPartnerRequest{Origin: origin}))
	if err != nil {
		return nil, err
	}
	return res.Msg.GetPartner(), nil
}

// look reads whether an order has ended, and notes how long that took since.
func (m *market) look(ctx context.Context, id string, since time.Time) bool {
	o, err := m.read(ctx, id)
	if err != nil {
		return false
	}
	ended := false
	m.history.change(id, func(p *placed) {
		p.state = o.GetState()
		if o.GetEnded() && !p.ended {
			p.seen = time.Now()
			if p.acknowledged.Before(since) {
				m.mu.Lock()
				m.healing = append(m.healing, p.seen.Sub(since))
				m.mu.Unlock()
			}
		}
		p.ended = o.GetEnded()
		ended = p.ended
	})
	return ended
}

// Finding is something that must not be, by the number of its invariant.
type Finding struct {
	Invariant int    `json:"invariant"`
	Kind      string `json:"kind"`
	ID        string `json:"id,omitempty"`
	What      string `json:"what"`
}

func (m *market) found(invariant int, kind, id, format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := Finding{Invariant: invariant, Kind: kind, ID: id, What: fmt.Sprintf(format, args...)}
	m.findings = append(m.findings, f)
}

// say tells people how far it is.
func (m *market) say(format string, args ...any) {
	fmt.Fprintf(m.log, "%6.1fs  %s\n", time.Since(m.started).Seconds(), fmt.Sprintf(format, args...))
}

func (m *market) close() { m.closing.Do(m.end) }

func (m *market) end() {
	for _, who := range m.members {
		who.life.Lock()
		who.kill()
		who.life.Unlock()
		if who.proxy != nil {
			_ = who.proxy.close()
		}
	}
	if m.servers != nil {
		_ = m.servers.close()
	}
	if m.platform != nil {
		_ = m.platform.Close()
	}
	if m.history != nil {
		_ = m.history.close()
	}
}

// portShares is how many markets can be beside each other.
const portShares = 32

// freePorts finds ports that nobody listens on now, below those that systems give to outgoing connections, and that no market beside this one
// takes: a process that starts again finds its own.
func freePorts(n, beside int) (ports []int, err error) {
	first, share := 10_000, 22_000
	if beside > 0 {
		share /= portShares
		first += beside % portShares * share
	}
	for range 10_000 {
		port := first + rand.IntN(share)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		defer func() { _ = l.Close() }()
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, errors.New("no free ports")
}

func writeJSON(file string, v any) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(raw, '\n'), 0o600)
}
