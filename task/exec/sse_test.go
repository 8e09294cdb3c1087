package exec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// events reads all data of a stream of at most 2 MiB.
func events(from io.Reader) (all []string, err error) {
	r := newSSEReader(from)
	r.left = 2 << 20
	for {
		data, err := r.next()
		if err != nil {
			return all, err
		}
		all = append(all, string(data))
	}
}

func TestEventsAreReadWhateverElseTheyHave(t *testing.T) {
	for sent, want := range map[string][]string{
		"":                                   nil,
		"data: a\n\n":                        {"a"},
		"data: a\r\n\r\ndata:b\r\n\r\n":      {"a", "b"},
		"data:  two\ndata: lines\n\n":        {" two\nlines"},
		": alive\n\nevent: x\nid: 7\n\n":     nil,
		"event: x\ndata: a\nretry: 3\n\n":    {"a"},
		"data\n\n":                           {""},
		"data: ends without an empty line\n": {"ends without an empty line"},
		"data: without any":                  {"without any"},
		"database: x\n\n":                    nil,
	} {
		got, err := events(strings.NewReader(sent))
		if !errors.Is(err, io.EOF) {
			t.Errorf("%q: %v", sent, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", sent, diff)
		}
	}
}

// endless is a piece of text again and again, without an end.
type endless struct{ piece string }

func (e endless) Read(p []byte) (int, error) {
	n := 0
	for n+len(e.piece) <= len(p) {
		n += copy(p[n:], e.piece)
	}
	return max(n, copy(p, e.piece)), nil
}

func TestNoStreamOfEventsGoesOnForEver(t *testing.T) {
	for _, piece := range []string{"x", "data: x\n", ": alive\n", "\n", "data\n"} {
		if _, err := events(endless{piece}); !errors.Is(err, errStream) {
			t.Errorf("an endless stream of %q ends with %v, want %v", piece, err, errStream)
		}
	}
	whole := strings.Repeat("x", maxEvent-len("data: ")-1)
	if got, err := events(strings.NewReader("data: " + whole + "\n\n")); !errors.Is(err, io.EOF) || !slices.Equal(got, []string{whole}) {
		t.Errorf("the longest line is not read: %d events, %v", len(got), err)
	}
	if _, err := events(strings.NewReader("data: " + whole + "y\n\n")); !errors.Is(err, errStream) {
		t.Errorf("a longer line: %v, want %v", err, errStream)
	}
}

// Whatever a server sends, what is read of it is bounded, and is read again from
// events that say the same in the plainest form.
func FuzzEventStream(f *testing.F) {
	for _, seed := range []string{"data: a\n\n", "data: a\r\ndata: b\r\n\r\n", ": x\n\ndata", "data:\n\n\ndata: [DONE]", "\xff\x00data: \r\r\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		all, err := events(bytes.NewReader(sent))
		if !errors.Is(err, io.EOF) && !errors.Is(err, errStream) {
			t.Fatal(err)
		}
		var plain strings.Builder
		for _, data := range all {
			if len(data) > maxEvent {
				t.Fatalf("an event of %d bytes", len(data))
			}
			fmt.Fprintf(&plain, "data: %s\r\n\r\n", strings.ReplaceAll(data, "\n", "\r\ndata: "))
		}
		again, _ := events(strings.NewReader(plain.String()))
		if diff := cmp.Diff(all, again); diff != "" {
			t.Fatalf("read again (-first +second):\n%s", diff)
		}
	})
}

func TestOnlyWhatIsMeantIsConnectedTo(t *testing.T) {
	for _, tt := range []struct {
		host, resolved string
		ok             bool
	}{
		{"127.0.0.1", "127.0.0.1:80", true},
		{"::1", "[::1]:80", true},
		{"192.168.1.7", "192.168.1.7:80", true},
		{"169.254.1.1", "169.254.1.1:80", true},
		{"192.168.1.7", "192.168.1.8:80", false},
		{"localhost", "127.0.0.1:80", true},
		{"localhost", "[::1]:80", true},
		{"localhost", "192.168.1.7:80", false},
		{"models.lan", "192.168.1.7:80", true},
		{"models.example.org", "203.0.113.7:443", true},
		{"models.example.org", "127.0.0.1:443", false},
		{"models.example.org", "[::ffff:127.0.0.1]:443", false},
		{"models.example.org", "169.254.169.254:80", false},
		{"models.example.org", "[fe80::1]:80", false},
		{"models.example.org", "0.0.0.0:80", false},
		{"models.example.org", "nonsense", false},
	} {
		if err := permit(tt.host, tt.resolved); (err == nil) != tt.ok {
			t.Errorf("permit(%s, %s) = %v", tt.host, tt.resolved, err)
		}
	}
}
