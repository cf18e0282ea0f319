package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// placeholders are what the search field suggests to type, by language.
func placeholders(t *testing.T) map[string][]string {
	t.Helper()
	files, err := filepath.Glob("../../sdk/web/src/messages/*.ts")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d files of messages: %v", len(files), err)
	}
	suggested := regexp.MustCompile(`"catalog\.searchPlaceholder": "(.*?)\s*…",`)
	all := map[string][]string{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if found := suggested.FindSubmatch(raw); found != nil {
			all[strings.TrimSuffix(filepath.Base(file), ".ts")] = strings.Split(string(found[1]), ", ")
		}
	}
	return all
}

// TestWhatTheSearchFieldSuggestsIsFound searches the demo's own catalogs over the wire, as its portal does.
func TestWhatTheSearchFieldSuggestsIsFound(t *testing.T) {
	members := sidecartest.New(t, nil, "alpenhost", "nordkube", "ostseedb")
	shop, count := members[0], int64(0)
	for i, supplier := range []struct {
		currency string
		sells    []offering
	}{{"EUR", nordkube()}, {"SEK", ostseedb(false)}} {
		for o := range supplier.sells {
			supplier.sells[o].State, supplier.sells[o].Recipe = "announced", recipe{Step: step{Adapter: "planned"}}
		}
		documents, err := writeYAML(supplier.sells)
		if err != nil {
			t.Fatal(err)
		}
		members[i+1].Apply(string(documents))
		sidecartest.Connect(t, shop, members[i+1], 0, supplier.currency)
		count += int64(len(supplier.sells))
	}
	catalog := portalv1connect.NewCatalogServiceClient(http.DefaultClient, shop.PortalURL, sidecartest.Bearer(shop.AddPortal("shop")))
	found := func(words string) int64 {
		res, err := catalog.SearchListings(t.Context(), connect.NewRequest(&portalv1.SearchListingsRequest{Query: words}))
		if err != nil {
			t.Fatal(err)
		}
		return res.Msg.GetTotal()
	}
	sidecartest.Eventually(t, time.Minute, "both catalogs are in the shop", func() error {
		if n := found(""); n != count {
			return fmt.Errorf("%d of %d", n, count)
		}
		return nil
	})

	suggested := placeholders(t)
	for _, language := range []string{"en", "de", "fr", "it", "es"} {
		if len(suggested[language]) < 2 {
			t.Errorf("the search field suggests %q in %s", suggested[language], language)
		}
	}
	all, databases := found(""), found("databases")
	for language, examples := range suggested {
		for _, words := range examples {
			if n := found(words); n == 0 || n == all {
				t.Errorf("%s: %q finds %d of %d", language, words, n, all)
			}
		}
		if n := found(examples[0]); n != databases {
			t.Errorf("%s: %q finds %d, the English word %d", language, examples[0], n, databases)
		}
	}
	for _, words := range []string{
		"VM", "virtuelle Maschine", "Germany", "Deutschland", "Allemagne", "Finnland", "postgres", "POSTGRES M", "Kubernets", "S3", "k8s",
		"Objektspeicher", "lastverteiler", "sauvegarde", "Sicherheit", "Datenbank Schweden", "base de datos en Suecia", "SOC2", "C5",
	} {
		if n := found(words); n == 0 || n == all {
			t.Errorf("%q finds %d of %d", words, n, all)
		}
	}
	for _, words := range []string{"mainframe", "Brasilien", "postgres 17 tischtennis"} {
		if n := found(words); n != 0 {
			t.Errorf("%q finds %d of %d", words, n, all)
		}
	}
}
