package replica_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/replica"
	"github.com/sage-p2p/sage-p2p/task"
)

// members is a federation whose platforms come and go as validators.
type members struct {
	*fed
	nonces map[int]uint64
}

// newMembers returns a federation of n registered platforms that are all on,
// and of which the first validates.
func newMembers(t *testing.T, n int) *members {
	t.Helper()
	f := &members{newFed(t, 1, n-1), map[int]uint64{}}
	for i := range n {
		f.on(i)
	}
	f.quiet()
	for i := range n {
		f.do(i, &chain.PlatformRegister{Platform: platform(i)})
	}
	return f
}

func platform(i int) task.Platform {
	return task.Platform{
		Name:     task.Name(fmt.Sprintf("member-%d", i)),
		Hardware: task.Hardware{RAM: 8 << 30, Accelerators: 1024, Power: 15_000, Architecture: "arm64"},
		Horizon:  task.Horizon{Spatial: task.Local, Temporal: task.Session, Complexity: task.Agent},
		Offers:   []task.Offer{task.DefaultOffer(task.Vision)},
		Runtimes: []task.Runtime{"wasm"},
	}
}

// do has a member submit an action, and waits until it is final everywhere.
func (f *members) do(by int, a chain.Action) {
	f.t.Helper()
	want := f.top() + 1
	f.submit(by, f.signed(by, a))
	f.everywhere(want)
}

// signed makes a member's next transaction, which lasts for a minute.
func (f *members) signed(by int, a chain.Action) chain.VerifiedTx {
	f.t.Helper()
	m := f.members[by]
	tx := chain.Transaction{
		Version: chain.TxVersion, From: atp.ID(m.id), Nonce: f.nonces[by], Expires: f.now.Add(50 * atp.Second),
		Ops: []chain.Op{{Action: a}},
	}
	f.nonces[by]++
	v, err := chain.SignTx(lax{}, f.genesis.Genesis(), tx, func(message []byte) (bft.Signature, error) {
		return bft.InsecureSimulation{}.Sign(m.id, message), nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return v
}

func (f *members) top() (h int) {
	for _, m := range f.members {
		h = max(h, len(m.finals))
	}
	return h
}

// everywhere lets timers fire until everyone who is on has so many final blocks.
func (f *members) everywhere(want int) {
	f.t.Helper()
	behind := func(m *member) bool { return m.replica != nil && len(m.finals) < want }
	f.quiet()
	for range 20 {
		if !slices.ContainsFunc(f.members, behind) {
			f.check()
			return
		}
		for _, k := range []replica.TimerKind{replica.TimerFetch, replica.TimerView, replica.TimerRepeat, replica.TimerStatus} {
			f.fire(k)
			f.quiet()
		}
	}
	for i, m := range f.members {
		f.t.Logf("member %d, on %v: %d final blocks", i, m.replica != nil, len(m.finals))
	}
	f.t.Fatalf("not everybody has %d final blocks", want)
}

// check fails if two have different blocks, or somebody blames or warns.
func (f *members) check() {
	f.t.Helper()
	for i, m := range f.members {
		for h := range min(len(m.finals), len(f.members[0].finals)) {
			if a, b := m.finals[h].Cert.Block, f.members[0].finals[h].Cert.Block; a != b {
				f.t.Fatalf("height %d: member %d has %s, member 0 %s", h+1, i, a, b)
			}
		}
		if len(m.faults) > 0 {
			f.t.Fatalf("member %d blames %+v", i, m.faults)
		}
	}
}

// wantVotes fails unless these members decide the next height.
func (f *members) wantVotes(want ...int) {
	f.t.Helper()
	for _, m := range f.members {
		if m.replica == nil {
			continue
		}
		var have []int
		for _, id := range m.replica.State().Validators().IDs() {
			have = append(have, f.find(id).index)
		}
		if !slices.Equal(have, want) {
			f.t.Errorf("by member %d, %v decide, want %v", m.index, have, want)
		}
	}
}

func (f *members) pay(by int) {
	f.do(by, &chain.Transfer{To: atp.ID(f.members[(by+1)%len(f.members)].id), Amount: 5})
}

func (f *members) join(who ...int) {
	f.t.Helper()
	for _, i := range who {
		f.do(i, &chain.ValidatorJoin{})
	}
}

func TestASetGrowsWhileItWorks(t *testing.T) {
	f := newMembers(t, 5)
	f.pay(0)
	f.join(1)
	f.wantVotes(0)
	f.pay(1)
	f.join(2)
	f.wantVotes(0, 1, 2)
	for i := range 5 {
		f.pay(i)
	}
	f.join(3)
	f.wantVotes(0, 1, 2, 3)
	for i := range 5 {
		f.pay(i)
	}
	f.do(0, &chain.ValidatorLeave{})
	f.wantVotes(1, 2, 3)
	for i := range 5 {
		f.pay(i)
	}
	f.quiet()
	if n := f.fire(replica.TimerView) + f.fire(replica.TimerRepeat); n > 0 && len(f.mail) > 0 {
		t.Errorf("after all is final, %d messages go out", len(f.mail))
	}
}

// Who was off while the set changed three times judges each block by the set
// of its own height.
func TestWhoWasOffCatchesUpAcrossChangesOfTheSet(t *testing.T) {
	for _, off := range []int{4, 3} { // one that never votes, and one that joins later
		f := newMembers(t, 5)
		f.off(off)
		f.join(1, 2)
		f.pay(0)
		if off != 3 {
			f.join(3)
		}
		f.do(0, &chain.ValidatorLeave{}) // with three: it waits
		f.pay(1)
		f.on(off)
		f.everywhere(f.top())
		f.join(3)
		f.wantVotes(1, 2, 3)
		f.pay(4)
	}
}

// One of four is off; the others go on. It comes back where it had no vote yet.
func TestANewValidatorRestartsBelowItsFirstHeight(t *testing.T) {
	f := newMembers(t, 4)
	f.join(1, 2, 3)
	f.pay(0)
	m := f.members[3]
	joined := m.record.Height
	f.off(3)
	f.pay(1)
	m.finals = m.finals[:int(joined)-3] // its store fell behind its record, to before it had a vote
	f.on(3)
	f.everywhere(f.top())
	for i := range 4 {
		f.pay(i)
	}
	if len(m.alarms) > 0 {
		t.Errorf("alarms: %+v", m.alarms)
	}
	if m.record.Height <= joined {
		t.Error("it votes no more")
	}
}

// A validator that has left is told of new heights like every observer, and
// nobody blames it for what it said before it knew.
func TestWhoHasLeftIsNotBlamed(t *testing.T) {
	f := newMembers(t, 4)
	f.join(1, 2, 3)
	leave := f.signed(3, &chain.ValidatorLeave{})
	f.cut = func(from, to int, _ bft.Message) bool { return to == 3 || from == 3 } // it does not hear how it ends
	f.submit(0, leave)
	f.fire(replica.TimerView)
	f.quiet()
	for range 6 {
		for _, k := range []replica.TimerKind{replica.TimerView, replica.TimerRepeat, replica.TimerStatus} {
			f.fire(k)
			f.quiet()
		}
	}
	if n := f.members[0].replica.State().Validators().Len(); n != 3 {
		t.Fatalf("it has not left: %d validate", n)
	}
	f.cut = nil
	f.submit(3, f.signed(3, &chain.Transfer{To: atp.ID(f.members[0].id), Amount: 1}))
	f.everywhere(f.top() + 1)
	f.wantVotes(0, 1, 2)
}

// A platform gets its vote while nobody has a connection with it: the others
// wait for no timeout when it leads.
func TestANewValidatorThatIsAwayCostsNoTimeout(t *testing.T) {
	f := newMembers(t, 4)
	f.join(1, 2)
	join := f.signed(3, &chain.ValidatorJoin{})
	f.off(3)
	f.submit(0, join)
	f.everywhere(f.top() + 1)
	f.wantVotes(0, 1, 2, 3)
	for range 4 {
		want := f.top() + 1
		f.submit(0, f.signed(0, &chain.Transfer{To: atp.ID(f.members[1].id), Amount: 1}))
		f.quiet()
		if f.top() != want {
			t.Fatalf("height %d takes a timeout", want)
		}
	}
}

// Two machines, of which one validates and the other has asked for a vote: once
// its candidacy is final nothing runs and nothing is said.
func TestTwoMachinesFallSilent(t *testing.T) {
	f := newMembers(t, 2)
	f.join(1)
	f.wantVotes(0)
	for range 3 { // what was armed before runs out
		for k := replica.TimerView; k <= replica.TimerFetch; k++ {
			f.fire(k)
			f.quiet()
		}
	}
	for _, m := range f.members {
		if len(m.timers) > 0 {
			t.Errorf("member %d still waits for %+v", m.index, m.timers)
		}
	}
}
