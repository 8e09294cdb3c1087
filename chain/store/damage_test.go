package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/chain/store"
	"github.com/sage-p2p/sage-p2p/chain/store/storetest"
)

// What a child says about a damaged store. Badger ends the process on some
// damage: that counts as noticed too, since the next starts set it aside.
const (
	saysRight   = "right"
	saysCorrupt = "corrupt"
	saysWrong   = "WRONG"
)

// blocksOfImage is how many blocks the damaged stores held.
const blocksOfImage = 12

// A flipped bit anywhere in the store's files is noticed, or changes nothing,
// or costs the newest blocks. It never makes the store serve a wrong answer.
func TestFlippedBitNeverServesAWrongBalance(t *testing.T) {
	flips := 30
	if testing.Short() {
		flips = 6
	}
	running, closed := images(t)
	rng, said := rand.New(rand.NewPCG(4, 4)), make(map[string]int)
	for i := range flips {
		image, name := running, "running"
		if i%2 == 1 {
			image, name = closed, "closed"
		}
		dir := filepath.Join(t.TempDir(), "store")
		copyStore(t, image, dir)
		where := flip(t, dir, rng)
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), inspectDir+"="+dir)
		out, err := cmd.CombinedOutput()
		verdict := "ended"
		for _, v := range []string{saysWrong, saysCorrupt, saysRight} {
			if bytes.Contains(out, []byte(v)) {
				verdict = v
				break
			}
		}
		if verdict == saysWrong || verdict == "ended" && err == nil {
			t.Errorf("flip %d, %s store, %s: %s", i, name, where, out)
		}
		said[name+" "+verdict]++
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	t.Log(said)
	if said["closed "+saysCorrupt] == 0 {
		t.Error("no flip in a closed store was noticed: the test is blind")
	}
}

// images returns a store as a killed process leaves it, and one that was
// closed.
func images(t *testing.T) (running, closed string) {
	t.Helper()
	dir := t.TempDir()
	running, closed = filepath.Join(dir, "running"), filepath.Join(dir, "closed")
	s, w := openDisk(t, closed, store.Edge), storetest.NewWorld(t, "kill")
	w.Found(s)
	committed(t, w, s, blocksOfImage)
	copyStore(t, closed, running)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return running, closed
}

// copyStore copies a store's files, leaving the holes at their ends.
func copyStore(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(to, 0o700); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(to, e.Name())
		if err := errors.Join(os.WriteFile(path, bytes.TrimRight(data, "\x00"), 0o600), os.Truncate(path, int64(len(data)))); err != nil {
			t.Fatal(err)
		}
	}
}

// flip changes a bit of a file of badger's, in what is used of it.
func flip(t *testing.T, dir string, rng *rand.Rand) string {
	t.Helper()
	var files []string
	for _, pattern := range []string{"*.mem", "*.sst", "MANIFEST", "*.vlog", "KEYREGISTRY"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	// Most of the data is in the logs or the tables.
	path := files[0]
	if rng.IntN(3) == 0 {
		path = files[rng.IntN(len(files))]
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	used := max(len(bytes.TrimRight(data, "\x00")), 1)
	at, bit := rng.IntN(min(used, len(data))), rng.IntN(8)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt([]byte{data[at] ^ 1<<bit}, int64(at))
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("bit %d of byte %d of %s", bit, at, filepath.Base(path))
}

// inspectDir makes the test binary a child that says what it finds there.
const inspectDir = "STORE_TEST_INSPECT"

func inspect(t *testing.T, dir string) {
	err := serve(t, dir)
	switch {
	case err == nil:
		fmt.Println(saysRight)
	case errors.Is(err, store.ErrCorrupt), errors.Is(err, chain.ErrStorage):
		fmt.Println(saysCorrupt, err)
	default:
		fmt.Println(saysWrong, err)
	}
}

// serve opens a store as a node does and holds all that it says against the
// chain as it really was.
func serve(t *testing.T, dir string) error {
	s, err := store.Open(dir, store.Edge)
	if err != nil {
		return err
	}
	defer s.Close()
	w := storetest.NewWorld(t, "kill")
	head, err := s.Head()
	if errors.Is(err, store.ErrNotFound) {
		return nil // all is lost, and the store says so
	} else if err != nil {
		return err
	}
	if head.Height > blocksOfImage {
		return fmt.Errorf("head is %d", head.Height)
	}
	for w.State().Tip().Height < head.Height {
		f := next(w)
		if err := sameBlock(s, f); err != nil {
			return err
		}
	}
	if err := sameAccounts(s, w); err != nil {
		return err
	}
	if !s.Clean() {
		return s.Check(bft.ZIP215{}, store.CheckDepth)
	}
	return nil
}

func sameBlock(s *store.Store, f store.Final) error {
	h := f.Cert.Height
	b, err := s.BlockAt(h)
	if err != nil {
		return err
	}
	id, err := b.Header.ID()
	if err != nil || id != f.Cert.Block {
		return fmt.Errorf("block %d is %s, want %s (%w)", h, id, f.Cert.Block, err)
	}
	receipts, err := s.Receipts(h)
	if err != nil {
		return err
	}
	for i, r := range receipts {
		if got, want := must(r.Encode()), must(f.Result.Receipts[i].Encode()); !bytes.Equal(got, want) {
			return fmt.Errorf("receipt %d of block %d is %x, want %x", i, h, got, want)
		}
	}
	for _, tx := range f.Block.Txs {
		if got, err := s.Tx(tx.ID()); err != nil {
			return err
		} else if got.Height != h {
			return fmt.Errorf("transaction of block %d is at %d", h, got.Height)
		}
	}
	return nil
}

func sameAccounts(s *store.Store, w *storetest.World) error {
	state, err := s.StateAt(w.State().Tip().Height)
	if err != nil {
		return err
	}
	for i := range storetest.Founders {
		got, err := state.Account(w.ID(i))
		if err != nil {
			return err
		}
		if want := must(w.State().Account(w.ID(i))); got != want {
			return fmt.Errorf("account %d is %+v, want %+v", i, got, want)
		}
		page, err := s.AccountHistory(w.ID(i), store.Position{}, 1000)
		if err != nil {
			return err
		}
		if want := history(w, w.ID(i)); len(page) != want {
			return fmt.Errorf("account %d has %d events, want %d", i, len(page), want)
		}
	}
	tasks, err := s.Tasks("", 1000)
	if err != nil {
		return err
	}
	if want := int(w.State().Tip().Height); len(tasks) != want {
		return fmt.Errorf("%d tasks, want %d", len(tasks), want)
	}
	for _, ref := range tasks {
		if _, err := s.TaskHistory(ref.ID); err != nil {
			return err
		}
	}
	return nil
}

// history is how many events of an account the blocks of next make: in each a
// payment from 1 to 2, one from 2 to 0, and a task of 1.
func history(w *storetest.World, id atp.ID) int {
	n := int(w.State().Tip().Height)
	if id == w.ID(0) {
		return n
	}
	return 2 * n
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
