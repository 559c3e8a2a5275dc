package extauthz_test

import (
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"thymus/pdp/extauthz"
)

// looks is a policy for opa-envoy-plugin that looks at all there is.
const looks = `package envoy.authz
import rego.v1
default allow := false
allow if {
	_ := [input.attributes, input.parsed_path, input.parsed_query, input.version]
	object.get(input, "parsed_body", null) == object.get(input, "parsed_body", null)
	object.get(input, "truncated_body", false) == object.get(input, "truncated_body", false)
}
`

func decoded(t testing.TB, text string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// with changes a request for a case.
func with(r *auth.CheckRequest, f func(a *auth.AttributeContext, h *auth.AttributeContext_HttpRequest)) *auth.CheckRequest {
	f(r.Attributes, r.Attributes.Request.Http)
	return r
}

type httpRequest = auth.AttributeContext_HttpRequest

// What a policy for opa-envoy-plugin sees: the plugin's documentation, member by member. attributes are compared whole with
// what protobuf's reflection says of the message.
func TestTheInputIsThatOfOpaEnvoyPlugin(t *testing.T) {
	r := start(t, looks, entrypoint("envoy/authz/allow"))
	body := func(kind, text string, headers ...string) *auth.CheckRequest {
		return with(post("/x", kind, text), func(_ *auth.AttributeContext, h *httpRequest) {
			for i := 0; i < len(headers); i += 2 {
				h.Headers[headers[i]] = headers[i+1]
			}
		})
	}
	raw := func(kind, text string) *auth.CheckRequest {
		return with(post("/x", kind, ""), func(_ *auth.AttributeContext, h *httpRequest) { h.RawBody = []byte(text) })
	}
	const form, parts = "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"
	multi := func(p ...string) string {
		return "--b\r\n" + strings.Join(p, "\r\n--b\r\n") + "\r\n--b--\r\n"
	}
	part := func(name, kind, text string) string {
		return `Content-Disposition: form-data; name="` + name + "\"\r\nContent-Type: " + kind + "\r\n\r\n" + text
	}
	for _, c := range []struct {
		name string
		req  *auth.CheckRequest
		want string // members as JSON; of parsed_path and parsed_query, what is not said is not looked at
	}{
		{"the root", get("/"), `{"parsed_path":[""],"parsed_query":{}}`},
		{"segments", get("/a/b/c"), `{"parsed_path":["a","b","c"],"parsed_query":{}}`},
		{"a trailing slash", get("/a/"), `{"parsed_path":["a",""]}`},
		{"leading slashes are taken off, all of them", get("///a/b"), `{"parsed_path":["a","b"]}`},
		{"slashes within are not", get("/a//b"), `{"parsed_path":["a","","b"]}`},
		{"escapes are decoded before the path is parted", get("/a%2Fb/c%20d"), `{"parsed_path":["a","b","c d"]}`},
		{"an escaped slash in front", get("/%2Fa"), `{"parsed_path":["a"]}`},
		{"a plus in the path is one", get("/a+b"), `{"parsed_path":["a+b"]}`},
		{"dots stay", get("/a/../b/./c"), `{"parsed_path":["a","..","b",".","c"]}`},
		{"UTF-8 in escapes", get("/%C3%BC"), `{"parsed_path":["ü"]}`},
		{"an escaped question mark is the path's", get("/a%3Fb?c=d"), `{"parsed_path":["a?b"],"parsed_query":{"c":["d"]}}`},
		{"a second question mark is the query's", get("/a?b=c?d"), `{"parsed_path":["a"],"parsed_query":{"b":["c?d"]}}`},
		{"parameters", get("/a?x=1&y=2&x=3"), `{"parsed_query":{"x":["1","3"],"y":["2"]}}`},
		{"a parameter without a value", get("/a?x&y="), `{"parsed_query":{"x":[""],"y":[""]}}`},
		{"a parameter without a name", get("/a?=1"), `{"parsed_query":{"":["1"]}}`},
		{"an equals sign in a value", get("/a?x=a=b"), `{"parsed_query":{"x":["a=b"]}}`},
		{"escapes and pluses in a query", get("/a?x+y=1+2%2B3&%C3%BC=%26"), `{"parsed_query":{"x y":["1 2+3"],"ü":["&"]}}`},
		{"ampersands alone", get("/a?&&x=1&"), `{"parsed_query":{"x":["1"]}}`},
		{"an empty query", get("/a?"), `{"parsed_query":{}}`},
		{"no content type", get("/a"), `{"parsed_body":null,"truncated_body":false}`},
		{"a body of another kind", body("text/html", "<p>"), `{"parsed_body":null,"truncated_body":false}`},
		{"JSON", body("application/json", `{"a":[1,2.5,"x",null,true]}`), `{"parsed_body":{"a":[1,2.5,"x",null,true]},"truncated_body":false}`},
		{"JSON with a charset", body("application/json; charset=utf-8", `{"a":1}`), `{"parsed_body":{"a":1}}`},
		{"JSON anywhere in the content type", body("text/x, application/json", `{"a":1}`), `{"parsed_body":{"a":1}}`},
		{"a content type in capitals is another", body("APPLICATION/JSON", `{"a":1}`), `{"parsed_body":null,"truncated_body":false}`},
		{"JSON of another name", body("application/vnd.api+json", `{"a":1}`), `{"parsed_body":null}`},
		{"a text", body("application/json", `"foo"`), `{"parsed_body":"foo"}`},
		{"a boolean", body("application/json", `true`), `{"parsed_body":true}`},
		{"a number", body("application/json", `42`), `{"parsed_body":42}`},
		{"null", body("application/json", `null`), `{"parsed_body":null,"truncated_body":false}`},
		{"white space around JSON", body("application/json", " \n[1]\n "), `{"parsed_body":[1]}`},
		{"every escape of JSON", body("application/json", `["\"","\\","\/","\b","\f","\n","\r","\t","\u0041","\ud83d\ude00"]`), `{"parsed_body":["\"","\\","/","\b","\f","\n","\r","\t","A","😀"]}`},
		{"an empty JSON body", body("application/json", ""), `{"parsed_body":null,"truncated_body":false}`},
		{"JSON sent as bytes", raw("application/json", `{"a":1}`), `{"parsed_body":{"a":1}}`},
		{"content-length as long as the body", body("application/json", `{"a":1}`, "content-length", "7"), `{"parsed_body":{"a":1},"truncated_body":false}`},
		{"content-length shorter than the body", body("application/json", `{"a":1}`, "content-length", "3"), `{"parsed_body":{"a":1},"truncated_body":false}`},
		{"content-length longer than the body", body("application/json", `{"a":1}`, "content-length", "8"), `{"parsed_body":null,"truncated_body":true}`},
		{"content-length -1 says nothing", body("application/json", `{"a":1}`, "content-length", "-1"), `{"parsed_body":{"a":1},"truncated_body":false}`},
		{"Envoy says that the body is partial", body("application/json", `{"a":1}`, "x-envoy-auth-partial-body", "true"), `{"parsed_body":null,"truncated_body":true}`},
		{"Envoy says that it is not", body("application/json", `{"a":1}`, "x-envoy-auth-partial-body", "false"), `{"parsed_body":{"a":1},"truncated_body":false}`},
		{"a partial body of a kind that is not read", body("text/plain", "x", "x-envoy-auth-partial-body", "true"), `{"parsed_body":null,"truncated_body":true}`},
		{"a form", body(form, "a=1&b=x+y&a=%C3%BC"), `{"parsed_body":{"a":["1","ü"],"b":["x y"]},"truncated_body":false}`},
		{"a form sent as bytes", raw(form, "a=1"), `{"parsed_body":{"a":["1"]}}`},
		{"an empty form", body(form, ""), `{"parsed_body":null,"truncated_body":false}`},
		{"a form cut", body(form, "a=1", "content-length", "100"), `{"parsed_body":null,"truncated_body":true}`},
		{"a multipart form", body(parts, multi(part("foo", "text/plain", "bar"))), `{"parsed_body":{"foo":["bar"]},"truncated_body":false}`},
		{"one of JSON and text", body(parts, multi(part("a", "application/json", `{"x":[1]}`), part("a", "text/plain", "t"), part("c", "application/json", `7`))), `{"parsed_body":{"a":[{"x":[1]},"t"],"c":[7]}}`},
		{"a part without a name", body(parts, multi("Content-Disposition: attachment\r\n\r\nx", part("a", "text/plain", "1"))), `{"parsed_body":{"a":["1"]}}`},
		{"lines without carriage returns", body(parts, "--b\nContent-Disposition: form-data; name=\"foo\"\nContent-Type: text/plain\n\nbar\n--b--\n"), `{"parsed_body":{"foo":["bar"]}}`},
		{"a multipart form without its boundary", body("multipart/form-data", multi(part("foo", "text/plain", "bar"))), `{"parsed_body":null,"truncated_body":false}`},
		{"one without its boundary, cut", body("multipart/form-data", "--b", "content-length", "100"), `{"parsed_body":null,"truncated_body":true}`},
		{"an empty multipart form", body(parts, ""), `{"parsed_body":null,"truncated_body":false}`},
		{"an empty one of a broken type", body("multipart/form-data; boundary", ""), `{"parsed_body":null,"truncated_body":false}`},
		{"a multipart form cut", body(parts, "--b\r\n", "content-length", "100"), `{"parsed_body":null,"truncated_body":true}`},
		{"a gRPC body", body("application/grpc", "\x00\x00\x00\x00\x00"), `{"parsed_body":null,"truncated_body":false}`},
		{"the version", get("/a"), `{"version":{"ext_authz":"v3","encoding":"protojson"}}`},
		{"a principal", with(get("/a"), func(a *auth.AttributeContext, _ *httpRequest) { a.Source.Principal = "spiffe://x/y" }), `{"source_principal":"spiffe://x/y"}`},
		{"no principal", get("/a"), `{"source_principal":"(absent)"}`},
		{"all that Envoy can say", everything(), `{"source_principal":"spiffe://cluster/ns/shop/sa/web"}`},
		{"empty messages are there", with(get("/a"), func(a *auth.AttributeContext, _ *httpRequest) {
			a.Destination, a.TlsSession, a.MetadataContext = &auth.AttributeContext_Peer{}, &auth.AttributeContext_TLSSession{}, &core.Metadata{}
		}), `{}`},
		{"zeros are absent but in a choice", with(get("/a"), func(a *auth.AttributeContext, h *httpRequest) {
			a.Source.Address = socket("", 0)
			a.Request.Time = &timestamppb.Timestamp{}
			h.Size = 0
		}), `{}`},
		{"negative numbers", with(get("/a"), func(a *auth.AttributeContext, h *httpRequest) {
			h.Size = -1
			a.Request.Time = &timestamppb.Timestamp{Seconds: -62135596800, Nanos: 999999999}
		}), `{}`},
		{"typed metadata, an address of another kind, headers raw", with(get("/a"), func(a *auth.AttributeContext, h *httpRequest) {
			a.MetadataContext = &core.Metadata{TypedFilterMetadata: map[string]*anypb.Any{"x": {TypeUrl: "type.googleapis.com/x", Value: []byte{0, 255}}}}
			a.RouteMetadataContext = &core.Metadata{FilterMetadata: map[string]*structpb.Struct{"r": {}}}
			a.Destination = &auth.AttributeContext_Peer{Address: &core.Address{Address: &core.Address_EnvoyInternalAddress{
				EnvoyInternalAddress: &core.EnvoyInternalAddress{AddressNameSpecifier: &core.EnvoyInternalAddress_ServerListenerName{ServerListenerName: "l"}}}}}
			h.HeaderMap = &core.HeaderMap{Headers: []*core.HeaderValue{{Key: "a", RawValue: []byte{1, 2}}, {Key: "b", Value: "c"}}}
			h.Fragment, h.Query, h.RawBody = "f", "q=1", []byte{0, 1, 2}
		}), `{}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := r.input(c.req)
			if want := decoded(t, string(jsonOf(t, mapOf(c.req.GetAttributes().ProtoReflect())))); !reflect.DeepEqual(in["attributes"], want) {
				t.Errorf("attributes\ngot  %s\nwant %s", jsonOf(t, in["attributes"]), jsonOf(t, want))
			}
			for k, want := range decoded(t, c.want).(map[string]any) {
				got, there := in[k]
				if !there {
					got = "(absent)"
				}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%s\ngot  %s\nwant %s", k, jsonOf(t, got), jsonOf(t, want))
				}
			}
		})
	}
	for _, c := range []struct {
		name string
		req  *auth.CheckRequest
	}{
		{"an escape that is none", get("/%zz")}, {"half an escape", get("/a%2")}, {"an escape in the query that is none", get("/a?x=%")},
		{"a semicolon in the query", get("/a?x=1;y=2")}, {"JSON cut", body("application/json", `{"a":`)},
		{"two values of JSON", body("application/json", `{} {}`)}, {"no JSON", body("application/json", "\x1f\x0b\x08\x00")},
		{"a content-length that is none", body("application/json", `{}`, "content-length", "x")}, {"a form that is none", body(form, "%zz")},
		{"a multipart form without an end", body(parts, "--b\r\n"+part("a", "text/plain", "x"))},
		{"a part of JSON that is none", body(parts, multi(part("a", "application/json", "{")))},
		{"a multipart form of a broken type", body("multipart/form-data; boundary", "x")},
	} {
		if resp := r.check(c.req); !denied(resp) {
			t.Errorf("%s, which the plugin denies by an error: %v", c.name, resp)
		}
		<-r.rec.ch
	}
}

func jsonOf(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What the value of the entrypoint comes to: the plugin's documentation, member by member. Of ours, x-thymus headers,
// decision_id and the body of a denial that has none, are taken off first.
func TestTheResultIsThatOfOpaEnvoyPlugin(t *testing.T) {
	r := start(t, "package envoy.authz\nimport rego.v1\nallow := json.unmarshal(base64url.decode(input.parsed_path[0])) if input.parsed_path[0] != \"none\"\n",
		entrypoint("envoy/authz/allow"))
	const refused = `{"status":403,"headers":[],"body":""}`
	for _, c := range []struct{ value, permit, denial, metadata string }{
		{value: `true`, permit: `{}`},
		{value: `false`, denial: refused},
		{value: `{"allowed":true}`, permit: `{}`},
		{value: `{"allowed":false}`, denial: refused},
		{value: `{"allowed":true,"headers":{"x-a":"1"}}`, permit: `{"headers":["x-a: 1"]}`},
		{value: `{"allowed":true,"headers":{"x-a":["1","2"]}}`, permit: `{"headers":["x-a: 1","x-a: 2"]}`},
		{value: `{"allowed":true,"headers":[{"x-a":"1"},{"x-b":"2"},{"x-a":"3"}]}`, permit: `{"headers":["x-a: 1","x-b: 2","x-a: 3"]}`},
		{value: `{"allowed":true,"headers":{}}`, permit: `{}`},
		{value: `{"allowed":true,"headers":[]}`, permit: `{}`},
		{value: `{"allowed":true,"headers":{"x-a":[]}}`, permit: `{}`},
		{value: `{"allowed":true,"request_headers_to_remove":["x-a","x-b"]}`, permit: `{"remove":["x-a","x-b"]}`},
		{value: `{"allowed":true,"response_headers_to_add":{"x-c":"1"}}`, permit: `{"response":["x-c: 1"]}`},
		{value: `{"allowed":true,"response_headers_to_add":[{"x-c":["1","2"]}]}`, permit: `{"response":["x-c: 1","x-c: 2"]}`},
		{value: `{"allowed":true,"query_parameters_to_remove":["a","b"]}`, permit: `{"unquery":["a","b"]}`},
		{value: `{"allowed":true,"query_parameters_to_set":{"a":"1","b":["2","3"]}}`, permit: `{"query":["a=1","b=2","b=3"]}`},
		{value: `{"allowed":true,"body":"x","http_status":418}`, permit: `{}`},
		{value: `{"allowed":true,"body":7,"http_status":"x"}`, permit: `{}`},
		{value: `{"allowed":true,"dynamic_metadata":{"a":{"b":[1,null,true,"x"]}}}`, permit: `{}`, metadata: `{"a":{"b":[1,null,true,"x"]}}`},
		{value: `{"allowed":true,"dynamic_metadata":{"decision_id":"mine"}}`, permit: `{}`, metadata: `{}`},
		{value: `{"allowed":true,"whatever":1}`, permit: `{}`},
		{value: `{"allowed":false,"body":"no"}`, denial: `{"status":403,"headers":[],"body":"no"}`},
		{value: `{"allowed":false,"http_status":401}`, denial: `{"status":401,"headers":[],"body":""}`},
		{value: `{"allowed":false,"http_status":302,"headers":{"location":"/in"}}`, denial: `{"status":302,"headers":["location: /in"],"body":""}`},
		{value: `{"allowed":false,"http_status":503}`, denial: `{"status":503,"headers":[],"body":""}`},
		{value: `{"allowed":false,"headers":{"x-a":["1","2"]},"body":"b"}`, denial: `{"status":403,"headers":["x-a: 1","x-a: 2"],"body":"b"}`},
		{value: `{"allowed":false,"headers":{"content-type":"text/plain"},"body":"b"}`, denial: `{"status":403,"headers":["content-type: text/plain"],"body":"b"}`},
		{value: `{"allowed":false,"dynamic_metadata":{"a":1}}`, denial: refused, metadata: `{"a":1}`},
		{value: `{"allowed":false,"response_headers_to_add":7,"request_headers_to_remove":7,"query_parameters_to_set":7,"query_parameters_to_remove":7}`, denial: refused},
		// what the plugin answers by a gRPC error is a plain denial here
		{value: `"true"`, denial: refused}, {value: `1`, denial: refused}, {value: `null`, denial: refused}, {value: `[]`, denial: refused}, {value: `{}`, denial: refused},
		{value: `{"allowed":"true"}`, denial: refused}, {value: `{"allowed":null}`, denial: refused}, {value: `{"allow":true}`, denial: refused},
		{value: `{"allowed":true,"headers":"x"}`, denial: refused}, {value: `{"allowed":true,"headers":null}`, denial: refused},
		{value: `{"allowed":true,"headers":{"x":1}}`, denial: refused}, {value: `{"allowed":true,"headers":{"x":[1]}}`, denial: refused},
		{value: `{"allowed":true,"headers":["x"]}`, denial: refused}, {value: `{"allowed":true,"headers":[[]]}`, denial: refused},
		{value: `{"allowed":true,"request_headers_to_remove":"x"}`, denial: refused}, {value: `{"allowed":true,"request_headers_to_remove":[1]}`, denial: refused},
		{value: `{"allowed":true,"response_headers_to_add":{"x":1}}`, denial: refused},
		{value: `{"allowed":true,"query_parameters_to_set":{"x":1}}`, denial: refused}, {value: `{"allowed":true,"query_parameters_to_set":["x"]}`, denial: refused},
		{value: `{"allowed":true,"query_parameters_to_remove":{"x":1}}`, denial: refused}, {value: `{"allowed":true,"dynamic_metadata":[]}`, denial: refused},
		{value: `{"allowed":false,"body":7}`, denial: refused}, {value: `{"allowed":false,"http_status":"401"}`, denial: refused},
		{value: `{"allowed":false,"http_status":999}`, denial: refused}, {value: `{"allowed":false,"http_status":401.5}`, denial: refused},
		{value: `undefined`, denial: refused},
	} {
		path := "/none"
		if c.value != "undefined" {
			path = "/" + base64.RawURLEncoding.EncodeToString([]byte(c.value))
		}
		resp := r.check(get(path))
		var got, want any
		switch ok, no := resp.GetOkResponse(), resp.GetDeniedResponse(); {
		case (c.permit != "") != allowed(resp) || (c.denial != "") != denied(resp):
			t.Errorf("%s: %v", c.value, resp)
			continue
		case ok != nil:
			m := map[string]any{}
			put := func(k string, v []any) {
				if len(v) > 0 {
					m[k] = v
				}
			}
			put("headers", headerLines(ok.GetHeaders()))
			put("response", headerLines(ok.GetResponseHeadersToAdd()))
			var gone, query, unquery []any
			for _, n := range ok.GetHeadersToRemove() {
				if !strings.HasPrefix(n, "x-thymus-") {
					gone = append(gone, n)
				}
			}
			for _, q := range ok.GetQueryParametersToSet() {
				query = append(query, q.GetKey()+"="+q.GetValue())
			}
			for _, q := range ok.GetQueryParametersToRemove() {
				unquery = append(unquery, q)
			}
			put("remove", gone)
			put("query", query)
			put("unquery", unquery)
			got, want = m, decoded(t, c.permit)
		default:
			hs, body := headerLines(no.GetHeaders()), no.GetBody()
			if strings.HasPrefix(body, `{"type":"about:blank"`) {
				hs, body = hs[:len(hs)-1], ""
			}
			got = map[string]any{"status": float64(no.GetStatus().GetCode()), "headers": append([]any{}, hs...), "body": body}
			want = decoded(t, c.denial)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s\ngot  %s\nwant %s", c.value, jsonOf(t, got), jsonOf(t, want))
		}
		metadata := resp.GetDynamicMetadata().AsMap()
		if id, _ := metadata["decision_id"].(string); len(id) != 36 {
			t.Errorf("%s: decision_id %q", c.value, id)
		}
		delete(metadata, "decision_id")
		if c.metadata == "" {
			c.metadata = "{}"
		}
		if !reflect.DeepEqual(any(metadata), decoded(t, c.metadata)) {
			t.Errorf("%s: metadata %v, want %s", c.value, metadata, c.metadata)
		}
	}
}

// headerLines are header options as "name: value", ours left out.
func headerLines(hs []*core.HeaderValueOption) (out []any) {
	for _, h := range hs {
		if n := h.GetHeader().GetKey(); !strings.HasPrefix(n, "x-thymus-") {
			out = append(out, n+": "+h.GetHeader().GetValue())
		}
	}
	return out
}

// Where the plugin would go on with one of two readings, the call is denied instead, also with an entrypoint that would
// permit it.
func TestWhatTwoReadersCanReadDifferentlyIsDeniedUnlikeInThePlugin(t *testing.T) {
	r := start(t, "package envoy.authz\nimport rego.v1\nallow if input.parsed_body != 1\nallow if input.truncated_body != 1\n", entrypoint("envoy/authz/allow"))
	for name, req := range map[string]*auth.CheckRequest{
		"a key twice in JSON":                 post("/x", "application/json", `{"a":1,"a":2}`),
		"no UTF-8 in an escape of the path":   get("/%ff"),
		"no UTF-8 in an escape of the query":  get("/x?a=%ff"),
		"a fragment":                          get("/x#y"),
		"a zero in the path":                  get("/x%00"),
		"a path that does not begin with one": get("x"),
		"an absolute target":                  get("http://other/x"),
		"content-type twice, said by raw list": with(get("/x"), func(_ *auth.AttributeContext, h *httpRequest) {
			h.Headers, h.Body = nil, "{}"
			h.HeaderMap = &core.HeaderMap{Headers: []*core.HeaderValue{{Key: "content-type", Value: "application/json"}, {Key: "content-type", Value: "text/plain"}}}
		}),
	} {
		if resp := r.check(req); !denied(resp) {
			t.Errorf("%s: %v", name, resp)
		}
	}
	if resp := r.check(get("/x")); !allowed(resp) {
		t.Errorf("nothing wrong: %v", resp)
	}
}

// A multipart form that was cut anywhere is refused, because what a rule would deny may have stood behind the cut.
func TestAMultipartFormCutAnywhereIsRefused(t *testing.T) {
	for _, eol := range []string{"\r\n", "\n"} {
		whole := strings.ReplaceAll("--b\nContent-Disposition: form-data; name=\"a\"\n\n1\n--b\nContent-Disposition: form-data; name=\"c\"\nContent-Type: application/json\n\n{}\n--b--", "\n", eol)
		if text, ok := extauthz.Body("multipart/form-data; boundary=b", whole); !ok || string(text) != `{"parsed_body":{"a":["1"],"c":[{}]},"truncated_body":false}` {
			t.Fatalf("%t %s", ok, text)
		}
		for n := 1; n < len(whole); n++ {
			if text, ok := extauthz.Body("multipart/form-data; boundary=b", whole[:n]); ok {
				t.Errorf("%q is read as %s", whole[:n], text)
			}
		}
	}
}

// A body is read only where a policy looks at it: what would be a denial there is of no interest elsewhere, and where
// nobody looks the input has no such member.
func TestBodiesAreReadOnlyWherePoliciesLook(t *testing.T) {
	const all = "package policies.p\nallow contains \"all\"\n"
	for _, c := range []struct {
		name, rego string
		looks      bool
	}{
		{"nobody looks", all, false},
		{"a rule looks", all + "deny contains \"x\" if input.parsed_body.x == 1\n", true},
		{"a rule looks at what was cut", all + "deny contains \"x\" if input.truncated_body\n", true},
		{"a rule looks by another spelling", all + "deny contains \"x\" if input[\"parsed_body\"][_] == 1\n", true},
		{"a function looks", all + "f(x) if x.parsed_body.x == 1\ndeny contains \"x\" if f(input)\n", true},
		{"a rule looks at everything", all + "deny contains \"x\" if input[_].x == 1\n", true},
	} {
		r := start(t, c.rego)
		for kind, text := range map[string]string{"application/json": `{"x":`, "application/x-www-form-urlencoded": "%zz", "multipart/form-data; boundary=b": "--b\r\n"} {
			if resp := r.check(post("/x", kind, text)); denied(resp) != c.looks || allowed(resp) == c.looks {
				t.Errorf("%s: a broken %s: %v", c.name, kind, resp)
			}
			<-r.rec.ch
		}
		if _, there := r.input(post("/x", "application/json", "{}"))["parsed_body"]; there != c.looks {
			t.Errorf("%s: parsed_body is there: %t", c.name, there)
		}
	}
}
