package sim

import (
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
)

// script is a schedule in which a test decides what passes and who runs.
type script struct {
	*Sim
	t    *testing.T
	pass func(from, to int, m bft.Message) bool
}

// newScript returns n correct machines that are up, connected and idle, on links that
// lose what pass, once it is set, does not let through.
func newScript(t *testing.T, n int) *script {
	t.Helper()
	return stageScript(t, Plan{Validators: n, Base: 300, MaxDelay: 5})
}

// stageScript is newScript with the machines of a plan.
func stageScript(t *testing.T, p Plan) *script {
	t.Helper()
	var theatre Theatre
	s, err := theatre.stage(1, p)
	if err != nil {
		t.Fatal(err)
	}
	sc := &script{Sim: s, t: t}
	s.net.calm = true
	s.net.pick = func(from, to *machine, m bft.Message) bool {
		return sc.pass == nil || sc.pass(from.index, to.index, m)
	}
	for _, m := range s.machines {
		m.boot1()
	}
	sc.wait("everyone is connected", func() bool {
		for i, links := range s.net.links {
			for j, up := range links {
				if i != j && !up {
					return false
				}
			}
		}
		return true
	})
	sc.until(sc.World.Now().Add(atp.Second), func() bool { return false }) // they have told each other where they stand
	return sc
}

// wait runs until done, or fails the test.
func (s *script) wait(what string, done func() bool) {
	s.t.Helper()
	s.until(s.World.Now().Add(120*atp.Second), done)
	if s.judge.err != nil {
		s.t.Fatalf("while waiting until %s: %v", what, s.judge.err)
	}
	if !done() {
		s.t.Fatalf("waited in vain until %s", what)
	}
}

// pay submits a transfer of an amount at a machine.
func (s *script) pay(m int, amount atp.Amount) chain.VerifiedTx {
	s.t.Helper()
	c := s.clients[m]
	tx, err := c.sign(&chain.Transfer{To: atp.ID(s.cast.Keys[(m+1)%len(s.cast.Keys)].id), Amount: amount}, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	c.pending = &tx
	c.left = 1
	c.submit()
	return tx
}

func (s *script) record(m int) bft.Record { return s.machines[m].signer.Record() }

// A leader of views 0 and 4 crashes after its second proposal, with everyone
// else who voted; one validator has the decision of view 0 and is cut off. The
// others, restarted, must not take up view 0 again.
func TestRestartedLeaderKeepsItsWord(t *testing.T) {
	const (
		apart  = 0 // hears nothing of view 0
		leader = 1 // of views 0 and 4 at height 1
		knows  = 2 // alone has the decision of view 0
		voter  = 3
	)
	s := newScript(t, 4)
	if s.cast.state.Validators().Leader(1, 0) != s.machines[leader].id() {
		t.Fatal("the script has the wrong leader")
	}

	// View 0: three vote, and only one of them sees the COMMITs.
	s.pass = func(from, to int, m bft.Message) bool {
		if from == apart || to == apart || m.Position().Kind == bft.KindStatus {
			return false
		}
		return m.Position().Kind != bft.KindCommit || to == knows
	}
	s.pay(leader, 1)
	s.wait("one machine alone has the decision", func() bool { return s.machines[knows].store.height() == 1 })

	// It is cut off. The others give up views 0 to 3; in view 4 they lock again.
	s.pass = func(from, to int, m bft.Message) bool {
		if from == knows || to == knows {
			return false
		}
		switch at := m.Position(); at.Kind {
		case bft.KindTimeout:
			return true
		case bft.KindProposal, bft.KindPrepare:
			return at.View == 4
		}
		return false
	}
	all := []int{apart, leader, voter}
	s.wait("the others have locked in view 4", func() bool {
		for _, i := range all {
			if s.record(i).Committed != 4 {
				return false
			}
		}
		return true
	})

	// They crash and start again; of what they say only view 0 gets through.
	s.pass = func(from, to int, m bft.Message) bool {
		return from != knows && to != knows && m.Position().View == 0 && m.Position().Kind != bft.KindStatus
	}
	for _, i := range all {
		s.machines[i].crash()
	}
	for _, i := range all {
		s.restart(s.machines[i])
	}
	s.until(s.World.Now().Add(2*atp.Second), func() bool { return false })
	if s.judge.err != nil {
		t.Fatal(s.judge.err)
	}

	// Everything passes again: the decision of view 0 is everyone's.
	s.pass = nil
	s.net.renew(1, 50)
	s.wait("everyone has the block of view 0", func() bool {
		for _, m := range s.machines {
			if m.store.height() < 1 {
				return false
			}
		}
		return true
	})
}

// One validator alone sees the TC of view 0. It gives up view 1 too, crashes,
// and forgets the TC; the fourth is silent. Its Timeout of view 1 must count
// for view 0, or the three wait for each other for ever (L2).
func TestATimeoutOfALaterViewCounts(t *testing.T) {
	const (
		gone  = 1 // leads view 0
		alone = 3
	)
	s := newScript(t, 4)
	s.machines[gone].crash()
	s.pass = func(_, to int, m bft.Message) bool { return to == alone && m.Position().View == 0 }
	s.pay(2, 1)
	s.wait("one validator has given up view 1", func() bool { return s.record(alone).TimedOut == 1 })
	s.machines[alone].crash()
	s.restart(s.machines[alone])
	s.pass = nil
	s.net.renew(1, 50)
	s.wait("the three have a block", func() bool {
		for i, m := range s.machines {
			if i != gone && m.store.height() < 1 {
				return false
			}
		}
		return true
	})
}
