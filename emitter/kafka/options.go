package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	kafka "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// Options of a sink. Brokers, Topic and Instance are required.
type Options struct {
	// Brokers are bootstrap addresses, host:port. Any one that answers is enough.
	Brokers []string
	// Topic gets the events; Topic + ".chain" the heads of the journal's chain. Neither is made by us.
	Topic    string
	Instance string // for ce_source

	// Acks is how many replicas must have a batch: "all" (the default), "1" the leader, "0" none, with which nothing is
	// known of what arrived. Kafka's acks.
	Acks string
	// Compression of batches: "none", "gzip", "snappy", "lz4", "zstd" (the default). Kafka's compression.type.
	Compression string

	TLS  TLS
	SASL SASL

	// MetadataAge is how old what is known of leaders and partitions may be; default 2 s. After a failure it is asked
	// anew. Kafka's metadata.max.age.ms.
	MetadataAge time.Duration
}

// TLS is how to speak with brokers privately. Files are read again for each new connection to the cluster, so that
// they can be renewed.
type TLS struct {
	Enabled    bool
	CA         string // PEM file of the authorities; empty: the system's
	Cert, Key  string // PEM files of the client's certificate; both or neither
	ServerName string // that the brokers' certificates must carry; empty: each broker's own
}

// SASL is how to say who we are.
type SASL struct {
	Mechanism    string // "", "none", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"
	Username     string
	Password     string
	PasswordFile string // whose first line is the password; read again for each new connection to the cluster
}

// OptionError names an option and what is wrong with it.
type OptionError struct {
	Option string
	Err    error
}

func (e *OptionError) Error() string { return fmt.Sprintf("kafka: %s: %v", e.Option, e.Err) }

// Unwrap gives errors.Is the cause.
func (e *OptionError) Unwrap() error { return e.Err }

func (o *Options) acks() (kafka.RequiredAcks, error) {
	switch o.Acks {
	case "", "all", "-1":
		return kafka.RequireAll, nil
	case "1":
		return kafka.RequireOne, nil
	case "0":
		return kafka.RequireNone, nil
	}
	return 0, &OptionError{"acks", fmt.Errorf("got %q, expected all, 1 or 0", o.Acks)}
}

func (o *Options) compression() (kafka.Compression, error) {
	switch o.Compression {
	case "none":
		return 0, nil
	case "gzip":
		return kafka.Gzip, nil
	case "snappy":
		return kafka.Snappy, nil
	case "lz4":
		return kafka.Lz4, nil
	case "", "zstd":
		return kafka.Zstd, nil
	}
	return 0, &OptionError{"compression", fmt.Errorf("got %q, expected none, gzip, snappy, lz4 or zstd", o.Compression)}
}

// config is the TLS configuration as the files are now; nil without TLS.
func (t *TLS) config() (*tls.Config, error) {
	if !t.Enabled {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, &OptionError{"tls.ca", err}
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, &OptionError{"tls.ca", fmt.Errorf("%s: no certificate in PEM form", t.CA)}
		}
	}
	if t.Cert != "" || t.Key != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, &OptionError{"tls.cert", err}
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// mechanism is how to authenticate, with the password as it is now; nil for none.
func (s *SASL) mechanism() (sasl.Mechanism, error) {
	if s.Mechanism == "" || s.Mechanism == "none" {
		return nil, nil
	}
	password := s.Password
	if s.PasswordFile != "" {
		b, err := os.ReadFile(s.PasswordFile)
		if err != nil {
			return nil, &OptionError{"sasl.password_file", err}
		}
		password, _, _ = strings.Cut(string(b), "\n")
		password = strings.TrimSuffix(password, "\r")
	}
	if s.Username == "" || password == "" {
		return nil, &OptionError{"sasl", errors.New("a user name and a password are expected")}
	}
	switch s.Mechanism {
	case "PLAIN":
		return plain.Mechanism{Username: s.Username, Password: password}, nil
	case "SCRAM-SHA-256":
		return scram.Mechanism(scram.SHA256, s.Username, password)
	case "SCRAM-SHA-512":
		return scram.Mechanism(scram.SHA512, s.Username, password)
	}
	return nil, &OptionError{"sasl.mechanism", fmt.Errorf("got %q, expected PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", s.Mechanism)}
}
