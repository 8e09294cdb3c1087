package chain

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/task"
)

// game plays a chain of n blocks and returns them, with the genesis' state.
func game(t *testing.T, seed uint64, n int, seen map[string]int) (genesis State, blocks []Block) {
	g := newGambler(t, seed, seen)
	genesis = g.state
	txs := g.settles()
	for range n {
		b, r, err := Assemble(g.state, g.head(), txs)
		must(t, err)
		g.nodes.save(r.Nodes)
		g.state = r.State.On(g.nodes)
		g.note(b, r)
		g.resync()
		blocks = append(blocks, b)
		txs = g.plays()
	}
	must(t, g.state.Check())
	return genesis, blocks
}

// replayed executes blocks anew on nodes that nobody has saved, and returns the
// root after each.
func replayed(s State, blocks []Block) (roots []cid.Cid, err error) {
	for _, b := range blocks {
		r, err := Apply(s, b)
		if err != nil {
			return nil, fmt.Errorf("block %d: %w", b.Header.Height, err)
		}
		s = r.State
		roots = append(roots, s.Root())
	}
	return roots, nil
}

// everything is what has to happen in a thousand blocks, as a [gambler] counts it:
// every operation is executed, every event told, and every settlement and verdict
// there is comes about.
func everything() (all []string) {
	for k := range opNames() {
		if _, err := newAction(OpKind(k)); err == nil {
			all = append(all, "done: "+OpKind(k).String())
		}
	}
	for n := uint64(1); ; n++ {
		f, err := newFact(n)
		if err != nil {
			break
		}
		all = append(all, fmt.Sprintf("told: %T", f))
	}
	for _, p := range []task.Path{
		task.PostedEnds, task.Unaudited, task.Late, task.Refused, task.AuditVoid, task.DisputeVoid, task.DisputeNoWitnesses,
		task.AuditPass, task.AuditPassVain, task.AuditPassOverturned, task.AuditFail, task.AuditFailVain, task.AuditFailOverturned,
		task.DisputeLost, task.DisputeLostVain, task.DisputeLostOverturned, task.DisputeWon, task.DisputeWonVain, task.DisputeWonOverturned,
	} {
		all = append(all, "paid: "+string(p))
	}
	for _, v := range []task.Verdict{task.Pass, task.Fail, task.OverLimit, task.NoVerdict} {
		all = append(all, "judged: level 0, "+string(v), "judged: level 1, "+string(v))
	}
	return append(all, "judged: level 0, "+string(task.Inconclusive), "a seat was slashed")
}

// TestRootsOfAThousandRandomBlocks is A5: the roots of states and receipts are
// those on file, which any machine and processor must find, and are found again
// when the same blocks are executed at once on several threads, with the collector
// at work all the time and every map walked in another order. In those blocks all
// happens that can. The stage "other processors" of .ci/run has this test run on
// arm64.
func TestRootsOfAThousandRandomBlocks(t *testing.T) {
	const chains, length = 20, 50
	const file = "testdata/roots.txt"
	var found strings.Builder
	var geneses [chains]State
	var played [chains][]Block
	seen := make(map[string]int)
	for i := range played {
		geneses[i], played[i] = game(t, uint64(i), length, seen)
		all := sha256.New()
		for _, b := range played[i] {
			all.Write(b.Header.StateRoot.Bytes())
			all.Write(b.Header.ReceiptsRoot.Bytes())
		}
		fmt.Fprintf(&found, "%x\n", all.Sum(nil))
	}
	for _, what := range everything() {
		if seen[what] == 0 {
			t.Errorf("never in %d blocks: %s; other dice may do", chains*length, what)
		}
	}
	executeAgain(t, geneses[:], played[:])
	if *rewrite {
		must(t, os.WriteFile(file, []byte(found.String()), 0o644))
	}
	want, err := os.ReadFile(file)
	must(t, err)
	if found.String() != string(want) {
		t.Errorf("the roots on %s, each line those of %d blocks:\n%swant those of %s:\n%s", runtime.GOARCH, length, &found, file, want)
	}
	t.Logf("same: roots of %d blocks: %x", chains*length, sha256.Sum256([]byte(found.String())))
}

// executeAgain runs all chains at once, with a collector that never rests.
func executeAgain(t *testing.T, geneses []State, played [][]Block) {
	defer debug.SetGCPercent(debug.SetGCPercent(2))
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	var running sync.WaitGroup
	for i := range played {
		running.Go(func() {
			roots, err := replayed(geneses[i], played[i])
			if err != nil {
				t.Errorf("chain %d: %v", i, err)
				return
			}
			for h, b := range played[i] {
				if roots[h] != b.Header.StateRoot {
					t.Errorf("chain %d, block %d: root %s, then %s", i, h+1, b.Header.StateRoot, roots[h])
				}
			}
		})
	}
	running.Wait()
}

// smallOrder is the 14 encodings of the 8 points of small order.
func smallOrder(t *testing.T) (points [][32]byte) {
	t.Helper()
	file, err := os.ReadFile("../bft/testdata/small_order.txt")
	must(t, err)
	for _, line := range strings.Split(strings.TrimSpace(string(file)), "\n")[1:] {
		b, err := hex.DecodeString(line)
		must(t, err)
		points = append(points, [32]byte(b))
	}
	return points
}

// TestCraftedSignaturesOnEveryPath is the 196 signatures of small order, 14 keys
// by 14 points with s = 0, on every path by which this package judges one.
// ZIP-215 takes them all, whichever processor asks and whatever shares a batch.
func TestCraftedSignaturesOnEveryPath(t *testing.T) {
	w := newWorld(t, 1)
	genesis := w.state.Genesis()
	var txs []Transaction
	for _, a := range smallOrder(t) {
		for _, r := range smallOrder(t) {
			tx := Transaction{Version: TxVersion, From: atp.IDFromKey(a), Nonce: uint64(len(txs)), Ops: []Op{{&Transfer{To: w.keys[0].id, Amount: 1}}}}
			copy(tx.Signature[:32], r[:])
			txs = append(txs, tx)
		}
	}
	if len(txs) != 196 {
		t.Fatalf("%d signatures, want 196", len(txs))
	}
	together, errs := VerifyTxs(bft.ZIP215{}, newEntropy(1), genesis, txs)
	root, err := listRoot(addresses(together))
	must(t, err)
	for i, tx := range txs {
		alone, err := VerifyTxs(bft.ZIP215{}, newEntropy(2), genesis, []Transaction{tx})
		if errs[i] != nil || err[0] != nil || alone[0].Address() != together[i].Address() {
			t.Errorf("key %x, R %x: in a batch %v, alone %v", tx.From, tx.Signature[:32], errs[i], err[0])
		}
		sign := func([]byte) (bft.Signature, error) { return tx.Signature, nil }
		if _, err := SignTx(bft.ZIP215{}, genesis, tx, sign); err != nil {
			t.Errorf("key %x, R %x: as one's own: %v", tx.From, tx.Signature[:32], err)
		}
		founder := Founder{ID: tx.From, Signature: FounderSignature(tx.Signature)}
		if err := founder.check([]byte("anything")); err != nil {
			t.Errorf("key %x, R %x: as a founder's: %v", tx.From, tx.Signature[:32], err)
		}
	}
	body := Body{txs}
	if _, err := body.Verify(bft.ZIP215{}, newEntropy(3), genesis, Header{BodyRoot: root}); err != nil {
		t.Errorf("as the body of a block: %v", err)
	}
	// One that is false falls alone, in whatever company.
	txs[100].Signature[32] = 1
	_, errs = VerifyTxs(bft.ZIP215{}, newEntropy(4), genesis, txs)
	for i, err := range errs {
		if (err != nil) != (i == 100) {
			t.Errorf("with one false signature among them, number %d: %v", i, err)
		}
	}
}
