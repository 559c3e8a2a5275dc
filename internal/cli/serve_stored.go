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
	threats    threat.Registry
	immune     *immune.Log
	quarantine *immune.Quarantine
}

// openStored reads threats, immune events and quarantine.
func (s *sidecar) openStored() (err error) {
	if s.stored.threats, err = threat.OpenEmbedded(s.state, time.Now); err != nil {
		return key("dir", fmt.Errorf("threats: %w", err))
	}
	if s.stored.immune, err = immune.OpenLog(s.state, time.Now); err != nil {
		return key("dir", fmt.Errorf("immune events: %w", err))
	}
	s.policies.twins.tell = s.stored.immune.Publish
	if s.stored.quarantine, err = immune.OpenQuarantine(s.state, time.Now, nil); err != nil {
		return key("dir", fmt.Errorf("quarantine: %w", err))
	}
	return nil
}

// serveStored gives it to the management plane.
func (s *sidecar) serveStored(o *admin.Options) {
	o.Threats, o.Immune, o.Quarantine = s.stored.threats, s.stored.immune, s.stored.quarantine
}

// closeStored ends what runs for it.
func (s *sidecar) closeStored() {
	if s.stored.quarantine != nil {
		s.stored.quarantine.Close()
	}
}
