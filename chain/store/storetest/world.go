package storetest

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/chain/store"
	"github.com/sage-p2p/sage-p2p/task"
)

// Founders is how many platforms a [World] has; the first of them validates.
const Founders = 3

// World makes a chain to be stored, block by block. It keeps its own state, so
// that what a store says can be held against it. Two worlds make equal blocks
// of equal transactions.
type World struct {
	t       testing.TB
	keys    []ed25519.PrivateKey
	nonces  []uint64
	genesis []chain.Node
	start   chain.State
	state   chain.State
	nodes   nodes
}

type nodes map[cid.Cid][]byte

func (n nodes) Get(id cid.Cid) ([]byte, error) {
	if data, ok := n[id]; ok {
		return data, nil
	}
	return nil, fmt.Errorf("no node %s", id)
}

func (n nodes) add(list []chain.Node) {
	for _, x := range list {
		n[x.ID] = x.Data
	}
}

// NewWorld returns the beginning of a chain; networks of other names have
// other chains.
func NewWorld(t testing.TB, network string) *World {
	t.Helper()
	w := &World{t: t, nodes: nodes{}, nonces: make([]uint64, Founders)}
	var founders []chain.Founder
	for i := range Founders {
		seed := sha256.Sum256(fmt.Appendf(nil, "store test %d", i))
		w.keys = append(w.keys, ed25519.NewKeyFromSeed(seed[:]))
		founders = append(founders, chain.Founder{ID: w.ID(i), Name: fmt.Sprintf("founder-%d", i)})
	}
	g := chain.NewGenesis(network, 1_700_000_000_000, chain.DefaultParams(chain.AdmitAuto), founders...)
	g.Validators = []atp.ID{w.ID(0)}
	var err error
	if w.start, w.genesis, err = g.State(); err != nil {
		t.Fatal(err)
	}
	w.nodes.add(w.genesis)
	w.state = w.start.On(w.nodes)
	return w
}

// Found makes an empty store that of the world's chain.
func (w *World) Found(s *store.Store) {
	w.t.Helper()
	if err := s.Found(w.start, w.genesis); err != nil {
		w.t.Fatal(err)
	}
}

// ID returns the identity of a founder.
func (w *World) ID(i int) atp.ID { return atp.IDFromKey([32]byte(w.keys[i][32:])) }

// State returns the state after the newest block.
func (w *World) State() chain.State { return w.state }

// Tx signs a transaction of a founder, with its next nonce.
func (w *World) Tx(from int, actions ...chain.Action) chain.VerifiedTx {
	w.t.Helper()
	tx := chain.Transaction{Version: chain.TxVersion, From: w.ID(from), Nonce: w.nonces[from]}
	for _, a := range actions {
		tx.Ops = append(tx.Ops, chain.Op{Action: a})
	}
	v, err := chain.SignTx(bft.ZIP215{}, w.state.Genesis(), tx, func(m []byte) (bft.Signature, error) {
		return bft.Signature(ed25519.Sign(w.keys[from], m)), nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.nonces[from]++
	return v
}

// Transfer signs a payment.
func (w *World) Transfer(from, to int, amount atp.Amount) chain.VerifiedTx {
	w.t.Helper()
	return w.Tx(from, &chain.Transfer{To: w.ID(to), Amount: amount})
}

// Post signs a task, of which the seed tells it from others.
func (w *World) Post(from int, seed string) chain.VerifiedTx {
	w.t.Helper()
	terms := task.DefaultEconomy().DefaultTerms()
	terms.Type, terms.Runtime, terms.Price = task.Vision, "wasm", 10*atp.ATP
	terms.Program, terms.Input = atp.SumBlob([]byte("program")), atp.SumBlob([]byte(seed))
	return w.Tx(from, &chain.FederationTask{Terms: terms})
}

// Draft makes a block on the newest one, without making it final.
func (w *World) Draft(after atp.Span, txs ...chain.VerifiedTx) (chain.Block, chain.Result) {
	w.t.Helper()
	tip := w.state.Tip()
	h := chain.Header{
		Time:        tip.Time.Add(after),
		Proposer:    bft.ID(w.ID(0)),
		BeaconProof: bft.ProveBeacon(w.keys[0], w.state.Beacon(), tip.Height+1),
	}
	if tip.Height > 0 {
		cert := w.certify(tip.Height, tip.ID)
		h.LastCommit = &cert
	}
	block, result, err := chain.Assemble(w.state, h, txs)
	if err != nil {
		w.t.Fatal(err)
	}
	if len(block.Txs) != len(txs) {
		w.t.Fatalf("the block takes %d of %d transactions", len(block.Txs), len(txs))
	}
	return block, result
}

// Block makes the next block final.
func (w *World) Block(txs ...chain.VerifiedTx) store.Final {
	w.t.Helper()
	block, result := w.Draft(atp.Second, txs...)
	w.nodes.add(result.Nodes)
	w.state = result.State.On(w.nodes)
	tip := w.state.Tip()
	return store.Final{Block: block, Cert: w.certify(tip.Height, tip.ID), Result: result}
}

func (w *World) certify(h bft.Height, id cid.Cid) bft.CommitCert {
	s := bft.Statement{Kind: bft.KindCommit, Height: h, Block: id, HighView: bft.NoView}
	signature := bft.Signature(ed25519.Sign(w.keys[0], s.SignedBytes(w.state.Genesis())))
	return bft.CommitCert{Height: h, Block: id, Signers: bft.Bitmap{1}, Signatures: []bft.Signature{signature}}
}
