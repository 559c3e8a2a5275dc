// Package threat keeps the registry of threats: what was detected or reported, how bad it is and what became of it.
//
// A threat's status only moves forward, OPEN → INVESTIGATING → ESCALATED → MITIGATED → RESOLVED, or to CLOSED from
// anywhere; RESOLVED and CLOSED are final. Every change is stored together with its events (CONTRACT 6).
//
// One incident of detection is one threat (Raiser). The registry lies in this sidecar's store (Embedded), or in a Redis that
// a fleet shares (Redis), and holds MaxThreats at most.
//
// Invariants: a change is applied to the state it was computed from, or not at all; an event exists if and only if its
// change is stored. Who may change threats and how detection finds them is left to others.
package threat
