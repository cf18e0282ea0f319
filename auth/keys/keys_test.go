package keys

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/hanse-market/hanse/auth/refusal"
)

// memory is a Store for tests.
type memory struct {
	mu      sync.Mutex
	records map[Purpose]map[string]Record
	// raced, if set, runs once before a SaveKeys: another replica that was faster.
	raced func()
}

func newMemory() *memory { return &memory{records: map[Purpose]map[string]Record{}} }

func (s *memory) Keys(_ context.Context, p Purpose) ([]Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Record
	for _, r := range s.records[p] {
		out = append(out, r)
	}
	return out, nil
}

func (s *memory) SaveKeys(_ context.Context, p Purpose, guard string, records []Record) error {
	s.mu.Lock()
	raced := s.raced
	s.raced = nil
	s.mu.Unlock()
	if raced != nil {
		raced()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	current := ""
	for _, r := range s.records[p] {
		if r.State == Current {
			current = r.KID
		}
	}
	if current != guard {
		return errors.New("conflict")
	}
	if s.records[p] == nil {
		s.records[p] = map[string]Record{}
	}
	for _, r := range records {
		s.records[p][r.KID] = r
	}
	return nil
}

type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func newManager(t *testing.T, s Store, c *clock) *Manager {
	t.Helper()
	m, err := New(t.Context(), Config{Store: s, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestSignedDocumentsVerifyAndNothingElseDoes(t *testing.T) {
	t.Parallel()
	c := &clock{now: time.Unix(1_800_000_000, 0)}
	m, other := newManager(t, newMemory(), c), newManager(t, newMemory(), c)
	payload := []byte(`{"a":1, "b" : 2}`)
	jws, err := m.Sign(Business, "hanse-order+jwt", payload)
	if err != nil {
		t.Fatal(err)
	}
	got, kid, err := Verify(jws, "hanse-order+jwt", m.Public(Business))
	if err != nil || !bytes.Equal(got, payload) || kid != m.CurrentKID(Business) {
		t.Fatalf("%s %s %v", got, kid, err)
	}
	header, rest, _ := strings.Cut(jws, ".")
	_, signature, _ := strings.Cut(rest, ".")
	cases := map[string]struct {
		jws, typ string
		set      []jose.JSONWebKey
		reason   string
	}{
		"another typ":            {jws, "hanse-receipt+jwt", m.Public(Business), ReasonType},
		"keys of another member": {jws, "hanse-order+jwt", other.Public(Business), ReasonKeyUnknown},
		"keys of another use":    {jws, "hanse-order+jwt", m.Public(Token), ReasonKeyUnknown},
		"no keys":                {jws, "hanse-order+jwt", nil, ReasonKeyUnknown},
		"another payload":        {header + ".e30." + signature, "hanse-order+jwt", m.Public(Business), ReasonSignature},
		"detached":               {header + ".." + signature, "hanse-order+jwt", m.Public(Business), ReasonSignature},
		"padding":                {header + "=." + rest, "hanse-order+jwt", m.Public(Business), ReasonMalformed},
		"two parts":              {header + "." + signature, "hanse-order+jwt", m.Public(Business), ReasonMalformed},
		"JSON serialisation":     {`{"payload":"","signatures":[]}`, "hanse-order+jwt", m.Public(Business), ReasonMalformed},
		"too long":               {jws + strings.Repeat("A", MaxJWS), "hanse-order+jwt", m.Public(Business), ReasonMalformed},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if _, _, err := Verify(c.jws, c.typ, c.set); refusal.Reason(err) != c.reason {
				t.Errorf("%v, want %s", err, c.reason)
			}
		})
	}
}

func TestRotationKeepsOldKeysForAsLongAsTheyAreNeeded(t *testing.T) {
	t.Parallel()
	c := &clock{now: time.Unix(1_800_000_000, 0)}
	s := newMemory()
	m := newManager(t, s, c)
	published := func() int { return len(m.Public(Token)) }
	if published() != 2 {
		t.Fatalf("%d token keys published, want current and next", published())
	}
	next := m.Public(Token)[1].KeyID
	old, err := m.Sign(Token, "at+jwt", []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Rotate(t.Context(), Token); err != nil {
		t.Fatal(err)
	}
	if m.CurrentKID(Token) != next {
		t.Error("the current key was not published before")
	}
	if _, _, err := Verify(old, "at+jwt", m.Public(Token)); err != nil || published() != 3 {
		t.Errorf("after rotation: %v, %d published", err, published())
	}
	c.now = c.now.Add(time.Hour)
	if _, _, err := Verify(old, "at+jwt", m.Public(Token)); refusal.Reason(err) != ReasonKeyUnknown {
		t.Errorf("the retired key outlives its time: %v", err)
	}
	again := newManager(t, s, c)
	if again.CurrentKID(Token) != next {
		t.Error("a restart changes the key")
	}
}

func TestKeysRotateWhenTheyComeOfAge(t *testing.T) {
	t.Parallel()
	c := &clock{now: time.Unix(1_800_000_000, 0)}
	m := newManager(t, newMemory(), c)
	const month = 30 * 24 * time.Hour
	rotates := func(want bool) {
		t.Helper()
		if got, err := m.RotateAged(t.Context(), Client, month); err != nil || got != want {
			t.Fatalf("rotated %v, %v; want %v", got, err, want)
		}
	}
	rotates(false)
	c.now = c.now.Add(month + time.Second)
	before := m.CurrentKID(Client)
	rotates(true)
	if m.CurrentKID(Client) == before {
		t.Error("the key is the same")
	}
	rotates(false)
	c.now = c.now.Add(month + time.Second)
	rotates(true)
}

func TestSuccessionsSayWhichKeyFollowedWhich(t *testing.T) {
	t.Parallel()
	c := &clock{now: time.Unix(1_800_000_000, 0)}
	s := newMemory()
	m := newManager(t, s, c)
	if all := m.Successions(); all != nil {
		t.Errorf("before any rotation: %+v", all)
	}
	var line []string
	var when []time.Time
	for i := range 3 {
		line, when = append(line, m.CurrentKID(Business)), append(when, c.now)
		turn, err := m.Turn(t.Context(), Business)
		if err != nil {
			t.Fatal(err)
		}
		after := m.Standing().After(turn)
		if err := s.SaveKeys(t.Context(), Business, turn.Guard, turn.Records); err != nil {
			t.Fatal(err)
		}
		if err := m.Reload(t.Context()); err != nil || !reflect.DeepEqual(m.Standing(), after) {
			t.Errorf("after number %d they stand %+v, not %+v: %v", i, m.Standing(), after, err)
		}
		c.now = c.now.Add(time.Millisecond)
		if i == 1 { // the clock steps back: the third follows the second all the same
			c.now = c.now.Add(-time.Minute)
		}
	}
	when[2] = when[1].Add(1)
	line = append(line, m.CurrentKID(Business), m.NextDigest())
	got := m.Successions()
	if len(got) != 3 {
		t.Fatalf("%+v", got)
	}
	for i, s := range got {
		if s.Old != line[i] || s.New != line[i+1] || s.Next != line[i+2] || !s.From.Equal(when[i]) {
			t.Errorf("number %d: %+v, want %v from %s", i, s, line[i:i+3], when[i])
		}
		jws, err := m.SignSuccession(s.New, "hanse-rollover+jwt", []byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		if _, by, err := Verify(jws, "hanse-rollover+jwt", m.Public(Business)); err != nil || by != s.New {
			t.Errorf("number %d is signed by %s: %v", i, by, err)
		}
	}
	if _, err := m.SignSuccession(m.NextDigest(), "hanse-rollover+jwt", []byte("{}")); err == nil {
		t.Error("a key signs that is not in use")
	}
}

// TestASuccessionUnderAClockThatWasWrongBeginsNow: partners refuse what begins in the future, with all the keys beside it.
func TestASuccessionUnderAClockThatWasWrongBeginsNow(t *testing.T) {
	t.Parallel()
	c := &clock{now: time.Unix(1_800_000_000, 0)}
	m := newManager(t, newMemory(), c)
	for range 2 {
		if err := m.Rotate(t.Context(), Business); err != nil {
			t.Fatal(err)
		}
		c.now = c.now.Add(time.Hour)
	}
	c.now = c.now.Add(-90*time.Minute + 17*time.Second)
	minute := c.now.Add(-17 * time.Second)
	all := m.Successions()
	if len(all) != 2 || !all[0].From.Before(minute) || !all[1].From.Equal(minute) {
		t.Errorf("at %v: %v", c.now, all)
	}
	// Whoever asks again in this minute is told the same.
	for range 2 {
		c.now = c.now.Add(20 * time.Second)
		if again := m.Successions(); !slices.Equal(again, all) {
			t.Errorf("at %v: %v, not %v", c.now, again, all)
		}
	}
	c.now = c.now.Add(20 * time.Second)
	if later := m.Successions(); len(later) != 2 || later[0] != all[0] || !later[1].From.Equal(minute.Add(time.Minute)) {
		t.Errorf("at %v: %v", c.now, later)
	}
}

// TestWhatRetiredInThisMinuteStaysInOrder: one that began seconds ago, behind one that begins in the future.
func TestWhatRetiredInThisMinuteStaysInOrder(t *testing.T) {
	t.Parallel()
	c := &clock{now: time.Unix(1_800_000_017, 0)}
	m := newManager(t, newMemory(), c)
	for _, d := range []time.Duration{time.Hour, -time.Hour + 5*time.Second} {
		if err := m.Rotate(t.Context(), Business); err != nil {
			t.Fatal(err)
		}
		c.now = c.now.Add(d)
	}
	all := m.Successions()
	if len(all) != 2 || all[0].From.After(all[1].From) || all[1].From.After(c.now) {
		t.Errorf("at %v: %v", c.now, all)
	}
}

func TestTheNextBusinessKeyIsCommittedToButNotShown(t *testing.T) {
	t.Parallel()
	c := &clock{now: time.Unix(1_800_000_000, 0)}
	m := newManager(t, newMemory(), c)
	digest := m.NextDigest()
	if digest == "" || bytes.Contains(m.PublicJWKS(Business), []byte(digest)) {
		t.Fatalf("digest %q, set %s", digest, m.PublicJWKS(Business))
	}
	if err := m.Rotate(t.Context(), Business); err != nil {
		t.Fatal(err)
	}
	if Thumbprint(m.PublicJWK(Business)) != digest || m.NextDigest() == digest {
		t.Error("the key that follows is not the one committed to")
	}
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if err := json.Unmarshal(m.PublicJWKS(Business), &set); err != nil {
		t.Fatal(err)
	}
	if len(set.Keys) != 2 || set.Keys[0]["exp"] != nil || set.Keys[1]["exp"] == nil || set.Keys[1]["nbf"] == nil {
		t.Errorf("history: %v", set.Keys)
	}
	for _, k := range set.Keys {
		if k["d"] != nil {
			t.Error("a private key is published")
		}
	}
}

func TestReplicasAgreeOnTheirKeys(t *testing.T) {
	t.Parallel()
	c := &clock{now: time.Unix(1_800_000_000, 0)}
	s := newMemory()
	var winner *Manager
	s.raced = func() { winner = newManager(t, s, c) }
	loser := newManager(t, s, c)
	for _, p := range purposes {
		if winner.CurrentKID(p) != loser.CurrentKID(p) {
			t.Errorf("%s: %s and %s", p, winner.CurrentKID(p), loser.CurrentKID(p))
		}
	}
	s.raced = func() {
		if err := winner.Rotate(t.Context(), Token); err != nil {
			t.Error(err)
		}
	}
	if err := loser.Rotate(t.Context(), Token); err == nil {
		t.Error("two replicas rotated the same key")
	}
	if err := loser.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if winner.CurrentKID(Token) != loser.CurrentKID(Token) {
		t.Error("replicas differ after a rotation")
	}
}

func TestSealedDataOpensForTheHolderOnly(t *testing.T) {
	t.Parallel()
	c := &clock{now: time.Unix(1_800_000_000, 0)}
	m, other := newManager(t, newMemory(), c), newManager(t, newMemory(), c)
	secret := []byte(`{"password":"geheim"}`)
	jwe, err := Seal(m.PublicJWK(Sealing), secret)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := m.Open(jwe); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("%s %v", got, err)
	}
	if err := m.Rotate(t.Context(), Sealing); err != nil {
		t.Fatal(err)
	}
	if got, err := m.Open(jwe); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("after rotation: %s %v", got, err)
	}
	if _, err := other.Open(jwe); refusal.Reason(err) != ReasonSealed {
		t.Errorf("another member: %v", err)
	}
	if _, err := m.Open(jwe[:len(jwe)-2] + "AA"); refusal.Reason(err) != ReasonSealed {
		t.Errorf("changed: %v", err)
	}
	if _, err := m.Open("x"); refusal.Reason(err) != ReasonMalformed {
		t.Errorf("garbage: %v", err)
	}
	if _, err := Seal(m.PublicJWK(Business), secret); err == nil {
		t.Error("sealed to a signature key")
	}
	if _, err := m.Sign(Sealing, "x+jwt", nil); err == nil {
		t.Error("signed with a sealing key")
	}
	// Any curve that a partner might publish must lead to an error, not to a panic.
	for _, jwk := range []string{``, `{}`, `{"kty":"oct","k":"AA"}`, `{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}`} {
		if _, err := Seal([]byte(jwk), secret); err == nil {
			t.Errorf("sealed to %q", jwk)
		}
	}
}

func TestWordsAreStableAndSayable(t *testing.T) {
	t.Parallel()
	words := Words("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs")
	if words != Words("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs") || words == Words("other") {
		t.Error("not a function of the thumbprint")
	}
	list := strings.Fields(words)
	if len(list) != 6 {
		t.Fatalf("%q", words)
	}
	for _, w := range list {
		if len(w) != 5 || !strings.ContainsRune(vowels, rune(w[1])) || !strings.ContainsRune(vowels, rune(w[3])) {
			t.Errorf("%q", w)
		}
	}
}
