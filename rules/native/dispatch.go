package native

import (
	"slices"
)

// test is a necessary condition of a rule that can be decided by looking at one value: the value at a path of the
// input or of an argument is one of a few constants. Only tests that stand in front of everything that could fail with
// an error are made into one.
type test struct {
	path string // identity
	load getter
	vals []val
	// prefix: a text begins with one of vals. What is no text may be an error there, which the rule must meet.
	prefix bool
}

// opening is what a rule begins with. With all, its body asks nothing else, and each test is of another value: it holds
// where they hold, and need not be evaluated to know that.
type opening struct {
	tests []test
	all   bool
}

// candidate is the number of a rule that can match, doubled, and one more where the way to it has made all its tests and
// its opening is all that it asks. Candidates are in the order of rules.
type candidate = int32

// candidates turns the numbers of rules to which the tests of some paths have led into candidates.
func candidates(rules []int32, opens []opening, made []string) {
	for i, id := range rules {
		rules[i] = id << 1
		if o := &opens[id]; o.all && o.within(made) {
			rules[i]++
		}
	}
}

// within says whether all tests are of the paths.
func (o *opening) within(paths []string) bool {
	for i := range o.tests {
		if !slices.Contains(paths, o.tests[i].path) {
			return false
		}
	}
	return true
}

// dispatch finds the rules whose tests can hold. Rules without a test on this value are in rest.
type dispatch struct {
	load   getter
	byStr  map[string]*bucket
	byHash map[uint64][]bucketOf
	// of prefix tests: byStr is by prefix, lengths are those of all, and other is all rules.
	prefix  bool
	lengths []int
	other   *bucket
	rest    *bucket
}

type bucketOf struct {
	v val
	b *bucket
}

type bucket struct {
	rules []candidate
	left  []leftTest
	sub   *dispatch
}

// leftTest is a rule of a bucket that is too small to be split, with one test that the way to it has not made: where it
// holds, rule is a candidate. It costs less than the rule's own look at the same.
type leftTest struct {
	load getter
	val  val // a text
	rule candidate
}

func (d *dispatch) find(f *frame, out []candidate) []candidate {
	v := d.load(f)
	switch {
	case v.kind == undefined:
	case d.prefix && (v.kind != text || v.n > longText): // where a test may be an error
		out = d.other.find(f, out)
	case d.prefix:
		s := v.str()
		for _, n := range d.lengths {
			if n > len(s) {
				break
			}
			if b := d.byStr[s[:n]]; b != nil {
				out = b.find(f, out)
			}
		}
	case v.kind == text:
		if b := d.byStr[v.str()]; b != nil {
			out = b.find(f, out)
		}
	default:
		if len(d.byHash) == 0 {
			break
		}
		for _, x := range d.byHash[f.m.hash(v)] {
			if f.m.equal(x.v, v) {
				out = x.b.find(f, out)
				break
			}
		}
	}
	if d.rest != nil {
		out = d.rest.find(f, out)
	}
	return out
}

func (b *bucket) find(f *frame, out []candidate) []candidate {
	out = append(out, b.rules...)
	for i := range b.left {
		l := &b.left[i]
		if v := l.load(f); v.kind == text && sameText(&v, &l.val) {
			out = append(out, l.rule)
		}
	}
	if b.sub != nil {
		out = b.sub.find(f, out)
	}
	return out
}

// lengths are the distinct lengths of prefixes, ascending.
func lengths(byPrefix map[string]*bucket) []int {
	var out []int
	for p := range byPrefix {
		out = append(out, len(p))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// bucketFor is the bucket of a value that equals v: 1 and 1.0 share one.
func (d *dispatch) bucketFor(m *machine, v val) *bucket {
	for _, x := range d.byHash[m.hash(v)] {
		if m.equal(x.v, v) {
			return x.b
		}
	}
	return nil
}

const (
	fewRules   = 4   // are evaluated one after the other
	manyValues = 64  // of one test: the rule would be in too many buckets
	sample     = 512 // rules that say which test is best, of more
	slab       = 64  // buckets that are made at once, of many
)

// newDispatch sorts rules by the tests they begin with; nil where that brings nothing.
func newDispatch(m *machine, opens []opening) *dispatch {
	ids := make([]int32, len(opens))
	for i := range ids {
		ids[i] = int32(i)
	}
	b := bucket{rules: ids}
	b.split(m, opens, nil)
	return b.sub
}

// remain makes candidates of the rules of a bucket that is not split.
func (b *bucket) remain(opens []opening, made []string) {
	rules := b.rules[:0]
	for _, id := range b.rules {
		o := &opens[id]
		i := slices.IndexFunc(o.tests, func(t test) bool { return !slices.Contains(made, t.path) })
		if len(b.rules) >= fewRules || i < 0 || o.tests[i].prefix || len(o.tests[i].vals) != 1 || o.tests[i].vals[0].kind != text {
			rules = append(rules, id)
			continue
		}
		l := leftTest{load: o.tests[i].load, val: o.tests[i].vals[0], rule: id << 1}
		if o.all && o.within(append(slices.Clip(made), o.tests[i].path)) {
			l.rule++
		}
		b.left = append(b.left, l)
	}
	b.rules = rules
	candidates(b.rules, opens, made)
}

// split sorts the numbers of rules in a bucket further, by tests of paths that are not yet used, and makes candidates of
// those that stay.
func (b *bucket) split(m *machine, opens []opening, used []string) {
	ids := b.rules
	best, values := bestTest(m, ids, opens, used)
	if best == nil {
		b.remain(opens, used)
		return
	}
	d := &dispatch{load: best.load, byStr: make(map[string]*bucket, min(values, len(ids))), byHash: map[uint64][]bucketOf{}, prefix: best.prefix}
	var spare []bucket
	newBucket := func() (b *bucket) {
		if len(spare) == 0 {
			spare = make([]bucket, min(slab, len(ids)))
		}
		b, spare = &spare[0], spare[1:]
		return b
	}
	used = append(slices.Clone(used), best.path)
	var made []*bucket // in the order of the rules
	var rest []int32
	var others []bucketOf // rules for now
	for _, id := range ids {
		tests := opens[id].tests
		i := 0
		for i < len(tests) && tests[i].path != best.path {
			i++
		}
		if i == len(tests) {
			rest = append(rest, id)
			continue
		}
		vals := tests[i].vals
		for j, v := range vals {
			if slices.ContainsFunc(vals[:j], func(x val) bool { return m.equal(x, v) }) {
				continue
			}
			if v.kind == text {
				s := v.str()
				b := d.byStr[s]
				if b == nil {
					b = newBucket()
					d.byStr[s], made = b, append(made, b)
				}
				b.rules = append(b.rules, id)
				continue
			}
			b := d.bucketFor(m, v)
			if b == nil {
				b = newBucket()
				x := bucketOf{v: v, b: b}
				h := m.hash(v)
				d.byHash[h], others = append(d.byHash[h], x), append(others, x)
			}
			b.rules = append(b.rules, id)
		}
	}
	for _, b := range made {
		b.split(m, opens, used)
	}
	if d.prefix {
		d.lengths, d.other = lengths(d.byStr), &bucket{}
		for _, id := range ids {
			if !slices.Contains(rest, id) {
				d.other.rules = append(d.other.rules, id)
			}
		}
		candidates(d.other.rules, opens, nil)
	}
	for _, x := range others {
		x.b.split(m, opens, used)
	}
	if rest != nil {
		d.rest = &bucket{rules: rest}
		d.rest.split(m, opens, used)
	}
	b.rules, b.sub = nil, d
}

// bestTest is the value that tells most of the rules apart, and how many constants it is compared with, about.
func bestTest(m *machine, ids []int32, opens []opening, used []string) (best *test, values int) {
	if len(ids) < fewRules {
		return nil, 0
	}
	type count struct {
		rules int
		vals  map[string]struct{}
		t     *test
	}
	var buf [64]byte
	counts, order := map[string]*count{}, []string(nil)
	every := (len(ids) + sample - 1) / sample
	jitter := uint32(1) // rules may alternate
	for at := 0; at < len(ids); at += 1 + int((jitter>>16)%uint32(2*every-1)) {
		jitter = jitter*1664525 + 1013904223
		id := ids[at]
		tests := opens[id].tests
		for i := range tests {
			t := &tests[i]
			if slices.Contains(used, t.path) {
				continue
			}
			c := counts[t.path]
			if c == nil {
				c = &count{vals: map[string]struct{}{}, t: t}
				counts[t.path], order = c, append(order, t.path)
			}
			c.rules++
			for _, v := range t.vals {
				if v.kind == text {
					c.vals[v.str()] = struct{}{}
				} else {
					c.vals[string(m.appendJSON(append(buf[:0], 0), v))] = struct{}{}
				}
			}
		}
	}
	top := 0
	for _, p := range order {
		c := counts[p]
		if score := min(c.rules, 4*len(c.vals)); c.rules > 2 && len(c.vals) > 1 && score > top {
			best, top, values = c.t, score, every*len(c.vals)
		}
	}
	return best, values
}
