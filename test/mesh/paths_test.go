//go:build unix

package mesh_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"thymus/test/harness"
)

// normaliser is an Envoy that does nothing but clean paths.
const normaliser = `
static_resources:
  listeners:
    - address: {socket_address: {address: 127.0.0.1, port_value: LISTEN}}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: x
                normalize_path: true
                merge_slashes: true
                path_with_escaped_slashes_action: UNESCAPE_AND_FORWARD
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
                route_config:
                  virtual_hosts:
                    - name: app
                      domains: ["*"]
                      routes:
                        - match: {prefix: /}
                          route: {cluster: app}
  clusters:
    - name: app
      type: STATIC
      load_assignment:
        cluster_name: app
        endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: APP}}}}]}]
`

// The table of awkward paths says what Envoy itself makes of them; package extauthz is held against the table.
// UPDATE_PATHS=1 writes Envoy's answers down.
func TestTheTableOfPathsIsEnvoys(t *testing.T) {
	bin := envoyProgram(t)
	listen := harness.FreePort(t)
	p := startEnvoy(t, bin, strings.NewReplacer("LISTEN", listen, "APP", application(t)).Replace(normaliser), listen)
	file := filepath.Join(root(t), "pdp", "extauthz", "testdata", "paths.txt")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) < 100 {
		t.Fatalf("%d paths, at least 100 expected", len(lines))
	}
	var out strings.Builder
	for _, line := range lines {
		raw, want, _ := strings.Cut(line, "\t")
		got := "refused"
		if r := p.send("GET", raw, ""); r.app != nil {
			got = r.app.Target
		}
		fmt.Fprintf(&out, "%s\t%s\n", raw, got)
		if got != want && os.Getenv("UPDATE_PATHS") == "" {
			t.Errorf("%s becomes %s, the table says %s", raw, got, want)
		}
	}
	if os.Getenv("UPDATE_PATHS") != "" {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
