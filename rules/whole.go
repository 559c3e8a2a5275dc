package rules

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"thymus/pdp"
	"thymus/rules/native"
)

// whole is both engines over modules that OPA has compiled together.
type whole struct {
	ev     *evaluator
	native *native.Engine // nil: topdown alone
}

var (
	errWhole = errors.New("policies that compile apart do not compile together")
	errGone  = errors.New("the policies were replaced")
)

// lazily is a whole that is made when it is asked for the first time, or is known to be asked for, once, off the path of
// the request that asked.
type lazily struct {
	once  sync.Once
	build func() (*whole, error)
	asked func() // by a request; nil: nobody wants to know
	done  chan struct{}
	w     *whole
	err   error
}

func newLazily(build func() (*whole, error)) *lazily {
	return &lazily{build: build, done: make(chan struct{})}
}

// start makes the whole, unless that has begun.
func (l *lazily) start() {
	l.once.Do(func() {
		go func() {
			defer close(l.done)
			defer func() {
				if recover() != nil {
					l.w, l.err = nil, errWhole
				}
			}()
			l.w, l.err = l.build()
			l.build = nil
		}()
	})
}

// waiting is how often a call that waits looks at its deadline.
const waiting = 200 * time.Microsecond

// get waits for the whole as long as the budget lasts; nil where that was not long enough, or the whole cannot be made:
// a fault in r says so. r may be nil.
func (l *lazily) get(b *pdp.Budget, r *pdp.Result) *whole {
	if l.asked != nil {
		l.asked()
	}
	l.start()
	select {
	case <-l.done:
	default:
		if !l.wait(b) {
			if r != nil {
				r.AddFault(pdp.FaultDeadline, -1, msgDeadline)
			}
			return nil
		}
	}
	if l.err != nil && r != nil {
		r.AddFault(pdp.FaultInternal, -1, l.err.Error())
	}
	return l.w
}

func (l *lazily) wait(b *pdp.Budget) bool {
	t := time.NewTicker(waiting)
	defer t.Stop()
	for {
		select {
		case <-l.done:
			return true
		case <-t.C:
			if b.Stopped() {
				return false
			}
		}
	}
}

// compileWhole compiles sources with nothing of what a Loader keeps.
func compileWhole(o Options, sources func(*loader)) (*whole, error) {
	kept := newMemory()
	l := loader{cache: &kept, count: new(LoaderStats)}
	sources(&l)
	l.settle()
	o.Engine = EngineTopdown
	o.Entrypoint = ""
	w := l.world(&o, l.enabled())
	if w == nil || len(l.problems) > 0 {
		return nil, errors.Join(errWhole, l.problems.orNil())
	}
	out := &whole{ev: w.ev}
	opts := w.ev.nativeOptions()
	if e, _, err := native.Compile(opts); err == nil {
		out.native = e
	}
	return out, nil
}

// everything is the set in one, for s. Nothing costs more; so of the sets of a Loader one at a time is compiled, and none
// that nobody has any more when its turn comes: a set that was asked for and replaced while others compiled.
//
// Where the set before was asked for, this one will be: it is compiled before a request has to wait. What the shadow
// compares needs it as well.
func (l *loader) everything(o *Options, s *parts) *lazily {
	modules, structs, files, forced, fixed := l.modules, l.structs, l.files, l.forced, l.fixed
	opts := Options{AllowBuiltins: o.AllowBuiltins}
	minis, wanted := s.minis, weak.Make(s)
	again := minis.asked.Swap(false)
	all := newLazily(func() (*whole, error) {
		minis.large.Lock()
		defer minis.large.Unlock()
		if wanted.Value() == nil {
			return nil, errGone
		}
		minis.wholes.Add(1)
		return compileWhole(opts, func(l *loader) {
			l.forced, l.fixed, l.files = forced, fixed, files
			for _, f := range modules {
				l.rego(f.name, f.text)
			}
			l.structs = slices.Clone(structs)
		})
	})
	all.asked = func() {
		if !minis.asked.Load() { // most often it is, and is shared
			minis.asked.Store(true)
		}
	}
	if len(s.apart) > 0 && (again || o.ShadowRate > 0) {
		all.start()
	}
	return all
}

// value answers one document.
func (w *whole) value(path []string, topdown, strict bool, in *pdp.Doc, b *pdp.Budget, r *pdp.Result) {
	if topdown || w.native == nil {
		w.ev.Value(w.ev.Query(path), in, strict, b, r)
		return
	}
	w.native.Value(w.native.Query(path), in, strict, b, r)
}

// minis are the policies that lie apart and were needed by themselves, as wholes; the last few stay.
type minis struct {
	mu     sync.Mutex
	kept   []*piece
	large  sync.Mutex    // held by who compiles a set in one
	wholes atomic.Uint64 // sets that were
	asked  atomic.Bool   // somebody wanted the last set in one
}

// maxMinis bounds them.
const maxMinis = 256

// mini is a policy that lies apart as a whole of its own.
func (s *parts) mini(p *apartPolicy) *lazily {
	if l := p.piece.alone.Load(); l != nil {
		return l
	}
	s.minis.mu.Lock()
	defer s.minis.mu.Unlock()
	if l := p.piece.alone.Load(); l != nil {
		return l
	}
	one := p.piece
	l := newLazily(func() (*whole, error) {
		return compileWhole(Options{}, func(l *loader) { l.structs = append(l.structs, one) })
	})
	one.alone.Store(l)
	if s.minis.kept = append(s.minis.kept, one); len(s.minis.kept) > maxMinis {
		s.minis.kept[0].alone.Store(nil)
		s.minis.kept = slices.Delete(s.minis.kept, 0, 1)
	}
	return l
}

// forget lets go of all of them.
func (m *minis) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.kept {
		p.alone.Store(nil)
	}
	m.kept = nil
}
