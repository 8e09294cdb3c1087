package signer

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/sage-p2p/sage-p2p/bft"
)

// FuzzKeyFile reads a key file. What is taken for a key is one: its halves
// belong together, since signing with another's public half gives a key away.
func FuzzKeyFile(f *testing.F) {
	key := testKey("a")
	whole, err := crypto.UnmarshalEd25519PrivateKey(key)
	if err != nil {
		f.Fatal(err)
	}
	raw, err := crypto.MarshalPrivateKey(whole)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(append(bytes.Clone(raw), 0))
	damaged := bytes.Clone(raw)
	damaged[len(raw)-1] ^= 1 // in the public half
	f.Add(damaged)
	f.Fuzz(func(t *testing.T, raw []byte) {
		key, err := unmarshalKey(raw)
		if err != nil {
			if key != nil {
				t.Fatalf("%v, and a key", err)
			}
			return
		}
		if len(key) != ed25519.PrivateKeySize || !bytes.Equal(ed25519.NewKeyFromSeed(key.Seed()), key) {
			t.Fatalf("a key whose halves are of two keys, from %x", raw)
		}
	})
}

// FuzzRecordFile loads a record file in which a stretch is other than it was
// written. The record is the one that was there or the one before, or it is
// refused; whichever it is, what may be signed next contradicts nothing.
func FuzzRecordFile(f *testing.F) {
	f.Add(0, []byte("SAGE"), 1)
	f.Add(slotGap+headerSize, []byte{1, 2, 3}, 2)
	f.Add(3*slotGap, make([]byte, 300), 4)
	s, d := fresh(f)
	mustSign(f, s, propose(1, 0, "a"), prepare(1, 0, "a"))
	before := s.Record()
	mustSign(f, s, commit(1, 0, "a"))
	after := s.Record()
	f.Fuzz(func(t *testing.T, at int, stretch []byte, times int) {
		damaged := d.cut()
		for i := range min(max(times, 0), pairs*copies) {
			if from := (at%FileSize + FileSize + i*slotGap) % FileSize; from+len(stretch) <= FileSize {
				copy(damaged.durable[from:], stretch)
			}
		}
		writes := damaged.writes
		loaded, err := Load(NewKey(testKey("a")), damaged)
		if err != nil {
			if !errors.Is(err, ErrNeedsRecovery) && !errors.Is(err, ErrForeign) {
				t.Fatalf("refused by another class: %v", err)
			}
			if damaged.writes != writes {
				t.Fatal("what could not be read was written over")
			}
			return
		}
		said := func(r bft.Record) []byte {
			r.BootCount, r.WriteCounter = 0, 0
			return r.Encode()
		}
		if got := said(loaded.Record()); !bytes.Equal(got, said(after)) && !bytes.Equal(got, said(before)) {
			t.Fatalf("loaded %+v, which was never written", loaded.Record())
		}
	})
}

// FuzzLeft reads the list of the chains that a key has left.
func FuzzLeft(f *testing.F) {
	f.Add(encodeLeft(nil))
	f.Add(append(encodeLeft([]bft.GenesisHash{{1}, {2}}), "the record"...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		left, rest, err := decodeLeft(raw)
		if err != nil {
			if !errors.Is(err, ErrNeedsRecovery) {
				t.Fatalf("refused by another class: %v", err)
			}
			return
		}
		if again := append(encodeLeft(left), rest...); !bytes.Equal(again, raw) {
			t.Fatalf("%x is read, and written as %x", raw, again)
		}
	})
}
