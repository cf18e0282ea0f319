package catalog_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

const (
	benchOfferings = 100_000
	benchFile      = 10_000
)

// BenchmarkOfferingApply applies 100,000 offerings, in as many files as that takes, with one reseller who sees them, and then a file again in
// which every price changed; small writes go on meanwhile, of which the longest is reported. Run it with -benchtime 1x.
func BenchmarkOfferingApply(b *testing.B) {
	for b.Loop() {
		m, service := benchSupplier(b)
		var files [][]byte
		for from := 0; from < benchOfferings; from += benchFile {
			files = append(files, benchYAML(from, from+benchFile, 1))
		}
		alone(b, m)
		cpu := processCPU(b)
		took, pauses := besideWrites(b, m, func() {
			for _, file := range files {
				benchApply(b, service, file)
			}
		})
		b.ReportMetric(took.Seconds(), "s/100k")
		b.ReportMetric((processCPU(b) - cpu).Seconds(), "cpu-s/100k")
		b.ReportMetric(ms(pauses[len(pauses)-1]), "ms-longest-pause")
		took, pauses = besideWrites(b, m, func() { benchApply(b, service, benchYAML(0, benchFile, 2)) })
		b.ReportMetric(took.Seconds()*benchOfferings/benchFile, "s/100k-changed")
		b.ReportMetric(ms(pauses[len(pauses)-1]), "ms-longest-pause-changed")
		b.ReportMetric(0, "ns/op")
	}
}

// BenchmarkCatalogPublish publishes 100,000 offerings to a reseller whose agreement became active, while small writes go on. Run it with
// -benchtime 1x.
func BenchmarkCatalogPublish(b *testing.B) {
	for b.Loop() {
		m, service := benchSupplier(b)
		for from := 0; from < benchOfferings; from += benchFile {
			benchApply(b, service, benchYAML(from, from+benchFile, 1))
		}
		other := markettest.NewMember(b, "https://second.localhost")
		m.Meet(other)
		markettest.Agree(m, other, "second", agreement.Terms{Currency: "EUR"})
		alone(b, m)
		took, pauses := besideWrites(b, m, func() {
			if err := service.Publish(b.Context(), job.Job{Kind: agreement.JobPublish, Partner: other.Origin, Key: "second"}); err != nil {
				b.Fatal(err)
			}
		})
		b.ReportMetric(took.Seconds(), "s/100k")
		b.ReportMetric(ms(pauses[len(pauses)*99/100]), "ms-p99-pause")
		b.ReportMetric(ms(pauses[len(pauses)-1]), "ms-longest-pause")
		b.ReportMetric(0, "ns/op")
	}
}

// alone reports the longest of the small writes with nothing beside them: what the machine itself adds.
func alone(b *testing.B, m *markettest.Member) {
	_, pauses := besideWrites(b, m, func() { time.Sleep(2 * time.Second) })
	b.ReportMetric(ms(pauses[len(pauses)-1]), "ms-longest-pause-alone")
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// benchSupplier has one reseller with an active agreement.
func benchSupplier(b *testing.B) (*markettest.Member, *catalog.Service) {
	m, reseller := markettest.NewMember(b, self), markettest.NewMember(b, acme)
	m.Meet(reseller)
	markettest.Agree(m, reseller, "a", agreement.Terms{Currency: "EUR"})
	return m, &catalog.Service{Self: self, Work: store.For[catalog.Tx](m.Store), Now: m.Clock.Now}
}

func benchApply(b *testing.B, service *catalog.Service, file []byte) {
	if _, wrong, err := service.Apply(b.Context(), file, catalog.Options{}); err != nil || len(wrong) > 0 {
		b.Fatal(wrong, err)
	}
}

// besideWrites runs fn while others write a little, one after the other, and returns how long each of those took, in order.
func besideWrites(b *testing.B, m *markettest.Member, fn func()) (took time.Duration, pauses []time.Duration) {
	b.Helper()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
			begun := time.Now()
			m.Do(func(tx *store.Tx) error {
				return tx.Cursors().SetCursor("https://other.localhost", "x", fmt.Append(nil, i))
			})
			pauses = append(pauses, time.Since(begun))
		}
	}()
	begun := time.Now()
	fn()
	took = time.Since(begun)
	close(stop)
	<-stopped
	slices.Sort(pauses)
	return took, pauses
}

// benchYAML is a file of offerings as a cloud provider generates it.
func benchYAML(from, to, cents int) []byte {
	var file bytes.Buffer
	for i := from; i < to; i++ {
		fmt.Fprintf(&file, `---
apiVersion: hanse/v1
kind: Offering
id: server-%06d
name: Cloud server %d
summary: %d dedicated cores, %d GB of memory, %d GB NVMe
description: A virtual server on hardware of its own class, with snapshots, a firewall and daily backups kept for a week.
category: compute
family: cloud
plan: %d GB
region: helsinki
country: FI
certifications: [ISO 27001, C5]
currency: EUR
prices:
  - {id: fee, name: Monthly fee, kind: recurring, period: P1M, amount: "%d.%02d"}
  - {id: traffic, name: Traffic, kind: usage, unit: GB, amount: "0.0043"}
recipe:
  inputs:
    type: object
    required: [name]
    properties:
      name: {type: string, title: Name, maxLength: 63}
    additionalProperties: false
  outputs: {type: object}
  step: {adapter: x, connection: y, with: {name: "${inputs.name}"}}
`, i, i, 1<<(i%6), 2<<(i%7), 20*(1+i%40), 2<<(i%7), 5+i%997, cents)
	}
	return file.Bytes()
}
