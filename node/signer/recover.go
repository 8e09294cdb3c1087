package signer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/sage-p2p/sage-p2p/bft"
)

// Watermark says up to which height a key may have voted: all that a platform
// may carry from one machine to another.
type Watermark struct {
	Platform bft.ID
	Genesis  bft.GenesisHash
	Height   bft.Height // nothing was, or will be, signed above it elsewhere
}

// Watermark returns the height up to which this key has voted.
func (s *Signer) Watermark() Watermark {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Watermark{s.key.ID(), s.genesis, max(s.record.Height, s.record.FinalHeight)}
}

// Recover replaces the record of the key in a home by one that signs nothing
// at or below the watermark's height. It is the operator's word that the key
// has signed nothing above it, here or elsewhere; with a height at least two
// above every final one that its peers know, a key that was alone to vote is
// safe. The watermark of a record that is still readable is never lowered.
func Recover(home string, w Watermark) (err error) {
	h := files{home: home}
	defer func() { err = errors.Join(err, h.close()) }()
	if err := h.lock(home, os.O_RDONLY); err != nil {
		return err
	}
	private, err := h.key()
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s holds no key: put it back from its backup", ErrNeedsRecovery, home)
	} else if err != nil {
		return err
	}
	key := NewKey(private)
	switch {
	case w.Platform != key.ID():
		return fmt.Errorf("%w: the watermark is of %s, the key of %s", ErrForeign, w.Platform, key.ID())
	case w.Genesis == bft.GenesisHash{}:
		return fmt.Errorf("%w: the watermark names no chain", ErrRefused)
	}
	f, err := h.recordFile()
	if err != nil {
		return err
	}
	return h.replace(key, f, w)
}

// replace writes the recovered record over whatever the file holds.
func (h *files) replace(key Key, f *os.File, w Watermark) error {
	record := bft.NewRecord()
	slots, raw, err := loadSlots(diskFile{f})
	if err == nil {
		old := newSigner(key, slots)
		if r, err := old.decode(raw); err == nil && old.genesis == w.Genesis {
			w.Height = max(w.Height, r.Height, r.FinalHeight)
			record.BootCount = r.BootCount
		}
	} else if err := h.preallocate(f); err != nil {
		return err
	} else {
		slots = newSlots(diskFile{f})
	}
	s := newSigner(key, slots)
	s.genesis = w.Genesis
	return s.write(record.Finalize(w.Height, record.FinalID))
}
