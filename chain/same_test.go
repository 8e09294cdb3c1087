package chain

import (
	"crypto/sha256"
	"encoding/binary"
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

// dice are the same draws on every machine: SHA-256 of a seed and a counter.
type dice struct{ seed, count uint64 }

// roll draws one of 0 … n-1.
func (d *dice) roll(n int) int {
	b := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, d.seed), d.count)
	d.count++
	sum := sha256.Sum256(b)
	return int(binary.BigEndian.Uint64(sum[:]) % uint64(n))
}

func pick[T any](d *dice, from ...T) T { return from[d.roll(len(from))] }

// last returns one of the newest few.
func last[T any](d *dice, all []T) T { return all[len(all)-1-d.roll(min(3, len(all)))] }

// gambler is a player whose actions are drawn by dice: more sensible than not,
// so that most of what can happen does.
type gambler struct {
	*player
	dice *dice
}

func (g *gambler) action(by int) Action {
	d := g.dice
	amount := pick[atp.Amount](d, 1, 1, 20_000, 20_000, 60_000_000, 1<<62) + atp.Amount(d.roll(20_000))
	who, lock, id := pick(d, g.keys...).id, last(d, g.locks), last(d, g.tasks)
	switch d.roll(14) {
	case 0:
		return &Transfer{To: who, Amount: amount}
	case 1:
		return &TransferLock{Payee: who, Amount: amount, Deadline: g.state.Tip().Time + atp.Millis(d.roll(30_000))}
	case 2:
		return &TransferCommit{Lock: lock}
	case 3:
		return &TransferRollback{Lock: lock}
	case 4:
		return &PlatformRegister{Platform: registration(pick(d, names()[by], names()[by], pick(d, names()...)))}
	case 5, 12, 13:
		return &FederationTask{Terms: g.terms(who)}
	case 6, 7:
		return &TaskAccept{Task: id, Bond: pick(d, 5*atp.ATP, 5*atp.ATP, amount)}
	case 8, 9:
		return proof(id)
	case 10:
		return &TaskAcknowledge{Task: id, Mark: pick[task.PPM](d, 0, 699_999, 700_000, 1_000_000)}
	}
	return pick[Action](d, &ValidatorJoin{}, &ValidatorLeave{}, &TaskCancel{Task: id})
}

// names are those of a player's keys, in their order.
func names() []task.Name {
	return []task.Name{"founder-0", "founder-1", "founder-2", "newcomer", "pauper"}
}

func (g *gambler) terms(who atp.ID) task.Terms {
	t := terms(atp.Amount(1 + g.dice.roll(60_000_000)))
	t.OfferWindow, t.ExecutionWindow = 30*atp.Second, 30*atp.Second
	if g.dice.roll(5) == 0 {
		t.Executor = atp.OptionalID{ID: who}
	}
	return t
}

func (g *gambler) transaction() VerifiedTx {
	by := g.dice.roll(len(g.keys))
	if id := last(g.dice, g.tasks); g.dice.roll(3) > 0 {
		if by, action, ok := g.fitting(id); ok {
			return g.tx(by, action)
		}
	}
	var actions []Action
	for range pick(g.dice, 1, 1, 1, 2, 3) {
		actions = append(actions, g.action(by))
	}
	tx := Transaction{Fee: pick[atp.Amount](g.dice, 0, 0, 0, 5, 5, 2_000_000_000)}
	if g.dice.roll(2) == 0 {
		tx.Expires = g.state.Tip().Time + atp.Millis(pick(g.dice, 500, 5_000, 60_000))
	}
	return g.signed(by, tx, actions...)
}

// fitting is what someone would do next about an open task.
func (g *gambler) fitting(id cid.Cid) (by int, a Action, ok bool) {
	t, ok, err := g.state.Task(id)
	must(g.t, err)
	who := t.Requester.ID
	switch t.Stage {
	case task.Posted:
		return g.dice.roll(len(g.keys)), &TaskAccept{Task: id, Bond: 5 * atp.ATP}, true
	case task.Accepted:
		who, a = t.Acceptance.Executor.ID, proof(id)
	case task.Proven:
		a = &TaskAcknowledge{Task: id, Mark: pick[task.PPM](g.dice, 699_999, 700_000, 900_000, 1_000_000)}
	}
	for i, k := range g.keys {
		if k.id == who {
			return i, a, ok
		}
	}
	return 0, nil, false
}

// registrations are every key's own.
func (g *gambler) registrations() (txs []VerifiedTx) {
	for i, name := range names() {
		txs = append(txs, g.tx(i, &PlatformRegister{Platform: registration(name)}))
	}
	return txs
}

// note keeps what was opened, and counts what happened.
func (g *gambler) note(r Receipt, seen map[string]int) {
	if !r.OK() {
		seen["refused: "+r.Code.String()]++
	}
	for _, e := range r.Events {
		seen[e.Name()]++
		switch e := e.Fact.(type) {
		case *LockOpened:
			g.locks = append(g.locks, e.Lock)
		case *task.Moved:
			if e.From == "" {
				g.tasks = append(g.tasks, e.Task)
			}
		}
	}
}

// game plays a chain of n blocks and returns them, with the genesis' state. It
// counts what happened by its name, and refusals by theirs.
func game(t *testing.T, seed uint64, n int, seen map[string]int) (genesis State, blocks []Block) {
	g := gambler{newPlayer(t, []Admission{AdmitAuto, AdmitVote}[seed%2]), &dice{seed: seed}}
	genesis = g.state
	txs := g.registrations()
	for range n {
		for range g.dice.roll(7) {
			txs = append(txs, g.transaction())
		}
		b, r, err := Assemble(g.state, g.header(pick[atp.Span](g.dice, 1, 1, 700, 700, 700, 4_000, 130_000)), txs)
		must(t, err)
		for _, receipt := range r.Receipts {
			g.note(receipt, seen)
		}
		blocks = append(blocks, b)
		g.nodes.save(r.Nodes)
		g.state = r.State.On(g.nodes)
		g.resync()
		txs = nil
	}
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

// TestRootsOfAThousandRandomBlocks is A5: the roots are those on file, which
// any machine and processor must find, and are found again when the same blocks
// are executed at once on several threads, with the collector at work all the
// time and every map walked in another order. The stage "other processors" of
// .ci/run has this test run on arm64.
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
		}
		fmt.Fprintf(&found, "%x\n", all.Sum(nil))
	}
	for _, what := range []string{"ATP_TRANSFER_COMMIT", "ATP_TRANSFER_ROLLBACK", "prove", "acknowledge", "refuse", "expire", "FEDERATION_REPUTATION", "VALIDATOR_CANDIDATE"} {
		if seen[what] == 0 {
			t.Errorf("nothing called %s in %d blocks: %v", what, chains*length, seen)
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
