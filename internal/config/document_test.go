package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"thymus/internal/config"
)

func document(t *testing.T, c *config.Config, docs bool) string {
	t.Helper()
	text, err := c.Document(docs)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// values is cfg without the origins.
func values(cfg *config.Config) string {
	v := reflect.ValueOf(*cfg)
	var b strings.Builder
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.IsExported() {
			fmt.Fprintf(&b, "%s: %#v\n", f.Name, v.Field(i).Interface())
		}
	}
	return b.String()
}

func TestAPrintedDocumentMeansTheSameWhenItIsLoadedAgain(t *testing.T) {
	dir := t.TempDir()
	awkward := []string{
		"dir=" + dir, "instance=0123", "data.socket=" + dir + "/a b # c: 'd'", "data.socket_mode=0600", "data.peer_uids=0,4294967295",
		"data.opa.paths=a/*,**", "data.listen=[::1]:0", "data.max_body=1025", "data.deadline=1500us", "events.journal.fsync=never",
		"events.journal.retain_size=1TiB", "events.mask=a.b=hash,c", "events.loss=strict", "immune.mode=protect",
		"immune.max_quarantined=0.5%", "immune.exempt=null,true,~,- x", "detect.decoys=a: b", "log.format=json",
		"events.kafka.acks=1", "events.kafka.brokers=a:1,b:2", "policies.watch=false", "policies.paths=" + dir,
	}
	for _, set := range [][]string{{"dir=" + dir + "/not-made-yet"}, awkward} {
		first, err := source{set: set}.load(t, true)
		if err != nil {
			t.Fatal(err)
		}
		for _, docs := range []bool{false, true} {
			second, err := source{file: document(t, first, docs)}.load(t, true)
			if err != nil {
				t.Fatalf("the printed document is refused: %v", err)
			}
			if got, want := values(second), values(first); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		}
	}
}

func TestEachValueHasItsOrigin(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.yaml")
	if err := os.WriteFile(path, []byte("log:\n  level: warn\npolicies:\n  allow_builtins:\n    - http.send\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Options{
		File: path, Environ: []string{"THYMUS_DATA_MAX_BODY=2048"},
		Set: []config.Assignment{{Key: "data.listen", Values: []string{"127.0.0.1:1"}, Flag: "--listen", Text: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	doc := document(t, cfg, false)
	for _, line := range []string{
		"  level: warn # " + path + ":2\n",
		"  allow_builtins: [http.send] # " + path + ":5\n",
		"  max_body: 2KiB # THYMUS_DATA_MAX_BODY\n",
		"  listen: 127.0.0.1:1 # --listen\n",
		"  max_header: 16KiB # default\n",
		"instance: \"\" # default: the host's name and a random part kept in dir\n",
	} {
		if !strings.Contains(doc, line) {
			t.Errorf("%q is not in\n%s", line, doc)
		}
	}
	for _, k := range config.Schema() {
		if k.Doc == "" || k.Expect == "" || strings.Contains(k.Doc, "\n") {
			t.Errorf("%s is not documented on one line", k.Name)
		}
	}
}

func TestSecretsAreMaskedWhereverTheyArePrinted(t *testing.T) {
	const pw = "hun@ter#2"
	cfg, err := source{set: []string{
		"events.kafka.sasl.mechanism=PLAIN", "events.kafka.sasl.username=u", "events.kafka.sasl.password=" + pw,
		"threats.store=redis://kim:hunter2@redis.example:6379/3",
	}}.load(t, false)
	if err != nil {
		t.Fatal(err)
	}
	doc := document(t, cfg, true)
	if strings.Contains(doc, pw) || strings.Contains(doc, "hunter2") {
		t.Fatalf("a secret is in the document:\n%s", doc)
	}
	for _, want := range []string{"password: '********'", "store: redis://kim:********@redis.example:6379/3"} {
		if !strings.Contains(doc, want) {
			t.Errorf("%s is not in\n%s", want, doc)
		}
	}
	if _, err := (source{file: doc}).load(t, false); err == nil ||
		strings.Count(err.Error(), "holds the mask ******** in place of the secret") != 2 {
		t.Errorf("loading masks in place of secrets: %v", err)
	}
}

func TestTheTableOfKeysIsSound(t *testing.T) {
	envs, flags := map[string]string{}, map[string]string{}
	for _, k := range config.Schema() {
		if other, ok := envs[k.Env]; ok {
			t.Errorf("%s and %s have one variable", k.Name, other)
		}
		envs[k.Env] = k.Name
		if strings.HasPrefix(k.Env, "THYMUS_PORT") || strings.HasPrefix(k.Env, "THYMUS_SERVICE_") || k.Env == config.FileEnv {
			t.Errorf("%s is a name that is not ours to read", k.Env)
		}
		if k.Flag != "" && flags[k.Flag] != "" {
			t.Errorf("%s and %s have one flag", k.Name, flags[k.Flag])
		}
		flags[k.Flag] = k.Name
		if k.Env != config.EnvName(k.Name) {
			t.Errorf("%s has the variable %s", k.Name, k.Env)
		}
	}
	if len(envs) < 100 {
		t.Errorf("only %d keys", len(envs))
	}
}
