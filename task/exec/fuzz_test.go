package exec

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzChat reads what another platform has posted as the input of a task. What
// is taken is in its one form and within its bounds; of all else nothing is
// left, and the requester is blamed.
func FuzzChat(f *testing.F) {
	warm, seed := 0.5, int64(-7)
	for _, c := range []Chat{
		{Messages: []Message{{Role: "user", Content: "<ä>\x00\u2028"}}},
		{
			Messages:  []Message{{Role: "system", Content: ""}, {Role: "user", Content: "Who?"}, {Role: "assistant", Content: "I."}},
			MaxTokens: math.MaxUint32, Temperature: &warm, TopP: &warm, Seed: &seed, Stop: []string{"END", "\n"},
		},
	} {
		raw, err := c.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
		f.Add(append(raw, ' '))
		f.Add(bytes.Replace(raw, []byte(`"role"`), []byte(`"Role"`), 1))
	}
	for _, other := range []string{
		`{}`, `null`, `{"messages":[{"role":"user","content":"a"}],"temperature":-0}`, `{"messages":[{"role":"user","content":"\ud800"}]}`,
		`{"messages":[{"role":"tool","content":"a"}]}`, `{"messages":[{"role":"user","content":"a"}],"top_p":1e-400}`,
	} {
		f.Add([]byte(other))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := DecodeChat(raw)
		if err != nil {
			if !errors.Is(err, ErrChat) || !errors.Is(err, ErrInvalid) || errors.Is(err, ErrHost) || !reflect.ValueOf(c).IsZero() {
				t.Fatalf("%q: %v with %+v, want the requester blamed and nothing", raw, err, c)
			}
			return
		}
		if again, err := c.Encode(); err != nil || !bytes.Equal(again, raw) {
			t.Fatalf("%q is taken, and encodes to %q, %v", raw, again, err)
		}
		if len(raw) > MaxChat || len(c.Messages) == 0 || len(c.Messages) > maxMessages || len(c.Stop) > maxStops {
			t.Fatalf("%d bytes are taken, with %d messages and %d texts that end the answer", len(raw), len(c.Messages), len(c.Stop))
		}
		for _, x := range []*float64{c.Temperature, c.TopP} {
			if x != nil && !(*x >= 0 && *x <= 2) {
				t.Fatalf("%q is taken with %v", raw, *x)
			}
		}
	})
}

// FuzzScore reads what a checker says, which another platform may have written.
// A score has one form, and what is said of any other fits into a line.
func FuzzScore(f *testing.F) {
	for _, text := range []string{"0", "700000\n", "1000000", "1000001", "007", "+1", "", "\n\n", "99999999999999999999", "\xff\x1b[2J", strings.Repeat("9", 99)} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, output []byte) {
		ppm, err := ParseScore(output)
		if err != nil {
			if said := err.Error(); ppm != 0 || len(said) > 500 || !utf8.ValidString(said) || strings.ContainsAny(said, "\x00\n\r\x1b") {
				t.Fatalf("%q: %d, %q", output, ppm, said)
			}
			return
		}
		if plain := fmt.Sprint(ppm); ppm > wholeScore || string(output) != plain && string(output) != plain+"\n" {
			t.Fatalf("%q is taken for %d", output, ppm)
		}
	})
}

// FuzzFailed reads an output, which may be made to look like that of a failed
// program. Only the bytes of EncodeFailed are, and they say one code.
func FuzzFailed(f *testing.F) {
	for _, code := range []int64{TrapCode, 1, 23, 24, 255, 256, 1 << 16, 1<<32 - 1} {
		f.Add(EncodeFailed(code))
		f.Add(append(EncodeFailed(code), 0))
	}
	for _, other := range []string{"", "\x82\x66failed", "\x82\x66failed\x00", "\x82\x66failed\x18\x03", "\x82\x66failed\x1b\x00\x00\x00\x01\x00\x00\x00\x00"} {
		f.Add([]byte(other))
	}
	f.Fuzz(func(t *testing.T, output []byte) {
		code, failed := DecodeFailed(output)
		switch {
		case !failed && code != 0:
			t.Fatalf("%x is none, with the code %d", output, code)
		case failed && (code != TrapCode && (code < 1 || code > math.MaxUint32) || !bytes.Equal(EncodeFailed(code), output) || len(output) > maxFailed):
			t.Fatalf("%x is taken for the code %d", output, code)
		}
	})
}
