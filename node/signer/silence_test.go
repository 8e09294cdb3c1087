package signer

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/sage-p2p/sage-p2p/bft"
)

func TestASilencedKeySignsNothingThroughAnyRestart(t *testing.T) {
	home := newHome(t)
	for start := range 3 {
		s, err := Open(home)
		if err != nil {
			t.Fatal(err)
		}
		if start == 0 {
			if err := s.Silence("a peer knows better"); err != nil {
				t.Fatal(err)
			}
			if err := s.Silence("another reason"); err != nil {
				t.Fatal(err)
			}
		}
		if got := s.Silenced(); got != "a peer knows better" {
			t.Errorf("start %d: silenced for %q", start, got)
		}
		if _, err := s.Sign(prepare(5, 0, "a")); !errors.Is(err, ErrRefused) {
			t.Errorf("start %d: Sign: %v, want a refusal", start, err)
		}
		if _, err := s.SignBytes([]byte("sage/tx/1 pays")); err != nil {
			t.Errorf("start %d: what is not of consensus: %v", start, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A key that is in use elsewhere signs nothing any more, of whatever kind, in this
// process; the next one finds the record as it was.
func TestAKeyThatIsHaltedSignsNothing(t *testing.T) {
	home := newHome(t)
	s, err := Open(home)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sign(prepare(3, 0, "a")); err != nil {
		t.Fatal(err)
	}
	s.Halt("two say so")
	if _, err := s.Sign(prepare(3, 0, "a")); !errors.Is(err, ErrElsewhere) {
		t.Errorf("Sign: %v, want ErrElsewhere", err)
	}
	if _, err := s.SignBytes([]byte("sage/tx/1 pays")); !errors.Is(err, ErrElsewhere) {
		t.Errorf("SignBytes: %v, want ErrElsewhere", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(home); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if r := s.Record(); r.Height != 3 || s.Silenced() != "" {
		t.Errorf("record of height %d, silenced for %q", r.Height, s.Silenced())
	}
}

// What was silenced signs again above a height, and at or below it never.
func TestAKeyThatReturnsSaysNothingAtOrBelowTheWatermark(t *testing.T) {
	home := newHome(t)
	s, err := Open(home)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sign(prepare(3, 0, "a")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Silence("a peer knows better"), s.Return(5)); err != nil {
		t.Fatal(err)
	}
	for start := range 2 {
		if got := s.Silenced(); got != "" {
			t.Errorf("start %d: silenced for %q", start, got)
		}
		for _, h := range []bft.Height{3, 4, 5} {
			if _, err := s.Sign(prepare(h, 1, "b")); !errors.Is(err, bft.ErrContradiction) {
				t.Errorf("start %d: it signs at height %d: %v", start, h, err)
			}
		}
		if start == 0 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if s, err = Open(home); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := s.Sign(prepare(6, 0, "b")); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A crash while the file was written leaves it empty.
func TestAnEmptySilenceIsOne(t *testing.T) {
	home := newHome(t)
	if err := os.WriteFile(filepath.Join(home, SilenceFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(home)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Silenced() == "" {
		t.Error("it may sign")
	}
}

func TestARecoveredKeyIsSilentNoLonger(t *testing.T) {
	home := newHome(t)
	s, err := Open(home)
	if err != nil {
		t.Fatal(err)
	}
	mark := s.Watermark()
	if err := errors.Join(s.Silence("a peer knows better"), s.Close()); err != nil {
		t.Fatal(err)
	}
	mark.Height = 9
	if err := Recover(home, mark); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(home); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := s.Silenced(); got != "" {
		t.Errorf("silenced for %q", got)
	}
}
