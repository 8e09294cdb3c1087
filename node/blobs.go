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
	"strings"
	"time"

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

	// ErrBlobsFull reports that there is no room for more content, since what
	// there is belongs to open tasks or is new. Try again later.
	ErrBlobsFull = errors.New("node: no room for more content")

	// errOtherBlob reports content that came under the name of another. Its
	// sender is to blame.
	errOtherBlob = errors.New("node: content is not what its name says")
)

// blobs is content by its CID (v1, sha2-256, raw or dag-cbor), a file each, in HOME/blobs.
// A file appears under its name only when all of it is on disk, so that a
// crash leaves nothing half-written to be found; what is read is checked
// against its name.
//
// Content fetched for a task of somebody else is kept under its requester's
// name, apart from ours and from everyone else's: who knows the name of
// content must not get at it by posting a task that names it.
type blobs struct {
	dir   string
	owner string // of the content: a peer ID, or empty for our own
}

// openBlobs returns the blobs in dir, which it makes if need be, and removes
// what a crash left unfinished.
func openBlobs(dir string) (blobs, error) { return blobs{dir: dir}, openFolder(dir) }

// from returns the content that came from one requester.
func (b blobs) from(requester atp.ID) blobs {
	b.owner = requester.String()
	return b
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
			return fmt.Errorf("%w: have the bytes of %s, want %s", errOtherBlob, got, want)
		}
		return nil
	})
}

// write stores what fill writes, if check agrees to its name.
func (b blobs) write(codec uint64, fill func(io.Writer) error, check func(cid.Cid) error) error {
	f, err := os.CreateTemp(b.dir, unfinished+"*")
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

// open returns the content of c for reading, and its size. All of it has been
// checked against its name; a file that was damaged is removed, so that the
// content can be fetched again.
func (b blobs) open(c cid.Cid) (f *os.File, size int64, err error) {
	if !namesBlob(c) {
		return nil, 0, fmt.Errorf("%w: %s does not name a blob", ErrNoBlob, c)
	}
	f, err = os.Open(b.path(c))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fmt.Errorf("%w: %s", ErrNoBlob, c)
	} else if err != nil {
		return nil, 0, fmt.Errorf("node: blobs: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
			f = nil
		}
	}()
	h := sha256.New()
	if size, err = io.Copy(h, f); err != nil {
		return f, 0, fmt.Errorf("node: blobs: %w", err)
	}
	if got, err := blobCID(c.Prefix().Codec, h.Sum(nil)); err != nil || got != c {
		return f, 0, errors.Join(fmt.Errorf("%w: the file of %s was damaged, and is removed", ErrNoBlob, c), os.Remove(b.path(c)))
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return f, 0, fmt.Errorf("node: blobs: %w", err)
	}
	return f, size, nil
}

// get returns the whole content of c, checked against its name.
func (b blobs) get(c cid.Cid) (data []byte, err error) {
	f, size, err := b.open(c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	data = make([]byte, size)
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, fmt.Errorf("node: blobs: %w", err)
	}
	return data, nil
}

// size returns how many bytes c has, unread, and whether it is here.
func (b blobs) size(c cid.Cid) (int64, bool) {
	if !namesBlob(c) {
		return 0, false
	}
	info, err := os.Stat(b.path(c))
	if err != nil {
		return 0, false
	}
	return info.Size(), true
}

// has reports whether c is here, unread.
func (b blobs) has(c cid.Cid) bool {
	_, ok := b.size(c)
	return ok
}

// Bounds of the content in a home.
const (
	maxBlobs  = 4 << 30          // bytes, before old content goes
	blobGrace = 10 * time.Minute // before which content never goes: its task may be about to be posted
)

// trim removes the oldest content that is not wanted until no more than limit
// bytes are left: what peers can make us fetch is bounded by it. Only what is
// older than a time goes.
func (b blobs) trim(limit int64, older time.Time, wanted func() (map[cid.Cid]bool, error)) error {
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
	if total <= limit {
		return nil
	}
	keep, err := wanted()
	if err != nil {
		return err
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, f := range files {
		name, _, _ := strings.Cut(f.Name(), ".")
		c, err := cid.Decode(name)
		if total <= limit || !f.ModTime().Before(older) {
			break
		}
		if err != nil || keep[c] {
			continue
		}
		if err := os.Remove(filepath.Join(b.dir, f.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("node: blobs: %w", err)
		}
		total -= f.Size()
	}
	if total > limit {
		return fmt.Errorf("%w: have %d bytes, want at most %d", ErrBlobsFull, total, limit)
	}
	return nil
}

func (b blobs) path(c cid.Cid) string {
	name := c.String()
	if b.owner != "" {
		name += "." + b.owner
	}
	return filepath.Join(b.dir, name)
}

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
