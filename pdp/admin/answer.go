package admin

import (
	"bytes"
	"encoding/json"
	"net/http"

	"thymus/pdp"
	"thymus/pdp/wire"
)

// Fail answers with an error whose status says it all (RFC 9457).
func Fail(w http.ResponseWriter, status int, detail string) {
	FailWith(w, wire.StatusProblem(status, detail))
}

// FailWith answers with an error.
func FailWith(w http.ResponseWriter, p *wire.Problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_, _ = w.Write(wire.AppendProblem(nil, p)) // the client may have gone
}

// answer sends a value as JSON.
func answer(w http.ResponseWriter, status int, v any) {
	b, err := marshal(v)
	if err != nil {
		Fail(w, http.StatusInternalServerError, "the answer could not be written as JSON")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // the client may have gone
}

// marshal is json.Marshal that leaves < > and & as they are: what is answered here is no part of a page.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), err
}

// requestID is the value of X-Request-ID if it is one that can be told again: up to 256 bytes of printable ASCII.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	if len(id) > pdp.MaxName {
		return ""
	}
	for i := range len(id) {
		if id[i] < ' ' || id[i] > '~' {
			return ""
		}
	}
	return id
}
