package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"thymus/test/harness"
)

// document is the OpenAPI document as served.
type document map[string]any

func (d document) at(path ...string) any {
	var v any = map[string]any(d)
	for _, p := range path {
		m, _ := v.(map[string]any)
		v = m[p]
	}
	return v
}

// resolve follows references.
func (d document) resolve(v any) map[string]any {
	m, _ := v.(map[string]any)
	for {
		ref, ok := m["$ref"].(string)
		if !ok {
			return m
		}
		m, _ = d.at(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...).(map[string]any)
		if m == nil {
			panic("no such reference: " + ref)
		}
	}
}

// check says where v differs from a schema, of the keywords that our document uses.
func (d document) check(at string, schema any, v any) (wrong []string) {
	s := d.resolve(schema)
	fail := func(format string, args ...any) {
		wrong = append(wrong, at+": "+fmt.Sprintf(format, args...))
	}
	known := []string{"type", "enum", "properties", "required", "additionalProperties", "items", "description", "readOnly", "format",
		"minimum", "maximum", "minLength", "maxLength", "pattern", "default", "maxItems", "minItems", "oneOf", "example"}
	for k := range s {
		if !slices.Contains(known, k) {
			fail("the test does not know the keyword %s", k)
		}
	}
	if alternatives, ok := s["oneOf"].([]any); ok {
		fits := 0
		for _, a := range alternatives {
			if len(d.check(at, a, v)) == 0 {
				fits++
			}
		}
		if fits != 1 {
			fail("fits %d of the alternatives", fits)
		}
	}
	if !isOf(s["type"], v) {
		fail("%v is no %v", v, s["type"])
		return wrong
	}
	if enum, ok := s["enum"].([]any); ok && !slices.Contains(enum, v) {
		fail("%v is none of %v", v, enum)
	}
	switch v := v.(type) {
	case map[string]any:
		props, _ := s["properties"].(map[string]any)
		required, _ := s["required"].([]any)
		for _, r := range required {
			if _, ok := v[r.(string)]; !ok {
				fail("%s is missing", r)
			}
		}
		for k, x := range v {
			if p, ok := props[k]; ok {
				wrong = append(wrong, d.check(at+"."+k, p, x)...)
			} else if s["additionalProperties"] == false {
				fail("%s is not in the document", k)
			} else if p, ok := s["additionalProperties"].(map[string]any); ok {
				wrong = append(wrong, d.check(at+"."+k, p, x)...)
			}
		}
	case []any:
		for i, x := range v {
			if s["items"] != nil {
				wrong = append(wrong, d.check(fmt.Sprintf("%s[%d]", at, i), s["items"], x)...)
			}
		}
	case string:
		if p, ok := s["pattern"].(string); ok && !regexp.MustCompile(p).MatchString(v) {
			fail("%q does not match %s", v, p)
		}
	}
	return wrong
}

func isOf(types, v any) bool {
	switch t := types.(type) {
	case nil:
		return true
	case []any:
		return slices.ContainsFunc(t, func(one any) bool { return isOf(one, v) })
	case string:
		switch x := v.(type) {
		case nil:
			return t == "null"
		case bool:
			return t == "boolean"
		case string:
			return t == "string"
		case float64:
			return t == "number" || t == "integer" && x == math.Trunc(x)
		case []any:
			return t == "array"
		case map[string]any:
			return t == "object"
		}
	}
	return false
}

// operation is one call of the document, ready to be made.
type operation struct {
	method, path string
	spec         map[string]any
	media, body  string
}

// TestEveryOperationOfTheDocumentAnswersAsItSays makes each call with the document's own example, in an order in which
// what it needs is there, and holds the answer against the document: status, content type, headers, schema.
func TestEveryOperationOfTheDocumentAnswersAsItSays(t *testing.T) {
	s := start(t, t.TempDir())
	var d document
	if err := json.Unmarshal([]byte(s.must(200, "GET", "/openapi.json", "").Body), &d); err != nil {
		t.Fatal(err)
	}
	if v, _ := d.at("openapi").(string); !strings.HasPrefix(v, "3.1.") {
		t.Fatalf("openapi %q", v)
	}
	ids := map[string]string{}
	path := func(p string) string {
		switch {
		case strings.HasPrefix(p, "/v1/threats/{id}"):
			return strings.Replace(p, "{id}", ids["threat"], 1)
		case strings.HasPrefix(p, "/v1/immune/events/{id}"):
			return strings.Replace(p, "{id}", "1", 1)
		}
		return strings.NewReplacer("{id}", "spending", "{revision}", "1", "{agent_id}", "a1").Replace(p)
	}
	var order []operation
	for p, item := range d["paths"].(map[string]any) {
		for method, spec := range item.(map[string]any) {
			if method == "parameters" {
				continue
			}
			o := operation{method: strings.ToUpper(method), path: p, spec: spec.(map[string]any)}
			contents, _ := d.resolve(o.spec["requestBody"])["content"].(map[string]any)
			if len(contents) == 0 {
				order = append(order, o)
			}
			for media, c := range contents {
				o.media = media
				example := c.(map[string]any)["example"]
				if text, ok := example.(string); ok {
					o.body = text
				} else {
					b, _ := json.Marshal(example)
					o.body = string(b)
					for _, w := range d.check(p, c.(map[string]any)["schema"], example) {
						t.Errorf("the example of %s %s is not what its schema says: %s", method, p, w)
					}
				}
				order = append(order, o)
			}
		}
	}
	if len(order) < 35 {
		t.Fatalf("only %d calls in the document", len(order))
	}
	rank := []string{"POST", "PUT", "PATCH", "GET", "DELETE"}
	slices.SortFunc(order, func(a, b operation) int {
		if c := slices.Index(rank, a.method) - slices.Index(rank, b.method); c != 0 {
			return c
		}
		return strings.Compare(a.path+" "+a.media, b.path+" "+b.media)
	})
	for _, o := range order {
		t.Run(fmt.Sprintf("%s %s %s", o.method, o.path, o.media), func(t *testing.T) {
			status, header, body := s.call(t, o.method, path(o.path), o.media, o.body)
			if o.path == "/v1/events/stream" && status == 404 {
				t.Skip("this binary has no stream yet")
			}
			if o.method == "POST" && o.path == "/v1/threats" {
				ids["threat"] = harness.Answer{Body: body}.Field("threat_id").(string)
			}
			want := d.resolve(d.at("paths", o.path, strings.ToLower(o.method), "responses", fmt.Sprint(status)))
			if want == nil {
				t.Fatalf("%d is not in the document: %s", status, body)
			}
			again := o.method == "POST" && o.path == "/v1/policies" && o.media != "application/json" // the same id, made before
			if status >= 400 != again {
				t.Fatalf("got %d: %s", status, body)
			}
			headers, _ := want["headers"].(map[string]any)
			for name := range headers {
				if header.Get(name) == "" {
					t.Errorf("no header %s", name)
				}
			}
			contents, _ := want["content"].(map[string]any)
			media, _, _ := strings.Cut(header.Get("Content-Type"), ";")
			if len(contents) == 0 {
				if body != "" {
					t.Fatalf("a body that is not in the document: %s", body)
				}
				return
			}
			c, ok := contents[media].(map[string]any)
			if !ok {
				t.Fatalf("content type %q is not in the document", media)
			}
			if strings.HasSuffix(media, "json") {
				var v any
				if err := json.Unmarshal([]byte(body), &v); err != nil {
					t.Fatal(err)
				}
				for _, w := range d.check("answer", c["schema"], v) {
					t.Error(w)
				}
			}
		})
	}
}

// call makes a call; of a stream it reads the beginning only.
func (s *sidecar) call(t *testing.T, method, path, media, body string) (int, http.Header, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.management+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	res, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		return res.StatusCode, res.Header, ""
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(b)
}

// TestTheDocumentHoldsEveryRoute asks each path of CONTRACT 5 for a method it does not have: what it allows is what the
// document says.
func TestTheDocumentHoldsEveryRoute(t *testing.T) {
	s := start(t, t.TempDir())
	var d document
	if err := json.Unmarshal([]byte(s.must(200, "GET", "/openapi.json", "").Body), &d); err != nil {
		t.Fatal(err)
	}
	for p, item := range d["paths"].(map[string]any) {
		if p == "/v1/events/stream" {
			continue
		}
		var want []string
		for m := range item.(map[string]any) {
			if m != "parameters" {
				want = append(want, strings.ToUpper(m))
			}
		}
		if slices.Contains(want, "GET") {
			want = append(want, "HEAD")
		}
		slices.Sort(want)
		a := s.ask("TRACE", strings.NewReplacer("{id}", "x", "{revision}", "1", "{agent_id}", "a").Replace(p), "")
		if a.Status != 405 || a.Header.Get("Allow") != strings.Join(want, ", ") {
			t.Errorf("%s: %d, allows %q, the document says %v", p, a.Status, a.Header.Get("Allow"), want)
		}
	}
}
