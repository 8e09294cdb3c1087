package p2p

import (
	"context"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// An Event is one of [PeerUp], [PeerDown], [Refused] and [Clone].
//
// The consumer may be slow: for each peer only the newest event waits. A peer
// that went down and up again meanwhile is told as a second PeerUp; one that came
// and went is not told at all.
type Event interface{ isEvent() }

// PeerUp says that a peer has finished hello. It is repeated for a peer that is
// up when it has restarted, reconnected or moved between relayed and direct, and
// when both have agreed on a genesis: treat each as a new connection.
type PeerUp struct {
	ID      peer.ID
	Name    string                // as the peer says
	Agent   string                // as the peer says
	Offset  time.Duration         // its clock minus ours, give or take half a round trip
	Addrs   []multiaddr.Multiaddr // the far ends of its connections
	Direct  bool                  // at least one connection is not relayed
	Nonce   uint64                // drawn at its start
	Forming bool                  // it has no genesis yet
}

// PeerDown says that the last connection to a peer has gone.
type PeerDown struct {
	ID     peer.ID
	Reason string
}

// Refused says that a peer was turned away at hello. While forming, the peer's
// Genesis is how to learn of a federation to join.
type Refused struct {
	Refusal
}

// Clone says that our own key answers elsewhere. A direct observation is proof;
// one told by another peer is as good as that peer's word.
type Clone struct {
	Via    peer.ID // who told; our own ID when we saw it ourselves
	Direct bool
}

func (PeerUp) isEvent()   {}
func (PeerDown) isEvent() {}
func (Refused) isEvent()  {}
func (Clone) isEvent()    {}

// mailbox hands events to one consumer without ever blocking a producer.
type mailbox struct {
	deliver func(Event)
	wake    chan struct{} // holds one token when something waits

	mu      sync.Mutex
	told    map[peer.ID]bool  // guarded by mu: peers that the consumer believes up
	waiting map[peer.ID]Event // guarded by mu: PeerUp or PeerDown, the newest
	order   []peer.ID         // guarded by mu: keys of waiting, first come first told
	notes   []Event           // guarded by mu: Refused and Clone, one per peer
}

func newMailbox() *mailbox {
	return &mailbox{
		deliver: func(Event) {},
		wake:    make(chan struct{}, 1),
		told:    map[peer.ID]bool{},
		waiting: map[peer.ID]Event{},
	}
}

func (m *mailbox) up(e PeerUp) { m.put(e.ID, e) }

func (m *mailbox) down(e PeerDown) {
	m.mu.Lock()
	if !m.told[e.ID] { // came and went: nothing to tell, and nothing to keep
		if _, ok := m.waiting[e.ID]; ok {
			delete(m.waiting, e.ID)
			m.order = without(m.order, e.ID)
		}
		m.mu.Unlock()
		return
	}
	m.mu.Unlock()
	m.put(e.ID, e)
}

func (m *mailbox) put(id peer.ID, e Event) {
	m.mu.Lock()
	if _, ok := m.waiting[id]; !ok {
		m.order = append(m.order, id)
	}
	m.waiting[id] = e
	m.mu.Unlock()
	m.ring()
}

// note queues a Refused or a Clone. The oldest is dropped when too many wait:
// refusals are also kept by [Host.Refusals].
func (m *mailbox) note(e Event) {
	m.mu.Lock()
	for i, old := range m.notes {
		if sameSubject(old, e) {
			m.notes[i] = e
			m.mu.Unlock()
			return
		}
	}
	if len(m.notes) == maxRefusals {
		m.notes = m.notes[1:]
	}
	m.notes = append(m.notes, e)
	m.mu.Unlock()
	m.ring()
}

func sameSubject(a, b Event) bool {
	switch a := a.(type) {
	case Refused:
		b, ok := b.(Refused)
		return ok && a.ID == b.ID
	case Clone:
		b, ok := b.(Clone)
		return ok && a.Via == b.Via
	}
	return false
}

func (m *mailbox) ring() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *mailbox) next() (Event, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.notes) > 0 {
		e := m.notes[0]
		m.notes = m.notes[1:]
		return e, true
	}
	if len(m.order) == 0 {
		return nil, false
	}
	id := m.order[0]
	m.order = m.order[1:]
	e := m.waiting[id]
	delete(m.waiting, id)
	if _, up := e.(PeerUp); up {
		m.told[id] = true
	} else {
		delete(m.told, id)
	}
	return e, true
}

// run delivers until the context ends.
func (m *mailbox) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.wake:
		}
		for e, ok := m.next(); ok && ctx.Err() == nil; e, ok = m.next() {
			m.deliver(e)
		}
	}
}

// without returns ids with id taken out, in place.
func without(ids []peer.ID, id peer.ID) []peer.ID {
	for i := range ids {
		if ids[i] == id {
			return append(ids[:i], ids[i+1:]...)
		}
	}
	return ids
}
