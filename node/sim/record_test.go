package sim

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/signer"
)

// The signer's record on a disk that loses and tears what was not synced, fails,
// forgets what a failed sync was about, and turns a bit between two starts; power
// also fails while it starts. What was handed out is in the record that is loaded.
func TestARecordOutlivesItsDisk(t *testing.T) {
	cast, err := NewCast(4, 0, false, false)
	if err != nil {
		t.Fatal(err)
	}
	for s := range uint64(3_000) {
		r := rand.New(rand.NewPCG(s, 0x51c))
		d := &disk{rand: r}
		f := newFile(signer.FileSize, d)
		k, err := signer.Format(cast.Keys[0], f)
		if err == nil {
			err = k.Bind(cast.Genesis)
		}
		if err != nil {
			t.Fatal(err)
		}
		for handed := bft.NoView; handed < 30; {
			for ; err == nil; handed++ {
				if r.IntN(6) == 0 {
					ignite(r, d, errCrash, errKilled, errIO)
				}
				if r.IntN(3) == 0 {
					if err = k.Settle(); err != nil {
						break
					}
				}
				if _, err = k.Sign(prepareOf(handed+1, cast.state.Tip().ID)); err != nil {
					break
				}
			}
			if r.IntN(4) == 0 {
				f.flip(r)
			}
			if k, err = reopen(r, cast.Keys[0], f, err); err != nil {
				t.Fatalf("seed %d: view %d was handed out: %v", s, handed, err)
			}
			if got := k.Record().Prepared; got < handed {
				t.Fatalf("seed %d: view %d was handed out, the record knows of %d", s, handed, got)
			}
			handed = k.Record().Prepared
		}
	}
}

func prepareOf(v bft.View, block cid.Cid) bft.Unsigned {
	return vote(bft.KindPrepare, bft.Position{Height: 1, View: v}, block)
}

// ignite has one of these happen within the next few steps on the disk.
func ignite(r *rand.Rand, d *disk, errs ...error) {
	d.fuse = fuse{err: errs[r.IntN(len(errs))], left: 1 + r.IntN(6)}
}

// reopen starts again after a failure, until nothing fails.
func reopen(r *rand.Rand, key Key, f *file, failed error) (*signer.Signer, error) {
	for {
		if errors.Is(failed, errCrash) {
			f.crash(r)
		}
		f.disk.fuse.err = nil
		if r.IntN(3) == 0 {
			ignite(r, f.disk, errCrash, errKilled, errIO)
		}
		k, err := signer.Load(key, f)
		f.disk.fuse.err = nil
		planned := errors.Is(err, errCrash) || errors.Is(err, errKilled) || errors.Is(err, errIO)
		if !planned {
			return k, err
		}
		failed = err
	}
}
