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
	size    int
	data    sparse // as a reader sees it
	durable sparse // as a crash leaves it, but for dirty
	dirty   []write
}

type write struct {
	offset int
	data   []byte
}

func newFile(size int, f *fuse) *file {
	return &file{fuse: f, size: size, data: newSparse(size), durable: newSparse(size)}
}

// ReadAt implements io.ReaderAt.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= int64(f.size) {
		return 0, io.EOF
	}
	n := min(len(p), f.size-int(off))
	f.data.read(p[:n], int(off))
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements io.WriterAt.
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(p)) > int64(f.size) {
		return 0, errors.New("sim: write past the end of a file")
	}
	f.dirty = append(f.dirty, write{int(off), slices.Clone(p)})
	if f.fuse.burn() {
		return 0, errCrash
	}
	f.data.write(p, int(off))
	return len(p), nil
}

// Sync makes what was written durable.
func (f *file) Sync() error {
	if f.fuse.burn() {
		return errCrash
	}
	for _, w := range f.dirty {
		f.durable.write(w.data, w.offset)
	}
	f.dirty = f.dirty[:0]
	return nil
}

// crash leaves of each unsynced write all, nothing or a part.
func (f *file) crash(r *rand.Rand) {
	for _, w := range f.dirty {
		switch r.IntN(3) {
		case 0:
			f.durable.write(w.data, w.offset)
		case 1:
			from := r.IntN(len(w.data) + 1)
			to := from + r.IntN(len(w.data)+1-from)
			f.durable.write(w.data[from:to], w.offset+from)
		}
	}
	f.dirty = nil
	f.data.assign(f.durable)
}
