package server_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"thymus/pdp/server"
)

// What connections leave that ended behind their header is bounded by those that a body is being read of.
func TestHeadersOfConnectionsThatEndedAreNotKept(t *testing.T) {
	var gone server.ChunkedForTest
	for range 10_000 {
		gone.Keep(new(fasthttp.RequestHeader), 0) // all that were kept before are old
		if n := gone.Len(); n > 128 {
			t.Fatalf("%d are kept", n)
		}
	}
	var there server.ChunkedForTest
	all := make([]fasthttp.RequestHeader, 1000)
	for i := range all {
		all[i].SetHost(strconv.Itoa(i))
		there.Keep(&all[i], time.Hour)
	}
	for i := range all {
		if h := there.Take(&all[i]); h == nil || string(h.Host()) != strconv.Itoa(i) || there.Take(&all[i]) != nil {
			t.Fatalf("header %d: %v", i, h)
		}
	}
	if there.Len() != 0 {
		t.Errorf("%d are left", there.Len())
	}
}
