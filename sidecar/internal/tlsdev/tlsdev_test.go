package tlsdev

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary play one of several processes that open the same folder.
func TestMain(m *testing.M) {
	if dir := os.Getenv("TLSDEV_TEST_OPEN"); dir != "" {
		ca, err := Open(dir, time.Now)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Printf("%x", ca.cert.Raw)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestOpen_ProcessesThatStartTogetherAgree(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "deep", "ca")
	type result struct {
		out []byte
		err error
	}
	results := make(chan result)
	const processes = 6
	for range processes {
		go func() {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "TLSDEV_TEST_OPEN="+dir)
			out, err := cmd.CombinedOutput()
			results <- result{out, err}
		}()
	}
	seen := map[string]bool{}
	for range processes {
		r := <-results
		if r.err != nil {
			t.Fatalf("%v: %s", r.err, r.out)
		}
		seen[string(r.out)] = true
	}
	if len(seen) != 1 {
		t.Errorf("%d CAs came to be", len(seen))
	}
	info, err := os.Stat(filepath.Join(dir, keyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v, %v", info, err)
	}
}

func TestOpen_FinishesWhatACrashLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, keyFile), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, time.Now); err != nil {
		t.Errorf("key without certificate: %v", err)
	}
}

func TestOpen_NeverReplacesACASilently(t *testing.T) {
	t.Parallel()
	later := func() time.Time { return time.Now().Add(caLife + 24*time.Hour) }
	for name, tc := range map[string]struct {
		damage func(dir string) error
		now    func() time.Time
		text   string
	}{
		"key is gone":         {func(dir string) error { return os.Remove(filepath.Join(dir, keyFile)) }, time.Now, "its key"},
		"certificate is junk": {func(dir string) error { return os.WriteFile(filepath.Join(dir, CertFile), []byte("x"), 0o600) }, time.Now, "holds no CERTIFICATE"},
		"expired":             {func(string) error { return nil }, later, "expired"},
		"key of another CA": {func(dir string) error {
			other := filepath.Join(dir, "other")
			if _, err := Open(other, time.Now); err != nil {
				return err
			}
			return os.Rename(filepath.Join(other, keyFile), filepath.Join(dir, keyFile))
		}, time.Now, "do not belong together"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if _, err := Open(dir, time.Now); err != nil {
				t.Fatal(err)
			}
			if err := tc.damage(dir); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(dir, tc.now); err == nil || !strings.Contains(err.Error(), tc.text) || !strings.Contains(err.Error(), "remove the folder") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestCertificate_IsAcceptedOverTLSUnderItsNameOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server, err := Open(dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := server.Certificate("a.localhost")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{
		ReadHeaderTimeout: time.Second,
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }),
	}
	go func() {
		_ = s.Serve(tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}))
	}()
	t.Cleanup(func() { _ = s.Close() })

	// Another process reads the same folder.
	client, err := Open(dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	dial := func(name string) error {
		c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: client.Pool(), ServerName: name})
		if err == nil {
			_ = c.Close()
		}
		return err
	}
	if err := dial("a.localhost"); err != nil {
		t.Errorf("a.localhost: %v", err)
	}
	if err := dial("b.localhost"); err == nil {
		t.Error("b.localhost was accepted with a.localhost's certificate")
	}
}

func TestCA_CannotVouchForRealNames(t *testing.T) {
	t.Parallel()
	ca, err := Open(t.TempDir(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"example.org", "localhost.example.org", "xlocalhost", ""} {
		if _, err := ca.Certificate(name); err == nil {
			t.Errorf("made a certificate for %q", name)
		}
	}
	// Somebody with the key signs it all the same: verification has to refuse it.
	stolen := &x509.Certificate{SerialNumber: serial(), DNSNames: []string{"example.org"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(nil, stolen, ca.cert, ca.key.Public(), ca.key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{DNSName: "example.org", Roots: ca.Pool()}); err == nil {
		t.Error("the name constraint does not hold")
	}
}
