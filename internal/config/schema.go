package config

import (
	"io/fs"
	"time"
)

// Schema is every key, in the order in which the document is printed. Each call makes a new table.
func Schema() []Key {
	var keys []Key
	for _, part := range [...]func() []Key{
		generalKeys, dataKeys, managementKeys, extAuthzKeys, policyKeys, ruleKeys, eventKeys, kafkaKeys, detectKeys, immuneKeys, logKeys,
	} {
		keys = append(keys, part()...)
	}
	return keys
}

func generalKeys() []Key {
	return []Key{
		one("dir", "", "all state; made with mode 0700; one process a directory",
			func(c *Config) *string { return &c.Dir }, text("a folder", nil), flag("dir"),
			derived("/var/lib/thymus for root, else $XDG_STATE_HOME/thymus or ~/.local/state/thymus")),
		one("instance", "", "names this sidecar in event ids and ce_source",
			func(c *Config) *string { return &c.Instance },
			orEmpty(text("up to 128 letters, digits or . _ -", instanceName)),
			derived("the host's name and a random part kept in dir")),
	}
}

func instanceName(s string) bool {
	return len(s) <= 128 && hostPort(s+":0", 0)
}

func dataKeys() []Key {
	return append([]Key{
		one("data.listen", "127.0.0.1:8181", "the data plane's address; empty is off, port 0 picks one",
			func(c *Config) *Address { return &c.Data.Listen }, address(), flag("listen")),
		one("data.socket", "", "the data plane's Unix socket; a stale file is replaced, a live one stops the start",
			func(c *Config) *string { return &c.Data.Socket }, socketPath(), names(parent), flag("socket")),
		one("data.socket_mode", "0660", "the socket's mode, and extauthz.socket's",
			func(c *Config) *fs.FileMode { return &c.Data.SocketMode }, octal()),
		many("data.peer_uids", "", "users that may connect to the sockets; none listed: any",
			func(c *Config) *[]uint32 { return &c.Data.PeerUIDs }, uid()),
		one("data.token_file", "", "bearer token that callers must send; health needs none",
			func(c *Config) *string { return &c.Data.TokenFile }, text("a file", nil), names(file), flag("token-file")),
	}, append(listenerTLS("data", func(c *Config) *TLS { return &c.Data.TLS }),
		one("data.insecure", "false", "lets data.listen and extauthz.listen leave loopback without TLS or token",
			func(c *Config) *bool { return &c.Data.Insecure }, boolean()),
		one("data.max_body", "1MiB", "largest body of a request",
			func(c *Config) *Size { return &c.Data.MaxBody }, size(KiB, GiB)),
		one("data.max_header", "16KiB", "largest header block of a request; each connection may hold as much memory",
			func(c *Config) *Size { return &c.Data.MaxHeader }, size(KiB, MiB)),
		one("data.max_connections", "16384", "connections open at once",
			func(c *Config) *int { return &c.Data.MaxConnections }, integer(1, 1<<20)),
		one("data.deadline", "50ms", "for one call's evaluation; past it the decision is deny",
			func(c *Config) *time.Duration { return &c.Data.Deadline }, duration(100*time.Microsecond, time.Minute)),
		one("data.public_url", "", "how callers reach the data plane, for AuthZEN's metadata",
			func(c *Config) *string { return &c.Data.PublicURL },
			orEmpty(webURL("a URL such as https://pdp.example.com", "http", "https")), derived("from data.listen")),
		many("data.opa.paths", "**", "what the Data API may read: globs parted by /; ** is all, none listed is nothing",
			func(c *Config) *[]string { return &c.Data.OPA.Paths },
			text("a glob such as authz/*", func(s string) bool { return s != "" && s[0] != '/' })),
		one("data.opa.subject", "input.subject.id", "where the Data API's input names the subject",
			func(c *Config) *string { return &c.Data.OPA.Subject }, inputPath()),
		one("data.drain_delay", "0s", "between failing readiness and closing listeners",
			func(c *Config) *time.Duration { return &c.Data.DrainDelay }, duration(0, time.Hour)),
	)...)
}

func managementKeys() []Key {
	return append([]Key{
		one("management.listen", "127.0.0.1:8282", "the management plane's address; empty is off",
			func(c *Config) *Address { return &c.Management.Listen }, address(), flag("management-listen")),
		one("management.token_file", "", "bearer tokens of operators",
			func(c *Config) *string { return &c.Management.TokenFile }, text("a file", nil), names(file),
			derived("DIR/management.token, made at the first start")),
	}, append(listenerTLS("management", func(c *Config) *TLS { return &c.Management.TLS }),
		one("management.insecure", "false", "lets management.listen leave loopback without TLS or a token file of its own",
			func(c *Config) *bool { return &c.Management.Insecure }, boolean()),
		one("diagnostics.listen", "", "health and metrics alone, without a token; empty is off",
			func(c *Config) *Address { return &c.Diagnostics.Listen }, address(), flag("diagnostics-listen")),
		one("diagnostics.pprof", "false", "profiles at /debug/pprof/ too; diagnostics.listen must be on loopback then",
			func(c *Config) *bool { return &c.Diagnostics.Pprof }, boolean()),
	)...)
}

func listenerTLS(plane string, at func(*Config) *TLS) []Key {
	return []Key{
		one(plane+".tls.cert", "", "certificate chain in PEM; read again when it changes",
			func(c *Config) *string { return &at(c).Cert }, text("a file", nil), names(file)),
		one(plane+".tls.key", "", "the certificate's private key in PEM",
			func(c *Config) *string { return &at(c).Key }, text("a file", nil), names(file)),
		one(plane+".tls.client_ca", "", "certificates in PEM that must have signed the client's",
			func(c *Config) *string { return &at(c).ClientCA }, text("a file", nil), names(file)),
	}
}

func policyKeys() []Key {
	return []Key{
		many("policies.paths", "", "files and directories of policies and data",
			func(c *Config) *[]string { return &c.Policies.Paths }, text("a file or folder", nil), names(fileOrFolder)),
		one("policies.watch", "true", "load again what changes",
			func(c *Config) *bool { return &c.Policies.Watch }, boolean(), flag("watch")),
		one("policies.builtin", "true", "the built-in policies admin_full_access and guest_read_only",
			func(c *Config) *bool { return &c.Policies.Builtin }, boolean()),
		one("policies.entrypoint", "", "a rule such as authz/decision whose value decides in place of the combination",
			func(c *Config) *string { return &c.Policies.Entrypoint }, rulePath()),
		many("policies.allow_builtins", "", "builtins that policies may call though they reach out",
			func(c *Config) *[]string { return &c.Policies.AllowBuiltins },
			enum("http.send", "net.lookup_ip_addr", "opa.runtime")),
	}
}

func ruleKeys() []Key {
	return []Key{
		one("rules.engine", "native", "what evaluates Rego; native leaves what it cannot to topdown, which is OPA's own",
			func(c *Config) *string { return &c.Rules.Engine }, enum("native", "topdown")),
		one("rules.shadow_rate", "0", "share of evaluations, from 0 to 1, that both engines answer, off the request's path",
			func(c *Config) *float64 { return &c.Rules.ShadowRate }, share()),
		one("rules.on_difference", "report", "when the engines differ: report it, or leave the rest to topdown too",
			func(c *Config) *string { return &c.Rules.OnDifference }, enum("report", "topdown")),
	}
}

func logKeys() []Key {
	return []Key{
		one("log.level", "info", "the least important line that is written",
			func(c *Config) *string { return &c.Log.Level }, enum("debug", "info", "warn", "error"), flag("log-level")),
		one("log.format", "auto", "auto is console on a terminal, else json",
			func(c *Config) *string { return &c.Log.Format }, enum("auto", "json", "console"), flag("log-format")),
	}
}
