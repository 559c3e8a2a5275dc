package sink

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
)

// refusedFile holds the events that the far end will never take, a JSON object a line: seq, when, why, and the event
// as it is in the journal. A line is on the disk before its event counts as refused; a kill between the two leaves it
// there twice.
type refusedFile struct {
	path string
	f    *os.File
}

func (r *refusedFile) add(m *Message, cause error) error {
	if r.path == "" {
		return errors.New("no file is set for refused events")
	}
	if r.f == nil {
		f, err := os.OpenFile(r.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return err
		}
		r.f = f
	}
	b := fmt.Appendf(nil, `{"seq":%d,"refused_at":%q,"reason":`, m.Seq, time.Now().UTC().Format(time.RFC3339Nano))
	reason, err := json.Marshal(cause.Error())
	if err != nil {
		return err
	}
	b = append(append(b, reason...), `,"event":`...)
	if json.Valid(m.Value) {
		b = append(b, m.Value...)
	} else {
		text, err := json.Marshal(string(m.Value))
		if err != nil {
			return err
		}
		b = append(b, text...)
	}
	if _, err = r.f.Write(append(b, '}', '\n')); err == nil {
		err = r.f.Sync()
	}
	if err != nil {
		r.close() // opened again for the next try
	}
	return err
}

func (r *refusedFile) close() {
	if r.f != nil {
		_ = r.f.Close() // synced, line by line
		r.f = nil
	}
}
