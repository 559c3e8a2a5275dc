package sink

import (
	"context"
	"errors"
	"sync"
	"time"

	"thymus/emitter"
	"thymus/emitter/journal"
)

// ReplayOptions of Replay. All have defaults.
type ReplayOptions struct {
	To       uint64                      // the first number that is not sent any more; 0: all there are when the end is reached
	Keep     func(h *emitter.Head) bool  // which events; nil: all
	Timeout  time.Duration               // of one Send; default 10 s
	RetryMin time.Duration               // default 100 ms
	RetryMax time.Duration               // default 5 s
	Trouble  func(err error)             // told of each failure that is tried again; may be nil
	Progress func(r Replayed)            // told now and then; may be nil
	Refused  func(m *Message, err error) // told of an event that will never be taken; may be nil
}

// Replayed says what a replay has done so far.
type Replayed struct {
	Next                   uint64 // number of the first event that was not looked at yet
	Sent, Refused, Missing uint64 // Missing: numbers that the journal no longer holds
}

const replayBatch = 512 << 10

// Replay sends what a reader gives to a sink once more, with the ids of the first time, and touches no account. Each
// partition's events keep their order. It ends at the journal's end, at To, or with ctx.
func Replay(ctx context.Context, r *journal.Reader, s Sink, o ReplayOptions) (done Replayed, err error) {
	so := Options{Timeout: o.Timeout, RetryMin: o.RetryMin, RetryMax: o.RetryMax}
	so.fill()
	n := 0
	for tries := 0; n < 1; tries++ {
		if n, err = s.Partitions(ctx); err != nil {
			n = 0
			if err := again(ctx, &so, &o, tries, err); err != nil {
				return done, err
			}
		}
	}
	lanes := make([]batch, n)
	var c journal.Chunk
	done.Next = r.Seq()
	held, end := 0, false
	for !end {
		more, err := r.Next(&c)
		if err != nil {
			return done, err
		}
		end = !more
		done.Missing += c.Gap.Count()
		var h emitter.Head
		for seq, line := range c.All {
			if o.To > 0 && seq >= o.To {
				end = true
				break
			}
			emitter.ParseHead(line, &h)
			if o.Keep == nil || o.Keep(&h) {
				lanes[s.Partition(h.Key, n)].add(seq, line, &h)
				held += len(line)
			}
		}
		if held >= replayBatch || end {
			if err := flush(ctx, s, lanes, &so, &o, &done); err != nil {
				return done, err
			}
			held = 0
			done.Next = c.First + uint64(c.Events)
			if o.Progress != nil {
				o.Progress(done)
			}
		}
	}
	return done, nil
}

// flush sends each lane's batch, all at once, and waits for them.
func flush(ctx context.Context, s Sink, lanes []batch, so *Options, o *ReplayOptions, done *Replayed) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	errs := make([]error, len(lanes))
	for p := range lanes {
		if len(lanes[p].msgs) == 0 {
			continue
		}
		wg.Go(func() {
			sent, refused, err := insist(ctx, s, p, lanes[p].msgs, so, o, &mu)
			mu.Lock()
			done.Sent += sent
			done.Refused += refused
			mu.Unlock()
			errs[p] = err
			lanes[p].reset()
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// insist sends messages until they are settled.
func insist(ctx context.Context, s Sink, p int, msgs []Message, so *Options, o *ReplayOptions, mu *sync.Mutex) (sent, refused uint64, err error) {
	for tries := 0; ; tries++ {
		c, cancel := context.WithTimeout(ctx, so.Timeout)
		err := s.Send(c, p, msgs)
		cancel()
		var no *RefusedError
		switch {
		case err == nil:
			return uint64(len(msgs)), 0, nil
		case errors.As(err, &no) && len(msgs) == 1:
			if o.Refused != nil {
				mu.Lock()
				o.Refused(&msgs[0], no.Err)
				mu.Unlock()
			}
			return 0, 1, nil
		case errors.As(err, &no):
			half := len(msgs) / 2
			s1, r1, err := insist(ctx, s, p, msgs[:half], so, o, mu)
			if err != nil {
				return s1, r1, err
			}
			s2, r2, err := insist(ctx, s, p, msgs[half:], so, o, mu)
			return s1 + s2, r1 + r2, err
		}
		mu.Lock()
		err = again(ctx, so, o, tries, err)
		mu.Unlock()
		if err != nil {
			return 0, 0, err
		}
	}
}

// again waits before the next try; an error is ctx's, with what kept us.
func again(ctx context.Context, so *Options, o *ReplayOptions, tries int, cause error) error {
	if o.Trouble != nil {
		o.Trouble(cause)
	}
	if !sleep(ctx, backoff(tries, so.RetryMin, so.RetryMax)) {
		return errors.Join(ctx.Err(), cause)
	}
	return nil
}
