package extauthz_test

import (
	"encoding/json"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"

	"thymus/pdp/extauthz"
)

// Whatever we can read, protobuf reads alike.
func FuzzDecode(f *testing.F) {
	for _, r := range []*auth.CheckRequest{get("/x?a=1", "x", "y"), everything(), typical(), {}, {Attributes: &auth.AttributeContext{}}} {
		f.Add(wireOf(f, r))
	}
	f.Add([]byte("\x0a\x08\x22\x06\x12\x04\x12\x02GE"))
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Add(httpOf(append(field(2, "GET"), append(entry("a", "1"), entry("b", "2")...)...)))
	f.Fuzz(func(t *testing.T, message []byte) {
		text, ok := extauthz.Attributes(message)
		if !ok {
			return
		}
		var r auth.CheckRequest
		if err := proto.Unmarshal(message, &r); err != nil {
			t.Fatalf("protobuf cannot read it: %v\n%s", err, text)
		}
		want := mapOf(r.ProtoReflect())
		var got map[string]any
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("no JSON: %v\n%s", err, text)
		}
		if h := r.GetAttributes().GetRequest().GetHttp(); len(h.GetHeaders()) == 0 && len(h.GetHeaderMap().GetHeaders()) > 0 {
			// headers are made from the list where they come as one alone
			delete(at(got, "attributes", "request", "http").(map[string]any), "headers")
		}
		if want := decoded(t, string(jsonOf(t, want))); !reflect.DeepEqual(any(got), want) {
			t.Fatalf("got  %s\nwant %s", text, jsonOf(t, want))
		}
	})
}

// A query is what net/url makes of it, or refused where that refuses it.
func FuzzForm(f *testing.F) {
	for _, s := range []string{"", "a=1&b=2&a=3", "a", "=", "&&a=&", "%C3%BC=+%2B", "%zz", "a;b", "a=%", "%", "a=b=c", "\xff=1", "a=%ff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		text, ok := extauthz.Form(query)
		want, err := url.ParseQuery(query)
		unicode := true
		for k, vs := range want {
			unicode = unicode && utf8.ValidString(k) && utf8.ValidString(strings.Join(vs, ""))
		}
		if ok != (err == nil && unicode) {
			t.Fatalf("%q: read %t, net/url says %v", query, ok, err)
		}
		if !ok {
			return
		}
		var got url.Values
		if err := json.Unmarshal(text, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: got %s, want %v", query, text, want)
		}
	})
}

// Any body is read or refused, and what is read is JSON.
func FuzzBody(f *testing.F) {
	for _, s := range [][2]string{
		{"application/json", `{"a":[1,{"b":null}]}`}, {"application/json", "{"}, {"application/x-www-form-urlencoded", "a=1&a=2"},
		{"multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n--b--\r\n"},
		{"multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"a\"\r\nContent-Type: application/json\r\n\r\n{\"x\":1}\r\n--b--"},
		{"multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"\xff\"\r\n\r\n\xff\r\n--b--"},
		{"multipart/form-data; boundary=\"\"", "----"}, {"multipart/form-data; boundary", "x"}, {"multipart/form-data; boundary=b", "--b"},
		{"multipart/form-data; boundary=b", "--b\r\nContent-Transfer-Encoding: quoted-printable\r\nContent-Disposition: form-data; name=a\r\n\r\n=3\r\n--b--"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, contentType, text string) {
		parsed, ok := extauthz.Body(contentType, text)
		if !ok {
			return
		}
		var v struct {
			Parsed    *json.RawMessage `json:"parsed_body"`
			Truncated *bool            `json:"truncated_body"`
		}
		if err := json.Unmarshal(parsed, &v); err != nil || v.Truncated == nil || !utf8.Valid(parsed) {
			t.Fatalf("%q %q: %v %s", contentType, text, err, parsed)
		}
	})
}
