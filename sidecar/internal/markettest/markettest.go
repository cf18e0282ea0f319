// Package markettest makes the members of a small market for tests: each has its own SQLite store in a file, its own keys in that
// store, a ledger and a clock that its test moves. Nothing is mocked and nothing has a wire; package sidecartest has both ends
// of one.
package markettest

import (
	"bytes"
	"crypto/sha256"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Noon is the hour at which every clock starts.
func Noon() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

// Clock stands still but for who moves it.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock stands at Noon.
func NewClock() *Clock { return &Clock{now: Noon()} }

// Now is the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Pass moves the clock on.
func (c *Clock) Pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Member is one party of the market.
type Member struct {
	Origin string
	// Path is the file of the store.
	Path  string
	Store *store.Store
	Keys  *keys.Manager
	Book  *ledger.Book
	Clock *Clock

	t testing.TB
}

// Config is where a member differs from a new one with a clock of its own.
type Config struct {
	// Path is an existing store's file; "" is a new one. With DSN the store is that database instead.
	Path string
	DSN  string
	// Clock is shared with others; nil is one that starts at Noon.
	Clock *Clock
	// Wake is told what the store's commits wake.
	Wake func(unit.Topic)
	// Once runs each unit of work once, for who counts statements or runs; a benchmark always does. Else each is rehearsed: see
	// store.Config.
	Once bool
}

// NewMember is a member that knows nobody. Its store is closed when the test ends.
func NewMember(t testing.TB, origin string) *Member {
	t.Helper()
	return Open(t, origin, Config{})
}

// Open is NewMember for who wants more.
func Open(t testing.TB, origin string, cfg Config) *Member {
	t.Helper()
	m := &Member{Origin: origin, Path: cfg.Path, Clock: cfg.Clock, t: t}
	if m.Path == "" && cfg.DSN == "" {
		m.Path = filepath.Join(t.TempDir(), "hanse.db")
	}
	if m.Clock == nil {
		m.Clock = NewClock()
	}
	_, measured := t.(*testing.B)
	var err error
	m.Store, err = store.Open(t.Context(), store.Config{Path: m.Path, DSN: cfg.DSN, SiteKey: bytes.Repeat([]byte{1}, 32), Now: m.Clock.Now, Wake: cfg.Wake, Rehearse: !cfg.Once && !measured})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Store.Close(); err != nil {
			t.Error(err)
		}
	})
	if m.Keys, err = keys.New(t.Context(), keys.Config{Store: m.Store, Now: m.Clock.Now}); err != nil {
		t.Fatal(err)
	}
	m.Book = &ledger.Book{
		Self: origin, Work: store.For[ledger.Tx](m.Store), Signer: m.Keys, Now: m.Clock.Now,
		OwnKeys: func() signed.Pinned { return signed.PinSet(m.Keys.Public(keys.Business)) },
	}
	return m
}

// Key is the business key that others pin.
func (m *Member) Key() []byte { return m.Keys.PublicJWK(keys.Business) }

// Pinned is Key as others verify with it.
func (m *Member) Pinned() signed.Pinned { return signed.Pin(m.Key()) }

// Do commits what fn writes.
func (m *Member) Do(fn func(tx *store.Tx) error) {
	m.t.Helper()
	if err := m.Store.Do(m.t.Context(), fn); err != nil {
		m.t.Fatal(err)
	}
}

// View reads one snapshot.
func (m *Member) View(fn func(tx *store.Tx) error) {
	m.t.Helper()
	if err := m.Store.View(m.t.Context(), fn); err != nil {
		m.t.Fatal(err)
	}
}

// Append writes an entry towards a partner, about an order.
func (m *Member) Append(partner string, kind ledger.Kind, subject string) {
	m.t.Helper()
	m.Do(func(tx *store.Tx) error {
		_, err := m.Book.Append(tx, partner, kind, subject, map[string]string{"order": subject})
		return err
	})
}

// Know puts the other as an active partner in both roles, with its present keys pinned; change may make it something else.
func (m *Member) Know(other *Member, change ...func(*member.Partner)) {
	m.t.Helper()
	p := member.Partner{
		Origin: other.Origin, PartnershipID: trust.PartnershipID(m.Origin, other.Origin),
		Roles: []member.Role{member.Supplier, member.Reseller}, State: member.Active,
		BusinessKey: other.Key(), Thumbprint: other.Keys.CurrentKID(keys.Business), NextKeyDigest: other.Keys.NextDigest(), Documents: signed.Versions(),
		SealingKey: other.Keys.PublicJWK(keys.Sealing), CreatedAt: m.Clock.Now(), UpdatedAt: m.Clock.Now(),
	}
	for _, c := range change {
		c(&p)
	}
	m.Do(func(tx *store.Tx) error {
		_, err := tx.Partners().Put(p)
		return err
	})
}

// Meet has members know each other.
func (m *Member) Meet(others ...*Member) {
	m.t.Helper()
	for _, other := range others {
		m.Know(other)
		other.Know(m)
	}
}

// Agree puts one active agreement, signed by both, into both stores, and returns it as stored. Its payload is no document of package agreement: who
// wants that has the two offer and accept it.
func Agree(supplier, reseller *Member, id string, terms agreement.Terms) (stored agreement.Agreement) {
	supplier.t.Helper()
	payload := []byte(`{"id":"` + id + `"}`)
	a := agreement.Agreement{
		ID: id, Supplier: supplier.Origin, Reseller: reseller.Origin, State: agreement.Active, Terms: terms,
		Payload: payload, Digest: sha256.Sum256(payload),
		SupplierJWS: supplier.sign(payload), ResellerJWS: reseller.sign(payload),
		ActiveSince: supplier.Clock.Now(), CreatedAt: supplier.Clock.Now(), UpdatedAt: supplier.Clock.Now(),
	}
	for _, m := range []*Member{supplier, reseller} {
		m.Do(func(tx *store.Tx) (err error) {
			stored, err = tx.Agreements().Put(a)
			return err
		})
	}
	return stored
}

func (m *Member) sign(payload []byte) string {
	m.t.Helper()
	jws, err := m.Keys.Sign(keys.Business, signed.Agreement, payload)
	if err != nil {
		m.t.Fatal(err)
	}
	return jws
}
