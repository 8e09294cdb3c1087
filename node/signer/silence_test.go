package signer

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
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
