package sim

import (
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
)

// ledger is a state of the model: that of a chain while a block is filled.
type ledger struct {
	state  chain.State // below the block; of the block once it is closed
	height bft.Height  // of the block; 0: the genesis
	txs    []chain.VerifiedTx
	told   []chain.Receipt // what the clients were told of txs
	closed bool
}

// model is the ledger that all clients share: chain.Apply, one operation after
// the other.
func (h *History) model() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return ledger{state: h.Genesis, closed: true} },
		Step: func(state, input, _ any) (bool, any) {
			l, o := state.(ledger), input.(Operation)
			var ok bool
			if l, ok = h.advance(l, o.Height); !ok {
				return false, state
			}
			if o.Reads() {
				if l, ok = h.shut(l); !ok {
					return false, state
				}
				have, err := l.state.Account(o.Reader)
				return err == nil && have == o.Balance, l
			}
			if l.closed || o.Index != len(l.txs) {
				return false, state
			}
			l.txs = append(l.txs[:o.Index:o.Index], h.Blocks[o.Height-1].Txs[o.Index])
			l.told = append(l.told[:o.Index:o.Index], o.Receipt)
			return true, l
		},
		Equal: func(a, b any) bool {
			x, y := a.(ledger), b.(ledger)
			return x.height == y.height && x.closed == y.closed && len(x.txs) == len(y.txs)
		},
	}
}

// advance closes blocks until that of a height is open, or closed if it was.
func (h *History) advance(l ledger, to bft.Height) (ledger, bool) {
	for l.height < to {
		var ok bool
		if l, ok = h.shut(l); !ok {
			return l, false
		}
		l.height, l.closed, l.txs, l.told = l.height+1, false, nil, nil
	}
	return l, l.height == to
}

// shut executes the block that was filled. It must be the one of the chain, with
// all its transactions, and do to each what the client was told.
func (h *History) shut(l ledger) (ledger, bool) {
	if l.closed {
		return l, true
	}
	result, err := chain.Apply(l.state, chain.Block{Header: h.Blocks[l.height-1].Header, Txs: l.txs})
	if err != nil || !slices.EqualFunc(result.Receipts[:len(l.told)], l.told, sameReceipt) {
		return l, false
	}
	l.state, l.closed = result.State, true
	return l, true
}

func sameReceipt(a, b chain.Receipt) bool {
	x, errA := a.Encode()
	y, errB := b.Encode()
	return errA == nil && errB == nil && string(x) == string(y)
}

// check asks porcupine whether some order of the operations explains what the
// clients saw.
func (h *History) check() porcupine.CheckResult {
	var list []porcupine.Operation
	for _, o := range h.Operations {
		list = append(list, porcupine.Operation{ClientId: max(o.Client, 0), Input: o, Call: int64(o.Call), Return: int64(o.Return)})
	}
	return porcupine.CheckOperationsTimeout(h.model(), list, time.Minute)
}

// Whatever happens between them, the clients of all machines see one ledger:
// their transfers, locks and readings can be put into one order that agrees with
// the times at which they asked and were told, and chain.Apply says the same of
// each. The schedules are those from -first on.
func TestClientsSeeOneLedger(t *testing.T) {
	theatre := Theatre{Keeps: true}
	operations, readings, failed := 0, 0, 0
	for s := *first; s < *first+150; s++ {
		r := theatre.Schedule(s)
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		for _, o := range r.History.Operations {
			operations++
			if o.Reads() {
				readings++
			} else if o.Receipt.Code != 0 {
				failed++
			}
		}
		if got := r.History.check(); got != porcupine.Ok {
			t.Fatalf("seed %d: %d operations of clients: %s", s, len(r.History.Operations), got)
		}
	}
	t.Logf("%d operations, of which %d are readings and %d transactions that were refused", operations, readings, failed)
	if operations < 1_000 || readings < 300 || failed == 0 {
		t.Error("too little happens for the test to say anything")
	}
}

// A history that no ledger explains is found out.
func TestAHistoryThatNoLedgerExplainsIsFound(t *testing.T) {
	theatre := Theatre{Keeps: true}
	r := theatre.Schedule(3)
	if r.Err != nil || r.History.check() != porcupine.Ok {
		t.Fatal(r.Err)
	}
	for name, spoil := range map[string]func([]Operation, int) bool{
		"a balance of another time": func(list []Operation, i int) bool {
			list[i].Balance.Available++
			return list[i].Reads()
		},
		"a reading that is behind what its client was told": func(list []Operation, i int) bool {
			o := &list[i]
			o.Call = o.Return // it asks for what everyone has by then
			o.Height = 0
			return o.Reads() && i == len(list)-1 && r.History.Blocks != nil
		},
		"a receipt of something else": func(list []Operation, i int) bool {
			list[i].Receipt.Op++
			return !list[i].Reads()
		},
	} {
		t.Run(name, func(t *testing.T) {
			for i := range r.History.Operations {
				bad := *r.History
				bad.Operations = append([]Operation(nil), r.History.Operations...)
				if spoil(bad.Operations, i) {
					if got := bad.check(); got != porcupine.Illegal {
						t.Errorf("operation %d is spoilt: %s", i, got)
					}
					return
				}
			}
			t.Fatal("nothing to spoil")
		})
	}
}
