package sim

import (
	"slices"
	"testing"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/replica"
	"github.com/sage-p2p/sage-p2p/node/wire"
)

// overheard is a behaviour of whose messages it is known which it made.
type overheard struct {
	Behaviour
	made []bft.Message // in place of the newest that was to be sent
}

// Send implements [Behaviour].
func (o *overheard) Send(from, to *machine, m bft.Message) []bft.Message {
	list := o.Behaviour.Send(from, to, m)
	o.made = slices.DeleteFunc(slices.Clone(list), func(said bft.Message) bool { return said == m })
	return list
}

// gate is what leaves a machine of which the partner is one part.
type gate struct {
	both
	partner *overheard
	left    int
	lost    int
}

// Send implements [Behaviour].
func (g *gate) Send(from, to *machine, m bft.Message) []bft.Message {
	g.partner.made = nil
	list := g.both.Send(from, to, m)
	for _, made := range g.partner.made {
		if slices.Contains(list, made) {
			g.left++
		} else {
			g.lost++
		}
	}
	return list
}

// inPlace are the behaviours that say something else in place of what is to be said.
// The others hold it back, or say something beside it.
func inPlace() []string {
	return []string{
		"equivocating leader", "amnesiac", "stale-certificate leader", "certificate withholder", "view jumper",
		"duplicate-signer certificate", "wrong state root", "time pusher and backdater", "highQC liar",
		"invalid-transaction packer", "oversize block", "sync liar", "colluders", "censor",
	}
}

// A machine that is silent, or speaks noise, and does something else too, says what
// that something makes, though nothing of what a correct one would say.
func TestSilenceAndNoiseLeaveTheOtherItsLies(t *testing.T) {
	var theatre Theatre
	for _, quiet := range []func() Behaviour{func() Behaviour { return new(silent) }, func() Behaviour { return new(noise) }} {
		for _, r := range roles() {
			if hold(r.make()) == mute {
				continue
			}
			left, lost, says := 0, 0, slices.Contains(inPlace(), r.name)
			for seed := uint64(0); lost == 0 && (seed < 5 || seed < patience && left == 0 && says); seed++ {
				l, k := beside(t, &theatre, quiet, r, seed)
				left, lost = left+l, lost+k
			}
			if left == 0 && says || lost > 0 {
				t.Errorf("%s beside %s: %d of its messages have left, %d have not", r.name, nameOf(quiet()), left, lost)
			}
		}
	}
}

// beside runs one schedule in which a machine of four is quiet and behaves in another
// way too. It counts what that other made and has left, or has not.
func beside(t *testing.T, theatre *Theatre, quiet func() Behaviour, r role, seed uint64) (left, lost int) {
	t.Helper()
	p := trial{4, []role{r}, seed}.plan()
	for i := range p.Adversaries {
		p.Adversaries[i] = func() Behaviour {
			o := &overheard{Behaviour: r.make()}
			return &gate{both: *newBoth(quiet(), o), partner: o}
		}
	}
	s, err := theatre.stage(seed, p)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Run(); got.Err != nil {
		t.Fatalf("%s beside %s, seed %d: %v", r.name, nameOf(quiet()), seed, got.Err)
	}
	for _, m := range s.machines {
		if g, ok := m.behaviour.(*gate); ok {
			left, lost = left+g.left, lost+g.lost
		}
	}
	return left, lost
}

// stubborn says one thing whatever is to be said, and answers with one byte.
type stubborn struct {
	honest
	says  bft.Message
	heard []bft.Message
}

func (s *stubborn) Send(_, _ *machine, m bft.Message) []bft.Message {
	s.heard = append(s.heard, m)
	return []bft.Message{s.says}
}

func (s *stubborn) Reply(*machine, replica.Want, wire.Reply) []byte {
	return []byte{byte(s.says.Position().View)}
}

// Of two that would each say something else, one has the last word at one height and
// the other at the next, and knows what the first would have said. They take turns at
// answers.
func TestTwoThatSayOtherThingsTakeTurns(t *testing.T) {
	a, b := &stubborn{says: &bft.Timeout{View: 1}}, &stubborn{says: &bft.Timeout{View: 2}}
	pair := newBoth(a, b)
	var last []bft.Message
	for h := range bft.Height(4) {
		last = append(last, pair.Send(nil, nil, &bft.Timeout{Height: h})...)
	}
	if want := []bft.Message{b.says, a.says, b.says, a.says}; !slices.Equal(last, want) {
		t.Errorf("they say %v, want %v", last, want)
	}
	if a.heard[1] != b.says || b.heard[0] != a.says {
		t.Error("the last does not know what the first says")
	}
	var answers []byte
	for range 4 {
		answers = append(answers, pair.Reply(nil, replica.Want{}, wire.Reply{})...)
	}
	if len(slices.Compact(slices.Clone(answers))) != 4 {
		t.Errorf("the answers are of %v", answers)
	}
}
