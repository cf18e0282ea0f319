package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// TestASecondStoreBehindOneOriginEndsTheYoungerProcess: before it does anything, for both would sign for one member. A store takes no other
// origin either.
func TestASecondStoreBehindOneOriginEndsTheYoungerProcess(t *testing.T) {
	t.Parallel()
	ca := t.TempDir()
	older := sidecartest.NewDaemon(t, sidecartest.DaemonConfig{Name: "member", DevCA: ca})
	younger := sidecartest.NewDaemon(t, sidecartest.DaemonConfig{Name: "member", DevCA: ca})
	older.Start()
	older.Stop()
	if err := os.CopyFS(filepath.Join(younger.Dir, "data"), os.DirFS(filepath.Join(older.Dir, "data"))); err != nil {
		t.Fatal(err)
	}
	private(t, filepath.Join(younger.Dir, "data"))
	older.Start()

	if out, err := younger.Run("serve"); err == nil || !strings.Contains(err.Error(), "exit status 1") ||
		!strings.Contains(err.Error(), "the database is that of "+older.Origin) {
		t.Errorf("with an origin of its own: %v\n%s", err, out)
	}
	config, err := os.ReadFile(younger.ConfigFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(younger.ConfigFile, []byte(strings.Replace(string(config), younger.Origin, older.Origin, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := younger.Run("serve"); err == nil || !strings.Contains(err.Error(), "exit status 5") || !strings.Contains(err.Error(), "store_not_alone") {
		t.Errorf("as its clone: %v\n%s", err, out)
	}
	older.Must("status")
	older.Stop()
	older.Start() // a process finds its own store
	if strings.Contains(older.Log(), "gives this host no answer") {
		t.Errorf("it does not find itself:\n%s", tail(older.Log()))
	}
}

// TestBooksStayUnprovenWhereOurOriginDoesNotAnswer: who stands there is not known. A network that cannot reach it has a setting.
func TestBooksStayUnprovenWhereOurOriginDoesNotAnswer(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.completed("order-0001", p.purchase())
	elsewhere := fmt.Sprintf("HANSE_LISTEN_PEER=127.0.0.1:%d", sidecartest.FreePorts(t, 1)[0])
	p.reseller.Stop()
	p.reseller.Start(elsewhere)
	sidecartest.Eventually(t, time.Minute, "it is said why", func() error {
		res, err := http.Get(p.reseller.OpsURL + "/readyz")
		if err != nil {
			return err
		}
		defer func() { _ = res.Body.Close() }()
		body, err := io.ReadAll(res.Body)
		if err != nil || !strings.Contains(string(body), "our own origin does not answer, unproven with") || !strings.Contains(p.reseller.Log(), "origin_unreachable") {
			return fmt.Errorf("%s, %v\n%s", body, err, tail(p.reseller.Log()))
		}
		return nil
	})
	if books, _ := stands(t, p.reseller, p.supplier.Origin); books != "unproven" {
		t.Errorf("the books are %s", books)
	}
	p.reseller.Stop()
	p.reseller.Start(elsewhere, "HANSE_ORIGIN_UNREACHABLE=true")
	becomes(t, p.reseller, p.supplier.Origin, "level")
}
