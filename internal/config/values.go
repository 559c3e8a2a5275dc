package config

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes.
type Size int64

// Units of Size.
const (
	KiB Size = 1 << (10 * (iota + 1))
	MiB
	GiB
	TiB
)

type unit struct {
	name string
	of   Size
}

func units() [4]unit { return [4]unit{{"TiB", TiB}, {"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB}} }

// String is the size in the largest unit that divides it: "64MiB".
func (s Size) String() string {
	for _, u := range units() {
		if s != 0 && s%u.of == 0 {
			return strconv.FormatInt(int64(s/u.of), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// ParseSize reads a number of bytes: digits and, if any, KiB, MiB, GiB or TiB.
func ParseSize(text string) (Size, bool) {
	of := Size(1)
	for _, u := range units() {
		if t, ok := strings.CutSuffix(text, u.name); ok {
			text, of = strings.TrimRight(t, " "), u.of
			break
		}
	}
	if text == "" || text[0] < '0' || text[0] > '9' { // no sign
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n > int64(1<<63-1)/int64(of) {
		return 0, false
	}
	return Size(n) * of, true
}

// Address is the host:port of a listener; empty is off. Port 0 lets the kernel choose.
type Address string

// Off says that nothing listens.
func (a Address) Off() bool { return a == "" }

// Port is the address's port; 0 where it is off.
func (a Address) Port() int {
	_, p, _ := net.SplitHostPort(string(a))
	n, _ := strconv.Atoi(p)
	return n
}

// Loopback says whether only this machine can reach the listener. Of names only "localhost" is believed; nothing is
// resolved.
func (a Address) Loopback() bool {
	host, _, err := net.SplitHostPort(string(a))
	if err != nil {
		return false
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// URL is the address as a caller on this machine writes it: an address that stands for all interfaces becomes
// localhost. Empty where the listener is off or its port is not known yet.
func (a Address) URL(tls bool) string {
	host, port, err := net.SplitHostPort(string(a))
	if err != nil || a.Port() == 0 {
		return ""
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "localhost"
	}
	if tls {
		return "https://" + net.JoinHostPort(host, port)
	}
	return "http://" + net.JoinHostPort(host, port)
}

// Fsync is how often the journal is forced to disk: an interval, FsyncAlways or FsyncNever.
type Fsync time.Duration

// The two that are no interval.
const (
	FsyncAlways Fsync = 0
	FsyncNever  Fsync = -1
)

// Mask names a part of an event's payload that is removed, or with Hash replaced by a keyed hash.
type Mask struct {
	Path string
	Hash bool
}

// Quota bounds a number of subjects: a percentage of the active ones, or Count of them where Percent is 0.
type Quota struct {
	Percent float64
	Count   int
}
