package dpop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"

	"github.com/hanse-market/hanse/auth/keys"
)

// Type is the typ of a proof.
const Type = "dpop+jwt"

// Claims of a proof.
type claims struct {
	JTI string `json:"jti"`
	HTM string `json:"htm"`
	HTU string `json:"htu"`
	IAT int64  `json:"iat"`
	ATH string `json:"ath,omitempty"`
}

// Key signs proofs. It lives in memory only and is safe for concurrent use.
type Key struct {
	signer jose.Signer
	jkt    string
	rand   io.Reader
}

// NewKey makes a key. random gives the jti's; nil means crypto/rand.
func NewKey(random io.Reader) (*Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return KeyOf(private, random)
}

// KeyOf uses a private P-256 key; for tests and for foreign clients.
func KeyOf(private *ecdsa.PrivateKey, random io.Reader) (*Key, error) {
	if private.Curve != elliptic.P256() {
		return nil, errors.New("dpop: not a P-256 key")
	}
	if random == nil {
		random = rand.Reader
	}
	options := (&jose.SignerOptions{EmbedJWK: true}).WithType(Type)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: private}, options)
	if err != nil {
		return nil, err
	}
	public := jose.JSONWebKey{Key: private.Public()}
	sum, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, err
	}
	return &Key{signer: signer, jkt: base64.RawURLEncoding.EncodeToString(sum), rand: random}, nil
}

// Thumbprint is the key's RFC 7638 thumbprint: the jkt that a token is bound to.
func (k *Key) Thumbprint() string { return k.jkt }

// Proof makes a proof for one request. url is origin and escaped path, without query; token is empty at a token endpoint; at
// is the receiver's time.
func (k *Key) Proof(method, url, token string, at time.Time) (string, error) {
	var id [18]byte
	if _, err := io.ReadFull(k.rand, id[:]); err != nil {
		return "", err
	}
	c := claims{JTI: base64.RawURLEncoding.EncodeToString(id[:]), HTM: method, HTU: url, IAT: at.Unix()}
	if token != "" {
		c.ATH = Hash(token)
	}
	payload, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	keys.CountSigned()
	object, err := k.signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return object.CompactSerialize()
}

// Hash is the ath of an access token.
func Hash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
