package search

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestFoldMakesTheSameOfWhatPeopleTakeForTheSame(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, want string
		texts      []string
	}{
		{"case", "postgresql", []string{"PostgreSQL", "POSTGRESQL", "postgresql"}},
		{"a French ligature", "coeur", []string{"Cœur", "CŒUR", "COEUR", "cOEur"}},
		{"accents, composed or not", "donnees", []string{"données", "donne\u0301es", "DONNÉES", "Donnees"}},
		{"a sharp s", "strasse", []string{"Straße", "STRASSE", "STRAẞE", "strasse"}},
		{"Nordic letters", "oresund", []string{"Øresund", "öresund", "ORESUND", "o\u0308resund"}},
		{"Danish vowels", "aero", []string{"Ærø", "ÆRØ", "aero"}},
		{"Icelandic", "thor", []string{"Þór", "ÞÓR", "thor"}},
		{"eth and stroke", "doda", []string{"Đoða", "doda", "ðođa"}},
		{"Polish", "lodz", []string{"Łódź", "ŁÓDŹ", "lodz"}},
		{"Turkish i", "istanbul", []string{"İstanbul", "ISTANBUL", "ıstanbul", "i\u0307stanbul", "istanbul"}},
		{"Maltese", "hamrun", []string{"Ħamrun", "ħamrun"}},
		{"Azerbaijani", "azerbaycan", []string{"Azərbaycan", "AZƏRBAYCAN"}},
		{"Catalan and Dutch pairs", "ijssel", []string{"Ĳssel", "ĳssel", "IJSSEL"}},
		{"printers' ligatures", "office flow", []string{"oﬃce ﬂow", "OFFICE FLOW"}},
		{"the long s", "server", []string{"ſerver"}},
		{"full width", "kube 16", []string{"Ｋｕｂｅ　１６", "ＫＵＢＥ\u300016"}},
		{"mathematical letters", "cloud", []string{"𝐂𝐥𝐨𝐮𝐝", "ℂ𝕝𝕠𝕦𝕕"}},
		{"raised and circled figures", "m2 1", []string{"m² ①"}},
		{"the Kelvin and Ångström signs", "ka", []string{"\u212A\u212B", "KÅ"}},
		{"Greek case and accents", "βασησ", []string{"Βάσης", "ΒΑΣΗΣ", "βάσησ"}},
		{"Cyrillic case", "облако", []string{"ОБЛАКО", "Облако"}},
		{"Cyrillic yo and short i", "елкии", []string{"Ёлкий", "елкии"}},
		{"Hebrew points", "שלום", []string{"שָׁלוֹם"}},
		{"Arabic vowels, hamza and stroke", "احمد", []string{"أَحْمَد", "احـــمد"}},
		{"Japanese half width", "ガ", []string{"ｶﾞ", "ガ", "カ\u3099"}},
		{"Hangul", "데이터", []string{"데이터", "\u1103\u1166\u110B\u1175\u1110\u1165"}},
		{"soft hyphens", "datenbank", []string{"Daten\u00ADbank"}},
		{"zero width", "datenbank", []string{"Daten\u200Bbank", "Daten\u200Cbank", "Daten\u200Dbank", "\uFEFFDaten\u2060bank"}},
		{"direction marks", "datenbank", []string{"\u202EDaten\u202Cbank", "Daten\u200E\u200Fbank", "\u2066Daten\u2069bank", "Daten\u061Cbank"}},
		{"variation selectors", "datenbank", []string{"Daten\uFE0Fbank", "Daten\U000E0100bank", "Daten\u180Bbank"}},
		{"joiners and fillers", "datenbank", []string{"Daten\u034Fbank", "Daten\u115Fbank", "Daten\u3164bank", "Daten\uFFA0bank", "Daten\u2063bank"}},
		{"tags", "datenbank", []string{"Daten\U000E0041\U000E007Fbank"}},
		{"controls", "datenbank", []string{"Daten\x00bank", "Daten\x1Bbank", "Daten\x7Fbank", "Daten\u0080bank"}},
		{"whose a name is", "kubernetes cluster", []string{"Kubernetes™ Cluster", "Kubernetes\u2120 Cluster"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, text := range tc.texts {
				if got := fold(text); got != tc.want {
					t.Errorf("%+q gives %+q, want %+q", text, got, tc.want)
				}
			}
		})
	}
}

func TestFoldKeepsApartWhatIsNotTheSame(t *testing.T) {
	t.Parallel()
	for _, tc := range [][2]string{
		{"ハ", "バ"}, {"はり", "ばり"}, {"की", "का"}, {"ก่า", "กา"}, {"c5", "cs"}, {"a b", "ab"}, {"a\tb", "ab"}, {"a\u00A0b", "ab"},
	} {
		if fold(tc[0]) == fold(tc[1]) {
			t.Errorf("%q and %q are one", tc[0], tc[1])
		}
	}
}

func TestWordsAreCutAtApostrophesAndHyphensOfEveryKind(t *testing.T) {
	t.Parallel()
	for _, between := range "'’‘‛′ʼʻʹ＇`´-‐‑‒–—−﹣－·/\u00A0\u2009\u3000\u2028\u0085" {
		var got []string
		words(fold("L"+string(between)+"offre"), func(w string) { got = append(got, w) })
		if strings.Join(got, " ") != "l offre" {
			t.Errorf("U+%04X: %q", between, got)
		}
	}
}

func TestDigraphsAreFoundBesides(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Malmö": "malmo malmoe", "Ko\u0308ln": "koln koeln", "ÜBER Straße": "uber strasse ueber", "Århus": "arhus aarhus",
		"Ørsted": "orsted oersted", "Malmoe": "malmoe", "naïve": "naive",
	} {
		var got []string
		terms(text, func(w string) { got = append(got, w) })
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %s", text, got, want)
		}
	}
}

func TestWhatIsFoldedStaysAsItIs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "text")
		once := fold(s)
		if !utf8.ValidString(once) {
			t.Fatalf("%+q gives %+q, which is no text", s, once)
		}
		if twice := fold(once); twice != once {
			t.Fatalf("%+q gives %+q and then %+q", s, once, twice)
		}
	})
}

func FuzzFold(f *testing.F) {
	for _, s := range []string{"Übergröße", "ᾳ\u0345İ\u0307", "\xff\u200b", "ŉ ﬆ Ǆ", "カ\u3099\u0301"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once := fold(s)
		if twice := fold(once); twice != once {
			t.Fatalf("%+q gives %+q and then %+q", s, once, twice)
		}
	})
}
