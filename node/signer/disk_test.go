package signer

import (
	"errors"
	"io"
	"math/rand/v2"
	"slices"
)

const sector = 512

// errDisk is what a broken simulated disk answers.
var errDisk = errors.New("input/output error")

// disk is a simulated file. What was written since the last Sync is lost, torn
// or kept by a power cut, sector by sector, as the test decides.
type disk struct {
	durable []byte
	cached  []write // whose Sync failed: readers see them, and no Sync writes them any more
	pending []write // since the last Sync

	syncs    int  // calls so far
	failSync int  // the call that fails, counted from 1; 0 is none
	forgets  bool // as Linux has it: an error is told once, and what was to be written counts as clean
	lieSync  int  // the call that does nothing; 0 is none
	writes   int
	failing  int // the write that fails; 0 is none
}

type write struct {
	offset int64
	data   []byte
}

func newDisk() *disk { return &disk{durable: make([]byte, FileSize)} }

// view is what a process sees: everything written.
func (d *disk) view() []byte {
	all := slices.Clone(d.durable)
	for _, w := range slices.Concat(d.cached, d.pending) {
		copy(all[w.offset:], w.data)
	}
	return all
}

func (d *disk) ReadAt(p []byte, off int64) (int, error) {
	all := d.view()
	if off >= int64(len(all)) {
		return 0, io.EOF
	}
	n := copy(p, all[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (d *disk) WriteAt(p []byte, off int64) (int, error) {
	if d.writes++; d.writes == d.failing {
		return 0, errDisk
	}
	if off < 0 || off+int64(len(p)) > int64(len(d.durable)) {
		return 0, errors.New("the file would grow")
	}
	d.pending = append(d.pending, write{off, slices.Clone(p)})
	return len(p), nil
}

func (d *disk) Sync() error {
	switch d.syncs++; d.syncs {
	case d.failSync:
		if d.forgets {
			d.cached, d.pending = append(d.cached, d.pending...), nil
		}
		return errDisk
	case d.lieSync:
		return nil
	}
	for _, w := range d.pending {
		copy(d.durable[w.offset:], w.data)
	}
	d.pending = nil
	return nil
}

// sectors returns the pending writes cut at sector boundaries.
func (d *disk) sectors() []write {
	var all []write
	for _, w := range d.pending {
		for len(w.data) > 0 {
			n := min(len(w.data), sector-int(w.offset%sector))
			all = append(all, write{w.offset, w.data[:n]})
			w = write{w.offset + int64(n), w.data[n:]}
		}
	}
	return all
}

// cut returns the disk after a power cut that the given pieces survived.
func (d *disk) cut(kept ...write) *disk {
	after := &disk{durable: slices.Clone(d.durable)}
	for _, w := range kept {
		copy(after.durable[w.offset:], w.data)
	}
	return after
}

// outcomes returns what power cuts may leave of what is pending: every byte
// prefix (every 61st if it is long), every subset of its sectors if there are
// few, and random ones, with one torn inside, if there are more.
func (d *disk) outcomes(rng *rand.Rand) [][]write {
	all := [][]write{nil}
	for i, w := range d.pending {
		step := 1
		if len(w.data) > 4*sector {
			step = 61
		}
		for n := 0; n <= len(w.data); n += step {
			all = append(all, append(slices.Clone(d.pending[:i]), write{w.offset, w.data[:n]}))
		}
	}
	parts := d.sectors()
	if len(parts) <= 8 {
		for mask := range 1 << len(parts) {
			all = append(all, subset(parts, func(i int) bool { return mask>>i&1 == 1 }))
		}
		return all
	}
	for range 200 {
		kept := subset(parts, func(int) bool { return rng.IntN(2) == 0 })
		if len(kept) > 0 {
			torn := rng.IntN(len(kept))
			kept[torn].data = kept[torn].data[:rng.IntN(len(kept[torn].data)+1)]
		}
		all = append(all, kept)
	}
	return all
}

// sample picks at most n of the outcomes.
func sample(rng *rand.Rand, all [][]write, n int) [][]write {
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:min(n, len(all))]
}

func subset(parts []write, keep func(int) bool) []write {
	var kept []write
	for i, p := range parts {
		if keep(i) {
			kept = append(kept, p)
		}
	}
	return kept
}
