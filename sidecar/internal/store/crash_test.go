package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// crashStore tells the test binary to be the writer that gets killed.
const crashStore = "HANSE_TEST_CRASH_STORE"

// crashWriter writes order, ledger entry and job together from 16 goroutines and says each id once the commit was
// acknowledged, until it is killed.
func crashWriter(path string) {
	s, err := store.Open(context.Background(), store.Config{Path: path, SiteKey: siteKey, Exclusive: true})
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	err = s.Do(context.Background(), func(tx *store.Tx) error {
		if _, err := tx.Partners().Get(them); err == nil {
			return nil
		}
		_, err := tx.Partners().Put(member.Partner{Origin: them, PartnershipID: "partnership"})
		return err
	})
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	out := make(chan string)
	for w := range 16 {
		go func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d-%d", os.Getpid(), w, i)
				if err := s.Do(context.Background(), func(tx *store.Tx) error { return writeOrder(tx, id) }); err != nil {
					out <- "failed: " + err.Error()
				}
				out <- id
			}
		}()
	}
	for line := range out {
		if _, err := fmt.Println(line); err != nil {
			os.Exit(1) // the test is gone
		}
	}
}

func writeOrder(tx *store.Tx, id string) error {
	if _, err := tx.RetailOrders().Put(smallOrder(id)); err != nil {
		return err
	}
	if _, err := advance(tx, ledger.Own, id); err != nil {
		return err
	}
	return tx.Jobs().At("order.submit", id, them, start)
}

// A writer is killed with SIGKILL again and again. What it acknowledged is there, what is there is whole, the database is
// sound, and the lock of the dead does not keep the next one out.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "hanse.db")
	acknowledged := map[string]bool{}
	for round := range 5 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), crashStore+"="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if strings.HasPrefix(lines.Text(), "failed") {
				t.Fatal(lines.Text())
			}
			acknowledged[lines.Text()] = true
			if n == 40+60*round {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the writer ended by itself")
		}
	}
	s := open(t, store.Config{Path: path, Exclusive: true})
	view(t, s, func(tx *store.Tx) error {
		entries := must(tx.Ledger().Entries(them, ledger.Own, ledger.Position{}, 1_000_000))
		jobs := must(tx.Jobs().List(1_000_000))
		if len(entries) != len(jobs) || len(entries) < len(acknowledged) {
			t.Errorf("%d entries, %d jobs, %d acknowledged", len(entries), len(jobs), len(acknowledged))
		}
		head := must(tx.Ledger().Head(them, ledger.Own))
		prev := [32]byte{}
		for i, e := range entries {
			if e.Seq != int64(i+1) || i > 0 && e.Prev != prev {
				t.Fatalf("the chain breaks at %d", e.Seq)
			}
			prev = e.Hash
			must(tx.RetailOrders().Get("shop", e.Subject))
			delete(acknowledged, e.Subject)
		}
		if head.Hash != prev || head.Seq != int64(len(entries)) {
			t.Errorf("the head is at %d", head.Seq)
		}
		for id := range acknowledged {
			t.Errorf("%s was acknowledged and is lost", id)
		}
		t.Logf("%d orders survived 5 kills", len(entries))
		return nil
	})
	if err := s.Check(t.Context()); err != nil {
		t.Error(errors.Join(errors.New("integrity"), err))
	}
}
