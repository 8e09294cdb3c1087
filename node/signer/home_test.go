package signer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/sage-p2p/sage-p2p/bft"
)

// The test binary is its own child process: with childHome set it signs in
// that home, and with childSeed too it signs at random until it is killed.
const (
	childHome = "SIGNER_TEST_HOME"
	childSeed = "SIGNER_TEST_SEED"
)

func TestMain(m *testing.M) {
	home := os.Getenv(childHome)
	if home == "" {
		os.Exit(m.Run())
	}
	if err := child(home, os.Getenv(childSeed)); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

func child(home, seed string) error {
	s, err := Open(home)
	if err != nil {
		return err
	}
	fmt.Println("open")
	if seed == "" {
		_, err := io.Copy(io.Discard, os.Stdin) // hold the home until told to go
		return err
	}
	n, err := strconv.ParseUint(seed, 10, 64)
	if err != nil {
		return err
	}
	for rng := rand.New(rand.NewPCG(n, 0)); ; {
		u := random(rng, max(1, s.Record().Height))
		signatures, err := s.Sign(u)
		if errors.Is(err, bft.ErrContradiction) {
			continue
		} else if err != nil {
			return err
		}
		fmt.Printf("%d %d %d %s %d %x\n", u.Kind, u.Height, u.View, u.Block, u.HighView, signatures[0])
	}
}

func startChild(t *testing.T, home, seed string) (*exec.Cmd, *bufio.Scanner, io.WriteCloser) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childHome+"="+home, childSeed+"="+seed)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "open" {
		_ = cmd.Wait()
		t.Fatalf("the child says %q", lines.Text())
	}
	return cmd, lines, in
}

// newHome returns a home with a key and a record tied to the test's chain.
func newHome(t *testing.T) string {
	t.Helper()
	home := filepath.Join(t.TempDir(), "home")
	s, err := OpenOrCreate(home)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Bind(testGenesis); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return home
}

func TestKeyStaysTheSame(t *testing.T) {
	home := newHome(t)
	var ids []bft.ID
	for _, open := range []func(string) (*Signer, error){Open, OpenOrCreate} {
		s, err := open(home)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, s.ID())
		if !s.HostKey().GetPublic().Equals(must(s.ID().ExtractPublicKey())) {
			t.Error("the host's key is another")
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if ids[0] != ids[1] {
		t.Errorf("have %v, then %v", ids[0], ids[1])
	}
	info, err := os.Stat(filepath.Join(home, RecordFile))
	if err != nil || info.Size() != FileSize {
		t.Errorf("the record's file has %d bytes, want %d (%v)", info.Size(), FileSize, err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestHomeThatCannotBeTrustedIsRefused(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(home string) error
		want  error
		says  string
	}{
		{"key readable by others", func(home string) error { return os.Chmod(filepath.Join(home, KeyFile), 0o640) }, ErrExposed, "chmod 600"},
		{"key gone", func(home string) error { return os.Remove(filepath.Join(home, KeyFile)) }, ErrNeedsRecovery, "put the key back"},
		{"key damaged", func(home string) error { return os.WriteFile(filepath.Join(home, KeyFile), []byte("x"), 0o600) }, ErrNeedsRecovery, "key is no key file: put the key back from its backup"},
		{"record gone", func(home string) error { return os.Remove(filepath.Join(home, RecordFile)) }, ErrNeedsRecovery, "missing, so what this key has signed is not known: recover"},
		{"record blank", func(home string) error {
			return os.WriteFile(filepath.Join(home, RecordFile), make([]byte, FileSize), 0o600)
		}, ErrNeedsRecovery, "with a watermark"},
		{"record cut short", func(home string) error { return os.Truncate(filepath.Join(home, RecordFile), 40) }, ErrNeedsRecovery, "with a watermark"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			home := newHome(t)
			if err := tt.spoil(home); err != nil {
				t.Fatal(err)
			}
			before := contents(t, home)
			for _, open := range []func(string) (*Signer, error){Open, OpenOrCreate} {
				_, err := open(home)
				if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("have %v, want %v that says %q", err, tt.want, tt.says)
				}
			}
			if !bytes.Equal(contents(t, home), before) {
				t.Error("the files changed")
			}
		})
	}
}

func contents(t *testing.T, home string) []byte {
	t.Helper()
	var all []byte
	for _, name := range []string{KeyFile, RecordFile} {
		b, err := os.ReadFile(filepath.Join(home, name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		all = append(append(all, b...), '|')
	}
	return all
}

func TestAnotherKeysRecordIsRefused(t *testing.T) {
	a, b := newHome(t), newHome(t)
	if err := os.Rename(filepath.Join(b, KeyFile), filepath.Join(a, KeyFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(a); !errors.Is(err, ErrForeign) {
		t.Errorf("have %v, want ErrForeign", err)
	}
}

// A start that was interrupted before the key was written is taken up again.
func TestInterruptedCreationIsRepeated(t *testing.T) {
	for name, leave := range map[string][]byte{
		"record empty": nil,
		"record short": make([]byte, 100),
		"record blank": make([]byte, FileSize),
	} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			if err := os.WriteFile(filepath.Join(home, RecordFile), leave, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := OpenOrCreate(home)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
	home := newHome(t) // and one that was tied to no chain yet
	s := must(OpenOrCreate(t.TempDir()))
	unbound := must(os.ReadFile(s.slots.file.(diskFile).Name()))
	if err := errors.Join(s.Close(), os.Remove(filepath.Join(home, KeyFile)), os.WriteFile(filepath.Join(home, RecordFile), unbound, 0o600)); err != nil {
		t.Fatal(err)
	}
	s, err := OpenOrCreate(home)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOneProcessHoldsTheKey(t *testing.T) {
	home := newHome(t)
	cmd, _, in := startChild(t, home, "")
	if _, err := Open(home); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), home) {
		t.Errorf("the same home: have %v, want ErrInUse that names it", err)
	}
	linked := t.TempDir() // the same key, by another home
	if err := errors.Join(
		os.Link(filepath.Join(home, KeyFile), filepath.Join(linked, KeyFile)),
		os.WriteFile(filepath.Join(linked, RecordFile), must(os.ReadFile(filepath.Join(home, RecordFile))), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(linked); !errors.Is(err, ErrInUse) {
		t.Errorf("the same key by a link: have %v, want ErrInUse", err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	s, err := Open(home)
	if err != nil {
		t.Fatalf("after the other process ended: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A child that signs what it likes is killed again and again; nothing that it
// handed out contradicts anything else that it did.
func TestKilledSignerNeverContradictsItself(t *testing.T) {
	cycles := 30
	if testing.Short() {
		cycles = 5
	}
	home := newHome(t)
	rng := rand.New(rand.NewPCG(11, 12))
	var said oracle
	signatures := make(map[string]string)
	for cycle := range cycles {
		cmd, lines, _ := startChild(t, home, strconv.Itoa(cycle))
		for range 1 + rng.IntN(40) {
			if !lines.Scan() {
				t.Fatal("the child ended by itself")
			}
			note(t, &said, signatures, lines.Text())
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // what it said while it was dying
			note(t, &said, signatures, lines.Text())
		}
		_ = cmd.Wait()
	}
	if len(said) < cycles {
		t.Errorf("only %d statements in %d cycles: the test is blind", len(said), cycles)
	}
	t.Logf("%d cycles, %d statements, no contradiction", cycles, len(said))
}

// note checks one line of the child. Killed, it may leave half a line.
func note(t *testing.T, said *oracle, signatures map[string]string, line string) {
	t.Helper()
	fields := strings.Fields(line)
	if len(fields) != 6 || len(fields[5]) != 128 {
		return
	}
	what := strings.Join(fields[:5], " ")
	if old, ok := signatures[what]; ok && old != fields[5] {
		t.Fatalf("two signatures of %s", what)
	}
	signatures[what] = fields[5]
	var s bft.Statement
	if _, err := fmt.Sscan(strings.Join([]string{fields[0], fields[1], fields[2], fields[4]}, " "), (*uint8)(&s.Kind), (*uint64)(&s.Height), (*int64)(&s.View), (*int64)(&s.HighView)); err != nil {
		t.Fatal(err)
	}
	for _, b := range []string{"a", "b"} {
		if block(b).String() == fields[3] {
			s.Block = block(b)
		}
	}
	if err := said.add(s); err != nil {
		t.Fatal(err)
	}
}

func TestRecoverySignsNothingBelowTheWatermark(t *testing.T) {
	home := newHome(t)
	s := must(Open(home))
	mustSign(t, s, prepare(7, 0, "a"))
	w := s.Watermark()
	if w.Height != 7 || w.Genesis != testGenesis {
		t.Errorf("watermark is %+v", w)
	}
	if err := errors.Join(s.Close(), os.Remove(filepath.Join(home, RecordFile))); err != nil {
		t.Fatal(err)
	}
	// The second time the record is readable, and knows better than w.
	for _, floor := range []bft.Height{7, 8} {
		if err := Recover(home, w); err != nil {
			t.Fatal(err)
		}
		s := must(Open(home))
		if _, err := s.Sign(prepare(floor, 1, "b")); !errors.Is(err, bft.ErrContradiction) {
			t.Errorf("a vote at the watermark %d: have %v, want ErrContradiction", floor, err)
		}
		mustSign(t, s, prepare(floor+1, 0, "b"))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	w.Platform = NewKey(testKey("b")).ID()
	if err := Recover(home, w); !errors.Is(err, ErrForeign) {
		t.Errorf("another platform's watermark: have %v, want ErrForeign", err)
	}
}

// Whose key it is can be seen while a node holds the home, and of none that there
// is none.
func TestWhoseKeyAHomeHoldsIsSeenWhileItIsHeld(t *testing.T) {
	home := newHome(t)
	s, err := Open(home)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := IDOf(home); err != nil || id != s.ID() {
		t.Errorf("IDOf = %v, %v, want %v", id, err, s.ID())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := IDOf(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a key: %v", err)
	}
	if err := os.WriteFile(filepath.Join(home, KeyFile), []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := IDOf(home); !errors.Is(err, ErrNeedsRecovery) {
		t.Errorf("of a damaged one: %v", err)
	}
}
