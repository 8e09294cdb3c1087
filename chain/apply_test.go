package chain

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/task"
)

func TestABlockIsInvalidFor(t *testing.T) {
	w := newWorld(t, 3)
	w.block()
	good, _, err := Assemble(w.state, w.header(1000), []VerifiedTx{w.tx(1, &Transfer{To: w.keys[2].id, Amount: 1})})
	must(t, err)
	other, _, err := Assemble(w.state, w.header(1000), nil)
	must(t, err)
	for _, tt := range []struct {
		name   string
		change func(*Block)
	}{
		{"another version", func(b *Block) { b.Header.Version++ }},
		{"another height", func(b *Block) { b.Header.Height++ }},
		{"the height of its parent", func(b *Block) { b.Header.Height-- }},
		{"another parent", func(b *Block) { b.Header.Parent = atp.Sum(nil) }},
		{"no parent", func(b *Block) { b.Header.Parent = cid.Undef }},
		{"its parent's time", func(b *Block) { b.Header.Time = w.state.Tip().Time }},
		{"a time that expires nothing, but is not the one executed", func(b *Block) { b.Header.Time++; b.Header.StateRoot = atp.Sum(nil) }},
		{"a proposer that is no validator", func(b *Block) { b.Header.Proposer = bft.ID(w.keys[1].id) }},
		{"a beacon proof of another height", func(b *Block) {
			b.Header.BeaconProof = bft.ProveBeacon(w.keys[0].private, w.state.Beacon(), 7)
		}},
		{"another body root", func(b *Block) { b.Header.BodyRoot = other.Header.BodyRoot }},
		{"another state root", func(b *Block) { b.Header.StateRoot = other.Header.StateRoot }},
		{"another receipts root", func(b *Block) { b.Header.ReceiptsRoot = other.Header.ReceiptsRoot }},
		{"another validator set", func(b *Block) { b.Header.ValidatorsHash[0] ^= 1 }},
		{"no certificate of its parent", func(b *Block) { b.Header.LastCommit = nil }},
		{"a certificate of another height", func(b *Block) { b.Header.LastCommit = &bft.CommitCert{Height: 2, Block: b.Header.Parent} }},
		{"a certificate of another block", func(b *Block) { b.Header.LastCommit = &bft.CommitCert{Height: 1, Block: atp.Sum(nil)} }},
		{"a transaction left out", func(b *Block) { b.Txs = nil }},
		{"a transaction listed twice", func(b *Block) { b.Txs = append(b.Txs, b.Txs[0]) }},
		{"a transaction that is none", func(b *Block) { b.Txs = []VerifiedTx{{}} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := Block{good.Header, append([]VerifiedTx(nil), good.Txs...)}
			tt.change(&b)
			r, err := Apply(w.state, b)
			if !errors.Is(err, ErrInvalid) || errors.Is(err, ErrStorage) {
				t.Errorf("applied: %v", err)
			}
			if r.Nodes != nil || r.Receipts != nil || r.State.Root().Defined() {
				t.Error("a block that failed left a result")
			}
		})
	}
	if _, err := Apply(w.state, good); err != nil {
		t.Errorf("the good block: %v", err)
	}
}

// Nobody makes a block either whose certificate is not of its parent, whatever it
// says of who signed.
func TestABlockIsMadeOnTheCertificateOfItsParent(t *testing.T) {
	w := newWorld(t, 3)
	w.block()
	h := w.header(1000)
	for _, change := range []func(*bft.CommitCert){
		func(c *bft.CommitCert) { c.Height++ },
		func(c *bft.CommitCert) { c.Block = atp.Sum(nil) },
	} {
		other, spoilt := *h.LastCommit, h
		change(&other)
		spoilt.LastCommit = &other
		if _, _, err := Assemble(w.state, spoilt, nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("on the certificate of block %s at height %d: %v, want %v", other.Block, other.Height, err, ErrInvalid)
		}
	}
	if _, _, err := Assemble(w.state, h, nil); err != nil {
		t.Error(err)
	}
}

// TestATransactionSpoilsABlockFor checks that Apply refuses what Assemble
// leaves out, and for that reason.
func TestATransactionSpoilsABlockFor(t *testing.T) {
	pay := func(w *world) Action { return &Transfer{To: w.keys[0].id, Amount: 1} }
	for _, tt := range []struct {
		name   string
		params func(*Params)
		txs    func(*world) []VerifiedTx
		taken  int
		want   error
	}{
		{"a nonce that is used", nil, func(w *world) []VerifiedTx {
			first := w.tx(1, pay(w))
			w.nonce[w.keys[1].id] = 0
			return []VerifiedTx{first, w.tx(1, pay(w), pay(w))}
		}, 1, ErrNonce},
		{"a nonce that is ahead", nil, func(w *world) []VerifiedTx {
			w.nonce[w.keys[1].id] = 1
			return []VerifiedTx{w.tx(1, pay(w))}
		}, 0, ErrNonce},
		{"an end before the block's time", nil, func(w *world) []VerifiedTx {
			return []VerifiedTx{w.signed(1, Transaction{Expires: epoch + 999}, pay(w))}
		}, 0, ErrExpired},
		{"an end at the block's time", nil, func(w *world) []VerifiedTx {
			return []VerifiedTx{w.signed(1, Transaction{Expires: epoch + 1000}, pay(w))}
		}, 1, nil},
		{"a fee below the least", func(p *Params) { p.MinFee = 10 }, func(w *world) []VerifiedTx {
			return []VerifiedTx{w.signed(1, Transaction{Fee: 10}, pay(w)), w.signed(2, Transaction{Fee: 9}, pay(w))}
		}, 1, ErrLimit},
		{"a fee that its sender does not have", nil, func(w *world) []VerifiedTx {
			return []VerifiedTx{w.signed(1, Transaction{Fee: 1001 * atp.ATP}, pay(w))}
		}, 0, ErrLimit},
		{"a transaction too many", func(p *Params) { p.Limits.Txs = 2 }, func(w *world) []VerifiedTx {
			return []VerifiedTx{w.tx(1, pay(w)), w.tx(1, pay(w)), w.tx(2, pay(w))}
		}, 2, ErrLimit},
		{"an operation too many", func(p *Params) { p.Limits.Ops = 3 }, func(w *world) []VerifiedTx {
			return []VerifiedTx{w.tx(1, pay(w), pay(w)), w.tx(2, pay(w), pay(w)), w.tx(0, pay(w))}
		}, 2, ErrLimit},
		{"a byte too many in all", func(p *Params) { p.Limits.BodyBytes, p.Limits.TxBytes = 400, 400 }, func(w *world) []VerifiedTx {
			return []VerifiedTx{w.tx(1, pay(w)), w.tx(2, pay(w)), w.tx(0, pay(w))}
		}, 2, ErrLimit},
		{"a byte too many in one", func(p *Params) { p.Limits.TxBytes = 180 }, func(w *world) []VerifiedTx {
			return []VerifiedTx{w.tx(1, pay(w), pay(w)), w.tx(2, pay(w))}
		}, 1, ErrLimit},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, 3, func(g *Genesis) {
				if tt.params != nil {
					tt.params(&g.Params)
				}
			})
			txs := tt.txs(w)
			b, _, err := Assemble(w.state, w.header(1000), txs)
			if err != nil || len(b.Txs) != tt.taken {
				t.Fatalf("assembled %d, want %d: %v", len(b.Txs), tt.taken, err)
			}
			_, err = Apply(w.state, Block{b.Header, txs})
			if !errors.Is(err, tt.want) {
				t.Errorf("applied: %v, want %v", err, tt.want)
			}
		})
	}
}

func TestAFailedTransactionCostsNonceAndFeeAndNothingElse(t *testing.T) {
	w := newWorld(t, 3)
	before, err := w.state.Account(w.keys[1].id)
	must(t, err)
	r := w.only(w.block(w.signed(1, Transaction{Fee: 7},
		&Transfer{To: w.keys[2].id, Amount: 5},
		&PlatformRegister{Platform: registration("founder-1")},
		&TransferLock{Payee: w.keys[2].id, Amount: 1_000, Deadline: epoch + 9_000},
		&Transfer{To: w.keys[2].id, Amount: 2_000 * atp.ATP},
		&Transfer{To: w.keys[2].id, Amount: 5})))
	if r.OK() || r.Code != CodeInsufficient || r.Op != 3 || r.Detail == "" {
		t.Errorf("receipt: %v of operation %d: %q", r.Code, r.Op, r.Detail)
	}
	if diff := cmp.Diff([]Event{{&FeePaid{w.keys[1].id, 7}}}, r.Events, equal()); diff != "" {
		t.Errorf("events: want -, got +\n%s", diff)
	}
	after, err := w.state.Account(w.keys[1].id)
	must(t, err)
	before.Available -= 7
	before.Nonce++
	if after != before {
		t.Errorf("have %+v, want %+v", after, before)
	}
	if got := w.available(2); got != 1_000*atp.ATP {
		t.Errorf("the payee has %s ATP", got)
	}
	if got := w.state.Totals().Discharged; got != 7 {
		t.Errorf("discharged %d, want 7", got)
	}
	if _, ok, _ := w.state.Platform(w.keys[1].id); ok || w.state.Census() != (Census{Validators: 1}) {
		t.Error("a registration outlived its transaction")
	}
	if _, ok, _ := w.state.NextDue(); ok {
		t.Error("a deadline outlived its transaction")
	}
}

func TestALockEndsOnce(t *testing.T) {
	type step struct {
		by   int
		make func(lock cid.Cid) Action
		want Code
	}
	commit := func(id cid.Cid) Action { return &TransferCommit{Lock: id} }
	rollback := func(id cid.Cid) Action { return &TransferRollback{Lock: id} }
	late := func(s ...step) []step { return append([]step{{}, {}}, s...) } // two empty blocks first
	for _, tt := range []struct {
		name         string
		steps        []step
		payer, payee atp.Amount
	}{
		{"committed, and the second commit refused", []step{{1, commit, CodeOK}, {1, commit, CodeNoLock}}, 990, 1010},
		{"committed, then rolled back", []step{{1, commit, CodeOK}, {2, rollback, CodeNoLock}}, 990, 1010},
		{"committed by the payee", []step{{2, commit, CodeNotYours}, {2, rollback, CodeOK}}, 1000, 1000},
		{"rolled back by the payer, too early", []step{{1, rollback, CodeTooEarly}, {1, commit, CodeOK}}, 990, 1010},
		{"rolled back by the payee", []step{{2, rollback, CodeOK}, {1, commit, CodeNoLock}}, 1000, 1000},
		{"rolled back by a stranger, too early", []step{{0, rollback, CodeTooEarly}}, 990, 1000},
		{"left alone", late(step{}), 1000, 1000},
		{"committed too late", late(step{1, commit, CodeTooLate}), 1000, 1000},
		{"rolled back by a stranger, late", late(step{0, rollback, CodeOK}), 1000, 1000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, 3)
			open := w.tx(1, &TransferLock{Payee: w.keys[2].id, Amount: 10 * atp.ATP, Deadline: epoch + 10_000})
			if r := w.only(w.block(open)); !r.OK() {
				t.Fatal(r.Detail)
			}
			id, err := LockID(w.state.Genesis(), open.Tx(), 0)
			must(t, err)
			if l, ok, err := w.state.Lock(id); err != nil || !ok || l.Amount != 10*atp.ATP {
				t.Fatalf("lock %+v, %v, %v", l, ok, err)
			}
			for i, s := range tt.steps {
				if s.make == nil {
					w.blockAfter(8_000)
					continue
				}
				if r := w.block(w.tx(s.by, s.make(id))).Receipts[0]; r.Code != s.want {
					t.Errorf("step %d: %v, want %v: %s", i, r.Code, s.want, r.Detail)
				}
			}
			payer, payee := w.available(1), w.available(2)
			if payer != tt.payer*atp.ATP || payee != tt.payee*atp.ATP {
				t.Errorf("payer and payee have %s and %s ATP, want %d and %d", payer, payee, tt.payer, tt.payee)
			}
		})
	}
}

func TestLocksAreRefused(t *testing.T) {
	w := newWorld(t, 3)
	year := w.state.Params().MaxLock
	for _, tt := range []struct {
		name string
		lock TransferLock
		want Code
	}{
		{"of nothing", TransferLock{w.keys[2].id, 0, epoch + 60_000}, CodeAmount},
		{"of dust", TransferLock{w.keys[2].id, 999, epoch + 60_000}, CodeAmount},
		{"of the least", TransferLock{w.keys[2].id, 1_000, epoch + 60_000}, CodeOK},
		{"of more than there is", TransferLock{w.keys[2].id, 1_001 * atp.ATP, epoch + 60_000}, CodeInsufficient},
		{"for oneself", TransferLock{w.keys[1].id, 1_000, epoch + 60_000}, CodePayee},
		{"until the past", TransferLock{w.keys[2].id, 1_000, epoch}, CodeTooLate},
		{"for ever", TransferLock{w.keys[2].id, 1_000, ^atp.Millis(0)}, CodeDeadline},
		{"a year and longer", TransferLock{w.keys[2].id, 1_000, w.state.Tip().Time.Add(year + 60_000)}, CodeDeadline},
	} {
		if r := w.only(w.block(w.tx(1, &tt.lock))); r.Code != tt.want {
			t.Errorf("%s: %v, want %v: %s", tt.name, r.Code, tt.want, r.Detail)
		}
	}
}

func TestRegistration(t *testing.T) {
	w := newWorld(t, 2)
	w.keys = append(w.keys, newKey("newcomer"), newKey("latecomer"))
	name := func(s task.Name) *PlatformRegister { return &PlatformRegister{Platform: registration(s)} }
	for _, tt := range []struct {
		what      string
		by        int
		op        Action
		want      Code
		available atp.Amount
		census    uint64
	}{
		{"a founder registers, and has its grant already", 1, name("founder-1"), CodeOK, 1_000, 1},
		{"a founder under another name", 0, name("other"), CodeName, 900, 1},
		{"a newcomer under a founder's name", 2, name("founder-0"), CodeName, 0, 1},
		{"a newcomer is granted", 2, name("thor"), CodeOK, 1_000, 2},
		{"once", 2, name("thor"), CodeOK, 1_000, 2},
		{"and keeps its name", 2, name("loki"), CodeName, 1_000, 2},
		{"which nobody else gets", 3, name("thor"), CodeName, 0, 2},
		{"a latecomer is granted", 3, name("loki"), CodeOK, 1_000, 3},
	} {
		r := w.only(w.block(w.tx(tt.by, tt.op)))
		if r.Code != tt.want {
			t.Errorf("%s: %v, want %v: %s", tt.what, r.Code, tt.want, r.Detail)
		}
		if got := w.available(tt.by); got != tt.available*atp.ATP {
			t.Errorf("%s: has %s ATP, want %d", tt.what, got, tt.available)
		}
		if got, want := w.state.Census(), (Census{Platforms: tt.census, Societies: tt.census, Validators: 1}); got != want {
			t.Errorf("%s: census %v, want %v", tt.what, got, want)
		}
	}
	found := 0
	must(t, w.state.EachPlatform(func(atp.ID, task.Platform) error { found++; return nil }))
	if found != 3 {
		t.Errorf("%d platforms, want 3", found)
	}
}

// TestTheGrantShrinksWithThePool has keys join one after the other, each
// granted the same until that is more than a 500th of the pool: whoever comes
// late, after however many, still gets something.
func TestTheGrantShrinksWithThePool(t *testing.T) {
	const early, late = 3, 400
	w := newWorld(t, 1, func(g *Genesis) { g.Pool = 500_900 * atp.ATP })
	var granted []atp.Amount
	for i := range early + late {
		w.keys = append(w.keys, newKey(fmt.Sprint("newcomer ", i)))
		w.block(w.tx(1+i, &PlatformRegister{Platform: registration(task.Name(fmt.Sprint("joined-", i)))}))
		granted = append(granted, w.available(1+i))
	}
	// 500,900, then 499,900, then 498,900.2 ATP are in the pool.
	if diff := cmp.Diff([]atp.Amount{1_000_000_000, 999_800_000, 997_800_400}, granted[:early]); diff != "" {
		t.Errorf("the first newcomers: want -, got +\n%s", diff)
	}
	if last := granted[early+late-1]; last < 400*atp.ATP {
		t.Errorf("after %d newcomers one is granted %s ATP, want something to begin with", early+late-1, last)
	}
}

func TestUnderVoteOnlyFoundersAreOfASociety(t *testing.T) {
	w := newWorld(t, 2, func(g *Genesis) { g.Params = DefaultParams(AdmitVote) })
	w.keys = append(w.keys, newKey("newcomer"))
	fee := w.state.Params().MinFee
	w.block(w.signed(1, Transaction{Fee: fee}, &Transfer{To: w.keys[2].id, Amount: atp.ATP}))
	register := func(by int, name task.Name, society task.Society) Receipt {
		p := registration(name)
		p.Society = society
		return w.only(w.block(w.signed(by, Transaction{Fee: fee}, &PlatformRegister{Platform: p})))
	}
	if r := register(1, "founder-1", "founder-0"); r.Code != CodeSociety {
		t.Errorf("a founder in another's society: %v", r.Code)
	}
	if r := register(1, "founder-1", "founder-1"); !r.OK() {
		t.Errorf("a founder in its own society: %s", r.Detail)
	}
	if r := register(2, "thor", "founder-1"); r.Code != CodeSociety {
		t.Errorf("a newcomer in a society: %v", r.Code)
	}
	if r := register(2, "thor", ""); !r.OK() {
		t.Errorf("a newcomer of no society: %s", r.Detail)
	}
	if got, want := w.state.Census(), (Census{Platforms: 2, Societies: 1, Validators: 1}); got != want {
		t.Errorf("census %v, want %v", got, want)
	}
	if got := w.available(2); got >= atp.ATP {
		t.Errorf("a newcomer was granted something under vote: %s ATP", got)
	}
	d := newDraft(newOverlay(w.nodes), w.state.root, w.state.constants)
	for i, want := range []bool{true, true, false} {
		if m, err := d.Member(w.keys[i].id); err != nil || m.Admitted != want {
			t.Errorf("member %d is admitted: %v, want %v: %v", i, m.Admitted, want, err)
		}
	}
}

func TestOnlyAValidatorProposes(t *testing.T) {
	w := newWorld(t, 2)
	if _, _, err := Assemble(w.state, headerOn(w.state, w.keys[1], 1000), nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("an observer made a block: %v", err)
	}
	if _, _, err := Assemble(w.state, headerOn(w.state, w.keys[0], 1000), nil); err != nil {
		t.Errorf("the validator: %v", err)
	}
}
