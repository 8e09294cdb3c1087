package mempool

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/task"
)

// stranger is somebody of whom the state knows nothing.
func stranger(i int) atp.ID { return atp.IDFromKey([32]byte{1, byte(i), byte(i >> 8)}) }

// long replaces the operations with so many of a kilobyte each.
func long(ops int) func(*chain.Transaction) {
	p := task.Platform{Name: "somebody", Horizon: task.Horizon{Spatial: task.Local, Temporal: task.Session, Complexity: task.Simple}}
	p.Hardware.Architecture = "arm64"
	for i := range 16 {
		p.Runtimes = append(p.Runtimes, task.Runtime(fmt.Sprintf("r%063d", i)))
	}
	return func(tx *chain.Transaction) {
		tx.Ops = slices.Repeat([]chain.Op{{Action: &chain.PlatformRegister{Platform: p}}}, ops)
	}
}

func waits(p *Pool, tx chain.VerifiedTx) bool { _, ok := p.Get(tx.ID()); return ok }

func TestPayIsForTheShareOfABlock(t *testing.T) {
	f := newFixture(t, 3)
	type offer struct {
		fee  atp.Amount
		size func(*chain.Transaction)
	}
	for _, tt := range []struct {
		name        string
		worse, more offer
	}{
		{"operations count, though they are few bytes", offer{11, padded(249)}, offer{1, padded(0)}},
		{"bytes count, though they are few operations", offer{10, long(20)}, offer{5, padded(20)}},
		{"a transaction counts, though it is small", offer{3, padded(0)}, offer{4, padded(1)}},
		{"1 µATP for many bytes is more than none for few", offer{0, padded(0)}, offer{1, long(40)}},
		{"the last µATP decides", offer{1_000_000, padded(99)}, offer{1_000_001, padded(99)}},
		{"no product of fee and share overflows", offer{900 * atp.ATP, padded(249)}, offer{999 * atp.ATP, padded(249)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := New(f.state)
			add(t, p, f.tx(1, 0, tt.worse.fee, tt.worse.size), f.tx(2, 0, tt.more.fee, tt.more.size))
			if got, want := selected(f, p), []string{"2/0", "1/0"}; !slices.Equal(got, want) {
				t.Errorf("selected %v, want %v", got, want)
			}
		})
	}
}

// TestFullBlocksOfOperationsCannotBeHeldCheaply is an attack that worked: for
// 176 µATP a block, failing operations kept out all who paid less for a byte.
func TestFullBlocksOfOperationsCannotBeHeldCheaply(t *testing.T) {
	f := newFixture(t, 3)
	p := New(f.state)
	add(t, p, f.tx(2, 0, 1))
	for nonce := range uint64(16) {
		add(t, p, f.tx(1, nonce, 11, padded(249)))
	}
	if got := selected(f, p); got[0] != "2/0" || len(got) != 16 {
		t.Errorf("selected %v, want 2/0 before 15 of the others", got)
	}
}

func TestAtEqualPayEverySenderHasItsTurn(t *testing.T) {
	f := newFixture(t, 4, func(g *chain.Genesis) { g.Params.Limits.Txs = 6 })
	p := New(f.state)
	for nonce := range uint64(10) {
		add(t, p, f.tx(1, nonce, 0))
	}
	add(t, p, f.tx(2, 0, 0), f.tx(3, 0, 0), f.tx(3, 1, 0))
	if got, want := selected(f, p), []string{"1/0", "2/0", "3/0", "1/1", "3/1", "1/2"}; !slices.Equal(got, want) {
		t.Errorf("selected %v, want %v", got, want)
	}
}

func TestWhoHoldsTheLargestShareLosesFirst(t *testing.T) {
	f := newFixture(t, 4)
	busy := []chain.VerifiedTx{f.tx(1, 0, 0, padded(249)), f.tx(1, 1, 0, padded(249))} // an eighth of a block's operations
	lengthy := f.tx(2, 0, 0, long(40))                                                 // more bytes, and less of a block
	size := len(busy[0].Bytes()) + len(busy[1].Bytes())
	if len(lengthy.Bytes()) <= size {
		t.Fatalf("have %d bytes, want more than %d", len(lengthy.Bytes()), size)
	}
	p := NewSized(f.state, size+len(lengthy.Bytes()))
	add(t, p, lengthy, busy[0], busy[1], f.tx(3, 0, 0))
	if !waits(p, lengthy) || !waits(p, busy[0]) || waits(p, busy[1]) {
		t.Error("want the newest of who holds most of a block to make room")
	}
}

// TestWhatStandsBehindAGapMakesRoomFirst fills a pool with well paid
// transactions that no block can hold, of accounts that have funds.
func TestWhatStandsBehindAGapMakesRoomFirst(t *testing.T) {
	f := newFixture(t, 6)
	p := NewSized(f.state, 9*len(f.tx(1, 1, 9_000).Bytes()))
	add(t, p, f.tx(1, 0, 0)) // and then a gap
	for nonce := range uint64(4) {
		add(t, p, f.tx(1, 2+nonce, 9_000), f.tx(2, 1+nonce, 9_000))
	}
	for nonce := range uint64(4) {
		add(t, p, f.tx(3, nonce, 0), f.tx(4, nonce, 0))
	}
	if got := len(p.Select(epoch)); got != 9 || p.Len() != 9 {
		t.Errorf("%d of %d can be selected, want all 9 that have no gap before them", got, p.Len())
	}
	if err := p.Add(f.tx(5, 1, 9_000), epoch); !errors.Is(err, ErrFull) {
		t.Errorf("behind a gap, when all others are not: %v", err)
	}
	add(t, p, f.tx(5, 0, 1))
}

// TestAGapThatABlockClosesIsNone has a block hold what was missing, though the
// pool never saw it.
func TestAGapThatABlockClosesIsNone(t *testing.T) {
	f := newFixture(t, 4)
	p := NewSized(f.state, 2*len(f.tx(1, 1, 0).Bytes()))
	first, second := f.tx(1, 1, 0), f.tx(2, 1, 0)
	add(t, p, second, first)
	f.advance(t, p, []chain.VerifiedTx{f.tx(1, 0, 0)})
	add(t, p, f.tx(3, 0, 0))
	if !waits(p, first) || waits(p, second) {
		t.Errorf("the one whose gap was closed waits: %v, want true; the other: %v, want false", waits(p, first), waits(p, second))
	}
}

// TestStrangersCannotFillThePool offers it transactions of keys that hold
// nothing, which cost nothing to make.
func TestStrangersCannotFillThePool(t *testing.T) {
	f := newFixture(t, 3)
	p := NewSized(f.state, 40*len(f.txOf(stranger(0), 0, 0).Bytes()))
	for i := range 100 {
		err := p.Add(f.txOf(stranger(i), 0, 0), epoch)
		if want := i >= 10; errors.Is(err, ErrFull) != want || err != nil && !want {
			t.Errorf("stranger %d: %v; want it refused: %v", i, err, want)
		}
		if err := p.Add(f.txOf(stranger(i), 1, 0), epoch); !errors.Is(err, ErrAhead) {
			t.Errorf("stranger %d goes on: %v, want %v", i, err, ErrAhead)
		}
	}
	for nonce := range uint64(20) {
		add(t, p, f.tx(1, nonce, 0))
	}
	if p.Len() != 30 || len(p.Select(epoch)) != 30 {
		t.Errorf("%d wait, of which %d can be selected, want 30", p.Len(), len(p.Select(epoch)))
	}
	f.advance(t, p, p.Select(epoch+1))
	add(t, p, f.txOf(stranger(99), 0, 0))                           // their quarter is free again
	add(t, p, f.txOf(stranger(0), 1, 0), f.txOf(stranger(0), 3, 0)) // is none any more
}

func TestStrangersAreFewHoweverSmall(t *testing.T) {
	f := newFixture(t, 1)
	p := New(f.state)
	for i := range MaxTxs/4 + 1 {
		if err := p.Add(f.txOf(stranger(i), 0, 0), epoch); (err == nil) != (i < MaxTxs/4) {
			t.Fatalf("stranger %d: %v", i, err)
		}
	}
}

func TestNothingWaitsForEver(t *testing.T) {
	f := newFixture(t, 3)
	p := New(f.state)
	old, lasting, younger := f.tx(1, 1, 0), f.tx(1, 2, 0, expiring(^atp.Millis(0))), f.tx(2, 1, 0)
	add(t, p, old, lasting)
	late := epoch.Add(MaxWait - 1)
	if err := p.Add(younger, late); err != nil {
		t.Fatal(err)
	}
	f.advanceTo(t, p, late, nil)
	if p.Len() != 3 {
		t.Errorf("%d wait a moment before their time is over, want 3", p.Len())
	}
	f.advanceTo(t, p, epoch.Add(MaxWait), nil)
	if waits(p, old) || waits(p, lasting) || !waits(p, younger) {
		t.Errorf("waiting: %v, %v, %v; want the younger one alone", waits(p, old), waits(p, lasting), waits(p, younger))
	}
	if err := p.Add(old, epoch.Add(MaxWait)); err != nil { // whoever still wants it
		t.Fatal(err)
	}
	f.advanceTo(t, p, epoch.Add(MaxWait+1_000), nil)
	if !waits(p, old) {
		t.Error("what was brought again is gone")
	}
}
