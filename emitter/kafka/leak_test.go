package kafka_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"thymus/emitter/kafka"
	"thymus/test/harness"
)

// A lane may begin a call just when another lane gives the client up. What kafka-go opens for it then, a connection and
// the goroutine that asks for metadata over it every other second, has to end with the call.
func TestACallWithAClientThatIsGivenUpLeavesNothingOpen(t *testing.T) {
	r := newRig(t, cluster(t, kfake.SeedTopics(3, topic)))
	before := goleak.IgnoreCurrent()
	k, err := kafka.New(r.options())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var given, called sync.WaitGroup
	given.Add(3)
	for range 3 { // the last of them closes
		called.Go(func() {
			if err := k.CallForTest(ctx, func() { given.Done(); given.Wait(); k.Close() }); err != nil {
				t.Error(err)
			}
		})
	}
	called.Wait()
	harness.Eventually(t, 10*time.Second, "nothing is left open", func() bool { return goleak.Find(before) == nil })
}
