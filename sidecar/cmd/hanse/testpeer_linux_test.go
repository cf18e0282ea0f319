package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/testpeer"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// authority writes a CA and a certificate with its key for each host into a folder: ca.pem, HOST.pem, HOST.key.
func authority(t *testing.T, dir string, hosts ...string) {
	t.Helper()
	write := func(name, kind string, der []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	newKey := func() *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	caKey := newKey()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	write("ca.pem", "CERTIFICATE", der)
	for i, host := range hosts {
		key := newKey()
		leaf := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i) + 2), DNSNames: []string{host}, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		}
		der, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
		if err != nil {
			t.Fatal(err)
		}
		write(host+".pem", "CERTIFICATE", der)
		if der, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
			t.Fatal(err)
		}
		write(host+".key", "PRIVATE KEY", der)
	}
}

// production is a network of its own, with public addresses in which two names end, where a member and the one that tests it run as
// docs/testpeer.md has it.
const production = `set -eu
ip link set lo up
ip address add 45.33.0.1/32 dev lo
ip address add 45.33.0.2/32 dev lo
mount --bind hosts /etc/hosts
SSL_CERT_FILE=ca.pem "$HANSE" serve -c hanse.yaml > serve.log 2>&1 &
member=$!
trap 'kill $member' EXIT
until "$HANSE" -c hanse.yaml status > /dev/null 2>&1; do sleep 0.2; done
"$HANSE" -c hanse.yaml offering apply -f offerings.yaml
test_it() {
	"$HANSE" testpeer run $CASES --against https://supplier.example --origin https://testpeer.example --listen 45.33.0.2:443 \
		--tls-cert testpeer.example.pem --tls-key testpeer.example.key --inputs '{"title":"test","readers":"everyone"}' -o json
}
SSL_CERT_FILE=none.pem SSL_CERT_DIR=none test_it > unknown.json 2> unknown.log && exit 99
export SSL_CERT_FILE=ca.pem
(until "$HANSE" -c hanse.yaml agreement offer https://testpeer.example --discount 10% --currency EUR; do sleep 0.2; done) > offer.log 2>&1 &
test_it > report.json 2> report.log
`

// TestTestPeer_PlaysInProduction: no development mode on either side, certificates of an authority that both are told of, names that lead to
// public addresses.
func TestTestPeer_PlaysInProduction(t *testing.T) {
	t.Parallel()
	unshare := []string{"--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child"}
	if out, err := exec.Command("unshare", append(unshare, "sh", "-c", "ip link set lo up")...).CombinedOutput(); err != nil {
		t.Skipf("this system gives nobody a network of its own, which the test needs (unshare --net, ip): %v %s", err, out)
	}
	dir := t.TempDir()
	authority(t, dir, "supplier.example", "testpeer.example")
	for name, content := range map[string]string{
		"hosts":          "127.0.0.1 localhost\n45.33.0.1 supplier.example\n45.33.0.2 testpeer.example\n",
		"offerings.yaml": notesOffering,
		"hanse.yaml": `origin: https://supplier.example
data_dir: data
listen: {peer: "45.33.0.1:443"}
tls: {cert_file: supplier.example.pem, key_file: supplier.example.key}
adapters:
  connections:
    apps: {adapter: process, config: {data_dir: apps, programs: {notes: {command: "self:notes"}}, dev: true}}
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	names := []string{"call-by-get", "token-wrong-audience", "proof-replayed", "document-wrong-key", "order-other-price"}
	binary := sidecartest.Binary(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	run := exec.CommandContext(ctx, "unshare", append(unshare, "sh", "-c", production)...)
	run.Dir, run.WaitDelay = dir, 10*time.Second
	run.Env = append(os.Environ(), "HANSE="+binary, "CASES="+strings.Join(names, " "))
	out, err := run.CombinedOutput()
	read := func(name string) []byte {
		b, _ := os.ReadFile(filepath.Join(dir, name))
		return b
	}
	if err != nil {
		for _, name := range []string{"serve.log", "unknown.log", "offer.log", "report.log", "report.json"} {
			t.Logf("%s: %s", name, read(name))
		}
		t.Fatalf("%v: %s", err, out)
	}
	var unknown, report testpeer.Report
	for name, r := range map[string]*testpeer.Report{"unknown.json": &unknown, "report.json": &report} {
		if err := json.Unmarshal(read(name), r); err != nil {
			t.Fatalf("%s: %v: %s", name, err, read(name))
		}
	}
	if len(unknown.Findings) == 0 || unknown.Findings[0].Verdict != testpeer.NotReached || !bytes.Contains(read("unknown.log"), []byte("not_reached")) {
		t.Errorf("without the authority it finds %+v", unknown.Findings)
	}
	if len(report.Findings) != len(names) || !report.Kept() {
		t.Errorf("it finds %+v", report.Findings)
	}
}
