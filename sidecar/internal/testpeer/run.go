package testpeer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	peerv1 "github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1"

	"github.com/hanse-market/hanse/auth/guard"
	"github.com/hanse-market/hanse/sidecar/internal/peerlink"
)

// Config of a run.
type Config struct {
	// Target is the origin of the member under test. Required.
	Target string
	// Side is the part that we play.
	Side Side
	// Origin is ours; default, in dev mode alone, https://testpeer.localhost and the port of Listener.
	Origin string
	// Dev plays among members of dev mode (O-3).
	Dev bool
	// Listener is where our origin leads to. Run closes it. Required.
	Listener net.Listener
	// Certificate is that of a host of ours. Required.
	Certificate func(host string) (tls.Certificate, error)
	// Roots are what the member under test is verified with; nil is the system's.
	Roots *x509.CertPool
	// Offering that is ordered; default the first that can be.
	Offering string
	// Inputs of orders, as JSON; default {}.
	Inputs []byte
	// Patience is how long people of the other side may take; default ten minutes.
	Patience time.Duration
	// Wait is how long the member under test may take for what it does by itself; default a minute.
	Wait time.Duration
	// Progress is told, line by line, what happens and what is waited for; default nobody is.
	Progress io.Writer
	// Asked is told what people of the other side have to do now; default nobody is, beside Progress.
	Asked func(Wish)
}

// Wish is what people of the other side have to do.
type Wish struct {
	// Origin is ours towards which, Side the part that we play there.
	Origin string
	Side   Side
	// Command is what they type; "" where they order Offering in their portal.
	Command  string
	Offering string
}

// Report is what a run found.
type Report struct {
	Against  string    `json:"against"`
	Side     Side      `json:"side"`
	Findings []Finding `json:"findings"`
}

// Kept reports whether every case is.
func (r Report) Kept() bool {
	return !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Verdict != Kept })
}

// caseTime bounds one case beyond the patience with people.
const caseTime = 3 * time.Minute

// Run plays cases of one side against a member, in their order. An error says that nothing could be played; of each case the report says.
func Run(ctx context.Context, cfg Config, cases []Case) (Report, error) {
	if cfg.Patience == 0 {
		cfg.Patience = 10 * time.Minute
	}
	if cfg.Wait == 0 {
		cfg.Wait = time.Minute
	}
	if cfg.Progress == nil {
		cfg.Progress = io.Discard
	}
	if cfg.Inputs == nil {
		cfg.Inputs = []byte("{}")
	}
	if cfg.Origin == "" && cfg.Dev {
		_, port, err := net.SplitHostPort(cfg.Listener.Addr().String())
		if err != nil {
			return Report{}, err
		}
		cfg.Origin = "https://testpeer.localhost:" + port
	}
	for _, origin := range []string{cfg.Origin, cfg.Target} {
		if canonical, err := guard.Origin(origin, cfg.Dev); err != nil || canonical != origin {
			return Report{}, fmt.Errorf("%q is no origin: %w", origin, errors.Join(err, errors.New("write it as https://sidecar.example")))
		}
	}
	h := &house{cfg: cfg, peers: map[string]*peer{}, doors: map[string]http.Handler{}, failed: map[string]error{}}
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(tls.NewListener(cfg.Listener, &tls.Config{
			MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
			GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
				c, err := cfg.Certificate(hello.ServerName)
				return &c, err
			},
		}))
	}()
	defer func() {
		_ = server.Close()
		<-served
		h.close()
	}()
	report := Report{Against: cfg.Target, Side: cfg.Side, Findings: []Finding{}}
	for i, c := range cases {
		fmt.Fprintf(cfg.Progress, "%d of %d: %s\n", i+1, len(cases), c.Name)
		began := time.Now()
		f := c.judge(h.play(ctx, c), time.Since(began))
		f.Took = time.Since(began).Milliseconds()
		fmt.Fprintf(cfg.Progress, "%d of %d: %s is %s\n", i+1, len(cases), c.Name, f.Verdict)
		report.Findings = append(report.Findings, f)
		if ctx.Err() != nil {
			return report, ctx.Err()
		}
	}
	return report, nil
}

// house serves all our members of a run, told apart by their host.
type house struct {
	cfg Config

	mu     sync.Mutex
	peers  map[string]*peer
	doors  map[string]http.Handler
	failed map[string]error
}

func (h *house) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	door := h.doors[r.Host]
	h.mu.Unlock()
	if door == nil {
		http.NotFound(w, r)
		return
	}
	door.ServeHTTP(w, r)
}

func (h *house) close() {
	for _, p := range h.peers {
		p.guard.Close()
	}
}

// originOf is the origin of a case: those alone have the first label of ours with their name behind it.
func (h *house) originOf(c Case) string {
	if !c.Alone {
		return h.cfg.Origin
	}
	label, rest, _ := strings.Cut(h.cfg.Origin, ".")
	return label + "-" + c.Name + "." + rest
}

// play plays one case as a partner, which it becomes first.
func (h *house) play(ctx context.Context, c Case) error {
	p, err := h.partner(ctx, h.originOf(c))
	if err != nil {
		return err
	}
	limit := caseTime
	if c.Order {
		limit += h.cfg.Patience
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer p.honest()
	return c.play(ctx, p)
}

// partner is our member of an origin, in an active agreement. What kept it from that keeps all its cases from being played.
func (h *house) partner(ctx context.Context, origin string) (*peer, error) {
	if p := h.peers[origin]; p != nil {
		return p, h.failed[origin]
	}
	p, err := newPeer(ctx, h.cfg, origin)
	if err != nil {
		return nil, err
	}
	door, err := p.door()
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(origin)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	h.doors[u.Host] = door
	h.mu.Unlock()
	h.peers[origin] = p
	if err = p.partner(ctx); err != nil {
		var b *breach
		if !errors.As(err, &b) {
			err = fmt.Errorf("become a partner: %w", err)
		}
		h.failed[origin] = err
	}
	return p, err
}

// ask tells people of the other side what they have to do now.
func (p *peer) ask(w Wish) {
	if w.Command != "" {
		fmt.Fprintf(p.cfg.Progress, "waiting for the operator of %s, who types: %s\n", p.target, w.Command)
	} else {
		fmt.Fprintf(p.cfg.Progress, "waiting for an order of %q in a portal of %s\n", w.Offering, p.target)
	}
	if p.cfg.Asked != nil {
		p.cfg.Asked(w)
	}
}

func directory(g *guard.Guard) *peerlink.Directory {
	return &peerlink.Directory{Fetch: g, Now: time.Now}
}

func joined(reasons []string) string { return strings.Join(reasons, " or ") }

// told says an outcome in words.
func told(o *peerv1.Outcome) string {
	switch {
	case o.GetDecided() != nil:
		return fmt.Sprintf("decided at %d.%d", o.GetDecided().GetLife(), o.GetDecided().GetSeq())
	case o.GetUndecided() != nil:
		final := ""
		if o.GetUndecided().GetFinal() {
			final = ", final"
		}
		return "undecided " + o.GetUndecided().GetReason() + final
	}
	return "noted"
}
