package harness

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Absent skips a test whose real component is not here, or fails it where REQUIRE_REAL=1 says that all of them are.
func Absent(t testing.TB, what, why string) {
	t.Helper()
	if os.Getenv("REQUIRE_REAL") == "1" {
		t.Fatalf("%s is required and not here: %s", what, why)
	}
	t.Skipf("%s is not here: %s", what, why)
}

// FreePort is a port of the loopback that was free a moment ago, for programs that cannot say which one they were given.
func FreePort(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// Redis is a real redis-server that can be killed and started again with what it had on disk. It acknowledges nothing
// that is not there.
type Redis struct {
	Addr string

	t    testing.TB
	dir  string
	life *Process
}

// NewRedis starts one, until the test ends.
func NewRedis(t testing.TB) *Redis {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		Absent(t, "redis-server", err.Error())
	}
	r := &Redis{Addr: "127.0.0.1:" + FreePort(t), t: t, dir: t.TempDir()}
	r.Start()
	return r
}

// Start starts it again, where it was.
func (r *Redis) Start() {
	r.t.Helper()
	_, port, _ := net.SplitHostPort(r.Addr)
	r.life = Listen(r.t, r.Addr, exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", r.dir,
		"--appendonly", "yes", "--appendfsync", "always", "--save", "", "--daemonize", "no"))
	Eventually(r.t, 30*time.Second, "redis answers", func() bool { // it listens before it has read its file
		c, err := net.Dial("tcp", r.Addr)
		if err != nil {
			return false
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(time.Second))
		_, _ = io.WriteString(c, "PING\r\n")
		line, _ := bufio.NewReader(c).ReadString('\n')
		return strings.HasPrefix(line, "+PONG")
	})
}

// Signal sends one.
func (r *Redis) Signal(s os.Signal) {
	r.t.Helper()
	r.life.Signal(s)
}

// Kill ends it as a power cut would. It may be called from any goroutine, but not while Start is under way.
func (r *Redis) Kill() { r.life.Kill() }
