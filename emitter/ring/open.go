package ring

import (
	"crypto/rand"
	"encoding/binary"
	"hash/crc32"
	"math/bits"
	"path/filepath"
	"unsafe"

	"thymus/pdp"
)

// Options say where a ring lives and how much it holds.
type Options struct {
	// Path is the folder of the file, which must exist; empty puts the ring on the heap.
	Path string
	// Name is the file's name in it: see FileName.
	Name string
	// Size is the capacity in bytes, MinSize to MaxSize, rounded up to a power of two. An eighth of it and a page come
	// on top for control words and header. A file of another size is opened as it is: see Recovery.Resized.
	Size uint64

	start uint64                     // tests: the first position of a new ring
	hook  func(step int, pos uint64) // tests: see step
}

// Recovery says what Open found and did. Counts are of records.
type Recovery struct {
	Path     string // of the file; empty on the heap
	Volatile bool   // the ring is on the heap and does not survive the process
	Tmpfs    bool   // the file's memory is never written back; elsewhere appends may stall on a busy disk
	Fresh    bool   // there was no ring, or none that could be used: Aside
	// Aside is where a file went that was no usable ring, and AsideReason why; empty where there was none. Nothing is
	// deleted.
	Aside, AsideReason string
	// BootChanged says that the system has been restarted since. The pages that were on disk then may be of different
	// moments, so the records were searched for, and believed by their checksums.
	BootChanged bool
	Truncated   bool // the file was shorter than its header says, and was lengthened
	// Wanted is the capacity that Options asked for. Where it is not the ring's, drain the ring, then Resize.
	Wanted uint64

	Committed int // found whole, and pending
	Abandoned int // claims that never were committed, whose callers never heard a yes; now padding
	Torn      int // committed, but their bytes are not what was written; now padding, and counted as shed
	// Recounted is by how many claims the count of Offered was out, and is no longer: those that were cut short.
	Recounted uint64
}

// Resized says that the file has another capacity than was asked for.
func (r *Recovery) Resized(ring *Ring) bool { return r.Wanted != ring.capacity }

// Open opens or makes the ring that o names, locks it against other processes, and puts in order what a kill left. The
// caller then moves the cursor to where the journal stands (SetCursor) and may start producers and consumer.
//
// Errors: *OptionError; *LockedError; *FileError for a file or folder that cannot be used or trusted; *SpaceError.
func Open(o Options) (*Ring, *Recovery, error) {
	if o.Size < MinSize || o.Size > MaxSize {
		return nil, nil, &OptionError{"size", "is " + size(o.Size) + ", must be " + size(MinSize) + " to " + size(MaxSize)}
	}
	if o.Path != "" && (o.Name == "" || o.Name != filepath.Base(o.Name)) {
		return nil, nil, &OptionError{"name", "must be a file name without a folder, is " + o.Name}
	}
	o.Size = 1 << bits.Len64(o.Size-1)
	if o.Path != "" && canMap {
		return openFile(o)
	}
	r, rec := &Ring{hook: o.hook}, &Recovery{Fresh: true, Volatile: true, Wanted: o.Size}
	r.attach(heapMemory(fileSize(o.Size)), o.Size)
	r.format(o)
	return r, rec, nil
}

// heapMemory is n bytes of zeros that begin on a cache line.
func heapMemory(n uint64) []byte {
	raw := make([]uint64, n/wordSize+unit/wordSize)
	skip := -uintptr(unsafe.Pointer(&raw[0])) % unit
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(&raw[0]), skip)), n)
}

// attach lays the ring over memory of fileSize(capacity) bytes.
func (r *Ring) attach(mem []byte, capacity uint64) {
	r.geometry, r.mem = geometryOf(capacity), mem
	base := unsafe.Pointer(&mem[0])
	r.head = (*header)(base)
	r.words = unsafe.Add(base, pageSize)
	r.data = unsafe.Add(base, pageSize+capacity/unit*wordSize)
	r.salt = r.head.salt
	for c := range r.limit {
		r.limit[c] = share(pdp.Class(c), capacity)
	}
	r.seen.Store(r.head.cursor.Load())
}

// format makes a new ring in memory that is all zeros, or that a kill left half made. The magic number comes last.
func (r *Ring) format(o Options) {
	h := r.head
	h.magic.Store(making)
	clear(r.mem[unsafe.Offsetof(h.version):])
	var random [12]byte
	rand.Read(random[:]) // never fails
	h.version, h.salt = version, binary.LittleEndian.Uint32(random[8:])
	h.epoch = binary.LittleEndian.Uint64(random[:]) | 1
	h.check = identity(h.version, h.salt, h.epoch)
	h.boot = bootID()
	h.tail.Store(o.start)
	h.cursor.Store(o.start)
	h.slots[0].position.Store(o.start)
	h.slots[1].position.Store(^o.start)
	h.resizing.Store(0)
	h.capacity.Store(r.capacity)
	h.magic.Store(magic)
	r.salt = h.salt
	r.seen.Store(o.start)
}

// identity is the checksum of what never changes in a file.
func identity(version, salt uint32, epoch uint64) uint32 {
	var b [16]byte
	binary.LittleEndian.PutUint32(b[0:], version)
	binary.LittleEndian.PutUint32(b[4:], salt)
	binary.LittleEndian.PutUint64(b[8:], epoch)
	return crc32.Checksum(b[:], castagnoli)
}

// Close unmaps the ring and lets go of its file, which stays, with what is pending. Producers and consumer must have
// stopped; an Append or Poll that comes later does nothing.
func (r *Ring) Close() error {
	if r.closed.Swap(true) {
		return nil
	}
	last := new(header) // counts can still be asked for
	copy(headerBytes(last), headerBytes(r.head))
	r.head = last
	return r.file.close(r.mem)
}

func headerBytes(h *header) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(h)), unsafe.Sizeof(*h))
}
