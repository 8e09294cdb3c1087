package signer

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sage-p2p/sage-p2p/bft"
)

var otherGenesis = bft.GenesisHash{0xfe, 1}

func TestAChainThatWasLeftIsNeverSignedForAgain(t *testing.T) {
	s, d := fresh(t)
	said := mustSign(t, s, prepare(1, 0, "a"))
	if err := s.Leave(otherGenesis); !errors.Is(err, ErrForeign) {
		t.Errorf("leaving another chain: have %v, want ErrForeign", err)
	}
	if err := s.Leave(testGenesis); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time after a restart
		if err := s.Leave(testGenesis); err != nil {
			t.Errorf("leaving it again: %v", err)
		}
		if err := s.Bind(testGenesis); !errors.Is(err, ErrForeign) {
			t.Errorf("binding to it again: have %v, want ErrForeign", err)
		}
		if _, err := s.Sign(prepare(1, 0, "a")); !errors.Is(err, ErrRefused) {
			t.Errorf("signing without a chain: have %v, want ErrRefused", err)
		}
		if got := s.Left(); !slices.Equal(got, []bft.GenesisHash{testGenesis}) {
			t.Errorf("left %v", got)
		}
		s = reload(t, d.cut())
	}
	if err := s.Bind(otherGenesis); err != nil {
		t.Fatal(err)
	}
	// What was said in one chain does not bind in another: it covers the genesis.
	if got := mustSign(t, s, prepare(1, 0, "b")); slices.Equal(got, said) {
		t.Error("the same signature in two chains")
	}
	if _, err := s.Sign(prepare(1, 0, "a")); !errors.Is(err, bft.ErrContradiction) {
		t.Errorf("a contradiction in the new chain: have %v", err)
	}
}

func TestAKeyLeavesOnlySoManyChains(t *testing.T) {
	s, d := fresh(t)
	for i := range MaxLeft {
		if err := s.Leave(s.Genesis()); err != nil {
			t.Fatal(err)
		}
		if err := s.Bind(bft.GenesisHash{byte(100 + i)}); err != nil {
			t.Fatal(err)
		}
	}
	mustSign(t, s, prepare(1, 0, "a"))
	last := s.Genesis()
	if err := s.Leave(last); !errors.Is(err, ErrRefused) {
		t.Errorf("once too often: have %v, want ErrRefused", err)
	}
	s = reload(t, d.cut())
	if s.Genesis() != last || len(s.Left()) != MaxLeft {
		t.Errorf("after a restart bound to %v, %d left", s.Genesis(), len(s.Left()))
	}
	if _, err := s.Sign(prepare(1, 0, "b")); !errors.Is(err, bft.ErrContradiction) {
		t.Errorf("a contradiction: have %v", err)
	}
	u := commit(2, 0, "a")
	u.QC = qc(2, 0, block("a"), bft.MaxValidators)
	mustSign(t, s, propose(2, 0, "a"), prepare(2, 0, "a"), u, timeout(2, 0, u.QC))
	if raw := len(s.encode(s.Record())); raw > maxRecord {
		t.Errorf("the largest record has %d bytes, a copy holds %d", raw, maxRecord)
	}
}

// Whenever power goes while a chain is left, the record is either that of the
// chain, with all that was signed in it, or knows that it was left.
func TestNoCrashMakesItForgetThatItLeft(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	s, d := fresh(t)
	mustSign(t, s, prepare(1, 0, "a"))
	var outcomes []*disk
	s.slots.file = &stepped{disk: d, after: func() {
		for _, kept := range sample(rng, d.outcomes(rng), 150) {
			outcomes = append(outcomes, d.cut(kept...))
		}
	}}
	if err := s.Leave(testGenesis); err != nil {
		t.Fatal(err)
	}
	still, gone := 0, 0
	for i, after := range outcomes {
		again := reload(t, after)
		if again.Genesis() == testGenesis {
			still++
			if _, err := again.Sign(prepare(1, 0, "b")); !errors.Is(err, bft.ErrContradiction) {
				t.Fatalf("outcome %d: a contradiction: have %v", i, err)
			}
			continue
		}
		gone++
		if err := again.Bind(testGenesis); !errors.Is(err, ErrForeign) {
			t.Fatalf("outcome %d: bound again: have %v", i, err)
		}
	}
	if still == 0 || gone == 0 {
		t.Errorf("%d outcomes before and %d after: this test sees too little", still, gone)
	}
}

// A home whose key is lost does not get a new one in its place because its chain
// was left, and a watermark brings no chain back that was.
func TestARecordThatHasLeftAChainIsOfAKeyThatHasVoted(t *testing.T) {
	home := newHome(t)
	s := must(Open(home))
	mustSign(t, s, prepare(7, 0, "a"))
	w := s.Watermark()
	if err := errors.Join(s.Leave(testGenesis), s.Close()); err != nil {
		t.Fatal(err)
	}
	if err := Recover(home, w); !errors.Is(err, ErrRefused) {
		t.Errorf("recovering a chain that was left: have %v, want ErrRefused", err)
	}
	if err := os.Remove(filepath.Join(home, KeyFile)); err != nil {
		t.Fatal(err)
	}
	if s, err := OpenOrCreate(home); !errors.Is(err, ErrNeedsRecovery) {
		if err == nil {
			err = s.Close()
		}
		t.Errorf("a new key beside the record: have %v, want ErrNeedsRecovery", err)
	}
}
