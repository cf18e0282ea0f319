package keys

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

// Purposes in the order in which they are made at first start.
var purposes = [...]Purpose{Token, Client, Business, Sealing}

// retention says how long a retired key still verifies or opens. Tokens and assertions live for minutes; documents are
// evidence for ten years; access data sealed to an old key may be fetched late.
func (p Purpose) retention() time.Duration {
	switch p {
	case Business:
		return 10 * 365 * 24 * time.Hour
	case Sealing:
		return 365 * 24 * time.Hour
	default:
		return time.Hour
	}
}

// Config of a Manager.
type Config struct {
	// Store keeps the keys. Required.
	Store Store
	// Now is the clock. Required.
	Now func() time.Time
}

// Manager has this member's keys in memory. It is safe for concurrent use and starts no goroutine; with several replicas the
// host calls Reload from time to time, so that each sees the others' rotations.
type Manager struct {
	store Store
	now   func() time.Time

	mu   sync.RWMutex
	sets map[Purpose]*set
}

// set is immutable once it is in the map.
type set struct {
	records []Record
	private []jose.JSONWebKey // same order as records
	public  []jose.JSONWebKey // what is published
	current int               // index; -1 for none
}

// New loads the keys and makes one Current and one Next where a purpose has none. Two replicas that start at the same moment
// agree on one set: the loser of SaveKeys reads what the winner wrote.
func New(ctx context.Context, cfg Config) (*Manager, error) {
	if cfg.Store == nil || cfg.Now == nil {
		return nil, errors.New("keys: Store and Now are required")
	}
	m := &Manager{store: cfg.Store, now: cfg.Now, sets: map[Purpose]*set{}}
	for _, p := range purposes {
		if err := m.load(ctx, p); err != nil {
			return nil, err
		}
		if m.set(p).current >= 0 {
			continue
		}
		if err := m.create(ctx, p); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *Manager) create(ctx context.Context, p Purpose) error {
	current, err := m.generate(p, Current)
	if err != nil {
		return err
	}
	next, err := m.generate(p, Next)
	if err != nil {
		return err
	}
	saveErr := m.store.SaveKeys(ctx, p, "", []Record{current, next})
	if err := m.load(ctx, p); err != nil {
		return err
	}
	if m.set(p).current < 0 {
		return fmt.Errorf("make %s keys: %w", p, saveErr)
	}
	return nil
}

// Turn is a rotation that is ready to be written: by Store.SaveKeys, or with what else the host writes in the same transaction.
type Turn struct {
	Purpose Purpose
	// Guard is the current key that it retires: where another one is current by then, nothing may be written.
	Guard string
	// Records are the retired key, the current one and the next one after it.
	Records []Record
}

// Rotate retires the current key of a purpose, makes the next one current and creates a new next one. Published keys stay
// published for as long as something signed by them may arrive.
func (m *Manager) Rotate(ctx context.Context, p Purpose) error {
	turn, err := m.Turn(ctx, p)
	if err != nil {
		return err
	}
	if err := m.store.SaveKeys(ctx, p, turn.Guard, turn.Records); err != nil {
		return fmt.Errorf("rotate %s keys: %w", p, err)
	}
	return m.load(ctx, p)
}

// ErrNoNext says that there is no next business key: partners take no other one for the one that follows.
var ErrNoNext = errors.New("there is no next business key")

// Turn reads the keys of a purpose and prepares their rotation; Reload sees it once it is written. ErrNoNext.
func (m *Manager) Turn(ctx context.Context, p Purpose) (Turn, error) {
	if err := m.load(ctx, p); err != nil {
		return Turn{}, err
	}
	s := m.set(p)
	if s.current < 0 {
		return Turn{}, fmt.Errorf("rotate %s keys: there is no current key", p)
	}
	old := s.records[s.current]
	old.State, old.NotAfter = Retired, m.now().Add(p.retention())
	next := Record{}
	for _, r := range s.records {
		// The order in which keys retired is that of their ends, whatever the clock did meanwhile.
		if r.State == Retired && !old.NotAfter.After(r.NotAfter) {
			old.NotAfter = r.NotAfter.Add(1)
		}
		if r.State == Next {
			next = r
		}
	}
	if next.KID == "" {
		if p == Business {
			return Turn{}, fmt.Errorf("rotate %s keys: %w", p, ErrNoNext)
		}
		var err error
		if next, err = m.generate(p, Next); err != nil {
			return Turn{}, err
		}
	}
	next.State = Current
	after, err := m.generate(p, Next)
	if err != nil {
		return Turn{}, err
	}
	return Turn{Purpose: p, Guard: old.KID, Records: []Record{old, next, after}}, nil
}

// RotateAged rotates a purpose whose next key has been published for longer than age, and reports whether it did. The next key
// is made at each rotation, so that its age is the time since the last one. Of replicas that try at once, one succeeds.
func (m *Manager) RotateAged(ctx context.Context, p Purpose, age time.Duration) (bool, error) {
	for _, r := range m.set(p).records {
		if r.State == Next && m.now().Sub(r.CreatedAt) > age {
			err := m.Rotate(ctx, p)
			return err == nil, err
		}
	}
	return false, nil
}

// Reload reads all keys again.
func (m *Manager) Reload(ctx context.Context) error {
	for _, p := range purposes {
		if err := m.load(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// Succession says that a business key followed another one.
type Succession struct {
	// Old, New and Next are thumbprints: New followed Old, and commits to Next.
	Old, New, Next string
	// From is when.
	From time.Time
}

// ahead is how far a succession may be before our clock. Partners, whose clocks are others, take five minutes.
const ahead = 2 * time.Minute

// Successions are those of the business keys that are published, the oldest first. Where one began under a clock that was far ahead of the present
// one, none begins after the present minute: partners refuse keys whole that begin in the future.
func (m *Manager) Successions() []Succession { return m.set(Business).successions(m.now()) }

// Published are the business keys as PublicJWKS has them and their Successions, both of one moment: of two, one may have a key that the other has
// not.
func (m *Manager) Published() (jwks []byte, successions []Succession) {
	s, now := m.set(Business), m.now()
	return s.jwks(Business, now), s.successions(now)
}

// Line puts the records of one purpose in the order in which they sign: the retired ones by when they ended, the current one, the next one.
func Line(records []Record) []Record {
	place := map[State]int{Retired: 0, Current: 1, Next: 2}
	line := slices.Clone(records)
	slices.SortStableFunc(line, func(a, b Record) int {
		if a.State == Retired && b.State == Retired {
			return a.NotAfter.Compare(b.NotAfter)
		}
		return place[a.State] - place[b.State]
	})
	return line
}

func (s *set) successions(now time.Time) []Succession {
	all := Line(slices.DeleteFunc(slices.Clone(s.records), func(r Record) bool { return r.State == Retired && !now.Before(r.NotAfter) }))
	var retired []Record
	for _, r := range all {
		if r.State == Retired {
			retired = append(retired, r)
		}
	}
	var out []Succession
	for i, old := range retired {
		if i+2 < len(all) {
			out = append(out, Succession{Old: old.KID, New: all[i+1].KID, Next: all[i+2].KID, From: old.NotAfter.Add(-Business.retention())})
		}
	}
	if n := len(out); n > 0 && out[n-1].From.After(now.Add(ahead)) {
		// It is the same for a minute, so that who signs them does so once in it.
		minute := now.Truncate(time.Minute)
		for i := range out {
			if out[i].From.After(minute) {
				out[i].From = minute
			}
		}
	}
	return out
}

// Standing is how the business keys of this member stand.
type Standing struct {
	// Current and Next are thumbprints; Next is "" where there is none.
	Current, Next string
	// Since is when the current one began to sign.
	Since time.Time
	// Past are those that signed before, the oldest first: all that are stored.
	Past []Signed
}

// After is how they stand once a turn of the business keys is written.
func (s Standing) After(turn Turn) Standing {
	old, now, next := turn.Records[0], turn.Records[1], turn.Records[2]
	until := old.NotAfter.Add(-Business.retention())
	past := append(slices.Clone(s.Past), Signed{KID: old.KID, From: s.Since, Until: until})
	return Standing{Current: now.KID, Next: next.KID, Since: until, Past: past}
}

// Signed is a key that signed From a time on Until another one followed.
type Signed struct {
	KID         string
	From, Until time.Time
}

// Standing is how the business keys stand.
func (m *Manager) Standing() Standing {
	var out Standing
	for _, r := range m.set(Business).records {
		switch r.State {
		case Current:
			out.Current, out.Since = r.KID, r.CreatedAt
		case Next:
			out.Next = r.KID
		case Retired:
			out.Past = append(out.Past, Signed{KID: r.KID, From: r.CreatedAt, Until: r.NotAfter.Add(-Business.retention())})
		}
	}
	slices.SortStableFunc(out.Past, func(a, b Signed) int { return a.Until.Compare(b.Until) })
	for i := range out.Past { // a key is made long before it signs
		if i > 0 {
			out.Past[i].From = out.Past[i-1].Until
		}
		out.Since = out.Past[i].Until
	}
	return out
}

func (m *Manager) load(ctx context.Context, p Purpose) error {
	records, err := m.store.Keys(ctx, p)
	if err != nil {
		return fmt.Errorf("read %s keys: %w", p, err)
	}
	s := &set{current: -1}
	for _, r := range records {
		var k jose.JSONWebKey
		if err := json.Unmarshal(r.Private, &k); err != nil {
			return fmt.Errorf("read %s key %s: %w", p, r.KID, err)
		}
		private, ok := k.Key.(*ecdsa.PrivateKey)
		if !ok || private.Curve != elliptic.P256() {
			return fmt.Errorf("read %s key %s: not a private P-256 key", p, r.KID)
		}
		k.KeyID = r.KID
		if r.State == Current {
			s.current = len(s.records)
		}
		s.records = append(s.records, r)
		s.private = append(s.private, k)
	}
	s.public = s.publish(p)
	m.mu.Lock()
	m.sets[p] = s
	m.mu.Unlock()
	return nil
}

// publish lists the current key first.
func (s *set) publish(p Purpose) []jose.JSONWebKey {
	var out []jose.JSONWebKey
	add := func(i int) {
		k := s.private[i].Public()
		if p == Sealing {
			k.Use, k.Algorithm = "enc", string(jose.ECDH_ES_A256KW)
		} else {
			k.Use, k.Algorithm = "sig", string(jose.ES256)
		}
		out = append(out, k)
	}
	if s.current >= 0 {
		add(s.current)
	}
	for i, r := range s.records {
		switch {
		case i == s.current:
		case r.State == Next && (p == Business || p == Sealing):
			// The next business key is known by its digest only; nobody may seal to a key that is not in use.
		default:
			add(i)
		}
	}
	return out
}

func (m *Manager) generate(p Purpose, state State) (Record, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Record{}, fmt.Errorf("make a %s key: %w", p, err)
	}
	k := jose.JSONWebKey{Key: private}
	k.KeyID = thumbprint(k)
	raw, err := k.MarshalJSON()
	if err != nil {
		return Record{}, fmt.Errorf("make a %s key: %w", p, err)
	}
	return Record{Purpose: p, KID: k.KeyID, State: state, Private: raw, CreatedAt: m.now()}, nil
}

func (m *Manager) set(p Purpose) *set {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if s := m.sets[p]; s != nil {
		return s
	}
	return &set{current: -1}
}
