package cli

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"thymus/emitter"
	"thymus/emitter/journal"
	"thymus/emitter/kafka"
	"thymus/emitter/ring"
	"thymus/emitter/sink"
	"thymus/internal/config"
)

// Names in the state directory that are the recording's.
const (
	rowsDir        = "revisions"
	maskKeyFile    = "mask.key"
	unreadableFile = "unreadable.ndjson"
)

// openRecording opens ring, journal and sinks, and brings them together as an earlier life left them.
func openRecording(s *sidecar) (recording, error) {
	e := &events{log: s.log}
	if err := e.open(s.cfg, s.instance); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

func (e *events) open(cfg *config.Config, instance string) error {
	mask, err := openMask(cfg)
	if err != nil {
		return err
	}
	var broken []error
	if e.rows, broken, err = emitter.OpenRevisions(filepath.Join(cfg.Dir, rowsDir)); err != nil {
		return key("dir", err)
	}
	for _, err := range broken {
		e.log.Error().Err(err).Msg("rule rows of an earlier life cannot be read; events of decisions by them will say so")
	}
	found, err := e.openRing(cfg)
	if err != nil {
		return err
	}
	if err := e.openJournal(cfg); err != nil {
		return err
	}
	rec, err := emitter.Recover(e.ring, e.journal)
	if err != nil {
		return key("events.journal.path", err)
	}
	if rec.Lost != "" {
		e.log.Error().Str("why", rec.Lost).Msg("the journal lost its end, and the ring cannot give its records again")
	}
	if found.Committed > 0 || rec.Moved > 0 {
		e.log.Info().Int("records", found.Committed).Int64("journaled_bytes", rec.Moved).Int("abandoned", found.Abandoned).
			Msg("records of an earlier life taken up")
	}
	e.aside = &asideFile{path: filepath.Join(cfg.Dir, unreadableFile)}
	e.pump = emitter.NewPump(emitter.PumpOptions{Ring: e.ring, Journal: e.journal, Instance: instance, Rows: e.rows, Mask: mask, Detector: &e.watchers,
		Unreadable: e.unreadable, Trouble: e.trouble})
	if found.Resized(e.ring) {
		if err := e.resize(found.Wanted); err != nil {
			return err
		}
	}
	e.Recorder = emitter.NewRecorder(e.ring)
	return e.openKafka(cfg, instance)
}

func openMask(cfg *config.Config) (*emitter.Mask, error) {
	var paths []string
	for _, m := range cfg.Events.Mask {
		p := m.Path
		if m.Hash {
			p += "=hash"
		}
		paths = append(paths, p)
	}
	if len(paths) == 0 {
		return nil, nil
	}
	k, err := emitter.MaskKey(filepath.Join(cfg.Dir, maskKeyFile))
	if err != nil {
		return nil, key("dir", err)
	}
	mask, err := emitter.NewMask(paths, k)
	return mask, key("events.mask", err)
}

func (e *events) openRing(cfg *config.Config) (*ring.Recovery, error) {
	path := cfg.Events.Ring.Path
	if path == "" {
		path, _ = ring.DefaultPath(cfg.Dir)
	}
	name, err := ring.FileName(cfg.Dir)
	if err != nil {
		return nil, key("dir", err)
	}
	r, found, err := ring.Open(ring.Options{Path: path, Name: name, Size: uint64(cfg.Events.Ring.Size)})
	if err != nil {
		return nil, key("events.ring.path", err)
	}
	e.ring = r
	switch {
	case found.Volatile:
		e.log.Warn().Msg("the event ring is in this process's memory: records that are not journaled end with it")
	case !found.Tmpfs:
		e.log.Warn().Str("path", found.Path).Msg("the event ring is not on a tmpfs: appends may stall while the disk writes")
	}
	if found.Aside != "" {
		e.log.Warn().Str("file", found.Aside).Str("why", found.AsideReason).Msg("what lay in the ring's place was put aside")
	}
	if found.Torn > 0 {
		e.log.Error().Int("records", found.Torn).Msg("records in the ring are damaged; they count as shed")
	}
	return found, nil
}

// resize gives the ring the size it is configured to have now, once what it holds is journaled.
func (e *events) resize(size uint64) error {
	if err := e.pump.Drain(); err != nil {
		return key("events.ring.size", fmt.Errorf("the ring cannot be emptied to be resized: %w", err))
	}
	if err := e.ring.Resize(size); err != nil {
		return key("events.ring.size", err)
	}
	e.log.Info().Uint64("bytes", size).Msg("event ring resized")
	return nil
}

func (e *events) openJournal(cfg *config.Config) error {
	c := &cfg.Events.Journal
	o := journal.Options{Dir: c.Path, SegmentSize: int64(c.SegmentSize), RetainSize: int64(c.RetainSize), RetainAge: c.RetainAge,
		Strict: cfg.Events.Strict}
	if o.Dir == "" {
		o.Dir = filepath.Join(cfg.Dir, "journal")
	}
	switch c.Fsync {
	case config.FsyncAlways:
		o.Fsync = journal.FsyncAlways
	case config.FsyncNever:
		o.Fsync = journal.FsyncNever
	default:
		o.Fsync = journal.Fsync(c.Fsync)
	}
	if len(cfg.Events.Kafka.Brokers) > 0 {
		o.Sinks = []string{"kafka"} // so that retention waits for it from the start
	}
	sign, err := readSignKey(filepath.Join(cfg.Dir, signKeyFile))
	if err != nil {
		return key("dir", err)
	}
	o.SignKey = sign
	j, repair, err := journal.Open(o)
	if err != nil {
		return key("events.journal.path", err)
	}
	e.journal = j
	e.repaired(repair)
	return nil
}

func (e *events) openKafka(cfg *config.Config, instance string) error {
	c := &cfg.Events.Kafka
	if len(c.Brokers) == 0 {
		return nil
	}
	k, err := newKafka(c, instance)
	if err != nil {
		return key("events.kafka", err)
	}
	e.closers = append(e.closers, k.Close)
	log := e.log.With().Str("sink", k.Name()).Logger()
	s, err := sink.NewShipper(e.journal, k, sink.Options{Linger: c.Linger, Refused: filepath.Join(cfg.Dir, "refused-"+k.Name()+".ndjson"),
		Trouble: func(err error) {
			if err != nil {
				log.Error().Err(err).Msg("events are not delivered; they wait in the journal")
				return
			}
			log.Info().Msg("events are delivered again")
		}})
	if err != nil {
		return key("events.journal.path", err)
	}
	e.shippers = append(e.shippers, s)
	return nil
}

func newKafka(c *config.Kafka, instance string) (*kafka.Sink, error) {
	return kafka.New(kafka.Options{
		Brokers: c.Brokers, Topic: c.Topic, Instance: instance, Acks: c.Acks, Compression: c.Compression,
		TLS: kafka.TLS{Enabled: c.TLS.Enabled, CA: c.TLS.CA, Cert: c.TLS.Cert, Key: c.TLS.Key, ServerName: c.TLS.Name},
		SASL: kafka.SASL{Mechanism: c.SASL.Mechanism, Username: c.SASL.Username, Password: c.SASL.Password,
			PasswordFile: c.SASL.PasswordFile},
	})
}

// repaired says what the journal's start found to mend.
func (e *events) repaired(r *journal.Repair) {
	switch {
	case r.Fresh, r.Clean():
		return
	case r.Lost > 0 || len(r.Damage) > 0:
		e.log.Error().Str("repair", r.String()).Msg("the journal was damaged")
	default:
		e.log.Warn().Str("repair", r.String()).Msg("the journal was repaired")
	}
	for i := range r.Damage[:min(len(r.Damage), maxLogged)] {
		e.log.Error().Str("damage", r.Damage[i].String()).Msg("damage in the journal")
	}
}

// trouble is the pump's.
func (e *events) trouble(err error) {
	if err != nil {
		e.log.Error().Err(err).Msg("the journal takes nothing; records wait in the ring")
		return
	}
	e.log.Info().Msg("the journal takes records again")
}

// unreadable keeps a record that cannot be made an event, so that even that is not lost.
func (e *events) unreadable(pos uint64, record []byte, err error) {
	line := fmt.Appendf(nil, `{"position":%d,"error":%q,"record":"%s"}`+"\n", pos, err.Error(), hex.EncodeToString(record))
	e.log.Error().Err(err).AnErr("aside", e.aside.add(line)).Str("file", e.aside.path).Msg("a record is not readable and was put aside")
}

// asideFile is a file that lines are added to, made with the first.
type asideFile struct {
	path string
	mu   sync.Mutex
	f    *os.File
}

func (a *asideFile) add(line []byte) (err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.f == nil {
		if a.f, err = os.OpenFile(a.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
			return err
		}
	}
	_, err = a.f.Write(line)
	return err
}

func (a *asideFile) close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.f == nil {
		return nil
	}
	return a.f.Close()
}
