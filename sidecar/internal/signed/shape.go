package signed

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// shape is what a Go type asks of a JSON value. It is made once per type.
type shape struct {
	typ reflect.Type
	// kind is Struct, Slice, Pointer, String, Bool, Int for all signed ones, Interface for json.RawMessage, and Func for time.Time.
	kind reflect.Kind
	// begins is the token that such a value begins with; of a bool either.
	begins  jsontext.Kind
	elem    *shape
	members []memberOf
	byName  map[string]int
	// required has a bit for each member that must be there.
	required uint64
}

type memberOf struct {
	name  string
	field int
	shape *shape
}

var shapes sync.Map // reflect.Type → *shape

func shapeOf(t reflect.Type) *shape {
	if s, ok := shapes.Load(t); ok {
		return s.(*shape)
	}
	s, _ := shapes.LoadOrStore(t, makeShape(t))
	return s.(*shape)
}

var (
	rawType  = reflect.TypeFor[json.RawMessage]()
	timeType = reflect.TypeFor[time.Time]()
)

// makeShape panics on a type that cannot be read strictly: it is a defect of the type, found by its first test.
func makeShape(t reflect.Type) *shape {
	s := &shape{typ: t, kind: t.Kind()}
	switch {
	case t == rawType:
		s.kind, s.begins = reflect.Interface, '{'
	case t == timeType:
		s.kind, s.begins = reflect.Func, '"'
	case s.kind == reflect.String:
		s.begins = '"'
	case s.kind == reflect.Bool:
		s.begins = 't'
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Int64:
		s.kind, s.begins = reflect.Int, '0'
	case s.kind == reflect.Pointer:
		s.elem = makeShape(t.Elem())
		s.begins = s.elem.begins
	case s.kind == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
		s.elem, s.begins = makeShape(t.Elem()), '['
	case s.kind == reflect.Struct:
		s.begins = '{'
		s.addMembers(t)
	default:
		panic(fmt.Sprintf("a signed document cannot hold %s", t))
	}
	return s
}

func (s *shape) addMembers(t reflect.Type) {
	s.byName = make(map[string]int, t.NumField())
	if t.NumField() > 64 {
		panic(fmt.Sprintf("%s has more members than are counted", t))
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		if name == "" || f.Anonymous || !f.IsExported() {
			panic(fmt.Sprintf("%s.%s has no name of a member", t, f.Name))
		}
		n := len(s.members)
		s.byName[name] = n
		s.members = append(s.members, memberOf{name: name, field: i, shape: makeShape(f.Type)})
		if options != "omitempty" {
			s.required |= 1 << n
		}
	}
}
