package sidecar

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pair is a certificate and its key as PEM files hold them.
type pair struct{ cert, key []byte }

// newPair is good for sidecar.example around now, unless change makes it something else.
func newPair(t *testing.T, now time.Time, change ...func(*x509.Certificate)) pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, DNSNames: []string{"sidecar.example"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(90 * 24 * time.Hour),
	}
	for _, c := range change {
		c(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pair{
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}
}

func names(list ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.DNSNames = list }
}

// listener is a member's TLS with its files, its clock and its log.
type listener struct {
	t   *testing.T
	dir string
	now time.Time
	log bytes.Buffer
	cfg Config
}

func newListener(t *testing.T) *listener {
	t.Helper()
	l := &listener{t: t, dir: t.TempDir(), now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	cfg, err := Config{
		Origin: "https://sidecar.example", TLS: TLS{CertFile: filepath.Join(l.dir, "cert.pem"), KeyFile: filepath.Join(l.dir, "key.pem")},
		Now: func() time.Time { return l.now }, Logger: slog.New(slog.NewTextHandler(&l.log, nil)),
	}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	l.cfg = cfg
	return l
}

// write replaces a file and keeps its old modification time, as a renewal within a clock's tick or by a copy with times does.
func (l *listener) write(path string, content []byte) {
	l.t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		l.t.Fatal(err)
	}
	same := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	if err := os.Chtimes(path, same, same); err != nil {
		l.t.Fatal(err)
	}
}

func (l *listener) put(p pair) {
	l.t.Helper()
	l.write(l.cfg.TLS.CertFile, p.cert)
	l.write(l.cfg.TLS.KeyFile, p.key)
}

// start is the TLS that the member begins with.
func (l *listener) start() *tls.Config {
	l.t.Helper()
	c, err := l.cfg.PeerTLS()
	if err != nil {
		l.t.Fatal(err)
	}
	return c
}

// serves checks what the next partner sees, a moment later.
func (l *listener) serves(c *tls.Config, want pair) {
	l.t.Helper()
	l.now = l.now.Add(lookEvery)
	got, err := c.GetCertificate(nil)
	if err != nil {
		l.t.Fatal(err)
	}
	if block, _ := pem.Decode(want.cert); !bytes.Equal(got.Certificate[0], block.Bytes) {
		l.t.Errorf("another certificate is served; the log:\n%s", l.log.String())
	}
}

func TestPeerTLS_LoadsWhatTheFilesHold(t *testing.T) {
	for name, renew := range map[string]func(l *listener, p pair){
		"files with an unchanged time": func(l *listener, p pair) { l.put(p) },
		"files that are moved in place": func(l *listener, p pair) {
			for path, content := range map[string][]byte{l.cfg.TLS.CertFile: p.cert, l.cfg.TLS.KeyFile: p.key} {
				l.write(path+".new", content)
				if err := os.Rename(path+".new", path); err != nil {
					l.t.Fatal(err)
				}
			}
		},
		"the key first": func(l *listener, p pair) {
			l.write(l.cfg.TLS.KeyFile, p.key)
			l.write(l.cfg.TLS.CertFile, p.cert)
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newListener(t)
			first, second := newPair(t, l.now), newPair(t, l.now)
			l.put(first)
			c := l.start()
			l.serves(c, first)
			renew(l, second)
			l.serves(c, second)
			if _, failures := l.cfg.certificate.state(); failures != 0 || !strings.Contains(l.log.String(), "certificate renewed") {
				t.Errorf("%d failures; the log:\n%s", failures, l.log.String())
			}
		})
	}
}

// TestPeerTLS_FollowsASwappedLink renews as Kubernetes does: ..data leads to another folder, all at once.
func TestPeerTLS_FollowsASwappedLink(t *testing.T) {
	l := newListener(t)
	first, second := newPair(t, l.now), newPair(t, l.now)
	for i, p := range []pair{first, second} {
		folder := filepath.Join(l.dir, []string{"..1", "..2"}[i])
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		l.write(filepath.Join(folder, "cert.pem"), p.cert)
		l.write(filepath.Join(folder, "key.pem"), p.key)
	}
	link := func(target, name string) {
		t.Helper()
		if err := os.Symlink(target, filepath.Join(l.dir, "new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(l.dir, "new"), filepath.Join(l.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("..1", "..data")
	link("..data/cert.pem", "cert.pem")
	link("..data/key.pem", "key.pem")
	c := l.start()
	l.serves(c, first)
	link("..2", "..data")
	l.serves(c, second)
}

// undated says which of bad are right but for their dates.
func undated(name string) bool { return name == "expired" || name == "not yet valid" }

// bad are files that partners would refuse, or that are no pair.
func bad(t *testing.T, now time.Time) map[string]struct {
	pair pair
	text string
} {
	good, other := newPair(t, now), newPair(t, now)
	day := 24 * time.Hour
	return map[string]struct {
		pair pair
		text string
	}{
		"another host":                  {newPair(t, now, names("www.example", "*.other.example")), "for www.example, *.other.example and not for sidecar.example"},
		"a name below":                  {newPair(t, now, names("*.sidecar.example")), "not for sidecar.example"},
		"no name":                       {newPair(t, now, names()), "for no host"},
		"a common name only":            {newPair(t, now, names(), func(c *x509.Certificate) { c.Subject.CommonName = "sidecar.example" }), "for no host"},
		"expired":                       {newPair(t, now, func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(-2*day), now.Add(-day) }), "expired at 2026-11-20"},
		"not yet valid":                 {newPair(t, now, func(c *x509.Certificate) { c.NotBefore = now.Add(day) }), "not valid before 2026-11-22"},
		"another key":                   {pair{good.cert, other.key}, "does not match"},
		"half a certificate":            {pair{good.cert[:len(good.cert)/2], good.key}, "failed to find any PEM data"},
		"half a key":                    {pair{good.cert, good.key[:len(good.key)/2]}, "failed to find any PEM data"},
		"empty files":                   {pair{nil, nil}, "failed to find any PEM data"},
		"key and certificate exchanged": {pair{good.key, good.cert}, "may have been switched"},
	}
}

func TestPeerTLS_RefusesToStartWithWhatPartnersWouldRefuse(t *testing.T) {
	for name, c := range bad(t, newListener(t).now) {
		t.Run(name, func(t *testing.T) {
			l := newListener(t)
			l.put(c.pair)
			if err := l.cfg.Check(); err == nil || !strings.Contains(err.Error(), c.text) {
				t.Errorf("config check says %v, want %q", err, c.text)
			}
			if undated(name) {
				return
			}
			_, err := l.cfg.PeerTLS()
			if err == nil || !strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), l.cfg.TLS.CertFile) {
				t.Errorf("got %v, want %q", err, c.text)
			}
		})
	}
	t.Run("a wildcard", func(t *testing.T) {
		l := newListener(t)
		l.put(newPair(t, l.now, names("*.example")))
		l.start()
	})
	t.Run("no file", func(t *testing.T) {
		if _, err := newListener(t).cfg.PeerTLS(); err == nil {
			t.Error("started")
		}
	})
}

func TestPeerTLS_StartsWithWrongDatesAndSaysSo(t *testing.T) {
	for name, c := range bad(t, newListener(t).now) {
		if !undated(name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			l := newListener(t)
			l.put(c.pair)
			tls := l.start()
			l.serves(tls, c.pair)
			if said := l.log.String(); strings.Count(said, "partners refuse us") != 1 || !strings.Contains(said, c.text) || !strings.Contains(said, "ERROR") {
				t.Errorf("the log:\n%s", said)
			}
			if _, failures := l.cfg.certificate.state(); failures != 1 {
				t.Errorf("%d failures are counted", failures)
			}
			renewed := newPair(t, l.now)
			l.put(renewed)
			l.serves(tls, renewed)
		})
	}
	t.Run("the clock is put right", func(t *testing.T) {
		l := newListener(t)
		p := newPair(t, l.now)
		l.put(p)
		l.now = l.now.Add(-48 * time.Hour)
		tls := l.start()
		l.now = l.now.Add(48 * time.Hour)
		l.serves(tls, p)
		if trouble := l.cfg.certificate.trouble; trouble != "" {
			t.Errorf("it still says %s", trouble)
		}
	})
}

func TestPeerTLS_KeepsTheCertificateThatARenewalDoesNotBetter(t *testing.T) {
	for name, c := range bad(t, newListener(t).now) {
		t.Run(name, func(t *testing.T) {
			l := newListener(t)
			first, third := newPair(t, l.now), newPair(t, l.now)
			l.put(first)
			tls := l.start()
			l.put(c.pair)
			l.serves(tls, first)
			if strings.Contains(l.log.String(), "ERROR") {
				t.Errorf("the first look, which may come amid a renewal, says:\n%s", l.log.String())
			}
			for range 2 {
				l.serves(tls, first)
			}
			if said := strings.Count(l.log.String(), "the present one is served"); said != 1 || !strings.Contains(l.log.String(), c.text) {
				t.Errorf("said %d times, want %q in:\n%s", said, c.text, l.log.String())
			}
			if _, failures := l.cfg.certificate.state(); failures != 3 {
				t.Errorf("%d failures are counted", failures)
			}
			l.put(third)
			l.serves(tls, third)
		})
	}
	t.Run("files that are gone", func(t *testing.T) {
		l := newListener(t)
		first := newPair(t, l.now)
		l.put(first)
		tls := l.start()
		if err := os.Remove(l.cfg.TLS.KeyFile); err != nil {
			t.Fatal(err)
		}
		l.serves(tls, first)
	})
}

func TestPeerTLS_SaysThatItsCertificateHasExpired(t *testing.T) {
	l := newListener(t)
	first := newPair(t, l.now)
	l.put(first)
	c := l.start()
	l.now = l.now.Add(91 * 24 * time.Hour)
	l.serves(c, first)
	if !strings.Contains(l.log.String(), "it expired at") {
		t.Errorf("the log:\n%s", l.log.String())
	}
	if expires, _ := l.cfg.certificate.state(); !expires.Before(l.now) {
		t.Errorf("expires %v", expires)
	}
	renewed := newPair(t, l.now)
	l.put(renewed)
	l.serves(c, renewed)
}
