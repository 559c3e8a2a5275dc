package cli

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"thymus/emitter"
	"thymus/pdp"
	"thymus/pdp/admin"
	"thymus/pdp/detect"
	"thymus/pdp/immune"
	"thymus/pdp/threat"
)

const (
	detectKeyFile = "detect.key" // hashes of names in the detectors' memory
	lookEvery     = 100 * time.Millisecond
	gaugeEvery    = time.Second
	keepEvery     = 5 * time.Minute // what detectors learnt of subjects
)

// immunity closes the loop: records go from the pump through the detectors to the responder, whose quarantine the next
// decision reads.
type immunity struct {
	s                     *sidecar
	seeing                sync.Mutex // guards the watcher, seen and flags, which the pump, the gauge and a stop share
	watcher               *detect.Watcher
	tell                  func(*detect.Finding) // found, bound once: a method value made for each record would be an allocation for each
	responder             *immune.Responder
	healer                *immune.Healer // nil: switched off
	brown                 *immune.BrownOut
	healing               healing
	revisions             atomic.Pointer[map[uint32]string] // of this life's snapshots, by number
	shedding              atomic.Bool                       // records of plain allows are left out
	blind                 bool                              // the journal does not say who did what: see blinded
	seen                  *seen                             // where the journal does not; else nil
	flags                 *seen                             // what the journal does not say of some decisions; nil where seen is not
	waiting               pending                           // what was kept last
	sealer, pendingSealer sealer
	told                  atomic.Bool // nothing was found since the responder was last seen idle

	cancel context.CancelFunc
	done   sync.WaitGroup
}

// storeWithin is what findings get at the end to be stored.
const storeWithin = time.Second

// keptRevisions bounds the numbers that are remembered: records are seconds old.
const keptRevisions = 1024

// openImmunity makes everything, and starts nothing.
func (s *sidecar) openImmunity() error {
	secret, err := emitter.MaskKey(filepath.Join(s.cfg.Dir, detectKeyFile))
	if err != nil {
		return key("dir", err)
	}
	m := &immunity{s: s, blind: blinded(s.cfg.Events.Mask)}
	m.tell = m.found
	m.revisions.Store(&map[uint32]string{})
	m.told.Store(true)
	if m.sealer, err = newSealer(secret, "thymus "+windowsFile); err == nil {
		m.pendingSealer, err = newSealer(secret, "thymus "+pendingFile)
	}
	if err != nil {
		return key("dir", err)
	}
	if m.blind {
		m.seen = &seen{dir: s.cfg.Dir, prefix: seenPrefix, secret: secret, log: s.log}
	} else {
		m.flags = &seen{dir: s.cfg.Dir, prefix: flagPrefix, secret: secret, log: s.log}
	}
	sum := sha256.Sum256(secret)
	o := detect.Options{Config: detectConfig(&s.cfg.Detect), Revision: m.revision}
	copy(o.Seed[:], sum[:])
	if m.watcher, err = detect.New(o); err != nil {
		return key("detect", err)
	}
	c := &s.cfg.Immune
	if c.Healing.Enabled {
		m.healing.p = s.policies
		m.healer = immune.NewHealer(immune.HealOptions{Window: c.Healing.Window, Errors: c.Healing.Errors,
			Percent: float64(c.Healing.Percent), Back: m.healing.back})
	}
	m.responder = immune.NewResponder(immune.Options{
		Log: s.stored.immune, Quarantine: s.stored.quarantine, Threats: raiser{s.stored.threats, s.cfg.Detect.Quiet}, Protect: c.Protect,
		ProtectAt: threat.Severity(c.ProtectAt).Rank(), Exempt: c.Exempt, Limit: m.limit, TTL: c.TTL, MaxTTL: c.MaxTTL,
		Healer: m.healer, Failed: func(what string, err error) { s.log.Warn().Err(err).Msg(what) },
	})
	b := immune.BrownOutOptions{Enter: [3]float64{0, float64(c.BrownOut.Detectors), float64(c.BrownOut.Allows)},
		Leave: float64(c.BrownOut.Leave), Calm: c.BrownOut.Calm, Act: c.Protect, Apply: m.leaveOut}
	switch {
	case !c.BrownOut.Enabled:
	case s.cfg.Events.Strict:
		b.Most = immune.NoCostly // no record, no permit
	default:
		b.Most = immune.NoAllows
	}
	m.brown = immune.NewBrownOut(b)
	s.policies.activated = m.activated
	s.immunity = m
	return nil
}

// raiser makes threats of findings.
type raiser struct {
	threats threats
	quiet   time.Duration // after which what a subject does is another incident
}

// common names what sidecars that share a registry see of one subject. Each has its own name for the incident, which
// begins when that sidecar sees it. It is not quoted: a name of control characters would grow beyond what a registry
// takes, and who bears it could not be a threat.
func common(f *immune.Finding) string {
	return fmt.Sprintf("%s %d %s %s", f.Detector, len(f.Subject.Type), f.Subject.Type, f.Subject.ID)
}

// threats is a registry that detectors may fill.
type threats interface {
	threat.Registry
	threat.Raiser
}

// Raise implements immune.Threats.
func (r raiser) Raise(ctx context.Context, f *immune.Finding) (string, error) {
	t, _, err := r.threats.Raise(ctx, threat.Sighting{
		Incident: f.Incident, Common: common(f), Quiet: r.quiet, Count: int(min(f.Count, 1<<52)), At: f.At, Reason: f.Description,
		Report: threat.Report{Type: f.Detector, Source: f.Subject.ID, Severity: threat.Severity(f.Threat),
			Description: f.Description, Metadata: f.Metadata},
	})
	if bad := (*threat.FieldError)(nil); errors.As(err, &bad) {
		return "", &immune.FieldError{Field: bad.Field, Detail: bad.Detail} // no use in trying again
	}
	return t.ID, err
}

// limit is how many subjects self-protection may have quarantined now.
func (m *immunity) limit() int {
	q := m.s.cfg.Immune.MaxQuarantined
	if q.Percent == 0 {
		return q.Count
	}
	return max(1, int(float64(m.watcher.Active())*q.Percent/100))
}

// activated is told of every set that decides, under the policies' lock.
func (m *immunity) activated(snap *pdp.Snapshot) {
	old := *m.revisions.Load()
	next := make(map[uint32]string, len(old)+1)
	for k, v := range old {
		if len(old) < keptRevisions || k > snap.Seq-keptRevisions/2 {
			next[k] = v
		}
	}
	next[snap.Seq] = snap.Revision
	m.revisions.Store(&next)
	healed := m.healing.activated()
	if m.healer != nil {
		m.healer.Activated(snap.Revision, snap.Seq, time.Now(), healed)
	}
	if !healed {
		m.responder.Changed()
	}
}

func (m *immunity) revision(seq uint32) string { return (*m.revisions.Load())[seq] }

// Observe implements emitter.Detector.
func (m *immunity) Observe(rec *pdp.Record, _ func(*pdp.Event)) {
	if m.healer != nil {
		m.healer.Observe(rec)
	}
	m.seeing.Lock()
	defer m.seeing.Unlock()
	if m.seen != nil {
		if m.seen.due() {
			m.capture()
		}
		m.seen.add(rec, m.revision)
	} else {
		m.note(rec)
	}
	m.watcher.Observe(rec, m.tell)
}

// Keep implements emitter.Keeping.
func (m *immunity) Keep(end uint64) {
	m.seeing.Lock() // a stop that does not wait for the pump looks at the same
	defer m.seeing.Unlock()
	if m.seen != nil {
		m.seen.Keep(end)
	} else {
		m.flags.Keep(end)
	}
}

// Telling implements emitter.Telling: threats, immune events and quarantines are stored first, then told through the
// ring, and the pump keeps the batch open for them.
func (m *immunity) Telling() bool {
	if m.told.Load() {
		return false
	}
	m.told.Store(true) // before looking: what is found meanwhile is not missed
	if m.responder.Busy() {
		m.told.Store(false)
		return true
	}
	return false
}

// found hands a finding to the responder.
func (m *immunity) found(f *detect.Finding) {
	c := f.Clone()
	m.responder.Offer(&immune.Finding{
		Incident: c.Incident, At: c.Time, Detector: c.Detector.String(), Count: c.Count, Description: c.Description,
		Metadata: c.Metadata, Subject: immune.Subject{Type: c.SubjectType, ID: c.SubjectID}, Threat: string(c.Threat),
		Rank: c.Threat.Rank(), Candidate: c.Candidate, Withdrawn: c.Change == detect.Withdrawn, Severity: c.Immune,
		Type: c.Kind, Suspect: c.Suspect, Ended: c.Change == detect.Ended,
	})
	if c.Change != detect.Again { // a count makes no event
		m.told.Store(false)
	}
}

// start learns from the journal's end what an earlier life was about to find, and begins to look.
func (m *immunity) start(ctx context.Context) {
	ctx, m.cancel = context.WithCancel(context.WithoutCancel(ctx))
	m.done.Go(func() { m.responder.Run(ctx) })
	if m.s.recording != nil {
		m.recallPending()
		if m.blind {
			m.recallWindows()
			m.capture()
			m.keepWindows()
		} else {
			m.recall()
			m.dropWindows() // of a time with masks
			m.replay()
		}
		m.s.recording.Watch(m)
		m.s.recording.Begin()
	}
	m.done.Go(func() { m.look(ctx) })
}

func (m *immunity) stop() {
	if m.cancel == nil {
		return
	}
	for end := time.Now().Add(storeWithin); m.responder.Busy() && time.Now().Before(end); { // what is not stored by then waits for the next start
		time.Sleep(time.Millisecond)
	}
	m.cancel()
	m.done.Wait()
	m.cancel = nil
	m.memorise()
	if m.seen != nil {
		m.keepWindows()
		m.seeing.Lock()
		if m.seen.whole(m.s.recording.EventLog().Next()) { // else the next start observes it again, as after a kill
			m.capture()
		}
		m.seeing.Unlock()
		m.keepWindows()
	}
	m.keepPending()
}

// look measures pressure.
func (m *immunity) look(ctx context.Context) {
	if m.s.recording == nil {
		return
	}
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	var gauged time.Time
	kept := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			ring := m.s.recording.Pressure()
			if rep, changed := m.brown.Look(ring.Ring, now); changed {
				if _, err := m.s.stored.immune.Publish(rep); err != nil {
					m.s.log.Warn().Err(err).Str("event", rep.Message).Msg("an immune event is not stored")
				}
				m.s.log.Warn().Int("brown_out", m.brown.Level()).Bool("acted", m.brown.Active()).Msg("brown-out")
			}
			if now.Sub(gauged) >= gaugeEvery {
				gauged = now
				ring.Disk = diskUsed(m.s.recording.JournalDir())
				m.seeing.Lock()
				m.watcher.Gauge(now, ring, m.found)
				m.seeing.Unlock()
				if now.After(m.waiting.pause) {
					m.keepPending()
				}
			}
			m.keepWindows()
			if now.Sub(kept) >= keepEvery {
				kept = now
				m.memorise()
			}
		}
	}
}

// leaveOut applies a level of the brown-out.
func (m *immunity) leaveOut(level int) {
	m.watcher.Lean(level >= immune.NoCostly)
	m.shedding.Store(level >= immune.NoAllows)
}

// leanRecorder leaves records of plain allows out during a brown-out, and counts them as shed.
type leanRecorder struct {
	recording
	shedding *atomic.Bool
}

// Record implements engine.Recorder.
func (r leanRecorder) Record(c pdp.Class, rec *pdp.Record) bool {
	if r.shedding.Load() && c == pdp.ClassAllow && !rec.Flags.Has(pdp.FlagAudit) && len(rec.Warnings) == 0 {
		r.recording.Refuse(c)
		return false
	}
	return r.recording.Record(c, rec)
}

// quarantineChanged is told of each quarantine that begins or ends: what a subject did before is forgotten with its end.
func (s *sidecar) quarantineChanged(e immune.Entry, inForce bool) {
	l := s.log.Info().Str("type", e.Type).Str("agent_id", e.AgentID).Str("by", e.By)
	if inForce {
		l.Str("reason", e.Reason).Msg("quarantined")
		return
	}
	l.Msg("quarantine ended")
	if s.immunity != nil {
		s.immunity.watcher.Forget(e.Type, e.AgentID)
	}
}

// Protection implements admin.Protector.
func (m *immunity) Protection() admin.Protection {
	p := admin.Protection{Mode: "observe", BrownOut: m.brown.Active()}
	if m.s.cfg.Immune.Protect {
		p.Mode = "protect"
	}
	all := m.responder.Actions()
	if a, ok := m.brown.Action(); ok {
		all = append(all, a)
	}
	for _, a := range all {
		p.Actions = append(p.Actions, admin.ProtectionAction{Action: a.Action, Subject: a.Subject, Reason: a.Reason, Since: a.Since, Until: a.Until})
	}
	return p
}

// openThreats opens the registry that is configured.
func (s *sidecar) openThreats() error {
	store := s.cfg.Threats.Store
	if store == "" || store == "embedded" {
		t, err := threat.OpenEmbedded(s.state, time.Now)
		if err != nil {
			return key("dir", fmt.Errorf("threats: %w", err))
		}
		s.stored.threats = t
		return nil
	}
	r, err := threat.OpenRedis(threat.RedisOptions{URL: store, Instance: s.instance, Store: s.state, Now: time.Now, Trouble: func(err error) {
		if err != nil {
			s.log.Error().Err(err).Msg("Redis is away: threats are read as last known, and not changed")
			return
		}
		s.log.Info().Msg("Redis is back")
	}})
	if err != nil {
		return key("threats.store", err)
	}
	s.stored.threats = r
	s.stored.redis = r
	return nil
}
