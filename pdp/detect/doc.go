// Package detect looks at every decision on its way to the journal and says what is suspicious in them: subjects that
// are denied again and again, that probe, change roles, touch decoys or behave unlike their own past; and what is wrong
// with the sidecar itself: errors, slowness, a ring or a disk that fills up.
//
// Invariants: the only clock is the records' own, in whole microseconds as events have it, so that a journal that is
// read again gives the same findings; memory is what New allocates, whatever the number of subjects; a record costs a
// bounded amount of work and, as long as nothing fires, no allocation; one incident has one key, and more of the same
// raises its count and severity. Where one detector fires for a fifth of the active subjects at once, the policy is
// suspect and no subject is.
//
// What becomes of a finding (a threat, an immune event, a quarantine), and the events about it, is left to others.
package detect
