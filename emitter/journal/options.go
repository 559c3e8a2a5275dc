package journal

import (
	"crypto/ed25519"
	"fmt"
	"os"
	"time"

	"thymus/pdp"
)

// Fsync is how often what was appended is forced to the disk. It matters only when the kernel or the power fails: what
// Append wrote survives the end of the process in any case.
type Fsync time.Duration

// The settings that are no interval.
const (
	FsyncAlways Fsync = -1 // Append returns once the batch is on the disk
	FsyncNever  Fsync = -2 // the kernel writes when it likes
)

// ParseFsync reads "always", "never" or an interval such as "1s".
func ParseFsync(s string) (Fsync, error) {
	switch s {
	case "always":
		return FsyncAlways, nil
	case "never":
		return FsyncNever, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < time.Millisecond {
		return 0, fmt.Errorf("fsync: expected \"always\", \"never\" or an interval of at least 1ms, got %q", s)
	}
	return Fsync(d), nil
}

// String is what ParseFsync reads.
func (f Fsync) String() string {
	switch f {
	case FsyncAlways:
		return "always"
	case FsyncNever:
		return "never"
	}
	return time.Duration(f).String()
}

// Options of a journal. The zero value of every field but Dir is its default.
type Options struct {
	Dir         string        // made 0700 if it is not there
	SegmentSize int64         // bytes of lines after which a segment ends, default 64 MiB; at most a quarter of RetainSize
	RetainSize  int64         // bytes that segments and side files may take, default a quarter of what the disk has free at Open and the journal holds
	RetainAge   time.Duration // delivered segments go when their last event is older; 0 keeps them until the size limit
	Fsync       Fsync         // default 1 s
	Strict      bool          // nothing undelivered expires: Append fails with ErrFull instead
	Sinks       []string      // whose delivery is waited for; without any, everything counts as delivered
	SignKey     ed25519.PrivateKey
	Now         func() time.Time // for RetainAge, default time.Now
	// WriteAt writes lines and side records; tests put failing disks here. Default (*os.File).WriteAt.
	WriteAt func(f *os.File, p []byte, off int64) (int, error)

	noDigest   bool // benchmarks show what the chain costs
	sideFirst  bool // planted mutation: the side record before its lines
	noWithdraw bool // planted mutation: recovery leaves what lies behind the last side record, and writes behind it
	noCheck    bool // planted mutation: recovery takes a side record without looking whether its lines are there
}

const (
	// MaxBatch is the largest batch, in bytes of lines.
	MaxBatch = 64 << 20

	defaultSegment = 64 << 20
	minSegment     = 4 << 10
	defaultFsync   = Fsync(time.Second)
)

func (o *Options) fill() error {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.WriteAt == nil {
		o.WriteAt = (*os.File).WriteAt
	}
	if o.Fsync == 0 {
		o.Fsync = defaultFsync
	}
	if o.RetainSize == 0 {
		free, err := freeSpace(o.Dir)
		if err != nil {
			return err
		}
		o.RetainSize = max((free+ownSize(o.Dir))/4, 4*minSegment)
	}
	if o.SegmentSize == 0 {
		o.SegmentSize = defaultSegment
	}
	switch {
	case o.SegmentSize < 0, o.RetainSize < 0, o.RetainAge < 0:
		return &ForeignError{o.Dir, "segment size, retained size and age must not be negative"}
	case o.SignKey != nil && len(o.SignKey) != ed25519.PrivateKeySize:
		return &ForeignError{o.Dir, fmt.Sprintf("signing key: expected %d bytes, got %d", ed25519.PrivateKeySize, len(o.SignKey))}
	}
	o.SegmentSize = max(min(o.SegmentSize, o.RetainSize/4), minSegment)
	return nil
}

// ownSize is what a journal that is there already takes: to itself that is free, or each start would leave it less.
func ownSize(dir string) (n int64) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0 // Open will say so
	}
	for _, e := range entries {
		if st, err := e.Info(); err == nil && st.Mode().IsRegular() {
			n += st.Size()
		}
	}
	return n
}

// Batch is what one Append makes part of the journal, whole or not at all.
type Batch struct {
	Lines              []byte              // complete lines, each ended by \n; lent for the call
	Events             int                 // how many
	First, Last        int64               // times of the first and the last event, Unix nanoseconds
	RingEpoch, RingEnd uint64              // where the ring stands once this batch is journaled
	Counts             [pdp.Classes]uint64 // records consumed for this batch, by class; added to Side.Pumped
	Marks              [Marks]uint64       // the writer's own totals as of this batch; kept as they are, see Side.Marks
}
