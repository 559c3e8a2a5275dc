package policy

import (
	"encoding/json"
	"fmt"

	"thymus/pdp"
)

// Where a policy lies in the store:
//
//	bucket policies          key ID                  the newest revision, of a deleted policy too
//	bucket policy_revisions  key ID 0x00 REVISION    each revision that is kept; 16 decimal digits
//
// Both values are a record as JSON.
const (
	headBucket     = "policies"
	revisionBucket = "policy_revisions"
)

// record is one revision as it is stored.
type record struct {
	Revision uint64 `json:"revision"`
	Action   Action `json:"action"`
	From     uint64 `json:"from,omitempty"`
	At       int64  `json:"at"`   // Unix nanoseconds
	Made     int64  `json:"made"` // when the policy was created, likewise
	Actor    string `json:"actor"`
	Digest   string `json:"digest,omitempty"`
	Form     Form   `json:"form,omitempty"`
	Name     string `json:"name,omitempty"`
	Version  string `json:"version,omitempty"`
	Enabled  bool   `json:"enabled,omitempty"`
	Rules    int    `json:"rules,omitempty"`
	Disabled bool   `json:"disabled,omitempty"`
	Text     string `json:"text,omitempty"`

	source Source // as compilers get it; empty of a deletion
}

// seconds is a time as events give it: Unix seconds, exact to the microsecond.
func seconds(ns int64) float64 { return float64(ns/1000) / 1e6 }

// asSource is the policy for a compiler, always the same words of memory: what did not change is told by its address.
func (r *record) asSource(id string) Source {
	if r.source.ID == "" {
		r.source = Source{ID: id, Form: r.Form, Text: []byte(r.Text), Disabled: r.Disabled, Origin: origin(id)}
	}
	return r.source
}

func (r *record) revision() Revision {
	return Revision{Revision: r.Revision, Action: r.Action, From: r.From, At: seconds(r.At), Actor: r.Actor, Digest: r.Digest,
		Form: r.Form, Name: r.Name, Version: r.Version, Enabled: r.Enabled, Rules: r.Rules, Disabled: r.Disabled, Text: []byte(r.Text)}
}

func revisionKey(id string, n uint64) string { return fmt.Sprintf("%s\x00%016d", id, n) }

// readHeads reads what is stored.
func readHeads(store pdp.Store) (*shelf, error) {
	s := &shelf{}
	err := store.View(func(tx pdp.Tx) error {
		return tx.Each(headBucket, "", func(id string, v []byte) error {
			r := new(record)
			if err := json.Unmarshal(v, r); err != nil {
				return fmt.Errorf("stored policy %q: %w", id, err)
			}
			s.heads = append(s.heads, head{id, r}) // in order
			s.live += r.alive()
			return nil
		})
	})
	return s, err
}

// write stores a revision, and lets go of the one that is too old to be kept.
func (r *record) write(tx pdp.Tx, id string) error {
	v, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := tx.Put(headBucket, id, v); err != nil {
		return err
	}
	if err := tx.Put(revisionBucket, revisionKey(id, r.Revision), v); err != nil {
		return err
	}
	if r.Revision <= maxRevisions {
		return nil
	}
	return tx.Delete(revisionBucket, revisionKey(id, r.Revision-maxRevisions))
}

// forget removes a deleted policy with its history.
func forget(tx pdp.Tx, id string) error {
	var keys []string
	err := tx.Each(revisionBucket, id+"\x00", func(key string, _ []byte) error {
		keys = append(keys, key)
		return nil
	})
	for _, k := range keys {
		if err == nil {
			err = tx.Delete(revisionBucket, k)
		}
	}
	if err != nil {
		return err
	}
	return tx.Delete(headBucket, id)
}
