package gate

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// checkText refuses U+0000 in any text of a message, a name in free JSON included: no text of ours has it, PostgreSQL cannot keep
// it, and SQLite would find nothing under it. The error names the field as validation does.
func checkText(m proto.Message) error {
	if path, found := nul(m.ProtoReflect(), ""); found {
		return fault.New(fault.Invalid, "text_invalid", "holds the character U+0000, which no text may have").At(path).
			Do("Remove the character and call again.")
	}
	return nil
}

func nul(m protoreflect.Message, path string) (at string, found bool) {
	switch v := m.Interface().(type) {
	case *structpb.Struct:
		return nulIn(v.AsMap(), path)
	case *structpb.Value:
		return nulIn(v.AsInterface(), path)
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		here := member(path, string(f.Name()))
		switch {
		case f.IsMap():
			v.Map().Range(func(k protoreflect.MapKey, e protoreflect.Value) bool {
				if f.MapKey().Kind() == protoreflect.StringKind && strings.Contains(k.String(), "\x00") {
					at, found = here, true
				} else {
					at, found = nulValue(f.MapValue(), e, fmt.Sprintf("%s[%q]", here, k.String()))
				}
				return !found
			})
		case f.IsList():
			for i := 0; i < v.List().Len() && !found; i++ {
				at, found = nulValue(f, v.List().Get(i), fmt.Sprintf("%s[%d]", here, i))
			}
		default:
			at, found = nulValue(f, v, here)
		}
		return !found
	})
	return at, found
}

func nulValue(f protoreflect.FieldDescriptor, v protoreflect.Value, path string) (string, bool) {
	switch f.Kind() {
	case protoreflect.StringKind:
		return path, strings.Contains(v.String(), "\x00")
	case protoreflect.MessageKind:
		return nul(v.Message(), path)
	}
	return "", false
}

func nulIn(v any, path string) (string, bool) {
	switch t := v.(type) {
	case string:
		return path, strings.Contains(t, "\x00")
	case []any:
		for i, e := range t {
			if at, found := nulIn(e, fmt.Sprintf("%s[%d]", path, i)); found {
				return at, true
			}
		}
	case map[string]any:
		for k, e := range t {
			if strings.Contains(k, "\x00") {
				return path, true
			}
			if at, found := nulIn(e, member(path, k)); found {
				return at, true
			}
		}
	}
	return "", false
}

func member(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
