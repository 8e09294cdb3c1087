package signer

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/libp2p/go-libp2p/core/crypto"
	"golang.org/x/sys/unix"

	"github.com/sage-p2p/sage-p2p/bft"
)

// The files of a home that belong to this package.
const (
	// KeyFile holds the platform's Ed25519 key as libp2p marshals it.
	KeyFile = "key"
	// RecordFile holds what was signed, in several copies.
	RecordFile = "signer"
)

// Open takes the key of a home in which a chain is stored. Both files must be
// there: without its record, a key that has voted must not sign.
func Open(home string) (*Signer, error) { return open(home, false) }

// OpenOrCreate takes the key of a home in which no chain is stored, and makes
// a key where there is none. The record is made first: a key without a record
// is therefore never the trace of an interrupted start.
func OpenOrCreate(home string) (*Signer, error) { return open(home, true) }

func open(home string, create bool) (_ *Signer, err error) {
	h := files{home: home}
	defer func() {
		if err != nil {
			h.close()
		}
	}()
	if create {
		if err := os.MkdirAll(home, 0o700); err != nil {
			return nil, fmt.Errorf("signer: %w", err)
		}
	}
	if err := h.lock(home, os.O_RDONLY); err != nil {
		return nil, err
	}
	if err := h.goOver(); err != nil {
		return nil, err
	}
	key, err := h.key()
	switch {
	case errors.Is(err, fs.ErrNotExist) && create:
		return h.create()
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: %s holds a chain but no key: put the key back from its backup, or start afresh in another home", ErrNeedsRecovery, home)
	case err != nil:
		return nil, err
	}
	return h.load(key)
}

// files are the open and locked files of one home.
type files struct {
	home string
	held []*os.File
}

func (h *files) path(name string) string { return filepath.Join(h.home, name) }

func (h *files) close() error {
	var errs []error
	for _, f := range h.held {
		errs = append(errs, f.Close())
	}
	h.held = nil
	return errors.Join(errs...)
}

// lock opens a file or folder and holds it against every other process until
// the home is closed, or this process ends.
func (h *files) lock(path string, flag int) error {
	f, err := os.OpenFile(path, flag, 0)
	if err != nil {
		return fmt.Errorf("signer: %w", err)
	}
	h.held = append(h.held, f)
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		return fmt.Errorf("%w: another process holds %s: stop it, or choose another home", ErrInUse, path)
	case err != nil:
		return fmt.Errorf("signer: locking %s: %w", path, err)
	}
	return nil
}

// Free reports whether no process holds a home at this moment. A home that is
// not there is free.
func Free(home string) (bool, error) {
	h := files{home: home}
	err := h.lock(home, os.O_RDONLY)
	switch {
	case errors.Is(err, ErrInUse):
		return false, h.close()
	case errors.Is(err, fs.ErrNotExist):
		return true, nil
	default:
		return err == nil, errors.Join(err, h.close())
	}
}

// key reads the key file. It locks that too: two homes may share one key by a
// link, and a key must be in use once.
func (h *files) key() (ed25519.PrivateKey, error) {
	path := h.path(KeyFile)
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("signer: %w", err)
	}
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%w: %s has mode %v: run chmod 600 %s", ErrExposed, path, mode, path)
	}
	if err := h.lock(path, os.O_RDONLY); err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("signer: %w", err)
	}
	key, err := unmarshalKey(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %s %w: put the key back from its backup", ErrNeedsRecovery, path, err)
	}
	return key, nil
}

// CheckKey says what is wrong with the key file of a home, which nobody need hold.
func CheckKey(home string) error {
	if _, err := readKey(filepath.Join(home, KeyFile)); err != nil {
		return fmt.Errorf("signer: %w", err)
	}
	return nil
}

// readKey reads a key file without holding it.
func readKey(path string) (ed25519.PrivateKey, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := unmarshalKey(raw)
	if err != nil {
		return nil, fmt.Errorf("%s %w", path, err)
	}
	return key, nil
}

// unmarshalKey reads what a key file holds. Its errors say what is wrong with that
// file, as a predicate.
func unmarshalKey(raw []byte) (ed25519.PrivateKey, error) {
	k, err := crypto.UnmarshalPrivateKey(raw)
	if err != nil {
		return nil, errors.New("is no key file") // libp2p's reason is about its encoding
	}
	if _, ok := k.(*crypto.Ed25519PrivateKey); !ok {
		return nil, fmt.Errorf("holds a %s key, want Ed25519", k.Type())
	}
	raw, err = k.Raw()
	if err != nil {
		return nil, err
	}
	key := ed25519.PrivateKey(raw)
	if !bytes.Equal(ed25519.NewKeyFromSeed(key.Seed()), key) { // to sign with it would give it away
		return nil, errors.New("holds the halves of two keys")
	}
	return key, nil
}

// load opens the record beside an existing key.
func (h *files) load(key ed25519.PrivateKey) (*Signer, error) {
	f, err := os.OpenFile(h.path(RecordFile), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s is missing, so what this key has signed is not known: %s", ErrNeedsRecovery, h.path(RecordFile), cure)
	} else if err != nil {
		return nil, fmt.Errorf("signer: %w", err)
	}
	h.held = append(h.held, f)
	s, err := Load(NewKey(key), diskFile{f})
	if err != nil {
		return nil, fmt.Errorf("%w (file %s)", err, f.Name())
	}
	return h.ready(s, key)
}

// ready gives a signer what only a home has.
func (h *files) ready(s *Signer, key ed25519.PrivateKey) (_ *Signer, err error) {
	if s.silenced, err = readSilence(h.home); err != nil {
		return nil, err
	}
	s.host, err = newHostKey(key)
	s.home, s.release = h.home, h.close
	return s, err
}

// create makes a record and then a key. A record that an interrupted start
// left behind is replaced, unless it has seen a chain: then its key is lost,
// and the operator must say so by moving it away.
func (h *files) create() (*Signer, error) {
	f, err := h.recordFile()
	if err != nil {
		return nil, err
	}
	if hasVoted(f) {
		return nil, fmt.Errorf("%w: %s has voted but its key is gone: put the key back, or move both away to start as a new platform", ErrNeedsRecovery, h.home)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("signer: %w", err)
	}
	if err := h.preallocate(f); err != nil {
		return nil, err
	}
	s, err := Format(NewKey(key), diskFile{f})
	if err != nil {
		return nil, err
	}
	if err := writeKey(h.home, KeyFile, key); err != nil {
		return nil, fmt.Errorf("signer: %w", err)
	}
	if err := h.lock(h.path(KeyFile), os.O_RDONLY); err != nil {
		return nil, err
	}
	return h.ready(s, key)
}

// recordFile opens the record's file, or makes an empty one.
func (h *files) recordFile() (*os.File, error) {
	f, err := os.OpenFile(h.path(RecordFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("signer: %w", err)
	}
	h.held = append(h.held, f)
	return f, nil
}

// hasVoted reports whether a record of any key is, or was, tied to a chain.
func hasVoted(f File) bool {
	_, raw, err := loadSlots(f)
	var genesis bft.GenesisHash
	if err != nil || copy(genesis[:], raw) < len(genesis) {
		return false
	}
	left := raw[min(len(raw), len(genesis)+sha256.Size):]
	return genesis != bft.GenesisHash{} || len(left) > 0 && left[0] > 0
}

// preallocate fills the record's file with zeros and makes its size and its
// name durable, so that an update never has to allocate.
func (h *files) preallocate(f *os.File) error {
	err := f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt(make([]byte, FileSize), 0)
	}
	if err == nil {
		err = errors.Join(f.Sync(), syncDir(h.home))
	}
	if err != nil {
		return fmt.Errorf("signer: preallocating the record: %w", err)
	}
	return nil
}

func writeKey(home, name string, key ed25519.PrivateKey) error {
	k, err := crypto.UnmarshalEd25519PrivateKey(key)
	if err != nil {
		return err
	}
	raw, err := crypto.MarshalPrivateKey(k)
	if err != nil {
		return err
	}
	path := filepath.Join(home, name)
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(home)
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
