package extauthz_test

import (
	"testing"

	"go.uber.org/goleak"
)

// fasthttp's own goroutines end by their own clocks: the date of answers never, the pools within ten seconds.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}
