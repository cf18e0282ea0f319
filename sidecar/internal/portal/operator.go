package portal

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// OperatorFile is the name of the admin token's file in the data directory.
const OperatorFile = "operator.token"

// Operator recognises the admin token of this installation.
type Operator struct{ digest [sha256.Size]byte }

// LoadOperator reads the admin token from dir, or makes it at the first start, readable by its owner alone. A file that
// others can read is refused: whoever could read it must be assumed to have done so.
func LoadOperator(dir string, random io.Reader) (*Operator, error) {
	path := filepath.Join(dir, OperatorFile)
	if err := makeOperatorFile(path, random); err != nil {
		return nil, fmt.Errorf("make operator token: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read operator token: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("read operator token: %s has mode %o: remove it, restart, and use the new token", OperatorFile, info.Mode().Perm())
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read operator token: %w", err)
	}
	token := strings.TrimSpace(string(raw))
	if !wellFormed(token, prefixOperator) {
		return nil, fmt.Errorf("read operator token: %s does not hold an operator token", OperatorFile)
	}
	return &Operator{digest: sha256.Sum256([]byte(token))}, nil
}

// makeOperatorFile writes a new token beside the path and links it there, so that no reader sees half a token and, of two
// starting at once, the first one wins.
func makeOperatorFile(path string, random io.Reader) error {
	if _, err := os.Lstat(path); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	token, err := newSecret(random, prefixOperator)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), OperatorFile+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	if _, err = tmp.WriteString(token + "\n"); err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// Authenticate refuses any token but the admin token. Digests are compared, so that time tells nothing about the token.
func (o *Operator) Authenticate(token string) error {
	if token == "" {
		return fault.New(fault.Unauthenticated, "key_missing", "the call carries no operator token").
			Do("send Authorization: Bearer TOKEN with the token from " + OperatorFile + " in the data directory")
	}
	got := sha256.Sum256([]byte(token))
	if !hmac.Equal(got[:], o.digest[:]) {
		return fault.New(fault.Unauthenticated, "key_invalid", "the operator token is not this sidecar's")
	}
	return nil
}
