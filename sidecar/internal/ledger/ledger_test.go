package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gowebpki/jcs"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

func sealed(t testing.TB, seq int64, prev [32]byte, subject, body string) Entry {
	t.Helper()
	e, err := seal("https://b.localhost", wireEntry{
		Seq: seq, At: time.Date(2026, 11, 21, 12, 0, 0, 5000, time.UTC).Format(time.RFC3339Nano),
		Kind: OrderPlaced, Subject: subject, Body: json.RawMessage(body), Prev: hex.EncodeToString(prev[:]),
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestAnEntryIsOneCanonicalJSONObject(t *testing.T) {
	t.Parallel()
	e := sealed(t, 1, Genesis("p"), "order-1", `{"z":1,"a":"ü","m":1.50}`)
	const want = `{"at":"2026-11-21T12:00:00.000005Z","body":{"a":"ü","m":1.5,"z":1},"hash":"`
	if !strings.HasPrefix(string(e.Bytes), want) {
		t.Fatalf("entry is %s", e.Bytes)
	}
	again, err := Decode(e.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if again.Hash != e.Hash || again.Prev != Genesis("p") || again.Seq != 1 || !again.At.Equal(e.At) {
		t.Fatalf("decoded %+v, sealed %+v", again, e)
	}
}

// capitals is an entry whose prev is written in capitals and whose hash is right for what then stands there.
func capitals(entry string) string {
	var w wireEntry
	if err := json.Unmarshal([]byte(entry), &w); err != nil {
		panic(err)
	}
	prev, err := hex.DecodeString(w.Prev)
	if err != nil {
		panic(err)
	}
	w.Prev, w.Hash = strings.ToUpper(w.Prev), ""
	sum := sha256.Sum256(append(prev, w.canonical()...))
	w.Hash = hex.EncodeToString(sum[:])
	return string(w.canonical())
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	const body = `{"order":"order-1"}`
	good := string(sealed(t, 7, Genesis("p"), "order-1", body).Bytes)
	cases := []struct{ name, raw, reason string }{
		{"a changed body", strings.Replace(good, `"order":"order-1"`, `"order":"order-2"`, 1), "ledger_hash_wrong"},
		{"a changed sequence number", strings.Replace(good, `"seq":7`, `"seq":8`, 1), "ledger_hash_wrong"},
		{"another order of members", strings.Replace(good, `"seq":7,"subject":"order-1"`, `"subject":"order-1","seq":7`, 1), "ledger_entry_malformed"},
		{"white space", " " + good, "ledger_entry_malformed"},
		{"an unknown member", strings.Replace(good, `"seq":7`, `"extra":1,"seq":7`, 1), "ledger_entry_malformed"},
		{"a member given twice", strings.Replace(good, `"seq":7`, `"seq":7,"seq":7`, 1), "ledger_entry_malformed"},
		{"a subject with quotes", strings.Replace(good, `"subject":"order-1"`, `"subject":"a\"b"`, 1), "ledger_entry_malformed"},
		{"a prev that is no hash", strings.Replace(good, `"prev":"`, `"prev":"zz`, 1), "ledger_entry_malformed"},
		{"a prev in capitals", capitals(good), "ledger_entry_malformed"},
		{"a member in another case", strings.Replace(good, `"seq":7`, `"Seq":7`, 1), "ledger_entry_malformed"},
		{"a member that is null", strings.Replace(good, `"life":0`, `"life":null`, 1), "ledger_entry_malformed"},
		{"a member left out", strings.Replace(good, `"life":0,`, ``, 1), "ledger_entry_malformed"},
		{"a life below the first", strings.Replace(good, `"life":0`, `"life":-1`, 1), "ledger_hash_wrong"},
		{"a number with a fraction", strings.Replace(good, `"seq":7`, `"seq":7.0`, 1), "ledger_entry_malformed"},
		{"a body that is no object", strings.Replace(good, body, `"order-1"`, 1), "ledger_entry_malformed"},
		{"a body with a member twice", strings.Replace(good, body, `{"order":"order-1","order":"order-1"}`, 1), "ledger_entry_malformed"},
		{"a body with a member twice further down", strings.Replace(good, body, `{"order":[{"a":1,"a":2}]}`, 1), "ledger_entry_malformed"},
		{"a body with a member twice, once escaped", strings.Replace(good, body, `{"a":1,"\u0061":2}`, 1), "ledger_entry_malformed"},
		{"a body with a number that not every reader keeps", strings.Replace(good, body, `{"n":9007199254740992}`, 1), "ledger_entry_malformed"},
		{"a body with a number that no reader keeps", strings.Replace(good, body, `{"n":1e400}`, 1), "ledger_entry_malformed"},
		{"a body with invalid UTF-8", strings.Replace(good, body, "{\"n\":\"\xff\"}", 1), "ledger_entry_malformed"},
		{"a body with half a character", strings.Replace(good, body, `{"n":"\ud800"}`, 1), "ledger_entry_malformed"},
		{"a body that is deep", strings.Replace(good, body, `{"n":`+strings.Repeat("[", 40)+strings.Repeat("]", 40)+`}`, 1), "ledger_entry_malformed"},
		{"text after it", good + "{}", "ledger_entry_malformed"},
		{"nothing", "", "ledger_entry_malformed"},
		{"an array", "[]", "ledger_entry_malformed"},
		{"more than the limit", good + strings.Repeat(" ", MaxEntryBytes), "ledger_entry_malformed"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := Decode([]byte(c.raw))
			if fault.ReasonOf(err) != c.reason {
				t.Fatalf("error is %v, want reason %s", err, c.reason)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(sealed(f, 1, Genesis("p"), "order-1", `{"a":1}`).Bytes)
	f.Add(sealed(f, 2, Genesis("p"), "order-1", `{"n":[1.5,-0.25,{"ü":null}],"t":true}`).Bytes)
	f.Add([]byte(`{"at":"2026-11-21T12:00:00Z","body":{},"hash":"","kind":"k","life":0,"prev":"","seq":1,"subject":"s"}`))
	f.Add(sealed(f, 3, Genesis("p"), "order-1", orderBody).Bytes)
	f.Fuzz(func(t *testing.T, raw []byte) {
		readsAlike(t, raw)
		e, err := Decode(raw)
		if err == nil && !bytes.Equal(e.Bytes, raw) {
			t.Fatalf("accepted bytes were changed: %q", raw)
		}
		if err != nil {
			return
		}
		// Whoever reads it with another library sees the same, and writes the same.
		var other map[string]any
		if err := json.Unmarshal(raw, &other); err != nil || len(other) != 8 {
			t.Fatalf("another reader finds %d members, %v, in %q", len(other), err, raw)
		}
		again, err := json.Marshal(other)
		if err == nil {
			again, err = jcs.Transform(again)
		}
		if err != nil || !bytes.Equal(again, raw) {
			t.Fatalf("another writer makes %q of %q, %v", again, raw, err)
		}
	})
}

func TestTheTableOfKindsHasThemAll(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var listed []Kind
	for line := range strings.Lines(file.Doc.Text()) {
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(line, "\t") && fields[0] != "kind" {
			listed = append(listed, Kind(fields[0]))
		}
	}
	if !slices.Equal(listed, Kinds()) {
		t.Errorf("the table has %v, the code %v", listed, Kinds())
	}
}

// A hash cannot be guessed, so bodies are tried from the writer's side: what it takes every reader takes, with the same meaning.
func FuzzBody(f *testing.F) {
	for _, body := range []string{`{}`, `{"a":1,"\u0061":2}`, `{"n":9007199254740993}`, `{"n":1e21,"m":-0}`, `{"s":"\ud83d\ude00 \u0000"}`, `[1]`, "{\"s\":\"\xff\"}"} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		prev := Genesis("p")
		e, err := seal("https://b.localhost", wireEntry{
			Seq: 1, At: "2026-11-21T12:00:00Z", Kind: OrderPlaced, Subject: "order-1", Body: body, Prev: hex.EncodeToString(prev[:]),
		})
		if err != nil {
			return
		}
		again, err := Decode(e.Bytes)
		if err != nil || !bytes.Equal(again.Body, e.Body) {
			t.Fatalf("what was written of %q is read as %q, %v", body, again.Body, err)
		}
		var first, second map[string]any
		if err := errors.Join(json.Unmarshal(body, &first), json.Unmarshal(again.Body, &second)); err != nil || !reflect.DeepEqual(first, second) {
			t.Fatalf("%q became %q, %v", body, again.Body, err)
		}
	})
}
