//go:build !unix

package cli

import "os"

// flock does nothing where the system has no advisory locks on files: two processes on one directory are not noticed.
func flock(*os.File) error { return nil }
