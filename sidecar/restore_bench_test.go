package sidecar_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// BenchmarkRestore makes a reseller of a backup of 1 GB with 100,000 past orders, as its operator does, and starts it, until its books are level
// with ten suppliers, who have 500 orders that the backup lacks. The past orders are rows without a ledger that verifies; what fills up to
// 1 GB is ballast. The backup is sealed to a key, for a passphrase is slow on purpose, by a second. The baseline is cp of the same file.
func BenchmarkRestore(b *testing.B) {
	const suppliers, since, size = 10, 500, 1_000_000_000
	past := 100_000
	if set := os.Getenv("HANSE_BENCH_PAST"); set != "" {
		var err error
		if past, err = strconv.Atoi(set); err != nil {
			b.Fatal(err)
		}
	}
	ca, dir := b.TempDir(), b.TempDir()
	d := sidecartest.NewDaemon(b, sidecartest.DaemonConfig{Name: "restored", DevCA: ca, Extra: "limits: {rate_per_second: 1000000, rate_burst: 1000000}\n"})
	d.Start()
	var names []string
	for i := range suppliers {
		names = append(names, fmt.Sprintf("supplier%d", i))
	}
	p := onFiles(b, partnered(b, append([]*sidecartest.Member{sidecartest.At(b, d.Address())}, sidecartest.Under(b, ca, acceptingMember, names...)...)))
	p.run(b, suppliers, 1)
	d.Stop()
	p.members = p.members[:1]
	p.age(b, past)
	ballast(b, p, size)
	d.Start()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		b.Fatal(err)
	}
	private, file := filepath.Join(dir, "key"), filepath.Join(dir, "backup.age")
	if err := os.WriteFile(private, []byte(key.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	backedUp := took(func() { d.Must("backup", file, "--recipient", key.Recipient().String()) })
	info, err := os.Stat(file)
	if err != nil {
		b.Fatal(err)
	}
	p.run(b, since, 8)
	copied := took(func() {
		if out, err := exec.Command("cp", file, filepath.Join(dir, "copy")).CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
	})
	for i := 0; b.Loop(); i++ {
		d.Kill()
		to := filepath.Join(dir, fmt.Sprintf("restored-%d", i))
		restored := took(func() { d.Must("restore", file, "--dir", to, "--identity-file", private) })
		d.Dir, d.ConfigFile = to, filepath.Join(to, "hanse.yaml")
		level := took(func() {
			d.Start()
			sidecartest.Eventually(b, 5*time.Minute, "all books are level", func() error { return allLevel(d, suppliers) })
		})
		b.ReportMetric((restored + level).Seconds(), "s")
		b.ReportMetric(restored.Seconds(), "restore-s")
		b.ReportMetric(level.Seconds(), "level-s")
		b.ReportMetric(backedUp.Seconds(), "backup-s")
		b.ReportMetric(copied.Seconds(), "cp-s")
		b.ReportMetric(float64(info.Size())/1e6, "MB")
	}
}

func took(fn func()) time.Duration {
	began := time.Now()
	fn()
	return time.Since(began)
}

// ballast gives a stopped member's database a size, in bytes, with a table that no sidecar reads.
func ballast(b *testing.B, p *realPipe, size int64) {
	b.Helper()
	file := filepath.Join(p.members[0].Dir, "hanse.db")
	info, err := os.Stat(file)
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("the past orders take %d MB", info.Size()/1e6)
	_, err = p.database.ExecContext(b.Context(), `CREATE TABLE ballast AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
		SELECT i, randomblob(1000000) AS b FROM n`, max(1, (size-info.Size())/1e6))
	if err == nil {
		_, err = p.database.ExecContext(b.Context(), "PRAGMA wal_checkpoint(TRUNCATE)")
	}
	if err != nil {
		b.Fatal(err)
	}
}

func allLevel(d *sidecartest.Daemon, partners int) error {
	out, err := d.Run("partner", "list", "-o", "json")
	if err != nil {
		return err
	}
	var list struct {
		Partners []struct {
			Books string `json:"books"`
		} `json:"partners"`
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return err
	}
	level := 0
	for _, p := range list.Partners {
		if p.Books == "level" {
			level++
		}
	}
	if level != partners {
		return fmt.Errorf("%d of %d books are level", level, partners)
	}
	return nil
}
