package backup_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"maps"
	"slices"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/hanse-market/hanse/sidecar/internal/backup"
)

var content = map[string]string{"hanse.yaml": "dev: true\n", "data/site.key": "0123456789abcdef0123456789abcdef", "data/large": string(bytes.Repeat([]byte("page"), 30_000))}

func pair(t *testing.T) (seals, opens backup.Keys) {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	seals, err = backup.Recipients([]byte(identity.Recipient().String()))
	if err != nil {
		t.Fatal(err)
	}
	if opens, err = backup.Identities([]byte(identity.String())); err != nil {
		t.Fatal(err)
	}
	return seals, opens
}

func written(t *testing.T, keys backup.Keys, m backup.Manifest) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := backup.NewWriter(&out, keys, m)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(content)) {
		if err := w.File(name, []byte(content[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func read(raw []byte, keys backup.Keys) (m backup.Manifest, files map[string]string, err error) {
	files = map[string]string{}
	err = backup.Read(bytes.NewReader(raw), keys, func(got backup.Manifest) error { m = got; return nil },
		func(name string, size int64, from io.Reader) error {
			b, err := io.ReadAll(from)
			if files[name] = string(b); err == nil && int64(len(b)) != size {
				return errors.New("another size")
			}
			return err
		})
	return m, files, err
}

func TestAnArchiveGivesBackWhatWentIn(t *testing.T) {
	t.Parallel()
	byPhrase, err := backup.QuickPassphrase("correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	seals, opens := pair(t)
	want := backup.Manifest{Format: backup.Format, Kind: backup.Whole, Origin: "https://a.example", At: time.Unix(1e9, 0).UTC()}
	for name, keys := range map[string][2]backup.Keys{"passphrase": {byPhrase, byPhrase}, "key": {seals, opens}} {
		raw := written(t, keys[0], want)
		m, files, err := read(raw, keys[1])
		if err != nil || m.Origin != want.Origin || !m.At.Equal(want.At) || !maps.Equal(files, content) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
		if bytes.Contains(raw, []byte("0123456789abcdef")) || bytes.Contains(raw, []byte("a.example")) {
			t.Errorf("%s: it can be read", name)
		}
	}
}

// TestAnArchiveThatWasTouchedDoesNotOpen: at every place, whatever was done to it.
func TestAnArchiveThatWasTouchedDoesNotOpen(t *testing.T) {
	t.Parallel()
	seals, opens := pair(t)
	raw := written(t, seals, backup.Manifest{At: time.Unix(1e9, 0)})
	_, other := pair(t)
	if _, _, err := read(raw, other); !errors.Is(err, backup.ErrKey) {
		t.Errorf("with another key: %v", err)
	}
	for at := 0; at < len(raw); at += 1 + len(raw)/41 {
		changed := slices.Clone(raw)
		changed[at] ^= 1
		if _, _, err := read(changed, opens); !errors.Is(err, backup.ErrDamaged) && !errors.Is(err, backup.ErrKey) {
			t.Errorf("byte %d changed: %v", at, err)
		}
		if _, _, err := read(raw[:at], opens); !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("cut after %d of %d: %v", at, len(raw), err)
		}
	}
	for _, at := range []int{len(raw) - 1, len(raw) - 16, 64 << 10} { // age's pieces are 64 KiB
		if _, _, err := read(raw[:at], opens); !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("cut after %d of %d: %v", at, len(raw), err)
		}
	}
	if _, _, err := read(append(slices.Clone(raw), 0), opens); !errors.Is(err, backup.ErrDamaged) {
		t.Errorf("with something behind it: %v", err)
	}
}

// TestAnArchiveWithoutItsEndIsNone: whoever wrote it died before Close, but age's end is there.
func TestAnArchiveWithoutItsEndIsNone(t *testing.T) {
	t.Parallel()
	seals, opens := pair(t)
	var out bytes.Buffer
	w, err := backup.NewWriter(&out, seals, backup.Manifest{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.File("data/site.key", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := w.File("data/site.key", []byte("y")); err == nil {
		t.Error("a file is in it twice")
	}
	if err := w.CloseWithoutDigests(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := read(out.Bytes(), opens); !errors.Is(err, backup.ErrDamaged) {
		t.Errorf("it is read: %v", err)
	}
}

// TestWhatEachSaysIsNoDamage: a full disk is not blamed on the archive.
func TestWhatEachSaysIsNoDamage(t *testing.T) {
	t.Parallel()
	seals, opens := pair(t)
	raw, full := written(t, seals, backup.Manifest{}), errors.New("no space left")
	err := backup.Read(bytes.NewReader(raw), opens, func(backup.Manifest) error { return nil }, func(string, int64, io.Reader) error { return full })
	if !errors.Is(err, full) || errors.Is(err, backup.ErrDamaged) {
		t.Errorf("%v", err)
	}
}

func TestKeysOfNoUseAreRefusedWithoutBeingRepeated(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"short":     func() error { _, err := backup.Passphrase("hunter2"); return err }(),
		"recipient": func() error { _, err := backup.Recipients([]byte("hunter2")); return err }(),
		"identity":  func() error { _, err := backup.Identities([]byte("AGE-SECRET-KEY-hunter2")); return err }(),
	} {
		if err == nil || bytes.Contains([]byte(err.Error()), []byte("hunter2")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAFileWithHolesHasNoPlace: a terabyte of zeros takes one kilobyte of an archive, and whoever knows a public key can seal one.
func TestAFileWithHolesHasNoPlace(t *testing.T) {
	t.Parallel()
	const manifest, holes = `{"format":1,"kind":"backup"}`, "1\n1099511627775\n1\n"
	var plain bytes.Buffer
	w := tar.NewWriter(&plain)
	body := append(make([]byte, 512), 'x')
	copy(body, holes)
	for _, f := range []struct {
		head tar.Header
		body []byte
	}{
		{tar.Header{Name: backup.ManifestFile}, []byte(manifest)},
		{tar.Header{Name: "data/hanse.db", PAXRecords: map[string]string{ // the writer takes no record of this name
			"GNX.sparse.major": "1", "GNX.sparse.minor": "0", "GNX.sparse.name": "data/hanse.db", "GNX.sparse.realsize": "1099511627776",
		}}, body},
	} {
		f.head.Size, f.head.Format = int64(len(f.body)), tar.FormatPAX
		err := w.WriteHeader(&f.head)
		if err == nil {
			_, err = w.Write(f.body)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	opens, err := backup.Identities([]byte(identity.String()))
	if err != nil {
		t.Fatal(err)
	}
	var sealed bytes.Buffer
	to, err := age.Encrypt(&sealed, identity.Recipient())
	if err == nil {
		_, err = to.Write(bytes.ReplaceAll(plain.Bytes(), []byte("GNX.sparse"), []byte("GNU.sparse")))
	}
	if err := errors.Join(err, to.Close()); err != nil {
		t.Fatal(err)
	}
	err = backup.Read(&sealed, opens, func(backup.Manifest) error { return nil }, func(name string, size int64, _ io.Reader) error {
		t.Errorf("%s is given with %d bytes", name, size)
		return io.ErrShortBuffer
	})
	if !errors.Is(err, backup.ErrDamaged) {
		t.Errorf("it is read: %v", err)
	}
}
