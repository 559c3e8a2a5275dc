package prom_test

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/encoding/protodelim"

	"thymus/internal/metrics"
	"thymus/internal/metrics/prom"
)

func registry() *prom.Registry {
	r := prom.New(prom.Build{Version: "1.0", Revision: "abc", Go: "go1"})
	r.Counter("thymus_things_total", "Things.", []string{"kind"}, func(emit prom.Emit) {
		emit(3, "a")
		emit(4, `b"\`)
	})
	r.Gauge("thymus_level", "A level.", nil, func(emit prom.Emit) { emit(0.5) })
	h := metrics.NewHistogram()
	for _, d := range []time.Duration{500 * time.Nanosecond, 3 * time.Microsecond, 3 * time.Microsecond, 7 * time.Second} {
		h.Observe(0, d)
	}
	r.Histogram("thymus_wait_seconds", "A wait.", []string{"surface"}, func(emit prom.EmitHistogram) { emit(h.Snapshot(), "native") })
	r.Histogram("thymus_empty_seconds", "Nothing yet.", nil, func(emit prom.EmitHistogram) { emit(metrics.NewHistogram().Snapshot()) })
	return r
}

func scrape(t *testing.T, accept string) (contentType string, body io.Reader) {
	t.Helper()
	req := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	req.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	registry().Handler().ServeHTTP(w, req)
	if w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Header().Get("Content-Type"), w.Body
}

func TestTextHasClassicBuckets(t *testing.T) {
	kind, body := scrape(t, "text/plain")
	if !strings.HasPrefix(kind, "text/plain; version=0.0.4") {
		t.Fatal(kind)
	}
	b, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`thymus_things_total{kind="a"} 3`, `thymus_things_total{kind="b\"\\"} 4`, `thymus_level 0.5`,
		`thymus_wait_seconds_bucket{surface="native",le="1e-06"} 1`, `thymus_wait_seconds_bucket{surface="native",le="2e-06"} 1`,
		`thymus_wait_seconds_bucket{surface="native",le="5e-06"} 3`, `thymus_wait_seconds_bucket{surface="native",le="5"} 3`,
		`thymus_wait_seconds_bucket{surface="native",le="+Inf"} 4`, `thymus_wait_seconds_count{surface="native"} 4`,
		`thymus_empty_seconds_count 0`, `thymus_build_info{goversion="go1",revision="abc",version="1.0"} 1`, "# TYPE go_goroutines gauge",
		"# TYPE process_cpu_seconds_total counter",
	} {
		if !strings.Contains(string(b), line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
	problems, err := promlint.New(strings.NewReader(string(b))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "thymus_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

func TestOpenMetricsIsSpoken(t *testing.T) {
	kind, body := scrape(t, "application/openmetrics-text; version=1.0.0")
	b, err := io.ReadAll(body)
	if err != nil || !strings.HasPrefix(kind, "application/openmetrics-text") || !strings.HasSuffix(string(b), "# EOF\n") {
		t.Fatalf("%s %v", kind, err)
	}
}

func TestProtobufHasNativeBuckets(t *testing.T) {
	kind, body := scrape(t, "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")
	if !strings.HasPrefix(kind, "application/vnd.google.protobuf") {
		t.Fatal(kind)
	}
	found := 0
	for r := bufio.NewReader(body); ; {
		var f dto.MetricFamily
		if err := protodelim.UnmarshalFrom(r, &f); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		switch f.GetName() {
		case "thymus_wait_seconds":
			found++
			h := f.Metric[0].Histogram
			if h.GetSchema() != metrics.Schema || h.GetSampleCount() != 4 || len(h.Bucket) != len(metrics.Bounds()) {
				t.Fatalf("%v", h)
			}
			counts := map[int]int64{}
			at, n, k := 0, int64(0), 0
			for _, s := range h.PositiveSpan {
				at += int(s.GetOffset())
				for range s.GetLength() {
					n += h.PositiveDelta[k]
					counts[at] = n
					at, k = at+1, k+1
				}
			}
			if k != len(h.PositiveDelta) {
				t.Fatalf("%d deltas for %d buckets", len(h.PositiveDelta), k)
			}
			// 3 µs ends in 2^(-146/8) s = 3.21 µs, 7 s in 2^(23/8) s = 7.34 s.
			if counts[-146] != 2 || counts[23] != 1 {
				t.Fatalf("%v", counts)
			}
		case "thymus_empty_seconds":
			found++
			if h := f.Metric[0].Histogram; len(h.PositiveSpan) != 1 || h.PositiveSpan[0].GetLength() != 0 {
				t.Fatalf("an empty native histogram cannot be told from a classic one: %v", h)
			}
		}
	}
	if found != 2 {
		t.Fatalf("%d of 2 histograms", found)
	}
}
