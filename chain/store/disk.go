package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4/options"
	ds "github.com/ipfs/go-datastore"
	badger4 "github.com/ipfs/go-ds-badger4"
	"golang.org/x/sys/unix"
)

// Profile sizes the store for a machine.
type Profile uint8

// The profiles. Both take every block that the limits of a genesis allow.
const (
	Edge   Profile = iota + 1 // 8 GB of memory shared with a model, eMMC or SD card
	Server                    // a workstation
)

// ParseProfile reads the form written by [Profile.String].
func ParseProfile(s string) (Profile, error) {
	for _, p := range []Profile{Edge, Server} {
		if s == p.String() {
			return p, nil
		}
	}
	return 0, fmt.Errorf("store: profile is %q, want edge or server", s)
}

// MarshalText writes the form that UnmarshalText reads.
func (p Profile) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads the form written by [Profile.String].
func (p *Profile) UnmarshalText(text []byte) (err error) {
	*p, err = ParseProfile(string(text))
	return err
}

func (p Profile) String() string {
	switch p {
	case Edge:
		return "edge"
	case Server:
		return "server"
	default:
		return fmt.Sprintf("Profile(%d)", uint8(p))
	}
}

// options returns badger's settings. Values stay far below the value log's
// threshold (the largest is a transaction), so that everything lives in the
// tree, where each block is checksummed, and the value log needs no collector.
func (p Profile) options() badger4.Options {
	memtable, memtables, cache := int64(16<<20), 2, int64(8<<20)
	if p == Server {
		memtable, memtables, cache = 64<<20, 4, 128<<20
	}
	o := badger4.DefaultOptions
	o.GcInterval = 0
	o.Options = o.Options.
		WithSyncWrites(false).
		WithChecksumVerificationMode(options.OnBlockRead).
		WithVerifyValueChecksum(true).
		WithDetectConflicts(false). // one writer
		WithMetricsEnabled(false).
		WithMemTableSize(memtable).
		WithNumMemtables(memtables).
		WithBlockCacheSize(cache).
		WithIndexCacheSize(cache).
		WithValueLogFileSize(memtable).
		WithNumCompactors(2)
	return o
}

// disk is badger with a Sync that keeps its word.
type disk struct {
	*badger4.Datastore
	dir     string
	lock    *os.File
	syncLog func(path string) error // replaced by a test
}

// Sync returns when every write before it is on stable storage: the logs of all
// memtables are synced. Badger's own Sync does so for the one that takes writes
// now, and for its value log, which holds nothing (see options). A log that
// filled up a moment ago and waits to become a table it leaves to the kernel: a
// power cut would keep the newer writes and lose the older.
func (d *disk) Sync(context.Context, ds.Key) error {
	logs, err := filepath.Glob(filepath.Join(d.dir, "*.mem"))
	if err != nil {
		return err
	}
	slices.Sort(logs) // numbered: the last one takes writes
	for _, path := range logs {
		// A log that is gone was replaced by a table, which badger syncs.
		if err := d.syncLog(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// syncData makes what was written to a file durable, also through a mapping,
// and of its metadata what reading it needs.
func syncData(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(datasync(f), f.Close())
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Names of what a store has besides badger's files.
const (
	cleanMark  = "clean" // in the folder while it is closed in good order
	lockSuffix = ".lock" // of the file beside the folder that its user holds
)

// maxOpenings is how many times in a row opening may end the process before
// the store counts as corrupt. Badger ends it on some damage, but so do an
// impatient operator and a power cut.
const maxOpenings = 6

// openDisk opens badger in dir, which it makes if needed. The clean result
// tells whether the last use of the store was closed in good order.
func openDisk(dir string, p Profile) (d *disk, clean bool, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, false, fmt.Errorf("store: %w", err)
	}
	lock, err := takeLock(dir)
	if err != nil {
		return nil, false, err
	}
	defer func() {
		// This attempt did not end the process, however it went.
		err = errors.Join(err, lock.Truncate(0))
		if err != nil {
			err = errors.Join(err, lock.Close())
		}
	}()
	empty, err := isEmpty(dir)
	if err != nil {
		return nil, false, fmt.Errorf("store: %w", err)
	}
	db, err := openBadger(dir, p)
	if err != nil {
		return nil, false, err
	}
	clean, err = takeCleanMark(dir)
	if err != nil {
		return nil, false, errors.Join(err, db.Close())
	}
	return &disk{db, dir, lock, syncData}, clean || empty, nil
}

// takeLock holds a store against other processes. The file has a byte for each
// attempt to open the store that has not come to an end.
func takeLock(dir string) (_ *os.File, err error) {
	f, err := os.OpenFile(dir+lockSuffix, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fmt.Errorf("%w: another process has %s open: stop it, or choose another home", ErrInUse, dir)
	} else if err != nil {
		return nil, fmt.Errorf("store: locking %s: %w", dir, err)
	}
	attempts, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if attempts >= maxOpenings {
		return nil, fmt.Errorf("%w: opening %s ended the process %d times in a row", ErrCorrupt, dir, attempts)
	}
	if _, err := f.Write([]byte{'.'}); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return f, nil
}

func openBadger(dir string, p Profile) (db *badger4.Datastore, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: opening %s: %v", ErrCorrupt, dir, r)
		}
	}()
	if err := removeEmptyLogs(dir); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	o := p.options()
	db, err = badger4.NewDatastore(dir, &o)
	if err != nil {
		return nil, openError(dir, err)
	}
	if err := verify(db); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: opening %s: %w", ErrCorrupt, dir, err), db.Close())
	}
	return db, nil
}

// removeEmptyLogs removes what a process leaves that is killed while badger
// makes a log. Badger refuses to open over it, and it holds nothing.
func removeEmptyLogs(dir string) error {
	for _, pattern := range []string{"*.mem", "*.vlog"} {
		logs, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		for _, path := range logs {
			info, err := os.Stat(path)
			if err == nil && info.Size() == 0 {
				err = os.Remove(path)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// verify reads all tables and checks their checksums. Badger takes a block
// that does not fit its checksum for one that holds nothing, also when it
// compacts: what is damaged must be found before anything is read.
func verify(db *badger4.Datastore) (err error) {
	defer func() {
		if r := recover(); r != nil { // badger's way to report the block
			err = fmt.Errorf("a table is damaged: %v", r)
		}
	}()
	return db.DB.VerifyChecksum()
}

// openError tells damage from a disk that refuses.
func openError(dir string, err error) error {
	var errno unix.Errno
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: opening %s: %w", ErrCorrupt, dir, err)
	case errors.As(err, &errno):
		return fmt.Errorf("store: opening %s: %w", dir, err)
	default:
		return fmt.Errorf("%w: opening %s: %w", ErrCorrupt, dir, err)
	}
}

// close closes badger, leaves the mark of a good end if nothing went wrong
// before, and lets go of the store.
func (d *disk) close(good bool) (err error) {
	defer func() { err = errors.Join(err, d.lock.Close()) }()
	if err := d.Datastore.Close(); err != nil || !good {
		return err
	}
	f, err := os.OpenFile(filepath.Join(d.dir, cleanMark), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close(), syncFile(d.dir))
}

// takeCleanMark removes the mark of a good end, durably, and tells whether it
// was there.
func takeCleanMark(dir string) (bool, error) {
	err := os.Remove(filepath.Join(dir, cleanMark))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = syncFile(dir)
	}
	return err == nil, err
}

func isEmpty(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	return len(entries) == 0, err
}

// SetAside moves a store that must not be used any more out of the way, for
// the curious, and returns where it went. The store must be closed.
func SetAside(dir string, now time.Time) (string, error) {
	aside := fmt.Sprintf("%s.corrupt-%s", dir, now.UTC().Format("20060102T150405.000Z"))
	if err := os.Rename(dir, aside); err != nil {
		return "", fmt.Errorf("store: setting aside: %w", err)
	}
	if err := os.Truncate(dir+lockSuffix, 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("store: setting aside: %w", err)
	}
	if err := syncFile(filepath.Dir(dir)); err != nil {
		return "", fmt.Errorf("store: setting aside: %w", err)
	}
	return aside, nil
}
