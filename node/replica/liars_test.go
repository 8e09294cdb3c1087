package replica_test

import (
	"slices"
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/replica"
)

// long is more blocks than are asked for at once.
const long = 5 * replica.MaxRange

// liars are the members from an index on: they claim any height and never answer.
type liars struct {
	f     *fed
	first int
	late  *member // whom they lie to
	asked int     // fetches of it that were looked at
}

// against starts a member that is connected with others and with all liars, who
// have the first word.
func against(f *fed, late, first int, others ...int) *liars {
	l := &liars{f: f, first: first, late: f.members[late]}
	f.silent = func(i int) bool { return i >= first }
	l.late.boot()
	for i := first; i < len(f.members); i++ {
		l.lie(i)
	}
	for _, i := range others {
		l.late.take(replica.Connected{Peer: f.members[i].id})
		l.tell(i, bft.Height(len(f.members[i].finals)))
	}
	return l
}

func (l *liars) tell(i int, final bft.Height) {
	id := l.f.genesis.Tip().ID
	l.late.take(replica.Received{From: l.f.members[i].id, Message: &bft.Status{
		Height: final + 1, FinalHeight: final, FinalID: id, Clock: bft.UnixMillis(l.f.now),
	}})
}

// lie has a liar come, or come back.
func (l *liars) lie(i int) {
	l.late.take(replica.Disconnected{Peer: l.f.members[i].id})
	l.late.take(replica.Connected{Peer: l.f.members[i].id})
	l.tell(i, 1<<40)
}

// secondsUntil lets time pass until the member has a height. What a liar was asked
// fails after twenty seconds, as the driver has it.
func (l *liars) secondsUntil(h, most int, each func()) int {
	type open struct {
		fetch replica.Fetch
		since atp.Millis
	}
	var pending []open
	begun := l.f.now
	for len(l.late.finals) < h {
		for ; l.asked < len(l.late.fetches); l.asked++ {
			if q := l.late.fetches[l.asked]; l.f.find(q.Peer).index >= l.first {
				pending = append(pending, open{q, l.f.now})
			}
		}
		pending = slices.DeleteFunc(pending, func(o open) bool {
			over := l.f.now >= o.since.Add(20*atp.Second)
			if over {
				l.late.take(replica.Fetched{Fetch: o.fetch})
			}
			return over
		})
		l.f.quiet()
		l.f.fire(replica.TimerFetch)
		l.f.quiet()
		l.f.now = l.f.now.Add(atp.Second / 10)
		if each != nil {
			each()
		}
		if took := int((l.f.now - begun) / atp.Millis(atp.Second)); took > most {
			l.f.t.Fatalf("at height %d of %d after %d s; %d requests", len(l.late.finals), h, took, len(l.late.fetches))
		}
	}
	return int((l.f.now - begun) / atp.Millis(atp.Second))
}

// chained returns a federation whose members below a number have a long chain.
func chained(t *testing.T, validators, observers, have int) *fed {
	t.Helper()
	f := newFed(t, validators, observers)
	for i := range have {
		f.on(i)
	}
	f.quiet()
	for n := range uint64(long) {
		f.submit(0, f.pay(0, n))
		if f.quiet(); validators > 1 {
			f.settle(int(n) + 1)
		}
	}
	return f
}

func TestADozenLiarsDoNotKeepAValidatorFromCatchingUp(t *testing.T) {
	f := chained(t, 4, 12, 3)
	l := against(f, 3, 4, 0, 1, 2)
	l.secondsUntil(long, 10, nil)
}

// Liars with ever new keys, as many as there is room for.
func TestLiarsThatComeBackDoNotKeepAValidatorFromCatchingUp(t *testing.T) {
	f := chained(t, 4, 12, 3)
	l := against(f, 3, 4, 0, 1, 2)
	next := 4
	l.secondsUntil(long, 10, func() {
		l.lie(next)
		next = 4 + (next-3)%12
	})
}

// Where nobody is known to be honest, the one who serves is found, and asked from
// then on.
func TestOneHonestObserverIsFoundAmongADozenLiars(t *testing.T) {
	f := chained(t, 1, 14, 1) // a validator, an observer that has followed it, one that is late
	f.off(0)
	f.members[1].finals, f.members[1].saved = f.members[0].finals, f.members[0].saved
	f.members[1].boot()
	l := against(f, 2, 3, 1)
	took := l.secondsUntil(long, 60, nil)
	t.Logf("after %d s", took)
}

func TestTheLiesOfStrangersAreNotShownAsTheChain(t *testing.T) {
	f := chained(t, 4, 2, 3)
	l := against(f, 3, 4, 0, 1, 2)
	l.secondsUntil(long, 10, nil)
	if p := l.late.replica.Progress(); p.Behind() {
		t.Errorf("progress %+v, want to be up to what validators say", p)
	}
}

// Nobody answers for a while; the validators do again, the others never.
func TestSilentPeersDoNotKeepABlockFromBeingFetched(t *testing.T) {
	f := newFed(t, 4, 6)
	f.on(0, 1, 2, 3)
	f.quiet()
	leader := f.leads(1, 0)
	m := f.members[f.leads(1, 2)]
	for i := 4; i < len(f.members); i++ {
		m.take(replica.Connected{Peer: f.members[i].id})
	}
	f.silent = func(int) bool { return true }
	f.cut = func(_, to int, msg bft.Message) bool { return msg == nil || to != m.index }
	f.submit(leader, f.pay(leader, 0))
	given := 0
	for range 12 {
		f.quiet()
		for ; given < len(m.fetches); given++ {
			if q := m.fetches[given]; f.find(q.Peer).index < 4 { // the driver gives up
				m.take(replica.Fetched{Fetch: q})
			}
		}
		f.fire(replica.TimerFetch)
	}
	f.silent = func(i int) bool { return i >= 4 }
	for ; given < len(m.fetches); given++ {
		if q := m.fetches[given]; f.find(q.Peer).index < 4 {
			m.take(replica.Fetched{Fetch: q})
		}
	}
	for range 10 {
		f.fire(replica.TimerFetch)
		f.quiet()
	}
	if m.record.Prepared == bft.NoView {
		t.Errorf("the block is not here after %d requests", len(m.fetches))
	}
}
