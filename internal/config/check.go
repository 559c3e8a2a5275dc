package config

import (
	"slices"
	"strings"
)

// check finds what is wrong only when values are taken together. A rule whose keys some source set wrongly is passed
// over: what it would say could be wrong.
func (l *loader) check() {
	c := l.cfg
	l.tls("data", c.Data.TLS)
	l.tls("management", c.Management.TLS)
	l.exposed()
	l.collisions()
	l.identity()
	l.kafka()
	l.rule("detect.denials.medium", []string{"detect.denials.high", "detect.denials.critical"},
		c.Detect.Denials.Medium < c.Detect.Denials.High && c.Detect.Denials.High < c.Detect.Denials.Critical,
		"expected medium below high and high below critical")
	l.immune()
	j := c.Events.Journal
	l.rule("events.journal.retain_size", []string{"events.journal.segment_size"},
		j.RetainSize == 0 || j.RetainSize >= j.SegmentSize,
		"expected at least one segment ("+j.SegmentSize.String()+" by events.journal.segment_size)")
	l.rule("data.peer_uids", []string{"data.socket", "extauthz.socket"},
		len(c.Data.PeerUIDs) == 0 || c.Data.Socket != "" || c.ExtAuthz.Socket != "",
		"bounds who may connect to a socket, but neither data.socket nor extauthz.socket is set")
}

func (l *loader) immune() {
	i := &l.cfg.Immune
	l.rule("immune.quarantine.max_ttl", []string{"immune.quarantine.ttl"}, i.MaxTTL >= i.TTL,
		"expected at least immune.quarantine.ttl")
	b := &i.BrownOut
	l.rule("immune.brown_out.detectors", []string{"immune.brown_out.allows", "immune.brown_out.leave"},
		b.Leave < b.Detectors && b.Detectors <= b.Allows,
		"expected more than immune.brown_out.leave and at most immune.brown_out.allows")
}

// rule reports detail at key unless holds. others are the further keys that it reads.
func (l *loader) rule(key string, others []string, holds bool, detail string) {
	if holds || l.bad[key] || slices.ContainsFunc(others, func(k string) bool { return l.bad[k] }) {
		return
	}
	place := l.cfg.Origin(key)
	if place == Default || place == "--set" {
		place = ""
	}
	l.fail(place, key, "%s", detail)
}

func (l *loader) tls(plane string, t TLS) {
	cert, key, ca := plane+".tls.cert", plane+".tls.key", plane+".tls.client_ca"
	l.rule(cert, []string{key}, t.Cert == "" || t.Key != "", "is set without "+key)
	l.rule(key, []string{cert}, t.Key == "" || t.Cert != "", "is set without "+cert)
	l.rule(ca, []string{cert}, t.ClientCA == "" || t.Cert != "", "is set without "+cert)
}

// exposed keeps what leaves loopback from starting with neither TLS nor a token. The management plane's own token does
// not count: an operator who opens the plane to the network is asked to say how it is guarded.
func (l *loader) exposed() {
	c := l.cfg
	d, m, x := &c.Data, &c.Management, &c.ExtAuthz
	l.rule("data.listen", []string{"data.tls.cert", "data.token_file", "data.insecure"},
		d.Listen.Off() || d.Listen.Loopback() || d.TLS.Cert != "" || d.TokenFile != "" || d.Insecure,
		string(d.Listen)+" is not on loopback, expected data.tls.cert, data.token_file or data.insecure with it")
	l.rule("extauthz.listen", []string{"data.tls.cert", "data.insecure"},
		x.Listen.Off() || x.Listen.Loopback() || d.TLS.Cert != "" || d.Insecure,
		string(x.Listen)+" is not on loopback, expected data.tls.cert or data.insecure with it")
	l.rule("management.listen", []string{"management.tls.cert", "management.token_file", "management.insecure"},
		m.Listen.Off() || m.Listen.Loopback() || m.TLS.Cert != "" || !l.made["management.token_file"] || m.Insecure,
		string(m.Listen)+" is not on loopback, expected management.tls.cert, management.token_file or management.insecure with it")
	l.rule("diagnostics.pprof", []string{"diagnostics.listen"}, !c.Diagnostics.Pprof || c.Diagnostics.Listen.Loopback(),
		"expected diagnostics.listen on loopback with it: profiles are served without a token")
}

// collisions finds listeners that cannot both start, and a configuration that serves nobody.
func (l *loader) collisions() {
	c := l.cfg
	l.rule("data.listen", []string{"data.socket", "extauthz.listen", "extauthz.socket"},
		!c.Data.Listen.Off() || c.Data.Socket != "" || !c.ExtAuthz.Listen.Off() || c.ExtAuthz.Socket != "",
		"is off and so is every other way to ask, expected an address, data.socket, extauthz.listen or extauthz.socket")
	listeners := []struct {
		key string
		at  Address
	}{
		{"data.listen", c.Data.Listen}, {"management.listen", c.Management.Listen},
		{"diagnostics.listen", c.Diagnostics.Listen}, {"extauthz.listen", c.ExtAuthz.Listen},
	}
	for i, b := range listeners {
		for _, a := range listeners[:i] {
			l.rule(b.key, []string{a.key}, a.at != b.at || b.at.Port() == 0, string(b.at)+" is "+a.key+" too")
		}
	}
	l.rule("extauthz.socket", []string{"data.socket"}, c.ExtAuthz.Socket == "" || c.ExtAuthz.Socket != c.Data.Socket,
		c.ExtAuthz.Socket+" is data.socket too")
}

func (l *loader) identity() {
	x := &l.cfg.ExtAuthz
	jwt := slices.Contains(x.Identity, "jwt")
	l.rule("extauthz.identity", []string{"extauthz.jwt.jwks"}, !jwt || x.JWT.JWKS != "", "names jwt, expected extauthz.jwt.jwks with it")
	l.rule("extauthz.jwt.jwks", nil, !strings.HasPrefix(x.JWT.JWKS, "http://"), "is an http URL, expected https: who is on the way could name the keys")
	l.rule("extauthz.jwt.jwks", []string{"extauthz.identity"}, jwt || x.JWT.JWKS == "", "is set, but extauthz.identity does not name jwt")
	l.rule("extauthz.jwt.algorithms", []string{"extauthz.identity"}, !jwt || len(x.JWT.Algorithms) > 0, "expected at least one")
	l.rule("extauthz.jwt.max_age", []string{"extauthz.jwt.refresh"}, x.JWT.MaxAge >= x.JWT.Refresh,
		"got less than extauthz.jwt.refresh, expected at least as much: keys would be too old before they are fetched again")
	l.rule("extauthz.identity", nil, len(x.Identity) > 0, "expected at least one of jwt, principal, address or header:NAME")
}

func (l *loader) kafka() {
	k := &l.cfg.Events.Kafka
	const at = "events.kafka."
	for _, f := range []struct{ key, value string }{
		{"tls.ca", k.TLS.CA}, {"tls.cert", k.TLS.Cert}, {"tls.key", k.TLS.Key}, {"tls.server_name", k.TLS.Name},
	} {
		l.rule(at+f.key, []string{at + "tls.enabled"}, f.value == "" || k.TLS.Enabled, "is set, but "+at+"tls.enabled is false")
	}
	l.rule(at+"tls.cert", []string{at + "tls.key"}, (k.TLS.Cert == "") == (k.TLS.Key == ""),
		"expected events.kafka.tls.cert and events.kafka.tls.key together")
	sasl := k.SASL.Mechanism != "none"
	s := []string{at + "sasl.mechanism", at + "sasl.username", at + "sasl.password", at + "sasl.password_file"}
	l.rule(s[0], s, !sasl || k.SASL.Username != "", "expected "+s[1]+" with it")
	l.rule(s[0], s, !sasl || k.SASL.Password != "" || k.SASL.PasswordFile != "", "expected "+s[2]+" or "+s[3]+" with it")
	l.rule(s[2], s, k.SASL.Password == "" || k.SASL.PasswordFile == "", "is set and "+s[3]+" too, expected one of them")
	l.rule(s[1], s, sasl || k.SASL.Username == "", "is set, but "+s[0]+" is none")
}
