//go:build linux || darwin

package cli

import "golang.org/x/sys/unix"

// diskUsed is how full the disk of a folder is for us, in percent; 0 where it cannot be told.
func diskUsed(dir string) float64 {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return 0
	}
	used := float64(st.Blocks) - float64(st.Bfree)
	if whole := used + float64(st.Bavail); whole > 0 {
		return 100 * used / whole
	}
	return 0
}
