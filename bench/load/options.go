package load

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"
)

// Call is one question as it goes over the wire, and the verdict that is right.
type Call struct {
	Wire []byte // the whole request; of gRPC the message alone
	Want Verdict
}

// Options of a run.
type Options struct {
	Endpoint    Endpoint
	Target      Target
	Calls       []Call        // asked in turn, each worker from a place of its own; at least one
	Rate        float64       // calls a second, open loop; 0: closed loop
	Arrivals    Arrivals      // of the open loop
	Seed        uint64        // of Poisson arrivals
	Connections int           // at least 1
	Workers     int           // threads that drive them; 0: 1
	Warmup      time.Duration // asked like the rest and not counted
	Duration    time.Duration // counted; larger than 0
	Timeout     time.Duration // for one answer; 0: 5 s
	TLS         *tls.Config   // nil: plain
	Portable    bool          // a goroutine a connection instead of epoll; TLS, and systems without epoll, need it anyway
	Progress    func(Progress)
}

// Progress is how a run stands, told about once a second from a goroutine of its own.
type Progress struct {
	At      time.Duration // since the start, warm-up included
	Warm    bool          // the warm-up is over
	Rate    float64       // answers a second since the last report
	P99     time.Duration // of the last reported stretch; of several workers the worst
	Max     time.Duration
	Errors  uint64 // since the start
	Wrong   uint64
	Waiting bool // calls are due that no connection is free for
}

// maxConnections is more than one process has files for on most systems.
const maxConnections = 100_000

// Check says what is wrong, and fills in what was left out.
func (o *Options) Check() error {
	switch {
	case len(o.Calls) == 0:
		return errors.New("calls: expected at least one")
	case !(o.Rate >= 0 && o.Rate <= 1e8): // nor anything that is no number
		return fmt.Errorf("rate: got %g, expected 0 to 100000000 calls a second", o.Rate)
	case o.Connections < 1 || o.Connections > maxConnections:
		return fmt.Errorf("connections: got %d, expected 1 to %d", o.Connections, maxConnections)
	case o.Duration <= 0 || o.Warmup < 0 || o.Timeout < 0:
		return errors.New("duration: expected more than 0s, warm-up and timeout no less than 0s")
	case o.Workers < 0:
		return fmt.Errorf("workers: got %d, expected 1 or more", o.Workers)
	}
	if o.Workers = min(max(o.Workers, 1), o.Connections); o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	return nil
}
