package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// TestTheWriterIsRelievedOfTheLogOfBulkWork, which it would bring into the file at a commit of its own once it is 4,000 pages, while all wait.
func TestTheWriterIsRelievedOfTheLogOfBulkWork(t *testing.T) {
	t.Parallel()
	const steps, page = 300, 4096
	for name, tc := range map[string]struct {
		reads bool
		most  int64
	}{
		"nobody reads":               {false, 1000 * page},
		"somebody reads all the way": {true, 2 * steps * 26 * page}, // it is kept for the reader
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "hanse.db")
			s := open(t, store.Config{Path: path})
			s.SlowSteps(time.Hour) // a batch each
			write := func() error {
				return s.Bulk(t.Context(), steps, func(tx *store.Tx, i int) error {
					return tx.Cursors().SetCursor(them, fmt.Sprint(i), make([]byte, 25*page))
				})
			}
			if tc.reads {
				view(t, s, func(tx *store.Tx) error {
					must(tx.Cursors().Cursor(them, "0"))
					return write()
				})
			} else {
				must(0, write())
			}
			log, err := os.Stat(path + "-wal")
			if err != nil {
				t.Fatal(err)
			}
			if log.Size() > tc.most || tc.reads && log.Size() < steps*25*page {
				t.Errorf("the log is %d KiB", log.Size()>>10)
			}
			view(t, s, func(tx *store.Tx) error {
				for i := range steps {
					if n := len(must(tx.Cursors().Cursor(them, fmt.Sprint(i)))); n != 25*page {
						t.Fatalf("step %d left %d bytes", i, n)
					}
				}
				return nil
			})
			if err := s.Check(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
