package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAConfigurationOfOPABecomesOneOfOurs(t *testing.T) {
	for name, c := range map[string]struct {
		opa  string
		want string // up to the list of what is not taken over
		left []string
	}{
		"the plugin's own example": {
			opa: "plugins:\n  envoy_ext_authz_grpc:\n    addr: :9191\n    path: istio/authz/allow\n    dry-run: true\n    enable-reflection: false\n",
			want: `extauthz:
  listen: 127.0.0.1:9191 # DIR/opa.yaml:3 plugins.envoy_ext_authz_grpc.addr; OPA let every interface in without TLS; write :9191 with data.tls.* or data.insecure if another host asks
  entrypoint: istio/authz/allow # DIR/opa.yaml:4 plugins.envoy_ext_authz_grpc.path
  dry_run: true # DIR/opa.yaml:5 plugins.envoy_ext_authz_grpc.dry-run
policies:
  builtin: false # OPA has no policies of its own
`,
			left: []string{"DIR/opa.yaml:6 plugins.envoy_ext_authz_grpc.enable-reflection: reflection is off"},
		},
		"an empty section of the plugin has its defaults": {
			opa: "plugins: {envoy_ext_authz_grpc: }\n",
			want: `extauthz:
  listen: 127.0.0.1:9191 # opa-envoy-plugin's default port; it let every interface in without TLS
  entrypoint: envoy/authz/allow # opa-envoy-plugin's default path
policies:
  builtin: false # OPA has no policies of its own
`,
		},
		"a Unix socket, a query, and the plugin's old name": {
			opa: "plugins:\n  envoy.ext_authz.grpc:\n    addr: unix:///run/opa.sock\n    query: data.envoy.authz.allow\n",
			want: `extauthz:
  socket: /run/opa.sock # DIR/opa.yaml:3 plugins.envoy.ext_authz.grpc.addr
  entrypoint: envoy/authz/allow # DIR/opa.yaml:4 plugins.envoy.ext_authz.grpc.query
policies:
  builtin: false # OPA has no policies of its own
`,
		},
		"sizes stay within what the keys may be": {
			opa: "server: {decoding: {max_length: 1000}}\nplugins:\n  envoy_ext_authz_grpc: {addr: '[::1]:1', grpc-max-recv-msg-size: 2147483647}\n",
			want: `data:
  max_body: 1024 # DIR/opa.yaml:1 server.decoding.max_length; it was 1000, and this is as far as the key goes
extauthz:
  listen: '[::1]:1' # DIR/opa.yaml:3 plugins.envoy_ext_authz_grpc.addr
  entrypoint: envoy/authz/allow # opa-envoy-plugin's default path
  max_body: 67108864 # DIR/opa.yaml:3 plugins.envoy_ext_authz_grpc.grpc-max-recv-msg-size; it was 2147483647, and this is as far as the key goes
policies:
  builtin: false # OPA has no policies of its own
`,
		},
		"OPA without the plugin, JSON, a variable": {
			opa:  `{"services": {"ctl": {"url": "https://${CTL}/"}}, "bundles": {"a": {"service": "ctl"}}, "decision_logs": {"console": true}, "statsu": 1}`,
			want: "policies:\n  builtin: false # OPA has no policies of its own\n",
			left: []string{"DIR/opa.yaml:1 services: nothing is fetched", "DIR/opa.yaml:1 bundles: policies and data are files here",
				"DIR/opa.yaml:1 decision_logs.console: every decision is in the journal", `DIR/opa.yaml:1 statsu: not a key that is known here; the nearest one is "status"`},
		},
		"an empty file": {opa: "", want: "policies:\n  builtin: false # OPA has no policies of its own\n"},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"opa.yaml": c.opa}
			out, errs, code := call{args: "config --from-opa DIR/opa.yaml", files: files, env: []string{"CTL=control"}}.run(t)
			if code != 0 || errs != "" {
				t.Fatalf("exit %d: %s", code, errs)
			}
			got, left, _ := strings.Cut(out, "\n# Not taken over:\n")
			if got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			for _, want := range append(c.left, "http.send, net.lookup_ip_addr and opa.runtime are refused", "policies.paths takes") {
				if !strings.Contains(left, "#   "+want) && !strings.Contains(left, want) {
					t.Errorf("%q is not said in\n%s", want, left)
				}
			}
			if n := strings.Count(left, "\n"); n != len(c.left)+2 {
				t.Errorf("%d things are not taken over, want %d:\n%s", n, len(c.left)+2, left)
			}
			ours := strings.ReplaceAll(out, "/run/opa.sock", "DIR/opa.sock") // its folder has to be there
			if _, errs, code := (call{args: "config --config DIR/t.yaml", files: map[string]string{"t.yaml": ours}}).run(t); code != 0 {
				t.Errorf("it is refused when it is loaded: %s", errs)
			}
		})
	}
}

func TestWhatOPAWouldRefuseIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ opa, want string }{
		"no port": {"plugins:\n  envoy_ext_authz_grpc:\n    addr: localhost\n", `DIR/opa.yaml:3: plugins.envoy_ext_authz_grpc.addr: got "localhost", expected host:port or unix:///path`},
		"path and query": {"plugins:\n  envoy_ext_authz_grpc:\n    path: a/b\n    query: data.a.b\n",
			"DIR/opa.yaml:4: plugins.envoy_ext_authz_grpc.query: expected only one of path and query"},
		"a query that is no reference": {"plugins: {envoy_ext_authz_grpc: {query: 'data.a.b = true'}}\n",
			`DIR/opa.yaml:1: plugins.envoy_ext_authz_grpc.query: got "data.a.b = true", expected a reference such as data.envoy.authz.allow; a longer query becomes a rule of its own`},
		"a text for a number":        {"plugins: {envoy_ext_authz_grpc: {grpc-max-recv-msg-size: 4MB}}\n", `DIR/opa.yaml:1: plugins.envoy_ext_authz_grpc.grpc-max-recv-msg-size: got "4MB", expected a number of bytes`},
		"a list where a section is":  {"plugins: []\n", "DIR/opa.yaml:1: plugins: expected a mapping"},
		"a text":                     {"plugins\n", "DIR/opa.yaml:1: document: expected a mapping"},
		"a variable that is not set": {"labels: {a: '${NOT_THERE}'}\n", "DIR/opa.yaml: ${NOT_THERE}: there is no such variable in the environment"},
		"a boolean that is none": {"plugins: {envoy_ext_authz_grpc: {dry-run: perhaps}}\n",
			`DIR/opa.yaml:1: plugins.envoy_ext_authz_grpc.dry-run: got "perhaps", expected true or false`},
	} {
		t.Run(name, func(t *testing.T) {
			out, errs, code := call{args: "config --from-opa DIR/opa.yaml", files: map[string]string{"opa.yaml": c.opa}}.run(t)
			if code != 2 || out != "" || errs != "thymus: "+c.want+"\n" {
				t.Errorf("exit %d\n%s\nwant\n%s\n%s", code, errs, c.want, out)
			}
		})
	}
	if _, errs, code := (call{args: "config --from-opa DIR/none --set data.listen="}).run(t); code != 2 || !strings.Contains(errs, "from-opa") {
		t.Errorf("exit %d: %s", code, errs)
	}
	if _, errs, code := (call{args: "config --from-opa DIR/none"}).run(t); code != 2 || !strings.Contains(errs, "DIR/none: no such file") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

// The tables in the documentation and what the command says must not drift apart: each key that the command knows is in
// one of the two pages.
func TestTheMigrationPagesNameWhatTheCommandKnows(t *testing.T) {
	var pages string
	for _, name := range []string{"from-opa.md", "from-opa-envoy.md"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
		if err != nil {
			t.Fatal(err)
		}
		pages += string(text)
	}
	table, err := os.ReadFile("config_from_opa_keys.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for line := range strings.Lines(string(table)) {
		name, rest, ok := strings.Cut(strings.TrimSpace(line), `":`)
		if !ok || !strings.HasPrefix(name, `"`) || !strings.Contains(rest, "{") && !strings.Contains(rest, "bundles") {
			continue
		}
		found++
		if name = strings.TrimPrefix(name, `"`); !strings.Contains(pages, "`"+name+"`") && !strings.Contains(pages, "`"+name+".") && !strings.Contains(pages, "."+name) {
			t.Errorf("neither page names %s", name)
		}
	}
	if found < 30 {
		t.Errorf("only %d keys were found in the table", found)
	}
}
