package server_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// FuzzRequest sends whatever comes as bytes on a connection. Every answer must be HTTP with a JSON body and no status of
// the 500s but those that the evaluator is asked for, and nothing that begins with /ext_authz/ may be permitted.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		evaluate("read"), evaluate("no"), post("/v1/evaluate/batch", "", `{"evaluations":[`+good+`]}`),
		post("/access/v1/evaluation", "", `{"subject":{"type":"user","id":"a"},"action":{"name":"read"},"resource":{"type":"t","id":"i"}}`),
		"GET /v1/data/allow?input=%7B%7D&pretty HTTP/1.1\nHost: x\n\n", post("/v1/data/input", "Content-Encoding: gzip", "\x1f\x8b"),
		"GET /ext_authz/envoy/%2e%2e/%2e%2e/healthz HTTP/1.1\nHost: x\n\n", "GET http://x/ext_authz/../healthz HTTP/1.1\nHost: x\n\n",
		"POST /v1/evaluate HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n3\r\nabc\r\n0\r\n\r\n", "GET /healthz HTTP/1.0\n\n",
		"POST /v1/evaluate HTTP/1.1\nHost: x\nExpect: 100-continue\nContent-Length: 9\n\n", "CONNECT x:1 HTTP/1.1\nHost: x\n\n",
		"GET /healthz HTTP/1.1\nHost: x\n\nGET /readyz HTTP/1.1\r\nHost: x\r\n\r\n", "PRI * HTTP/2.0\n\nSM\r\n\r\n",
	} {
		f.Add(raw(seed))
	}
	_, ln := unplugged(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		if bytes.Contains(in, []byte("wait")) || bytes.Contains(in, []byte("panic")) {
			t.Skip("the evaluator's own words")
		}
		c, err := ln.Dial()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		go func() {
			_, _ = c.Write(in)
			// The end of what is sent: a request that ends the connection, so that reading ends too.
			_, _ = io.WriteString(c, "\r\n\r\nGET /healthz HTTP/1.0\r\n\r\n")
			time.AfterFunc(200*time.Millisecond, func() { _ = c.Close() }) // where it became the body of what came before
		}()
		r := bufio.NewReader(c)
		for i := 0; ; i++ {
			resp, err := http.ReadResponse(r, &http.Request{Method: method(in)})
			if err != nil {
				if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !strings.Contains(err.Error(), "closed") {
					t.Fatalf("no HTTP: %v", err)
				}
				return
			}
			if resp.StatusCode == http.StatusContinue {
				continue
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				return // the connection was closed by us
			}
			if i == 0 && bytes.HasPrefix(target(in), []byte("/ext_authz/")) && resp.StatusCode != 403 && resp.StatusCode != 400 && resp.StatusCode != 431 {
				t.Fatalf("%q: %d", target(in), resp.StatusCode)
			}
			if resp.StatusCode >= 500 && !bytes.Contains(body, []byte("eval_")) {
				t.Fatalf("%d %s", resp.StatusCode, body)
			}
			if len(body) > 0 && resp.Header.Get("Content-Encoding") == "" && !json.Valid(body) {
				t.Fatalf("%d no JSON: %q", resp.StatusCode, body)
			}
		}
	})
}

// method is what http.ReadResponse has to know: an answer to HEAD has no body. Of pipelined requests it is the first's.
func method(in []byte) string {
	if bytes.Contains(in, []byte("HEAD ")) {
		return http.MethodHead
	}
	return http.MethodGet
}

// target is the second word of the first line.
func target(in []byte) []byte {
	line, _, _ := bytes.Cut(bytes.TrimLeft(in, "\r\n"), []byte{'\n'})
	_, rest, _ := bytes.Cut(line, []byte{' '})
	t, _, _ := bytes.Cut(rest, []byte{' '})
	return t
}
