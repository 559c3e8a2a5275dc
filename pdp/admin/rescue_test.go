package admin

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"thymus/internal/health"
)

type told struct{ lines []string }

func (l *told) Warn(what string, err error) { l.lines = append(l.lines, what+": "+err.Error()) }

func TestARequestThatPanicsIsAnsweredCountedAndTold(t *testing.T) {
	l := &told{}
	s := New(Options{Health: health.New(), Log: l, Diagnostics: true, Metrics: http.NotFoundHandler()})
	s.routes.addOpen(http.MethodGet, "/early", func(http.ResponseWriter, *http.Request) { panic("oh") })
	s.routes.addOpen(http.MethodGet, "/late", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("half", 4096))
		panic("oh")
	})
	s.routes.addOpen(http.MethodGet, "/abort", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	h := httptest.NewServer(s)
	defer h.Close()
	res, err := h.Client().Get(h.URL + "/early")
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if res.StatusCode != 500 || res.Header.Get("Content-Type") != "application/problem+json" || strings.Contains(string(b), "oh") {
		t.Fatalf("%d %v %s", res.StatusCode, res.Header, b)
	}
	if res, err = h.Client().Get(h.URL + "/late"); err == nil {
		_, err = io.ReadAll(res.Body)
		_ = res.Body.Close()
	}
	if err == nil {
		t.Error("half an answer is taken for the whole")
	}
	if res, err := h.Client().Get(h.URL + "/abort"); err == nil {
		_ = res.Body.Close()
		t.Error("an aborted request was answered")
	}
	if s.Panics() != 2 || len(l.lines) != 2 || !strings.Contains(l.lines[0], "rescue_test.go") {
		t.Errorf("%d panics counted, told:\n%s", s.Panics(), strings.Join(l.lines, "\n"))
	}
}
