package notes

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	sessionLife = 30 * 24 * time.Hour
	maxSessions = 64
	// guesses that an address has at once, and one more each guessPause.
	guesses      = 10
	guessPause   = 6 * time.Second
	maxAddresses = 4096
)

// access knows the password, the sessions and who guesses.
type access struct {
	password [sha256.Size]byte
	path     string
	now      func() time.Time
	token    func() string

	mu       sync.Mutex
	sessions map[string]int64 // hash of the token -> end, Unix seconds
	guessers map[string]*rate.Limiter
}

// sessionFile survives restarts. Another password ends all sessions.
type sessionFile struct {
	Password string           `json:"password"`
	Sessions map[string]int64 `json:"sessions"`
}

func openAccess(path, password string, now func() time.Time, token func() string) (*access, error) {
	a := &access{
		password: sha256.Sum256([]byte(password)), path: path, now: now, token: token,
		sessions: map[string]int64{}, guessers: map[string]*rate.Limiter{},
	}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	if err != nil {
		return nil, err
	}
	var file sessionFile
	// A damaged file costs a log-in, no more.
	if json.Unmarshal(raw, &file) == nil && file.Password == a.fingerprint() && file.Sessions != nil {
		a.sessions = file.Sessions
	}
	return a, nil
}

func (a *access) fingerprint() string {
	return hash("sessions of " + hex.EncodeToString(a.password[:]))
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// outcome of a try.
type outcome int

const (
	wrong outcome = iota
	right
	tooMany
)

// try compares in constant time; an address that guessed too often is not heard at all.
func (a *access) try(r *http.Request, password string) outcome {
	sum := sha256.Sum256([]byte(strings.TrimSpace(password)))
	a.mu.Lock()
	defer a.mu.Unlock()
	now, from := a.now(), address(r)
	limiter := a.guessers[from]
	if limiter != nil && limiter.TokensAt(now) < 1 {
		return tooMany
	}
	if subtle.ConstantTimeCompare(sum[:], a.password[:]) == 1 {
		return right
	}
	if limiter == nil {
		a.forget(now)
		limiter = rate.NewLimiter(rate.Every(guessPause), guesses)
		a.guessers[from] = limiter
	}
	limiter.AllowN(now, 1)
	return wrong
}

// forget keeps the map of guessers small: first those who have stopped, then all.
func (a *access) forget(now time.Time) {
	if len(a.guessers) < maxAddresses {
		return
	}
	maps.DeleteFunc(a.guessers, func(_ string, l *rate.Limiter) bool { return l.TokensAt(now) >= guesses })
	if len(a.guessers) >= maxAddresses {
		clear(a.guessers)
	}
}

// address is who to blame for a guess. A proxy on this machine tells; a /64 is one IPv6 household.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	ip := net.ParseIP(host)
	if forwarded := r.Header.Values("X-Forwarded-For"); ip != nil && ip.IsLoopback() && len(forwarded) > 0 {
		hops := strings.Split(forwarded[len(forwarded)-1], ",")
		if via := net.ParseIP(strings.TrimSpace(hops[len(hops)-1])); via != nil {
			ip = via
		}
	}
	if ip == nil {
		return host
	}
	if ip.To4() == nil {
		return ip.Mask(net.CIDRMask(64, 128)).String()
	}
	return ip.String()
}

// login begins a session.
func (a *access) login() (token string, err error) {
	token = a.token()
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now().Unix()
	maps.DeleteFunc(a.sessions, func(_ string, end int64) bool { return end <= now })
	if len(a.sessions) >= maxSessions {
		oldest := slices.MinFunc(slices.Collect(maps.Keys(a.sessions)), func(x, y string) int {
			return cmp.Compare(a.sessions[x], a.sessions[y])
		})
		delete(a.sessions, oldest)
	}
	a.sessions[hash(token)] = now + int64(sessionLife.Seconds())
	return token, a.save()
}

func (a *access) logout(token string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.sessions, hash(token))
	return a.save()
}

// in says whether the token is of a living session. Tokens are looked up by hash, so timing tells nothing.
func (a *access) in(token string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sessions[hash(token)] > a.now().Unix()
}

func (a *access) save() error {
	raw, err := json.Marshal(sessionFile{Password: a.fingerprint(), Sessions: a.sessions})
	if err != nil {
		return err
	}
	return replaceFile(a.path, raw)
}
