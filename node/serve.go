package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/node/wire"
)

// errNotHere answers a question that this platform cannot answer now.
var errNotHere = errors.New("not here")

// serveFetch answers a question of a peer.
func (n *Node) serveFetch(ctx context.Context, from peer.ID, raw []byte) ([]byte, error) {
	q, err := wire.DecodeQuestion(raw)
	if err != nil {
		n.host.Blame(from, err.Error())
		return nil, err
	}
	reply, err := n.reply(ctx, from, q)
	if err != nil {
		return nil, err
	}
	return atp.Encode(&reply)
}

func (n *Node) reply(ctx context.Context, from peer.ID, q wire.Question) (wire.Reply, error) {
	r := n.chain.Load()
	switch {
	case q.Peers:
		return wire.Reply{Peers: n.tellContacts()}, nil
	case q.Founding:
		return n.announce(r)
	case r == nil:
		return wire.Reply{}, fmt.Errorf("%w: no federation yet", errNotHere)
	case q.Genesis:
		return wire.Reply{Data: r.genesisJSON}, nil
	case q.Invite != nil:
		return n.welcome(from, *q.Invite, r)
	}
	return r.wires.serve(ctx, from, q)
}

// announce tells what this platform founds or, once it is founded, the genesis:
// other founders may still need it.
func (n *Node) announce(r *running) (wire.Reply, error) {
	f := n.founding.Load()
	if f == nil {
		return wire.Reply{}, fmt.Errorf("%w: nothing is being founded", errNotHere)
	}
	say := f.say
	if r != nil {
		say.Genesis = r.genesisJSON
	}
	raw, err := atp.Encode(&say)
	return wire.Reply{Data: raw}, err
}

// maxTold is how many bytes the answer to one question may have: an announcement,
// or 128 contacts, or a block. Many are asked at once.
const maxTold = 4 << 20

// ask asks a peer one thing.
func (n *Node) ask(ctx context.Context, to peer.ID, q wire.Question) (wire.Reply, error) {
	raw, err := atp.Encode(&q)
	if err != nil {
		return wire.Reply{}, err
	}
	raw, err = n.host.Request(ctx, to, raw, maxTold)
	if err != nil {
		return wire.Reply{}, err
	}
	r, err := wire.DecodeReply(raw)
	if err != nil {
		n.host.Blame(to, err.Error())
		return wire.Reply{}, err
	}
	return r, nil
}
