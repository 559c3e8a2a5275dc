package detect

import (
	"math"
	"math/bits"
	"strings"
	"time"
)

// subject is what is remembered of one who calls: 120 bytes, and 26 in the index.
type subject struct {
	first, last int64
	seen        uint32
	epoch       uint32 // of the tally of active subjects
	permitted   uint32 // generation in which it was permitted last
	deprived    uint32 // generation in which it was denied though permitted before
	deprivedAt  uint32 // epoch of the tally of those
	gen         uint32 // generation of the window that is being counted
	role        uint64 // hash of the last one, 0: none
	roleAt      int64
	actions     [4]uint64 // Bloom filter, 3 bits an action

	// Rate: the window at hand, and the past.
	bin      int64
	count    uint32
	bins     uint32 // windows learnt from
	limit    uint32 // calls in a window beyond which it is an anomaly
	partial  bool   // the window at hand was begun in its middle, and teaches nothing
	mean     float32
	variance float32
}

// settled is how many records make a subject one that newcomers cannot push out.
const settled = 8

// remember is the subject's slot; nil where there is no room for it.
func (d *Watcher) remember(who key) *subject {
	i := d.index.find(who)
	if i < 0 {
		if i = d.index.victim(who, d.now, settled); i < 0 {
			return nil
		}
		if d.index.tags[i] != 0 {
			d.active.drop(d.subjects[i].epoch)
			if d.subjects[i].deprived == d.gen {
				d.deprived.drop(d.subjects[i].deprivedAt)
			}
		}
		d.subjects[i] = subject{first: d.now, last: d.now}
		d.index.put(i, who, d.now, 0)
	}
	s := &d.subjects[i]
	if s.first > d.now {
		s.first, s.roleAt = d.now, 0 // the clock was set back
	}
	d.active.mark(&s.epoch, d.now)
	d.index.touch(i, d.now, s.seen)
	return s
}

// rateLimits are what observeRate needs of the configuration.
type rateLimits struct {
	on            bool
	width, warmup int64
	deviations    float64
}

func newRateLimits(c *Rate) rateLimits {
	return rateLimits{c.Enabled, max(us(c.Window), second), us(c.Warmup), float64(c.Deviations)}
}

const (
	rateBins  = 30 // windows of activity before a subject is judged, however long it has been known
	rateFloor = 20 // calls in a window that are never an anomaly
	rateDecay = 16 // windows: the newest counts a 16th
)

// observeRate compares the calls of the window at hand with those of the past. Windows without a call teach nothing: an
// agent that sleeps at night is no anomaly in the morning.
func (d *Watcher) observeRate(who key, s *subject, o *offence) {
	if !d.rate.on {
		return
	}
	if bin := d.now / d.rate.width; bin != s.bin || s.gen != d.gen {
		if s.gen == d.gen && s.count > 0 && bin > s.bin && !s.partial {
			s.learn(d.rate.deviations)
		}
		// Another policy set, like a start and a release from quarantine, begins in the middle of a window.
		s.partial = s.gen != d.gen && s.bins > 0
		s.bin, s.count, s.gen = bin, 0, d.gen
	}
	s.count++
	if s.count != s.limit+1 || s.bins < rateBins || d.now-s.first < d.rate.warmup {
		return
	}
	o.set(RateAnomaly, d.c.Rate.Severity.Rank(), uint64(s.count), d.c.Rate.Window, int(s.limit),
		"far more calls within the window than in the subject's own past")
	o.unit = 0
	d.report(who, o)
}

// learn takes the window that has ended into the past. What is beyond the limit counts as much as the limit: a burst
// teaches little, however large.
func (s *subject) learn(deviations float64) {
	x := float64(s.count)
	s.bins++
	if s.bins == 0 {
		s.bins--
	}
	n := s.bins
	if n > rateDecay {
		n = rateDecay
		x = min(x, float64(s.limit))
	}
	a := 1 / float64(n)
	mean, variance := float64(s.mean), float64(s.variance)
	delta := x - mean
	mean += float64(a * delta) // conversions keep the compiler from fusing: every machine finds the same
	variance = float64((1 - a) * (variance + float64(a*float64(delta*delta))))
	s.mean, s.variance = float32(mean), float32(variance)
	spread := max(math.Sqrt(variance), math.Sqrt(mean), 1)
	s.limit = uint32(max(mean+float64(deviations*spread), rateFloor))
}

const (
	actionsFull   = 128 // bits of a filter beyond which it says nothing of what is new
	actionRecords = 32  // records that make a subject's habits
)

// observeAction looks whether a long-known subject does what it never did.
func (d *Watcher) observeAction(who key, s *subject, o *offence) {
	if !d.c.FirstSeen.Enabled {
		return
	}
	h := d.memo.sum64(d.sip, o.record.Action)
	known := true
	for range 3 {
		w, b := &s.actions[h>>6&3], uint64(1)<<(h&63)
		if *w&b == 0 {
			known = false
			*w |= b
		}
		h >>= 8
	}
	if known || s.seen < actionRecords || d.now-s.first < us(d.c.FirstSeen.Known) {
		return
	}
	set := 0
	for _, w := range s.actions {
		set += bits.OnesCount64(w)
	}
	if set > actionsFull {
		return
	}
	o.set(FirstSeenAction, d.c.FirstSeen.Severity.Rank(), 1, 0, 0, "a long-known subject takes an action for the first time")
	o.unit = 0
	d.report(who, o)
}

// set makes o an offence of one detector.
func (o *offence) set(det Detector, rank int, total uint64, window time.Duration, at int, what string) {
	o.det, o.rank, o.total, o.after, o.at, o.what = det, uint8(rank), total, us(window), at, what
	o.unit = uint64(at)
}

func (o *offence) decoy() {
	o.set(Decoy, critical, 1, 0, 0, "a resource that nobody has a reason to touch was touched")
}

// decoys are resource ids, and beginnings of them.
type decoys struct {
	ids      map[string]struct{}
	prefixes []string
}

func newDecoys(list []string) decoys {
	c := decoys{}
	for _, s := range list {
		if p, ok := strings.CutSuffix(s, "*"); ok {
			c.prefixes = append(c.prefixes, p)
			continue
		}
		if c.ids == nil {
			c.ids = map[string]struct{}{}
		}
		c.ids[s] = struct{}{}
	}
	return c
}

func (c *decoys) has(resource string) bool {
	if c.ids != nil {
		if _, ok := c.ids[resource]; ok {
			return true
		}
	}
	for _, p := range c.prefixes {
		if strings.HasPrefix(resource, p) {
			return true
		}
	}
	return false
}
