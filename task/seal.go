package task

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
)

// Opening is what a witness commits to, and later reveals. The salt is random,
// and secret until then.
type Opening struct {
	Genesis [32]byte // hash of the chain's genesis
	Task    cid.Cid
	Level   Level
	Result  cid.Cid
	Witness atp.ID
	Answer  Answer
	Hash    Digest // of the run's final memory, or of the evidence
	Salt    Digest
}

// Seal returns the commitment of the opening.
func (o Opening) Seal() Digest {
	prefixed := func(to []byte, s string) []byte {
		return append(binary.AppendUvarint(to, uint64(len(s))), s...)
	}
	data := append([]byte("sage/wcommit/1"), o.Genesis[:]...)
	data = prefixed(data, o.Task.KeyString())
	data = append(data, byte(o.Level))
	data = prefixed(data, o.Result.KeyString())
	data = prefixed(data, string(o.Witness.ID))
	data = binary.BigEndian.AppendUint32(data, uint32(o.Answer))
	data = append(append(data, o.Hash[:]...), o.Salt[:]...)
	return sha256.Sum256(data)
}
