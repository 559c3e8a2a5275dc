package load

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
)

func TestArrivalsKeepTheRateTheyAreAskedFor(t *testing.T) {
	for _, a := range []Arrivals{Constant, Poisson} {
		for _, workers := range []int{1, 3} {
			var gaps []float64
			n := 0
			for i := range workers {
				s := newSchedule(3000, a, i, workers, 1)
				for last := s.next(); s.next() < 20e9; s.advance() {
					n++
					if d := s.next() - last; d > 0 {
						gaps = append(gaps, float64(d))
					}
					last = s.next()
				}
			}
			if math.Abs(float64(n)-60_000) > 1000 {
				t.Errorf("%s, %d workers: %d calls in 20 s, expected 60000", a, workers, n)
			}
			mean, square := 0.0, 0.0
			for _, g := range gaps {
				mean += g / float64(len(gaps))
			}
			for _, g := range gaps {
				square += (g - mean) * (g - mean) / float64(len(gaps))
			}
			if spread := math.Sqrt(square) / mean; a == Poisson && math.Abs(spread-1) > 0.05 || a == Constant && spread > 0.01 {
				t.Errorf("%s: gaps spread by %.3f of their mean", a, spread)
			}
		}
	}
}

// FuzzAnswers holds the parser against net/http's: what both read is the same, whatever the pieces in which it arrives, and
// nothing is read beyond its end.
//
// go test ./bench/load -run '^$' -fuzz FuzzAnswers -fuzztime 30s
func FuzzAnswers(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{\"allowed\":true}",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\nConnection: close\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\n{\"all\r\nb\r\nowed\":true}\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n",
		"HTTP/1.0 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 204 No Content\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var status int
		var body []byte
		h := &http1{verdict: func(s int, b []byte) (Verdict, bool) {
			status, body = s, bytes.Clone(b)
			return Permit, true
		}}
		n, a, err := h.parse(in)
		if n < 0 || n > len(in) || a.done != (n > 0) || err != nil && a.done {
			t.Fatalf("%d of %d bytes, done %v, error %v", n, len(in), a.done, err)
		}
		if !a.done {
			return
		}
		if m, b, _ := h.parse(in[:n-1]); m != 0 || b.done {
			t.Fatal("an answer without its last byte is taken for whole")
		}
		br := bufio.NewReader(bytes.NewReader(in[:n]))
		res, err := http.ReadResponse(br, nil)
		for err == nil && res.StatusCode/100 == 1 && res.StatusCode != 101 {
			res, err = http.ReadResponse(br, nil)
		}
		if err != nil { // net/http is stricter about names and lengths
			return
		}
		want, err := io.ReadAll(res.Body)
		if err != nil || len(res.TransferEncoding) == 0 && res.ContentLength < 0 {
			return
		}
		if res.StatusCode != status || !bytes.Equal(want, body) {
			t.Fatalf("got %d %q, net/http reads %d %q", status, body, res.StatusCode, want)
		}
	})
}

// FuzzMember holds the search for a member against encoding/json.
func FuzzMember(f *testing.F) {
	for _, s := range []string{`{"a":1}`, ` { "b" : [ "a", {"a":"}"} ] , "a" : "x\"y" } `, `{"a":{"a":true}}`, `{}`, `[]`, `{"b":"\\","a":null}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := member([]byte(s), "a")
		if !json.Valid([]byte(s)) || strings.Contains(s, `\u`) {
			return
		}
		// The first of equal names is ours, encoding/json takes the last and looks away from case.
		var want map[string]json.RawMessage
		if json.Unmarshal([]byte(s), &want) != nil || want == nil {
			if ok {
				t.Fatalf("%q is no object", s)
			}
			return
		}
		if strings.Count(s, `"a"`) > 1 {
			return
		}
		if !ok || string(got) != string(want["a"]) {
			t.Fatalf("%q: got %q %v, encoding/json finds %q", s, got, ok, want["a"])
		}
	})
}

// FuzzFrames feeds a connection what no server sends: whatever it is, nothing panics and no call is answered twice.
func FuzzFrames(f *testing.F) {
	g := newGRPC()
	f.Add(frame(nil, 0, frameSettings, flagAck, 0))
	f.Add(append(frame(nil, 1, frameHeaders, flagEndHeaders|flagEndStream, 1), 0x88))
	f.Add(append(frame(g.open()[24:], 5, frameData, flagEndStream, 1), 0, 0, 0, 0, 0))
	f.Fuzz(func(t *testing.T, in []byte) {
		g := newGRPC()
		g.open()
		g.ask(&Call{Wire: []byte("x")})
		answers := 0
		for {
			n, a, _, err := g.read(in, nil)
			if n < 0 || n > len(in) {
				t.Fatalf("%d of %d bytes", n, len(in))
			}
			if a.done {
				answers++
			}
			if in = in[n:]; err != nil || n == 0 {
				break
			}
		}
		if answers > 1 {
			t.Fatalf("%d answers to one call", answers)
		}
	})
}
