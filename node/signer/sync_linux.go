package signer

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// diskFile is a File whose Sync flushes the data, and only that metadata which
// reading it back needs.
type diskFile struct{ *os.File }

func (f diskFile) Sync() error {
	for {
		// An interrupted call was not answered; only a failed one was.
		if err := unix.Fdatasync(int(f.Fd())); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
