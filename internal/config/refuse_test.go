package config_test

import (
	"strings"
	"testing"
)

func TestWhatIsRefused(t *testing.T) {
	cases := []struct {
		name string
		source
		want string // every error, a line each
	}{
		{"an unknown key by --set", source{set: []string{"data.listne=1"}},
			`key "data.listne": unknown, did you mean "data.listen"?`},
		{"a section by --set", source{set: []string{"diagnostics=1"}},
			`key "diagnostics": a section, not a key; in it are diagnostics.listen, diagnostics.pprof`},
		{"an unknown key in the file", source{file: "data:\n  max_boddy: 1\n"},
			`thymus.yaml:2: key "data.max_boddy": unknown, did you mean "data.max_body"?`},
		{"an unknown section", source{file: "datum:\n  listen: x\n"},
			`thymus.yaml:1: key "datum": unknown, did you mean "data"?`},
		{"swapped letters, which are one slip", source{file: "plociies: {watch: true}\n"},
			`thymus.yaml:1: key "plociies": unknown, did you mean "policies"?`},
		{"a key written with its dots", source{file: "data.opa.subject: input.x\n"},
			`thymus.yaml:1: key "data.opa.subject": in YAML the dots are nesting: expected data: {opa: {subject: ...}}`},
		{"an unknown variable", source{env: []string{"THYMUS_DATA_LISTNE=x"}},
			`THYMUS_DATA_LISTNE: unknown, did you mean THYMUS_DATA_LISTEN?`},
		{"a variable of another service of Kubernetes", source{env: []string{"THYMUS_DATA_SERVICE_HOST=10.0.0.1"}},
			`THYMUS_DATA_SERVICE_HOST: unknown, did you mean THYMUS_DATA_PUBLIC_URL?` +
				` (if Kubernetes made it for a service, set enableServiceLinks to false in the pod)`},
		{"a misspelt THYMUS_CONFIG", source{env: []string{"THYMUS_CONFIGS=x"}},
			`THYMUS_CONFIGS: unknown, did you mean THYMUS_CONFIG?`},
		{"a key twice", source{file: "data:\n  listen: \"[::1]:0\"\n\n  listen: \":0\"\n"},
			`thymus.yaml:4: key "data.listen": stands twice, first on line 2`},
		{"a section twice", source{file: "log:\n  level: info\nlog:\n  level: warn\n"},
			`thymus.yaml:3: key "log": stands twice, first on line 1`},
		{"a second document", source{file: "log: {level: info}\n---\nlog: {level: warn}\n"},
			`thymus.yaml:2: a second document, expected one`},
		{"no YAML", source{file: "log:\n\tlevel: info\n"},
			`thymus.yaml:2: no YAML: found character that cannot start any token`},
		{"a list for a section", source{file: "data: [1]\n"},
			`thymus.yaml:1: key "data": expected a mapping of keys, got a list`},
		{"a value for the whole", source{file: "just text\n"},
			`thymus.yaml:1: expected a mapping of keys, got a single value`},
		{"a list for one value", source{file: "log:\n  level: [info]\n"},
			`thymus.yaml:2: key "log.level": got a list, expected debug, info, warn or error`},
		{"a mapping in a list", source{file: "policies:\n  paths:\n    - a: b\n"},
			`thymus.yaml:3: key "policies.paths": got a mapping in the list, expected a file or folder`},
		{"no value", source{file: "data:\n  deadline:\n"},
			`thymus.yaml:2: key "data.deadline": got nothing, expected a duration from 100µs to 1m, such as 50ms, 10s or 168h`},
		{"no list", source{file: "data:\n  peer_uids:\n"},
			`thymus.yaml:2: key "data.peer_uids": got nothing, expected a user id from 0 to 4294967295, or [] for none`},
		{"a merge key", source{file: "x: &x {level: info}\nlog:\n  <<: *x\n"},
			`thymus.yaml:1: key "x": unknown, did you mean "dir"?` + "\n" +
				`thymus.yaml:3: key "log": merge keys (<<) are not read, expected each key in its place`},
		{"a size with another unit", source{set: []string{"data.max_body=64MX"}},
			`key "data.max_body": got "64MX", expected a size from 1KiB to 1GiB, in bytes or as 64KiB, 1MiB, 1GiB`},
		{"a size below its bound", source{file: "events:\n  ring: {size: 1023KiB}\n"},
			`thymus.yaml:2: key "events.ring.size": got "1023KiB", expected a size from 1MiB to 64GiB, in bytes or as 64KiB, 1MiB, 1GiB`},
		{"a size that overflows", source{set: []string{"events.ring.size=9223372036854775807TiB"}},
			`key "events.ring.size": got "9223372036854775807TiB", expected a size from 1MiB to 64GiB, in bytes or as 64KiB, 1MiB, 1GiB`},
		{"a negative size", source{set: []string{"data.max_body=-1"}},
			`key "data.max_body": got "-1", expected a size from 1KiB to 1GiB, in bytes or as 64KiB, 1MiB, 1GiB`},
		{"a duration without a unit", source{env: []string{"THYMUS_DATA_DEADLINE=50"}},
			`THYMUS_DATA_DEADLINE: key "data.deadline": got "50", expected a duration from 100µs to 1m, such as 50ms, 10s or 168h`},
		{"a mode that is not octal", source{set: []string{"data.socket_mode=0680"}},
			`key "data.socket_mode": got "0680", expected an octal mode from 0000 to 0777, such as 0660`},
		{"a mode with more than permissions", source{set: []string{"data.socket_mode=4755"}},
			`key "data.socket_mode": got "4755", expected an octal mode from 0000 to 0777, such as 0660`},
		{"a port alone", source{set: []string{"data.listen=8181"}},
			`key "data.listen": got "8181", expected host:port such as 127.0.0.1:8181, [::1]:8181 or :0, or nothing for off`},
		{"a URL for an address", source{set: []string{"data.listen=http://127.0.0.1:8181"}},
			`key "data.listen": got "http://127.0.0.1:8181", expected host:port such as 127.0.0.1:8181, [::1]:8181 or :0, or nothing for off`},
		{"a port beyond all", source{set: []string{"data.listen=127.0.0.1:65536"}},
			`key "data.listen": got "127.0.0.1:65536", expected host:port such as 127.0.0.1:8181, [::1]:8181 or :0, or nothing for off`},
		{"IPv6 without brackets", source{set: []string{"data.listen=::1:8181"}},
			`key "data.listen": got "::1:8181", expected host:port such as 127.0.0.1:8181, [::1]:8181 or :0, or nothing for off`},
		{"a boolean in other words", source{set: []string{"policies.watch=yes"}},
			`key "policies.watch": got "yes", expected true or false`},
		{"a misspelt choice", source{set: []string{"immune.mode=obsrve"}},
			`key "immune.mode": got "obsrve", expected observe or protect, did you mean "observe"?`},
		{"a choice of another kind", source{set: []string{"events.kafka.acks=quorum"}},
			`key "events.kafka.acks": got "quorum", expected all, 1 or 0`},
		{"an empty element", source{set: []string{"policies.paths=a,,b"}},
			`key "policies.paths": got "", expected a file or folder`},
		{"a broker without a port", source{set: []string{"events.kafka.brokers=a:1,b"}},
			`key "events.kafka.brokers": got "b", expected host:port such as kafka-0:9092`},
		{"a mask that does something else", source{set: []string{"events.mask=a.b=drop"}},
			`key "events.mask": got "a.b=drop", expected a path into the payload such as agent_id or input.context.token, or path=hash`},
		{"an unknown builtin", source{set: []string{"policies.allow_builtins=http.sent"}},
			`key "policies.allow_builtins": got "http.sent", expected http.send, net.lookup_ip_addr or opa.runtime, did you mean "http.send"?`},
		{"a share above all", source{set: []string{"immune.max_quarantined=101%"}},
			`key "immune.max_quarantined": got "101%", expected a share of the active subjects such as 5%, or a number of them`},
		{"an identity that is none", source{set: []string{"extauthz.identity=principal,cookie:x"}},
			`key "extauthz.identity": got "cookie:x", expected jwt, principal, address or header:NAME`},
		{"a store of another kind, which may hold a password", source{set: []string{"threats.store=mysql://u:hunter2@h"}},
			`key "threats.store": got a value that is not shown, expected embedded or redis://[user:password@]host[:port][/database] (rediss:// with TLS)`},
		{"a masked secret", source{set: []string{"events.kafka.sasl.password=********"}},
			`key "events.kafka.sasl.password": holds the mask ******** in place of the secret`},
		{"a socket's path that the kernel would cut", source{set: []string{"data.socket=/" + strings.Repeat("x", 107)}},
			`key "data.socket": got "/` + strings.Repeat("x", 107) + `", expected a path of at most 107 bytes`},

		{"the data plane off loopback", source{file: "data:\n  listen: 0.0.0.0:8181\n"},
			`thymus.yaml:2: key "data.listen": 0.0.0.0:8181 is not on loopback, expected data.tls.cert, data.token_file or data.insecure with it`},
		{"a host name, which is resolved by nobody", source{set: []string{"data.listen=pdp.example:1"}},
			`key "data.listen": pdp.example:1 is not on loopback, expected data.tls.cert, data.token_file or data.insecure with it`},
		{"profiles for the network", source{set: []string{"diagnostics.listen=:9", "diagnostics.pprof=true"}},
			`key "diagnostics.pprof": expected diagnostics.listen on loopback with it: profiles are served without a token`},
		{"management off loopback with its own token", source{set: []string{"management.listen=:8282", "management.token_file=/home/kim/.local/state/thymus/management.token"}},
			`key "management.listen": :8282 is not on loopback, expected management.tls.cert, management.token_file or management.insecure with it`},
		{"proxies off loopback, whom no token guards", source{set: []string{"extauthz.listen=:9191", "data.token_file=t"}},
			`key "extauthz.listen": :9191 is not on loopback, expected data.tls.cert or data.insecure with it`},
		{"a certificate without its key", source{env: []string{"THYMUS_DATA_TLS_CERT=c"}},
			`THYMUS_DATA_TLS_CERT: key "data.tls.cert": is set without data.tls.key`},
		{"a key without its certificate", source{set: []string{"management.tls.key=k"}},
			`key "management.tls.key": is set without management.tls.cert`},
		{"clients' certificates without TLS", source{set: []string{"data.tls.client_ca=c"}},
			`key "data.tls.client_ca": is set without data.tls.cert`},
		{"two listeners on one address", source{set: []string{"management.listen=127.0.0.1:8181"}},
			`key "management.listen": 127.0.0.1:8181 is data.listen too`},
		{"no listener at all", source{set: []string{"data.listen="}},
			`key "data.listen": is off and so is every other way to ask, expected an address, data.socket, extauthz.listen or extauthz.socket`},
		{"uids that bound no socket", source{set: []string{"data.peer_uids=1"}},
			`key "data.peer_uids": bounds who may connect to a socket, but neither data.socket nor extauthz.socket is set`},
		{"tokens without keys", source{set: []string{"extauthz.identity=jwt"}},
			`key "extauthz.identity": names jwt, expected extauthz.jwt.jwks with it`},
		{"keys that anybody on the way could replace", source{set: []string{"extauthz.identity=jwt", "extauthz.jwt.jwks=http://id.example/keys"}},
			`key "extauthz.jwt.jwks": is an http URL, expected https: who is on the way could name the keys`},
		{"keys for tokens that name nobody", source{set: []string{"extauthz.jwt.jwks=k"}},
			`key "extauthz.jwt.jwks": is set, but extauthz.identity does not name jwt`},
		{"keys that are too old before they are fetched again", source{set: []string{"extauthz.jwt.refresh=2h", "extauthz.jwt.max_age=1h"}},
			`key "extauthz.jwt.max_age": got less than extauthz.jwt.refresh, expected at least as much: keys would be too old before they are fetched again`},
		{"no identity", source{set: []string{"extauthz.identity="}},
			`key "extauthz.identity": expected at least one of jwt, principal, address or header:NAME`},
		{"less room than a segment", source{set: []string{"events.journal.retain_size=32MiB"}},
			`key "events.journal.retain_size": expected at least one segment (64MiB by events.journal.segment_size)`},
		{"thresholds that do not rise", source{set: []string{"detect.denials.high=5"}},
			`key "detect.denials.medium": expected medium below high and high below critical`},
		{"Kafka's TLS files while TLS is off", source{set: []string{"events.kafka.tls.ca=c"}},
			`key "events.kafka.tls.ca": is set, but events.kafka.tls.enabled is false`},
		{"authentication without a password", source{set: []string{"events.kafka.sasl.mechanism=PLAIN", "events.kafka.sasl.username=u"}},
			`key "events.kafka.sasl.mechanism": expected events.kafka.sasl.password or events.kafka.sasl.password_file with it`},

		{"all that is wrong at once, file by line first", source{
			file: "log:\n  level: loud\ndata:\n  nope: 1\n  listen: 1\n",
			env:  []string{"THYMUS_LOG_FORMAT=xml", "THYMUS_DIRR=/x"}, set: []string{"data.max_connections=0", "management.listen=:1"}},
			`thymus.yaml:2: key "log.level": got "loud", expected debug, info, warn or error
thymus.yaml:4: key "data.nope": unknown, did you mean "data.opa"?
thymus.yaml:5: key "data.listen": got "1", expected host:port such as 127.0.0.1:8181, [::1]:8181 or :0, or nothing for off
THYMUS_DIRR: unknown, did you mean THYMUS_DIR?
THYMUS_LOG_FORMAT: key "log.format": got "xml", expected auto, json or console
key "data.max_connections": got "0", expected a whole number from 1 to 1048576
key "management.listen": :1 is not on loopback, expected management.tls.cert, management.token_file or management.insecure with it`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cfg, err := c.load(t, false)
			switch {
			case err == nil:
				t.Fatal("it was accepted")
			case cfg != nil:
				t.Error("a configuration came with the error")
			case err.Error() != c.want:
				t.Errorf("got\n%s\nwant\n%s", err, c.want)
			}
		})
	}
}

func TestNoErrorShowsASecret(t *testing.T) {
	const pw = "hunter2"
	for _, s := range []source{
		{file: "events: {kafka: {sasl: {password: [" + pw + "]}}}\n"},
		{file: "events: {kafka: {sasl: {password: \"" + pw + "\\n\"}}}\n"},
		{env: []string{"THYMUS_THREATS_STORE=redis://u:" + pw + "@"}},
		{set: []string{"threats.store=postgres://u:" + pw + "@h", "events.kafka.sasl.password=" + pw}},
	} {
		_, err := s.load(t, false)
		if err == nil {
			t.Fatalf("%+v was accepted", s)
		}
		if strings.Contains(err.Error(), pw) {
			t.Errorf("the message shows the password: %s", err)
		}
	}
}
