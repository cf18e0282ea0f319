package backup

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"filippo.io/age"
)

// Format is the version of this form that is written, and the highest that is read.
const Format = 1

// Kinds of archives.
const (
	Whole    = "backup"
	KeysOnly = "keys"
)

// Names in an archive.
const (
	ManifestFile = "manifest.json"
	ConfigFile   = "hanse.yaml"
	KeysFile     = "keys.json"
	DataFolder   = "data/"
	RowsFolder   = "database/"
	digestsFile  = "digests.json"
)

// Manifest says what an archive is.
type Manifest struct {
	Format  int       `json:"format"`
	Kind    string    `json:"kind"`
	Version string    `json:"hanse"`
	Origin  string    `json:"origin"`
	Engine  string    `json:"engine"`
	At      time.Time `json:"at"`
	// Schema are the migrations that made the database, in their order.
	Schema []Migration `json:"schema"`
	// LeftOut are files that the member needs and that are not in the archive, by the key of the configuration or their path.
	LeftOut []string `json:"left_out,omitempty"`
}

// Migration is a step of the schema.
type Migration struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
}

var (
	// ErrKey: what was given does not open the archive.
	ErrKey = errors.New("the passphrase or key does not open it")
	// ErrDamaged: it was cut or changed, or is no archive of ours.
	ErrDamaged = errors.New("it is damaged, or no backup of hanse")
	// ErrNewer: a newer hanse wrote it.
	ErrNewer = errors.New("a newer hanse wrote it")
)

// maxSmall bounds what is read into memory at once.
const maxSmall = 16 << 20

// Writer writes one archive.
type Writer struct {
	sealed  io.WriteCloser
	tar     *tar.Writer
	at      time.Time
	digests map[string]string
}

// NewWriter begins an archive that keys can open.
func NewWriter(dst io.Writer, keys Keys, m Manifest) (*Writer, error) {
	sealed, err := age.Encrypt(dst, keys.recipients...)
	if err != nil {
		return nil, err
	}
	w := &Writer{sealed: sealed, tar: tar.NewWriter(sealed), at: m.At, digests: map[string]string{}}
	m.Format = Format
	return w, w.JSON(ManifestFile, m)
}

// JSON adds a value.
func (w *Writer) JSON(name string, v any) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return w.File(name, raw)
}

// File adds a file.
func (w *Writer) File(name string, content []byte) error {
	return w.Stream(name, int64(len(content)), func(to io.Writer) error { _, err := to.Write(content); return err })
}

// Stream adds what write gives, which is size bytes.
func (w *Writer) Stream(name string, size int64, write func(to io.Writer) error) error {
	if w.digests[name] != "" {
		return fmt.Errorf("%s is in it already", name)
	}
	if err := w.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: w.at, Format: tar.FormatPAX}); err != nil {
		return err
	}
	sum := sha256.New()
	if err := write(io.MultiWriter(w.tar, sum)); err != nil {
		return err
	}
	w.digests[name] = hex.EncodeToString(sum.Sum(nil))
	return w.tar.Flush() // fails where write gave less
}

// Close ends the archive; without it none can be read. It leaves dst open.
func (w *Writer) Close() error {
	if err := w.JSON(digestsFile, w.digests); err != nil {
		return err
	}
	return errors.Join(w.tar.Close(), w.sealed.Close())
}

// Read reads an archive from its beginning to its end, and fails unless all of it is as it was written. Once the manifest is read,
// about is asked whether it is one to go on with; each gets the other files in their order. What each did is to be undone when Read
// fails later: that the end is missing shows there.
func Read(src io.Reader, keys Keys, about func(Manifest) error, each func(name string, size int64, content io.Reader) error) error {
	opened, err := age.Decrypt(src, keys.identities...)
	var noMatch *age.NoIdentityMatchError
	if errors.As(err, &noMatch) {
		return ErrKey
	}
	if err != nil {
		return damaged(err)
	}
	from := &source{from: opened}
	r := &reader{tar: tar.NewReader(from), digests: map[string]string{}}
	if err := r.manifest(about); err != nil {
		return err
	}
	for {
		last, err := r.next(each)
		if err != nil {
			return err
		}
		if !last {
			continue
		}
		if _, err := r.tar.Next(); !errors.Is(err, io.EOF) {
			return damaged(errors.New("something follows its end"))
		}
		if _, err := io.Copy(io.Discard, from); err != nil { // age proves the end there alone
			return damaged(err)
		}
		return nil
	}
}

type reader struct {
	tar     *tar.Reader
	digests map[string]string
}

// source marks what fails below the archive as damage, to tell it from what fails where the content goes.
type source struct{ from io.Reader }

func (s *source) Read(p []byte) (int, error) {
	n, err := s.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = damaged(err)
	}
	return n, err
}

func damaged(err error) error { return fmt.Errorf("%w: %w", ErrDamaged, err) }

func (r *reader) manifest(about func(Manifest) error) error {
	head, err := r.tar.Next()
	if err != nil || head.Name != ManifestFile {
		return damaged(errors.Join(errors.New("no manifest comes first"), err))
	}
	raw, err := r.small(head)
	if err != nil {
		return err
	}
	var m Manifest
	if err := json.Unmarshal(raw, &m); err != nil || m.Format < 1 {
		return damaged(errors.Join(errors.New("the manifest is none"), err))
	}
	if m.Format > Format {
		return ErrNewer
	}
	return about(m)
}

// next reads one file, and reports whether it was the last.
func (r *reader) next(each func(string, int64, io.Reader) error) (last bool, err error) {
	head, err := r.tar.Next()
	if err != nil {
		return false, damaged(errors.Join(errors.New("it ends early"), err))
	}
	if head.Name == digestsFile {
		return true, r.compare(head)
	}
	if head.Typeflag != tar.TypeReg || sparse(head) || !fs.ValidPath(head.Name) || r.digests[head.Name] != "" {
		return false, damaged(fmt.Errorf("%q has no place in it", head.Name))
	}
	sum := sha256.New()
	if err := each(head.Name, head.Size, io.TeeReader(r.tar, sum)); err != nil {
		return false, err
	}
	if _, err := io.Copy(sum, r.tar); err != nil { // what each left
		return false, damaged(err)
	}
	r.digests[head.Name] = hex.EncodeToString(sum.Sum(nil))
	return false, nil
}

// sparse reports whether a file has holes, and may be any times larger than what is in the archive of it.
func sparse(head *tar.Header) bool {
	for name := range head.PAXRecords {
		if strings.HasPrefix(name, "GNU.sparse.") {
			return true
		}
	}
	return false
}

func (r *reader) small(head *tar.Header) ([]byte, error) {
	if head.Size > maxSmall || sparse(head) {
		return nil, damaged(fmt.Errorf("%s is too large", head.Name))
	}
	sum := sha256.New()
	raw, err := io.ReadAll(io.TeeReader(r.tar, sum))
	if err != nil {
		return nil, damaged(err)
	}
	r.digests[head.Name] = hex.EncodeToString(sum.Sum(nil))
	return raw, nil
}

func (r *reader) compare(head *tar.Header) error {
	have := r.digests
	r.digests = map[string]string{}
	raw, err := r.small(head)
	if err != nil {
		return err
	}
	var want map[string]string
	if err := json.NewDecoder(bytes.NewReader(raw)).Decode(&want); err != nil {
		return damaged(err)
	}
	for name, digest := range want {
		if have[name] != digest {
			return damaged(fmt.Errorf("%s has another digest", name))
		}
	}
	if len(want) != len(have) {
		return damaged(errors.New("it has files without a digest"))
	}
	return nil
}
