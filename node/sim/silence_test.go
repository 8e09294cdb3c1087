package sim

import (
	"strings"
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
)

const often = 10 * atp.Second

// asker is always behind, and asks for height 1 as long as its machine runs.
type asker struct {
	honest
	boot    int // of its machine, in which it began to
	answers int // after that
}

// Hear implements [Behaviour].
func (a *asker) Hear(at, _ *machine, m bft.Message) {
	if _, is := m.(*bft.CommitCert); is && a.acts > 0 {
		a.answers++
	}
	if a.boot != at.boot && at.store.height() > 0 {
		a.boot = at.boot
		a.ask(at)
	}
}

func (a *asker) ask(at *machine) {
	a.acts++
	at.shout(&bft.Status{Height: 1, Clock: bft.UnixMillis(at.clock())})
	at.later(often, func() { a.ask(at) })
}

// chatter has a correct machine say where it stands, for ever, and unasked.
func (m *machine) chatter() {
	if m.up {
		tip := m.replica.State().Tip()
		for _, to := range m.sim.machines {
			m.sim.net.send(m, to.id(), &bft.Status{
				Height: tip.Height + 1, FinalHeight: tip.Height, FinalID: tip.ID, Clock: bft.UnixMillis(m.clock()),
			})
		}
	}
	m.sim.World.After(often, m.chatter)
}

// silence plays a trial with one who misbehaves, and a chatterer if so wanted.
func silence(t *testing.T, kind role, chatters bool) Result {
	t.Helper()
	var theatre Theatre
	s, err := theatre.stage(5, trial{4, []role{kind}, 5}.plan())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range s.machines {
		if chatters && m.correct() {
			s.World.After(often, m.chatter)
			break
		}
	}
	return s.Run()
}

// J6: a correct machine may answer for ever whoever asks for ever.
func TestAnAnswerIsNoChatter(t *testing.T) {
	a := new(asker)
	r := silence(t, role{"asker", func() Behaviour { return a }}, false)
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	if r.Seen[seenTurnedOff] != 1 || a.answers < 20 {
		t.Errorf("turned off %d times, after %d answers; want once, after 20 or more", r.Seen[seenTurnedOff], a.answers)
	}
}

// J6: what a correct machine says unasked is found, whoever else talks, and in whatever
// way.
func TestChatterIsFoundWhoeverMisbehaves(t *testing.T) {
	for _, kind := range append(roles(), role{"asker", func() Behaviour { return new(asker) }}) {
		t.Run(kind.name, func(t *testing.T) {
			if r := silence(t, kind, true); r.Err == nil || !strings.Contains(r.Err.Error(), "J6: ") {
				t.Errorf("have %v, want J6", r.Err)
			}
		})
	}
}
