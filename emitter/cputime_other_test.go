//go:build !linux

package emitter_test

import "time"

func threadTime() time.Duration { return 0 }
