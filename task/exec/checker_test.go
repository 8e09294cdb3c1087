package exec_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sage-p2p/sage-p2p/task/exec"
)

func TestACheckerSaysWhatAnOutputIsWorth(t *testing.T) {
	checker := program(t, "checker")
	rt, err := newWASM(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	const long = 5 * exec.CheckTime // programs yield to whatever else a machine does
	for _, tt := range []struct {
		name, input, output string
		want                uint64
		why                 string
	}{
		{"half of it", "four", "ab", 500_000, ""},
		{"all of it", "four", "four", 1_000_000, ""},
		{"nothing of nothing", "", "", 0, ""},
		{"it fails", "four", "fail", 0, "the checker failed"},
		{"it says no number", "four", "words", 0, "want a number from 0 to 1000000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := exec.Check(t.Context(), rt, checker, []byte(tt.input), []byte(tt.output), long)
			if err != nil || got.PPM != tt.want || !strings.Contains(got.Why, tt.why) || (tt.why == "") != (got.Why == "") {
				t.Errorf("have %d ppm, %q, %v; want %d, %q", got.PPM, got.Why, err, tt.want, tt.why)
			}
			again, err := exec.Check(t.Context(), rt, checker, []byte(tt.input), []byte(tt.output), long)
			if err != nil || again.MemoryHash != got.MemoryHash || got.MemoryHash == (exec.MemoryHash{}) {
				t.Errorf("its memory is %s and %s, want one and the same", got.MemoryHash, again.MemoryHash)
			}
		})
	}
	if _, err := exec.Check(t.Context(), rt, []byte("no module"), nil, nil, exec.CheckTime); !errors.Is(err, exec.ErrNotWASM) {
		t.Errorf("no module: %v, want %v", err, exec.ErrNotWASM)
	}
}

func TestAScoreIsANumberInItsOneForm(t *testing.T) {
	for text, want := range map[string]uint64{"0": 0, "0\n": 0, "700000\n": 700_000, "1000000": 1_000_000} {
		if got, err := exec.ParseScore([]byte(text)); err != nil || got != want {
			t.Errorf("%q = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "\n", "1000001", "-1", "+1", "007", "1.0", " 1", "1 ", "1\n\n", "1\r\n", "99999999999999999999"} {
		if got, err := exec.ParseScore([]byte(text)); err == nil {
			t.Errorf("%q = %d, want a refusal", text, got)
		}
	}
}
