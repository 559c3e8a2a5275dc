package harness

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Answer is a response read whole.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Field is a member of an answer that is an object; nil where there is none.
func (a Answer) Field(name string) any {
	m := map[string]any{}
	_ = json.Unmarshal([]byte(a.Body), &m) // then there is no member
	return m[name]
}

// Ask makes a call. headers are names and values, an empty value takes a header out; a body is JSON where they do not
// say otherwise.
func Ask(c *http.Client, method, url, body string, headers ...string) (Answer, error) {
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
			continue
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := c.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return Answer{res.StatusCode, res.Header, string(b)}, err
}

// Client makes connections of its own, which the test's end closes.
func Client(t testing.TB, tr *http.Transport) *http.Client {
	if tr.MaxIdleConnsPerHost == 0 {
		tr.MaxIdleConnsPerHost = 256
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: time.Minute}
}

// Write writes a file that is this user's alone, and makes the folders above it. Who watches the file sees the old text or
// the new, and no half of it.
func Write(t testing.TB, path, text string) {
	t.Helper()
	next := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".next")
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.WriteFile(next, []byte(text), 0o600)
	}
	if err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		t.Fatal(err)
	}
}
