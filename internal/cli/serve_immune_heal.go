package cli

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"thymus/pdp/policy"
	"thymus/rules"
)

// healing knows the way back: what decided before what decides now.
type healing struct {
	p *policies

	mu        sync.Mutex
	now, past *era
	returning bool
}

// era is the time of one active set: what it was made of, not what it was compiled to.
type era struct {
	revision string
	policies []*rules.PolicyInfo
	files    *rules.Files
	at       time.Time
}

// activated notes a set that decides from now on, under the policies' lock. healed says that it is one that was
// returned to.
func (h *healing) activated() (healed bool) {
	if h.p == nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	set := h.p.set.Load()
	next := &era{set.Snapshot.Revision, set.Policies, h.p.files, time.Now()}
	if h.now != nil && h.now.revision == next.revision {
		return h.returning
	}
	h.past, h.now = h.now, next
	return h.returning
}

// selfHealing is who changes policies, for their history.
const selfHealing = "self-healing"

var errChanged = errors.New("policies were changed meanwhile")

// back returns to what decided before. Stored policies get a new revision that is as the earlier one was; files that
// were bad stay out until they change again, or SIGHUP insists.
func (h *healing) back(ctx context.Context, bad, _, why string) (string, error) {
	h.mu.Lock()
	now, past := h.now, h.past
	if now == nil || past == nil || now.revision != bad {
		h.mu.Unlock()
		return "", errChanged
	}
	h.returning = true
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		h.returning = false
		h.mu.Unlock()
	}()
	h.p.log.Error().Str("bad", bad).Str("good", past.revision).Str("why", why).Msg("returning to the last good policies")
	if !past.files.Equal(now.files) {
		h.p.withheld.Store(&withheld{bad: now.files, good: past.files})
		if _, _, err := h.p.store.Reload(ctx); err != nil {
			return "", err
		}
	}
	who := policy.Actor{Name: selfHealing}
	var errs []error
	for _, id := range differing(past.policies, now.policies) {
		errs = append(errs, h.restore(who, id, past.at))
	}
	return h.p.set.Load().Snapshot.Revision, errors.Join(errs...)
}

// differing are the stored policies that are not the same in both sets.
func differing(past, now []*rules.PolicyInfo) (ids []string) {
	was := map[string]*rules.PolicyInfo{}
	for _, p := range past {
		if isStored(p) {
			was[p.ID] = p
		}
	}
	for _, p := range now {
		if !isStored(p) {
			continue
		}
		if w := was[p.ID]; w == nil || w.Enabled != p.Enabled || w.Form != p.Form || !sameTexts(w.Texts, p.Texts) {
			ids = append(ids, p.ID)
		}
		delete(was, p.ID)
	}
	for id := range was {
		ids = append(ids, id)
	}
	return ids
}

func isStored(p *rules.PolicyInfo) bool { return p.Origin == "api:"+p.ID }

func sameTexts(a, b []rules.Text) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if string(a[i].Text) != string(b[i].Text) {
			return false
		}
	}
	return true
}

// restore makes a stored policy what it was at a time.
func (h *healing) restore(who policy.Actor, id string, at time.Time) error {
	limit := float64(at.UnixMicro()) / 1e6
	all, _, err := h.p.store.Revisions(id, 0, 1000)
	if err != nil {
		return fmt.Errorf("policy %s: %w", id, err)
	}
	for _, r := range all { // newest first
		if r.At > limit {
			continue
		}
		if r.Action == policy.Deleted {
			break
		}
		_, err := h.p.store.Rollback(who, id, r.Revision, nil)
		if err != nil {
			return fmt.Errorf("policy %s: %w", id, err)
		}
		return nil
	}
	if err := h.p.store.Delete(who, id, nil); err != nil && !errors.Is(err, policy.ErrNotFound) {
		return fmt.Errorf("policy %s: %w", id, err)
	}
	return nil
}

// withheld are files that self-healing keeps out.
type withheld struct{ bad, good *rules.Files }

// trusted gives the last good files in place of those that are kept out. Other files are the operator's new try.
func (p *policies) trusted(files *rules.Files) *rules.Files {
	w := p.withheld.Load()
	if w == nil {
		return files
	}
	if files.Equal(w.bad) {
		p.log.Warn().Msg("the policy files are those that self-healing took back; they stay out until they change, or SIGHUP")
		return w.good
	}
	p.withheld.Store(nil)
	return files
}
