package gate

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// checkValues refuses what a message may not hold wherever it stands: U+0000 in any text, a name in free JSON included (no text of ours
// has it, PostgreSQL cannot keep it, and SQLite would find nothing under it), and numbers in free JSON that are not what the
// caller wrote. The error names the field as validation does.
func checkValues(m proto.Message) error {
	if w := wrongIn(m.ProtoReflect(), ""); w != nil {
		return w
	}
	return nil
}

func nul(path string) *fault.Error {
	return fault.New(fault.Invalid, "text_invalid", "holds the character U+0000, which no text may have").At(path).
		Do("Remove the character and call again.")
}

// inexact is the refusal of a number that Connect's JSON, protobuf's Struct and browsers would change.
func inexact(path string, err error) *fault.Error {
	return fault.New(fault.Invalid, "number_inexact", "%s", err.Error()).At(path)
}

func wrongIn(m protoreflect.Message, path string) (wrong *fault.Error) {
	switch v := m.Interface().(type) {
	case *structpb.Struct:
		return wrongStruct(v, path)
	case *structpb.Value:
		return wrongFree(v, path)
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		here := member(path, string(f.Name()))
		switch {
		case f.IsMap():
			v.Map().Range(func(k protoreflect.MapKey, e protoreflect.Value) bool {
				if f.MapKey().Kind() == protoreflect.StringKind && strings.Contains(k.String(), "\x00") {
					wrong = nul(here)
				} else {
					wrong = wrongValue(f.MapValue(), e, fmt.Sprintf("%s[%q]", here, k.String()))
				}
				return wrong == nil
			})
		case f.IsList():
			for i := 0; i < v.List().Len() && wrong == nil; i++ {
				wrong = wrongValue(f, v.List().Get(i), fmt.Sprintf("%s[%d]", here, i))
			}
		default:
			wrong = wrongValue(f, v, here)
		}
		return wrong == nil
	})
	return wrong
}

func wrongValue(f protoreflect.FieldDescriptor, v protoreflect.Value, path string) *fault.Error {
	switch f.Kind() {
	case protoreflect.StringKind:
		if strings.Contains(v.String(), "\x00") {
			return nul(path)
		}
	case protoreflect.MessageKind:
		return wrongIn(v.Message(), path)
	}
	return nil
}

func wrongStruct(s *structpb.Struct, path string) *fault.Error {
	for _, name := range slices.Sorted(maps.Keys(s.GetFields())) {
		if strings.Contains(name, "\x00") {
			return nul(path)
		}
		if w := wrongFree(s.GetFields()[name], member(path, name)); w != nil {
			return w
		}
	}
	return nil
}

func wrongFree(v *structpb.Value, path string) *fault.Error {
	switch k := v.GetKind().(type) {
	case *structpb.Value_StringValue:
		if strings.Contains(k.StringValue, "\x00") {
			return nul(path)
		}
	case *structpb.Value_NumberValue:
		// What a client rounded before it sent a double cannot be told: so nothing beyond is taken in any codec.
		if n := k.NumberValue; math.IsNaN(n) || math.Abs(n) > text.MaxExact {
			return inexact(path, text.ErrNumberRange)
		}
	case *structpb.Value_ListValue:
		for i, e := range k.ListValue.GetValues() {
			if w := wrongFree(e, fmt.Sprintf("%s[%d]", path, i)); w != nil {
				return w
			}
		}
	case *structpb.Value_StructValue:
		return wrongStruct(k.StructValue, path)
	}
	return nil
}

func member(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
