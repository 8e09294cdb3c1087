package bft

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"
)

// Whatever the network, crashes and f byzantine validators do, no two correct
// validators decide differently, no signer is asked for a contradiction, nobody
// correct is accused; and once that ends, all correct ones decide.
func TestRandomSchedulesAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 7).Draw(t, "n")
		steps := rapid.IntRange(0, 1000).Draw(t, "steps")
		seed := rapid.Uint64().Draw(t, "seed")
		s := newSchedule(t, n, seed)
		for range steps {
			s.step()
			s.agree()
		}
		for _, e := range s.evidence {
			if i, _ := s.set.Index(e.First.Signer); !slices.Contains(s.byzantine, i) {
				t.Fatalf("correct validator %d is accused: %+v", i, e)
			}
			if err := e.Verify(s.verifier.Scheme, testGenesis); err != nil {
				t.Fatalf("evidence proves nothing: %v", err)
			}
		}
		s.heal(t)
	})
}

// schedule is a cluster in which chance, drawn from a seed, decides.
type schedule struct {
	*cluster
	r         *rand.Rand
	byzantine []int
	blocks    []cid.Cid
	loss      int // of ten messages
}

func newSchedule(t failer, n int, seed uint64) *schedule {
	s := &schedule{cluster: newCluster(t, n), r: rand.New(rand.NewPCG(seed, 0))}
	s.replies = true
	s.loss = s.r.IntN(5)
	s.byzantine = s.r.Perm(n)[:s.set.F()]
	for _, name := range []string{"x", "y", "z"} {
		s.blocks = append(s.blocks, s.block(name))
	}
	for i, m := range s.members {
		if slices.Contains(s.byzantine, i) {
			m.down = true
		} else {
			s.start(i)
		}
	}
	return s
}

func (s *schedule) correct() int {
	for {
		if i := s.r.IntN(len(s.members)); !slices.Contains(s.byzantine, i) {
			return i
		}
	}
}

func (s *schedule) step() {
	i := s.correct()
	m := s.members[i]
	switch k := s.r.IntN(30); {
	case k < 20 && len(s.queue) > 0: // deliver out of order
		j := s.r.IntN(min(len(s.queue), 12))
		p := s.queue[j]
		s.queue = slices.Delete(s.queue, j, j+1)
		if s.r.IntN(10) >= s.loss {
			s.give(p.to, p.message)
		}
	case k == 20 && !m.down: // half of a view goes by
		s.fire(i, TimerHalf)
	case k == 21 && len(s.queue) > 0: // duplicate
		s.queue = append(s.queue, s.queue[s.r.IntN(len(s.queue))])
	case k == 22:
		s.fire(i, TimerView)
		s.fire(i, TimerRepeat)
	case k == 23 && s.r.IntN(3) == 0: // crash: the record survives, what is decided does too
		if m.final == nil {
			s.start(i)
		}
	case k == 24 && !m.down:
		s.handle(i, m.core.Work())
	case k == 25 && !m.down && s.r.IntN(4) == 0:
		s.handle(i, m.core.LeaderGone(s.set.ID(s.r.IntN(len(s.members)))))
	case k >= 26 && len(s.byzantine) > 0:
		s.attack()
	}
}

// attack lets one byzantine validator say something that verifies, to one
// correct validator.
func (s *schedule) attack() {
	by := s.byzantine[s.r.IntN(len(s.byzantine))]
	view := View(s.r.IntN(5))
	u := Unsigned{Statement: Statement{View: view, Block: s.blocks[s.r.IntN(len(s.blocks))]}}
	if v, ok := s.anySent().(VerifiedVote); ok { // prefer what others speak of
		u.Block = v.v.Block
	}
	switch s.r.IntN(6) {
	case 0:
		u.Kind = KindProposal
		if leader, _ := s.set.Index(s.set.Leader(s.verifier.Height, view)); leader != by {
			return
		}
		if view > 0 {
			if u.TC = s.anyTC(view - 1); u.TC == nil {
				return
			}
			if u.View = u.TC.View + 1; s.set.Leader(s.verifier.Height, u.View) != s.set.ID(by) {
				return
			}
			if u.TC.QC != nil {
				u.Block = u.TC.QC.Block
			}
		}
	case 1:
		u.Kind = KindPrepare
	case 2:
		u.Kind = KindCommit
	case 3:
		u.Kind, u.Block, u.QC = KindTimeout, cid.Undef, s.anyQC(KindPrepare, 0, view)
	case 4:
		s.show(by, &Status{Height: s.verifier.Height, HighQC: s.anyQC(KindPrepare, 0, MaxView), TC: s.anyTC(view)})
		return
	case 5:
		if qc := s.anyQC(KindCommit, 0, MaxView); qc != nil {
			s.show(by, (*CommitCert)(qc))
		}
		return
	}
	s.queue = append(s.queue, parcel{by, s.correct(), s.forge(by, u)})
}

func (s *schedule) anySent() Verified {
	if len(s.sent) == 0 {
		return nil
	}
	return s.sent[s.r.IntN(len(s.sent))]
}

func (s *schedule) show(by int, m Message) {
	v, err := s.verifier.Verify(m)
	if err != nil {
		s.t.Fatalf("forged certificate: %v", err)
	}
	s.queue = append(s.queue, parcel{by, s.correct(), v})
}

// anyQC makes some certificate of a view from low to high of what was sent, or
// returns nil.
func (s *schedule) anyQC(kind Kind, low, high View) *QC {
	for range 4 {
		last, ok := s.anySent().(VerifiedVote)
		if !ok || last.v.Kind != kind || last.v.View < low || last.v.View > high {
			continue
		}
		held := newCollector(s.set)
		for _, m := range s.sent {
			if v, ok := m.(VerifiedVote); ok && v.v.Kind == kind && v.v.View == last.v.View && v.v.Block == last.v.Block {
				i, _ := s.set.Index(v.v.Signer)
				held.votes(kind).keep(i, v.v)
			}
		}
		if qc := held.agree(last.v, s.set.Quorum()); qc != nil {
			return qc
		}
	}
	return nil
}

// anyTC makes some TC of a view or a later one, of Timeouts that were sent, any of each signer,
// with any QC that fits, or returns nil.
func (s *schedule) anyTC(view View) *TC {
	held := newCollector(s.set)
	for _, k := range s.r.Perm(len(s.sent)) {
		if t, ok := s.sent[k].(VerifiedTimeout); ok && t.t.View >= view {
			if i, _ := s.set.Index(t.t.Signer); held.timeouts[i] == nil {
				held.timeouts[i] = t.t
			}
		}
	}
	if held.tcView() < view {
		return nil
	}
	for _, i := range s.r.Perm(len(s.members)) { // leave out as many as a TC can
		if t := held.timeouts[i]; t != nil {
			held.timeouts[i] = nil
			if held.tcView() < view {
				held.timeouts[i] = t
			}
		}
	}
	tc := held.tc(held.tcView())
	if high := tc.highest(); high != NoView {
		if qc := s.anyQC(KindPrepare, high, high); qc != nil {
			tc.QC = qc
		}
	}
	return tc
}

// heal lets every message through, restarts everyone, and waits for decisions.
func (s *schedule) heal(t *rapid.T) {
	for i, m := range s.members {
		if !slices.Contains(s.byzantine, i) && m.final == nil {
			s.start(i)
		}
	}
	for range 4 * len(s.members) {
		for i, m := range s.members {
			if !slices.Contains(s.byzantine, i) && m.final == nil {
				s.handle(i, m.core.Work())
				s.status(i)
			}
		}
		s.deliver(all)
		for _, k := range []TimerKind{TimerRepeat, TimerView} {
			for i, m := range s.members {
				if m.final == nil {
					s.fire(i, k)
				}
			}
			s.deliver(all)
		}
	}
	s.agree()
	for i, m := range s.members {
		if !slices.Contains(s.byzantine, i) && m.final == nil {
			t.Fatalf("%d is stuck in view %d, highQC %s, TC %s", i, m.core.View(), s.nameQC(m.core.marks.HighQC), s.nameTC(m.core.tc))
		}
	}
}
