package load_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"thymus/bench/load"
)

// envRaw makes this binary a server that does as little as one can, on a processor of its own.
const envRaw = "THYMUS_BENCH_RAW"

const rawAnswer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{\"allowed\":true}"

// TestRawServerIsRun is that server: one thread, epoll, a read and a write of fixed bytes a call, no look at what it read.
func TestRawServerIsRun(t *testing.T) {
	cpu, err := strconv.Atoi(os.Getenv(envRaw))
	if err != nil {
		t.Skip("only as another test's server")
	}
	runtime.LockOSThread()
	if cpu >= 0 {
		var set unix.CPUSet
		set.Set(cpu)
		must(t, unix.SchedSetaffinity(0, &set))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	f, err := l.(*net.TCPListener).File()
	must(t, err)
	listener := int(f.Fd())
	must(t, unix.SetNonblock(listener, true))
	ep, err := unix.EpollCreate1(0)
	must(t, err)
	watch := func(fd int) {
		must(t, unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}))
	}
	watch(listener)
	go func() { // the end of what we read is the end of the test that started us
		_, _ = os.Stdin.Read(make([]byte, 1))
		os.Exit(0)
	}()
	fmt.Println("at", l.Addr())
	answer, in, events := []byte(rawAnswer), make([]byte, 64<<10), make([]unix.EpollEvent, 256)
	for {
		n, err := unix.EpollWait(ep, events, -1)
		if err == unix.EINTR {
			continue
		}
		must(t, err)
		for _, e := range events[:n] {
			fd := int(e.Fd)
			if fd == listener {
				if fd, _, err = unix.Accept4(listener, unix.SOCK_NONBLOCK); err == nil {
					must(t, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
					watch(fd)
				}
				continue
			}
			switch n, err := unix.Read(fd, in); {
			case err == unix.EAGAIN:
			case err != nil || n == 0:
				unix.Close(fd)
			default:
				_, _ = unix.Write(fd, answer) // who went away is seen at the next read
			}
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// serveRaw starts the raw server in a process of its own, and keeps this process and it on different processors.
func serveRaw(t testing.TB) load.Endpoint {
	t.Helper()
	cpu := -1
	if runtime.NumCPU() > 1 {
		cpu = 1
		pin(t, 0)
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestRawServerIsRun$", "-test.timeout", "0")
	cmd.Env = append(os.Environ(), envRaw+"="+strconv.Itoa(cpu))
	stdin, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Wait() // it exits as it is told
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if at, ok := strings.CutPrefix(lines.Text(), "at "); ok {
			return load.Endpoint{Network: "tcp", Address: at}
		}
	}
	t.Fatal("the raw server did not start")
	return load.Endpoint{}
}

// pin keeps all threads of this process, and those that they start, on one processor until the test ends.
func pin(t testing.TB, cpu int) {
	t.Helper()
	var old, set unix.CPUSet
	must(t, unix.SchedGetaffinity(0, &old))
	set.Set(cpu)
	all := func(to *unix.CPUSet) {
		tasks, err := os.ReadDir("/proc/self/task")
		must(t, err)
		for _, task := range tasks {
			id, err := strconv.Atoi(task.Name())
			must(t, err)
			_ = unix.SchedSetaffinity(id, to) // a thread may have ended meanwhile
		}
	}
	all(&set)
	t.Cleanup(func() { all(&old) })
}

// spent is this process' time on processors.
func spent(t testing.TB) time.Duration {
	var u unix.Rusage
	must(t, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// bare asks as a generator would that neither reads answers, nor counts, nor looks at the time: what no generator over
// sockets can be cheaper than. It gives the time on processors a call.
func bare(t testing.TB, e load.Endpoint, wire []byte, connections, calls int) time.Duration {
	t.Helper()
	at, err := net.ResolveTCPAddr("tcp", e.Address)
	must(t, err)
	ep, err := unix.EpollCreate1(0)
	must(t, err)
	defer unix.Close(ep)
	for range connections {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		must(t, err)
		defer unix.Close(fd)
		must(t, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
		must(t, unix.Connect(fd, &unix.SockaddrInet4{Port: at.Port, Addr: [4]byte{127, 0, 0, 1}}))
		must(t, unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}))
		_, err = unix.Write(fd, wire)
		must(t, err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	events, in := make([]unix.EpollEvent, 512), make([]byte, 4096)
	before := spent(t)
	for done := 0; done < calls; {
		n, err := unix.EpollWait(ep, events, -1)
		if err == unix.EINTR {
			continue
		}
		must(t, err)
		for _, e := range events[:n] {
			if _, err := unix.Read(int(e.Fd), in); err != nil {
				t.Fatal(err)
			}
			if _, err := unix.Write(int(e.Fd), wire); err != nil {
				t.Fatal(err)
			}
		}
		done += n
	}
	return (spent(t) - before) / time.Duration(calls)
}

// perCall is what a call may cost the generator for one core to ask 150,000 a second.
const perCall = time.Second / 150_000

// TestOneCoreAsks150000ASecond counts the generator's own time on processors, which a busy machine does not stretch as it
// does time on the wall, against a server that does as little as one can: no call is pipelined, every answer is read, its
// decision compared and its latency recorded. Where sockets alone cost more than that (the bare loop says so), the
// generator may cost a third more than they.
func TestOneCoreAsks150000ASecond(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector multiplies what a call costs")
	}
	e := serveRaw(t)
	for _, c := range []struct {
		name string
		rate float64
	}{{"closed loop", 0}, {"open loop, asked for more than it can", 400_000}} {
		t.Run(c.name, func(t *testing.T) {
			o := load.Options{Endpoint: e, Calls: calls(t, load.Native, e, true, question(true)), Rate: c.rate, Connections: 64, Duration: time.Second}
			floor, least := time.Hour, time.Hour
			for range 5 {
				floor = min(floor, bare(t, e, o.Calls[0].Wire, o.Connections, 100_000))
				before := spent(t)
				r := run(t, o)
				if r.Wrong > 0 || r.Errors > 0 {
					t.Fatalf("%d wrong, %v: the server permits all", r.Wrong, r.Faults)
				}
				least = min(least, (spent(t)-before)/time.Duration(r.OK))
				t.Logf("%.0f calls a second, p99 %.3f ms, late by %.3f ms; %s a call so far, sockets alone %s", r.Rate, r.Latency.P99, r.Lateness, least, floor)
				if least <= perCall {
					return
				}
			}
			if least > floor*4/3 {
				t.Errorf("%s of a processor a call: one core asks %d a second", least, time.Second/least)
			}
		})
	}
}

// TestSteadyAskingAllocatesNothing counts what the generator's process allocates from one report of progress to the next.
func TestSteadyAskingAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	e := serveRaw(t)
	for _, rate := range []float64{0, 20_000} {
		var at []runtime.MemStats
		o := load.Options{Endpoint: e, Calls: calls(t, load.Native, e, true, question(true)), Rate: rate, Connections: 64, Duration: 3500 * time.Millisecond}
		answered := 0.0
		o.Progress = func(p load.Progress) {
			at = append(at, runtime.MemStats{})
			runtime.ReadMemStats(&at[len(at)-1])
			answered = p.Rate
		}
		run(t, o)
		last := len(at) - 1
		if last < 2 || answered < 5000 {
			t.Fatalf("%d reports, the last of %.0f answers a second", last+1, answered)
		}
		// The report itself and its points are some; one in a thousand calls would be more.
		if n := at[last].Mallocs - at[last-1].Mallocs; n > 20 {
			t.Errorf("rate %g: %d allocations in a second of %.0f calls", rate, n, answered)
		}
	}
}

// go test ./bench/load -run '^$' -bench Generator -count 10 | benchstat -
//
// The server is the raw one, in a process and on a processor of its own; cpu-ns/call is the generator's.
func BenchmarkGenerator(b *testing.B) {
	e := serveRaw(b)
	o := load.Options{Endpoint: e, Calls: calls(b, load.Native, e, true, question(true)), Connections: 64, Duration: time.Second}
	for b.Loop() {
		before := spent(b)
		r, err := load.Run(context.Background(), o)
		must(b, err)
		b.ReportMetric(float64(spent(b)-before)/float64(r.OK), "cpu-ns/call")
		b.ReportMetric(r.Rate, "calls/s")
	}
}
