package load

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// Endpoint is where a decision point listens.
type Endpoint struct {
	Network string // tcp or unix
	Address string // HOST:PORT, or the socket's path
	Secure  bool   // the URL said https
	GRPC    bool   // the URL said grpc
	Path    string // of the URL, with its query; empty where it had none
}

// String is the endpoint as messages name it.
func (e Endpoint) String() string {
	if e.Network == "unix" {
		return "unix://" + e.Address
	}
	return e.Address
}

// Host is the authority that requests name.
func (e Endpoint) Host() string {
	if e.Network == "unix" {
		return "localhost"
	}
	return e.Address
}

// ParseEndpoint reads http://HOST:PORT/PATH, https://..., grpc://HOST:PORT, unix:///PATH and grpc+unix:///PATH.
func ParseEndpoint(s string) (Endpoint, error) {
	u, err := url.Parse(s)
	if err != nil || u.User != nil || u.Fragment != "" {
		return Endpoint{}, endpointError(s)
	}
	e := Endpoint{Network: "tcp", Address: u.Host, Path: u.RequestURI()}
	if e.Path == "/" {
		e.Path = ""
	}
	port := "80"
	switch u.Scheme {
	case "http":
	case "https":
		e.Secure, port = true, "443"
	case "grpc":
		e.GRPC = true
	case "unix", "grpc+unix":
		if u.Host != "" || u.Path == "" {
			return Endpoint{}, endpointError(s)
		}
		return Endpoint{Network: "unix", Address: u.Path, GRPC: strings.HasPrefix(u.Scheme, "grpc")}, nil
	default:
		return Endpoint{}, endpointError(s)
	}
	if u.Hostname() == "" || e.GRPC && e.Path != "" {
		return Endpoint{}, endpointError(s)
	}
	if u.Port() == "" {
		e.Address = net.JoinHostPort(u.Hostname(), port)
	}
	return e, nil
}

func endpointError(s string) error {
	return fmt.Errorf("got %q, expected http://HOST:PORT[/PATH], https://HOST:PORT[/PATH], unix:///PATH, grpc://HOST:PORT or grpc+unix:///PATH", s)
}
