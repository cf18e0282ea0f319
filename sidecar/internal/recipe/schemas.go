package recipe

import (
	"crypto/sha256"
	"sync"
)

// What a compiled schema takes, measured and rounded up; see TestACompiledSchemaTakesNoMoreThanIsCounted.
const (
	bytesPerSubschema = 2000
	bytesPerStep      = 200
	bytesPerByte      = 12
	// defaultSchemasBytes bounds all compiled schemas, a quarter of it those of one owner.
	defaultSchemasBytes = 32 << 20
)

// Schemas remembers compiled schemas, so that a schema is compiled once and not for every order. It is bounded in bytes, estimated
// before a schema is compiled, and so is each owner's part: one partner cannot push out what the others use.
type Schemas struct {
	mu   sync.Mutex
	most int
	byID map[schemaID]*Schema
	// sensible are those of byID that CompileSchema would take.
	sensible map[schemaID]bool
	// order are the remembered schemas, oldest first; bytes and owned what they take, in all and by owner.
	order []schemaID
	bytes int
	owned map[string]int
}

// schemaID is the digest of a schema's text and whose it is.
type schemaID struct {
	owner  string
	digest [32]byte
}

// NewSchemas remembers up to most bytes of schemas; 0 is 32 MiB.
func NewSchemas(most int) *Schemas {
	if most <= 0 {
		most = defaultSchemasBytes
	}
	return &Schemas{most: most, byID: map[schemaID]*Schema{}, sensible: map[schemaID]bool{}, owned: map[string]int{}}
}

// Compile is CompileSchema, remembered for the owner: a partner's origin, or "" for our own.
func (c *Schemas) Compile(owner string, raw []byte) (*Schema, error) { return c.get(owner, raw, true) }

// Complete compiles and completes. A schema that compiles is used even if it makes no sense throughout: it was looked at when it was
// stored, by what was looked at then, and an order is no time to find fault with it. Errors: fault.Invalid, reason inputs_invalid
// for the inputs, schema_invalid for the schema.
func (c *Schemas) Complete(owner string, schema, inputs []byte) ([]byte, error) {
	s, err := c.get(owner, schema, false)
	if err != nil {
		return nil, err
	}
	return s.Complete(inputs)
}

// get compiles a schema or remembers it; sensible says that it must have been looked at too.
func (c *Schemas) get(owner string, raw []byte, sensible bool) (*Schema, error) {
	id := schemaID{owner, sha256.Sum256(raw)}
	c.mu.Lock()
	s, looked := c.byID[id], c.sensible[id]
	c.mu.Unlock()
	if s != nil && (looked || !sensible) {
		return s, nil
	}
	x, err := compile(raw)
	if err != nil {
		return nil, err
	}
	if sensible {
		if err := x.check(); err != nil {
			return nil, invalidSchema(err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s = c.byID[id]; s == nil {
		s = x.Schema
		c.put(id, s)
	}
	if _, kept := c.byID[id]; kept && sensible {
		c.sensible[id] = true
	}
	return s, nil
}

func (c *Schemas) put(id schemaID, s *Schema) {
	share := c.most / 4
	if s.bytes > share {
		return
	}
	c.forget(func(old schemaID) bool { return old.owner == id.owner }, func() bool { return c.owned[id.owner]+s.bytes > share })
	c.forget(func(schemaID) bool { return true }, func() bool { return c.bytes+s.bytes > c.most })
	c.byID[id] = s
	c.order = append(c.order, id)
	c.bytes += s.bytes
	c.owned[id.owner] += s.bytes
}

// forget drops the oldest of those that may go, for as long as there is too much.
func (c *Schemas) forget(mayGo func(schemaID) bool, tooMuch func() bool) {
	if !tooMuch() {
		return
	}
	kept := c.order[:0]
	for _, id := range c.order {
		if !mayGo(id) || !tooMuch() {
			kept = append(kept, id)
			continue
		}
		c.bytes -= c.byID[id].bytes
		if c.owned[id.owner] -= c.byID[id].bytes; c.owned[id.owner] == 0 {
			delete(c.owned, id.owner)
		}
		delete(c.byID, id)
		delete(c.sensible, id)
	}
	clear(c.order[len(kept):])
	c.order = kept
}
