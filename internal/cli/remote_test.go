package cli_test

import (
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sidecar answers like a running one, and refuses what it would refuse.
func sidecar(t *testing.T) http.Handler {
	t.Helper()
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, r *http.Request, native string) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case r.Header.Get("Authorization") == "Bearer wrong":
			w.WriteHeader(http.StatusUnauthorized)
			io.WriteString(w, `{"type":"about:blank","title":"Unauthorized","status":401,"detail":"expected the token"}`)
		case strings.Contains(string(body), "bad"):
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"type":"about:blank","title":"Bad Request","status":400,"detail":"expected a shorter one","field":"action"}`)
		case strings.Contains(string(body), "away"):
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		case strings.Contains(string(body), "empty"):
			io.WriteString(w, `{}`)
		case r.Header.Get("Content-Type") != "application/json":
			w.WriteHeader(http.StatusUnsupportedMediaType)
		default:
			io.WriteString(w, native)
		}
	}
	const facts = `"effect":"deny","matched_policy":"p","matched_rule":"r","reason":"no","warnings":[],"requires_audit":true,"decision_id":"d"`
	mux.HandleFunc("POST /v1/evaluate", func(w http.ResponseWriter, r *http.Request) {
		answer(w, r, `{"allowed":false,`+facts+`,"policy_revision":"v"}`)
	})
	mux.HandleFunc("POST /access/v1/evaluation", func(w http.ResponseWriter, r *http.Request) {
		answer(w, r, `{"decision":true,"context":{`+strings.Replace(facts, "deny", "audit", 1)+`}}`)
	})
	mux.HandleFunc("/elsewhere", func(http.ResponseWriter, *http.Request) { t.Error("the token followed a redirection") })
	return mux
}

func TestCheckAsksASidecar(t *testing.T) {
	plain := httptest.NewServer(sidecar(t))
	defer plain.Close()
	secure := httptest.NewUnstartedServer(sidecar(t))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // a refused certificate is what is tested
	secure.StartTLS()
	defer secure.Close()
	dir := t.TempDir()
	socket := filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	local := &httptest.Server{Listener: l, Config: &http.Server{Handler: sidecar(t)}}
	local.Start()
	defer local.Close()
	ca := filepath.Join(dir, "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	const table = "decision  deny\neffect    deny\nreason    no\npolicy    p\nrule      r\naudit     required\nrevision  v\n"
	const ask = "check --agent a --action x --server "
	cases := []struct {
		name string
		call
		out, err string
		code     int
	}{
		{"over TCP", call{args: ask + plain.URL}, table, "", 1},
		{"over a Unix socket", call{args: ask + "unix://" + socket}, table, "", 1},
		{"over TLS", call{args: ask + secure.URL + " --ca " + ca}, table, "", 1},
		{"AuthZEN for a canonical input", call{args: "check --server " + plain.URL, stdin: `{"subject":{"type":"user","id":"a"}}`},
			"decision  permit\neffect    audit\nreason    no\npolicy    p\nrule      r\naudit     required\n", "", 0},
		{"as JSON", call{args: ask + plain.URL + " -o json"}, "{\n  \"allowed\": false,\n", "", 1},
		{"a certificate nobody knows", call{args: ask + secure.URL}, "", "thymus: " + secure.URL + ": tls: ", 2},
		{"a wrong token", call{args: ask + plain.URL + " --token-file t", files: map[string]string{"t": "wrong\n"}}, "",
			"thymus: " + plain.URL + ": 401 Unauthorized: expected the token\n", 2},
		{"an empty token file", call{args: ask + plain.URL + " --token-file t", files: map[string]string{"t": "\n"}}, "",
			"thymus: --token-file: t: expected a token on its first line\n", 2},
		{"a call that the sidecar refuses", call{args: "check --agent a --action bad --server " + plain.URL}, "",
			"thymus: " + plain.URL + ": 400 Bad Request: action: expected a shorter one\n", 2},
		{"a redirection, which nobody follows", call{args: "check --agent a --action away --server " + plain.URL + " --token-file t",
			files: map[string]string{"t": "secret"}}, "", "thymus: " + plain.URL + ": 307 Temporary Redirect\n", 2},
		{"an answer that is no decision", call{args: "check --agent a --action empty --server " + plain.URL}, "",
			"thymus: " + plain.URL + ": the answer is no decision\n", 2},
		{"nobody there", call{args: ask + "unix://" + dir + "/none"}, "", "thymus: unix://" + dir + "/none: dial unix ", 2},
		{"a URL of another kind", call{args: ask + "127.0.0.1:8181"}, "",
			"thymus: --server: got \"127.0.0.1:8181\", expected http://HOST:PORT, https://HOST:PORT or unix:///PATH\n", 2},
		{"a URL with a path", call{args: ask + plain.URL + "/v1"}, "", "thymus: --server: got ", 2},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			out, errs, code := c.run(t)
			if code != c.code || !strings.HasPrefix(out, c.out) || c.out == "" && out != "" || !strings.HasPrefix(errs, c.err) || c.err == "" && errs != "" {
				t.Errorf("exit %d\n%s%s", code, out, errs)
			}
		})
	}
}
