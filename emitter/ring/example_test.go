package ring_test

import (
	"fmt"

	"thymus/emitter/ring"
	"thymus/pdp"
)

func Example() {
	r, recovery, err := ring.Open(ring.Options{Size: 1 << 20}) // no Path: on the heap
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	fmt.Println("survives a kill:", !recovery.Volatile)

	r.Append(pdp.ClassDeny, []byte("guest may not write")) // any goroutine
	r.Append(pdp.ClassAllow, []byte("guest may read"))

	n, next := r.Poll(100, func(pos uint64, c pdp.Class, p []byte) { // one goroutine
		fmt.Printf("%d %s %s\n", pos, c, p)
	})
	fmt.Println("pending before Advance:", r.Pending()[pdp.ClassDeny])
	r.Advance(next) // they are journaled: never again
	fmt.Println("polled", n, "pending", r.Pending()[pdp.ClassDeny], "done", r.Done()[pdp.ClassDeny])
	// Output:
	// survives a kill: false
	// 0 deny guest may not write
	// 64 allow guest may read
	// pending before Advance: 1
	// polled 2 pending 0 done 1
}
