package cli

import (
	"net"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Where opa-envoy-plugin and Thymus part ways in numbers, in bytes.
const (
	leastMaxBody    = 1 << 10
	mostExtAuthz    = 64 << 20
	mostDataMaxBody = 1 << 30
)

// opaKeys is OPA's configuration (its documentation's chapter "Configuration", version 1) and opa-envoy-plugin's section
// in it (its README's "Configuration"), by name.
func opaKeys() map[string]opaKey {
	bundles := opaKey{left: "policies and data are files here: put the bundle's content below policies.paths, by a volume or whatever " +
		"fetches it; a change is active within 2 s, and one that does not compile changes nothing"}
	envoy := opaKey{below: opaEnvoyKeys()}
	return map[string]opaKey{
		"bundle": bundles, "bundles": bundles,
		"services":  {left: "nothing is fetched from and nothing reported to a control plane"},
		"discovery": {left: "the configuration is one file; it is not fetched"},
		"keys":      {left: "bundle signatures are not checked; guard the files and their source"},
		"labels":    {left: "instance names this sidecar in event ids and ce_source; Kubernetes' labels say the rest"},
		"decision_logs": {below: map[string]opaKey{
			"console":              {left: "every decision is in the journal (DIR/journal/*.ndjson); `thymus events tail --follow` prints them"},
			"service":              {left: "events go to Kafka: events.kafka.brokers"},
			"partition_name":       {left: "events go to one topic, events.kafka.topic, keyed by subject"},
			"plugin":               {left: "read the journal's files, Kafka or GET /v1/events/stream"},
			"reporting":            {left: "events.kafka.linger and events.journal.* bound batches and buffers; what is lost is counted"},
			"mask_decision":        {left: "masks are paths into the event: events.mask; by default events do not hold the input at all"},
			"drop_decision":        {left: "every decision is on record; events.loss says what happens when there is no room"},
			"resource":             {left: "events go to Kafka: events.kafka.brokers"},
			"nd_builtin_cache":     {left: "results of non-deterministic builtins are not recorded"},
			"request_context":      {left: "X-Request-ID, else traceparent's trace id, is the events' correlation_id"},
			"metrics":              {left: "the event has evaluation_time_ms"},
			"intermediate_results": {left: "intermediate results are not recorded"},
		}},
		"status":                         {left: "GET /v1/info and /metrics of the management plane say it"},
		"default_decision":               {left: "callers name the rule in POST /v1/data/PATH; policies.entrypoint is for native, AuthZEN and proxy calls"},
		"default_authorization_decision": {left: "who may call is bounded by data.token_file, data.tls.client_ca, data.peer_uids and loopback"},
		"caching":                        {left: "http.send keeps its own cache within a call alone"},
		"nd_builtin_cache":               {left: "results of non-deterministic builtins are not recorded"},
		"persistence_directory":          {left: "dir holds all state"},
		"distributed_tracing":            {left: "traceparent's trace id becomes the events' correlation_id; spans are not exported"},
		"metrics_export":                 {left: "Prometheus scrapes /metrics"},
		"storage":                        {left: "data is held in memory"},
		"server": {below: map[string]opaKey{
			"decoding": {below: map[string]opaKey{
				"max_length": {take: (*opaMigration).maxLength},
				"gzip":       {left: "what a gzip body unpacks to is bounded by data.max_body too"},
			}},
			"encoding":      {left: "answers are small and are not compressed"},
			"metrics":       {left: "the buckets of thymus_request_duration_seconds are fixed"},
			"logger_plugin": {left: "log.level and log.format say what is written to standard error"},
		}},
		"plugins": {below: map[string]opaKey{"envoy_ext_authz_grpc": envoy, "envoy.ext_authz.grpc": envoy}},
	}
}

func opaEnvoyKeys() map[string]opaKey {
	return map[string]opaKey{
		"addr":                   {take: (*opaMigration).addr},
		"path":                   {take: (*opaMigration).entrypoint},
		"query":                  {take: (*opaMigration).entrypoint},
		"dry-run":                {take: (*opaMigration).dryRun},
		"grpc-max-recv-msg-size": {take: (*opaMigration).maxRecv},
		"grpc-max-send-msg-size": {left: "answers are not bounded; they hold what the policy put in"},
		"enable-reflection":      {left: "reflection is off; the service is envoy.service.auth.v3.Authorization, and gRPC health"},
		"skip-request-body-parse": {left: "a body is parsed only when a policy reads parsed_body; to keep it from being parsed, do not " +
			"read it, or do not have Envoy send it"},
		"proto-descriptor":                      {left: "bodies of gRPC calls are not decoded: parsed_body is absent for them, raw_body is there"},
		"enable-performance-metrics":            {left: "thymus_request_duration_seconds is always exported"},
		"grpc-request-duration-seconds-buckets": {left: "the buckets of thymus_request_duration_seconds are fixed"},
	}
}

// addr is plugins.envoy_ext_authz_grpc.addr: host:port, or unix:// and a path.
func (m *opaMigration) addr(name string, v *yaml.Node) {
	if p, ok := strings.CutPrefix(v.Value, "unix://"); ok {
		if !path.IsAbs(p) {
			m.fail(v, name, "got %q, expected unix:// and an absolute path", v.Value)
			return
		}
		m.put(v, name, "extauthz.socket", p, "")
		return
	}
	text := v.Value
	if u, err := url.Parse(text); err == nil && u.Host != "" && (u.Scheme == "grpc" || u.Scheme == "tcp") {
		text = u.Host
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil || v.Kind != yaml.ScalarNode {
		m.fail(v, name, "got %q, expected host:port or unix:///path", v.Value)
		return
	}
	if a, err := netip.ParseAddr(host); host == "" || err == nil && a.IsUnspecified() {
		m.put(v, name, "extauthz.listen", net.JoinHostPort("127.0.0.1", port),
			"OPA let every interface in without TLS; write "+v.Value+" with data.tls.* or data.insecure if another host asks")
		return
	}
	m.put(v, name, "extauthz.listen", text, "")
}

// entrypoint is the rule that answers: path as it is, query as a reference below data.
func (m *opaMigration) entrypoint(name string, v *yaml.Node) {
	rule := strings.Trim(v.Value, "/")
	if strings.HasSuffix(name, ".query") {
		ref, ok := strings.CutPrefix(v.Value, "data.")
		if !ok || ref == "" || strings.ContainsAny(ref, "[]:= \"'();|{}") {
			m.fail(v, name, "got %q, expected a reference such as data.envoy.authz.allow; a longer query becomes a rule of its own", v.Value)
			return
		}
		rule = strings.ReplaceAll(ref, ".", "/")
	}
	if rule == "" {
		m.fail(v, name, "is empty, expected a rule such as envoy/authz/allow")
		return
	}
	for _, s := range m.set {
		if s.key == "extauthz.entrypoint" {
			m.fail(v, name, "expected only one of path and query")
			return
		}
	}
	m.put(v, name, "extauthz.entrypoint", rule, "")
}

func (m *opaMigration) dryRun(name string, v *yaml.Node) {
	var on bool
	if err := v.Decode(&on); err != nil {
		m.fail(v, name, "got %q, expected true or false", v.Value)
		return
	}
	m.put(v, name, "extauthz.dry_run", strconv.FormatBool(on), "")
}

func (m *opaMigration) maxRecv(name string, v *yaml.Node) {
	m.size(name, v, "extauthz.max_body", mostExtAuthz)
}

func (m *opaMigration) maxLength(name string, v *yaml.Node) {
	m.size(name, v, "data.max_body", mostDataMaxBody)
}

// size takes over a number of bytes, within what the key may be.
func (m *opaMigration) size(name string, v *yaml.Node, key string, most int64) {
	var n int64
	if err := v.Decode(&n); err != nil || n <= 0 {
		m.fail(v, name, "got %q, expected a number of bytes", v.Value)
		return
	}
	remark := ""
	if bounded := min(max(n, leastMaxBody), most); bounded != n {
		remark = "it was " + strconv.FormatInt(n, 10) + ", and this is as far as the key goes"
		n = bounded
	}
	m.put(v, name, key, strconv.FormatInt(n, 10), remark)
}

// always is what OPA does without being told.
func (m *opaMigration) always() {
	m.set = append(m.set, opaValue{key: "policies.builtin", value: "false", from: "OPA has no policies of its own"})
	m.left = append(m.left, "builtins that reach out: http.send, net.lookup_ip_addr and opa.runtime are refused at load until "+
		"policies.allow_builtins lists them", "command line: policies.paths takes the files and folders that `opa run` was given")
	has := func(key string) bool {
		for _, v := range m.set {
			if v.key == key {
				return true
			}
		}
		return false
	}
	if !m.envoy {
		return
	}
	if !has("extauthz.listen") && !has("extauthz.socket") {
		m.set = append(m.set, opaValue{key: "extauthz.listen", value: "127.0.0.1:9191",
			from: "opa-envoy-plugin's default port; it let every interface in without TLS"})
	}
	if !has("extauthz.entrypoint") {
		m.set = append(m.set, opaValue{key: "extauthz.entrypoint", value: "envoy/authz/allow", from: "opa-envoy-plugin's default path"})
	}
}
