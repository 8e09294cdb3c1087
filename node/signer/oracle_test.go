package signer

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/sage-p2p/sage-p2p/bft"
)

func testKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("signer test " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

var testGenesis = bft.GenesisHash{1, 2, 3}

func block(name string) cid.Cid {
	sum, err := multihash.Sum([]byte(name), multihash.SHA2_256, -1)
	if err != nil {
		panic(err)
	}
	return cid.NewCidV1(cid.DagCBOR, sum)
}

// qc is a certificate as large as one of n validators.
func qc(h bft.Height, v bft.View, b cid.Cid, n int) *bft.QC {
	q := (n + (n-1)/3 + 2) / 2
	return &bft.QC{Height: h, View: v, Block: b, Signers: make(bft.Bitmap, (n+7)/8), Signatures: make([]bft.Signature, q)}
}

func prepare(h bft.Height, v bft.View, b string) bft.Unsigned {
	return bft.Unsigned{Statement: bft.Statement{Kind: bft.KindPrepare, Height: h, View: v, Block: block(b), HighView: bft.NoView}}
}

func propose(h bft.Height, v bft.View, b string) bft.Unsigned {
	u := prepare(h, v, b)
	u.Kind, u.Payload = bft.KindProposal, []byte(b)
	return u
}

func commit(h bft.Height, v bft.View, b string) bft.Unsigned {
	u := prepare(h, v, b)
	u.Kind, u.QC = bft.KindCommit, qc(h, v, block(b), 4)
	return u
}

func timeout(h bft.Height, v bft.View, high *bft.QC) bft.Unsigned {
	u := bft.Unsigned{Statement: bft.Statement{Kind: bft.KindTimeout, Height: h, View: v, HighView: bft.NoView}, QC: high}
	if high != nil {
		u.HighView = high.View
	}
	return u
}

// random draws a statement near a height, without regard to what may be said.
func random(rng *rand.Rand, h bft.Height) bft.Unsigned {
	v, b := bft.View(rng.IntN(5)), string(rune('a'+rng.IntN(2)))
	h += bft.Height(rng.IntN(8) / 7)
	switch rng.IntN(4) {
	case 0:
		return propose(h, v, b)
	case 1:
		return prepare(h, v, b)
	case 2:
		return commit(h, v, b)
	default:
		high := rng.IntN(int(v) + 2)
		if high == 0 {
			return timeout(h, v, nil)
		}
		return timeout(h, v, qc(h, bft.View(high-1), block(b), 4))
	}
}

// oracle remembers every statement that was handed out, and knows what
// contradicts what.
type oracle []bft.Statement

// add reports a contradiction between s and what was handed out before.
func (o *oracle) add(s bft.Statement) error {
	for _, old := range *o {
		if contradict(old, s) || contradict(s, old) {
			return fmt.Errorf("signed %+v after %+v", s, old)
		}
	}
	*o = append(*o, s)
	return nil
}

func contradict(a, b bft.Statement) bool {
	if a.Height != b.Height {
		return false
	}
	if a.Kind == b.Kind && a.View == b.View {
		return a.Block != b.Block || a.HighView != b.HighView
	}
	// A COMMIT in a view that a Timeout gave up without declaring it.
	return a.Kind == bft.KindCommit && b.Kind == bft.KindTimeout && b.View >= a.View && b.HighView < a.View
}
