package sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"thymus/emitter"
	"thymus/emitter/journal"
)

// Options of a Shipper. All have defaults.
type Options struct {
	Linger   time.Duration // how long a batch waits for more events; default 0
	MaxBatch int           // bytes of events in a batch; default 512 KiB, which Kafka's default limit of 1 MiB takes uncompressed
	Window   int           // bytes of events held at a time; default 16 MiB
	Timeout  time.Duration // of one Send; default 10 s
	RetryMin time.Duration // the first wait after a failure; default 100 ms
	RetryMax time.Duration // the longest; default 5 s
	Look     time.Duration // how often the number of partitions is looked at; default 5 s
	Heads    time.Duration // how often the chain's head is sent to a Chainer; default 10 s, negative is never
	Refused  string        // the file for events that will never be taken; required for a sink that can refuse
	// Trouble is told of a failure when it begins and once a minute while it lasts, and with nil when it is over. It is
	// called by one goroutine at a time. May be nil.
	Trouble func(err error)
}

func (o *Options) fill() {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&o.Timeout, 10*time.Second)
	def(&o.RetryMin, 100*time.Millisecond)
	def(&o.RetryMax, 5*time.Second)
	def(&o.Look, 5*time.Second)
	def(&o.Heads, 10*time.Second)
	if o.MaxBatch == 0 {
		o.MaxBatch = 512 << 10
	}
	if o.Window == 0 {
		o.Window = 16 << 20
	}
	o.Window = max(o.Window, 2*o.MaxBatch)
}

// Shipper carries one journal to one sink. Run is its goroutine; the other methods may be called from any.
type Shipper struct {
	o      Options
	sink   Sink
	j      *journal.Journal
	acc    *journal.Sink
	window *window
	spare  sync.Pool

	mu       sync.Mutex    // guards what follows
	failures map[int]error // by partition
	said     time.Time
	silent   bool // the end of the last trouble said was said too
	aside    refusedFile
	headSaid time.Time
}

// NewShipper makes one. The sink gets its account in the journal at once, so that retention waits for it from now on.
func NewShipper(j *journal.Journal, s Sink, o Options) (*Shipper, error) {
	o.fill()
	acc, err := j.Sink(s.Name())
	if err != nil {
		return nil, err
	}
	return &Shipper{o: o, sink: s, j: j, acc: acc, window: newWindow(o.Window), silent: true,
		failures: map[int]error{}, aside: refusedFile{path: o.Refused}}, nil
}

// Counters is the sink's account: Journaled = Delivered + Pending + Expired + Refused, always.
func (s *Shipper) Counters() journal.Counters { return s.acc.Counters() }

// Name is the sink's.
func (s *Shipper) Name() string { return s.sink.Name() }

// State is what keeps events from being delivered at the moment; nil where nothing does.
func (s *Shipper) State() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, err := range s.failures {
		return err
	}
	return nil
}

// Drain waits until everything journaled is settled, or ctx ends.
func (s *Shipper) Drain(ctx context.Context) error {
	t := time.NewTicker(5 * time.Millisecond)
	defer t.Stop()
	for {
		if c := s.Counters(); c.Pending == 0 {
			return nil
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %d events wait for the next start: %w", s.Name(), s.Counters().Pending, ctx.Err())
		}
	}
}

// Run ships until ctx ends. What is under way then is delivered again by the next start.
func (s *Shipper) Run(ctx context.Context) error {
	var heads sync.WaitGroup
	if c, ok := s.sink.(Chainer); ok && s.o.Heads > 0 {
		heads.Go(func() { s.sendHeads(ctx, c) })
	}
	for ctx.Err() == nil {
		n, err := s.partitions(ctx)
		if err != nil {
			break
		}
		if err := s.ship(ctx, n); err != nil && ctx.Err() == nil {
			s.trouble(general, err)
			sleep(ctx, s.o.RetryMin)
		}
	}
	heads.Wait()
	s.aside.close()
	return s.acc.Save()
}

// partitions asks until there is an answer.
func (s *Shipper) partitions(ctx context.Context) (int, error) {
	for tries := 0; ; tries++ {
		c, cancel := context.WithTimeout(ctx, s.o.Timeout)
		n, err := s.sink.Partitions(c)
		cancel()
		if err == nil && n > 0 {
			s.over(general)
			return n, nil
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		if err == nil {
			err = errors.New("it has no partitions")
		}
		s.trouble(general, err)
		if !sleep(ctx, backoff(tries, s.o.RetryMin, s.o.RetryMax)) {
			return 0, ctx.Err()
		}
	}
}

// ship reads the journal and deals it into n lanes, until there is another number of them.
func (s *Shipper) ship(ctx context.Context, n int) error {
	inner, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	s.window = newWindow(s.o.Window)
	s.gone(n)
	lanes := make([]*lane, n)
	for i := range lanes {
		lanes[i] = &lane{s: s, part: i, wake: make(chan struct{}, 1)}
		wg.Go(func() { lanes[i].run(inner) })
	}
	r := s.j.Reader(s.acc.Resume(int32(n)))
	defer r.Close()
	var c journal.Chunk
	look := time.Now()
	for {
		if now := time.Now(); now.Sub(look) >= s.o.Look {
			look = now
			if m, err := s.sink.Partitions(inner); err == nil && m > 0 && m != n {
				return s.window.empty(inner, s.o.Window) // keys move: first all that is under way
			}
		}
		ok, err := r.Next(&c)
		if err != nil {
			return err
		}
		if !ok {
			if err := s.wait(inner, r); err != nil {
				return err
			}
			continue
		}
		if c.Gap.Count() > 0 {
			s.acc.Gap(c.Gap.To)
		}
		if err := s.deal(inner, &c, lanes); err != nil {
			return err
		}
	}
}

// wait returns when there may be more, or it is time to look at the partitions.
func (s *Shipper) wait(ctx context.Context, r *journal.Reader) error {
	c, cancel := context.WithTimeout(ctx, s.o.Look)
	defer cancel()
	if err := r.Wait(c); err != nil && c.Err() == nil {
		return err
	}
	return ctx.Err()
}

func (s *Shipper) deal(ctx context.Context, c *journal.Chunk, lanes []*lane) error {
	var h emitter.Head
	for seq, line := range c.All {
		emitter.ParseHead(line, &h) // of what is no line of ours the key is empty, and it goes on as it is
		p := s.sink.Partition(h.Key, len(lanes))
		if !s.acc.Take(int32(p), seq) {
			continue
		}
		if err := s.window.take(ctx, len(line), s.o.Window); err != nil {
			return err
		}
		lanes[p].add(seq, line, &h)
	}
	return nil
}

// settled acknowledges messages that begin a partition's unsettled ones.
func (s *Shipper) settled(part int, msgs []Message, delivered, refused uint64) {
	if err := s.acc.Ack(int32(part), msgs[len(msgs)-1].Seq+1, delivered, refused); err != nil {
		s.trouble(general, err) // a bug: the account would not add up, and says so
		return
	}
	s.over(part)
}

func (s *Shipper) setAside(m *Message, cause error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.aside.add(m, cause); err != nil {
		return fmt.Errorf("event %d will never be taken (%w), and cannot be set aside: %w", m.Seq, cause, err)
	}
	return nil
}

// general is the part of a trouble that is no partition's.
const general = -1

// trouble notes that a part fails, and says so when the first begins and once a minute. One that begins within a second of
// the last that was said is said if it lasts.
func (s *Shipper) trouble(part int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := len(s.failures) == 0
	s.failures[part] = err
	if now := time.Now(); s.o.Trouble != nil && ((first || s.silent) && now.Sub(s.said) > time.Second || now.Sub(s.said) >= time.Minute) {
		s.said, s.silent = now, false
		s.o.Trouble(err)
	}
}

// over ends a part's trouble, and says so if it was the last of one that was said.
func (s *Shipper) over(part int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.failures) == 0 {
		return
	}
	delete(s.failures, part)
	if len(s.failures) == 0 && s.o.Trouble != nil && !s.silent {
		s.silent = true
		s.o.Trouble(nil)
	}
}

// gone ends the troubles of partitions that there are no more.
func (s *Shipper) gone(n int) {
	s.mu.Lock()
	var parts []int
	for part := range s.failures {
		if part >= n {
			parts = append(parts, part)
		}
	}
	s.mu.Unlock()
	for _, part := range parts {
		s.over(part)
	}
}

// sendHeads sends the head of the journal's chain whenever it has moved, and a last one at the end.
func (s *Shipper) sendHeads(ctx context.Context, c Chainer) {
	var sent uint64
	for tries := 0; ctx.Err() == nil; {
		err := s.sendHead(ctx, c, &sent, s.o.Timeout)
		if err == nil {
			tries = 0
			sleep(ctx, s.o.Heads)
			continue
		}
		s.headTrouble(err)
		sleep(ctx, min(backoff(tries, s.o.RetryMin, s.o.RetryMax), s.o.Heads))
		tries++
	}
	if s.State() == nil {
		_ = s.sendHead(context.Background(), c, &sent, time.Second) // the next start sends another
	}
}

func (s *Shipper) sendHead(ctx context.Context, c Chainer, sent *uint64, within time.Duration) error {
	cp, err := s.j.Checkpoint()
	if err != nil || cp.Next == *sent {
		return err
	}
	b, err := json.Marshal(cp)
	if err != nil {
		return err
	}
	to, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := c.SendHead(to, b); err != nil {
		return err
	}
	*sent = cp.Next
	return nil
}

// headTrouble says once a minute that heads do not arrive. Events are not held up by that.
func (s *Shipper) headTrouble(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); s.o.Trouble != nil && len(s.failures) == 0 && now.Sub(s.headSaid) >= time.Minute {
		s.headSaid = now
		s.o.Trouble(fmt.Errorf("chain heads: %w", err))
	}
}

func (s *Shipper) batch() *batch {
	if b, ok := s.spare.Get().(*batch); ok {
		return b
	}
	return &batch{buf: make([]byte, 0, 64<<10)}
}

func (s *Shipper) recycle(b *batch) {
	b.reset()
	s.spare.Put(b)
}
