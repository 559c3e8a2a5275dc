package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"thymus/internal/config"
)

// FuzzFile loads any text as a configuration file. It is refused with errors that have a place, or it is accepted, and
// then its printed document, which holds no mask, is accepted too and means the same.
func FuzzFile(f *testing.F) {
	for _, seed := range []string{
		"", "data:\n", "data: {listen: \":0\", insecure: true}\n", "data: {listen: &a \"[::1]:1\"}\nmanagement: {listen: *a}\n",
		"a: &a [*a]\n", "data:\n  <<: {listen: x}\n", "? [x]\n: y\n", "policies: {paths: [a, 'b c', \"d\\n\"]}\n",
		"events: {mask: [a.b=hash], ring: {size: 1MiB}, journal: {fsync: never}}\n", "%YAML 1.1\n---\nlog: {level: !!str info}\n",
		"instance: 0x10\ndata: {socket_mode: 0o600, deadline: 1h}\n", "--- \nlog: {}\n---\n", "immune: {max_quarantined: 0.1%}\n",
		"events: {kafka: {sasl: {mechanism: PLAIN, username: u, password: p}}}\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		dir := t.TempDir()
		load := func(name, text string) (*config.Config, error) {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			return config.Load(config.Options{File: path})
		}
		cfg, err := load("first.yaml", text)
		if err != nil {
			var es config.Errors
			if !errors.As(err, &es) || len(es) == 0 {
				t.Fatalf("got a %T", err)
			}
			for _, e := range es {
				if e.Detail == "" || e.Place == "" && e.Key == "" {
					t.Errorf("an error without a place or a cause: %+v", e)
				}
			}
			return
		}
		doc, err := cfg.Document(true)
		if err != nil {
			t.Fatal(err)
		}
		if cfg.Events.Kafka.SASL.Password != "" || cfg.Threats.Store != "embedded" {
			return // masked in the document
		}
		again, err := load("second.yaml", string(doc))
		if err != nil {
			t.Fatalf("the printed document is refused: %v\n%s", err, doc)
		}
		if values(cfg) != values(again) {
			t.Errorf("another configuration comes back:\n%s", doc)
		}
	})
}
