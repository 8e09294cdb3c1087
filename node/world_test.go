package node

import (
	stded25519 "crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/signer"
	"github.com/sage-p2p/sage-p2p/task"
)

// epoch is the time of test geneses.
const epoch atp.Millis = 1_700_000_000_000

// actor is a platform of the tests, known by its key.
type actor struct{ signer.Key }

func newActor(name string) actor {
	seed := sha256.Sum256([]byte("node test " + name))
	return actor{signer.NewKey(stded25519.NewKeyFromSeed(seed[:]))}
}

func actors(n int) []actor {
	var all []actor
	for i := range n {
		all = append(all, newActor(fmt.Sprint(i)))
	}
	return all
}

func (a actor) id() atp.ID { return atp.ID(a.ID()) }

func (a actor) sign(message []byte) (bft.Signature, error) { return a.Sign(message), nil }

// world is a chain whose first founder alone decides.
type world struct {
	t       testing.TB
	all     []actor
	genesis chain.Genesis
	hash    bft.GenesisHash
	state   chain.State
}

func newWorld(t testing.TB, n int) *world {
	t.Helper()
	w := &world{t: t, all: actors(n)}
	var founders []chain.Founder
	for i, a := range w.all {
		founders = append(founders, chain.Founder{ID: a.id(), Name: fmt.Sprintf("founder-%d", i)})
	}
	w.genesis = chain.NewGenesis("testing", epoch, chain.DefaultParams(chain.AdmitAuto), founders...)
	w.genesis.Validators = []atp.ID{w.all[0].id()}
	var err error
	if w.hash, err = w.genesis.Hash(); err != nil {
		t.Fatal(err)
	}
	if w.state, _, err = w.genesis.State(); err != nil {
		t.Fatal(err)
	}
	return w
}

// tx is a signed transaction of an actor.
func (w *world) tx(from int, nonce uint64, change func(*chain.Transaction)) chain.VerifiedTx {
	w.t.Helper()
	t := chain.Transaction{
		Version: chain.TxVersion, From: w.all[from].id(), Nonce: nonce,
		Ops: []chain.Op{{Action: &chain.Transfer{To: w.all[(from+1)%len(w.all)].id(), Amount: 1}}},
	}
	if change != nil {
		change(&t)
	}
	tx, err := chain.SignTx(bft.ZIP215{}, w.hash, t, w.all[from].sign)
	if err != nil {
		w.t.Fatal(err)
	}
	return tx
}

// first is the state after a first block with these transactions.
func (w *world) first(txs ...chain.VerifiedTx) chain.State {
	w.t.Helper()
	h := chain.Header{
		Time: w.state.Tip().Time + 1000, Proposer: w.all[0].ID(), BeaconProof: w.all[0].ProveBeacon(w.state.Beacon(), 1),
	}
	_, result, err := chain.Assemble(w.state, h, txs)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range result.Receipts {
		if !r.OK() {
			w.t.Fatalf("transaction failed: %s", r.Detail)
		}
	}
	return result.State
}

// someCID is a raw CID that differs with its name.
func someCID(name string) cid.Cid {
	sum := sha256.Sum256([]byte(name))
	c, err := blobCID(cid.Raw, sum[:])
	if err != nil {
		panic(err)
	}
	return c
}

// platformOf offers vision on wasm.
func platformOf(name string) task.Platform {
	return task.Platform{
		Name: task.Name(name), Horizon: task.Horizon{Spatial: task.Global, Temporal: task.Epoch, Complexity: task.SocietyWide},
		Hardware: task.Hardware{Architecture: "arm64"},
		Offers:   []task.Offer{task.DefaultOffer(task.Vision)}, Runtimes: []task.Runtime{"wasm"},
	}
}
