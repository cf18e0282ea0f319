package chaos

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1/peerv1connect"
	"github.com/hanse-market/hanse/sidecar/internal/tlsdev"
)

const (
	// delayed and overtaken bound what a call waits for.
	delayed   = 1200 * time.Millisecond
	overtaken = 300 * time.Millisecond
	flapEvery = 150 * time.Millisecond
	// metLate is how much longer a fault waits for a call where there was none.
	metLate = 1500 * time.Millisecond
	// parked lets documents wait until the proxy heals, and then go on; feeds go on. No plan has it.
	parked FaultKind = "parked"
	// caughtTime is how long a call with documents may take to come by: a member that was just started asks for a token first.
	caughtTime = 10 * time.Second
	// maxReplayed bounds what is kept of a call to send it twice.
	maxReplayed = 4 << 20
)

// proxy stands at a member's public origin and hands partners' calls to its processes. It ends TLS, so that it can do to one call what a
// network does to packets.
type proxy struct {
	host string
	// targets are the addresses of the member's processes, in turn.
	targets []string
	server  *http.Server
	served  chan error
	to      *http.Transport
	turn    atomic.Uint64
	// twice counts proofs that were taken a second time.
	twice *atomic.Int64

	mu   sync.Mutex
	mode FaultKind
	// closed says that no call is let in, whatever else is done to them.
	closed bool
	// met counts connections and calls that the fault hurt.
	met int
	// waiting are the calls that wait until the proxy heals, where it is parked.
	waiting int
	until   chan struct{} // closed when the fault ends
	conns   map[net.Conn]bool
}

// newProxy listens on an origin's address with a certificate of the dev CA.
func newProxy(ca *tlsdev.CA, host, address string, targets []string, twice *atomic.Int64) (*proxy, error) {
	cert, err := ca.Certificate(host)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	p := &proxy{host: host, targets: targets, served: make(chan error, 1), conns: map[net.Conn]bool{}, twice: twice, until: make(chan struct{})}
	p.to = p.transport(ca.Pool())
	relay := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "https", Host: p.targets[p.turn.Add(1)%uint64(len(p.targets))]})
			r.Out.Host = r.In.Host
		},
		Transport: p.to, FlushInterval: -1, ErrorLog: log.New(io.Discard, "", 0),
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	p.server = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.serve(relay, w, r) }), Protocols: protocols,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: log.New(io.Discard, "", 0), ConnState: p.watch,
	}
	go func() { p.served <- p.server.ServeTLS(l, "", "") }()
	return p, nil
}

func (p *proxy) transport(pool *x509.CertPool) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	return &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: p.host, MinVersion: tls.VersionTLS12}, Protocols: protocols,
		DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, IdleConnTimeout: 10 * time.Second,
		DisableCompression: true,
	}
}

func (p *proxy) close() error {
	p.heal()
	err := p.server.Close()
	p.to.CloseIdleConnections()
	if end := <-p.served; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	return err
}

// watch knows all connections, so that they can be cut.
func (p *proxy) watch(c net.Conn, state http.ConnState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch state {
	case http.StateNew:
		p.conns[c] = true
		if p.mode == Cut {
			p.met++
			_ = c.Close()
		}
	case http.StateClosed, http.StateHijacked:
		delete(p.conns, c)
	}
}

func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		p.met++
		_ = c.Close()
	}
}

// shut lets no call in until open is called, beside any fault; those that are under way are cut.
func (p *proxy) shut() (open func()) {
	set := func(closed bool) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.closed = closed
	}
	set(true)
	p.cut()
	return func() { set(false) }
}

// hurt does a fault to all calls until it is over, and reports whether there were any.
func (p *proxy) hurt(ctx context.Context, kind FaultKind, long time.Duration) (met bool) {
	p.mu.Lock()
	before := p.met
	p.mu.Unlock()
	p.set(kind)
	defer func() {
		p.heal()
		p.mu.Lock()
		met = p.met > before
		p.mu.Unlock()
	}()
	over := time.NewTimer(long)
	defer over.Stop()
	switch kind {
	case Cut:
		p.cut()
	case Flap:
		tick := time.NewTicker(flapEvery)
		defer tick.Stop()
		for off := true; ; off = !off {
			if off {
				p.set(Cut)
				p.cut()
			} else {
				p.set(Flap)
			}
			select {
			case <-ctx.Done():
				return met
			case <-over.C:
				return met
			case <-tick.C:
			}
		}
	}
	select {
	case <-ctx.Done():
	case <-over.C:
		_ = within(ctx, metLate, func() error { // longer where nobody called
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.met == before {
				return errors.New("nobody called")
			}
			return nil
		})
	}
	return met
}

func (p *proxy) set(kind FaultKind) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mode == "" {
		p.until = make(chan struct{})
	}
	p.mode = kind
}

func (p *proxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mode != "" {
		close(p.until)
	}
	p.mode = ""
}

func (p *proxy) serve(relay http.Handler, w http.ResponseWriter, r *http.Request) {
	posted := r.Method == http.MethodPost
	p.mu.Lock()
	mode, until := p.mode, p.until
	if p.closed {
		mode = Cut
	}
	switch mode {
	case Cut, Delay, Reorder, HalfOpen:
		p.met++
	case DropReply:
		if posted {
			p.met++
		}
	case Duplicate:
		if posted && proven(r) {
			p.met++
		}
	}
	p.mu.Unlock()
	switch mode {
	case Cut:
		panic(http.ErrAbortHandler)
	case Delay:
		pause(r.Context(), until, time.Duration(rand.Int64N(int64(delayed))))
	case parked:
		if r.URL.Path == peerv1connect.ExchangeServiceSubmitProcedure {
			p.wait(1)
			select {
			case <-until:
			case <-r.Context().Done():
			}
			p.wait(-1)
		}
	case Reorder:
		if rand.IntN(2) == 0 {
			pause(r.Context(), until, time.Duration(rand.Int64N(int64(overtaken))))
		}
	case HalfOpen:
		select {
		case <-until:
		case <-r.Context().Done():
		}
		panic(http.ErrAbortHandler)
	case DropReply:
		if posted {
			ctx, cancel := context.WithCancel(r.Context()) // a stream would be read by nobody for ever
			defer cancel()
			go func() {
				defer cancel()
				select {
				case <-until:
				case <-ctx.Done():
				}
			}()
			relay.ServeHTTP(&nowhere{header: http.Header{}}, r.WithContext(ctx))
			panic(http.ErrAbortHandler)
		}
	case Duplicate:
		if posted && proven(r) {
			p.double(relay, w, r)
			return
		}
	}
	relay.ServeHTTP(w, r)
}

func (p *proxy) wait(more int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting += more
}

// caught waits until a call with documents does, as long as one may take to come by.
func (p *proxy) caught(ctx context.Context) {
	_ = within(ctx, caughtTime, func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.waiting == 0 {
			return errors.New("no call waits")
		}
		return nil
	})
}

// proven calls bear a proof and end by themselves; a stream would be read for ever.
func proven(r *http.Request) bool {
	return r.Header.Get("DPoP") != "" && !strings.HasPrefix(r.Header.Get("Content-Type"), "application/connect+") && !strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
}

// double delivers a call and then the same once more: who takes a proof twice is found out.
func (p *proxy) double(relay http.Handler, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxReplayed))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	send := func(w http.ResponseWriter) {
		again := r.Clone(r.Context())
		again.Body = io.NopCloser(bytes.NewReader(body))
		again.ContentLength = int64(len(body))
		relay.ServeHTTP(w, again)
	}
	first := &kept{nowhere: nowhere{header: http.Header{}}}
	send(first)
	second := &nowhere{header: http.Header{}}
	func() {
		defer func() { _ = recover() }() // the second may find nobody any more
		send(second)
	}()
	if first.status == http.StatusOK && second.status == http.StatusOK {
		p.twice.Add(1)
	}
	for name, values := range first.header {
		w.Header()[name] = values
	}
	w.WriteHeader(first.code())
	_, _ = w.Write(first.body.Bytes())
}

func pause(ctx context.Context, until <-chan struct{}, d time.Duration) {
	late := time.NewTimer(d)
	defer late.Stop()
	select {
	case <-late.C:
	case <-until:
	case <-ctx.Done():
	}
}

// nowhere takes an answer that nobody gets.
type nowhere struct {
	header http.Header
	status int
}

func (n *nowhere) Header() http.Header { return n.header }
func (n *nowhere) Write(p []byte) (int, error) {
	n.WriteHeader(http.StatusOK)
	return len(p), nil
}

func (n *nowhere) WriteHeader(status int) {
	if n.status == 0 && status >= http.StatusOK {
		n.status = status
	}
}
func (n *nowhere) Flush() {}

// kept takes an answer to be sent later.
type kept struct {
	nowhere
	body bytes.Buffer
}

func (k *kept) Write(p []byte) (int, error) {
	k.WriteHeader(http.StatusOK)
	return k.body.Write(p)
}

func (k *kept) code() int {
	if k.status == 0 {
		return http.StatusOK
	}
	return k.status
}
