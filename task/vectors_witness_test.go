package task_test

import (
	"encoding/hex"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/task"
)

// hexBytes are bytes that a file holds in hexadecimal digits.
type hexBytes []byte

func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

func (b hexBytes) cid(t *testing.T) cid.Cid {
	t.Helper()
	c, err := cid.Cast(b)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestVectorsOfDraws(t *testing.T) {
	v := readVectors(t)
	for _, c := range v.Draw {
		drawn := task.Draw(task.Beacon(c.Beacon), c.Task.cid(t), c.Level, c.Seats, c.Societies)
		if diff := cmp.Diff(c.Drawn, drawn); diff != "" {
			t.Errorf("draw of %d (-want +got):\n%s", c.Seats, diff)
		}
	}
	for _, c := range v.AuditDraw {
		equal(t, "audit", c, task.Audited(task.Beacon(c.Beacon), c.Task.cid(t), c.P), c.Audited)
	}
	if len(v.Draw) == 0 || len(v.AuditDraw) == 0 {
		t.Error("no vectors of draws")
	}
}

func TestVectorsOfSeals(t *testing.T) {
	v := readVectors(t)
	for _, c := range v.Seal {
		witness, err := atp.IDFromPeer(peer.ID(c.Witness))
		if err != nil {
			t.Fatal(err)
		}
		o := task.Opening{
			Genesis: [32]byte(c.Genesis), Task: c.Task.cid(t), Level: c.Level, Result: c.Result.cid(t),
			Witness: witness, Answer: c.Score, Hash: task.Digest(c.Hash), Salt: task.Digest(c.Salt),
		}
		equal(t, "seal", c.Commit, o.Seal().String(), c.Commit)
	}
	if len(v.Seal) == 0 {
		t.Error("no vectors of commitments")
	}
	equal(t, "answers", "UNAVAILABLE", v.Answers.Unavailable, task.Unavailable)
	equal(t, "answers", "RESOURCE_LIMIT", v.Answers.ResourceLimit, task.ResourceLimit)
}
