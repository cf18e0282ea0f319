package gate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// maxJSONDepth is how deep objects and arrays may be nested in a request.
const maxJSONDepth = 32

// checkJSON proves that data is one JSON value, nested at most maxJSONDepth deep, in which no object has a key twice: what
// is checked here must be what the decoder after it acts on.
func checkJSON(data []byte) error {
	err := text.CheckJSON(data, maxJSONDepth)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, text.ErrTwice):
		return fault.New(fault.Invalid, "json_duplicate_key", "%s", err.Error())
	case errors.Is(err, text.ErrTooDeep):
		return fault.New(fault.Invalid, "json_too_deep", "%s", err.Error())
	}
	return fault.New(fault.Invalid, "json_malformed", "%s", err.Error())
}

// checkNumbers refuses numbers in free JSON (google.protobuf.Struct and its like) whose digits a double does not hold: decoding
// would change them in silence. Other fields have decoders that are exact or refuse. data is what checkJSON passed.
func checkNumbers(data []byte, m protoreflect.MessageDescriptor) error {
	if !holdsFreeJSON(m, nil) {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return fault.New(fault.Invalid, "json_malformed", "%s", err.Error())
	}
	if w := numbersOf(v, m, ""); w != nil {
		return w
	}
	return nil
}

// freeJSON are the messages that stand for any JSON.
func freeJSON(m protoreflect.MessageDescriptor) bool {
	switch m.FullName() {
	case "google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue":
		return true
	}
	return false
}

func holdsFreeJSON(m protoreflect.MessageDescriptor, seen []protoreflect.FullName) bool {
	if freeJSON(m) {
		return true
	}
	if slices.Contains(seen, m.FullName()) {
		return false
	}
	for i := range m.Fields().Len() {
		if sub := messageOf(m.Fields().Get(i)); sub != nil && holdsFreeJSON(sub, append(seen, m.FullName())) {
			return true
		}
	}
	return false
}

// messageOf is the message in a field, in its list or in its map.
func messageOf(f protoreflect.FieldDescriptor) protoreflect.MessageDescriptor {
	if f.IsMap() {
		f = f.MapValue()
	}
	return f.Message()
}

func numbersOf(v any, m protoreflect.MessageDescriptor, path string) *fault.Error {
	if freeJSON(m) {
		if _, at, err := text.Exact(v); err != nil {
			return inexact(text.JoinPath(path, at), err)
		}
		return nil
	}
	object, _ := v.(map[string]any)
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		sub := messageOf(f)
		if sub == nil {
			continue
		}
		for _, name := range []string{f.JSONName(), string(f.Name())} {
			given, has := object[name]
			if !has {
				continue
			}
			here := member(path, string(f.Name()))
			list, isList := given.([]any)
			entries, isMap := given.(map[string]any)
			switch {
			case f.IsList() && isList:
				for i, e := range list {
					if w := numbersOf(e, sub, fmt.Sprintf("%s[%d]", here, i)); w != nil {
						return w
					}
				}
			case f.IsMap() && isMap:
				for k, e := range entries {
					if w := numbersOf(e, sub, fmt.Sprintf("%s[%q]", here, k)); w != nil {
						return w
					}
				}
			case !f.IsList() && !f.IsMap():
				if w := numbersOf(given, sub, here); w != nil {
					return w
				}
			}
		}
	}
	return nil
}
