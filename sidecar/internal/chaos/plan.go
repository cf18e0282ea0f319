package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/failpoint"
)

// FaultKind is one way to hurt a member, what lies between members, or what they stand on.
type FaultKind string

// What happens to the calls that partners send to a member.
const (
	// Cut breaks connections, and refuses new ones.
	Cut FaultKind = "cut"
	// Delay lets each call wait.
	Delay FaultKind = "delay"
	// Reorder lets calls overtake each other.
	Reorder FaultKind = "reorder"
	// HalfOpen takes calls and never answers; nothing arrives.
	HalfOpen FaultKind = "half_open"
	// DropReply delivers calls and drops the answers.
	DropReply FaultKind = "drop_reply"
	// Duplicate delivers each call twice, with the same proof.
	Duplicate FaultKind = "duplicate"
	// Flap cuts and mends again and again.
	Flap FaultKind = "flap"
)

// What happens to a member's processes and to what they stand on.
const (
	// Kill is SIGKILL at a random moment.
	Kill FaultKind = "kill"
	// Failpoint is SIGKILL at a named point of the code.
	Failpoint FaultKind = "failpoint"
	// Freeze is SIGSTOP, and SIGCONT later.
	Freeze FaultKind = "freeze"
	// Clock starts the member again with another time of day.
	Clock FaultKind = "clock"
	// DiskFull keeps its files from growing.
	DiskFull FaultKind = "disk_full"
	// OldCopy puts back an earlier copy of the member, its database and data folder, while nothing is under way; OldCopyBusy whatever is.
	OldCopy     FaultKind = "old_copy"
	OldCopyBusy FaultKind = "old_copy_busy"
	// OldCopies puts earlier copies of different ages back on two members at once.
	OldCopies FaultKind = "old_copies"
	// Emptied loses the disk of alpha, which only buys; EmptiedSupplier that of one that sells. They are made again from their exported keys.
	Emptied         FaultKind = "emptied"
	EmptiedSupplier FaultKind = "emptied_supplier"
	// KeyRotation has the member's next business key follow the one that signs.
	KeyRotation FaultKind = "key_rotation"
	// SlowPlatform lets the platform take its time, LostEffect loses its answers after the effect.
	SlowPlatform FaultKind = "slow_platform"
	LostEffect   FaultKind = "lost_effect"
	// PostgresRestart and RedisFlush need members that have them, and so does PostgresFailover, which loses the last commits of all of them.
	PostgresRestart  FaultKind = "postgres_restart"
	PostgresFailover FaultKind = "postgres_failover"
	RedisFlush       FaultKind = "redis_flush"
)

// putsBack says that a fault makes a member again from something older; still that nothing is under way then.
func (k FaultKind) putsBack() bool { return k == OldCopyBusy || k.still() }

func (k FaultKind) still() bool {
	return slices.Contains([]FaultKind{OldCopy, OldCopies, Emptied, EmptiedSupplier}, k)
}

// Kinds are the names of all that can be left out: the kinds of faults, and cancels.
func Kinds() (all []FaultKind) {
	for _, s := range shares {
		all = append(all, s.kind)
	}
	return append(all, FaultKind(CallOff))
}

// onWire says that a fault is one of the network.
func (k FaultKind) onWire() bool {
	return slices.Contains([]FaultKind{Cut, Delay, Reorder, HalfOpen, DropReply, Duplicate, Flap}, k)
}

// onServer says that a fault stops the PostgreSQL of all members.
func (k FaultKind) onServer() bool { return k == PostgresRestart || k == PostgresFailover }

// shares are how often each kind comes in a thousand; the first of a plan are what must not be missing in a short one.
var shares = []struct {
	kind    FaultKind
	per1000 int
	// engine is the one alone that has it; "" is both.
	engine string
}{
	{kind: OldCopy, per1000: 45},
	{kind: OldCopyBusy, per1000: 30},
	{kind: OldCopies, per1000: 12},
	{kind: Emptied, per1000: 8},
	{kind: EmptiedSupplier, per1000: 8},
	{kind: Failpoint, per1000: 180},
	{kind: Kill, per1000: 110},
	{kind: DropReply, per1000: 100},
	{kind: Cut, per1000: 70},
	{kind: Delay, per1000: 60},
	{kind: Reorder, per1000: 60},
	{kind: HalfOpen, per1000: 50},
	{kind: Duplicate, per1000: 60},
	{kind: Flap, per1000: 50},
	{kind: Freeze, per1000: 50},
	{kind: Clock, per1000: 40},
	{kind: DiskFull, per1000: 20, engine: sqliteEngine},
	{kind: SlowPlatform, per1000: 20},
	{kind: LostEffect, per1000: 33},
	{kind: KeyRotation, per1000: 12},
	{kind: PostgresRestart, per1000: 20, engine: postgresEngine},
	{kind: RedisFlush, per1000: 20, engine: postgresEngine},
	{kind: PostgresFailover, per1000: 10, engine: postgresEngine},
}

// Fault is one of a plan.
type Fault struct {
	Kind FaultKind `json:"kind"`
	// Member is who it is about; Other the second one of OldCopies.
	Member string `json:"member,omitempty"`
	Other  string `json:"other,omitempty"`
	// Replica of the member, from 0.
	Replica int `json:"replica,omitempty"`
	// Point is where a process dies, Pass at the how many-th pass.
	Point string `json:"point,omitempty"`
	Pass  int    `json:"pass,omitempty"`
	// After is the wait in its round before it begins, For how long it lasts.
	After time.Duration `json:"after_ns,omitempty"`
	For   time.Duration `json:"for_ns,omitempty"`
	// Offset is the clock's.
	Offset time.Duration `json:"offset_ns,omitempty"`
	// Copy and OtherCopy are what is put back.
	Copy      int `json:"copy,omitempty"`
	OtherCopy int `json:"other_copy,omitempty"`
	// round is its own, late how often it was put off since.
	round, late int
}

// CopyHow is how a copy is made.
type CopyHow string

const (
	// ByBackup is hanse backup of the running member.
	ByBackup CopyHow = "backup"
	// ByFolder stops the member and copies its folder, and its database.
	ByFolder CopyHow = "folder"
	// ByKeys is hanse key export alone.
	ByKeys CopyHow = "keys"
)

// Copy is made at the start of its round.
type Copy struct {
	ID     int     `json:"id"`
	Member string  `json:"member"`
	How    CopyHow `json:"how"`
}

// WishKind is what a caller wants.
type WishKind string

const (
	// Buy orders, End orders the end of what was bought, Renew new access data for it, CallOff cancels an order, Repeat places it again.
	Buy     WishKind = "buy"
	End     WishKind = "end"
	Renew   WishKind = "renew"
	CallOff WishKind = "cancel"
	Repeat  WishKind = "repeat"
	// Edit publishes a new text of an offering.
	Edit WishKind = "edit"
)

// Wish is one call at a portal, or one edit of a supplier.
type Wish struct {
	Kind WishKind `json:"kind"`
	// Member whose portal is called, or whose offering is edited.
	Member string `json:"member"`
	// ID of the order, new with Buy and End.
	ID string `json:"id,omitempty"`
	// Of is the order whose subscription ends.
	Of string `json:"of,omitempty"`
	// Part is which item of that order it is about, Also what else is bought with it.
	Part int    `json:"part,omitempty"`
	Also []Wish `json:"also,omitempty"`
	// Supplier and Offering are what is bought or edited.
	Supplier string `json:"supplier,omitempty"`
	Offering string `json:"offering,omitempty"`
}

// Round is what happens at one time.
type Round struct {
	Copies []Copy  `json:"copies,omitempty"`
	Faults []Fault `json:"faults"`
	Wishes []Wish  `json:"wishes"`
	// Breath waits after it until what is open has ended.
	Breath bool `json:"breath,omitempty"`
}

// Plan is all that is done to a market: the same for the same seed and figures, but for when exactly what happens.
type Plan struct {
	Seed   uint64  `json:"seed"`
	Orders int     `json:"orders"`
	Faults int     `json:"faults"`
	Rounds []Round `json:"rounds"`
}

// The members: alpha sells to customers what bravo and charlie offer, bravo sells its own and charlie's, charlie sells to members alone.
var (
	memberNames = []string{"alpha", "bravo", "charlie"}
	deals       = []struct{ reseller, supplier string }{{"alpha", "bravo"}, {"alpha", "charlie"}, {"bravo", "charlie"}}
	offers      = map[string][]string{"bravo": {"box-a", "box-b"}, "charlie": {"vm-a", "vm-b", "vm-c"}}
)

const (
	// faultsAtOnce is how many faults a round has, at most.
	faultsAtOnce = 3
	// breathEvery is how many rounds go by before one waits.
	breathEvery = 6
)

// NewPlan draws a plan.
func NewPlan(cfg Config) Plan {
	p := &planner{random: rand.New(rand.NewPCG(cfg.Seed, 0x68616e7365)), cfg: cfg, since: map[string]int{}}
	deck := p.deck()
	rounds := max(1, (len(deck)+faultsAtOnce-1)/faultsAtOnce)
	plan := Plan{Seed: cfg.Seed, Orders: cfg.Orders, Faults: len(deck), Rounds: make([]Round, rounds)}
	for i := range plan.Rounds {
		r := &plan.Rounds[i]
		from, to := i*len(deck)/rounds, (i+1)*len(deck)/rounds
		for _, kind := range deck[from:to] {
			r.Faults = append(r.Faults, p.fault(kind, i, plan.Rounds, r.Faults))
		}
		r.Wishes = p.wishes(cfg.Orders*(i+1)/rounds-cfg.Orders*i/rounds, i)
		r.Breath = i%breathEvery == breathEvery-1
	}
	return plan
}

type planner struct {
	random *rand.Rand
	cfg    Config
	copies int
	bought []Wish
	calledOff,
	ended map[string]bool
	orders int
	// since is the first round whose copies of a member may be put back.
	since map[string]int
	// failover is of the one standby.
	failover failover
	// rotated are the members whose key was rolled over: at most once in a plan, for between two lie five minutes.
	rotated []string
}

// failover says how far it is with the one of a plan: not drawn, to be made in the next round that allows it, or made.
type failover int

const (
	failoverDue failover = iota + 1
	failoverMade
)

// deck is the kinds of all faults, shuffled; those of copies are not among the first, when there is nothing to put back.
func (p *planner) deck() (all []FaultKind) {
	n := p.cfg.Faults
	for _, s := range shares {
		if s.engine != "" && s.engine != p.cfg.Engine || slices.Contains(p.cfg.Without, s.kind) {
			continue
		}
		for range max(1, n*s.per1000/1000) {
			all = append(all, s.kind)
		}
	}
	filler := slices.DeleteFunc([]FaultKind{Failpoint, Kill, DropReply, Cut}, func(k FaultKind) bool { return slices.Contains(p.cfg.Without, k) })
	if len(filler) == 0 {
		n = min(n, len(all))
	}
	if len(all) > n { // a short plan has the kinds at the front
		all = all[:n]
	}
	for len(all) < n {
		all = append(all, filler[len(all)%len(filler)])
	}
	p.random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	first := func(k FaultKind) bool { return !k.putsBack() }
	for i := range min(2*faultsAtOnce, n) {
		if j := slices.IndexFunc(all[i:], first); j > 0 {
			all[i], all[i+j] = all[i+j], all[i]
		}
	}
	return all
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func (p *planner) between(from, to time.Duration) time.Duration {
	return from + time.Duration(p.random.Int64N(int64(to-from)))
}

// fault draws one; what takes a member's processes takes another member than the others of the round.
func (p *planner) fault(kind FaultKind, round int, rounds []Round, beside []Fault) Fault {
	if kind == Kill && p.failover == failoverDue {
		kind = PostgresFailover
	}
	f := Fault{Kind: kind, After: p.between(0, 400*time.Millisecond), For: p.between(400*time.Millisecond, 1800*time.Millisecond)}
	busy := func(name string) bool {
		return slices.ContainsFunc(beside, func(b Fault) bool { return b.Kind.onWire() == kind.onWire() && (b.Member == name || b.Other == name) })
	}
	names := slices.Clone(memberNames)
	p.random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	slices.SortStableFunc(names, func(a, b string) int {
		switch {
		case busy(a) == busy(b):
			return 0
		case busy(a):
			return 1
		}
		return -1
	})
	f.Member, f.Replica = names[0], p.random.IntN(max(1, p.cfg.Replicas))
	// Who can be put back: not who was in this round already.
	free := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return p.since[name] > round })
	switch kind {
	case Failpoint:
		f.Point, f.Pass = pick(p.random, pointsOf(f.Member)), 1+p.random.IntN(4)
		if strings.HasPrefix(f.Point, "books.prove.") { // once a partner after a start
			f.Pass = min(f.Pass, len(memberNames)-1)
		}
	case Clock:
		f.Offset = p.between(5*time.Second, 140*time.Second)
		if p.random.IntN(2) == 0 {
			f.Offset = -f.Offset
		}
	case OldCopy, OldCopyBusy:
		if len(free) == 0 {
			f.Kind = Kill
			break
		}
		f.Member = free[0]
		f.Copy = p.copy(f.Member, round, rounds, []CopyHow{ByBackup, ByFolder})
	case OldCopies:
		deal := pick(p.random, deals)
		if p.since[deal.reseller] > round || p.since[deal.supplier] > round {
			f.Kind = Kill
			break
		}
		f.Member, f.Other = deal.reseller, deal.supplier
		f.Copy, f.OtherCopy = p.copy(f.Member, round, rounds, []CopyHow{ByBackup, ByFolder}), p.copy(f.Other, round, rounds, []CopyHow{ByBackup, ByFolder})
	case Emptied, EmptiedSupplier:
		f.Member = "alpha"
		if kind == EmptiedSupplier {
			f.Member = pick(p.random, []string{"bravo", "charlie"})
		}
		if p.since[f.Member] > round { // it was put back in this round already
			f.Kind = Kill
			break
		}
		f.Copy = p.copy(f.Member, round, rounds, []CopyHow{ByKeys})
	case KeyRotation:
		free = slices.DeleteFunc(free, func(name string) bool { return slices.Contains(p.rotated, name) })
		if len(free) == 0 {
			f.Kind = Kill
			break
		}
		f.Member = free[0]
		p.rotated = append(p.rotated, f.Member)
		p.since[f.Member] = round + 1 // a copy of before has not the key that follows: what then is to be done is the operators'
	case PostgresFailover:
		alone := !slices.ContainsFunc(beside, func(b Fault) bool { return b.Kind.putsBack() || b.Kind.onServer() || b.Kind == KeyRotation })
		switch {
		case p.failover == failoverMade:
			f.Kind = Kill
		case !alone || len(free) < len(memberNames):
			f.Kind, p.failover = Kill, failoverDue
		default:
			f.Member, p.failover = "", failoverMade
			for _, name := range memberNames { // a copy of just before may be of what is lost then
				p.since[name] = round + 1
			}
		}
	case PostgresRestart:
		f.Member = ""
		if slices.ContainsFunc(beside, func(b Fault) bool { return b.Kind.onServer() }) {
			f.Kind, f.Member = Kill, names[0]
		}
	case SlowPlatform, LostEffect, RedisFlush:
		f.Member = ""
	}
	return f
}

// copy plans one some rounds before this, and since the member was put back last: a copy from before that is of another past, which partners
// hold other signatures of.
func (p *planner) copy(member string, round int, rounds []Round, how []CopyHow) int {
	p.copies++
	at := min(round, max(p.since[member], round-1-p.random.IntN(4)))
	rounds[at].Copies = append(rounds[at].Copies, Copy{ID: p.copies, Member: member, How: pick(p.random, how)})
	p.since[member] = round + 1
	return p.copies
}

// unled are failpoints that nothing in a plan leads to; chaos --edges and tests of their own kill there.
var unled = []string{
	"retail.overdue.", "retail.abandon.", "retail.erase.", "resale.erase.", "resale.act.", "exchange.agreement.", "recovery.", "recall.", "key.", "member.follow.",
	"life.",
}

// pointsOf are the failpoints that a member can pass: charlie buys nothing, alpha sells nothing.
func pointsOf(member string) (all []string) {
	for _, point := range failpoint.Names {
		if slices.ContainsFunc(unled, func(prefix string) bool { return strings.HasPrefix(point, prefix) }) {
			continue
		}
		supplies := len(point) > 7 && point[:7] == "resale."
		buys := len(point) > 7 && point[:7] == "retail." || len(point) > 7 && point[:7] == "outbox."
		if member == "alpha" && supplies || member == "charlie" && buys {
			continue
		}
		all = append(all, point)
	}
	return all
}

// wishes draws those of a round with so many new orders.
func (p *planner) wishes(orders, round int) (all []Wish) {
	if p.calledOff == nil {
		p.calledOff, p.ended = map[string]bool{}, map[string]bool{}
	}
	before := len(p.bought) // what may end was bought in an earlier round
	for range orders {
		p.orders++
		id := fmt.Sprintf("order-%d-%05d", p.cfg.Seed, p.orders)
		if before > 0 && p.random.IntN(4) == 0 {
			if of := p.bought[p.random.IntN(before)]; !p.calledOff[of.ID] && !p.ended[of.ID] {
				p.ended[of.ID] = true
				all = append(all, Wish{Kind: End, Member: of.Member, ID: id, Of: of.ID, Supplier: of.Supplier})
				continue
			}
		}
		deal := pick(p.random, deals)
		w := Wish{Kind: Buy, Member: deal.reseller, ID: id, Supplier: deal.supplier, Offering: pick(p.random, offers[deal.supplier])}
		p.bought, all = append(p.bought, w), append(all, w)
		if p.random.IntN(10) == 0 && !slices.Contains(p.cfg.Without, FaultKind(CallOff)) {
			p.calledOff[id] = true
			all = append(all, Wish{Kind: CallOff, Member: w.Member, ID: id})
		}
	}
	for range (orders + 4) / 5 {
		if len(p.bought) > 0 {
			w := pick(p.random, p.bought)
			all = append(all, Wish{Kind: Repeat, Member: w.Member, ID: w.ID})
		}
	}
	if round%4 == 3 {
		supplier := pick(p.random, []string{"bravo", "charlie"})
		all = append(all, Wish{Kind: Edit, Member: supplier, Offering: pick(p.random, offers[supplier])})
	}
	return all
}
