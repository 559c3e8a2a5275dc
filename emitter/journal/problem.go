package journal

import "fmt"

// Problem is one thing that is wrong with a journal.
type Problem struct {
	File string // name of the file in the journal's directory
	Line int    // first line concerned, from 1; 0 where it is the file as a whole
	To   int    // last line concerned; equal to Line where it is known exactly
	Why  string
}

func (p Problem) String() string {
	switch {
	case p.Line == 0:
		return fmt.Sprintf("%s: %s", p.File, p.Why)
	case p.To > p.Line:
		return fmt.Sprintf("%s:%d-%d: %s", p.File, p.Line, p.To, p.Why)
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Why)
}
