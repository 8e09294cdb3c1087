package sim

import (
	"errors"
	"io"
	"math/rand/v2"
	"slices"

	"github.com/sage-p2p/sage-p2p/atp"
)

// disk is what the parts of one machine's disk have in common.
type disk struct {
	fuse fuse
	slow atp.Span // that one sync takes, at most
	lag  atp.Span // of the syncs since it was last read
	rand *rand.Rand
}

// sync passes a place at which something becomes durable.
func (d *disk) sync(p place) error {
	if d.slow > 0 {
		d.lag += atp.Span(d.rand.Uint64N(uint64(d.slow) + 1))
	}
	return d.fuse.burn(p)
}

// file is a file of fixed size on a disk that loses, and tears, what was
// written and not synced when the power fails.
type file struct {
	disk    *disk
	size    int
	data    sparse // as a reader sees it, also after the process was killed
	durable sparse // as a power cut leaves it, but for dirty
	dirty   []write
}

type write struct {
	offset int
	data   []byte
}

func newFile(size int, d *disk) *file {
	return &file{disk: d, size: size, data: newSparse(size), durable: newSparse(size)}
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

// slotGap is how far the copies of a record lie apart (node/signer).
const slotGap = 64 << 10

// WriteAt implements io.WriterAt.
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(p)) > int64(f.size) {
		return 0, errors.New("sim: write past the end of a file")
	}
	at := atRecord
	if off/slotGap%2 == 1 {
		at = atSecondRecord
	}
	err := f.disk.fuse.burn(at)
	if err == nil || errors.Is(err, errCrash) {
		f.dirty = append(f.dirty, write{int(off), slices.Clone(p)})
	}
	if err != nil {
		return 0, err
	}
	f.data.write(p, int(off))
	return len(p), nil
}

// Sync makes what was written durable. When it fails, the system has forgotten
// that anything is left to write: some of it is on the disk, readers see all of it,
// and the next sync says that all is well.
func (f *file) Sync() error {
	err := f.disk.sync(atRecordSync)
	if err != nil && !errors.Is(err, errIO) {
		return err
	}
	for _, w := range f.dirty {
		if err == nil || f.disk.rand.IntN(2) == 0 {
			f.durable.write(w.data, w.offset)
		}
	}
	f.dirty = f.dirty[:0]
	return err
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

// flip turns one bit of one copy of a record.
func (f *file) flip(r *rand.Rand) {
	slot := r.IntN(f.size/slotGap + 1)
	bit := r.IntN(4_000) // of what a record fills
	for _, on := range []sparse{f.data, f.durable} {
		var b [1]byte
		on.read(b[:], slot*slotGap+bit/8)
		b[0] ^= 1 << (bit % 8)
		on.write(b[:], slot*slotGap+bit/8)
	}
}

// set puts an older image of the file in its place.
func (f *file) set(image sparse) {
	f.data.assign(image)
	f.durable.assign(image)
	f.dirty = nil
}
