package journal_test

import (
	"fmt"
	"os"

	"thymus/emitter/journal"
)

// A shipper: it reads from where its sink stands, takes what belongs to it, delivers, and acknowledges.
func ExampleSink() {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	j, _, err := journal.Open(journal.Options{Dir: dir, Sinks: []string{"stdout"}})
	if err != nil {
		panic(err)
	}
	defer j.Close()
	err = j.Append(&journal.Batch{Lines: []byte("{\"id\":\"a\"}\n{\"id\":\"b\"}\n"), Events: 2})
	if err != nil {
		panic(err)
	}

	s, err := j.Sink("stdout")
	if err != nil {
		panic(err)
	}
	r := j.Reader(s.Resume(1)) // one partition
	defer r.Close()
	var c journal.Chunk
	for {
		ok, err := r.Next(&c)
		if err != nil {
			panic(err)
		}
		if !ok {
			break // r.Wait(ctx) for more
		}
		if c.Gap.Count() > 0 {
			s.Gap(c.Gap.To)
			continue
		}
		for seq, line := range c.All {
			if !s.Take(0, seq) {
				continue // delivered before a restart
			}
			fmt.Println(seq, string(line))
			if err := s.Ack(0, seq+1, 1, 0); err != nil {
				panic(err)
			}
		}
	}
	fmt.Printf("%+v\n", s.Counters())
	// Output:
	// 1 {"id":"a"}
	// 2 {"id":"b"}
	// {Journaled:2 Delivered:2 Pending:0 Expired:0 Refused:0}
}
