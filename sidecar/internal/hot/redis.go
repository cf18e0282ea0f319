package hot

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// RedisConfig names the Redis that replicas share.
type RedisConfig struct {
	// Addresses are host:port, or the path of a unix socket: one for a single server, sentinels with MasterName, several
	// without it for a cluster. Required.
	Addresses []string
	// MasterName is the sentinels' name of the master; default none.
	MasterName string
	// Username and Password of the ACL user; default none.
	Username string
	Password string
	// TLS encrypts the connections, verified against the system's CAs; default false.
	TLS bool
	// Prefix separates members that share a server; the member's origin. Required.
	Prefix string
	// Timeout of each step; default 500 ms. A call that fails has failed after about twice that.
	Timeout time.Duration
	// Now is the clock; default time.Now.
	Now func() time.Time
	// Logger; default discards.
	Logger *slog.Logger
}

const (
	// birthAge is how long Birth returns what it heard before; every Claim hears it anew.
	birthAge = time.Second
	// quarantine is how long nothing is claimed after the memory was lost under us: proofs that were compared with the birth
	// before may still be on their way, and a master that is being demoted may still answer other replicas.
	quarantine = 2 * time.Second
)

// ErrMemoryLost says that the server forgot claims; proofs made before now are refused from here on.
var ErrMemoryLost = errors.New("redis lost its memory; proofs must be made anew")

// Redis is State in a Redis server, sentinel or cluster. All keys are in one slot, so that the birth speaks for all of them.
type Redis struct {
	topics
	cfg    RedisConfig
	client redis.UniversalClient
	self   string

	mu     sync.Mutex
	birth  string // run id and milliseconds, as the server keeps it
	heard  time.Time
	closed time.Time // nothing is claimed before

	send chan struct{}
	pend map[unit.Topic]bool // topics to publish
}

var _ State = (*Redis)(nil)

// NewRedis connects, and refuses a server that may evict keys. It starts nothing: wake-ups go between replicas while Run runs.
func NewRedis(ctx context.Context, cfg RedisConfig) (*Redis, error) {
	if len(cfg.Addresses) == 0 || cfg.Prefix == "" {
		return nil, errors.New("redis: addresses and prefix are required")
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 500 * time.Millisecond
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Redis{
		cfg: cfg, topics: newTopics(), client: redis.NewUniversalClient(options(cfg)), self: newInstance(),
		send: make(chan struct{}, 1), pend: map[unit.Topic]bool{},
	}
	if err := r.hear(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("redis: %w", err), r.client.Close())
	}
	return r, nil
}

func options(cfg RedisConfig) *redis.UniversalOptions {
	o := &redis.UniversalOptions{
		Addrs: cfg.Addresses, MasterName: cfg.MasterName, Username: cfg.Username, Password: cfg.Password,
		DialTimeout: cfg.Timeout, ReadTimeout: cfg.Timeout, WriteTimeout: cfg.Timeout, PoolTimeout: cfg.Timeout,
		ContextTimeoutEnabled: true,
		// A claim whose answer was lost must not be sent again: it would find itself and call an honest proof replayed.
		MaxRetries: -1, DialerRetries: 1,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if cfg.TLS {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if strings.HasPrefix(cfg.Addresses[0], "/") {
		o.Dialer = func(ctx context.Context, _, addr string) (net.Conn, error) {
			d := net.Dialer{Timeout: cfg.Timeout}
			return d.DialContext(ctx, "unix", cfg.Addresses[0])
		}
	}
	return o
}

// key puts all keys of a member into one slot of a cluster.
func (r *Redis) key(parts ...string) string {
	return "hanse:{" + r.cfg.Prefix + "}:" + strings.Join(parts, ":")
}

// hear learns the birth from the server, which makes it if there is none.
func (r *Redis) hear(ctx context.Context) error {
	_, err := r.claim(ctx, "", 0)
	if errors.Is(err, ErrMemoryLost) {
		return nil // it is known now
	}
	return err
}

// claim runs the script; with an empty key it only learns the birth.
func (r *Redis) claim(ctx context.Context, key string, ttl time.Duration) (bool, error) {
	r.mu.Lock()
	known := r.birth
	r.mu.Unlock()
	keys := []string{r.key("birth")}
	if key != "" {
		keys = append(keys, r.key("claim", key))
	}
	now := r.cfg.Now()
	answer, err := claimScript.Run(ctx, r.client, keys, now.UnixMilli(), known, max(ttl.Milliseconds(), 1), quarantine.Milliseconds()).Slice()
	if err != nil {
		return false, err
	}
	if len(answer) != 2 {
		return false, errors.New("unexpected answer")
	}
	status, _ := answer[0].(int64)
	birth, _ := answer[1].(string)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.birth == known || r.birth == birth {
		r.heard = now
	}
	if status < 0 {
		if r.birth == known && birth != known { // else another call was faster
			if known != "" {
				r.closed = now.Add(quarantine)
				r.cfg.Logger.Warn("redis lost its memory, older proofs are refused from here on")
			}
			r.birth = birth
		}
		return false, ErrMemoryLost
	}
	if key != "" && now.Before(r.closed) {
		return false, ErrMemoryLost
	}
	return status == 1, nil
}

// Claim implements State.
func (r *Redis) Claim(ctx context.Context, key string, ttl time.Duration) (bool, error) {
	return r.claim(ctx, key, ttl)
}

// Birth implements State.
func (r *Redis) Birth(ctx context.Context) (time.Time, error) {
	r.mu.Lock()
	fresh := r.cfg.Now().Sub(r.heard) < birthAge
	r.mu.Unlock()
	if !fresh {
		if err := r.hear(ctx); err != nil {
			return time.Time{}, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, millis, _ := strings.Cut(r.birth, " ")
	ms, err := strconv.ParseInt(millis, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("redis: birth %q is damaged", r.birth)
	}
	return time.UnixMilli(ms).UTC(), nil
}

// Mark implements State; a shorter ttl than the present one changes nothing.
func (r *Redis) Mark(ctx context.Context, key string, ttl time.Duration) error {
	return markScript.Run(ctx, r.client, []string{r.key("mark", key)}, max(ttl.Milliseconds(), 1)).Err()
}

// Marked implements State.
func (r *Redis) Marked(ctx context.Context, key string) (bool, error) {
	n, err := r.client.Exists(ctx, r.key("mark", key)).Result()
	return n > 0, err
}

// Allow implements State.
func (r *Redis) Allow(ctx context.Context, key string, perSecond float64, burst int) (bool, time.Duration, error) {
	if perSecond <= 0 || burst < 1 {
		return false, 0, errRate
	}
	interval := time.Duration(float64(time.Second) / perSecond)
	wait, err := allowScript.Run(ctx, r.client, []string{r.key("rate", key)},
		r.cfg.Now().UnixMicro(), max(interval.Microseconds(), 1), burst).Int64()
	if err != nil {
		return false, 0, err
	}
	return wait == 0, time.Duration(wait) * time.Microsecond, nil
}

// Lease implements State.
func (r *Redis) Lease(ctx context.Context, name, owner string, ttl time.Duration) (bool, error) {
	return leaseScript.Run(ctx, r.client, []string{r.key("lease", name)}, owner, max(ttl.Milliseconds(), 1)).Bool()
}

// Release implements State.
func (r *Redis) Release(ctx context.Context, name, owner string) error {
	return releaseScript.Run(ctx, r.client, []string{r.key("lease", name)}, owner).Err()
}

// Close implements State.
func (r *Redis) Close() error { return r.client.Close() }
