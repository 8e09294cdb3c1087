package node

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/sage-p2p/sage-p2p/atp"
)

// MaxBlob is the most bytes that a program, an input or a result may have.
const MaxBlob = 64 << 20

var (
	// ErrNoBlob reports content that is not here.
	ErrNoBlob = errors.New("node: content is not here")

	// ErrBlobTooLarge reports content beyond MaxBlob. Nothing of it is kept.
	ErrBlobTooLarge = fmt.Errorf("node: content has more than %d bytes", MaxBlob)
)

// blobs is content by its CID (v1, sha2-256, raw or dag-cbor), a file each, in HOME/blobs.
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
func (b blobs) put(r io.Reader) (c cid.Cid, size uint64, err error) {
	err = b.write(cid.Raw, func(w io.Writer) error {
		n, err := io.Copy(w, io.LimitReader(r, MaxBlob+1))
		size = uint64(n)
		if err == nil && n > MaxBlob {
			return ErrBlobTooLarge
		}
		return err
	}, func(got cid.Cid) error { c = got; return nil })
	return c, size, err
}

// putBytes stores data as raw bytes.
func (b blobs) putBytes(data []byte) (cid.Cid, error) {
	c, _, err := b.put(bytes.NewReader(data))
	return c, err
}

// putRecord stores a DAG-CBOR value, such as that of a program that failed.
func (b blobs) putRecord(data []byte) (c cid.Cid, err error) {
	err = b.write(cid.DagCBOR, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}, func(got cid.Cid) error { c = got; return nil })
	return c, err
}

// receive stores what fill writes if it is the content named want.
func (b blobs) receive(want cid.Cid, fill func(io.Writer) error) error {
	if !namesBlob(want) {
		return fmt.Errorf("%w: %s does not name a blob", ErrNoBlob, want)
	}
	return b.write(want.Prefix().Codec, fill, func(got cid.Cid) error {
		if got != want {
			return fmt.Errorf("node: blobs: have the bytes of %s, want %s", got, want)
		}
		return nil
	})
}

// write stores what fill writes, if check agrees to its name.
func (b blobs) write(codec uint64, fill func(io.Writer) error, check func(cid.Cid) error) error {
	f, err := os.CreateTemp(b.dir, "put-*")
	if err != nil {
		return fmt.Errorf("node: blobs: %w", err)
	}
	defer os.Remove(f.Name()) // after the rename there is none of that name
	defer f.Close()

	h := sha256.New()
	if err := fill(io.MultiWriter(f, h)); err != nil {
		return err
	}
	c, err := blobCID(codec, h.Sum(nil))
	if err != nil {
		return err
	}
	if err := check(c); err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("node: blobs: %w", err)
	}
	if err := os.Rename(f.Name(), b.path(c)); err != nil {
		return fmt.Errorf("node: blobs: %w", err)
	}
	return syncDir(b.dir)
}

// get returns the whole content of c, checked against its name.
func (b blobs) get(c cid.Cid) ([]byte, error) {
	if !namesBlob(c) {
		return nil, fmt.Errorf("%w: %s does not name a blob", ErrNoBlob, c)
	}
	data, err := os.ReadFile(b.path(c))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNoBlob, c)
	} else if err != nil {
		return nil, fmt.Errorf("node: blobs: %w", err)
	}
	sum := sha256.Sum256(data)
	if got, err := blobCID(c.Prefix().Codec, sum[:]); err != nil || got != c {
		return nil, fmt.Errorf("%w: the file of %s was damaged; remove %s", ErrNoBlob, c, b.path(c))
	}
	return data, nil
}

// has reports whether c is here, unread.
func (b blobs) has(c cid.Cid) bool {
	if !namesBlob(c) {
		return false
	}
	_, err := os.Stat(b.path(c))
	return err == nil
}

// maxBlobs is how many bytes of content a home holds before old content goes.
const maxBlobs = 4 << 30

// trim removes the oldest content that is not wanted until no more than limit
// bytes are left: what peers can make us fetch is bounded by it.
func (b blobs) trim(limit int64, wanted func(cid.Cid) bool) error {
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		return fmt.Errorf("node: blobs: %w", err)
	}
	var files []fs.FileInfo
	total := int64(0)
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			files, total = append(files, info), total+info.Size()
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, f := range files {
		c, err := cid.Decode(f.Name())
		if total <= limit || err != nil || wanted(c) {
			continue
		}
		if err := os.Remove(b.path(c)); err != nil {
			return fmt.Errorf("node: blobs: %w", err)
		}
		total -= f.Size()
	}
	if total > limit {
		return fmt.Errorf("node: blobs: %d bytes are wanted, and there is room for %d", total, limit)
	}
	return nil
}

func (b blobs) path(c cid.Cid) string { return filepath.Join(b.dir, c.String()) }

func blobCID(codec uint64, sum []byte) (cid.Cid, error) {
	mh, err := multihash.Encode(sum, multihash.SHA2_256)
	if err != nil {
		return cid.Undef, fmt.Errorf("node: blobs: %w", err)
	}
	return cid.NewCidV1(codec, mh), nil
}

// namesBlob reports whether c has one of the two forms that name a blob, whose
// string is always a safe file name.
func namesBlob(c cid.Cid) bool { return atp.CheckCID(c, cid.Raw, cid.DagCBOR) == nil }

// syncDir makes the names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}
