package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"thymus/pdp/admin"
)

// manageFor is how long the management plane may take: Rego that looks at 10,000 policies is compiled with all of them.
const manageFor = 5 * time.Minute

// managementFlags say where a running sidecar is managed, and by whose token.
type managementFlags struct {
	source *configSource
	at     string
	token  string
	ca     string
}

// manageFlags gives cmd --management, --token-file, --ca, --config and --set.
func manageFlags(cmd *cobra.Command) *managementFlags {
	m := &managementFlags{source: configFlags(cmd, false)}
	f := cmd.Flags()
	f.StringVar(&m.at, "management", "", "`URL` of the management plane; default: what management.listen says")
	f.StringVar(&m.token, "token-file", "", "`file` that holds the token; default: the sidecar's own, by management.token_file and dir")
	f.StringVar(&m.ca, "ca", "", "`file` with the certificates that the server's is checked against, in PEM")
	return m
}

// manager asks the management plane of a running sidecar.
type manager struct{ *remoteSidecar }

// open reads what the flags and the configuration say.
func (m *managementFlags) open(std Stdio) (*manager, error) {
	cfg, err := m.source.load(std, nil, false)
	if err != nil {
		return nil, err
	}
	at, file := m.at, m.token
	if at == "" {
		if cfg.Management.Listen.Off() {
			return nil, errors.New("management.listen is off; expected --management URL")
		}
		at = cfg.Management.Listen.URL(cfg.Management.TLS.Cert != "")
	}
	s, err := newSidecar(at, "", m.ca)
	if err != nil {
		return nil, errors.New(strings.Replace(err.Error(), "--server", "--management", 1))
	}
	if file == "" {
		if file = cfg.Management.TokenFile; file == "" {
			file = filepath.Join(cfg.Dir, "management.token")
		}
		if _, err := os.Stat(file); err != nil && m.at != "" {
			return &manager{s}, nil // another machine's, perhaps one that asks for none
		}
	}
	s.token, err = tokenOf(file)
	return &manager{s}, err
}

// tokenOf is the first token of a file that may write, else the first.
func tokenOf(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	tokens, err := admin.ParseTokens(text)
	if err != nil {
		return "", fmt.Errorf("--token-file: %s: %w", file, err)
	}
	for _, t := range tokens {
		if t.Role == admin.RoleWrite {
			return t.Token, nil
		}
	}
	return tokens[0].Token, nil
}

// refusal is an answer that is an error.
type refusal struct {
	name   string
	status int
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Field  string `json:"field"`
	Errors []struct {
		Policy, Rule, Field, Detail string
	} `json:"errors"`
}

// ofCaller says whether it is about who asks, and so would be the same for whatever else is asked.
func (r *refusal) ofCaller() bool {
	switch r.status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
		return true
	}
	return false
}

func (r *refusal) Error() string {
	head := fmt.Sprintf("%s: %d %s", r.name, r.status, http.StatusText(r.status))
	if len(r.Errors) > 0 {
		lines := []string{}
		for _, e := range r.Errors {
			text := ""
			for _, part := range [...][2]string{{"policy ", e.Policy}, {"rule ", e.Rule}, {"", e.Field}} {
				if part[1] != "" {
					text += part[0] + part[1] + ": "
				}
			}
			lines = append(lines, line(text+e.Detail))
		}
		return head + "\n" + strings.Join(lines, "\n")
	}
	if r.Field != "" {
		head += ": " + line(r.Field)
	}
	if r.Detail != "" {
		head += ": " + line(r.Detail)
	}
	return head
}

// send is what is asked of the management plane.
type send struct {
	method, path string
	media        string // of the body
	body         []byte
	ifMatch      string // an entity tag
	accept       string
}

// do sends a request and gives the answer's body, and its headers. What is no success is a *refusal.
func (m *manager) do(ctx context.Context, q send) ([]byte, http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, manageFor)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, q.method, m.base+q.path, bytes.NewReader(q.body))
	if err != nil {
		return nil, nil, err
	}
	for name, v := range map[string]string{"Content-Type": q.media, "If-Match": q.ifMatch, "Accept": q.accept} {
		if v != "" {
			req.Header.Set(name, v)
		}
	}
	if m.token != "" {
		req.Header.Set("Authorization", "Bearer "+m.token)
	}
	res, err := m.client.Do(req)
	if err != nil {
		if e := new(url.Error); errors.As(err, &e) {
			err = e.Err
		}
		return nil, nil, fmt.Errorf("%s: %w", m.name, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", m.name, err)
	}
	if res.StatusCode < 300 {
		return body, res.Header, nil
	}
	r := &refusal{name: m.name, status: res.StatusCode}
	_ = json.Unmarshal(body, r) // what is no problem of RFC 9457 is told by its status
	if r.status == http.StatusUnauthorized && m.token == "" {
		r.Detail += "; --token-file, or management.token_file in the configuration, names the file that holds one"
	}
	return nil, res.Header, r
}

// get reads one document.
func (m *manager) get(ctx context.Context, path string, v any) error {
	body, _, err := m.do(ctx, send{method: http.MethodGet, path: path})
	if err != nil {
		return err
	}
	return m.read(body, v)
}

func (m *manager) read(body []byte, v any) error {
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("%s: the answer is not what a management plane says: %w", m.name, err)
	}
	return nil
}

// post sends a value as JSON and reads the answer.
func (m *manager) post(ctx context.Context, method, path string, body, v any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	out, _, err := m.do(ctx, send{method: method, path: path, media: "application/json", body: b})
	if err != nil || v == nil {
		return err
	}
	return m.read(out, v)
}

// pages reads a list to its end, or up to most items where most is not 0.
func (m *manager) pages(ctx context.Context, path string, query url.Values, most int) ([]json.RawMessage, error) {
	if query == nil {
		query = url.Values{}
	}
	items := []json.RawMessage{}
	for {
		limit := 1000
		if most > 0 {
			limit = min(limit, most-len(items))
		}
		query.Set("limit", strconv.Itoa(limit))
		var p struct {
			Items []json.RawMessage `json:"items"`
			Next  *string           `json:"next"`
		}
		if err := m.get(ctx, path+"?"+query.Encode(), &p); err != nil {
			return nil, err
		}
		items = append(items, p.Items...)
		if p.Next == nil || most > 0 && len(items) >= most {
			return items, nil
		}
		query.Set("next", *p.Next)
	}
}

// readItems reads the items of a list.
func readItems[T any](m *manager, items []json.RawMessage) ([]T, error) {
	out := make([]T, len(items))
	for i, raw := range items {
		if err := m.read(raw, &out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// moment is a time of the management plane for people; a dash for none.
func moment(seconds *float64) string {
	if seconds == nil {
		return "-"
	}
	return time.UnixMicro(int64(*seconds * 1e6)).UTC().Format("2006-01-02T15:04:05Z")
}
