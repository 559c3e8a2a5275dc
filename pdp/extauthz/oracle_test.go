package extauthz_test

import (
	"encoding/base64"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"
)

// mapOf is a message as opa-envoy-plugin documents it for policies: by protobuf's own reflection, names in JSON's casing,
// what is not set left out, bytes in base64. It shares no code with what is tested.
func mapOf(m protoreflect.Message) map[string]any {
	if s, ok := m.Interface().(*structpb.Struct); ok {
		return s.AsMap()
	}
	out := map[string]any{}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
			o := map[string]any{}
			v.Map().Range(func(k protoreflect.MapKey, e protoreflect.Value) bool {
				o[k.String()] = valueOf(f.MapValue(), e)
				return true
			})
			out[f.JSONName()] = o
		case f.IsList():
			l := make([]any, v.List().Len())
			for i := range l {
				l[i] = valueOf(f, v.List().Get(i))
			}
			out[f.JSONName()] = l
		default:
			out[f.JSONName()] = valueOf(f, v)
		}
		return true
	})
	return out
}

func valueOf(f protoreflect.FieldDescriptor, v protoreflect.Value) any {
	switch f.Kind() {
	case protoreflect.MessageKind:
		return mapOf(v.Message())
	case protoreflect.BytesKind:
		return base64.StdEncoding.EncodeToString(v.Bytes())
	case protoreflect.EnumKind:
		return float64(v.Enum())
	case protoreflect.BoolKind:
		return v.Bool()
	case protoreflect.StringKind:
		return v.String()
	case protoreflect.Uint32Kind:
		return float64(v.Uint())
	}
	return float64(v.Int())
}
