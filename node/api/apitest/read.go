package apitest

import (
	"context"
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// Status implements api.Network.
func (n *Node) Status(context.Context) (view.Status, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.StatusNow
	head, own := n.blocks[len(n.blocks)-1], n.accounts[ID(n.Self)]
	s.PeerID, s.Name = ID(n.Self), n.Self
	s.Height, s.Block, s.StateRoot, s.FinalTimeMS = head.Height, head.ID, head.StateRoot, head.TimeMS
	s.BalanceUATP, s.LockedUATP, s.BondedUATP = own.AvailableUATP, own.LockedUATP, own.BondedUATP
	for _, p := range n.txs {
		if p.tx.State == view.TxPending {
			s.Mempool++
		}
	}
	for _, a := range n.accounts {
		s.Totals.AvailableUATP += a.AvailableUATP
		s.Totals.LockedUATP += a.LockedUATP
		s.Totals.BondedUATP += a.BondedUATP
	}
	s.Totals.PoolUATP = 1_000_000_000_000
	s.Totals.SupplyUATP = s.Totals.AvailableUATP + s.Totals.LockedUATP + s.Totals.BondedUATP + s.Totals.PoolUATP
	return s, n.Fail
}

// Federations implements api.Network.
func (n *Node) Federations(context.Context) ([]view.Federation, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	own := view.Federation{Network: "test", Genesis: "07", Founder: n.Self, SinceMS: Start, Here: true}
	for _, name := range n.Names {
		own.Platforms = append(own.Platforms, view.Neighbour{PeerID: ID(name), Name: name, Address: "192.168.1.7", HeardMS: Start})
	}
	return []view.Federation{own}, nil
}

// paths are how the others are reached.
var paths = []view.Peer{
	{},
	{Path: "direct", Why: "this platform dialled it", Relays: true},
	{Path: "punched", Why: "both dialled at once, 23ms"},
	{Path: "relayed", Why: "no hole punched (3 ×): no answer", Via: ID("beta")},
}

// Peers implements api.Network.
func (n *Node) Peers(context.Context) ([]view.Peer, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var peers []view.Peer
	for i, name := range n.Names {
		if name != n.Self {
			path := paths[i%len(paths)]
			peers = append(peers, view.Peer{
				PeerID: ID(name), Name: name, Address: fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", 4000+i), Path: path.Path, Why: path.Why, Via: path.Via, Relays: path.Relays,
				Direction: "outbound", RoundTripUS: int64(180 * i), Validator: true, Height: 1, SinceMS: Start,
			})
		}
	}
	return peers, n.Fail
}

// Validators implements api.Network.
func (n *Node) Validators(context.Context) (view.Validators, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	v := view.Validators{Height: view.Height(len(n.blocks)), Quorum: 3, Faults: 1, Members: []view.Validator{}}
	for _, name := range n.Names {
		v.Members = append(v.Members, view.Validator{PeerID: ID(name), Name: name, Connected: name != "delta", LastSigned: v.Height - 1})
	}
	v.Candidates = append([]view.Candidate{}, n.Candidates...)
	v.Admission, v.Admissions = "auto", append([]view.Admission{}, n.Admissions...)
	return v, n.Fail
}

// Platforms implements api.Network.
func (n *Node) Platforms(context.Context) ([]view.Platform, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var platforms []view.Platform
	for i, name := range slices.Sorted(slices.Values(n.Names)) {
		platforms = append(platforms, view.Platform{
			PeerID: ID(name), Name: name, Validator: true, Connected: true, SinceMS: Start,
			Hardware: view.Hardware{RAMMiB: uint64(8192 * (i + 1)), Architecture: "arm64"},
			Horizon:  view.Horizon{Spatial: "local", Temporal: "session", Complexity: "agent"},
			Offers:   []view.Offer{{Type: "vision", LowUATP: 11_000_000, MediumUATP: 34_000_000, HighUATP: 56_000_000, CriticalUATP: 200_000_000}},
			Runtimes: []string{"wasm"},
			Reputation: []view.Reputation{{
				Role: "executor", Type: "vision", ReputationPPM: view.PPM(500_000 + 1_234*i), LCBPPM: 349_245,
			}},
		})
	}
	return platforms, n.Fail
}

// Account implements api.Ledger.
func (n *Node) Account(_ context.Context, id peer.ID) (view.Account, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.Fail != nil {
		return view.Account{}, n.Fail
	}
	a, ok := n.accounts[id]
	if !ok {
		return view.Account{}, &view.Error{
			Code: view.CodeNotFound, Message: fmt.Sprintf("no block has ever touched the account %s", id),
			Hint: "check the ID; known platforms: sage-p2p platforms", Height: view.Height(len(n.blocks) - 1),
		}
	}
	out := *a
	out.Height = view.Height(len(n.blocks) - 1)
	return out, nil
}

// History implements api.Ledger: every transaction of the node, newest first.
func (n *Node) History(_ context.Context, id peer.ID, _ string, limit int) (view.Movements, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var m []view.Movement
	for _, b := range slices.Backward(n.blocks) {
		for _, tx := range b.Transactions {
			if tx.From == id && len(m) < limit {
				m = append(m, view.Movement{
					Height: b.Height, TimeMS: b.TimeMS, Event: tx.Ops[0].Kind, Tx: tx.ID, Counterparty: ID("beta"), OutUATP: 1_500_000,
				})
			}
		}
	}
	return view.Movements{Movements: m}, n.Fail
}

// Locks implements api.Ledger.
func (n *Node) Locks(context.Context) ([]view.Lock, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.locks), n.Fail
}

// Headers implements api.Chain.
func (n *Node) Headers(_ context.Context, before view.Height, limit int) ([]view.Header, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var headers []view.Header
	for _, b := range slices.Backward(n.blocks) {
		if (before == 0 || b.Height < before) && len(headers) < limit {
			headers = append(headers, b.Header)
		}
	}
	return headers, n.Fail
}

// BlockAt implements api.Chain.
func (n *Node) BlockAt(_ context.Context, h view.Height) (view.Block, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if h >= view.Height(len(n.blocks)) {
		return view.Block{}, &view.Error{
			Code: view.CodeNotFound, Message: fmt.Sprintf("there is no final block %d yet", h), Retryable: true,
			Height: view.Height(len(n.blocks) - 1),
		}
	}
	return n.blocks[h], n.Fail
}

// BlockByID implements api.Chain.
func (n *Node) BlockByID(_ context.Context, id view.CID) (view.Block, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, b := range n.blocks {
		if b.ID.Equals(id.Cid) {
			return b, n.Fail
		}
	}
	return view.Block{}, &view.Error{Code: view.CodeNotFound, Message: "no final block has the ID " + id.String()}
}

// Tx implements api.Chain.
func (n *Node) Tx(_ context.Context, id view.CID) (view.Tx, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if p, ok := n.txs[id.String()]; ok {
		return p.tx, n.Fail
	}
	return view.Tx{}, &view.Error{Code: view.CodeNotFound, Message: "no transaction " + id.String() + " is known here"}
}

// Tasks implements api.Tasks.
func (n *Node) Tasks(_ context.Context, f view.TaskFilter) (view.Tasks, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var page view.Tasks
	for _, t := range slices.Backward(n.tasks) {
		if (f.State == "" || f.State == t.State) && len(page.Tasks) < f.Limit {
			t.History = []view.Step{}
			page.Tasks = append(page.Tasks, t)
		}
	}
	return page, n.Fail
}

// Task implements api.Tasks.
func (n *Node) Task(_ context.Context, id view.CID) (view.Task, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, t := range n.tasks {
		if t.ID.Equals(id.Cid) {
			return t, n.Fail
		}
	}
	return view.Task{}, &view.Error{Code: view.CodeNotFound, Message: "no task " + id.String() + " is known here"}
}
