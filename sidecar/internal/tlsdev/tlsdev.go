// Package tlsdev is the certificate authority of dev mode: a folder that the members of one development setup share. It
// vouches for names below localhost only, so that trusting it in a browser puts no real site at risk.
package tlsdev

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/filelock"
)

// CertFile is the CA's certificate inside the folder: what curl --cacert or a browser is given.
const CertFile = "ca.pem"

const (
	keyFile  = "ca-key.pem"
	lockFile = ".lock"

	caLife   = 10 * 365 * 24 * time.Hour
	leafLife = 365 * 24 * time.Hour
	// backdate covers clocks of the same machine that were set back.
	backdate = time.Hour
)

// CA signs certificates for names below localhost.
type CA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	now  func() time.Time
}

// Open reads the CA of a folder, and makes folder and CA where there is none. Processes that start together agree on one.
func Open(dir string, now func() time.Time) (*CA, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("dev CA: %w", err)
	}
	lock, err := filelock.Lock(filepath.Join(dir, lockFile))
	if err != nil {
		return nil, fmt.Errorf("dev CA: %w", err)
	}
	defer func() { _ = lock.Close() }()
	ca, err := read(dir, now)
	// The certificate is written last: without it the folder holds nothing that anyone has trusted yet.
	if errors.Is(err, fs.ErrNotExist) {
		ca, err = create(dir, now)
	}
	if err != nil {
		return nil, fmt.Errorf("dev CA in %s: %w; remove the folder to make a new one", dir, err)
	}
	return ca, nil
}

// Pool holds the CA alone.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return pool
}

// Certificate makes a certificate for a name below localhost, with its key in memory only.
func (ca *CA) Certificate(name string) (tls.Certificate, error) {
	if name != "localhost" && !strings.HasSuffix(name, ".localhost") {
		return tls.Certificate{}, fmt.Errorf("the dev CA vouches for names below localhost only, not for %q", name)
	}
	key, err := newKey()
	if err != nil {
		return tls.Certificate{}, err
	}
	now := ca.now()
	template := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-backdate),
		NotAfter:     now.Add(leafLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{name},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate for %s: %w", name, err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate for %s: %w", name, err)
	}
	return tls.Certificate{Certificate: [][]byte{der, ca.cert.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

func create(dir string, now func() time.Time) (*CA, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	_, v4, _ := net.ParseCIDR("127.0.0.0/8")
	_, v6, _ := net.ParseCIDR("::1/128")
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: "Hanse development CA"},
		NotBefore:             now().Add(-backdate),
		NotAfter:              now().Add(caLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign,
		// RFC 5280 section 4.2.1.10: whoever finds this CA's key cannot vouch for any real name with it.
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         []string{"localhost"},
		PermittedIPRanges:           []*net.IPNet{v4, v6},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := write(filepath.Join(dir, keyFile), 0o600, "PRIVATE KEY", keyDER); err != nil {
		return nil, err
	}
	if err := write(filepath.Join(dir, CertFile), 0o644, "CERTIFICATE", der); err != nil {
		return nil, err
	}
	return read(dir, now)
}

func read(dir string, now func() time.Time) (*CA, error) {
	certDER, err := readPEM(filepath.Join(dir, CertFile), "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(certDER)
	if err != nil {
		return nil, err
	}
	keyDER, err := readPEM(filepath.Join(dir, keyFile), "PRIVATE KEY")
	if err != nil {
		// Not ErrNotExist: a CA that someone trusts is never replaced silently.
		return nil, fmt.Errorf("its key: %v", err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(keyDER)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(cert.PublicKey) {
		return nil, errors.New("certificate and key do not belong together")
	}
	if now().After(cert.NotAfter) {
		return nil, fmt.Errorf("it expired on %s", cert.NotAfter.Format(time.DateOnly))
	}
	return &CA{cert: cert, key: key, now: now}, nil
}

// write puts a whole file in place or none.
func write(path string, mode os.FileMode, kind string, der []byte) error {
	tmp := path + ".new"
	if err := os.WriteFile(tmp, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

func readPEM(path, kind string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("%s holds no %s", path, kind)
	}
	return block.Bytes, nil
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// serial is 127 random bits: RFC 5280 section 4.1.2.2 wants it positive and at most 20 octets.
func serial() *big.Int {
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b)
}
