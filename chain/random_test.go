package chain

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/task"
)

// player draws actions that a few actors might try, sensible or not.
type player struct {
	*world
	tasks, locks []cid.Cid // that were once opened, or never
}

func newPlayer(t *testing.T, admission Admission) *player {
	w := newWorld(t, 3, func(g *Genesis) {
		g.Params = DefaultParams(admission)
		g.Params.MinFee = 0
		g.Params.Limits = Limits{BodyBytes: 4_000, TxBytes: 2_000, Txs: 8, Ops: 12, Due: 12}
		g.Pool = 1_500 * atp.ATP
	})
	w.keys = append(w.keys, newKey("newcomer"), newKey("pauper"))
	return &player{world: w, tasks: []cid.Cid{atp.Sum(nil)}, locks: []cid.Cid{atp.Sum(nil)}}
}

func (p *player) action(t *rapid.T, by int) Action {
	amount := atp.Amount(rapid.OneOf(rapid.Uint64Range(0, 60_000_000), rapid.Uint64Range(999_000_000, 1_001_000_000), rapid.Just(^uint64(0))).Draw(t, "amount"))
	who := rapid.SampledFrom(p.keys).Draw(t, "who").id
	lock, id := rapid.SampledFrom(p.locks).Draw(t, "lock"), rapid.SampledFrom(p.tasks).Draw(t, "task")
	switch rapid.IntRange(0, 17).Draw(t, "action") {
	case 0:
		return &Transfer{To: who, Amount: amount}
	case 1:
		ahead := rapid.Uint64Range(0, 30_000).Draw(t, "ahead")
		return &TransferLock{Payee: who, Amount: amount, Deadline: p.state.Tip().Time + atp.Millis(ahead)}
	case 2:
		return &TransferCommit{Lock: lock}
	case 3:
		return &TransferRollback{Lock: lock}
	case 4:
		names := []task.Name{"founder-0", "founder-1", "founder-2", "newcomer", "pauper"}
		return &PlatformRegister{Platform: registration(rapid.SampledFrom(append(names, names[by], names[by])).Draw(t, "name"))}
	case 5:
		tm := terms(amount)
		if tm.Price == 0 {
			tm.Price = 1
		}
		tm.OfferWindow, tm.ExecutionWindow = 5*atp.Second, 5*atp.Second
		tm.Class = rapid.SampledFrom([]task.Class{task.Mutual, task.Recompute, task.Judge}).Draw(t, "class")
		if rapid.Bool().Draw(t, "named") {
			tm.Executor = atp.OptionalID{ID: who}
		}
		return &FederationTask{Terms: tm}
	case 6:
		return &TaskAccept{Task: id, Bond: amount}
	case 7:
		return proof(id)
	case 8:
		return &TaskAcknowledge{Task: id, Mark: task.PPM(rapid.SampledFrom([]uint64{0, 699_999, 700_000, 1_000_000, 1_000_001}).Draw(t, "mark"))}
	case 9:
		return &ValidatorJoin{}
	case 10:
		return &ValidatorLeave{}
	case 11, 12:
		return &StakeBond{Amount: amount}
	case 13:
		return &StakeUnbond{Amount: amount}
	case 14:
		return &TaskDispute{Task: id}
	case 15:
		return &TaskAppeal{Task: id}
	case 16:
		return p.word(t, by, id)
	default:
		return &TaskCancel{Task: id}
	}
}

// word is what a witness commits to, or reveals: always the same.
func (p *player) word(t *rapid.T, by int, id cid.Cid) Action {
	o := task.Opening{Genesis: p.state.Genesis(), Task: id, Result: proof(id).Proof.Result, Witness: p.keys[by].id, Answer: task.Answer(task.S)}
	if rapid.Bool().Draw(t, "everyone") {
		o.Level = task.Everyone
	}
	if rapid.Bool().Draw(t, "reveals") {
		return &WitnessReveal{Task: id, Level: uint8(o.Level), Score: o.Answer}
	}
	return &WitnessCommit{Task: id, Level: uint8(o.Level), Commit: o.Seal()}
}

func (p *player) transaction(t *rapid.T) VerifiedTx {
	by := rapid.IntRange(0, len(p.keys)-1).Draw(t, "by")
	var actions []Action
	for range rapid.IntRange(1, 4).Draw(t, "operations") {
		actions = append(actions, p.action(t, by))
	}
	tx := Transaction{Fee: atp.Amount(rapid.SampledFrom([]uint64{0, 0, 5, 2_000_000_000}).Draw(t, "fee"))}
	tx.Expires = p.state.Tip().Time + atp.Millis(rapid.SampledFrom([]uint64{500, 5_000, 60_000}).Draw(t, "expires"))
	if rapid.Bool().Draw(t, "lasts") {
		tx.Expires = 0
	}
	v := p.signed(by, tx, actions...)
	for i, a := range actions {
		if id, err := TaskID(p.state.Genesis(), v.Tx(), i); err == nil {
			p.tasks = append(p.tasks, id)
		} else if id, err := LockID(p.state.Genesis(), v.Tx(), i); err == nil && a.Kind() == OpTransferLock {
			p.locks = append(p.locks, id)
		}
	}
	return v
}

// resync takes the nonces from the state, as senders whose transactions were
// left out do.
func (w *world) resync() {
	for _, k := range w.keys {
		a, err := w.state.Account(k.id)
		must(w.t, err)
		w.nonce[k.id] = a.Nonce
	}
}

// TestRandomBlocks plays whole chains. After each block [world.blockAfter]
// checks that what was assembled applies, to the same root, and that A2 holds
// over every account and lock.
func TestRandomBlocks(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := newPlayer(t, rapid.SampledFrom([]Admission{AdmitAuto, AdmitVote}).Draw(rt, "admission"))
		genesis := p.state
		var blocks []Block
		for range rapid.IntRange(1, 8).Draw(rt, "blocks") {
			var txs []VerifiedTx
			for range rapid.IntRange(0, 10).Draw(rt, "transactions") {
				txs = append(txs, p.transaction(rt))
			}
			after := atp.Span(rapid.SampledFrom([]uint64{1, 700, 4_000, 130_000}).Draw(rt, "after"))
			before := p.state
			b, _, err := Assemble(before, p.header(after), txs)
			must(t, err)
			r := p.blockAfter(after, txs...)
			blocks = append(blocks, b)
			if len(r.Receipts) < len(b.Txs) || len(r.Receipts) > len(b.Txs)+12+1 {
				rt.Fatalf("%d receipts for %d transactions", len(r.Receipts), len(b.Txs))
			}
			checkRefused(t, p, before, b, r)
			p.resync()
		}
		// The same blocks give the same state, on nodes saved by nobody.
		s := genesis
		for _, b := range blocks {
			r, err := Apply(s, b)
			must(t, err)
			s = r.State
		}
		if s.Root() != p.state.Root() {
			rt.Fatalf("replayed to %s, want %s", s.Root(), p.state.Root())
		}
	})
}

// checkRefused executes every failed transaction of a block alone: all that it
// may leave is its nonce and its fee (C3).
func checkRefused(t *testing.T, p *player, before State, b Block, r Result) {
	t.Helper()
	for i, tx := range b.Txs {
		if r.Receipts[i].OK() {
			continue
		}
		header := headerOn(before, p.proposer(before), 1)
		alone, result, err := Assemble(before, header, []VerifiedTx{tx})
		must(t, err)
		if len(alone.Txs) != 1 || result.Receipts[0].OK() || len(result.Receipts) > 1 {
			continue // it needs, or fails by, what came before it; or something was due
		}
		header.Height, header.Parent = before.tip.Height+1, before.tip.ID
		d, err := begin(before, header)
		must(t, err)
		d.root.Decided = before.root.Validators
		must(t, d.ledger().Fee(tx.Tx().From, tx.Tx().Fee))
		must(t, d.see(tx.Tx().From))
		a, err := d.Account(tx.Tx().From)
		must(t, err)
		a.Nonce++
		must(t, d.SetAccount(tx.Tx().From, a))
		want, _, err := d.flush()
		must(t, err)
		if result.State.Root() != want {
			t.Fatalf("a failed transaction left something behind: %s", result.Receipts[0].Detail)
		}
	}
}

// TestNoTamperedBlockApplies changes one thing in a random block at a time.
func TestNoTamperedBlockApplies(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := newPlayer(t, AdmitAuto)
		var txs []VerifiedTx
		for range rapid.IntRange(2, 6).Draw(rt, "transactions") {
			txs = append(txs, p.transaction(rt))
		}
		b, want, err := Assemble(p.state, p.header(1000), txs)
		must(t, err)
		if len(b.Txs) < 2 {
			return
		}
		i := rapid.IntRange(0, len(b.Txs)-2).Draw(rt, "at")
		swapped := Block{b.Header, append([]VerifiedTx(nil), b.Txs...)}
		swapped.Txs[i], swapped.Txs[i+1] = swapped.Txs[i+1], swapped.Txs[i]
		cut := Block{b.Header, append(append([]VerifiedTx(nil), b.Txs[:i]...), b.Txs[i+1:]...)}
		for name, bad := range map[string]Block{"swapped": swapped, "cut": cut} {
			if _, err := Apply(p.state, bad); !errors.Is(err, ErrInvalid) {
				rt.Fatalf("%s: %v", name, err)
			}
		}
		again, err := Apply(p.state, b)
		must(t, err)
		if diff := cmp.Diff(want.Receipts, again.Receipts, equal(), cmp.Comparer(func(a, b task.Task) bool { return a.ID == b.ID })); diff != "" {
			rt.Fatal(diff)
		}
	})
}

func TestAnOutlineMakesTheSameBlock(t *testing.T) {
	w := newWorld(t, 3)
	var txs []VerifiedTx
	known := make(map[cid.Cid]VerifiedTx)
	for i := range 20 {
		v := w.tx(i%3, &Transfer{To: w.keys[0].id, Amount: atp.Amount(i + 1)})
		txs = append(txs, v)
		known[v.Address()] = v
	}
	b, _, err := Assemble(w.state, w.header(1000), txs)
	must(t, err)
	raw, err := b.Outline().Encode()
	must(t, err)
	o, err := DecodeOutline(raw)
	must(t, err)
	delete(known, txs[3].Address())
	delete(known, txs[7].Address())
	find := func(id cid.Cid) (VerifiedTx, bool) { v, ok := known[id]; return v, ok }
	if _, missing := o.Fill(find); fmt.Sprint(missing) != fmt.Sprint([]cid.Cid{txs[3].Address(), txs[7].Address()}) {
		t.Errorf("missing %v", missing)
	}
	known[txs[3].Address()], known[txs[7].Address()] = txs[3], txs[7]
	again, missing := o.Fill(find)
	if len(missing) > 0 {
		t.Fatalf("missing %v", missing)
	}
	if _, err := Apply(w.state, again); err != nil {
		t.Error(err)
	}
	o.Txs[0], o.Txs[1] = o.Txs[1], o.Txs[0]
	raw, err = o.Encode()
	must(t, err)
	if _, err := DecodeOutline(raw); !errors.Is(err, ErrInvalid) {
		t.Errorf("an outline of other transactions than its header's: %v", err)
	}
}

func TestABodyIsVerifiedAgainstItsHeader(t *testing.T) {
	w := newWorld(t, 3)
	b, _, err := Assemble(w.state, w.header(1000), []VerifiedTx{
		w.tx(1, &Transfer{To: w.keys[0].id, Amount: 1}), w.tx(2, &Transfer{To: w.keys[0].id, Amount: 2}),
	})
	must(t, err)
	raw, err := b.Body().Encode()
	must(t, err)
	body, err := DecodeBody(raw)
	must(t, err)
	got, err := body.Verify(bft.ZIP215{}, newEntropy(0), w.state.Genesis(), b.Header)
	must(t, err)
	if _, err := Apply(w.state, got); err != nil {
		t.Error(err)
	}
	body.Txs[0], body.Txs[1] = body.Txs[1], body.Txs[0]
	if _, err := body.Verify(bft.ZIP215{}, newEntropy(0), w.state.Genesis(), b.Header); !errors.Is(err, ErrInvalid) {
		t.Errorf("in another order: %v", err)
	}
	body.Txs[0].Signature[0] ^= 1
	if _, err := body.Verify(bft.ZIP215{}, newEntropy(0), w.state.Genesis(), b.Header); !errors.Is(err, ErrSignature) {
		t.Errorf("with a false signature: %v", err)
	}
}
