package node

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/iotest"
	"time"

	"github.com/ipfs/go-cid"
)

func newBlobs(t *testing.T) blobs {
	t.Helper()
	b, err := openBlobs(filepath.Join(t.TempDir(), "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBlobComesBackUnderItsName(t *testing.T) {
	b := newBlobs(t)
	c, size, err := b.put(bytes.NewReader([]byte("an edge, a corner")))
	if err != nil {
		t.Fatal(err)
	}
	// As made by an independent program: base32 of 0x01551220 and the SHA-256.
	if want := "bafkreibv3lmpz64ymdwjakke6obj6zw5ra5h5xicr4lltal65mmkw5feom"; c.String() != want || size != 17 {
		t.Fatalf("put = %s of %d bytes, want %s of 17", c, size, want)
	}
	if got, err := b.get(c); err != nil || string(got) != "an edge, a corner" {
		t.Errorf("get = %q, %v", got, err)
	}
	if !b.has(c) {
		t.Error("has = false for what was put")
	}
}

func TestBlobThatFailsLeavesNothing(t *testing.T) {
	broken := errors.New("the upload broke off")
	for _, tt := range []struct {
		name string
		from io.Reader
		want error
	}{
		{"the reader fails", io.MultiReader(bytes.NewReader(make([]byte, 1000)), iotest.ErrReader(broken)), broken},
		{"too large", io.LimitReader(zeros{}, MaxBlob+1), ErrBlobTooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBlobs(t)
			if _, _, err := b.put(tt.from); !errors.Is(err, tt.want) {
				t.Fatalf("put: %v, want %v", err, tt.want)
			}
			if left, err := os.ReadDir(b.dir); err != nil || len(left) != 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func TestBlobDamagedOnDiskIsNotServed(t *testing.T) {
	b := newBlobs(t)
	c, _, err := b.put(bytes.NewReader([]byte("result")))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(b.path(c), []byte("resulT"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := b.get(c); !errors.Is(err, ErrNoBlob) {
		t.Errorf("get = %q, %v, want ErrNoBlob", got, err)
	}
	if b.has(c) {
		t.Error("it is still there, and so would never be fetched again")
	}
}

func TestBlobNamesCannotLeaveTheFolder(t *testing.T) {
	b := newBlobs(t)
	for _, s := range []string{"QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG", "bafkqabtimvwgy3yk"} { // v0; identity

		c, err := cid.Decode(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.get(c); !errors.Is(err, ErrNoBlob) {
			t.Errorf("get(%s): %v, want ErrNoBlob: only a sha2-256 names content", s, err)
		}
	}
	if _, err := b.get(cid.Undef); !errors.Is(err, ErrNoBlob) {
		t.Errorf("get of no CID: %v, want ErrNoBlob", err)
	}
}

func TestBlobsForgetWhatACrashLeft(t *testing.T) {
	b := newBlobs(t)
	if err := os.WriteFile(filepath.Join(b.dir, "put-123"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openBlobs(b.dir); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(b.dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// aged stores content of so many bytes that was put so many minutes ago.
func aged(t *testing.T, b blobs, size, minutes int) cid.Cid {
	t.Helper()
	c, _, err := b.put(bytes.NewReader(bytes.Repeat([]byte{byte(minutes)}, size)))
	if err != nil {
		t.Fatal(err)
	}
	when := time.Now().Add(-time.Duration(minutes) * time.Minute)
	if err := os.Chtimes(b.path(c), when, when); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestBlobsForgetTheOldestThatNobodyWants(t *testing.T) {
	b := newBlobs(t)
	oldest, wanted, old, young := aged(t, b, 100, 40), aged(t, b, 100, 30), aged(t, b, 100, 20), aged(t, b, 100, 0)
	keep := func() (map[cid.Cid]bool, error) { return map[cid.Cid]bool{wanted: true}, nil }
	older := time.Now().Add(-10 * time.Minute)
	for _, tt := range []struct {
		limit int64
		want  error
		left  []cid.Cid
	}{
		{400, nil, []cid.Cid{oldest, wanted, old, young}},
		{399, nil, []cid.Cid{wanted, old, young}},
		{200, nil, []cid.Cid{wanted, young}},
		{100, ErrBlobsFull, []cid.Cid{wanted, young}}, // one is wanted, and one may be about to be
	} {
		if err := b.trim(tt.limit, older, keep); !errors.Is(err, tt.want) {
			t.Errorf("trim to %d: %v, want %v", tt.limit, err, tt.want)
		}
		for _, c := range []cid.Cid{oldest, wanted, old, young} {
			if got := b.has(c); got != slices.Contains(tt.left, c) {
				t.Errorf("after trim to %d: has(%s) = %v", tt.limit, c, got)
			}
		}
	}
}

func TestBlobsAskWhatIsWantedOnlyWhenTheyAreFull(t *testing.T) {
	b := newBlobs(t)
	aged(t, b, 100, 40)
	broken := errors.New("the state cannot be read")
	keep := func() (map[cid.Cid]bool, error) { return nil, broken }
	if err := b.trim(100, time.Now(), keep); err != nil {
		t.Errorf("trim of what fits: %v", err)
	}
	if err := b.trim(99, time.Now(), keep); !errors.Is(err, broken) {
		t.Errorf("trim: %v, want %v: nothing goes while it is not known what is wanted", err, broken)
	}
}

func TestBlobThatIsNotWhatItsNameSaysIsNotKept(t *testing.T) {
	b := newBlobs(t)
	err := b.receive(someCID("something else"), func(w io.Writer) error {
		_, err := w.Write([]byte("lies"))
		return err
	})
	if !errors.Is(err, errOtherBlob) {
		t.Errorf("receive: %v, want errOtherBlob", err)
	}
	if left, err := os.ReadDir(b.dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
