package config

import "time"

func eventKeys() []Key {
	const most = 1024 * TiB
	return []Key{
		one("events.ring.path", "", "folder of the ring's file",
			func(c *Config) *string { return &c.Events.Ring.Path }, text("a folder", nil), names(folder),
			derived("a tmpfs where there is one, else dir")),
		one("events.ring.size", "32MiB", "the ring's room for records that are not in the journal yet",
			func(c *Config) *Size { return &c.Events.Ring.Size }, size(MiB, 64*GiB)),
		one("events.journal.path", "", "folder of the journal; made where it is missing",
			func(c *Config) *string { return &c.Events.Journal.Path }, text("a folder", nil), names(parent),
			derived("DIR/journal")),
		one("events.journal.segment_size", "64MiB", "a journal's file is closed at this size",
			func(c *Config) *Size { return &c.Events.Journal.SegmentSize }, size(MiB, 64*GiB)),
		one("events.journal.retain_size", "auto", "delivered segments are removed beyond it; auto is a quarter of the free disk",
			func(c *Config) *Size { return &c.Events.Journal.RetainSize }, sizeOr("auto", MiB, most)),
		one("events.journal.retain_age", "168h", "delivered segments are removed when older",
			func(c *Config) *time.Duration { return &c.Events.Journal.RetainAge }, duration(time.Minute, 100*365*24*time.Hour)),
		one("events.journal.fsync", "1s", "how often the journal is forced to disk",
			func(c *Config) *Fsync { return &c.Events.Journal.Fsync }, fsync()),
		one("events.loss", "shed", "when the ring is full: shed records by class and count them, or strict: no record, no permit",
			func(c *Config) *bool { return &c.Events.Strict }, either("shed", "strict")),
		many("events.mask", "", "parts of every event's payload to remove, or with =hash to replace by a keyed hash",
			func(c *Config) *[]Mask { return &c.Events.Mask }, mask()),
		one("events.input", "false", "put the whole input into policy.evaluated, masks applied",
			func(c *Config) *bool { return &c.Events.Input }, boolean()),
	}
}

func kafkaKeys() []Key {
	at := func(c *Config) *Kafka { return &c.Events.Kafka }
	return []Key{
		many("events.kafka.brokers", "", "bootstrap brokers; none listed: events stay in the journal",
			func(c *Config) *[]string { return &at(c).Brokers }, broker(), flag("kafka-brokers")),
		one("events.kafka.topic", "thymus.events", "the topic of all events",
			func(c *Config) *string { return &at(c).Topic },
			text("up to 249 letters, digits or . _ -", func(s string) bool {
				return s != "" && s != "." && s != ".." && len(s) <= 249 && hostPort(s+":0", 0)
			})),
		one("events.kafka.acks", "all", "replicas that must have a message: all, the leader alone (1), none (0)",
			func(c *Config) *string { return &at(c).Acks }, enum("all", "1", "0")),
		one("events.kafka.linger", "10ms", "how long a batch waits for more events",
			func(c *Config) *time.Duration { return &at(c).Linger }, duration(0, time.Minute)),
		one("events.kafka.compression", "zstd", "of the batches",
			func(c *Config) *string { return &at(c).Compression }, enum("none", "gzip", "snappy", "lz4", "zstd")),
		one("events.kafka.tls.enabled", "false", "speak TLS with the brokers",
			func(c *Config) *bool { return &at(c).TLS.Enabled }, boolean()),
		one("events.kafka.tls.ca", "", "certificates in PEM that sign the brokers'; empty: the system's",
			func(c *Config) *string { return &at(c).TLS.CA }, text("a file", nil), names(file)),
		one("events.kafka.tls.cert", "", "the client's certificate in PEM",
			func(c *Config) *string { return &at(c).TLS.Cert }, text("a file", nil), names(file)),
		one("events.kafka.tls.key", "", "its private key in PEM",
			func(c *Config) *string { return &at(c).TLS.Key }, text("a file", nil), names(file)),
		one("events.kafka.tls.server_name", "", "the name that the brokers' certificates must carry; empty: the broker's own",
			func(c *Config) *string { return &at(c).TLS.Name }, text("a host name", nil)),
		one("events.kafka.sasl.mechanism", "none", "how to authenticate with the brokers",
			func(c *Config) *string { return &at(c).SASL.Mechanism },
			enum("none", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")),
		one("events.kafka.sasl.username", "", "the user",
			func(c *Config) *string { return &at(c).SASL.Username }, text("a user name", nil)),
		one("events.kafka.sasl.password", "", "the user's password; better in a file",
			func(c *Config) *string { return &at(c).SASL.Password }, text("a password on one line", nil), secret()),
		one("events.kafka.sasl.password_file", "", "a file whose first line is the password",
			func(c *Config) *string { return &at(c).SASL.PasswordFile }, text("a file", nil), names(file)),
	}
}

func extAuthzKeys() []Key {
	at := func(c *Config) *ExtAuthz { return &c.ExtAuthz }
	return []Key{
		one("extauthz.listen", "", "Envoy's gRPC ext_authz; empty is off; TLS is data.tls",
			func(c *Config) *Address { return &at(c).Listen }, address(), flag("extauthz-listen")),
		one("extauthz.socket", "", "the same on a Unix socket",
			func(c *Config) *string { return &at(c).Socket }, socketPath(), names(parent)),
		one("extauthz.entrypoint", "", "a rule such as envoy/authz/allow that answers proxies as with opa-envoy-plugin",
			func(c *Config) *string { return &at(c).Entrypoint }, rulePath()),
		many("extauthz.identity", "principal,address", "the subject is the first of these that yields one",
			func(c *Config) *[]string { return &at(c).Identity }, identity()),
		one("extauthz.role_header", "", "the header whose value is the role; the proxy must set it",
			func(c *Config) *string { return &at(c).RoleHeader }, orEmpty(text("a header's name", headerName))),
		one("extauthz.jwt.jwks", "", "keys that sign tokens: a file, or an https URL",
			func(c *Config) *string { return &at(c).JWT.JWKS }, text("a file or https URL", nil), names(file)),
		one("extauthz.jwt.issuer", "", "the iss that a token must carry",
			func(c *Config) *string { return &at(c).JWT.Issuer }, text("an issuer", nil)),
		many("extauthz.jwt.audience", "", "a token must carry one of these as aud; none listed: any",
			func(c *Config) *[]string { return &at(c).JWT.Audience }, text("an audience", nil)),
		many("extauthz.jwt.algorithms", "RS256,ES256,EdDSA", "the algorithms that count",
			func(c *Config) *[]string { return &at(c).JWT.Algorithms },
			enum("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")),
		one("extauthz.jwt.header", "authorization", "the header that holds the token, as Bearer TOKEN or bare",
			func(c *Config) *string { return &at(c).JWT.Header }, text("a header's name", headerName)),
		one("extauthz.jwt.role_claim", "", "the claim that is the role; parted by dots",
			func(c *Config) *string { return &at(c).JWT.RoleClaim }, orEmpty(text("a claim such as realm.role", dotted))),
		one("extauthz.jwt.leeway", "30s", "by which clocks may differ",
			func(c *Config) *time.Duration { return &at(c).JWT.Leeway }, duration(0, time.Hour)),
		one("extauthz.jwt.require_exp", "true", "a token without exp is invalid",
			func(c *Config) *bool { return &at(c).JWT.RequireExp }, boolean()),
		one("extauthz.jwt.refresh", "10m", "how often keys are fetched from a URL",
			func(c *Config) *time.Duration { return &at(c).JWT.Refresh }, duration(time.Second, 24*time.Hour)),
		one("extauthz.jwt.max_age", "24h", "how long keys from a URL count after the last fetch that succeeded",
			func(c *Config) *time.Duration { return &at(c).JWT.MaxAge }, duration(time.Minute, 30*24*time.Hour)),
		one("extauthz.expose_reason", "false", "tell the denied client why",
			func(c *Config) *bool { return &at(c).ExposeReason }, boolean()),
		one("extauthz.dry_run", "false", "permit all, and record what would have been",
			func(c *Config) *bool { return &at(c).DryRun }, boolean()),
		one("extauthz.max_body", "4MiB", "largest CheckRequest",
			func(c *Config) *Size { return &at(c).MaxBody }, size(KiB, 64*MiB)),
	}
}

// rulePath is a rule below data: segments parted by slashes.
func rulePath() codec[string] {
	return orEmpty(text("a rule's path such as authz/allow", func(s string) bool {
		for i := range len(s) {
			if s[i] <= ' ' || s[i] == '/' && (i == 0 || i == len(s)-1 || s[i-1] == '/') {
				return false
			}
		}
		return true
	}))
}
