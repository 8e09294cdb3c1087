package sim

import (
	"fmt"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/task"
)

// delegate draws what a client does about tasks, by the state of its machine:
// it registers, posts, accepts, proves, marks, cancels, or lets a deadline pass.
func (c *client) delegate() (chain.Action, error) {
	self, state := atp.ID(c.machine.id()), c.machine.replica.State()
	if _, known, err := state.Platform(self); err != nil || !known {
		return &chain.PlatformRegister{Platform: c.platform()}, err
	}
	var moves []chain.Action
	err := state.EachTask(func(t task.Task) error {
		if a := c.move(t); a != nil {
			moves = append(moves, a)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	r := c.rand
	if len(moves) > 0 && r.IntN(4) > 0 {
		return moves[r.IntN(len(moves))], nil
	}
	terms := state.Params().Economy.DefaultTerms()
	terms.Type, terms.Runtime, terms.Price = task.Vision, "wasm", atp.Amount(1+r.Uint64N(5_000))
	terms.Program, terms.Input = atp.SumBlob([]byte("program")), atp.SumBlob([]byte("input"))
	return &chain.FederationTask{Terms: terms}, nil
}

// move returns what the client could do next about a task, legal or not.
func (c *client) move(t task.Task) chain.Action {
	self, r := atp.ID(c.machine.id()), c.rand
	mine := t.Requester.ID == self
	switch {
	case t.Acceptance == nil && mine && r.IntN(4) == 0:
		return &chain.TaskCancel{Task: t.ID}
	case t.Acceptance == nil && !mine:
		return &chain.TaskAccept{Task: t.ID, Bond: 5 * atp.ATP}
	case t.Proof == nil && t.Acceptance != nil && t.Acceptance.Executor.ID == self:
		return &chain.FederationProof{Task: t.ID, Proof: task.Proof{Result: atp.SumBlob([]byte("result")), Size: 6}}
	case t.Proof != nil && mine:
		return &chain.TaskAcknowledge{Task: t.ID, Mark: task.PPM(r.IntN(1_000_001))}
	}
	return nil
}

func (c *client) platform() task.Platform {
	return task.Platform{
		Name:     task.Name(fmt.Sprintf("platform-%d", c.machine.index)),
		Hardware: task.Hardware{RAM: 8 << 30, Accelerators: 1024, Power: 15_000, Architecture: "arm64"},
		Horizon:  task.Horizon{Spatial: task.Local, Temporal: task.Session, Complexity: task.Agent},
		Offers:   []task.Offer{task.DefaultOffer(task.Vision)},
		Runtimes: []task.Runtime{"wasm"},
	}
}
