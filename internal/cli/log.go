package cli

import (
	"io"
	"time"

	"github.com/rs/zerolog"

	"thymus/internal/config"
)

// newLogger makes the server's log: for people on a terminal, else a JSON object a line. Times are UTC with
// milliseconds.
func newLogger(c config.Log, std Stdio) (zerolog.Logger, error) {
	level, err := zerolog.ParseLevel(c.Level)
	if err != nil {
		return zerolog.Nop(), err
	}
	out := std.Err
	if c.Format == "console" || c.Format == "auto" && terminal(std.Err) {
		out = console(std)
	}
	return zerolog.New(out).Level(level).Hook(stamp{}), nil
}

func console(std Stdio) io.Writer {
	return zerolog.ConsoleWriter{Out: std.Err, NoColor: !std.colour(std.Err), TimeFormat: "15:04:05.000", TimeLocation: time.Local}
}

// stamp puts the time on each line. zerolog's own has whole seconds unless a package variable of it is changed.
type stamp struct{}

func (stamp) Run(e *zerolog.Event, _ zerolog.Level, _ string) {
	e.Str(zerolog.TimestampFieldName, time.Now().UTC().Format("2006-01-02T15:04:05.000Z07:00"))
}
