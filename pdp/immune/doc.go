// Package immune is the system's memory of what is wrong with it and with those who call it: immune events with their
// severities, the health that follows from them, the quarantine, and self-protection.
//
// Invariants: the quarantine is an immutable snapshot behind one pointer, read by every decision with one load and no
// lock; whatever is quarantined is stored before it is in force and released before it is forgotten. Self-protection
// acts only in protect mode and within the bounds that the operator set, and each act is an event that says its reason,
// its end and how to undo it. A Responder takes findings from the pump without ever making it wait, and handles each
// incident once, after a restart too; a Healer watches what changes of policies do to evaluation; a BrownOut says what is
// left out under pressure. What a threat is, and how to go back to earlier policies, is known to others.
package immune
