package main

import (
	"bytes"
	"crypto"
	"crypto/aes"
	stdcipher "crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math/big"

	josecipher "github.com/go-jose/go-jose/v4/cipher"
	"github.com/gowebpki/jcs"
)

// key is a test key. Its private part is the SHA-256 of its name, so that nobody takes it for a secret.
type key struct {
	Name string
	Use  string
	*ecdsa.PrivateKey
}

func testKey(name, use string) key {
	curve := elliptic.P256()
	sum := sha256.Sum256([]byte("hanse test key: " + name))
	d := new(big.Int).Mod(new(big.Int).SetBytes(sum[:]), curve.Params().N)
	return key{Name: name, Use: use, PrivateKey: must(ecdsa.ParseRawPrivateKey(curve, d.FillBytes(make([]byte, 32))))}
}

// jwk is the public key as published; more members follow.
func (k key) jwk(more ...any) json.RawMessage {
	point := must(k.PublicKey.Bytes())
	alg := "ES256"
	if k.Use == "enc" {
		alg = "ECDH-ES+A256KW"
	}
	return object(append([]any{
		"use", k.Use, "kty", "EC", "kid", k.thumbprint(), "crv", "P-256", "alg", alg, "x", b64(point[1:33]), "y", b64(point[33:]),
	}, more...)...)
}

// private is the JWK with its secret.
func (k key) private() json.RawMessage { return k.jwk("d", b64(must(k.PrivateKey.Bytes()))) }

// thumbprint is RFC 7638.
func (k key) thumbprint() string {
	point := must(k.PublicKey.Bytes())
	sum := sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + b64(point[1:33]) + `","y":"` + b64(point[33:]) + `"}`))
	return b64(sum[:])
}

// sign makes a compact JWS whose signature follows RFC 6979.
func (k key) sign(typ string, payload []byte) string {
	return k.signHeader(object("alg", "ES256", "kid", k.thumbprint(), "typ", typ), payload)
}

func (k key) signHeader(header, payload []byte) string {
	input := b64(header) + "." + b64(payload)
	sum := sha256.Sum256([]byte(input))
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(must(k.PrivateKey.Sign(nil, sum[:], crypto.SHA256)), &rs); err != nil {
		panic(err)
	}
	raw := make([]byte, 64)
	rs.R.FillBytes(raw[:32])
	rs.S.FillBytes(raw[32:])
	return input + "." + b64(raw)
}

// seal makes a compact JWE to k with a fixed ephemeral key, content key and nonce, which is safe for what everybody may read alone.
func (k key) seal(plain []byte, more ...any) string {
	ephemeral := testKey("ephemeral", "enc")
	point := must(ephemeral.PublicKey.Bytes())
	header := object(append([]any{
		"alg", "ECDH-ES+A256KW", "enc", "A256GCM",
		"epk", object("kty", "EC", "crv", "P-256", "x", b64(point[1:33]), "y", b64(point[33:])), "kid", k.thumbprint(),
	}, more...)...)
	kek := josecipher.DeriveECDHES("ECDH-ES+A256KW", nil, nil, ephemeral.PrivateKey, &k.PublicKey, 32)
	content := sha256.Sum256([]byte("hanse test content key"))
	wrapped := must(josecipher.KeyWrap(must(aes.NewCipher(kek)), content[:]))
	return compactJWE(header, wrapped, content[:], plain)
}

func compactJWE(header, wrapped, content, plain []byte) string {
	nonce := sha256.Sum256([]byte("hanse test nonce"))
	gcm := must(stdcipher.NewGCM(must(aes.NewCipher(content))))
	sealed := gcm.Seal(nil, nonce[:12], plain, []byte(b64(header)))
	end := len(sealed) - 16
	return b64(header) + "." + b64(wrapped) + "." + b64(nonce[:12]) + "." + b64(sealed[:end]) + "." + b64(sealed[end:])
}

// object is a JSON object with its members in the order given: name, value, name, value.
func object(pairs ...any) json.RawMessage {
	var b bytes.Buffer
	b.WriteByte('{')
	for i := 0; i < len(pairs); i += 2 {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(text(pairs[i]))
		b.WriteByte(':')
		b.Write(text(pairs[i+1]))
	}
	b.WriteByte('}')
	return b.Bytes()
}

func text(v any) []byte {
	if raw, ok := v.(json.RawMessage); ok {
		return raw
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSpace(b.Bytes())
}

// canonical is RFC 8785.
func canonical(raw []byte) []byte { return must(jcs.Transform(raw)) }

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
