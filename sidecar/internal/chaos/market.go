package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"filippo.io/age"

	"github.com/hanse-market/hanse/adapters/rig"
	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
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

func (m *market) partner(ctx context.Context, who *member, origin string) (*operatorv1.Partner, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	res, err := operatorOf(who, operatorv1connect.NewPartnerServiceClient).GetPartner(ctx, connect.NewRequest(&operatorv1.GetPartnerRequest{Origin: origin}))
	if err != nil {
		return nil, err
	}
	return res.Msg.GetPartner(), nil
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

func writeJSON(file string, v any) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(raw, '\n'), 0o600)
}
