package sidecar

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/tlsdev"
)

func TestCertificateFiles_FollowARenewal(t *testing.T) {
	ca, err := tlsdev.Open(t.TempDir(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var log bytes.Buffer
	files := &certificateFiles{cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"), log: slog.New(slog.NewTextHandler(&log, nil))}
	write := func(changed time.Time, withKey bool) *x509.Certificate {
		c, err := ca.Certificate("a.localhost")
		if err != nil {
			t.Fatal(err)
		}
		key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		err = os.WriteFile(files.cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}), 0o600)
		if withKey {
			err = errors.Join(err, os.WriteFile(files.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600))
		}
		if err := errors.Join(err, os.Chtimes(files.cert, changed, changed)); err != nil {
			t.Fatal(err)
		}
		return c.Leaf
	}
	serves := func(want *x509.Certificate) {
		t.Helper()
		got, err := files.get(nil)
		if err != nil || !got.Leaf.Equal(want) {
			t.Errorf("serves another certificate, %v", err)
		}
	}
	begin := time.Now().Add(-time.Hour)
	first := write(begin, true)
	serves(first)
	write(begin.Add(time.Minute), false)
	serves(first)
	if !strings.Contains(log.String(), "keeping the present certificate") {
		t.Error("a half-written renewal is not logged")
	}
	serves(write(begin.Add(2*time.Minute), true))
}
