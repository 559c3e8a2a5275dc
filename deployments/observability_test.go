package deployments_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"thymus/test/harness"
)

// observability is observability.yaml.
type observability struct {
	Alerts []struct {
		Alert, Expr, For, Severity, Summary, Description string
	}
	Rows []struct {
		Title  string
		Panels []panel
	}
}

type panel struct {
	Title, Kind, Unit, Help string
	Stack                   bool
	Exprs                   [][2]string // expression, legend
}

const selected = `job=~"$job",instance=~"$instance"`

func source(t *testing.T) *observability {
	t.Helper()
	dec := yaml.NewDecoder(strings.NewReader(read(t, "observability.yaml")))
	dec.KnownFields(true)
	o := &observability{}
	if err := dec.Decode(o); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestRulesAndDashboardAreWhatTheirSourceSays(t *testing.T) {
	o := source(t)
	for _, place := range []string{"prometheus/", "helm/thymus/files/"} {
		golden(t, place+"thymus.rules.yaml", rules(t, o))
	}
	for _, place := range []string{"grafana/", "helm/thymus/files/"} {
		golden(t, place+"thymus.json", dashboard(t, o))
	}
}

// rules is Prometheus' rule file.
func rules(t *testing.T, o *observability) string {
	type rule struct {
		Alert       string            `yaml:"alert"`
		Expr        string            `yaml:"expr"`
		For         string            `yaml:"for,omitempty"`
		Labels      map[string]string `yaml:"labels"`
		Annotations map[string]string `yaml:"annotations"`
	}
	var all []rule
	for _, a := range o.Alerts {
		all = append(all, rule{a.Alert, a.Expr, a.For, map[string]string{"severity": a.Severity},
			map[string]string{"summary": a.Summary, "description": a.Description}})
	}
	var b bytes.Buffer
	b.WriteString("# Written by go test ./deployments -update from observability.yaml.\n")
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	doc := map[string]any{"groups": []any{map[string]any{"name": "thymus", "rules": all}}}
	if err := enc.Encode(doc); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// dashboard is Grafana's JSON model: rows of panels, three abreast on its grid of 24 columns.
func dashboard(t *testing.T, o *observability) string {
	const width, height, columns = 8, 8, 24
	type object = map[string]any
	source := object{"type": "prometheus", "uid": "${datasource}"}
	var panels []any
	id, y := 0, 0
	next := func() int { id++; return id }
	for _, r := range o.Rows {
		panels = append(panels, object{"id": next(), "type": "row", "title": r.Title, "collapsed": false, "panels": []any{},
			"gridPos": object{"h": 1, "w": columns, "x": 0, "y": y}})
		y++
		for i, p := range r.Panels {
			kind := p.Kind
			if kind == "" {
				kind = "timeseries"
			}
			var targets []any
			for n, e := range p.Exprs {
				target := object{"refId": string(rune('A' + n)), "datasource": source, "legendFormat": e[1],
					"expr": strings.ReplaceAll(e[0], "SEL", selected)}
				if kind != "timeseries" {
					target["instant"] = true
				}
				if kind == "table" {
					target["format"] = "table"
				}
				targets = append(targets, target)
			}
			defaults := object{"unit": p.Unit, "min": 0}
			if p.Unit == "" {
				defaults["unit"] = "short"
			}
			options := object{}
			switch kind {
			case "timeseries":
				custom := object{"lineWidth": 1, "fillOpacity": 10, "showPoints": "never"}
				if p.Stack {
					custom["stacking"] = object{"mode": "normal"}
				}
				defaults["custom"] = custom
				options = object{"legend": object{"displayMode": "list", "placement": "bottom"}, "tooltip": object{"mode": "multi", "sort": "desc"}}
			case "stat":
				options = object{"reduceOptions": object{"calcs": []string{"lastNotNull"}}, "textMode": "value_and_name"}
			}
			panels = append(panels, object{"id": next(), "type": kind, "title": p.Title, "description": p.Help, "datasource": source,
				"targets": targets, "fieldConfig": object{"defaults": defaults, "overrides": []any{}}, "options": options,
				"gridPos": object{"h": height, "w": width, "x": i * width % columns, "y": y + i*width/columns*height}})
		}
		y += (len(r.Panels)*width + columns - 1) / columns * height
	}
	variable := func(name, query string) object {
		return object{"name": name, "label": strings.ToUpper(name[:1]) + name[1:], "type": "query", "datasource": source,
			"query": object{"query": query, "refId": name}, "refresh": 2, "multi": true, "includeAll": true, "allValue": ".*", "sort": 1,
			"current": object{"text": "All", "value": "$__all"}}
	}
	text, err := json.MarshalIndent(object{
		"uid": "thymus", "title": "Thymus", "description": "Decisions, their record, its delivery, and what was found in it.",
		"tags": []string{"thymus"}, "schemaVersion": 39, "editable": true, "graphTooltip": 1, "refresh": "30s",
		"time": object{"from": "now-1h", "to": "now"}, "panels": panels,
		"templating": object{"list": []any{
			object{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
			variable("job", "label_values(thymus_build_info, job)"),
			variable("instance", `label_values(thymus_build_info{job=~"$job"}, instance)`),
		}},
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
}

// exprs is every expression with where it stands.
func (o *observability) exprs() map[string]string {
	all := map[string]string{}
	for _, a := range o.Alerts {
		all["alert "+a.Alert] = a.Expr
	}
	for _, r := range o.Rows {
		for _, p := range r.Panels {
			for i, e := range p.Exprs {
				all[fmt.Sprintf("panel %s/%s %d", r.Title, p.Title, i)] = strings.ReplaceAll(e[0], "SEL,", "")
			}
		}
	}
	return all
}

// What Prometheus gives each target of its own.
var ofPrometheus = map[string]bool{"job": true, "instance": true, "le": true}

var (
	metricName = regexp.MustCompile(`\b(?:thymus|process|go)_[a-z0-9_]+`)
	matched    = regexp.MustCompile(`\b([a-z0-9_]+)\{([^}]*)\}`)
	matcher    = regexp.MustCompile(`([a-z_]+)(=~|!=|=)"([^"]*)"`)
	grouped    = regexp.MustCompile(`\bby \(([^)]*)\)`)
)

// A rule over a metric that is not there never fires, and nobody notices: so every metric, label and label value that
// the source names is looked for in what a running sidecar exports.
func TestEveryMetricThatIsNamedIsExported(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(binary, "serve", "--set", "dir="+dir+"/state", "--set", "events.ring.path="+dir, "--set", "events.ring.size=1MiB",
		"--set", "data.listen=127.0.0.1:0", "--set", "management.listen=127.0.0.1:0", "--set", "diagnostics.listen=127.0.0.1:0",
		"--set", "events.kafka.brokers=127.0.0.1:1") // nobody is there: its series are
	cmd.Env = []string{"HOME=" + dir}
	_, text := get(t, harness.Start(t, cmd).URL("diagnostics")+"/metrics", nil)
	labels, values := map[string]map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(line, "{")
		if !strings.Contains(line, "{") {
			name, _, _ = strings.Cut(line, " ")
		}
		if strings.HasPrefix(line, "#") {
			continue
		}
		if labels[name] == nil {
			labels[name] = map[string]bool{}
		}
		for _, m := range matcher.FindAllStringSubmatch(rest, -1) {
			labels[name][m[1]] = true
			values[name+" "+m[1]+" "+m[3]] = true
		}
	}
	if len(labels) < 60 {
		t.Fatalf("only %d metrics are exported", len(labels))
	}
	seen := map[string]bool{}
	for where, expr := range source(t).exprs() {
		names := metricName.FindAllString(expr, -1)
		if len(names) == 0 && !strings.HasPrefix(expr, "up{") {
			t.Errorf("%s: no metric in %s", where, expr)
		}
		for _, n := range names {
			seen[n] = true
			if labels[n] == nil {
				t.Errorf("%s: %s is not exported", where, n)
			}
		}
		for _, m := range matched.FindAllStringSubmatch(expr, -1) {
			for _, l := range matcher.FindAllStringSubmatch(m[2], -1) {
				if !ofPrometheus[l[1]] && !values[m[1]+" "+l[1]+" "+l[3]] {
					t.Errorf("%s: %s has no label %s with the value %q", where, m[1], l[1], l[3])
				}
			}
		}
		for _, g := range grouped.FindAllStringSubmatch(expr, -1) {
			for l := range strings.SplitSeq(g[1], ", ") {
				for _, n := range names {
					if !ofPrometheus[l] && !labels[n][l] {
						t.Errorf("%s: %s has no label %s", where, n, l)
					}
				}
			}
		}
	}
	for n := range labels { // and the other way round: what Thymus counts is shown somewhere, or it is said here why not
		base := strings.NewReplacer("_bucket", "", "_sum", "", "_count", "").Replace(n)
		if strings.HasPrefix(n, "thymus_") && !seen[n] && !seen[base+"_bucket"] && !unshown[n] {
			t.Errorf("%s is in neither rules nor dashboard", n)
		}
	}
}

// unshown is what an operator looks up, not at.
var unshown = map[string]bool{
	"thymus_journal_next_event": true, "thymus_journal_segments": true, "thymus_records_unresolved_total": true, "thymus_active_subjects": true,
}

func TestPromtoolAcceptsTheRules(t *testing.T) {
	promtool := need(t, "promtool")
	out := run(t, promtool, "check", "rules", "--lint=all", "--lint-fatal", "prometheus/thymus.rules.yaml")
	if want := fmt.Sprintf("SUCCESS: %d rules found", len(source(t).Alerts)); !strings.Contains(out, want) {
		t.Errorf("got %s, want %s", out, want)
	}
}

// prometheus/thymus.rules.test.yaml has series that make alerts fire, and series that must not.
func TestTheRulesFireWhenTheyShould(t *testing.T) {
	out := run(t, need(t, "promtool"), "test", "rules", "prometheus/thymus.rules.test.yaml")
	if !strings.Contains(out, "SUCCESS") {
		t.Error(out)
	}
	text := read(t, "prometheus/thymus.rules.test.yaml")
	for _, a := range source(t).Alerts {
		if !strings.Contains(text, `alertname="`+a.Alert+`"`) {
			t.Errorf("no series there make %s fire", a.Alert)
		}
	}
}
