package sidecar

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"github.com/google/uuid"

	"github.com/hanse-market/hanse/sidecar/internal/filelock"
	"github.com/hanse-market/hanse/sidecar/internal/portal"
)

// siteKeySize is AES-256's.
const siteKeySize = 32

// maxSecretFile bounds a secret's file, so that a wrong path does not fill the memory.
const maxSecretFile = 64 << 10

// SiteKey reads the site key, and makes it where there is none yet.
func (c Config) SiteKey() ([]byte, error) {
	key, err := readOrCreate(c.SiteKeyFile, func() []byte { return randomBytes(siteKeySize) })
	if err != nil {
		return nil, fmt.Errorf("site_key_file: %w", err)
	}
	if len(key) != siteKeySize {
		return nil, &ConfigError{Key: "site_key_file", Problem: fmt.Sprintf("%s holds %d bytes and not %d", c.SiteKeyFile, len(key), siteKeySize), Action: "restore the site key; a new one cannot open what rests under the old one"}
	}
	return key, nil
}

// OperatorTokenFile is where the operators' local admin token lies.
func (c Config) OperatorTokenFile() string { return filepath.Join(c.DataDir, portal.OperatorFile) }

// ReplicaID names this process among the replicas of a member, the same after a restart: what it left running is its own to take over. Several
// on one data_dir have a name each: whoever bore that of another that runs would take its work over. The name is given back by the function.
func (c Config) ReplicaID() (id string, giveBack func() error, err error) {
	for n := 1; ; n++ {
		path := filepath.Join(c.DataDir, "replica.id")
		if n > 1 {
			path = filepath.Join(c.DataDir, fmt.Sprintf("replica-%d.id", n))
		}
		raw, err := readOrCreate(path, func() []byte { return []byte(uuid.NewString() + "\n") })
		if err != nil {
			return "", nil, c.noReplicaID(err)
		}
		id, giveBack = strings.TrimSpace(string(raw)), func() error { return nil }
		held, err := filelock.Try(path)
		switch {
		case errors.Is(err, filelock.ErrHeld):
			continue
		case errors.Is(err, errors.ErrUnsupported): // one data_dir is one process's there
			return id, giveBack, nil
		case err != nil:
			return "", nil, c.noReplicaID(err)
		}
		return id, held.Close, nil
	}
}

// noReplicaID says what a folder that cannot be written, such as one that is mounted to be read only, means.
func (c Config) noReplicaID(err error) error {
	return &ConfigError{
		Key: "data_dir", Problem: fmt.Sprintf("%s cannot keep and lock the name of this replica: %v", c.DataDir, err),
		Action: "give each replica a folder that it can write to, and keep it",
	}
}

// Replicated reports whether several processes may run as this member: on PostgreSQL, with Redis.
func (c Config) Replicated() bool {
	return c.Database.Driver == "postgres" && len(c.Redis.Addresses) > 0
}

// DatabaseDSN is database.dsn or what database.dsn_file holds.
func (c Config) DatabaseDSN() (string, error) {
	if c.Database.DSNFile == "" {
		return c.Database.DSN, nil
	}
	dsn, err := readSecret("database.dsn_file", c.Database.DSNFile)
	if c.Database.Driver == "sqlite" {
		if homely(dsn) {
			return "", &ConfigError{Key: "database.dsn_file", Problem: "in " + c.Database.DSNFile + " " + homelyProblem, Action: homelyAction}
		}
		dsn = c.at(dsn)
	}
	return dsn, err
}

// RedisPassword is what redis.password_file holds, "" where none is named.
func (c Config) RedisPassword() (string, error) {
	if c.Redis.PasswordFile == "" {
		return "", nil
	}
	return readSecret("redis.password_file", c.Redis.PasswordFile)
}

// Connection is a named connection with its references replaced now, so that a secret changed on disk counts at the next
// use and is held no longer than that use.
func (c Config) Connection(name string) (Connection, error) {
	conn, known := c.Adapters.Connections[name]
	if !known {
		return Connection{}, &ConfigError{Key: "adapters.connections." + name, Problem: "is not configured", Action: "add it, or name another connection in the recipe"}
	}
	resolved, err := c.expand(conn.Config)
	if err != nil {
		return Connection{}, fmt.Errorf("adapters.connections.%s.config: %w", name, err)
	}
	conn.Config, _ = resolved.(map[string]any)
	return conn, nil
}

var reference = regexp.MustCompile(`\$\{([^}]*)\}`)

// checkReferences finds references of an unknown kind without reading any.
func checkReferences(value any) error {
	return walkStrings(value, func(s string) error {
		for _, m := range reference.FindAllStringSubmatch(s, -1) {
			if kind, name, _ := strings.Cut(m[1], ":"); (kind != "file" && kind != "env") || name == "" || homely(name) {
				return fmt.Errorf("%s is not a reference", m[0])
			}
		}
		return nil
	})
}

func walkStrings(value any, visit func(string) error) error {
	switch v := value.(type) {
	case string:
		return visit(v)
	case map[string]any:
		for _, e := range v {
			if err := walkStrings(e, visit); err != nil {
				return err
			}
		}
	case []any:
		for _, e := range v {
			if err := walkStrings(e, visit); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c Config) expand(value any) (any, error) {
	switch v := value.(type) {
	case string:
		return c.expandString(v)
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			x, err := c.expand(e)
			if err != nil {
				return nil, err
			}
			out[k] = x
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			x, err := c.expand(e)
			if err != nil {
				return nil, err
			}
			out[i] = x
		}
		return out, nil
	}
	return value, nil
}

func (c Config) expandString(s string) (string, error) {
	var failed error
	out := reference.ReplaceAllStringFunc(s, func(ref string) string {
		kind, name, _ := strings.Cut(ref[2:len(ref)-1], ":")
		if kind == "file" {
			secret, err := readSecret(ref, c.at(name))
			failed = errors.Join(failed, err)
			return secret
		}
		value := c.Getenv(name)
		if value == "" {
			failed = errors.Join(failed, &ConfigError{Key: ref, Problem: "the variable is not set", Action: "set it in the sidecar's environment"})
		}
		return value
	})
	return out, failed
}

// withoutPassword is a URL, or what was meant to be one, as a message may show it: without user and password.
func withoutPassword(raw string) string {
	at := strings.LastIndex(raw, "@")
	if u, err := url.Parse(raw); at < 0 || (err == nil && u.User == nil && u.Opaque == "") {
		return raw
	}
	from := 0
	if slashes := strings.Index(raw, "//"); slashes >= 0 && slashes < at {
		from = slashes + len("//")
	}
	return raw[:from] + "xxxxx" + raw[at:]
}

func readSecret(key, path string) (string, error) {
	b, err := readBounded(path)
	if err != nil {
		return "", &ConfigError{Key: key, Problem: err.Error(), Action: "make the file readable for the sidecar's user"}
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

// readOrCreate reads a file that only we may read, or makes it. Replicas that start together agree on one content, because
// link fails where the name exists.
func readOrCreate(path string, content func() []byte) ([]byte, error) {
	b, err := readPrivate(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(content())
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return nil, err
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return readPrivate(path)
}

func readPrivate(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if runtime.GOOS == "windows" { // where every file seems to be everyone's
		return nil, fmt.Errorf("whether %s is private cannot be seen on Windows; run the sidecar on Linux or macOS", path)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("%s can be read or changed by everyone on this machine; run chmod 600 %s", path, path)
	}
	return readBounded(path)
}

func readBounded(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxSecretFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxSecretFile)
	}
	return os.ReadFile(path)
}

// randomBytes never fails: crypto/rand crashes the program rather than give weak bytes.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}
