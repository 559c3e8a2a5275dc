package cli

import (
	"fmt"
	"time"

	"thymus/pdp/admin"
	"thymus/pdp/immune"
	"thymus/pdp/threat"
)

// stored is what lies in the state besides policies.
type stored struct {
	threats    threats
	redis      *threat.Redis // nil: threats are kept here
	immune     *immune.Log
	quarantine *immune.Quarantine
}

// openStored reads threats, immune events and quarantine.
func (s *sidecar) openStored() (err error) {
	if err = s.openThreats(); err != nil {
		return err
	}
	if s.stored.immune, err = immune.OpenLog(s.state, time.Now); err != nil {
		return key("dir", fmt.Errorf("immune events: %w", err))
	}
	s.policies.twins.tell = s.stored.immune.Publish
	if s.stored.quarantine, err = immune.OpenQuarantine(s.state, time.Now, s.quarantineChanged); err != nil {
		return key("dir", fmt.Errorf("quarantine: %w", err))
	}
	return nil
}

// serveStored gives it to the management plane.
func (s *sidecar) serveStored(o *admin.Options) {
	o.Threats, o.Immune, o.Quarantine = s.stored.threats, s.stored.immune, s.stored.quarantine
	o.Protection = s.immunity
	if s.recording != nil {
		o.Events = s.recording.EventLog()
	}
}

// closeStored ends what runs for it.
func (s *sidecar) closeStored() {
	if s.immunity != nil {
		s.immunity.stop()
	}
	if s.stored.redis != nil {
		_ = s.stored.redis.Close() // the client's connections; what it owes waits in Redis
	}
	if s.stored.quarantine != nil {
		s.stored.quarantine.Close()
	}
}
