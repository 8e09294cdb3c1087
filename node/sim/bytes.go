package sim

import (
	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/replica"
	"github.com/sage-p2p/sage-p2p/node/wire"
)

// What a machine with a behaviour says travels as bytes, so that a correct one
// opens, decodes and verifies it as node/wires.go and node/asking.go do. The
// simulator itself drops nothing for being wrong.

// frame passes bytes on a stream of consensus.
func (n *network) frame(from, to *machine, frame []byte) {
	sender := from.id() // it may have another key when this arrives
	n.transmit(from, to, func() {
		if n.links[to.index][from.index] {
			to.takeFrame(from, sender, frame)
		}
	})
}

// takeFrame is wires.frame.
func (m *machine) takeFrame(from *machine, sender bft.ID, frame []byte) {
	message, bundle, err := wire.OpenFrame(frame)
	switch {
	case err != nil:
		m.sim.judge.refused(m, from, err)
	case message == nil:
		m.takeTx(from, bundle) // of one: the lengths before them are package p2p's
	default:
		m.hear(from, sender, message)
	}
}

// hear gives a decoded message to the behaviour, if there is one, and the
// replica.
func (m *machine) hear(from *machine, sender bft.ID, message bft.Message) {
	m.sim.judge.reads(m)
	if m.behaviour != nil {
		m.behaviour.Hear(m, from, message)
		message = m.unreminded(message)
	}
	m.hears(from, message)
	m.feed(replica.Received{From: sender, Message: message})
}

// unreminded takes out of a Status what its sender holds of ours: an adversary that
// says more than its replica knows goes on. Two machines with one key are to find
// out.
func (m *machine) unreminded(message bft.Message) bft.Message {
	s, ok := message.(*bft.Status)
	if _, twin := m.behaviour.(interface{ twin() }); !ok || twin {
		return message
	}
	shown := *s
	shown.Newest = nil
	return &shown
}

// takeTx is wires.bundle, of one transaction.
func (m *machine) takeTx(from *machine, raw []byte) {
	tx, err := wire.DecodeTx(raw, m.sim.cast.state.Params())
	if err != nil {
		m.sim.judge.refused(m, from, err)
		return
	}
	verified, errs := chain.VerifyTxs(m.sim.cast.Scheme, nil, m.sim.cast.Genesis, []chain.Transaction{tx})
	if errs[0] != nil {
		m.sim.judge.refused(m, from, errs[0])
		return
	}
	m.feed(replica.Transactions{From: from.id(), Txs: verified})
}

// question passes the bytes of a question; nobody waits for the answer.
func (n *network) question(from, to *machine, raw []byte) {
	n.transmit(from, to, func() {
		q, err := wire.DecodeQuestion(raw)
		if err != nil {
			n.sim.judge.refused(to, from, err)
			return
		}
		w := replica.Want{Txs: q.Txs, Range: replica.Range{From: q.From, To: q.To}}
		if q.Block != nil {
			w.Block = *q.Block
		}
		to.serve(from.id(), w, func(replica.Fetched) {})
	})
}

// reply is what an answer looks like on its way.
func reply(in replica.Fetched) wire.Reply {
	var r wire.Reply
	for _, tx := range in.Txs {
		r.Txs = append(r.Txs, tx.Tx())
	}
	for _, b := range in.Blocks {
		r.Blocks = append(r.Blocks, wire.Parcel{Header: b.Block.Header, Body: b.Block.Body(), Cert: b.Cert})
	}
	return r
}

// garbler is a behaviour that has a hand in the bytes of its answers.
type garbler interface {
	// Reply returns what is sent in place of the encoded r.
	Reply(at *machine, w replica.Want, r wire.Reply) []byte
}

// answers returns the bytes of an answer to a question.
func (m *machine) answers(w replica.Want, in replica.Fetched) []byte {
	r := reply(in)
	if g, ok := m.behaviour.(garbler); ok {
		return g.Reply(m, w, r)
	}
	return encoded(r)
}

// encoded is nil for a reply that has no encoding.
func encoded(r wire.Reply) []byte {
	raw, err := atp.Encode(&r)
	if err != nil {
		return nil
	}
	return raw
}

// takeReply is wires.unpack: an answer that does not hold is none.
func (m *machine) takeReply(from *machine, raw []byte) replica.Fetched {
	r, err := wire.DecodeReply(raw)
	if err != nil {
		m.sim.judge.refused(m, from, err)
		return replica.Fetched{}
	}
	txs, blocks, err := r.Verify(m.sim.cast.Scheme, nil, m.sim.cast.Genesis)
	if err != nil {
		m.sim.judge.refused(m, from, err)
		return replica.Fetched{}
	}
	got := replica.Fetched{Txs: txs}
	for i, b := range blocks {
		got.Blocks = append(got.Blocks, replica.FetchedBlock{Block: b, Cert: r.Blocks[i].Cert})
	}
	return got
}
