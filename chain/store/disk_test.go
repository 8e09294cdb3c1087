package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	ds "github.com/ipfs/go-datastore"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/chain"
)

// Badger's Sync leaves out the logs of memtables that wait to be flushed.
func TestSyncCoversLogsThatWaitToBeFlushed(t *testing.T) {
	dir := t.TempDir()
	d, _, err := openDisk(dir, Edge)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close(true)
	waiting := filepath.Join(dir, "00000.mem") // badger counts from 1
	if err := os.WriteFile(waiting, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var synced []string
	d.syncLog = func(path string) error {
		synced = append(synced, path)
		return nil
	}
	if err := d.Sync(t.Context(), ds.NewKey("/")); err != nil {
		t.Fatal(err)
	}
	if want := []string{waiting, filepath.Join(dir, "00001.mem")}; !slices.Equal(synced, want) {
		t.Errorf("synced %v, want %v", synced, want)
	}
	failed := errors.New("input/output error")
	d.syncLog = func(string) error { return failed }
	if err := d.Sync(t.Context(), ds.NewKey("/")); !errors.Is(err, failed) {
		t.Errorf("have %v, want the error of the disk", err)
	}
}

// Sync leaves badger's value log alone: no value is large enough for it.
func TestTheValueLogHoldsNothing(t *testing.T) {
	dir := t.TempDir()
	d, _, err := openDisk(dir, Edge)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close(true)
	for i := range 3 {
		if err := d.Put(t.Context(), nodeKey(cidOf(t, i)), bytes.Repeat([]byte{7}, chain.MaxTxBytes)); err != nil {
			t.Fatal(err)
		}
	}
	logs, err := filepath.Glob(filepath.Join(dir, "*.vlog"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("value logs: %v, %v", logs, err)
	}
	for _, path := range logs {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		const header = 20
		if len(bytes.Trim(raw[header:], "\x00")) > 0 {
			t.Errorf("%s holds values, and is never synced", path)
		}
	}
}

// The largest head transaction fits the smallest profile, in bytes and in
// entries; so does all that is written in one.
func TestTransactionsFitEveryProfile(t *testing.T) {
	for _, p := range []Profile{Edge, Server} {
		d, _, err := openDisk(filepath.Join(t.TempDir(), "store"), p)
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(d)
		if err != nil {
			t.Fatal(err)
		}
		s.close = d.close
		// As much content as goes into one transaction, and the head of the
		// largest block: an index entry and a journal entry for each of its
		// transactions, and a certificate.
		var list []entry
		for i := range oneTransactionEntries {
			key := nodeKey(cidOf(t, i))
			list = append(list, entry{key, make([]byte, oneTransactionBytes/oneTransactionEntries-len(key.String()))})
		}
		if !s.fits(list) || s.fits(append(list, list[0])) {
			t.Fatal("this is not the largest content")
		}
		for i := range chain.MaxBodyTxs {
			list = append(list, entry{txKey(cidOf(t, i)), place{}.encode()}, entry{localKey(cidOf(t, i)), nil})
		}
		list = append(list, entry{certKey(1), make([]byte, 100*64)})
		err = s.durably(func(ctx context.Context) error { return s.transaction(ctx, putAll(ctx, list)) })
		if err != nil {
			t.Errorf("%v: %d entries: %v", p, len(list), err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestGoodEndIsRemembered(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	for _, want := range []bool{true, true} { // empty, then closed
		s, err := Open(dir, Edge)
		if err != nil {
			t.Fatal(err)
		}
		if s.Clean() != want || s.Syncs() != 0 {
			t.Errorf("clean is %v, with %d syncs, want %v without", s.Clean(), s.Syncs(), want)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(dir, Edge)
	if err != nil {
		t.Fatal(err)
	}
	s.failed = errors.New("input/output error")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err = Open(dir, Edge)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Clean() {
		t.Error("a store whose last write failed counts as closed in good order")
	}
	if s.Syncs() != 1 {
		t.Errorf("%d syncs made durable what its last process had written, want 1", s.Syncs())
	}
}

func TestEmptyLogsAreNoDamage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s, err := Open(dir, Edge)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.PutPeers(nil), s.Close()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"00099.mem", "000099.vlog"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err = Open(dir, Edge)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestStoreInUseIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s, err := Open(dir, Edge)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := Open(dir, Edge); !errors.Is(err, ErrInUse) || errors.Is(err, ErrCorrupt) {
		t.Errorf("have %v, want ErrInUse", err)
	}
}

func TestOpeningThatEndsTheProcessCountsAsDamage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	if err := os.WriteFile(dir+lockSuffix, []byte(strings.Repeat(".", maxOpenings)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Edge); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("have %v, want ErrCorrupt", err)
	}
	aside, err := SetAside(dir, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	if want := dir + ".corrupt-20260102T030405.000Z"; aside != want {
		t.Errorf("set aside as %s, want %s", aside, want)
	}
	s, err := Open(dir, Edge)
	if err != nil {
		t.Fatalf("after it was set aside: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// failing is a datastore whose Sync fails once.
type failing struct {
	Datastore
	err error
}

func (f *failing) Sync(context.Context, ds.Key) error {
	err := f.err
	f.err = nil
	return err
}

func TestFailedSyncIsTheLastWrite(t *testing.T) {
	broken := errors.New("input/output error")
	s, err := New(&failing{NewMemory(), broken})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.PutPeers(nil); !errors.Is(err, ErrFailed) || !errors.Is(err, broken) {
		t.Errorf("have %v, want ErrFailed for the disk's error", err)
	}
	if err := s.PutPeers(nil); !errors.Is(err, ErrFailed) || !errors.Is(err, broken) {
		t.Errorf("the next write: have %v, want the same", err)
	}
}

func TestProfilesHaveNames(t *testing.T) {
	for _, p := range []Profile{Edge, Server} {
		if got, err := ParseProfile(p.String()); got != p || err != nil {
			t.Errorf("%v is read as %v, %v", p, got, err)
		}
	}
	if _, err := ParseProfile("huge"); err == nil {
		t.Error("an unknown profile is taken")
	}
}

func cidOf(t testing.TB, i int) cid.Cid {
	t.Helper()
	return atp.Sum(fmt.Appendf(nil, "%d", i))
}
