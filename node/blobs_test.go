package node

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

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

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
