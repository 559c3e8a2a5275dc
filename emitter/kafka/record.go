package kafka

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
	"time"

	"thymus/emitter/sink"
)

const contentType = "application/json"

// A batch of records as Kafka has it on the wire and on disk (message format 2), big endian:
//
//	 0  i64  base offset, 0: the broker's to set
//	 8  i32  length of all that follows
//	12  i32  partition leader epoch, -1
//	16  i8   magic, 2
//	17  u32  CRC-32C of all that follows
//	21  i16  attributes: bits 0 to 2 are the codec
//	23  i32  offset of the last record, which is their number less one
//	27  i64  timestamp of the first, Unix milliseconds
//	35  i64  largest timestamp
//	43  i64  producer id, -1
//	51  i16  producer epoch, -1
//	53  i32  base sequence, -1
//	57  i32  number of records
//	61       records, compressed as one
//
// A record; v is a zigzag varint, and a length of -1 stands for null:
//
//	v   length of what follows
//	i8  attributes, 0
//	v   timestamp less the first
//	v   offset
//	v   length of the key; the key
//	v   length of the value; the value
//	v   number of headers; for each the length of its name, the name, the length of its value, the value
//
// In a request the batch's length stands before it once more, as an i32.
const (
	batchLead    = 4 // the length before the batch
	batchCounted = 12
	batchSummed  = 21
	batchFixed   = 61
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// The headers of an event: CloudEvents 1.0, Kafka protocol binding, binary content mode. What stands between the values
// that differ is the same for every event.
var (
	headersBegin = []byte("\x0c" + "\x1cce_specversion\x061.0" + "\x0ace_id")
	headerType   = []byte("\x0ece_type")
	headerSource = []byte("\x12ce_source")
	headerTime   = []byte("\x0ece_time\x36")
	headersEnd   = []byte("\x18content-type\x20" + contentType)
)

const timeLayout = "2006-01-02T15:04:05.000000Z"

// encoder writes batches, one after another in the same memory. It belongs to one goroutine at a time.
type encoder struct {
	prefix  string // of ce_source
	records []byte // not compressed
	out     []byte // the request's part: length and batch

	// The text of a second, which many events in a row share.
	second int64
	text   [len(timeLayout)]byte
}

// batch is the record set of messages, ready for a request; it is the encoder's memory until the next call. compress
// appends what it makes of the records, nil leaves them as they are.
func (e *encoder) batch(msgs []sink.Message, codec int8, compress func(dst, src []byte) ([]byte, error)) ([]byte, error) {
	e.out = append(e.out[:0], make([]byte, batchLead+batchFixed)...)
	to := &e.records
	if compress == nil {
		to = &e.out
	} else {
		e.records = e.records[:0]
	}
	first, largest := int64(0), int64(0)
	for i := range msgs {
		ns, ok := msgs[i].Head.Nanoseconds()
		at := ns / 1e6
		if !ok {
			at = time.Now().UnixMilli()
		}
		if i == 0 {
			first = at
		}
		largest = max(largest, at)
		*to = e.record(*to, &msgs[i], at-first, int64(i), ns, ok)
	}
	if compress != nil {
		var err error
		if e.out, err = compress(e.out, e.records); err != nil {
			return nil, err
		}
	}
	be, b := binary.BigEndian, e.out[batchLead:]
	be.PutUint32(e.out, uint32(len(b)))
	be.PutUint32(b[8:], uint32(len(b)-batchCounted))
	be.PutUint32(b[12:], ^uint32(0))
	b[16] = 2
	be.PutUint16(b[21:], uint16(codec))
	be.PutUint32(b[23:], uint32(len(msgs)-1))
	be.PutUint64(b[27:], uint64(first))
	be.PutUint64(b[35:], uint64(largest))
	be.PutUint64(b[43:], ^uint64(0))
	be.PutUint16(b[51:], ^uint16(0))
	be.PutUint32(b[53:], ^uint32(0))
	be.PutUint32(b[57:], uint32(len(msgs)))
	be.PutUint32(b[17:], crc32.Checksum(b[batchSummed:], castagnoli))
	return e.out, nil
}

// record appends a record. ns is the event's time where ok.
func (e *encoder) record(dst []byte, m *sink.Message, delta, offset, ns int64, ok bool) []byte {
	source := len(e.prefix) + len(m.Head.Source)
	size := 1 + varintSize(delta) + varintSize(offset) +
		varintSize(int64(len(m.Head.Key))) + len(m.Head.Key) + varintSize(int64(len(m.Value))) + len(m.Value) +
		len(headersBegin) + nullableSize(m.Head.ID) + len(headerType) + nullableSize(m.Head.Type) +
		len(headerSource) + varintSize(int64(source)) + source + len(headerTime) + len(timeLayout) + len(headersEnd)
	dst = binary.AppendVarint(dst, int64(size))
	dst = append(dst, 0)
	dst = binary.AppendVarint(dst, delta)
	dst = binary.AppendVarint(dst, offset)
	dst = binary.AppendVarint(dst, int64(len(m.Head.Key)))
	dst = append(dst, m.Head.Key...)
	dst = binary.AppendVarint(dst, int64(len(m.Value)))
	dst = append(dst, m.Value...)
	dst = append(dst, headersBegin...)
	dst = appendNullable(dst, m.Head.ID)
	dst = append(dst, headerType...)
	dst = appendNullable(dst, m.Head.Type)
	dst = append(dst, headerSource...)
	dst = binary.AppendVarint(dst, int64(source))
	dst = append(dst, e.prefix...)
	dst = append(dst, m.Head.Source...)
	dst = append(dst, headerTime...)
	dst = e.time(dst, ns, ok)
	return append(dst, headersEnd...)
}

// time appends a moment in timeLayout; the zero time where there is none.
func (e *encoder) time(dst []byte, ns int64, ok bool) []byte {
	if !ok {
		return time.Time{}.AppendFormat(dst, timeLayout)
	}
	if sec := ns / 1e9; sec != e.second || e.text[0] == 0 {
		var long [2 * len(timeLayout)]byte // formatting needs more room than its result
		e.second = sec
		copy(e.text[:], time.Unix(sec, 0).UTC().AppendFormat(long[:0], timeLayout))
	}
	us := uint32(ns % 1e9 / 1e3)
	for i := len(timeLayout) - 2; i > len(timeLayout)-8; i-- {
		e.text[i] = byte('0' + us%10)
		us /= 10
	}
	return append(dst, e.text[:]...)
}

// appendNullable appends a length and bytes, for nil the length that stands for null.
func appendNullable(dst, b []byte) []byte {
	if b == nil {
		return binary.AppendVarint(dst, -1)
	}
	return append(binary.AppendVarint(dst, int64(len(b))), b...)
}

func nullableSize(b []byte) int {
	if b == nil {
		return 1
	}
	return varintSize(int64(len(b))) + len(b)
}

// varintSize is how long binary.AppendVarint makes n.
func varintSize(n int64) int {
	return (bits.Len64(uint64(n<<1)^uint64(n>>63)|1) + 6) / 7
}
