package replica_test

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/replica"
)

// most is more than one step may ask for, whatever was received: J7.
const most = 200

// FuzzReceived gives a replica the frames of a peer: each a length in two bytes,
// and a message, of which what does not decode is dropped, as at the edge. No
// Step fails; what it asks for is bounded; and without a certificate that holds
// nothing becomes final.
func FuzzReceived(f *testing.F) {
	for _, session := range sessions(f) {
		f.Add(session, byte(0))
		f.Add(session, byte(5))
	}
	f.Fuzz(func(t *testing.T, session []byte, from byte) {
		fed := newFed(t, 4, 2)
		fed.on(0, 1, 2, 3, 4, 5)
		fed.quiet()
		m := fed.members[3]
		sender := fed.members[int(from)%len(fed.members)].id
		if sender == m.id {
			sender = fed.members[0].id
		}
		for range 64 {
			if len(session) < 2 {
				break
			}
			n := min(int(binary.BigEndian.Uint16(session)), len(session)-2)
			message, err := bft.Decode(session[2 : 2+n])
			session = session[2+n:]
			if err != nil {
				continue
			}
			stepBounded(t, fed, m, replica.Received{From: sender, Message: message})
		}
		if m.replica.Height() != 1 || len(m.finals) > 0 {
			t.Fatalf("height %d, with %d final blocks, by the word of one peer", m.replica.Height(), len(m.finals))
		}
		// It still does its work.
		fed.mail = nil
		fed.submit(0, fed.pay(0, 0))
		fed.quiet()
		for range 20 {
			if len(fed.members[0].finals) > 0 {
				break
			}
			fed.fire(replica.TimerView)
			fed.quiet()
		}
		if len(fed.members[0].finals) == 0 {
			t.Fatal("nothing becomes final any more")
		}
	})
}

// stepBounded steps a member and has the checks done that it asks for.
func stepBounded(t *testing.T, fed *fed, m *member, in replica.Input) {
	t.Helper()
	inbox := []replica.Input{in}
	for steps := 0; len(inbox) > 0; steps++ {
		if steps > most {
			t.Fatalf("one message leads to more than %d steps", most)
		}
		fed.now++
		out, err := m.replica.Step(fed.now, inbox[0])
		if err != nil {
			t.Fatalf("%T: %v", inbox[0], err)
		}
		inbox = inbox[1:]
		if n := len(out.Send) + len(out.Verify) + len(out.Fetch) + len(out.Timers) + len(out.Gossip) + len(out.Sign) + len(out.Publish.Faults); n > most {
			t.Fatalf("one step asks for %d things", n)
		}
		m.persist(out.Persist)
		inbox = append(inbox, m.sign(out.Sign)...)
		for _, j := range out.Verify {
			v := bft.Verifier{Scheme: bft.InsecureSimulation{}, Genesis: fed.genesis.Genesis(), Height: j.Height, Set: j.Set}
			verified, err := v.Verify(j.Message)
			inbox = append(inbox, replica.Verified{Job: j, Message: verified, Err: err})
		}
		for _, timer := range out.Timers {
			m.timers[timer.Kind] = timer
		}
		m.fetches = append(m.fetches, out.Fetch...)
	}
}

// sessions are what correct members send each other until a block is final, and
// what one that is behind hears.
func sessions(f *testing.F) [][]byte {
	var all [][]byte
	fed := newFed(f, 4, 2)
	session := func(messages ...bft.Message) {
		var b []byte
		for _, m := range messages {
			raw := bft.Encode(m)
			b = append(binary.BigEndian.AppendUint16(b, uint16(len(raw))), raw...)
		}
		all = append(all, b)
	}
	var said []bft.Message
	fed.cut = func(from, to int, m bft.Message) bool {
		if m != nil && to == 3 && len(said) < 40 {
			said = append(said, m)
		}
		return false
	}
	fed.on(0, 1, 2, 3, 4, 5)
	fed.quiet()
	fed.submit(0, fed.pay(0, 0))
	fed.quiet()
	for _, m := range said {
		if _, ok := m.(*bft.CommitCert); !ok {
			session(m)
		}
	}
	id := fed.genesis.Tip().ID
	session(
		&bft.Status{Height: 1 << 40, View: 3, FinalHeight: 1<<40 - 1, FinalID: id, Clock: 1},
		&bft.Status{Height: 1, View: 3, Clock: bft.UnixMillis(fed.now)},
		&bft.Vote{Kind: bft.KindPrepare, Height: 1, Block: id, Signer: fed.members[0].id},
		&bft.Timeout{Height: 1, View: 7, Signer: fed.members[0].id},
		&bft.CommitCert{Height: 1, Block: id, Signers: bft.Bitmap{7}, Signatures: make([]bft.Signature, 3)},
		&bft.CommitCert{Height: 2, Block: id, Signers: bft.Bitmap{7}, Signatures: make([]bft.Signature, 3)},
	)
	return all
}

// FuzzFetched answers a validator that is behind with blocks of a liar's: real
// ones with a few bytes of header, body or certificate changed. Step does not
// fail; whatever becomes final is what the others have.
func FuzzFetched(f *testing.F) {
	f.Add(uint8(0), uint8(0), uint16(3), byte(1))
	f.Add(uint8(1), uint8(2), uint16(60), byte(0x80))
	f.Add(uint8(2), uint8(1), uint16(9), byte(7))
	real := chainOf(f, 5)
	f.Fuzz(func(t *testing.T, which, part uint8, at uint16, flip byte) {
		fed := newFed(t, 4, 2)
		m := fed.members[3]
		m.boot()
		liar := fed.members[4].id
		stepBounded(t, fed, m, replica.Connected{Peer: liar})
		stepBounded(t, fed, m, replica.Received{From: liar, Message: &bft.Status{
			Height: 6, FinalHeight: 5, FinalID: real[4].Cert.Block, Clock: bft.UnixMillis(fed.now)}})
		blocks := make([]replica.FetchedBlock, len(real))
		for i, b := range real {
			cert := b.Cert
			blocks[i] = replica.FetchedBlock{Block: b.Block, Cert: &cert}
		}
		if err := spoil(&blocks[int(which)%len(blocks)], part, at, flip); err != nil {
			if !errors.Is(err, chain.ErrInvalid) && !errors.Is(err, bft.ErrInvalid) {
				t.Fatalf("refused by another class: %v", err)
			}
			return // the driver blames the peer, and answers with nothing
		}
		for _, q := range m.fetches {
			stepBounded(t, fed, m, replica.Fetched{Fetch: q, Blocks: blocks})
		}
		for i, have := range m.finals {
			if have.Cert.Block != real[i].Cert.Block {
				t.Fatalf("another block is final at height %d", i+1)
			}
		}
	})
}

// chainOf is the final blocks of a federation that has so many.
func chainOf(f *testing.F, n uint64) []replica.Final {
	fed := newFed(f, 4, 2)
	fed.on(0, 1, 2)
	fed.quiet()
	for i := range n {
		fed.submit(0, fed.pay(0, i))
		fed.quiet()
		fed.settle(int(i) + 1)
	}
	return fed.members[0].finals
}

// spoil changes a byte of what a peer sends of a block, and reads it as the
// driver does. It fails for what the driver does not let through.
func spoil(b *replica.FetchedBlock, part uint8, at uint16, flip byte) (err error) {
	header, body := b.Block.Header, b.Block.Body()
	switch part % 3 {
	case 0:
		var raw []byte
		if raw, err = header.Encode(); err == nil {
			raw[int(at)%len(raw)] ^= flip
			header, err = chain.DecodeHeader(raw)
		}
	case 1:
		var raw []byte
		if raw, err = body.Encode(); err == nil {
			raw[int(at)%len(raw)] ^= flip
			body, err = chain.DecodeBody(raw)
		}
	default:
		raw := bft.Encode(b.Cert)
		raw[int(at)%len(raw)] ^= flip
		var m bft.Message
		if m, err = bft.Decode(raw); err == nil {
			if cert, ok := m.(*bft.CommitCert); ok {
				b.Cert = cert
			}
		}
	}
	if err == nil {
		b.Block, err = body.Verify(bft.InsecureSimulation{}, nil, b.Block.Txs[0].Genesis(), header)
	}
	return err
}
