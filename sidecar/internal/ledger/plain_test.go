package ledger

import (
	"bytes"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// orderBody is like nearly every body that travels.
const orderBody = `{"action":"add","agreement":"agr-1","document_sha256":"` +
	`9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08","order":"order-1","subscription":"sub-order-1"}`

func TestWhatIsPlainIsReadAsAnyOther(t *testing.T) {
	t.Parallel()
	entry := func(body string) string { return string(sealed(t, 7, Genesis("p"), "order-1", body).Bytes) }
	good := entry(orderBody)
	for name, c := range map[string]struct {
		raw   string
		plain bool
	}{
		"an order's":                       {good, true},
		"a message in words":               {entry(`{"message":"No room: {full} [until Monday], sorry"}`), true},
		"an empty text":                    {entry(`{"message":""}`), true},
		"names that begin alike":           {entry(`{"a":"1","aa":"2","b":"3"}`), true},
		"an empty body":                    {entry(`{}`), false},
		"a body within the body":           {entry(`{"a":{"b":"c"}}`), false},
		"a list":                           {entry(`{"a":["b"]}`), false},
		"a number":                         {entry(`{"a":1}`), false},
		"nothing and truth":                {entry(`{"a":null,"b":true}`), false},
		"a quote":                          {entry(`{"a":"say \"b\""}`), false},
		"a backslash":                      {entry(`{"a":"b\\c"}`), false},
		"a line's end":                     {entry(`{"a":"b\nc"}`), false},
		"a letter beyond ASCII":            {entry(`{"a":"ü"}`), false},
		"a name beyond ASCII":              {entry(`{"ü":"a"}`), false},
		"a character that is taken out":    {entry("{\"a\":\"\x7f\"}"), false},
		"a name without characters":        {entry(`{"":"a"}`), false},
		"what other writers escape":        {entry(`{"a":"<b> & c"}`), true},
		"an escape that need not be":       {strings.Replace(good, `"order":"order-1"`, `"order":"\u006frder-1"`, 1), false},
		"members out of order":             {strings.Replace(good, `"action":"add","agreement":"agr-1"`, `"agreement":"agr-1","action":"add"`, 1), false},
		"a member twice":                   {strings.Replace(good, `"action":"add"`, `"action":"add","action":"add"`, 1), false},
		"white space in the body":          {strings.Replace(good, `"action":"add"`, `"action": "add"`, 1), false},
		"a comma too many":                 {strings.Replace(good, `"sub-order-1"}`, `"sub-order-1",}`, 1), false},
		"a brace too few":                  {strings.Replace(good, `"sub-order-1"}`, `"sub-order-1"`, 1), false},
		"a sequence number with a zero":    {strings.Replace(good, `"seq":7`, `"seq":07`, 1), false},
		"a sequence number with a sign":    {strings.Replace(good, `"seq":7`, `"seq":-7`, 1), false},
		"a sequence number that is huge":   {strings.Replace(good, `"seq":7`, `"seq":9007199254740992`, 1), false},
		"a sequence number that is a text": {strings.Replace(good, `"seq":7`, `"seq":"7"`, 1), false},
		"no sequence number":               {strings.Replace(good, `"seq":7`, `"seq":`, 1), false},
		"text after it":                    {good + " ", false},
		"half of it":                       {good[:len(good)/2], false},
		"nothing":                          {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if plain := readsAlike(t, []byte(c.raw)); plain != c.plain {
				t.Errorf("taken for plain: %v, of %s", plain, c.raw)
			}
		})
	}
}

func TestEveryPieceOfAPlainEntryIsNoEntry(t *testing.T) {
	t.Parallel()
	good := sealed(t, 7, Genesis("p"), "order-1", orderBody).Bytes
	for n := range good {
		if _, _, ok, _ := scanPlain(good[:n]); ok {
			t.Errorf("took %s", good[:n])
		}
		if _, err := Decode(good[:n]); err == nil {
			t.Errorf("decoded %s", good[:n])
		}
	}
}

// readsAlike reports whether raw is taken for plain, and fails the test where the general way reads something else in bytes that are in the form
// that is taken.
func readsAlike(t testing.TB, raw []byte) bool {
	t.Helper()
	plain, hash, ok, err := scanPlain(raw)
	if !ok {
		return false
	}
	if !bytes.Equal(plain.canonical(), raw) {
		t.Errorf("took %s, whose form is %s", raw, plain.canonical())
	}
	if want, other := plain.hash(); want != hash && other == nil || (err == nil) != (other == nil) {
		t.Errorf("of %s the hash is %x, %v; another way %x, %v", raw, hash, err, want, other)
	}
	if err := checkBody(plain.Body); err != nil {
		t.Errorf("took %s: %v", raw, err)
	}
	if err != nil {
		return true // Decode refuses it whoever read it
	}
	other, err := readAny(raw)
	if err != nil || !reflect.DeepEqual(other, plain) {
		t.Errorf("of %s read %+v, another way %+v, %v", raw, plain, other, err)
	}
	return true
}

func TestPlainTextHasItsAlphabetAlone(t *testing.T) {
	t.Parallel()
	alphabet := regexp.MustCompile(`^[A-Za-z0-9._:/+-]{1,128}$`)
	for c := range 256 {
		for _, s := range []string{string([]byte{byte(c)}), "a" + string([]byte{byte(c)}), string(rune(c)) + "b"} {
			if PlainText(s) != alphabet.MatchString(s) {
				t.Errorf("%q is plain: %v", s, PlainText(s))
			}
		}
	}
	for _, n := range []int{0, 1, 128, 129} {
		if s := strings.Repeat("a", n); PlainText(s) != alphabet.MatchString(s) {
			t.Errorf("%d characters are plain: %v", n, PlainText(s))
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	for name, body := range map[string]string{"plain": orderBody, "general": strings.Replace(orderBody, "add", "ä", 1)} {
		b.Run(name, func(b *testing.B) {
			raw := sealed(b, 7, Genesis("p"), "order-1", body).Bytes
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Decode(raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestTheBodyIsFoundInTheBytes(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"an order's":                        orderBody,
		"an empty one":                      `{}`,
		"one that holds what ends a body":   `{"a":{"a":1,"hash":"b"},"hash":"c","kind":"d"}`,
		"one that holds what begins a body": `{"at":"x","body":{"at":"y","body":"z"}}`,
		"one that holds both as text":       `{"a":"\",\"body\":{},\"hash\":\""}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := sealed(t, 7, Genesis("p"), "order-1", body)
			read, err := Decode(e.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			if got := BodyIn(e.Bytes); string(got) != body || !bytes.Equal(got, read.Body) {
				t.Errorf("%s, want %s", got, body)
			}
		})
	}
	for _, damaged := range []string{"", `{"at":"`, `,"hash":"x","body":`, `","body":`} {
		if got := BodyIn([]byte(damaged)); got != nil {
			t.Errorf("%q is found in %q", got, damaged)
		}
	}
}
