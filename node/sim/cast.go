package sim

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/ipfs/go-cid"
	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/signer"
)

// Cast is the platforms of a federation and its genesis: what all seeds with so
// many machines have in common. It is immutable but for what it remembers of keys,
// and so for one goroutine.
type Cast struct {
	Keys    []Key // of the founders, in the order of their IDs
	Genesis bft.GenesisHash
	Scheme  bft.Scheme

	state   chain.State
	nodes   map[cid.Cid][]byte
	beacons beacons
	laters  map[keyTurn]Key // that machines take during a schedule
}

// keyTurn is a machine, and which of its keys: from 1 on, those that are not of the
// genesis.
type keyTurn struct{ index, after int }

// Key signs for one machine, and proves the beacon: with a stand-in that costs a
// hash, or for real.
type Key struct {
	id      bft.ID
	private ed25519.PrivateKey
	real    bool
}

var _ signer.Key = Key{}

// ID implements [signer.Key].
func (k Key) ID() bft.ID { return k.id }

// Sign implements [signer.Key].
func (k Key) Sign(message []byte) bft.Signature {
	if k.real {
		return bft.Signature(ed25519.Sign(k.private, message))
	}
	return bft.InsecureSimulation{}.Sign(k.id, message)
}

// ProveBeacon implements [signer.Key].
func (k Key) ProveBeacon(below bft.Beacon, h bft.Height) bft.BeaconProof {
	return beacons{k.real}.prove(k, below, h)
}

// epoch is when every simulation begins.
const epoch atp.Millis = 1_700_000_000_000

// NewCast returns platforms of which so many validate, and the others, in the
// order of their IDs, observe. With real, signatures are Ed25519; with vote, who
// joins is voted in.
func NewCast(validators, observers int, real, vote bool) (*Cast, error) {
	c := &Cast{Scheme: bft.InsecureSimulation{}, beacons: beacons{real}, laters: make(map[keyTurn]Key)}
	if real {
		c.Scheme = bft.ZIP215{}
	}
	for i := range validators + observers {
		seed := sha256.Sum256(fmt.Appendf(nil, "sim %d", i))
		private := ed25519.NewKeyFromSeed(seed[:])
		public, ok := private.Public().(ed25519.PublicKey)
		if !ok {
			return nil, fmt.Errorf("sim: a key without its public half")
		}
		c.Keys = append(c.Keys, Key{bft.IDFromKey([32]byte(public)), private, real})
	}
	slices.SortFunc(c.Keys, func(a, b Key) int { return a.id.Compare(b.id) })

	var founders []chain.Founder
	for i, k := range c.Keys {
		founders = append(founders, chain.Founder{ID: atp.ID(k.id), Name: fmt.Sprintf("platform-%d", i)})
	}
	params := chain.DefaultParams(chain.AdmitAuto)
	if vote {
		params = chain.DefaultParams(chain.AdmitVote)
		params.MinFee = 0
	}
	params.Membership = brisk()
	economy := &params.Economy // in which nobody waits long
	economy.MinWindow, economy.OfferWindow, economy.ExecutionWindow, economy.Silence = atp.Second, 3*atp.Second, 4*atp.Second, 5*atp.Second
	params.Limits.Txs = 16 // so that a block that is too large is small
	g := chain.NewGenesis("sim", epoch, params, founders...)
	g.Validators = nil
	for _, f := range founders[:validators] {
		g.Validators = append(g.Validators, f.ID)
	}
	if err := g.Check(); err != nil {
		return nil, err
	}
	var err error
	if c.Genesis, err = g.Hash(); err != nil {
		return nil, err
	}
	state, nodes, err := g.State()
	if err != nil {
		return nil, err
	}
	c.state, c.nodes = state.JudgedBy(c.beacons), make(map[cid.Cid][]byte, len(nodes))
	for _, n := range nodes {
		c.nodes[n.ID] = n.Data
	}
	return c, nil
}
