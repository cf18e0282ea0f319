package sidecar

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"

	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// pathDelimiter separates the levels inside koanf. Not a dot: keys of a connection's config may hold dots.
const pathDelimiter = "\x1f"

// LoadConfig reads the YAML file at path ("" reads none) and lays the environment over it: HANSE_LISTEN_PEER over
// listen.peer. Unknown keys in the file are refused; unknown HANSE_ variables are not, because orchestrators inject such.
// The result still wants Complete, which lets relative paths start at the file's folder. Errors are joined *ConfigErrors
// where a key is at fault, among them what Complete finds wrong with the other keys.
func LoadConfig(path string, getenv func(string) string) (Config, error) {
	k := koanf.New(pathDelimiter)
	if path != "" {
		if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
			return Config{}, fmt.Errorf("read configuration %s: %w", path, err)
		}
	}
	p := &keyProblems{}
	checkKeys(p, nil, k.Raw(), reflect.TypeFor[Config]())
	for _, key := range configKeys() {
		value := getenv(key.Env())
		if value == "" {
			continue
		}
		var set any = value
		if key.Type.Kind() == reflect.Slice {
			set = strings.Split(value, ",")
		}
		if err := k.Set(strings.Join(key.Path, pathDelimiter), set); err != nil {
			return Config{}, fmt.Errorf("set %s from %s: %w", key.Name(), key.Env(), err)
		}
		checkScalar(p, key.Path, key.Env(), value, key.Type)
	}
	for _, at := range p.refused {
		k.Delete(strings.Join(at, pathDelimiter))
	}
	c := Config{Getenv: getenv}
	if err := k.Unmarshal("", &c); err != nil {
		return Config{}, fmt.Errorf("read configuration %s: %w", path, err)
	}
	if err := c.readFrom(path, p); err != nil {
		return Config{}, err
	}
	if len(p.errs) > 0 {
		return c, errors.Join(append(p.errs, c.alsoWrong(p)...)...)
	}
	return c, nil
}

// readFrom lets relative paths start at the file's folder; those of variables start where whoever set them is.
func (c *Config) readFrom(file string, p *keyProblems) (err error) {
	paths := c.paths()
	for _, name := range slices.Sorted(maps.Keys(paths)) {
		key, path := configKey{Path: strings.Split(name, ".")}, paths[name]
		switch {
		case *path == "" || c.Getenv(key.Env()) == "":
		case homely(*path):
			p.refuse(key.Path, key.Env(), homelyAction, homelyProblem)
			*path = ""
		case file != "":
			if *path, err = filepath.Abs(*path); err != nil {
				return fmt.Errorf("%s: %w", key.Env(), err)
			}
		}
	}
	if file != "" {
		c.File, err = filepath.Abs(file)
	}
	return err
}

// keyProblems are faults of single keys, whose values are left out of what is completed.
type keyProblems struct {
	problems
	refused [][]string
}

func (p *keyProblems) refuse(at []string, key, action, problem string, args ...any) {
	p.refused = append(p.refused, at)
	p.add(key, action, problem, args...)
}

// alsoWrong is what Complete finds beside the keys that were refused: one look shows all. What is missing may be a refused key;
// and where that is dev, most of what follows would be untrue.
func (c Config) alsoWrong(p *keyProblems) (errs []error) {
	for _, at := range p.refused {
		if at[0] == "dev" || text.Near(at[0], []string{"dev"}) != "" {
			return nil
		}
	}
	_, err := c.Complete()
	joined, _ := err.(interface{ Unwrap() []error })
	if joined == nil {
		return nil
	}
	for _, err := range joined.Unwrap() {
		if own := (*ConfigError)(nil); !errors.As(err, &own) || !own.absent {
			errs = append(errs, err)
		}
	}
	return errs
}

// configKey is one leaf of Config.
type configKey struct {
	Path []string
	Type reflect.Type
}

// Name is the path as written in YAML; Env the variable that overrides it.
func (k configKey) Name() string { return strings.Join(k.Path, ".") }
func (k configKey) Env() string  { return "HANSE_" + strings.ToUpper(strings.Join(k.Path, "_")) }

// configKeys lists every key that the environment can override: all leaves but the connections, whose names are free.
func configKeys() []configKey { return leaves(nil, reflect.TypeFor[Config]()) }

func leaves(path []string, t reflect.Type) []configKey {
	var keys []configKey
	for name, field := range keyFields(t) {
		at := append(slices.Clone(path), name)
		switch field.Kind() {
		case reflect.Struct:
			keys = append(keys, leaves(at, field)...)
		case reflect.Map:
		default:
			keys = append(keys, configKey{Path: at, Type: field})
		}
	}
	slices.SortFunc(keys, func(a, b configKey) int { return strings.Compare(a.Name(), b.Name()) })
	return keys
}

// keyFields are the fields of a struct that a file can set, by key.
func keyFields(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for f := range t.Fields() {
		if tag := f.Tag.Get("koanf"); tag != "" && tag != "-" {
			fields[tag] = f.Type
		}
	}
	return fields
}

// checkKeys walks what the file holds against the struct, because the decoder's own errors name neither remedy nor path.
func checkKeys(p *keyProblems, path []string, raw map[string]any, t reflect.Type) {
	fields := keyFields(t)
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		value, at := raw[name], append(slices.Clone(path), name)
		field, known := fields[name]
		if !known {
			p.refuse(at, strings.Join(at, "."), suggest(path, name, fields), "is not a key")
			continue
		}
		checkValue(p, at, value, field)
	}
}

func checkValue(p *keyProblems, at []string, value any, t reflect.Type) {
	key := strings.Join(at, ".")
	if value == nil {
		return
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		group, ok := value.(map[string]any)
		if !ok {
			p.refuse(at, key, "indent its keys below it", "holds keys, not a value")
			return
		}
		if t.Kind() == reflect.Struct {
			checkKeys(p, at, group, t)
		} else if t.Elem().Kind() == reflect.Struct {
			for _, name := range slices.Sorted(maps.Keys(group)) {
				checkValue(p, append(slices.Clone(at), name), group[name], t.Elem())
			}
		}
	case reflect.Slice:
		if _, ok := value.([]any); !ok {
			if _, ok := value.(string); !ok {
				p.refuse(at, key, "write it like [a, b]", "is not a list")
			}
		}
	default:
		switch value.(type) {
		case map[string]any, []any:
			p.refuse(at, key, "write one value", "is not a list or a group of keys")
			return
		}
		checkScalar(p, at, key, fmt.Sprint(value), t)
	}
}

// checkScalar reports whether the text reads as the type.
func checkScalar(p *keyProblems, at []string, key, text string, t reflect.Type) {
	var err error
	noun, action := "", ""
	switch {
	case t == reflect.TypeFor[time.Duration]():
		_, err = time.ParseDuration(text)
		noun, action = "a duration", "write it like 15s or 2m"
	case t.Kind() == reflect.Bool:
		_, err = strconv.ParseBool(text)
		noun, action = "a switch", "write true or false"
	case t.Kind() == reflect.Int:
		_, err = strconv.ParseInt(text, 10, 64)
		noun, action = "a whole number", "write digits only"
	case t.Kind() == reflect.Float64:
		_, err = strconv.ParseFloat(text, 64)
		noun, action = "a number", "write it like 2.5"
	}
	if err != nil {
		p.refuse(at, key, action, "%q does not read as %s", text, noun)
	}
}

// suggest names the key that was probably meant: one of that name on another level, or a sibling spelt nearly so.
func suggest(path []string, name string, siblings map[string]reflect.Type) string {
	for _, key := range configKeys() {
		flat := strings.ReplaceAll(key.Name(), ".", "_")
		if key.Path[len(key.Path)-1] == name || flat == name {
			return "did you mean " + key.Name() + "?"
		}
	}
	here := sortedKeys(siblings)
	if near := text.Near(name, here); near != "" {
		return "did you mean " + strings.Join(append(slices.Clone(path), near), ".") + "?"
	}
	return "keys here are " + strings.Join(here, ", ")
}

func sortedKeys(m map[string]reflect.Type) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
