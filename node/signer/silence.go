package signer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sage-p2p/sage-p2p/bft"
)

// SilenceFile is in a home whose key must sign nothing of consensus any more: a
// peer has shown a statement of it that the record does not know. It holds what
// was seen, for the operator, who can remove it; [Recover] and [Signer.Return] do
// too.
const SilenceFile = "signer.silenced"

// Silence ends the signing, durably: whoever restarts the platform finds it silent
// (A6). Of several reasons the first is kept. Without a home it lasts as
// long as the signer.
func (s *Signer) Silence(why string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.failed != nil:
		return s.failed
	case s.silenced != "":
		return nil
	}
	if s.home != "" {
		if err := writeSilence(s.home, why); err != nil {
			s.failed = fmt.Errorf("%w: writing %s: %w", ErrFailed, SilenceFile, err)
			return s.failed
		}
	}
	s.silenced = why
	return nil
}

// Return ends a silence: the replica has found out that the key has said nothing
// above a height, and the others have gone beyond it (J9 of node/replica). At and
// below that height nothing is signed ever again, and this is on the disk before
// the silence ends.
func (s *Signer) Return(above bft.Height) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return s.failed
	}
	next := s.record
	next.Watermark = max(next.Watermark, above)
	if err := s.engrave(next); err != nil {
		return err
	}
	if s.home != "" {
		if err := removeSilence(s.home); err != nil {
			s.failed = fmt.Errorf("%w: removing %s: %w", ErrFailed, SilenceFile, err)
			return s.failed
		}
	}
	s.silenced = ""
	return nil
}

// Halt ends all signing until the process has ended: its key is in use elsewhere.
// Nothing of it is on the disk, since which of the two goes on is for the operator
// to say.
func (s *Signer) Halt(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		s.failed = fmt.Errorf("%w: %s", ErrElsewhere, why)
	}
}

// Silenced returns why nothing of consensus is signed, or "".
func (s *Signer) Silenced() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.silenced
}

func writeSilence(home, why string) error {
	f, err := os.OpenFile(filepath.Join(home, SilenceFile), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(why + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return syncDir(home)
}

// readSilence returns what keeps the key of a home silent, or "". A file that a
// crash left empty does, too.
func readSilence(home string) (string, error) {
	raw, err := os.ReadFile(filepath.Join(home, SilenceFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	} else if err != nil {
		return "", fmt.Errorf("signer: %w", err)
	}
	why := strings.TrimSpace(strings.ToValidUTF8(string(raw), "?"))
	if why == "" {
		why = "a peer holds a statement of this key that the record does not know"
	}
	return why, nil
}

func removeSilence(home string) error {
	if err := os.Remove(filepath.Join(home, SilenceFile)); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("signer: %w", err)
	}
	return syncDir(home)
}
