package chain

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/task"
)

// TestAStakeIsApartFromTheBondOfAVote bonds and asks back as a validator: of what
// it has bonded, only the stake is its own to ask for.
func TestAStakeIsApartFromTheBondOfAVote(t *testing.T) {
	w := newWorld(t, 2)
	if r := w.does(0, &StakeUnbond{Amount: atp.ATP}); r.Code != CodeStake {
		t.Errorf("its bond is asked back as a stake: %s: %s", r.Code, r.Detail)
	}
	if r := w.does(0, &StakeBond{Amount: 901 * atp.ATP}); r.Code != CodeInsufficient {
		t.Errorf("more than it has: %s", r.Code)
	}
	if r := w.does(0, &StakeBond{Amount: 150 * atp.ATP}); !r.OK() || r.Events[0].Name() != "STAKE_BOND" {
		t.Fatalf("%s: %s", r.Code, r.Detail)
	}
	if r := w.does(0, &StakeUnbond{Amount: 150*atp.ATP + 1}); r.Code != CodeStake {
		t.Errorf("more than its stake: %s", r.Code)
	}
	r := w.does(0, &StakeUnbond{Amount: 50 * atp.ATP})
	if !r.OK() || r.Events[0].Name() != "STAKE_UNBOND" {
		t.Fatalf("%s: %s", r.Code, r.Detail)
	}
	leaving := r.Events[0].Fact.(*task.StakeLeaving)
	must(t, w.state.EachUnbonding(func(u task.Unbonding) error {
		if u.ID != leaving.Unbonding || u.Amount != 50*atp.ATP || u.Until != leaving.Until {
			t.Errorf("%+v is on its way back, want %+v", u, leaving)
		}
		return nil
	}))
	if a, err := w.state.Account(w.keys[0].id); err != nil || a.Bonded != 250*atp.ATP || a.Available != 750*atp.ATP {
		t.Errorf("it has %+v, %v", a, err)
	}
	w.blockAfter(w.state.Params().Economy.Unbonding + 1)
	if released := w.only(w.block()); released.Subject != leaving.Unbonding || released.Events[0].Name() != "STAKE_RELEASED" {
		t.Errorf("released: %+v", released)
	}
	if a, err := w.state.Account(w.keys[0].id); err != nil || a.Bonded != 200*atp.ATP || a.Available != 800*atp.ATP {
		t.Errorf("it has %+v, %v", a, err)
	}
	if s, ok, err := w.state.Stake(w.keys[0].id); err != nil || !ok || s.Amount != 100*atp.ATP || s.Leaving != 0 {
		t.Errorf("its stake is %+v, %v, %v", s, ok, err)
	}
	if _, ok, err := w.state.NextDue(); err != nil || ok {
		t.Errorf("something is still due: %v", err)
	}
}

// TestASignatureOrATransactionSaysThatAWitnessIsThere has a validator and an
// observer with stakes, of whom neither sends anything for a while.
func TestASignatureOrATransactionSaysThatAWitnessIsThere(t *testing.T) {
	w := newWorld(t, 2)
	w.block(w.tx(0, &StakeBond{Amount: 150 * atp.ATP}), w.tx(1, &StakeBond{Amount: 150 * atp.ATP}))
	seen := func(i int) uint64 {
		s, _, err := w.state.Stake(w.keys[i].id)
		must(t, err)
		return uint64(s.Seen)
	}
	for range 3 {
		w.block()
	}
	if seen(0) != 4 || seen(1) != 1 {
		t.Errorf("the validator was seen in block %d, the observer in block %d, want 4 and 1", seen(0), seen(1))
	}
	w.block(w.tx(1, &StakeUnbond{Amount: 200 * atp.ATP})) // refused, and sent all the same
	if seen(0) != 5 || seen(1) != 5 {
		t.Errorf("the validator was seen in block %d, the observer in block %d, want 5", seen(0), seen(1))
	}
}

// TestACertificateCountsThoseWhoDecided has a validator lose its vote: its signature
// under the block in which it did is its own, and not that of who has its place now.
func TestACertificateCountsThoseWhoDecided(t *testing.T) {
	w := validating(t, 5)
	var txs []VerifiedTx
	for i := range w.keys {
		txs = append(txs, w.tx(i, &StakeBond{Amount: 150 * atp.ATP}))
	}
	w.block(txs...)
	seenNow := func() (ids []atp.ID) {
		must(t, w.state.EachStake(func(id atp.ID, s task.Stake) error {
			if s.Seen == task.Height(w.state.Tip().Height) {
				ids = append(ids, id)
			}
			return nil
		}))
		return ids
	}
	first := atp.ID(w.state.Validators().ID(0)) // who alone signs here
	liar := slices.IndexFunc(w.keys, func(k key) bool { return k.id == first })
	if r := w.block(w.tx((liar+1)%5, w.doubleVote(w.keys[liar], 1))).Receipts[0]; !r.OK() {
		t.Fatal(r.Detail)
	}
	for i, want := range []atp.ID{first, atp.ID(w.state.Validators().ID(0))} {
		w.block()
		if ids := seenNow(); len(ids) != 1 || ids[0] != want {
			t.Errorf("block %d after it: %v count as seen, want %s alone", i+1, ids, want)
		}
	}
}

// Who has a stake, or a seat with nothing left of its stake, keeps its key: its pay
// would be that of a key that is spent.
func TestAWitnessKeepsItsKey(t *testing.T) {
	w := validating(t, 4)
	w.block(w.tx(1, &StakeBond{Amount: 150 * atp.ATP}))
	to := newKey("to")
	if r := w.block(w.rotation(1, to)).Receipts[0]; r.Code != CodeKey || !strings.Contains(r.Detail, "staked") {
		t.Errorf("with a stake: %v, %s", r.Code, r.Detail)
	}
	e := &execution{draft: newDraft(newOverlay(w.nodes), w.state.root, w.state.constants), parent: w.state}
	must(t, e.SetStake(w.keys[2].id, task.Stake{Open: 1}))
	account, err := e.Account(w.keys[2].id)
	must(t, err)
	if err := e.unburdened(w.keys[2].id, account); !errors.Is(err, ErrKey) {
		t.Errorf("with a seat and no stake: %v", err)
	}
	w.block(w.tx(1, &StakeUnbond{Amount: 150 * atp.ATP}))
	w.blockAfter(w.state.Params().Economy.Unbonding + 1)
	w.block()
	w.rotate(1, "to")
}

// TestATransactionTellsNoMoreThanAReceiptHolds: the last of many witnesses could end
// hundreds of tasks in one transaction, and a block whose receipt has no encoding
// is none that anybody can execute.
func TestATransactionTellsNoMoreThanAReceiptHolds(t *testing.T) {
	w := newWorld(t, 2)
	tx := w.tx(0, &StakeBond{Amount: 150 * atp.ATP}, &StakeBond{Amount: atp.ATP})
	h := w.header(atp.Second)
	h.Height, h.Parent = w.state.Tip().Height+1, w.state.Tip().ID
	e, err := begin(w.state, h)
	must(t, err)
	many := make([]Event, maxReceiptEvents-1)
	for i := range many {
		many[i] = Event{&task.SeatPaid{Task: atp.Sum(nil), Witness: w.keys[0].id, Pay: 1 << 40, Slashed: 1 << 40}}
	}
	r := Receipt{Subject: tx.id, Events: many}
	must(t, e.run(tx.tx, &r))
	if r.Code != CodeRefused || r.Op != 1 || len(r.Events) != len(many) {
		t.Errorf("have code %s of operation %d, and %d events, want the second refused", r.Code, r.Op, len(r.Events))
	}
	if s, known, err := e.Stake(w.keys[0].id); err != nil || known {
		t.Errorf("the stake is %+v, %v, want none", s, err)
	}
	r.Events = append(r.Events, many[0])
	raw, err := r.Encode()
	must(t, err)
	if _, err := DecodeReceipt(raw); err != nil {
		t.Errorf("%d events in %d bytes: %v", len(r.Events), len(raw), err)
	}
}
