package node

import "golang.org/x/sys/unix"

// diskFree returns the bytes that the file system of a folder has left for this
// user, and its size.
func diskFree(dir string) (free, size uint64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, err
	}
	return uint64(s.Bavail) * uint64(s.Bsize), uint64(s.Blocks) * uint64(s.Bsize), nil
}
