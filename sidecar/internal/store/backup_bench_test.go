package store_test

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// BenchmarkWritesDuringABackup is how long commits take, one after the other, while a file of 128 MiB is read in each of the ways that
// there are: nobody reads; its pages are streamed, as we do; SQLite's own backup within one view; VACUUM INTO. The last two write a copy
// to the disk first.
func BenchmarkWritesDuringABackup(b *testing.B) {
	for _, way := range []struct {
		name string
		read func(b *testing.B, path string) error
	}{
		{"nobody", func(*testing.B, string) error { time.Sleep(2 * time.Second); return nil }},
		{"stream", func(b *testing.B, path string) error {
			s, err := store.OpenSnapshot(context.Background(), store.Config{Path: path})
			if err != nil {
				return err
			}
			defer func() { _ = s.Close() }()
			return s.Pieces(context.Background(), func(_ string, _ int64, write func(io.Writer) error) error { return write(io.Discard) })
		}},
		{"backup", func(b *testing.B, path string) error {
			return copied(b, path, func(src *sqlite.Conn, to string) error {
				dst, err := sqlite.OpenConn(to)
				if err != nil {
					return err
				}
				defer func() { _ = dst.Close() }()
				if err := sqlitex.ExecuteTransient(src, "BEGIN", nil); err != nil {
					return err
				}
				if err := sqlitex.ExecuteTransient(src, "SELECT count(*) FROM site", nil); err != nil {
					return err
				}
				all, err := sqlite.NewBackup(dst, "main", src, "main")
				if err != nil {
					return err
				}
				for more := true; more && err == nil; {
					more, err = all.Step(256)
				}
				return err
			})
		}},
		{"vacuum", func(b *testing.B, path string) error {
			return copied(b, path, func(src *sqlite.Conn, to string) error {
				return sqlitex.ExecuteTransient(src, "VACUUM INTO '"+to+"'", nil)
			})
		}},
	} {
		b.Run(way.name, func(b *testing.B) {
			cfg := engines["sqlite"](b)
			cfg.Exclusive = true
			s := open(b, cfg)
			fill, err := sqlite.OpenConn(cfg.Path, sqlite.OpenReadWrite)
			if err != nil {
				b.Fatal(err)
			}
			if err := sqlitex.ExecuteTransient(fill, `CREATE TABLE ballast AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 128)
				SELECT i, randomblob(1048576) AS b FROM n`, nil); err != nil {
				b.Fatal(err)
			}
			if err := fill.Close(); err != nil {
				b.Fatal(err)
			}
			var took []time.Duration
			var reading time.Duration
			for range b.N {
				done := make(chan error, 1)
				begun := time.Now()
				go func() { done <- way.read(b, cfg.Path) }()
				for i, over := int64(0), false; !over; i++ {
					at := time.Now()
					do(b, s, func(tx *store.Tx) error {
						return tx.Catalog().Publish(them, []catalog.FeedItem{{Partner: them, OfferingID: fmt.Sprint(i % 1000), Revision: i}})
					})
					took = append(took, time.Since(at))
					select {
					case err := <-done:
						if over = true; err != nil {
							b.Fatal(err)
						}
					default:
					}
				}
				reading += time.Since(begun)
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "ms-longest")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms-p99")
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-median")
			b.ReportMetric(reading.Seconds()/float64(b.N), "s/read")
		})
	}
}

func copied(b *testing.B, path string, fn func(src *sqlite.Conn, to string) error) error {
	src, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }()
	return fn(src, filepath.Join(b.TempDir(), fmt.Sprint(time.Now().UnixNano())))
}
