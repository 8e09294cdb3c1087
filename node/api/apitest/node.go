// Package apitest has a node in memory, for tests of the server, the client
// and the commands. It keeps a ledger and tasks as simple as can be: what they
// must obey is tested where they live.
package apitest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// Start is the time of the first block.
const Start view.Millis = 1_790_000_000_000

// Node is a node whose every transaction is final at once, unless Hold is
// set. It implements api.Node. Its fields may be changed until it is served.
type Node struct {
	Self      string // name of the platform that it is
	Names     []string
	StatusNow view.Status // what Status returns, except for what the ledger knows

	Candidates []view.Candidate // who waits for a vote
	Admissions []view.Admission // what some have voted for
	Hold       bool             // transactions stay pending until Release
	Fail       error            // what every read returns, if not nil
	Findings   []view.Finding   // of the doctor and of why-idle
	News       []view.AskNews   // that Ask tells; nil: those of a question that beta answers
	Logs       string           // of every task
	Stopped    chan struct{}    // closed when Stop is called first

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced at every change
	accounts map[peer.ID]*view.Account
	locks    []view.Lock
	tasks    []view.Task // oldest first
	blocks   []view.Block
	txs      map[string]*pending
	blobs    map[string][]byte

	registered view.Registration
	events     []view.Event
	before     uint64 // the number before that of the first of events
}

// pending is a transaction and what it does when it becomes final.
type pending struct {
	tx    view.Tx
	apply func() error // called with mu held
}

// ID returns the peer ID of the platform called name.
func ID(name string) peer.ID {
	key := sha256.Sum256([]byte(name))
	return peer.ID("\x00\x24\x08\x01\x12\x20" + string(key[:]))
}

// CID returns a CID that stands for text.
func CID(text string) view.CID {
	return sum(cid.DagCBOR, []byte(text))
}

// RawCID returns the CID of a blob that holds text.
func RawCID(text string) view.CID { return sum(cid.Raw, []byte(text)) }

func sum(codec uint64, b []byte) view.CID {
	digest := sha256.Sum256(b)
	mh, err := multihash.Encode(digest[:], multihash.SHA2_256)
	if err != nil {
		panic(err) // the length of a SHA-256 sum is right
	}
	return view.CID{Cid: cid.NewCidV1(codec, mh)}
}

// New returns the platform "alpha" of a federation of alpha, beta, gamma and
// delta, each with 1,000 ATP, at height 1.
func New() *Node {
	names := []string{"alpha", "beta", "gamma", "delta"}
	n := &Node{
		Self: "alpha", Names: names,
		StatusNow: view.Status{
			Network: "lan", Founder: ID("alpha"), FounderName: "alpha", Genesis: strings.Repeat("5a", 32), Mode: view.ModeVoid,
			Validator: true, Validators: 4, Quorum: 3, Peers: 3, Version: "test", ClockOffsetMS: -3,
			Relays: []peer.ID{ID("beta")}, Listen: []string{"/ip4/127.0.0.1/tcp/4001/p2p/" + ID("alpha").String()}, Alarms: []string{}, PID: 4242,
		},
		Stopped:  make(chan struct{}),
		changed:  make(chan struct{}),
		accounts: make(map[peer.ID]*view.Account),
		txs:      make(map[string]*pending),
		blobs:    make(map[string][]byte),
	}
	for _, name := range names {
		n.accounts[ID(name)] = &view.Account{PeerID: ID(name), Name: name, AvailableUATP: 1_000_000_000, Reputation: []view.Reputation{}}
	}
	n.addBlock(nil, nil)
	n.addBlock(nil, nil)
	return n
}

// Release makes everything pending final.
func (n *Node) Release() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.Hold = false
	for _, p := range n.txs {
		if p.tx.State == view.TxPending {
			n.finalise(p)
		}
	}
}

// SetTask adds t, or replaces the task of its ID.
func (n *Node) SetTask(t view.Task) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.setTask(t)
	n.wake()
}

func (n *Node) setTask(t view.Task) {
	for i := range n.tasks {
		if n.tasks[i].ID.Equals(t.ID.Cid) {
			n.tasks[i] = t
			return
		}
	}
	n.tasks = append(n.tasks, t)
}

// Txs returns how many transactions were ever submitted.
func (n *Node) Txs() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.txs)
}

// Blob returns what is stored under id.
func (n *Node) Blob(id view.CID) []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.blobs[id.String()])
}

// wake tells those who wait. mu is held.
func (n *Node) wake() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// addBlock makes the next block final. mu is held, or n is not shared yet.
func (n *Node) addBlock(txs []view.Tx, events []view.Event) {
	h := view.Height(len(n.blocks))
	b := view.Block{
		Header: view.Header{
			ID: CID(fmt.Sprint("block ", h)), Height: h, TimeMS: Start + view.Millis(h)*1000, StateRoot: CID(fmt.Sprint("state ", h)),
			BodyRoot: CID(fmt.Sprint("body ", h)), ReceiptsRoot: CID(fmt.Sprint("receipts ", h)),
			ValidatorHash: strings.Repeat("5b", 32), TxCount: len(txs),
		},
		Certificate:  view.Certificate{Signers: []peer.ID{}},
		Transactions: append([]view.Tx{}, txs...),
		Events:       append([]view.Event{}, events...),
	}
	if h > 0 {
		b.Parent, b.Proposer = n.blocks[h-1].ID, ID(n.Names[int(h)%len(n.Names)])
		for _, name := range n.Names[:3] {
			b.Certificate.Signers = append(b.Certificate.Signers, ID(name))
		}
	}
	n.blocks = append(n.blocks, b)
	for _, e := range b.Happened() {
		n.log(e)
	}
	n.wake()
}

func (n *Node) log(e view.Event) {
	e.Seq = n.before + uint64(len(n.events)) + 1
	n.events = append(n.events, e)
}

// submit makes a transaction that does what apply does.
func (n *Node) submit(kind string, apply func() error) view.CID {
	nonce := n.accounts[ID(n.Self)].Nonce
	n.accounts[ID(n.Self)].Nonce++
	p := &pending{
		apply: apply,
		tx: view.Tx{
			ID: CID(fmt.Sprint("tx ", nonce)), From: ID(n.Self), Nonce: nonce, Ops: []view.Op{{Kind: kind}},
			State: view.TxPending, Events: []view.Event{}, SubmittedMS: Start + 10_000,
		},
	}
	n.txs[p.tx.ID.String()] = p
	if !n.Hold {
		n.finalise(p)
	}
	return p.tx.ID
}

func (n *Node) finalise(p *pending) {
	p.tx.State, p.tx.Height, p.tx.OK = view.TxFinal, view.Height(len(n.blocks)), true
	p.tx.Block, p.tx.FinalMS = CID(fmt.Sprint("block ", p.tx.Height)), p.tx.SubmittedMS+12
	if err := p.apply(); err != nil {
		p.tx.OK, p.tx.Error = false, err.Error()
	}
	n.addBlock([]view.Tx{p.tx}, p.tx.Events)
}

// PutBlob implements api.Blobs.
func (n *Node) PutBlob(_ context.Context, r io.Reader) (view.Blob, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return view.Blob{}, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	id := sum(cid.Raw, b)
	n.blobs[id.String()] = b
	return view.Blob{CID: id, Size: uint64(len(b))}, nil
}

// OpenBlob implements api.Blobs.
func (n *Node) OpenBlob(_ context.Context, id view.CID) (io.ReadCloser, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	b, ok := n.blobs[id.String()]
	if !ok {
		return nil, &view.Error{Code: view.CodeGone, Message: "the bytes of " + id.String() + " are not here any more"}
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

// Changed implements api.Log.
func (n *Node) Changed() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.changed
}

// Events implements api.Log.
func (n *Node) Events(_ context.Context, seq uint64, limit int) ([]view.Event, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.Fail != nil {
		return nil, n.Fail
	}
	if seq < n.before || seq > n.before+uint64(len(n.events)) {
		seq = n.before
	}
	rest := n.events[seq-n.before:]
	return slices.Clone(rest[:min(limit, len(rest))]), nil
}
