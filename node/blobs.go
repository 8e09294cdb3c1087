package node

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// MaxBlob is the most bytes that a program, an input or a result may have.
const MaxBlob = 32 << 20

var (
	// ErrNoBlob reports content that is not here.
	ErrNoBlob = errors.New("node: content is not here")

	// ErrBlobTooLarge reports content beyond MaxBlob. Nothing of it is kept.
	ErrBlobTooLarge = fmt.Errorf("node: content has more than %d bytes", MaxBlob)
)

// blobs is content by its CID (v1, raw, sha2-256), a file each, in HOME/blobs.
// A file appears under its name only when all of it is on disk, so that a
// crash leaves nothing half-written to be found; what is read is checked
// against its name.
type blobs struct{ dir string }

// openBlobs returns the blobs in dir, which it makes if need be, and removes
// what a crash left unfinished.
func openBlobs(dir string) (blobs, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return blobs{}, fmt.Errorf("node: blobs: %w", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "put-*"))
	if err != nil {
		return blobs{}, fmt.Errorf("node: blobs: %w", err)
	}
	for _, f := range left {
		if err := os.Remove(f); err != nil {
			return blobs{}, fmt.Errorf("node: blobs: %w", err)
		}
	}
	return blobs{dir}, nil
}

// put stores what r gives and returns its CID and size; both are durable when
// it returns. On error nothing is kept; an error of r is returned as it is.
func (b blobs) put(r io.Reader) (cid.Cid, uint64, error) {
	f, err := os.CreateTemp(b.dir, "put-*")
	if err != nil {
		return cid.Undef, 0, fmt.Errorf("node: blobs: %w", err)
	}
	defer os.Remove(f.Name()) // after the rename there is none of that name
	defer f.Close()

	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), io.LimitReader(r, MaxBlob+1))
	switch {
	case err != nil:
		return cid.Undef, 0, err
	case n > MaxBlob:
		return cid.Undef, 0, ErrBlobTooLarge
	}
	c, err := rawCID(h.Sum(nil))
	if err != nil {
		return cid.Undef, 0, err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return cid.Undef, 0, fmt.Errorf("node: blobs: %w", err)
	}
	if err := os.Rename(f.Name(), b.path(c)); err != nil {
		return cid.Undef, 0, fmt.Errorf("node: blobs: %w", err)
	}
	return c, uint64(n), syncDir(b.dir)
}

// get returns the whole content of c, checked against its name.
func (b blobs) get(c cid.Cid) ([]byte, error) {
	if !isRaw(c) {
		return nil, fmt.Errorf("%w: %s does not name raw bytes", ErrNoBlob, c)
	}
	data, err := os.ReadFile(b.path(c))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNoBlob, c)
	} else if err != nil {
		return nil, fmt.Errorf("node: blobs: %w", err)
	}
	sum := sha256.Sum256(data)
	if got, err := rawCID(sum[:]); err != nil || got != c {
		return nil, fmt.Errorf("%w: the file of %s was damaged; remove %s", ErrNoBlob, c, b.path(c))
	}
	return data, nil
}

// has reports whether c is here, unread.
func (b blobs) has(c cid.Cid) bool {
	if !isRaw(c) {
		return false
	}
	_, err := os.Stat(b.path(c))
	return err == nil
}

func (b blobs) path(c cid.Cid) string { return filepath.Join(b.dir, c.String()) }

func rawCID(sum []byte) (cid.Cid, error) {
	mh, err := multihash.Encode(sum, multihash.SHA2_256)
	if err != nil {
		return cid.Undef, fmt.Errorf("node: blobs: %w", err)
	}
	return cid.NewCidV1(cid.Raw, mh), nil
}

// isRaw reports whether c has the one form that names a blob, whose string is
// always a safe file name.
func isRaw(c cid.Cid) bool {
	p := c.Prefix()
	return c.Defined() && p.Version == 1 && p.Codec == cid.Raw && p.MhType == multihash.SHA2_256 && p.MhLength == sha256.Size
}

// syncDir makes the names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}
