package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"thymus/internal/config"
)

// source is one configuration to load: a file's text, variables, --set arguments.
type source struct {
	file string
	env  []string
	set  []string
}

func (s source) load(t *testing.T, exist bool) (*config.Config, error) {
	t.Helper()
	o := config.Options{UID: 1000, Environ: append([]string{"HOME=/home/kim"}, s.env...), Exist: exist}
	if s.file != "" {
		o.File = filepath.Join(t.TempDir(), "thymus.yaml")
		if err := os.WriteFile(o.File, []byte(s.file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, arg := range s.set {
		a, err := config.Set(arg)
		if err != nil {
			t.Fatal(err)
		}
		o.Set = append(o.Set, a)
	}
	cfg, err := config.Load(o)
	if err != nil {
		if o.File != "" { // messages are compared with the file's name alone
			var es config.Errors
			if !errors.As(err, &es) {
				t.Fatalf("got a %T, want config.Errors", err)
			}
			return cfg, errors.New(strings.ReplaceAll(err.Error(), o.File, "thymus.yaml"))
		}
	}
	return cfg, err
}

func TestLaterSourcesWin(t *testing.T) {
	s := source{file: "data:\n  listen: 127.0.0.1:1\n  deadline: 1ms\n  max_body: 2MiB\n"}
	steps := []struct {
		add            func()
		listen, origin string
	}{
		{func() {}, "127.0.0.1:1", "thymus.yaml:2"},
		{func() { s.env = []string{"THYMUS_DATA_LISTEN=127.0.0.1:2"} }, "127.0.0.1:2", "THYMUS_DATA_LISTEN"},
		{func() { s.set = []string{"data.listen=127.0.0.1:3"} }, "127.0.0.1:3", "--set"},
		{func() { s.set = append(s.set, "data.listen=127.0.0.1:4") }, "127.0.0.1:4", "--set"},
	}
	for _, step := range steps {
		step.add()
		cfg, err := s.load(t, false)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(cfg.Data.Listen); got != step.listen {
			t.Errorf("data.listen is %s, want %s", got, step.listen)
		}
		if got := cfg.Origin("data.listen"); filepath.Base(got) != step.origin {
			t.Errorf("its origin is %s, want %s", got, step.origin)
		}
		if cfg.Data.Deadline != time.Millisecond || cfg.Data.MaxBody != 2*config.MiB {
			t.Errorf("a later source touched other keys: %v %v", cfg.Data.Deadline, cfg.Data.MaxBody)
		}
		if got := cfg.Origin("data.max_header"); got != config.Default {
			t.Errorf("the origin of what nobody set is %s", got)
		}
	}
}

func TestTheFileIsFoundByVariableToo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.yaml")
	if err := os.WriteFile(path, []byte("log: {level: debug}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Options{Environ: []string{"THYMUS_CONFIG=" + path}})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Log.Level != "debug" || cfg.Origin("log.level") != path+":1" {
		t.Errorf("log.level is %s from %s", cfg.Log.Level, cfg.Origin("log.level"))
	}
}

func TestWhatIsAccepted(t *testing.T) {
	cases := []struct {
		name string
		source
		holds func(*config.Config) bool
	}{
		{"an empty file", source{file: "\n"}, func(c *config.Config) bool { return c.Data.Listen == "127.0.0.1:8181" }},
		{"a file of comments", source{file: "# nothing\n"}, func(c *config.Config) bool { return c.Data.MaxConnections == 16384 }},
		{"a section without keys", source{file: "data:\nlog:\n"}, func(c *config.Config) bool { return c.Log.Level == "info" }},
		{"a list as a YAML list", source{file: "policies:\n  paths:\n    - a\n    - b,c\n"},
			func(c *config.Config) bool { return len(c.Policies.Paths) == 2 && c.Policies.Paths[1] == "b,c" }},
		{"a list with commas in a variable", source{env: []string{"THYMUS_EVENTS_KAFKA_BROKERS=a:9092, b:9092"}},
			func(c *config.Config) bool {
				return len(c.Events.Kafka.Brokers) == 2 && c.Events.Kafka.Brokers[1] == "b:9092"
			}},
		{"an element that stands twice once", source{env: []string{"THYMUS_DATA_PEER_UIDS=7,7,8", "THYMUS_DATA_SOCKET=/run/s"}},
			func(c *config.Config) bool { return len(c.Data.PeerUIDs) == 2 }},
		{"an empty variable as an empty list", source{env: []string{"THYMUS_DATA_OPA_PATHS="}},
			func(c *config.Config) bool { return len(c.Data.OPA.Paths) == 0 }},
		{"an empty variable as an address that is off", source{env: []string{"THYMUS_MANAGEMENT_LISTEN="}},
			func(c *config.Config) bool { return c.Management.Listen.Off() }},
		{"an anchor and its alias", source{file: "data: {listen: &a \"127.0.0.1:0\"}\nmanagement: {listen: *a}\n"},
			func(c *config.Config) bool { return c.Data.Listen == c.Management.Listen }},
		{"an octal mode that YAML reads as a number", source{file: "data: {socket_mode: 0600}\n"},
			func(c *config.Config) bool { return c.Data.SocketMode == 0o600 }},
		{"a mode with 0o", source{set: []string{"data.socket_mode=0o666"}},
			func(c *config.Config) bool { return c.Data.SocketMode == 0o666 }},
		{"bytes without a unit", source{set: []string{"data.max_body=4096"}},
			func(c *config.Config) bool { return c.Data.MaxBody == 4*config.KiB }},
		{"an IPv6 listener", source{set: []string{"data.listen=[::1]:0"}},
			func(c *config.Config) bool { return c.Data.Listen.Loopback() && c.Data.Listen.Port() == 0 }},
		{"a value with an equals sign", source{set: []string{"events.mask=params.token,agent_id=hash"}},
			func(c *config.Config) bool {
				m := c.Events.Mask
				return len(m) == 2 && !m[0].Hash && m[1] == config.Mask{Path: "agent_id", Hash: true}
			}},
		{"fsync always", source{set: []string{"events.journal.fsync=always"}},
			func(c *config.Config) bool { return c.Events.Journal.Fsync == config.FsyncAlways }},
		{"fsync never", source{set: []string{"events.journal.fsync=never"}},
			func(c *config.Config) bool { return c.Events.Journal.Fsync == config.FsyncNever }},
		{"a number of quarantined subjects", source{set: []string{"immune.max_quarantined=12"}},
			func(c *config.Config) bool { return c.Immune.MaxQuarantined == config.Quota{Count: 12} }},
		{"strict", source{set: []string{"events.loss=strict"}}, func(c *config.Config) bool { return c.Events.Strict }},
		{"names that Kubernetes makes for a service called thymus", source{env: []string{
			"THYMUS_PORT=tcp://10.0.0.1:8181", "THYMUS_PORT_8181_TCP=tcp://10.0.0.1:8181", "THYMUS_PORT_8181_TCP_PROTO=tcp",
			"THYMUS_SERVICE_HOST=10.0.0.1", "THYMUS_SERVICE_PORT=8181", "THYMUS_SERVICE_PORT_HTTP=8181"}},
			func(c *config.Config) bool { return c.Data.Listen == "127.0.0.1:8181" }},
		{"off loopback with a token", source{set: []string{"data.listen=0.0.0.0:1", "data.token_file=t"}},
			func(c *config.Config) bool { return c.Data.TokenFile == "t" }},
		{"off loopback where the operator insists", source{set: []string{"data.listen=:1", "data.insecure=true"}},
			func(c *config.Config) bool { return c.Data.PublicURL == "http://localhost:1" }},
		{"diagnostics off loopback", source{set: []string{"diagnostics.listen=:9"}},
			func(c *config.Config) bool { return c.Diagnostics.Listen == ":9" && !c.Diagnostics.Pprof }},
		{"profiles on loopback", source{set: []string{"diagnostics.listen=127.0.0.1:9", "diagnostics.pprof=true"}},
			func(c *config.Config) bool { return c.Diagnostics.Pprof }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cfg, err := c.load(t, false)
			if err != nil {
				t.Fatal(err)
			}
			if !c.holds(cfg) {
				t.Errorf("the value is another: %+v", cfg)
			}
		})
	}
}

func TestDefaultsThatHangOnOtherValues(t *testing.T) {
	cases := []struct {
		name             string
		o                config.Options
		dir, token, jrnl string
	}{
		{"root", config.Options{Environ: []string{"HOME=/root"}}, "/var/lib/thymus", "/var/lib/thymus/management.token", "/var/lib/thymus/journal"},
		{"a user with a home", config.Options{UID: 7, Environ: []string{"HOME=/h"}},
			"/h/.local/state/thymus", "/h/.local/state/thymus/management.token", "/h/.local/state/thymus/journal"},
		{"a user with XDG_STATE_HOME", config.Options{UID: 7, Environ: []string{"HOME=/h", "XDG_STATE_HOME=/s"}},
			"/s/thymus", "/s/thymus/management.token", "/s/thymus/journal"},
		{"a relative XDG_STATE_HOME, which does not count", config.Options{UID: 7, Environ: []string{"HOME=/h", "XDG_STATE_HOME=s"}},
			"/h/.local/state/thymus", "/h/.local/state/thymus/management.token", "/h/.local/state/thymus/journal"},
		{"a directory that was set", config.Options{Set: []config.Assignment{{Key: "dir", Values: []string{"/d"}, Flag: "--dir"}}},
			"/d", "/d/management.token", "/d/journal"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cfg, err := config.Load(c.o)
			if err != nil {
				t.Fatal(err)
			}
			if cfg.Dir != c.dir || cfg.Management.TokenFile != c.token || cfg.Events.Journal.Path != c.jrnl {
				t.Errorf("got %s, %s, %s", cfg.Dir, cfg.Management.TokenFile, cfg.Events.Journal.Path)
			}
			if cfg.Data.PublicURL != "http://127.0.0.1:8181" {
				t.Errorf("public URL is %q", cfg.Data.PublicURL)
			}
		})
	}
	if _, err := config.Load(config.Options{UID: 7}); err == nil ||
		err.Error() != `key "dir": there is no home directory to keep state in, expected a folder` {
		t.Errorf("without a home: %v", err)
	}
}
