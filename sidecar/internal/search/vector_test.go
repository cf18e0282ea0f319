package search

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// market is a shelf in many languages; its ids are words, so that the table below can be read.
func market() []Doc {
	return []Doc{
		{ID: "pg16", Name: "PostgreSQL 16", Summary: "A managed server", Category: "Databases", Region: "de-fra1", Country: "DE", Certifications: []string{"ISO 27001", "C5", "SOC 2"}},
		{ID: "pg15", Name: "postgresql15", Summary: "Last year's", Category: "Databases", Region: "fr-par1", Country: "FR", Certifications: []string{"ISO27001", "SecNumCloud"}},
		{ID: "maria", Name: "MariaDB", Category: "Databases", Region: "se-sto1", Country: "SE", Certifications: []string{"ISO/IEC 27018"}},
		{ID: "vm", Name: "Virtual machine M", Summary: "Two cores", Category: "Compute", Region: "at-vie1", Country: "AT"},
		{ID: "instance", Name: "Compute instance", Category: "Compute", Region: "us-east", Country: "US"},
		{ID: "s3", Name: "Object storage", Summary: "Buckets for backups", Category: "Storage", Region: "gb-lon1", Country: "GB", Certifications: []string{"SOC 2"}},
		{ID: "k8s", Name: "Managed Kubernetes™", Category: "Kubernetes", Region: "ch-zrh1", Country: "CH"},
		{ID: "lb", Name: "Load balancer", Summary: "E-mail when it fails", Category: "Networking", Region: "fi-hel1", Country: "FI"},
		{ID: "coeur", Name: "Cœur d’hébergement", Category: "Hosting", Region: "fr-par1", Country: "FR"},
		{ID: "malmo", Name: "Rechenzentrum Malmö", Category: "Colocation", Region: "se-mma1", Country: "SE"},
		{ID: "strasse", Name: "Glasfaser Königstraße", Category: "Leitungen", Region: "de-ber1", Country: "DE"},
		{ID: "lodz", Name: "Łódź Þing", Category: "Colocation", Region: "pl-lod1", Country: "PL"},
		{ID: "istanbul", Name: "İstanbul IŞIK", Category: "Colocation", Region: "tr-ist1", Country: "TR"},
		{ID: "greek", Name: "Βάσεις δεδομένων", Category: "Σύννεφος", Region: "gr-ath1", Country: "GR"},
		{ID: "russian", Name: "ОБЛАЧНОЕ хранилище Ёлка", Category: "Colocation", Region: "kz-ala1", Country: "KZ"},
		{ID: "japanese", Name: "オブジェクト保管 ﾃﾞｰﾀ", Category: "Colocation", Region: "jp-tyo1", Country: "JP"},
		{ID: "hidden", Name: "Ge\u00ADheim\u200Bnis\u2060tre\uFE0Fsor", Category: "Vaults", Region: "nl-ams1", Country: "NL"},
		{ID: "koeln", Name: "Koeln Ost", Category: "Colocation", Region: "de-cgn1", Country: "DE"},
		{ID: "germany", Name: "Bücherregal", Summary: "Books about Germany", Category: "Books", Region: "ie-dub1", Country: "IE"},
		{ID: "graph", Name: "GPU G1", Summary: "Für künstliche Intelligenz", Category: "AI", Region: "fi-oul1", Country: "FI"},
	}
}

func TestWhatIsTypedFinds(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, typed, want string }{
		{"the row's own ligature", "COEUR; cœur; CŒUR; coeur; Cœu", "coeur"},
		{"apostrophes of all kinds", "d'hébergement; d’hebergement; D‘HEBERGEMENT; d\u02BChebergement; coeur d'heb", "coeur"},
		{"a letter with a dot, a ring, two dots", "malmö; MALMÖ; malmo; Malmoe; malmoe; Malmø; malm\u006F\u0308", "malmo"},
		{"a digraph in the name", "Köln; KÖLN ost; koln; koeln; Koel", "koeln"},
		{"a sharp s", "Königstraße; KÖNIGSTRASSE; konigstrasse; Koenigstrasse; KÖNIGSTRAẞE; königstr", "strasse"},
		{"Polish and Icelandic", "Łódź; lodz; ŁÓDŹ þing; THING", "lodz"},
		{"Turkish", "istanbul; ISTANBUL; İSTANBUL; ıstanbul; ışık; isik; IŞIK", "istanbul"},
		{"Greek", "βασεισ; ΒΆΣΕΙΣ; Βάσεις ΔΕΔΟΜΈΝΩΝ; συννεφοσ; ΣΎΝΝΕΦΟΣ", "greek"},
		{"Cyrillic", "облачное; ХРАНИЛИЩЕ; елка; Ёлка", "russian"},
		{"Japanese, wide and narrow", "保管; データ; ﾃﾞｰﾀ; オブジェクト", "japanese"},
		{"what nobody sees", "Geheimnistresor; GEHEIMNIS\u200Btresor; ge\u202Eheim\u202Cnistresor; geheimnis\u2011tresor; geheim", "hidden"},
		{"full width", "ＭａｒｉａＤＢ", "maria"},
		{"a trade mark", "kubernetes managed; managed kubernetes; Kubernetes™", "k8s"},
		{"k8s", "k8s; K8S; kube; kubernetes", "k8s"},
		{"a machine by many names", "VM; vms; Virtuelle Maschine; machine virtuelle; macchina virtuale; Máquina virtual; VPS", "instance vm"},
		{"its own name first", "virtual machine", "vm instance"},
		{"the row's database", "Datenbank; Datenbanken; base de données; BASES DE DONNEES; base di dati; banca dati; base de datos; db; database; databases", "maria pg16 pg15"},
		{"storage by its interface", "S3; s3; objektspeicher; stockage objet; stockage d'objets; almacenamiento de objetos", "s3"},
		{"a load balancer", "lastverteiler; répartiteur de charge; bilanciatore di carico; equilibrador de carga; LB", "lb"},
		{"artificial intelligence", "KI; AI; IA; künstliche intelligenz; kuenstliche Intelligenz; intelligence artificielle", "graph"},
		{"a version after a space", "postgres 16; PostgreSQL 16; postgresql16; postgres16; pg 16; PG16; postgresql-16", "pg16"},
		{"a version in the name's last word", "postgres 15; postgresql 15; postgresql15; pg15; postgres 15 iso", "pg15"},
		{"both versions", "postgres; postgresql; pg", "pg16 pg15"},
		{"a country in five languages", "Austria; Österreich; Oesterreich; OSTERREICH; Autriche; Austria; osterreich vm", "vm"},
		{"a country of several words", "Vereinigtes Königreich; vereinigtes koenigreich; Royaume-Uni; united kingdom; Regno Unito; Reino Unido; UK", "s3"},
		{"a country and a word", "Datenbank Deutschland; database germany; base de données Allemagne; base de datos Alemania; Germania banca dati", "pg16"},
		{"the states", "USA; United States; Vereinigte Staaten; États-Unis; etats unis; Stati Uniti; Estados Unidos", "instance"},
		{"a country, before what is said of it", "Germany", "strasse koeln pg16 germany"},
		{"a country that was named anew", "Türkiye; Turkey; Türkei; Turquie", "istanbul"},
		{"certifications in any spelling", "iso 27001; iso-27001; ISO/IEC 27001; iso iec 27001", "pg16 pg15"},
		{"the spelling that was typed first", "ISO27001", "pg15 pg16"},
		{"a certification of another number", "iso 27018; ISO27018; ISO/IEC 27018", "maria"},
		{"a certification in parts", "sec num cloud; SecNumCloud; secnum cloud", "pg15"},
		{"a certification with its author", "BSI C5; C5; bsi-c5", "pg16"},
		{"a region", "kubernetes zrh1; kubernetes ch", "k8s"},
		{"one typing error", "kubernets; kubernetse; kubernettes; kubernetez; ukbernetes; Kuberentes", "k8s"},
		{"one typing error while typing", "kuberent; kubrenet; kubernnete", "k8s"},
		{"one typing error in another language", "Datenbnak; datenbak; Datenbamk", "maria pg16 pg15"},
		{"one typing error in a country", "Germnay koeln; Deutchland koeln; Alemagne koeln", "koeln"},
		{"a missing space", "objectstorage", "s3"},
		{"the beginning of a word that means the same", "datenb; datenban; base de dat; base de donn; base de; base de donees; bases de donnes", "maria pg16 pg15"},
		{"one typing error in a phrase", "virtuele Maschine; mashine virtuelle; Virtuelle Mashcine", "instance vm"},
		{"a country as it is typed", "Vereinigtes König; united king; Regno; Gran Breta", "s3"},
		{"fillers between", "Datenbank in Deutschland; base de données en Allemagne; base de datos en Alemania; a database for Germany", "pg16"},
		{"nothing", "mainframe; 27002; iso 27002; postgresql17; pg17; kubr; vn; zz; Brasilien; datenbank brasilien; coeur malmo; κάτι", ""},
		{"an email", "email; e-mail; EMail; e‑mail", "lb"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inDelta, frozen := indexOf(t, market()), New()
			t.Cleanup(frozen.Close)
			frozen.bulk(market())
			for typed := range strings.SplitSeq(tc.typed, "; ") {
				for where, x := range map[string]*Index{"delta": inDelta, "segment": frozen} {
					if got := strings.Join(find(t, x, Query{Text: typed}).IDs, " "); got != tc.want {
						t.Errorf("%q in the %s: %q, want %q", typed, where, got, tc.want)
					}
				}
			}
		})
	}
}

func TestTheNearestComesFirst(t *testing.T) {
	t.Parallel()
	x := indexOf(t, []Doc{
		{ID: "exact", Name: "Z data"},
		{ID: "begun", Name: "Y databases"},
		{ID: "alike", Name: "X Datenbank"},
		{ID: "text", Name: "W", Summary: "All your data"},
		{ID: "text begun", Name: "V", Summary: "Your database"},
		{ID: "text alike", Name: "U", Summary: "Datenbank"},
		{ID: "error", Name: "A dtaabase"},
	})
	for typed, want := range map[string]string{
		"data":      "exact, begun, text, text begun",
		"database":  "begun, alike, text begun, text alike",
		"dtaabase":  "error",
		"datbaase":  "alike, begun, text alike, text begun", // by name: all are guesses
		"databasee": "alike, begun, text alike, text begun",
	} {
		if got := strings.Join(find(t, x, Query{Text: typed}).IDs, ", "); got != want {
			t.Errorf("%s: %s, want %s", typed, got, want)
		}
	}
}

func TestAnErrorIsForgivenOnlyWhereNothingIsFound(t *testing.T) {
	t.Parallel()
	x := indexOf(t, []Doc{
		{ID: "clod", Name: "Clod", Category: "earth", Currency: "EUR"},
		{ID: "cloud", Name: "Cloud", Category: "air", Currency: "EUR"},
		{ID: "clouds", Name: "Clouds server", Category: "air", Currency: "EUR"},
		{ID: "five", Name: "ISO 27017"},
	})
	for _, tc := range []struct {
		query Query
		want  string
	}{
		{Query{Text: "clod"}, "clod"},
		{Query{Text: "cloud"}, "cloud clouds"},
		{Query{Text: "cloud", Filters: []Filter{filter("category", "earth")}}, ""}, // there are some elsewhere
		{Query{Text: "clody"}, "clod"},
		{Query{Text: "cluod"}, "clod cloud clouds"},
		{Query{Text: "cluod", Sort: PriceAsc, Currency: "EUR"}, "clod cloud clouds"},
		{Query{Text: "clud"}, ""},      // too short
		{Query{Text: "iso 27018"}, ""}, // a figure is no error
		{Query{Text: "clouds servr"}, "clouds"},
		{Query{Text: "clod servr"}, ""}, // a word that was found is not guessed at
	} {
		if got := strings.Join(find(t, x, tc.query).IDs, " "); got != tc.want {
			t.Errorf("%+v: %q, want %q", tc.query, got, tc.want)
		}
	}
}

func TestHostileTextsAreAnsweredWithinBounds(t *testing.T) {
	t.Parallel()
	x := New()
	t.Cleanup(x.Close)
	x.bulk(random(2000, rand.New(rand.NewPCG(2, 2))))
	all := find(t, x, Query{PageSize: 1}).Total
	for _, tc := range []struct {
		name, text string
		want       int64
	}{
		{"nothing but what nobody sees", strings.Repeat("\u200B\u00AD\u2060", 1<<18), all},
		{"nothing but accents", strings.Repeat("\u0301", 1<<20), all},
		{"signs", strings.Repeat("?!-’", 1<<18), all},
		{"one long word", strings.Repeat("a", 1<<20), 0},
		{"a character that becomes many", strings.Repeat("\uFDFA", 1<<18), 0},
		{"thousands of words", strings.Repeat("zebra ", 1<<18), 0},
		{"thousands that may be errors", strings.Repeat("databsae storaeg ", 1<<16), find(t, x, Query{Text: "database storage"}).Total},
		{"fillers", strings.Repeat("the ", 1<<18), 0},
		{"no text at all", strings.Repeat("\xff\xfe", 1<<18), all},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPattern(tc.text)
			for range 3 {
				p.widen()
			}
			options := 0
			for _, c := range p.clauses {
				options += len(c.options)
				if len(c.word) > maxTerm {
					t.Errorf("a word of %d bytes", len(c.word))
				}
			}
			if len(p.words) > maxWords || options > 100*maxWords {
				t.Errorf("%d words with %d options", len(p.words), options)
			}
			if got := find(t, x, Query{Text: tc.text, PageSize: 1}).Total; got != tc.want {
				t.Errorf("%d found, want %d", got, tc.want)
			}
		})
	}
}

// TestSegmentsAndDeltaAgree asks the same listings as they lie one by one, in one segment and in several.
func TestSegmentsAndDeltaAgree(t *testing.T) {
	t.Parallel()
	typed := strings.Fields(`vm virtual machine database datenbank datenb base de données en germany deutschland Deutchland sweden
		postgres postgresql16 16 15 pg iso27001 27001 iso iec kubernets k8s cœur malmoe köln in the object storage s3 data zebra
		hebergement d'hébergement compute instanse clod networks 保管 βάσεις облачное`)
	rapid.Check(t, func(t *rapid.T) {
		docs := append(market(), random(rapid.IntRange(0, 80).Draw(t, "docs"), rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 9)))...)
		one, many, loose := New(), New(), New()
		defer one.Close()
		defer many.Close()
		defer loose.Close()
		one.bulk(slices.Clone(docs))
		for chunk := range slices.Chunk(docs, 17) {
			many.bulk(slices.Clone(chunk))
		}
		for _, d := range docs {
			loose.Upsert(d)
		}
		for range 4 {
			q := anyQuery(t)
			q.Text = strings.Join(rapid.SliceOfN(rapid.SampledFrom(typed), 1, 4).Draw(t, "typed"), " ")
			want, err := loose.Search(q)
			if err != nil {
				t.Fatal(err)
			}
			all := pages2(loose, q)
			for name, x := range map[string]*Index{"one segment": one, "many": many} {
				got, err := x.Search(q)
				if err != nil {
					t.Fatal(err)
				}
				want.NextPageToken, got.NextPageToken = "", "" // tells of a price in one and not in the other
				if d := gocmp.Diff(want, got); d != "" {
					t.Fatalf("%+v: delta -, %s +\n%s", q, name, d)
				}
				if d := gocmp.Diff(all, pages2(x, q)); d != "" {
					t.Fatalf("%+v: pages of delta -, %s +\n%s", q, name, d)
				}
			}
			if int64(len(all)) != want.Total {
				t.Fatalf("%+v: %d on the pages, %d in all", q, len(all), want.Total)
			}
		}
	})
}
