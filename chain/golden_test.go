package chain

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/golden.json anew: the chain's format changes")

// golden is what every machine and every version of this format computes.
type golden struct {
	Genesis   string   `json:"genesis"`
	StateZero string   `json:"state_zero"`
	Blocks    []string `json:"blocks"`
	States    []string `json:"states"`
	Receipts  []string `json:"receipts_roots"`
	Bodies    []string `json:"body_roots"`
	Txs       []string `json:"transactions"`
	Task      string   `json:"task"`
	Lock      string   `json:"lock"`
	Beacon    string   `json:"beacon"`
}

// TestGolden replays a small chain whose hashes are on file (A5).
func TestGolden(t *testing.T) {
	w := newWorld(t, 3)
	got := golden{Genesis: w.state.Genesis().String(), StateZero: w.state.Root().String()}
	name := func(id cid.Cid, err error) string { must(t, err); return id.String() }
	play := func(after atp.Span, txs ...VerifiedTx) {
		b, r, err := Assemble(w.state, w.header(after), txs)
		must(t, err)
		for _, tx := range b.Txs {
			got.Txs = append(got.Txs, tx.ID().String())
		}
		got.Blocks = append(got.Blocks, name(b.Header.ID()))
		got.States = append(got.States, r.State.Root().String())
		got.Receipts = append(got.Receipts, b.Header.ReceiptsRoot.String())
		got.Bodies = append(got.Bodies, b.Header.BodyRoot.String())
		w.blockAfter(after, txs...)
	}
	genesis := w.state.Genesis()
	play(1_000, w.tx(2, &PlatformRegister{Platform: registration("founder-2")}), w.signed(1, Transaction{Fee: 9}, &Transfer{To: w.keys[2].id, Amount: 5}))
	lock := w.tx(1, &TransferLock{Payee: w.keys[2].id, Amount: 7_000, Deadline: epoch + 20_000})
	post := w.tx(1, &FederationTask{Terms: terms(50 * atp.ATP)})
	play(1_000, lock, post)
	lockID, err := LockID(genesis, lock.Tx(), 0)
	must(t, err)
	id, err := TaskID(genesis, post.Tx(), 0)
	must(t, err)
	got.Lock, got.Task = lockID.String(), id.String()
	play(1_000, w.tx(2, &TaskAccept{Task: id, Bond: 5 * atp.ATP}), w.tx(0, &TransferCommit{Lock: lockID}))
	play(1_000, w.tx(2, proof(id)))
	play(20_000, w.tx(1, &TaskAcknowledge{Task: id, Mark: 850_000}))
	play(1)
	soon := Transaction{Expires: w.state.Tip().Time + 30_000}
	play(1_000, w.tx(1, &PlatformRegister{Platform: registration("founder-1")}), w.signed(1, soon, &ValidatorJoin{}))
	play(1_000, w.signed(2, soon, &ValidatorJoin{}))
	play(1_000, w.tx(2, &ValidatorLeave{}))
	play(1_000, w.tx(1, &ValidatorLeave{}))
	beacon := w.state.Beacon()
	got.Beacon = name(atp.Sum(beacon[:]), nil)

	const file = "testdata/golden.json"
	if *rewrite {
		out, err := json.MarshalIndent(got, "", "  ")
		must(t, err)
		must(t, os.WriteFile(file, append(out, '\n'), 0o644))
	}
	raw, err := os.ReadFile(file)
	must(t, err)
	var want golden
	must(t, json.Unmarshal(raw, &want))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the format changed: want -, got +\n%s", diff)
	}
}

// TestGoldenProofs reads proofs that are on file with the genesis of their
// chain: files that people keep hold in every later version. Made again, they
// are the same bytes.
func TestGoldenProofs(t *testing.T) {
	g, s, id := grown(t)
	proofs := map[string]Proof{"testdata/task.proof": s.task(id), "testdata/account.proof": s.account(s.world.keys[4].id)}
	const genesis = "testdata/proof-genesis.json"
	if *rewrite {
		file, err := g.JSON()
		must(t, err)
		must(t, os.WriteFile(genesis, file, 0o644))
	}
	file, err := os.ReadFile(genesis)
	must(t, err)
	kept, err := ParseGenesis(file)
	must(t, err)
	for name, p := range proofs {
		made, err := p.Encode()
		must(t, err)
		if *rewrite {
			must(t, os.WriteFile(name, made, 0o644))
		}
		raw, err := os.ReadFile(name)
		must(t, err)
		read, err := DecodeProof(raw)
		must(t, err)
		if _, err := read.Verify(bft.ZIP215{}, nil, kept); err != nil {
			t.Errorf("%s does not hold any more: %v", name, err)
		}
		if !bytes.Equal(made, raw) {
			t.Errorf("%s: another proof is made now: the format changed", name)
		}
	}
}
