package emitter

import (
	"time"

	"thymus/pdp"
)

// Account is where records are, by class: Offered = Pumped + Pending + Shed whenever nothing is in flight.
type Account struct {
	Offered, Pumped, Pending, Shed [pdp.Classes]uint64
}

// Account is the account as of now, also of earlier lives. Pumped is the journal's count and the others are the ring's.
func (p *Pump) Account() Account {
	r := p.o.Ring
	return Account{Pumped: p.o.Journal.Last().Pumped, Pending: r.Pending(), Shed: r.Shed(), Offered: r.Offered()}
}

// OldestPending is how long ago the oldest record that is not journaled yet was made; 0 where none is known to wait.
func (p *Pump) OldestPending(now time.Time) time.Duration {
	ns := p.oldest.Load()
	if ns == 0 {
		return 0
	}
	return max(now.Sub(time.Unix(0, ns)), 0)
}

// Stuck is why the journal takes nothing at the moment, nil while it does.
func (p *Pump) Stuck() error {
	if err := p.stuck.Load(); err != nil {
		return *err
	}
	return nil
}

// Owed is the largest number of an owed event that is journaled: what a store may forget (see pdp.Event.Owed).
func (p *Pump) Owed() uint64 { return p.owed.Load() }

// Events is how many events were journaled by this process.
func (p *Pump) Events() uint64 { return p.events.Load() }

// Apart is how many batches were journaled before detectors had told all that they found in them: it is told later.
func (p *Pump) Apart() uint64 { return p.apart.Load() }

// Unreadable is how many records could not be made events, Unresolved how many referred to rows that are not on record.
func (p *Pump) Unreadable() uint64 { return p.unreadable.Load() }

// Unresolved is how many records referred to rows that are not on record; their events say so.
func (p *Pump) Unresolved() uint64 { return p.unresolved.Load() }
