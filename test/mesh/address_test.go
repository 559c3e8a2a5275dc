//go:build unix

package mesh_test

import (
	"bufio"
	"fmt"
	"net"
	"testing"
	"time"
)

// byAddress lets one address in.
const byAddress = `package policies.address

allow contains "address" if {
	input.subject.type == "address"
	input.subject.id == "127.0.0.9"
	input.attributes.source.address.socketAddress.address == "127.0.0.9"
}
`

// sendFrom asks from an address of this machine.
func sendFrom(t *testing.T, from, to string, headers string) *reply {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 5 * time.Second}
	nc, err := d.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(nc, "GET /x HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n%s\r\n", headers)
	r, err := readReply(bufio.NewReader(nc), "GET")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The address is the client's: not the proxy's own, and not one that the client names.
func TestTheAddressIsTheClients(t *testing.T) {
	s, app := thymus(t, byAddress), application(t)
	for _, r := range everybody() {
		t.Run(r.name, func(t *testing.T) {
			p := r.start(t, s, app)
			if got := sendFrom(t, "127.0.0.9", p.addr, ""); got.app == nil {
				t.Errorf("the client's address is not seen: %+v", got)
			}
			if got := sendFrom(t, "127.0.0.9", p.addr, "X-Forwarded-For: 6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n"); got.app == nil {
				t.Errorf("the client's address is not seen beside one that it names: %+v", got)
			}
			for _, h := range []string{"", "X-Forwarded-For: 127.0.0.9\r\n", "X-Real-IP: 127.0.0.9\r\n",
				"X-Forwarded-For: 127.0.0.9\r\nX-Forwarded-For: 127.0.0.9\r\nX-Real-IP: 127.0.0.9\r\nX-Envoy-External-Address: 127.0.0.9\r\n"} {
				if got := sendFrom(t, "127.0.0.8", p.addr, h); got.app != nil || got.status != 403 {
					t.Errorf("%q: %+v", h, got)
				}
			}
		})
	}
}
