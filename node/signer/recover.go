package signer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

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
	return Watermark{s.key.ID(), s.genesis, spoken(s.record)}
}

// spoken is the height up to which a record, or what it stands for, has voted.
func spoken(r bft.Record) bft.Height { return max(r.Height, r.FinalHeight, r.Watermark) }

// Recover replaces the record of the key in a home by one that signs nothing
// at or below the watermark's height. It is the operator's word that the key
// has signed nothing above it, here or elsewhere. The watermark of a record
// that is still readable is never lowered.
//
// Which height is right, with H the newest final one that anybody holds:
//
//   - H, for a platform that is the only validator. Nobody else counts its
//     votes, and it told nobody of a block above H.
//   - H+2, if the others are a quorum without it: it may have decided H+1 alone
//     so far, and voted at H+2, and nothing above, which needs another's vote.
//     It is silent until they have passed that.
//   - Otherwise no height is right: above H they wait for it, and there it may
//     have voted. Their chain goes on once the record is found.
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
	if err := h.replace(key, f, w); err != nil {
		return err
	}
	return removeSilence(home) // the watermark is above whatever was shown: the operator's word
}

// replace writes the recovered record over whatever the file holds.
func (h *files) replace(key Key, f *os.File, w Watermark) error {
	record := bft.NewRecord()
	var left []bft.GenesisHash
	slots, raw, err := loadSlots(diskFile{f})
	if err == nil {
		old := newSigner(key, slots)
		r, err := old.decode(raw)
		if err == nil && slices.Contains(old.left, w.Genesis) {
			return fmt.Errorf("%w: this key has left the chain %v", ErrRefused, w.Genesis)
		}
		if left = old.left; err == nil && old.genesis == w.Genesis {
			w.Height = max(w.Height, spoken(r))
			record.BootCount = r.BootCount
		}
	} else if err := h.preallocate(f); err != nil {
		return err
	} else {
		slots = newSlots(diskFile{f})
	}
	s := newSigner(key, slots)
	s.genesis, s.left = w.Genesis, left
	record.Watermark = w.Height
	return s.engrave(record)
}
