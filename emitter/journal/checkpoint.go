package journal

import (
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Checkpoint is the chain's head at a moment. Signed, it proves what the journal held then; kept elsewhere (a topic of
// Kafka), it proves that nobody who owns the disk has rewritten or cut what came before.
type Checkpoint struct {
	Segment   uint64 `json:"segment"`             // number that names the segment
	Records   int64  `json:"records"`             // side records of that segment that the head covers
	Next      uint64 `json:"next"`                // number of the first event that it does not cover
	Final     bool   `json:"final"`               // the segment has ended, and there is one that begins with Next
	Time      int64  `json:"time"`                // when, Unix nanoseconds
	Head      string `json:"head"`                // hexadecimal
	Key       string `json:"key,omitempty"`       // Ed25519 public key, hexadecimal
	Signature string `json:"signature,omitempty"` // over message, hexadecimal
}

// message is what is signed: a name of 32 bytes, then segment, records, next, final and time as 8 bytes each in little
// endian, then the head.
func (c *Checkpoint) message() ([]byte, error) {
	head, err := hex.DecodeString(c.Head)
	if err != nil || len(head) != 32 {
		return nil, fmt.Errorf("checkpoint: head: expected 64 hexadecimal digits")
	}
	b := make([]byte, 0, 32+5*8+32)
	b = append(b, "thymus journal checkpoint v1\x00\x00\x00\x00"...)
	final := uint64(0)
	if c.Final {
		final = 1
	}
	for _, v := range [...]uint64{c.Segment, uint64(c.Records), c.Next, final, uint64(c.Time)} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return append(b, head...), nil
}

func (c *Checkpoint) sign(key ed25519.PrivateKey) error {
	msg, err := c.message()
	if err != nil {
		return err
	}
	c.Key = hex.EncodeToString(key.Public().(ed25519.PublicKey))
	c.Signature = hex.EncodeToString(ed25519.Sign(key, msg))
	return nil
}

// Check says whether the checkpoint was signed with the key that belongs to pub.
func (c *Checkpoint) Check(pub ed25519.PublicKey) error {
	msg, err := c.message()
	if err != nil {
		return err
	}
	sig, err := hex.DecodeString(c.Signature)
	if err != nil || len(sig) != ed25519.SignatureSize || len(pub) != ed25519.PublicKeySize || !ed25519.Verify(pub, msg, sig) {
		return fmt.Errorf("checkpoint: signature does not verify")
	}
	return nil
}

// checkpointed is what the writer has signed and has yet to sign.
type checkpointed struct {
	finals  []Checkpoint // ended segments; guarded by Journal.mu
	segment uint64       // the last one written, by the syncer
	records int64
}

// Checkpoint is the head as of now, signed if there is a key.
func (j *Journal) Checkpoint() (Checkpoint, error) {
	j.mu.Lock()
	c := Checkpoint{
		Segment: j.publSeg, Records: j.publIdx, Next: j.published.Next(),
		Head: hex.EncodeToString(j.published.Head[:]), Time: j.o.Now().UnixNano(),
	}
	j.mu.Unlock()
	if j.o.SignKey == nil {
		return c, nil
	}
	return c, c.sign(j.o.SignKey)
}

// ends notes that a segment has ended; the caller holds mu.
func (j *Journal) ends(first uint64, records int64, s *Side) {
	if j.o.SignKey != nil {
		j.signed.finals = append(j.signed.finals, Checkpoint{
			Segment: first, Records: records, Next: s.Next(), Final: true, Head: hex.EncodeToString(s.Head[:]),
		})
	}
}

// checkpoint writes what is to be signed: ended segments first. It belongs to the syncer, and to Close after it.
func (j *Journal) checkpoint() error {
	if j.o.SignKey == nil {
		return nil
	}
	for {
		j.mu.Lock()
		if len(j.signed.finals) == 0 {
			j.mu.Unlock()
			break
		}
		c := j.signed.finals[0]
		gone := c.Segment < j.oldest()
		j.mu.Unlock()
		if !gone {
			c.Time = j.o.Now().UnixNano()
			if err := c.sign(j.o.SignKey); err != nil {
				return err
			}
			if err := j.writeCheckpoint(&c); err != nil {
				return err
			}
		}
		j.mu.Lock()
		j.signed.finals = j.signed.finals[1:]
		j.mu.Unlock()
	}
	c, err := j.Checkpoint()
	if err != nil || c.Segment == j.signed.segment && c.Records == j.signed.records {
		return err
	}
	if err := j.writeCheckpoint(&c); err != nil {
		return err
	}
	j.signed.segment, j.signed.records = c.Segment, c.Records
	return nil
}

func (j *Journal) writeCheckpoint(c *Checkpoint) error {
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return replace(fileName(j.o.Dir, c.Segment, extSign), append(b, '\n'), j.o.Fsync != FsyncNever)
}
