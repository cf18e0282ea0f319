package sidecar_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/auth/scope"
	"github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1/peerv1connect"
	"github.com/hanse-market/hanse/sidecar"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// negativeDocument is a case of docs/vectors/negative.json.
type negativeDocument struct {
	Name, Reader, Reason, Typ, Signer, JWS string
}

func vectorFile[T any](t *testing.T, name string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(read(t, "docs/vectors/"+name)), &v); err != nil {
		t.Fatal(name, err)
	}
	return v
}

// understudy plays the parties of the vectors with the keys of members that run here: what a test key signed there, the key of the
// same purpose signs anew.
type understudy struct {
	t      *testing.T
	public map[string]*ecdsa.PublicKey  // of the vectors, by name
	keys   map[string]*ecdsa.PrivateKey // of the members, by the vectors' name
	text   *strings.Replacer
}

func newUnderstudy(t *testing.T, agreement string, parties map[string]*sidecartest.Member) *understudy {
	t.Helper()
	u := &understudy{t: t, public: map[string]*ecdsa.PublicKey{}, keys: map[string]*ecdsa.PrivateKey{}}
	texts := []string{"agr-0001-test", agreement}
	for party, m := range parties {
		texts = append(texts, "https://"+party+".example", m.Origin)
		for _, purpose := range []keys.Purpose{keys.Business, keys.Client} {
			records, err := m.PrivateKeys(purpose)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range records {
				name := map[keys.State]string{keys.Current: party + " " + string(purpose), keys.Next: party + " next " + string(purpose)}[r.State]
				u.keys[name] = privateKey(t, r.Private)
			}
		}
	}
	for _, k := range vectorFile[struct {
		Keys []struct {
			Name, Thumbprint string
			Private          json.RawMessage `json:"private_jwk"`
		}
	}](t, "keys.json").Keys {
		private := privateKey(t, k.Private)
		u.public[k.Name] = &private.PublicKey
		if ours := u.keys[k.Name]; ours != nil {
			texts = append(texts, k.Thumbprint, thumbprint(t, ours))
		}
	}
	u.text = strings.NewReplacer(texts...)
	return u
}

func privateKey(t *testing.T, raw []byte) *ecdsa.PrivateKey {
	t.Helper()
	var k jose.JSONWebKey
	if err := json.Unmarshal(raw, &k); err != nil {
		t.Fatal(err)
	}
	return k.Key.(*ecdsa.PrivateKey)
}

func thumbprint(t *testing.T, k *ecdsa.PrivateKey) string {
	t.Helper()
	public, err := (&jose.JSONWebKey{Key: &k.PublicKey}).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return keys.Thumbprint(public)
}

func (u *understudy) decode(part string) string {
	u.t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Trim(part, " ="))
	if err != nil {
		u.t.Fatal(err)
	}
	return string(raw)
}

func part(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// sign is the 64 bytes of R and S as a part.
func (u *understudy) sign(k *ecdsa.PrivateKey, input string) string {
	u.t.Helper()
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, k, sum[:])
	if err != nil {
		u.t.Fatal(err)
	}
	raw := make([]byte, 64)
	r.FillBytes(raw[:32])
	s.FillBytes(raw[32:])
	return part(string(raw))
}

// play makes the document anew: the same header and payload by the names of these members, signed by the key that stands in for
// the one that signed the vector. What is wrong with the vector's form or signature is wrong with this one.
func (u *understudy) play(v negativeDocument) string {
	u.t.Helper()
	before := v.JWS[:len(v.JWS)-len(strings.TrimLeft(v.JWS, " "))]
	parts := strings.Split(strings.TrimLeft(v.JWS, " "), ".")
	input := strings.Trim(parts[0], "=") + "." + parts[1]
	made := part(u.text.Replace(u.decode(parts[0]))) + "." + part(u.text.Replace(u.decode(parts[1])))
	signature, signer := "", ""
	if len(parts) > 2 && parts[2] != "" {
		for name, public := range u.public {
			if keys.CheckES256(public, input, parts[2]) {
				signer = name
			}
		}
		if signer == "" { // by nobody: a signature by the right key over something else
			signature = u.sign(u.keys[v.Signer], made+" ")
		} else if signature = u.sign(u.keys[signer], made); u.keys[signer] == nil {
			u.t.Fatalf("nobody plays %s", signer)
		}
	}
	head, payload, _ := strings.Cut(made, ".")
	head += parts[0][len(strings.TrimRight(parts[0], "=")):]
	if len(parts) < 3 {
		return before + head + "." + payload
	}
	return before + head + "." + payload + "." + signature
}

// TestWhatIsRefusedInTheVectorsIsRefusedOverTheWire submits every negative vector that is a document, by a caller whose keys,
// tokens and proofs are good, to the member that would be asked. (The other vectors are no documents: the readers of answers,
// tokens and proofs get them in their own tests, and the foreign member reads all.)
func TestWhatIsRefusedInTheVectorsIsRefusedOverTheWire(t *testing.T) {
	t.Parallel()
	members := newMembers(t, nil, func(*sidecar.Config) {}, "reseller", "supplier")
	reseller, supplier := members[0], members[1]
	openMarket(t, members)
	settled(t, supplier, reseller)
	agreed := agreementOf(t, reseller).GetId()
	parties := map[string]*sidecartest.Member{"reseller": reseller, "supplier": supplier}
	u := newUnderstudy(t, agreed, parties)
	hands := map[string]*hand{}
	for name, m := range parties {
		hands[name] = newHand(t, m.DevCA, m.Origin, m.Keys())
	}
	// Where a reader expects a typ, Submit goes by the one that it is told.
	otherwise := map[string]string{"another typ": "document_version", "the typ in another case": "document_type_unknown"}

	before := [2]books{booksOf(t, reseller), booksOf(t, supplier)}
	submitted, vectors := 0, vectorFile[[]negativeDocument](t, "negative.json")
	for _, v := range vectors {
		if v.Reader != "document" {
			continue
		}
		submitted++
		t.Run(v.Name, func(t *testing.T) {
			from, want := "reseller", v.Reason
			if strings.HasPrefix(v.Signer, "supplier") {
				from = "supplier"
			}
			to := map[string]*sidecartest.Member{"reseller": supplier, "supplier": reseller}[from].Origin
			if reason, has := otherwise[v.Name]; has {
				want = reason
			}
			agreement, scopes := agreed, []string{scope.LedgerRead, scope.OrdersWrite, scope.OrdersCancel}
			document := map[string]any{"document": u.play(v)}
			var got heard
			switch v.Typ {
			case signed.Checkpoint: // travels beside documents
				message := hands[from].submission(to, hands[from].document(signed.Cancel, "no matter"))
				message["checkpoint"] = document["document"]
				got = hands[from].call(to, peerv1connect.ExchangeServiceSubmitProcedure, "", []string{scope.LedgerRead}, message)
			case signed.Life:
				got = hands[from].submit(to, "", []string{scope.LedgerRead}, document)
			case signed.Agreement:
				agreement, scopes = "", []string{scope.LedgerRead, scope.AgreementSign}
				fallthrough
			default:
				got = hands[from].submit(to, agreement, scopes, document)
			}
			if got.reason != want {
				t.Errorf("got %d %s, want reason %s: %s", got.status, got.reason, want, got.body)
			}
		})
	}
	if d := cmp.Diff(before, [2]books{booksOf(t, reseller), booksOf(t, supplier)}, protocmp.Transform()); d != "" {
		t.Errorf("the books changed:\n%s", d)
	}
	if submitted < 60 {
		t.Errorf("only %d vectors are documents", submitted)
	}

	files, err := filepath.Glob(root + "docs/vectors/*.json")
	if err != nil {
		t.Fatal(err)
	}
	all := -len(vectors)
	for _, file := range files {
		all += signedExamples(t, file)
	}
	t.Logf("peer-1: %d rules, %d vectors and %d negative vectors, %d of them submitted over the wire", rulesOnPage(t), all, len(vectors), submitted)
}

// signedExamples counts what a file of vectors holds: what is in its list, or in its lists.
func signedExamples(t *testing.T, file string) (n int) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var list []map[string]json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return 1
	}
	for _, v := range list {
		var entries, pages []json.RawMessage
		if json.Unmarshal(v["entries"], &entries) == nil && json.Unmarshal(v["pages"], &pages) == nil && len(pages) > 0 {
			n += len(entries) + len(pages)
			continue
		}
		n++
	}
	return n
}

// rulesOnPage counts the numbered rules.
func rulesOnPage(t *testing.T) (n int) {
	t.Helper()
	for _, line := range strings.Split(read(t, pagePath), "\n") {
		if ruleMark.MatchString(line) {
			n++
		}
	}
	return n
}
