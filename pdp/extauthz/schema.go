package extauthz

import (
	"strings"

	"thymus/pdp"
)

// kind is the type of a field, as the tape shows it.
type kind uint8

const (
	kString   kind = iota // String
	kBytes                // String, in base64
	kInt                  // Number; int32, int64 and enums: as Go's reflection gives them to opa-envoy-plugin
	kUint                 // Number
	kBool                 // True
	kMessage              // Object
	kList                 // Array of messages
	kStrings              // Object: map<string, string>
	kMessages             // Object: map<string, message>
	kStruct               // Object: google.protobuf.Struct
)

// field is one field of a message.
type field struct {
	num      uint32
	name     string // in protobuf's JSON form, which is how opa-envoy-plugin spells it
	kind     kind
	msg      *message // of kMessage, kList and kMessages; nil in kMessages: google.protobuf.Struct
	presence bool     // a scalar that is there even if it is zero: a member of a oneof
	key      pdp.Span // name in the fixed text
}

// message is one message type: its full name, for the test that holds the tables against Envoy's descriptors, and its
// fields in the order of their numbers.
type message struct {
	name   string
	fields []field
	folds  bool // it holds headers once as a map and once as a list, of which a proxy sends one
}

func (m *message) field(num uint32) int {
	for i := range m.fields {
		if m.fields[i].num == num {
			return i
		}
	}
	return -1
}

// fixed begins the text of every tape: the names and constants of the input, so that laying one out copies none of
// them. It is read by spans alone.
const fixed = "attributes source destination request contextExtensions metadataContext tlsSession routeMetadataContext " +
	"address service labels principal certificate socketAddress pipe envoyInternalAddress protocol portValue namedPort " +
	"resolverName ipv4Compat networkNamespaceFilepath path mode serverListenerName endpointId time http seconds nanos id " +
	"method headers host scheme query fragment size body rawBody headerMap key value rawValue filterMetadata " +
	"typedFilterMetadata typeUrl sni " +
	"subject type properties role action name resource context raw_path canonical_path path_differs " +
	"peer surface transport tcp unix uid gid pid grpc " +
	"parsed_path parsed_query parsed_body truncated_body source_principal version ext_authz v3 encoding protojson " +
	"jwt header true false "

// word is the span of a word of fixed.
func word(w string) pdp.Span {
	i := strings.Index(" "+fixed, " "+w+" ")
	if i < 0 {
		panic("extauthz: " + w + " is not in the fixed text")
	}
	return pdp.Span{Off: uint32(i), Len: uint32(len(w))}
}

// checkRequest is the schema of envoy.service.auth.v3.CheckRequest and all below it, made once and never written again.
var checkRequest = func() *message {
	str := func(num uint32, name string) field { return field{num: num, name: name, kind: kString} }
	one := func(num uint32, name string, m *message) field {
		return field{num: num, name: name, kind: kMessage, msg: m}
	}
	of := func(num uint32, name string, k kind) field { return field{num: num, name: name, kind: k} }
	there := func(f field) field { f.presence = true; return f }
	const core, auth = "envoy.config.core.v3.", "envoy.service.auth.v3."

	socket := &message{name: core + "SocketAddress", fields: []field{
		of(1, "protocol", kInt), str(2, "address"), there(of(3, "portValue", kUint)), there(str(4, "namedPort")),
		str(5, "resolverName"), of(6, "ipv4Compat", kBool), str(7, "networkNamespaceFilepath"),
	}}
	address := &message{name: core + "Address", fields: []field{
		one(1, "socketAddress", socket),
		one(2, "pipe", &message{name: core + "Pipe", fields: []field{str(1, "path"), of(2, "mode", kUint)}}),
		one(3, "envoyInternalAddress", &message{name: core + "EnvoyInternalAddress", fields: []field{
			there(str(1, "serverListenerName")), str(2, "endpointId"),
		}}),
	}}
	peer := &message{name: auth + "AttributeContext.Peer", fields: []field{
		one(1, "address", address), str(2, "service"), of(3, "labels", kStrings), str(4, "principal"), str(5, "certificate"),
	}}
	headerValue := &message{name: core + "HeaderValue", fields: []field{str(1, "key"), str(2, "value"), of(3, "rawValue", kBytes)}}
	http := &message{name: auth + "AttributeContext.HttpRequest", fields: []field{
		str(1, "id"), str(2, "method"), of(3, "headers", kStrings), str(4, "path"), str(5, "host"), str(6, "scheme"),
		str(7, "query"), str(8, "fragment"), of(9, "size", kInt), str(10, "protocol"), str(11, "body"), of(12, "rawBody", kBytes),
		one(13, "headerMap", &message{name: core + "HeaderMap", fields: []field{{num: 1, name: "headers", kind: kList, msg: headerValue}}}),
	}}
	request := &message{name: auth + "AttributeContext.Request", fields: []field{
		one(1, "time", &message{name: "google.protobuf.Timestamp", fields: []field{of(1, "seconds", kInt), of(2, "nanos", kInt)}}),
		one(2, "http", http),
	}}
	metadata := &message{name: core + "Metadata", fields: []field{
		of(1, "filterMetadata", kMessages),
		{num: 2, name: "typedFilterMetadata", kind: kMessages, msg: &message{name: "google.protobuf.Any", fields: []field{
			str(1, "typeUrl"), of(2, "value", kBytes),
		}}},
	}}
	attributes := &message{name: auth + "AttributeContext", fields: []field{
		one(1, "source", peer), one(2, "destination", peer), one(4, "request", request),
		of(10, "contextExtensions", kStrings), one(11, "metadataContext", metadata),
		one(12, "tlsSession", &message{name: auth + "AttributeContext.TLSSession", fields: []field{str(1, "sni")}}),
		one(13, "routeMetadataContext", metadata),
	}}
	http.folds = true
	m := &message{name: auth + "CheckRequest", fields: []field{one(1, "attributes", attributes)}}
	m.index(map[*message]bool{})
	return m
}()

// index looks up the names of all fields.
func (m *message) index(seen map[*message]bool) {
	if m == nil || seen[m] {
		return
	}
	seen[m] = true
	for i := range m.fields {
		m.fields[i].key = word(m.fields[i].name)
		m.fields[i].msg.index(seen)
	}
}
