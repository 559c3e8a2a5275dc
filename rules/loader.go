package rules

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"

	"thymus/rules/native"
)

// Loader loads sets of policies one after the other, and compiles of each only what was not in the ones before: a
// structured policy that nothing refers to is compiled by itself, and everything else together, if any of it changed. It
// may be called from several goroutines at once, and loads one set at a time. It keeps the compiled parts of the last
// set and, of its texts, what that set itself holds.
type Loader struct {
	mu    sync.Mutex
	cache memory
	count LoaderStats
}

// LoaderStats counts what a Loader did.
type LoaderStats struct {
	Sets     uint64 // loaded
	Policies uint64 // structured policies that were read and compiled by themselves
	Modules  uint64 // Rego modules that were parsed
	Worlds   uint64 // compilations of all that cannot be compiled by itself
	Wholes   uint64 // compilations of a set in one, since something asked what no part of it can answer
}

// NewLoader makes a loader that knows nothing yet.
func NewLoader() *Loader { return &Loader{cache: newMemory()} }

// Load is Load, with what is known of the sets before.
func (ld *Loader) Load(ctx context.Context, o Options) (*Set, error) {
	ld.mu.Lock()
	defer ld.mu.Unlock()
	ld.cache.begin()
	l := loader{cache: &ld.cache, count: &ld.count}
	if err := l.read(ctx, &o); err != nil {
		return nil, err
	}
	set := l.compile(&o)
	if err := l.problems.orNil(); err != nil {
		return nil, err
	}
	set.Snapshot.Revision = l.revision(&o)
	set.warm()
	ld.cache.end(l.inOrder)
	ld.count.Sets++
	return set, nil
}

// Stats may be called at any time.
func (ld *Loader) Stats() LoaderStats {
	ld.mu.Lock()
	defer ld.mu.Unlock()
	ld.count.Wholes = ld.cache.minis.wholes.Load()
	return ld.count
}

// memory is what a Loader keeps. Policies, modules and data are found by their origin and used if their text is the same.
type memory struct {
	turn    uint64
	tables  *native.Tables
	fresh   int // size of the tables when they were new
	pieces  map[string]*piece
	read    []*piece // of the last set that was loaded, in the order in which they were read
	at      int      // in read: the one that comes next as a rule
	modules map[string]*parsed
	data    map[string]*dataFile
	tree    *dataTree
	treeOf  []*dataFile
	reach   *reach
	reachOf []*parsed
	world   *world
	minis   *minis
	digests sorter
	looks   map[string]*looks
}

// minTables is the size below which tables are not worth replacing.
const minTables = 1 << 16

func newMemory() memory {
	bound() // before anything takes a builtin from OPA's table
	return memory{tables: native.NewTables(), pieces: map[string]*piece{}, modules: map[string]*parsed{}, data: map[string]*dataFile{},
		minis: &minis{}, looks: map[string]*looks{}}
}

// begin starts a load. Tables that hold mostly what is gone are given up, with all that was compiled with them: once, not
// again by each of the loads that fail after it.
func (c *memory) begin() {
	c.turn++
	c.at = 0
	n := c.tables.Size()
	switch {
	case n <= minTables:
	case c.fresh == 0: // nothing that was compiled with them was loaded so far
		c.fresh = n
	case n > 4*c.fresh:
		turn, minis := c.turn, c.minis
		*c = newMemory()
		c.turn, c.minis = turn, minis
		minis.forget()
	}
}

// piece is the policy that was read from origin before. Policies are nearly always read in the same order, and then found
// without a search.
func (c *memory) piece(origin string) *piece {
	for i := c.at; i < min(c.at+2, len(c.read)); i++ {
		if c.read[i].origin == origin {
			c.at = i + 1
			return c.read[i]
		}
	}
	return c.pieces[origin]
}

// end forgets what the set that was loaded does not use. read are its structured policies as they were read.
func (c *memory) end(read []*piece) {
	c.read = read
	if len(c.pieces) > len(read) {
		for k, p := range c.pieces {
			if p.turn != c.turn {
				delete(c.pieces, k)
			}
		}
	}
	for k, m := range c.modules {
		if m.turn != c.turn {
			delete(c.modules, k)
		}
	}
	for k, d := range c.data {
		if d.turn != c.turn {
			delete(c.data, k)
		}
	}
	if len(c.looks) > 2*len(read)+64 {
		maps.DeleteFunc(c.looks, func(_ string, l *looks) bool { return l.turn != c.turn })
	}
	if c.fresh == 0 {
		c.fresh = c.tables.Size()
	}
}

// kept is what memory has in common for everything that is read.
type kept struct {
	turn   uint64
	text   []byte
	digest string // hex SHA-256 of the text
	line   string // what a revision is made of: what it is, and its digest
}

func (k *kept) is(text []byte, turn uint64) bool {
	if !bytes.Equal(k.text, text) {
		return false
	}
	k.turn = turn
	return true
}

func newKept(text []byte, turn uint64) kept {
	sum := sha256.Sum256(text)
	return kept{turn: turn, text: text, digest: hex.EncodeToString(sum[:])}
}

// parsed is a Rego module, which nothing changes.
type parsed struct {
	kept
	name   string
	module *ast.Module
	refs   []ast.Ref // into data, as far as they are ground, in the order of the source
}

// dataFile is a document of base data.
type dataFile struct {
	kept
	name string
	dir  []string
	kind string
	doc  *node
}
