package apitest

import (
	"context"
	"fmt"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// Doctor implements api.Explains: it returns Findings.
func (n *Node) Doctor(context.Context) (view.Doctor, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return view.Doctor{Verdict: view.Worst(n.Findings), Findings: n.Findings}, n.Fail
}

// WhyIdle implements api.Explains: it returns Findings.
func (n *Node) WhyIdle(context.Context) (view.WhyIdle, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return view.WhyIdle{Height: n.height(), Working: 1, Verdict: view.Worst(n.Findings), Findings: n.Findings}, n.Fail
}

// PeersWhy implements api.Explains: delta is away, a stranger was turned away,
// and gamma has told a lie.
func (n *Node) PeersWhy(context.Context) (view.PeersWhy, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return view.PeersWhy{
		Missing: []view.MissingPeer{{
			PeerID: ID("delta"), Name: "delta", Addresses: []string{"/ip4/192.0.2.4/tcp/7422"}, Bootstrap: true, Attempts: 7,
			Reason: "dial tcp4 192.0.2.4:7422: connect: connection refused",
		}},
		Refused: []view.RefusedPeer{{
			PeerID: ID("stranger"), Name: "stranger", Address: "/ip4/192.0.2.9/tcp/7422", Reason: "it is of another federation",
			Network: "lan", Genesis: strings.Repeat("5c", 32), Times: 3, FirstMS: Start + 1_000, LastMS: Start + 21_000,
		}},
		Offenders: []view.Offender{{
			PeerID: ID("gamma"), Offences: []view.Offence{{TimeMS: Start + 12_000, Text: "a frame that no correct platform sends"}},
			BannedUntilMS: Start + 90_000,
		}},
	}, n.Fail
}

// WhyNot implements api.Explains: beta passes every test, the others are too dear.
func (n *Node) WhyNot(_ context.Context, id view.CID, platform peer.ID) (view.WhyNot, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.Fail != nil {
		return view.WhyNot{}, n.Fail
	}
	for _, t := range n.tasks {
		if !t.ID.Equals(id.Cid) {
			continue
		}
		why := view.WhyNot{
			TaskID: id, State: t.State, Height: n.height(), MostUATP: t.Spec.PriceUATP,
			Note: "this is how the router would see it now, not how it saw it then",
		}
		for _, name := range n.Names {
			if ID(name) == t.Requester || platform != "" && platform != ID(name) {
				continue
			}
			c := view.Contender{PeerID: ID(name), Name: name, Chosen: ID(name) == t.Executor, Tests: []view.Test{
				{What: "type", OK: true, Text: "it takes tasks of type vision"},
				{What: "price", OK: name == "beta", Text: "it asks 50 ATP, and 50 ATP is the most that may be paid"},
			}}
			if name == "beta" {
				c.Fit, c.ChancePPM = true, 1_000_000
			} else {
				c.Tests[1].Text = "it asks 60 ATP, more than 50 ATP, the most that may be paid"
			}
			why.Candidates = append(why.Candidates, c)
		}
		return why, nil
	}
	return view.WhyNot{}, &view.Error{Code: view.CodeNotFound, Message: "no task " + id.String() + " is known here"}
}

// Reputation implements api.Explains.
func (n *Node) Reputation(_ context.Context, id peer.ID) (view.ReputationStory, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.Fail != nil {
		return view.ReputationStory{}, n.Fail
	}
	a, ok := n.accounts[id]
	if !ok {
		return view.ReputationStory{}, &view.Error{Code: view.CodeNotFound, Message: fmt.Sprintf("no block has ever touched an account %s", id)}
	}
	return view.ReputationStory{
		PeerID: id, Name: a.Name, Height: n.height(),
		Parts: []view.ReputationPart{{
			Reputation: view.Reputation{Role: "executor", Type: "vision", ReputationPPM: 516_666, LCBPPM: 371_000, SuccessPPM: 500_000},
			AsOfMS:     Start / 86_400_000 * 86_400_000,
			Steps:      []string{"good 0.500 and bad 0.000, as of today", "(0.500 + 5) / (0.500 + 0.000 + 10) = 0.524"},
			Sources:    []view.Source{{Society: "alpha", SuccessPPM: 500_000, CapPPM: 10_000_000}},
		}},
		Newest: []view.StandingMove{{
			TimeMS: Start + 21_000, Height: 8, TaskID: CID("a task"), Role: "executor", Type: "vision",
			OldPPM: 500_000, NewPPM: 516_666, Cause: "PASS",
		}},
	}, nil
}

// height is that of the newest block. mu is held.
func (n *Node) height() view.Height { return view.Height(len(n.blocks) - 1) }

// Tell adds an event to the log.
func (n *Node) Tell(e view.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.log(e)
	n.wake()
}

// Seq returns the number of the newest event.
func (n *Node) Seq() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.before + uint64(len(n.events))
}

// Restart loses all events, as a node does that starts again: the next one is
// numbered far above them.
func (n *Node) Restart() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.events, n.before = nil, n.before+uint64(len(n.events))+1_000_000
}
