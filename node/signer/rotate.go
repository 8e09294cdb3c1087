package signer

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/sage-p2p/sage-p2p/bft"
)

// A key is replaced by another on the chain (KEY_ROTATE). In a home this takes
// three decisions, each made by one file that is there or not:
//
//	key.next     made, durably, before its transaction leaves; never thrown away
//	             nor made anew while it is there, as a transaction may be on its way
//	signer.next  the new key's record, written once the chain says that the key was
//	             replaced; from then on the old key signs nothing, and the next Open
//	             goes over to the new one, whatever it finds half done
//	key.old      the old key, kept for its owner's sake alone
//
// So a crash leaves at every moment exactly one key in use: the old one until
// signer.next is there, the new one from then on. The new key has signed nothing
// before: its record begins empty, and what kept the old one silent is not about
// it.

// The files of a home while its key is replaced, and after.
const (
	NextKeyFile = "key.next"
	OldKeyFile  = "key.old"

	nextRecordFile = "signer.next"
)

// NextKey returns the key that is to replace the one of the home, making it if
// there is none. It is durable when it is returned.
func (s *Signer) NextKey() (Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.failed != nil:
		return nil, s.failed
	case s.home == "":
		return nil, fmt.Errorf("%w: a signer without a home has no next key", ErrRefused)
	}
	h := files{home: s.home}
	private, err := readKey(h.path(NextKeyFile))
	if errors.Is(err, fs.ErrNotExist) {
		if _, private, err = ed25519.GenerateKey(rand.Reader); err == nil {
			err = writeKey(s.home, NextKeyFile, private)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("signer: the next key: %w", err)
	}
	return NewKey(private), nil
}

// HasNextKey reports whether the home has the key of an ID as its next.
func (s *Signer) HasNextKey(id bft.ID) bool {
	private, err := readKey((&files{home: s.home}).path(NextKeyFile))
	return err == nil && NewKey(private).ID() == id
}

// Replaced says that the chain has the next key in place of this one. When it
// returns, nothing of consensus is signed any more, and the next [Open] of the home uses the
// next key.
func (s *Signer) Replaced() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return s.failed
	}
	h := files{home: s.home}
	private, err := readKey(h.path(NextKeyFile))
	if err == nil {
		err = h.nextRecord(NewKey(private), s.genesis)
	}
	if err != nil {
		s.failed = fmt.Errorf("%w: going over to the next key: %w", ErrFailed, err)
		return s.failed
	}
	s.silenced = "the key was replaced"
	return nil
}

// nextRecord writes the record of the next key, whole, and then gives it its name.
func (h *files) nextRecord(key Key, genesis bft.GenesisHash) (err error) {
	path := h.path(nextRecordFile)
	f, err := os.OpenFile(path+".new", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	err = h.preallocate(f)
	if err == nil {
		var s *Signer
		if s, err = Format(key, diskFile{f}); err == nil {
			err = s.Bind(genesis)
		}
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(h.home)
}

// goOver completes what [Signer.Replaced] decided, from wherever it was
// interrupted. The caller holds the home.
func (h *files) goOver() error {
	if _, err := os.Stat(h.path(nextRecordFile)); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("signer: %w", err)
	}
	if err := h.swapKeys(); err != nil {
		return fmt.Errorf("signer: going over to the next key: %w", err)
	}
	if err := removeSilence(h.home); err != nil {
		return err
	}
	if err := os.Rename(h.path(nextRecordFile), h.path(RecordFile)); err != nil {
		return fmt.Errorf("signer: going over to the next key: %w", err)
	}
	return syncDir(h.home)
}

// swapKeys keeps the old key aside and puts the next in its place, unless that was
// done.
func (h *files) swapKeys() error {
	key, next, aside := h.path(KeyFile), h.path(NextKeyFile), h.path(OldKeyFile)
	if _, err := os.Stat(next); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if err := os.Remove(aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Link(key, aside); err != nil {
		return err
	}
	if err := syncDir(h.home); err != nil {
		return err
	}
	if err := os.Rename(next, key); err != nil {
		return err
	}
	return syncDir(h.home)
}
