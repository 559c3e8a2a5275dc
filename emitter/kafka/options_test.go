package kafka

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	kafka "github.com/segmentio/kafka-go"
)

// The vectors of org.apache.kafka.common.utils.UtilsTest.testMurmur2, which are Java's signed integers.
func TestMurmur2IsJavas(t *testing.T) {
	for key, want := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		if got := int32(murmur2([]byte(key))); got != want {
			t.Errorf("murmur2(%q) = %d, want %d", key, got, want)
		}
	}
}

// The library has the same hash behind its balancer.
func FuzzPartition(f *testing.F) {
	f.Add([]byte("ops_agent"), uint8(12))
	f.Add([]byte{}, uint8(1))
	f.Fuzz(func(t *testing.T, key []byte, n uint8) {
		if n == 0 || key == nil {
			return
		}
		all := make([]int, n)
		for i := range all {
			all[i] = i
		}
		if got, want := partition(key, int(n)), (kafka.Murmur2Balancer{}).Balance(kafka.Message{Key: key}, all...); got != want {
			t.Errorf("partition of %x in %d: %d, want %d", key, n, got, want)
		}
	})
}

func TestOptionsRefused(t *testing.T) {
	dir := t.TempDir()
	junk := filepath.Join(dir, "junk")
	os.WriteFile(junk, []byte("no certificate"), 0o600)
	good := Options{Brokers: []string{"127.0.0.1:1"}, Topic: "t"}
	for _, c := range []struct {
		name string
		edit func(o *Options)
		want string
	}{
		{"no brokers", func(o *Options) { o.Brokers = nil }, "kafka: brokers: none named"},
		{"no topic", func(o *Options) { o.Topic = "" }, "kafka: topic: none named"},
		{"acks", func(o *Options) { o.Acks = "two" }, `kafka: acks: got "two", expected all, 1 or 0`},
		{"compression", func(o *Options) { o.Compression = "zip" }, `kafka: compression: got "zip", expected none, gzip, snappy, lz4 or zstd`},
		{"a CA that is not there", func(o *Options) { o.TLS = TLS{Enabled: true, CA: dir + "/no"} }, "kafka: tls.ca: open"},
		{"a CA that is none", func(o *Options) { o.TLS = TLS{Enabled: true, CA: junk} }, "kafka: tls.ca: " + junk + ": no certificate in PEM form"},
		{"a certificate without key", func(o *Options) { o.TLS = TLS{Enabled: true, Cert: junk} }, "kafka: tls.cert: "},
		{"a mechanism that is none", func(o *Options) { o.SASL = SASL{Mechanism: "OAUTH", Username: "u", Password: "p"} },
			`kafka: sasl.mechanism: got "OAUTH", expected PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512`},
		{"no password", func(o *Options) { o.SASL = SASL{Mechanism: "PLAIN", Username: "u"} }, "kafka: sasl: a user name and a password are expected"},
		{"a password file that is not there", func(o *Options) { o.SASL = SASL{Mechanism: "PLAIN", Username: "u", PasswordFile: dir + "/no"} },
			"kafka: sasl.password_file: open"},
	} {
		o := good
		c.edit(&o)
		_, err := New(o)
		var oe *OptionError
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || !errors.As(err, &oe) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
	if _, err := New(good); err != nil {
		t.Error("no broker answers, and that is no reason not to start:", err)
	}
}
