package store

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// datasync flushes the data of f, and only that metadata which reading it back
// needs.
func datasync(f *os.File) error {
	for {
		// An interrupted call was not answered; only a failed one was.
		if err := unix.Fdatasync(int(f.Fd())); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
