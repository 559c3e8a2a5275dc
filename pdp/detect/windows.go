package detect

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// What is going on just now, in bytes, little endian: for a start that cannot look at the journal's end again, because
// names are masked there. It goes with the state of AppendState. Of what calls hold it has hashes under the seed, apart
// from the revision and the subjects of incidents: type and id are there as they are, since a finding that is taken back
// or released later must name its subject though that one never calls again. So who keeps these bytes seals them.
//
//	 0  8    "thymwin2"
//	 8  u64  hash of the magic under the seed
//	16  u64  hash of what the configuration makes of windows: another one's mean nothing
//	24  u32  length of the revision, r
//	28  u32  number of suspects, n
//	32  u32  number of incidents, m
//	36  u32  number of subjects with a role, k
//	40  r    revision
//	    n times:
//	       16  key
//	       denials, paths: each i64 number of the newest bucket, 32 u16
//	       u16 number of items, for each: u16 place, i64 time, u64 hash
//	    m times:
//	       16  key; u64 hash of the subject
//	       i64 start, last, told; u64 count, told count
//	       u8  detector, rank, told rank, 1: open | 2: held | 4: candidate
//	       u16 length of the type; type; u16 length of the id; id
//	    k times:
//	       16  key; u64 hash of the last role; i64 when
//	    u32  CRC-32C of all before it
const windowsMagic = "thymwin2"

const windowsFixed = 40 // bytes before the revision

// shape is what the configuration makes of windows.
func (d *Watcher) shape() uint64 {
	return d.sip.sum64(fmt.Sprint(d.windows, d.probes, d.roles, d.quiet, d.c.Probing, d.c.Denials, d.c.RoleChange, d.c.PathConfusion, d.c.SlowProbing))
}

// AppendWindows appends what is going on: who has something against it, and open incidents. On the goroutine of Observe.
func (d *Watcher) AppendWindows(dst []byte) []byte {
	le, start := binary.LittleEndian, len(dst)
	rev := d.revision
	if len(rev) > maxName {
		rev = ""
	}
	dst = append(dst, windowsMagic...)
	dst = le.AppendUint64(dst, d.sip.sum64(windowsMagic))
	dst = le.AppendUint64(dst, d.shape())
	dst = le.AppendUint32(dst, uint32(len(rev)))
	counts := len(dst)
	dst = append(le.AppendUint32(le.AppendUint64(dst, 0), 0), rev...)
	var suspects, incidents, roles uint32
	for i, t := range d.suspectIndex.tags {
		if s := &d.suspects[i]; t != 0 && s.gen == d.gen {
			suspects++
			dst = appendKey(dst, d.suspectIndex.keys[i])
			dst = s.paths.append(s.denials.append(dst))
			dst = appendItems(dst, d.items[i*d.perSuspect():(i+1)*d.perSuspect()])
		}
	}
	for i, t := range d.incidentIndex.tags {
		if t == 0 || d.now-d.incidents[i].last > d.quiet {
			continue
		}
		incidents++
		dst = d.incidents[i].append(appendKey(dst, d.incidentIndex.keys[i]))
	}
	if d.c.RoleChange.Enabled {
		oldest := max(d.activated, d.now-us(d.c.RoleChange.Window))
		for i, t := range d.index.tags {
			if s := &d.subjects[i]; t != 0 && s.role != 0 && s.roleAt >= oldest {
				roles++
				dst = le.AppendUint64(le.AppendUint64(appendKey(dst, d.index.keys[i]), s.role), uint64(s.roleAt))
			}
		}
	}
	le.PutUint32(dst[counts:], suspects)
	le.PutUint32(dst[counts+4:], incidents)
	le.PutUint32(dst[counts+8:], roles)
	return le.AppendUint32(dst, crc32.Checksum(dst[start:], crc32.MakeTable(crc32.Castagnoli)))
}

func appendKey(dst []byte, k key) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(dst, k.a), k.b)
}

func (c *counter) append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(c.at))
	for _, n := range c.n {
		dst = binary.LittleEndian.AppendUint16(dst, n)
	}
	return dst
}

func appendItems(dst []byte, items []item) []byte {
	le, count, n := binary.LittleEndian, len(dst), uint16(0)
	dst = append(dst, 0, 0)
	for i, x := range items {
		if x.at != 0 {
			n++
			dst = le.AppendUint64(le.AppendUint64(le.AppendUint16(dst, uint16(i)), uint64(x.at)), x.hash)
		}
	}
	le.PutUint16(dst[count:], n)
	return dst
}

func (in *incident) append(dst []byte) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint64(dst, in.hash)
	for _, x := range [...]int64{in.start, in.last, in.told, int64(in.count), int64(in.toldCount)} {
		dst = le.AppendUint64(dst, uint64(x))
	}
	flags := byte(0)
	for i, on := range [...]bool{in.open, in.held, in.candidate} {
		if on {
			flags |= 1 << i
		}
	}
	dst = append(dst, byte(in.det), in.rank, in.toldRank, flags)
	for _, s := range [...]string{in.typ, in.id} {
		s = s[:min(len(s), maxName)]
		dst = append(le.AppendUint16(dst, uint16(len(s))), s...)
	}
	return dst
}
