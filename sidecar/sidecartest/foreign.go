package sidecartest

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/tlsdev"
)

// Foreign is a member that is not ours: sidecar/foreignpeer, in a process of its own, moved by its control interface. It keeps all
// in memory and ends with the test.
type Foreign struct {
	Origin  string
	control string
	cable   *cable
	t       testing.TB
	log     *lockedBuffer
}

// NewForeign starts a foreign member under the dev CA of a folder, whose own calls are in json or in proto.
func NewForeign(t testing.TB, devCA, name, encoding string) *Foreign {
	t.Helper()
	// The test binary runs in the folder of its package, wherever that is.
	_, here, _, _ := runtime.Caller(0)
	peer := filepath.Join(filepath.Dir(here), "..", "foreignpeer")
	if _, err := os.Stat(filepath.Join(peer, "node_modules", "jose")); err != nil {
		t.Fatalf("the foreign member misses its library; install it: make foreign-deps (npm ci in sidecar/foreignpeer): %v", err)
	}
	f := &Foreign{t: t, log: &lockedBuffer{}}
	dir := t.TempDir()
	listen := fmt.Sprintf("127.0.0.1:%d", FreePorts(t, 1)[0])
	f.cable = newCable(t, listen)
	host := name + ".localhost"
	cert, key, ca := leaf(t, devCA, dir, host)
	config, err := json.Marshal(map[string]any{
		"origin": "https://" + host + ":" + f.cable.port(), "listen": listen, "tls_cert": cert, "tls_key": key, "ca": ca, "control": "127.0.0.1:0",
		"name": name, "legal_name": name + " OÜ", "country": "EE", "encoding": encoding,
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "config.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", filepath.Join(peer, "main.mjs"), file)
	cmd.Stderr = f.log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close() // that ends it
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("log of the foreign member %s:\n%s", name, f.log)
		}
	})
	var first struct{ Origin, Control string }
	if err := json.NewDecoder(stdout).Decode(&first); err != nil {
		t.Fatalf("the foreign member does not start: %v\n%s", err, f.log)
	}
	f.Origin, f.control = first.Origin, first.Control
	return f
}

// Unplug makes the member unreachable for partners, who find its port closed; its own calls go on. Plug ends that.
func (f *Foreign) Unplug() { f.cable.cut(true) }

// Plug makes the member reachable again.
func (f *Foreign) Plug() { f.cable.cut(false) }

// leaf writes a certificate for a host, its key and the CA as files that other programs read.
func leaf(t testing.TB, devCA, dir, host string) (cert, key, ca string) {
	t.Helper()
	authority, err := tlsdev.Open(devCA, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	made, err := authority.Certificate(host)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(made.PrivateKey)
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
	return write("cert.pem", "CERTIFICATE", made.Certificate...), write("key.pem", "PRIVATE KEY", private),
		write("ca.pem", "CERTIFICATE", made.Certificate[len(made.Certificate)-1])
}

// Refused is what a foreign member says where a command did not do what was asked.
type Refused struct {
	Command string `json:"-"`
	Cause   string `json:"error"`
	Reason  string `json:"reason"`
}

func (r *Refused) Error() string { return fmt.Sprintf("%s: %s (%s)", r.Command, r.Cause, r.Reason) }

// Try gives a command and reads the answer into out, which may be nil; a *Refused is the member's own no.
func (f *Foreign) Try(command string, in map[string]any, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.control+"/"+command, bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		no := &Refused{Command: command}
		if err := json.Unmarshal(answer, no); err != nil {
			return fmt.Errorf("%s: status %d: %s", command, res.StatusCode, answer)
		}
		return no
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

// Do is Try that ends the test on an error.
func (f *Foreign) Do(command string, in map[string]any, out any) {
	f.t.Helper()
	if err := f.Try(command, in, out); err != nil {
		f.t.Fatalf("the foreign member: %v\n%s", err, f.log)
	}
}

// Place is where a log ends.
type Place struct {
	Life, Seq, Tick int64
	Hash            string
}

// ForeignBooks is what a foreign member knows of both logs with one partner.
type ForeignBooks struct {
	Origin, State string
	Own, Theirs   Place
	Faults        []string
	// Outbox is what waits to be submitted, with what was heard of it last.
	Outbox []struct{ Typ, State, Error string }
}

// Books are those with a partner.
func (f *Foreign) Books(partner string) ForeignBooks {
	f.t.Helper()
	var state struct{ Books []ForeignBooks }
	f.Do("state", nil, &state)
	for _, b := range state.Books {
		if b.Origin == partner {
			return b
		}
	}
	f.t.Fatalf("the foreign member has no books with %s", partner)
	return ForeignBooks{}
}
