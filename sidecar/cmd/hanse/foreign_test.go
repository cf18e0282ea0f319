package main

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/tlsdev"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// TestAForeignOAuthClientIsAtHome lets npm's oauth4webapi discover `hanse serve`, get a DPoP-bound token and validate it.
func TestAForeignOAuthClientIsAtHome(t *testing.T) {
	devCA := t.TempDir()
	d := sidecartest.NewDaemon(t, sidecartest.DaemonConfig{Name: "issuer", DevCA: devCA})
	d.Start()

	ca, err := tlsdev.Open(devCA, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := ca.Certificate("foreign.localhost")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	key, err := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, ders ...[]byte) string {
		path := filepath.Join(dir, name)
		var out []byte
		for _, der := range ders {
			out = append(out, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
		}
		if err := os.WriteFile(path, out, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	certFile := write("cert.pem", "CERTIFICATE", leaf.Certificate...)
	keyFile := write("key.pem", "PRIVATE KEY", key)
	caFile := write("ca.pem", "CERTIFICATE", leaf.Certificate[len(leaf.Certificate)-1])

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	origin := fmt.Sprintf("https://foreign.localhost:%d", l.Addr().(*net.TCPAddr).Port)
	_ = l.Close()

	cmd := exec.Command("node", "test/oauth4webapi.mjs", d.Origin, origin, certFile, keyFile, caFile)
	cmd.Dir = filepath.Join("..", "..", "..", "sdk", "web")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("the foreign client failed (npm ci in sdk/web installs it): %v\n%s\n%s", err, out, d.Log())
	}
	var got struct {
		Issuer    string `json:"issuer"`
		TokenType string `json:"token_type"`
		ExpiresIn int    `json:"expires_in"`
		Scope     string `json:"scope"`
		CNF       string `json:"cnf"`
		Call      int    `json:"call"`
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if got.Issuer != d.Origin || got.TokenType != "dpop" || got.ExpiresIn != 300 || got.Scope != "peering:request" || got.CNF != "string" {
		t.Fatalf("the foreign client saw %s", out)
	}
	t.Logf("oauth4webapi: %s", out)
}
