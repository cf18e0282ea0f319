package sidecar

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// lookEvery is how often the files are read at most, whatever the number of connections.
const lookEvery = time.Second

// remindEvery is how long the same trouble with a renewal stays unsaid.
const remindEvery = time.Hour

// certificateFiles follows a certificate that an ACME client renews on disk, without a restart. What counts is what the files
// hold: times and inodes do not change with every way to renew (a copied backup, a swapped symbolic link, a coarse clock).
type certificateFiles struct {
	mu        sync.Mutex
	cert, key string
	host      string
	now       func() time.Time
	log       *slog.Logger

	looked   time.Time
	pair     []byte // both files as they were read for current
	current  *tls.Certificate
	trouble  string
	said     time.Time
	failures uint64
	failed   int // looks in a row that found no better one
}

// follow names the files. Config shares one certificateFiles among its copies, so that New's metrics see what PeerTLS serves.
func (f *certificateFiles) follow(c Config, host string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cert, f.key, f.host, f.now, f.log = c.TLS.CertFile, c.TLS.KeyFile, host, c.Now, c.Logger
}

// begin takes the first certificate. Files that are no pair, or for another host, are refused: whoever set them up meant others. A
// wrong date is not: a sidecar that ran would serve on, a restart is no reason to take portals and customers down, and it may be this
// machine's clock that is wrong.
func (f *certificateFiles) begin() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if err := f.load(now); err != nil {
		return err
	}
	if err := dated(f.current.Leaf, now); err != nil {
		f.failures++
		f.say(now, fmt.Sprintf(refused, err))
	}
	return nil
}

// refused is the trouble with the date of what is served.
const refused = "partners refuse us: %v, and no better one is there"

// load takes the files' content if it is new and good; if there is none yet, whatever its date.
func (f *certificateFiles) load(now time.Time) error {
	cert, err := os.ReadFile(f.cert)
	if err != nil {
		return err
	}
	key, err := os.ReadFile(f.key)
	if err != nil {
		return err
	}
	pair := bytes.Join([][]byte{cert, key}, []byte{0})
	if f.current != nil && bytes.Equal(pair, f.pair) {
		return nil
	}
	c, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("%s and %s: %w", f.cert, f.key, err)
	}
	err = suits(c.Leaf, f.host)
	if err == nil && f.current != nil {
		err = dated(c.Leaf, now)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", f.cert, err)
	}
	f.current, f.pair = &c, pair
	return nil
}

// suits refuses a certificate for another host. Who signed it is partners' to judge.
func suits(leaf *x509.Certificate, host string) error {
	if leaf.VerifyHostname(host) != nil {
		named := "no host"
		if len(leaf.DNSNames) > 0 {
			named = strings.Join(leaf.DNSNames, ", ")
		}
		return fmt.Errorf("it is for %s and not for %s, the host of the origin", named, host)
	}
	return nil
}

// dated refuses one that partners would refuse now.
func dated(leaf *x509.Certificate, now time.Time) error {
	if now.After(leaf.NotAfter) {
		return fmt.Errorf("it expired at %s", leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	if now.Before(leaf.NotBefore) {
		return fmt.Errorf("it is not valid before %s, by this machine's clock", leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	return nil
}

// get keeps the certificate it has while the files are being replaced, and for as long as what replaced it is no better.
func (f *certificateFiles) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.look()
	return f.current, nil
}

func (f *certificateFiles) look() {
	now := f.now()
	if d := now.Sub(f.looked); d >= 0 && d < lookEvery {
		return
	}
	f.looked = now
	before := f.current
	err := f.load(now)
	if err == nil {
		f.failed = 0
	}
	outdated := dated(f.current.Leaf, now)
	switch {
	case err != nil:
		f.failures++
		// The first look may have met an ACME client between the certificate and its key.
		if f.failed++; f.failed > 1 {
			f.say(now, fmt.Sprintf("the renewed certificate cannot be used, the present one is served: %v", err))
		}
	case f.current != before:
		f.trouble = ""
		f.log.Info("certificate renewed", "file", f.cert, "expires", f.current.Leaf.NotAfter.UTC())
	case outdated != nil:
		f.say(now, fmt.Sprintf(refused, outdated))
	default:
		f.trouble = ""
	}
}

// say logs a trouble once, and again when it lasts.
func (f *certificateFiles) say(now time.Time, trouble string) {
	if trouble == f.trouble && now.Sub(f.said) < remindEvery {
		return
	}
	f.trouble, f.said = trouble, now
	f.log.Error("certificate of the peer listener", "file", f.cert, "problem", trouble, "expires", f.current.Leaf.NotAfter.UTC())
}

// state is what metrics show: when what is served expires (zero while nothing is) and how many looks found no better. It looks
// too: a renewal that fails shows although no partner connects.
func (f *certificateFiles) state() (expires time.Time, failures uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current == nil {
		return expires, f.failures
	}
	f.look()
	return f.current.Leaf.NotAfter, f.failures
}
