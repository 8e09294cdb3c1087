package sim

import (
	"errors"
	"io"
	"math/rand/v2"
	"slices"
)

// errCrash is what a disk answers from the moment its machine lost power.
var errCrash = errors.New("sim: the machine has lost power")

// fuse ends a machine in the middle of what it does: after so many more steps
// that an outside world could tell apart. A negative fuse does not burn.
type fuse int

// burn takes one step and reports whether it was the last.
func (f *fuse) burn() bool {
	if *f < 0 {
		return false
	}
	if *f > 0 {
		*f--
	}
	return *f == 0
}

// file is a file of fixed size on a disk that loses, and tears, what was
// written and not synced when the power fails.
type file struct {
	fuse    *fuse
	data    []byte // as a reader sees it
	durable []byte // as a crash leaves it, but for dirty
	dirty   []write
}

type write struct {
	offset int
	data   []byte
}

func newFile(size int, f *fuse) *file {
	return &file{fuse: f, data: make([]byte, size), durable: make([]byte, size)}
}

// ReadAt implements io.ReaderAt.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= int64(len(f.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements io.WriterAt.
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(p)) > int64(len(f.data)) {
		return 0, errors.New("sim: write past the end of a file")
	}
	f.dirty = append(f.dirty, write{int(off), slices.Clone(p)})
	if f.fuse.burn() {
		return 0, errCrash
	}
	copy(f.data[off:], p)
	return len(p), nil
}

// Sync makes what was written durable.
func (f *file) Sync() error {
	if f.fuse.burn() {
		return errCrash
	}
	for _, w := range f.dirty {
		copy(f.durable[w.offset:], w.data)
	}
	f.dirty = f.dirty[:0]
	return nil
}

// crash leaves of each unsynced write all, nothing or a part.
func (f *file) crash(r *rand.Rand) {
	for _, w := range f.dirty {
		switch r.IntN(3) {
		case 0:
			copy(f.durable[w.offset:], w.data)
		case 1:
			from := r.IntN(len(w.data) + 1)
			to := from + r.IntN(len(w.data)+1-from)
			copy(f.durable[w.offset+from:], w.data[from:to])
		}
	}
	f.dirty = nil
	copy(f.data, f.durable)
}
