package extauthz_test

import (
	"testing"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/reflect/protoreflect"

	"thymus/pdp/extauthz"
)

// Every field that Envoy's API knows below CheckRequest is in our tables, under the name of protobuf's JSON form; a new
// version of the API that adds one fails here.
func TestTheTablesAreEnvoysDescriptors(t *testing.T) {
	seen := map[protoreflect.FullName]bool{}
	var walk func(d protoreflect.MessageDescriptor)
	walk = func(d protoreflect.MessageDescriptor) {
		if seen[d.FullName()] || d.FullName() == "google.protobuf.Struct" {
			return
		}
		seen[d.FullName()] = true
		fields := d.Fields()
		ours := extauthz.Fields(string(d.FullName()))
		if len(ours) != fields.Len() {
			t.Errorf("%s: %d fields, Envoy %d", d.FullName(), len(ours), fields.Len())
		}
		for i := range fields.Len() {
			f := fields.Get(i)
			if ours[uint32(f.Number())] != f.JSONName() {
				t.Errorf("%s.%s: ours is %q", d.FullName(), f.JSONName(), ours[uint32(f.Number())])
			}
			switch {
			case f.IsMap() && f.MapValue().Message() != nil:
				walk(f.MapValue().Message())
			case !f.IsMap() && f.Message() != nil:
				walk(f.Message())
			}
		}
	}
	walk((&auth.CheckRequest{}).ProtoReflect().Descriptor())
	if len(seen) < 12 {
		t.Fatalf("only %d messages", len(seen))
	}
}
