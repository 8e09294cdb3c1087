package sim

import (
	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
)

// History is what clients asked for and were told, and the chain that came of it.
type History struct {
	Genesis    chain.State
	Blocks     []chain.Block // of heights 1, 2, …
	Operations []Operation

	receipts [][]chain.Receipt
	decided  []atp.Millis // when each height was final first
	open     map[cid.Cid]int
}

// Operation is a transaction, or a reading of an account.
//
// A transaction's time goes from when the client made it until its machine told
// it that it is final, or to the end of the schedule if it never did. A machine
// answers a reading from its head, which may be behind: its time goes from when
// the head was decided.
type Operation struct {
	Client       int // whose machine; -1: nobody's
	Call, Return atp.Millis

	Tx      cid.Cid // undefined: a reading
	Index   int     // of the transaction in its block
	Receipt chain.Receipt

	Reader  atp.ID
	Balance atp.Account

	Height bft.Height // of the block, or of the head
}

// Reads reports whether it is a reading.
func (o Operation) Reads() bool { return !o.Tx.Defined() }

func newHistory(s *Sim) *History {
	return &History{Genesis: s.cast.state, open: make(map[cid.Cid]int)}
}

// called takes note that a client has made a transaction.
func (h *History) called(s *Sim, m *machine, tx cid.Cid) {
	if h == nil {
		return
	}
	h.open[tx] = len(h.Operations)
	h.Operations = append(h.Operations, Operation{Client: m.index, Call: s.World.Now(), Tx: tx})
}

// decidedFirst takes a height when it is final for the first time.
func (h *History) decidedFirst(s *Sim, b chain.Block, receipts []chain.Receipt) {
	if h == nil {
		return
	}
	h.Blocks, h.receipts, h.decided = append(h.Blocks, b), append(h.receipts, receipts), append(h.decided, s.World.Now())
	for i, tx := range b.Txs {
		at, known := h.open[tx.ID()]
		if !known { // a machine made it by itself
			at = len(h.Operations)
			h.open[tx.ID()] = at
			h.Operations = append(h.Operations, Operation{Client: -1, Tx: tx.ID()})
		}
		o := &h.Operations[at]
		o.Height, o.Index, o.Receipt = b.Header.Height, i, receipts[i]
	}
}

// told takes note of what a machine tells its client: what of its own is final,
// and, since it may ask at any time, what somebody has.
func (h *History) told(s *Sim, m *machine, b chain.Block) {
	if h == nil || !m.correct() {
		return
	}
	for _, tx := range b.Txs {
		if tx.Tx().From == atp.ID(m.id()) {
			if o := &h.Operations[h.open[tx.ID()]]; o.Client == m.index && o.Return == 0 {
				o.Return = s.World.Now()
			}
		}
	}
}

// ask takes a reading of one account after the other. It draws nothing, so that a
// schedule is the same without a history.
func (h *History) ask(s *Sim, m *machine) {
	if h != nil {
		keys := s.cast.Keys
		h.read(s, m, atp.ID(keys[len(h.Operations)%len(keys)].id))
	}
}

// read takes a reading of an account at a machine's head.
func (h *History) read(s *Sim, m *machine, who atp.ID) {
	if h == nil || !m.correct() || !m.reads() {
		return
	}
	state := m.replica.State()
	balance, err := state.Account(who)
	if err != nil {
		s.judge.fail("client %d: %v", m.index, err)
		return
	}
	o := Operation{Client: m.index, Return: s.World.Now(), Reader: who, Balance: balance, Height: state.Tip().Height}
	if o.Height > 0 {
		o.Call = h.decided[o.Height-1]
	}
	h.Operations = append(h.Operations, o)
}

// close ends the history: what was never final did not happen, and what nobody
// was told of may have ended at any time.
func (h *History) close(s *Sim) {
	if h == nil {
		return
	}
	list := h.Operations
	h.Operations = nil
	for _, o := range list {
		if o.Height == 0 && !o.Reads() {
			continue
		}
		if o.Return == 0 {
			o.Return = s.World.Now()
		}
		h.Operations = append(h.Operations, o)
	}
	for _, m := range s.machines {
		h.read(s, m, atp.ID(m.id()))
	}
}
