package chain

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
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

// one reports whether the first of n is drawn.
func (d *dice) one(n int) bool { return d.roll(n) == 0 }

func pick[T any](d *dice, from ...T) T { return from[d.roll(len(from))] }

// last returns one of the newest few.
func last[T any](d *dice, all []T) T { return all[len(all)-1-d.roll(min(3, len(all)))] }

// gambler plays all that there is in a federation, by dice: mostly what is
// possible now, so that all of it happens, and anything at all besides.
type gambler struct {
	*world
	dice         *dice
	tasks, locks []cid.Cid      // that were once opened, or never
	open         []cid.Cid      // tasks that are not settled
	made         map[atp.ID]key // to replace others
	old          []key          // that were replaced
	away         []int          // who signs no certificate
	seen         map[string]int // what happened, by its name
}

// names are those of a gambler's keys, in their order. All but the last two found
// the federation; those from the third on have stakes.
func names() []task.Name {
	return []task.Name{"founder-0", "founder-1", "founder-2", "founder-3", "founder-4", "founder-5", "founder-6", "newcomer", "pauper"}
}

// newGambler founds a federation in which nothing takes long: every other one
// admits by vote, and the first validators are one, or several.
func newGambler(t *testing.T, seed uint64, seen map[string]int) *gambler {
	w := newWorld(t, 7, func(g *Genesis) {
		g.Params = DefaultParams([]Admission{AdmitAuto, AdmitVote}[seed%2])
		g.Params.MinFee = 0
		g.Params.Limits = Limits{BodyBytes: 6_000, TxBytes: 2_000, Txs: 12, Ops: 16, Due: 16}
		g.Params.Economy.Unbonding, g.Params.Economy.AppealWindow = 20*atp.Second, 60*atp.Second
		g.Pool = 1_500 * atp.ATP
		g.Validators = nil
		for _, f := range g.Founders[:[]int{5, 1, 7, 4}[seed/2%4]] {
			g.Validators = append(g.Validators, f.ID)
		}
	}, quick)
	w.keys = append(w.keys, newKey("newcomer"), newKey("pauper"))
	never := []cid.Cid{atp.Sum(nil)}
	return &gambler{world: w, dice: &dice{seed: seed}, tasks: never, locks: never, made: make(map[atp.ID]key), seen: seen}
}

// settles is how a federation begins: every key is registered, and stakes are bonded.
func (g *gambler) settles() (txs []VerifiedTx) {
	for i, name := range names() {
		actions := []Action{&PlatformRegister{Platform: registration(name)}}
		if i > 1 && i < 7 {
			actions = append(actions, &StakeBond{Amount: 300 * atp.ATP})
		}
		txs = append(txs, g.tx(i, actions...))
	}
	return txs
}

// plays is what is sent for one block.
func (g *gambler) plays() (txs []VerifiedTx) {
	d := g.dice
	if len(g.open) < 4 && d.one(2) {
		txs = append(txs, g.tx(d.roll(len(g.keys)), &FederationTask{Terms: g.terms()}))
	}
	for _, id := range g.open {
		if !d.one(4) {
			txs = append(txs, g.next(id)...)
		}
	}
	if d.one(2) {
		txs = append(txs, g.member()...)
	}
	if d.one(4) {
		txs = append(txs, g.ends(last(d, g.locks))...)
	}
	for range pick(d, 0, 0, 1, 2) {
		txs = append(txs, g.anything())
	}
	return txs
}

func (g *gambler) terms() task.Terms {
	d := g.dice
	t := terms(atp.Amount(1 + d.roll(60_000_000)))
	t.OfferWindow, t.ExecutionWindow = 30*atp.Second, 30*atp.Second
	if t.Class = pick(d, task.Mutual, task.Recompute, task.Judge, task.Checker); t.Class == task.Checker {
		checker := atp.SumBlob([]byte("checker"))
		t.Checker = &checker
	}
	if t.Class != task.Mutual && !d.one(8) {
		t.Price = atp.ATP + atp.Amount(d.roll(8_000_000)) // for a committee of three, which has an appeal
	}
	if d.one(5) {
		t.Executor = atp.OptionalID{ID: pick(d, g.keys...).id}
	}
	return t
}

// by is a transaction of a key, if it is one of the players'.
func (g *gambler) by(id atp.ID, a Action) []VerifiedTx {
	i := slices.IndexFunc(g.keys, func(k key) bool { return k.id == id })
	if i < 0 {
		return nil
	}
	return []VerifiedTx{g.tx(i, a)}
}

// next is what those concerned would do now about an open task.
func (g *gambler) next(id cid.Cid) []VerifiedTx {
	d := g.dice
	t, _, err := g.state.Task(id)
	must(g.t, err)
	requester, witnessed := t.Requester.ID, t.Terms.Class != task.Mutual
	switch t.Stage {
	case task.Posted:
		if d.one(20) {
			return g.by(requester, &TaskCancel{Task: id})
		}
		return g.accepts(t)
	case task.Accepted:
		p := proof(id)
		if claim := pick[task.PPM](d, 600_000, 800_000, 900_000, 900_000); t.Terms.Class == task.Judge || !witnessed {
			p.Proof.Claim = &claim
		}
		return g.by(t.Acceptance.Executor.ID, p)
	case task.Proven:
		if witnessed && !d.one(6) {
			return g.by(requester, &TaskDispute{Task: id})
		}
		return g.by(requester, &TaskAcknowledge{Task: id, Mark: pick[task.PPM](d, 699_999, 700_000, 900_000, 1_000_000)})
	case task.Decided:
		loser := requester
		if t.Review.First == task.Fail {
			loser = t.Acceptance.Executor.ID
		}
		return g.by(loser, &TaskAppeal{Task: id})
	}
	return g.testifies(t)
}

// ends is a payer's word, or a payee's, on a lock.
func (g *gambler) ends(lock cid.Cid) []VerifiedTx {
	l, _, err := g.state.Lock(lock)
	must(g.t, err)
	if g.dice.one(2) {
		return g.by(l.Payer, &TransferCommit{Lock: lock})
	}
	return g.by(l.Payee.ID, &TransferRollback{Lock: lock})
}

// accepts is an acceptance by somebody, for the least bond or more.
func (g *gambler) accepts(t task.Task) []VerifiedTx {
	who := t.Terms.Executor.ID
	if t.Terms.Executor.IsZero() {
		who = pick(g.dice, g.keys...).id
	}
	bond := 5 * atp.ATP
	if c, err := g.state.ChargesTo(who, t); err == nil {
		bond = c.MinBond(t.Terms.Class) * pick[atp.Amount](g.dice, 1, 10, 20)
	}
	return g.by(who, &TaskAccept{Task: t.ID, Bond: bond})
}

// testifies is what most of the witnesses do who have yet to.
func (g *gambler) testifies(t task.Task) (txs []VerifiedTx) {
	seats, err := g.state.Seats(t)
	must(g.t, err)
	for _, s := range seats {
		if !s.Due() || g.dice.one(8) {
			continue
		}
		o := g.opening(t, s.Of, s.Seat.Witness)
		if t.Stage == task.Committing {
			txs = append(txs, g.by(o.Witness, &WitnessCommit{Task: t.ID, Level: uint8(s.Of), Commit: o.Seal()})...)
		} else {
			txs = append(txs, g.by(o.Witness, &WitnessReveal{Task: t.ID, Level: uint8(s.Of), Score: o.Answer, Hash: o.Hash, Salt: o.Salt})...)
		}
	}
	return txs
}

// opening is what a witness has to say of a result, the same whenever it is
// asked. It is mostly what the others of its level say.
func (g *gambler) opening(t task.Task, level task.Level, witness atp.ID) task.Opening {
	seed := binary.BigEndian.Uint64(t.ID.Bytes()[4:]) + uint64(level)
	all, own := &dice{seed: seed}, &dice{seed: seed ^ binary.BigEndian.Uint64([]byte(witness.ID))}
	o := task.Opening{
		Genesis: g.state.Genesis(), Task: t.ID, Level: level, Result: proof(t.ID).Proof.Result, Witness: witness,
		Hash: task.Digest{pick[byte](own, 1, 1, 1, 2)}, Salt: task.Digest{byte(own.roll(256))},
	}
	whole := task.Answer(task.S)
	o.Answer = pick(all, 0, 0, 0, whole, whole, whole, whole, task.ResourceLimit)
	if o.Answer == whole && t.Terms.Class != task.Recompute {
		o.Answer -= task.Answer(own.roll(200_000))
	}
	if own.one(5) {
		o.Answer = pick(own, 0, whole, whole, task.Unavailable, task.ResourceLimit)
	}
	return o
}

// member is what makes, or ends, a validator or a witness.
func (g *gambler) member() []VerifiedTx {
	d := g.dice
	by := d.roll(len(g.keys))
	switch d.roll(12) {
	case 0:
		return []VerifiedTx{g.leave(by)}
	case 1, 2, 3, 4:
		return []VerifiedTx{g.join(by, 60_000)}
	case 5:
		return g.accuses(by)
	case 6:
		return g.rotates(by)
	case 7, 8:
		return g.elects()
	case 9:
		return []VerifiedTx{g.tx(by, &StakeUnbond{Amount: 100 * atp.ATP})}
	}
	return []VerifiedTx{g.tx(by, &StakeBond{Amount: 150 * atp.ATP})}
}

// accuses shows what a validator, sometimes another, has said twice.
func (g *gambler) accuses(by int) []VerifiedTx {
	d := g.dice
	of, h := g.keys[pick(d, g.votes()...)], g.state.Tip().Height
	if d.one(4) {
		of = g.somebody()
	}
	pair := pick(d, g.doubleVote, g.hiddenCommit)
	return []VerifiedTx{g.tx(by, pair(of, h-min(h, bft.Height(d.roll(6)))))}
}

// rotates replaces a key of which nothing is open; by is tried first.
func (g *gambler) rotates(by int) []VerifiedTx {
	for n := range g.keys {
		i := (by + n) % len(g.keys)
		why, err := g.state.Burden(g.keys[i].id)
		must(g.t, err)
		if why == nil {
			to := newKey(fmt.Sprintf("chain %d, key %d", g.dice.seed, len(g.made)))
			g.made[to.id] = to
			return []VerifiedTx{g.rotation(i, to)}
		}
	}
	return nil
}

// elects has some of the validators vote for one who is not admitted, and
// others take back that they did. In a federation that admits everybody one tries.
func (g *gambler) elects() (txs []VerifiedTx) {
	on := len(g.keys) - 1
	for ; on > 0; on-- {
		may, _, err := g.state.Admitted(g.keys[on].id)
		must(g.t, err)
		if !may {
			break
		}
	}
	votes := g.votes()
	if g.state.Params().Admission == AdmitAuto {
		votes = votes[:1]
	}
	for _, by := range votes {
		switch g.dice.roll(5) {
		case 0:
			txs = append(txs, g.tx(by, &ValidatorVote{Platform: g.keys[on].id, Against: true}))
		case 1, 2:
			txs = append(txs, g.vote(by, on, 150*atp.ATP, []string{"", "north"}[on%2]))
		}
	}
	return txs
}

// somebody is one of all who are there, or were under another key.
func (g *gambler) somebody() key { return pick(g.dice, slices.Concat(g.keys, g.old)...) }

// anything is a transaction that may make no sense.
func (g *gambler) anything() VerifiedTx {
	d := g.dice
	by := d.roll(len(g.keys))
	var actions []Action
	for range pick(d, 1, 1, 1, 2, 3) {
		actions = append(actions, g.action(by))
	}
	tx := Transaction{Fee: pick[atp.Amount](d, 0, 0, 0, 5, 5, 2_000_000_000)}
	if d.one(2) {
		tx.Expires = g.state.Tip().Time + atp.Millis(pick(d, 500, 5_000, 60_000))
	}
	return g.signed(by, tx, actions...)
}

func (g *gambler) action(by int) Action {
	d := g.dice
	amount := pick[atp.Amount](d, 1, 1, 20_000, 20_000, 60_000_000, 120*atp.ATP, 1<<62) + atp.Amount(d.roll(20_000))
	who, lock, id := g.somebody().id, last(d, g.locks), last(d, g.tasks)
	switch d.roll(12) {
	case 0, 1:
		return &Transfer{To: who, Amount: amount}
	case 2, 3:
		return &TransferLock{Payee: who, Amount: amount, Deadline: g.state.Tip().Time + atp.Millis(d.roll(30_000))}
	case 4:
		return &TransferCommit{Lock: lock}
	case 5:
		return &TransferRollback{Lock: lock}
	case 6:
		return &PlatformRegister{Platform: registration(pick(d, names()[by], names()[by], pick(d, names()...)))}
	case 7:
		return &FederationTask{Terms: g.terms()}
	case 8:
		return pick[Action](d, &TaskAccept{Task: id, Bond: amount}, proof(id), &TaskAcknowledge{Task: id, Mark: pick[task.PPM](d, 0, 700_000, 1_000_000)})
	case 9:
		return pick[Action](d, &TaskCancel{Task: id}, &TaskDispute{Task: id}, &TaskAppeal{Task: id})
	case 10:
		level := uint8(d.roll(2))
		return pick[Action](d, &WitnessCommit{Task: id, Level: level}, &WitnessReveal{Task: id, Level: level, Score: task.Unavailable})
	}
	return pick[Action](d, &ValidatorJoin{}, &ValidatorLeave{}, &StakeBond{Amount: amount}, &StakeUnbond{Amount: amount}, &ValidatorVote{Platform: who})
}

// head is the header of the next block, by any of the validators. Now and then
// another of them goes away, or comes back.
func (g *gambler) head() Header {
	d := g.dice
	h := headerOn(g.state, g.keys[pick(d, g.votes()...)], pick[atp.Span](d, 1, 700, 700, 700, 700, 700, 4_000, 4_000, 12_000, 130_000))
	if d.one(8) {
		g.away = pick(d, nil, g.votes()[:1], g.votes()[len(g.votes())-1:])
	}
	if h.LastCommit != nil {
		h.LastCommit.Signers = g.signers(g.away...)
	}
	return h
}

// note keeps what was opened, and counts what happened.
func (g *gambler) note(b Block, r Result) {
	for i, receipt := range r.Receipts {
		if receipt.OK() && i < len(b.Txs) {
			for _, op := range b.Txs[i].Tx().Ops {
				g.seen["done: "+op.Kind().String()]++
			}
		}
		for _, e := range receipt.Events {
			g.seen[fmt.Sprintf("told: %T", e.Fact)]++
			g.follow(e.Fact)
		}
	}
}

func (g *gambler) follow(f Fact) {
	switch e := f.(type) {
	case *LockOpened:
		g.locks = append(g.locks, e.Lock)
	case *KeyRotated:
		i := slices.IndexFunc(g.keys, func(k key) bool { return k.id == e.Old })
		g.old, g.keys[i] = append(g.old, g.keys[i]), g.made[e.New]
	case *task.Moved:
		switch {
		case e.From == "":
			g.tasks, g.open = append(g.tasks, e.Task), append(g.open, e.Task)
		case e.To == task.Settled:
			g.open = slices.DeleteFunc(g.open, func(id cid.Cid) bool { return id == e.Task })
		}
	case *task.Judged:
		g.seen[fmt.Sprintf("judged: level %d, %s", e.Level, e.Verdict)]++
	case *task.Paid:
		g.seen["paid: "+string(e.Path)]++
	case *task.SeatPaid:
		if e.Slashed > 0 {
			g.seen["a seat was slashed"]++
		}
	}
}
