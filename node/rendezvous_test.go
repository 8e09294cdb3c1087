package node

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sage-p2p/sage-p2p/node/signer"
	"github.com/sage-p2p/sage-p2p/p2p"
)

func TestRendezvousDecides(t *testing.T) {
	a, b, c := p2p.Genesis{1}, p2p.Genesis{2}, p2p.Genesis{3}
	plain := rendezvous{network: "lan", founds: true}
	heading := rendezvous{network: "lan", founds: true, heading: c}
	one := []heardOf{{genesis: b, by: "thor", first: time.Second}}
	two := append(slices.Clone(one), heardOf{genesis: a, by: "loki", first: 2 * time.Second})
	yielding := []heardOf{{genesis: b, yields: true}, {genesis: a, yields: true}}
	for _, tt := range []struct {
		name  string
		rule  rendezvous
		since time.Duration
		sight sight
		want  step // of waiting, a part
	}{
		{"alone, at first", plain, 2999 * time.Millisecond, sight{}, step{waiting: "founds one if there is none"}},
		{"alone", plain, 3 * time.Second, sight{}, step{found: true}},
		{"after another", plain, 3 * time.Second, sight{before: 1}, step{waiting: "another platform here to found"}},
		{"after another that never founds", plain, 7 * time.Second, sight{before: 1}, step{found: true}},
		{"after thousands that never found", plain, 15 * time.Second, sight{before: 5000}, step{found: true}},
		{"an observer alone", rendezvous{network: "lan"}, time.Hour, sight{}, step{waiting: "to observe"}},
		{"a federation, just heard", plain, 1299 * time.Millisecond, sight{federations: one}, step{waiting: "thor"}},
		{"a federation", plain, 1300 * time.Millisecond, sight{federations: one}, step{join: b}},
		{"a federation, for an observer", rendezvous{}, 1300 * time.Millisecond, sight{federations: one}, step{join: b}},
		{"two, at first", plain, 10 * time.Second, sight{federations: two}, step{waiting: "you to choose"}},
		{"two, and nobody chose", plain, 17 * time.Second, sight{federations: two}, step{join: b}},
		{"two, another one each moment", plain, 30 * time.Second, sight{federations: []heardOf{one[0], {genesis: a, first: 29 * time.Second}}}, step{join: b}},
		{"only such as were heard just now", plain, 30 * time.Second, sight{federations: []heardOf{{genesis: a, first: 30 * time.Second}}}, step{join: a}},
		{"two, after a silence", plain, 30 * time.Second, sight{silent: 20 * time.Second, federations: []heardOf{{genesis: b, first: 20 * time.Second}, {genesis: a, first: 21 * time.Second}}}, step{waiting: "you to choose"}},
		{"one that stays and one that yields", plain, 5 * time.Second, sight{federations: append(slices.Clone(one), yielding[1])}, step{join: b}},
		{"two that yield", plain, time.Second, sight{federations: yielding}, step{join: a}},
		{"the one it left its own for", heading, 0, sight{federations: []heardOf{{genesis: a}, {genesis: c}}}, step{join: c}},
		{"another, at first", heading, 2 * time.Second, sight{federations: one}, step{waiting: "thor"}},
		{"another", heading, 3 * time.Second, sight{federations: one}, step{join: b}},
		{"none, after it left its own", heading, 9 * time.Second, sight{}, step{waiting: c.String()}},
		{"none any more", heading, 10 * time.Second, sight{}, step{found: true}},
		{"liars who serve nothing", rendezvous{founds: true, failed: maxFailed}, 3 * time.Second, sight{federations: two}, step{found: true}},
		{"such liars, for an observer", rendezvous{failed: maxFailed}, 3 * time.Second, sight{federations: one}, step{join: b}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.rule.decide(tt.since, tt.sight)
			if got.join != tt.want.join || got.found != tt.want.found || !strings.Contains(got.waiting, tt.want.waiting) || (got.waiting == "") != (tt.want.waiting == "") {
				t.Errorf("decide = %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestOfTwoFederationsAtMostOneGivesWay(t *testing.T) {
	a, b := p2p.Genesis{1}, p2p.Genesis{2}
	for _, tt := range []struct {
		aWould, bWould bool
		want           string
	}{{false, false, ""}, {true, false, "a"}, {false, true, "b"}, {true, true, "b"}} {
		got := ""
		if givesWay(a, tt.aWould, b, tt.bWould) {
			got += "a"
		}
		if givesWay(b, tt.bWould, a, tt.aWould) {
			got += "b"
		}
		if got != tt.want {
			t.Errorf("a would %v, b would %v: %q gives way, want %q", tt.aWould, tt.bWould, got, tt.want)
		}
	}
	if givesWay(a, true, a, false) {
		t.Error("a federation gives way to itself")
	}
}

// lanSim is platforms on a LAN in virtual time, that decide as real ones do. What
// one does the others notice after a delay of their own.
type lanSim struct {
	now  time.Duration
	all  []*simPlatform
	lag  func(from, to int) time.Duration
	made byte
	rng  *rand.Rand
}

type simPlatform struct {
	number  int // by ID
	begin   time.Duration
	up      bool
	liar    bool // says that it forms, and never founds
	genesis p2p.Genesis
	used    bool
	heading p2p.Genesis
	left    []p2p.Genesis
	log     []simState // what it was when, for those who notice late
	moves   int
}

type simState struct {
	at      time.Duration
	forming bool
	genesis p2p.Genesis
	yields  bool
}

func (p *simPlatform) say(now time.Duration) {
	s := simState{now, p.up && p.genesis.IsZero(), p.genesis, !p.used && len(p.left) < signer.MaxLeft}
	if n := len(p.log); n == 0 || p.log[n-1].forming != s.forming || p.log[n-1].genesis != s.genesis || p.log[n-1].yields != s.yields {
		p.log = append(p.log, s)
	}
}

// seen is what a platform was at a moment, as last said.
func (p *simPlatform) seen(at time.Duration) (s simState, ok bool) {
	for _, said := range p.log {
		if said.at <= at {
			s, ok = said, true
		}
	}
	return s, ok
}

const simTick = 50 * time.Millisecond

// run lets the platforms act until the end.
func (l *lanSim) run(until time.Duration) {
	for ; l.now < until; l.now += simTick {
		for _, p := range l.all {
			if !p.up && l.now >= p.begin {
				p.up = true
			}
			if p.up && !p.liar {
				l.act(p)
			}
			p.say(l.now)
		}
	}
}

func (l *lanSim) act(p *simPlatform) {
	if !p.genesis.IsZero() {
		for _, o := range l.all {
			s, ok := o.seen(l.now - l.lag(o.number, p.number))
			if o == p || !ok || s.genesis.IsZero() || s.genesis == p.genesis || slices.Contains(p.left, s.genesis) {
				continue
			}
			if !givesWay(p.genesis, !p.used && len(p.left) < signer.MaxLeft, s.genesis, s.yields) {
				continue
			}
			p.left, p.heading, p.moves = append(p.left, p.genesis), s.genesis, p.moves+1
			p.genesis, p.up, p.begin = p2p.Genesis{}, false, l.now+500*time.Millisecond // its next life
			return
		}
		return
	}
	var s sight
	for _, o := range l.all {
		said, ok := o.seen(l.now - l.lag(o.number, p.number))
		switch {
		case o == p || !ok:
		case said.forming && o.number < p.number:
			s.before++
		case !said.genesis.IsZero() && !slices.Contains(p.left, said.genesis):
			i := slices.IndexFunc(s.federations, func(h heardOf) bool { return h.genesis == said.genesis })
			first := max(0, said.at+l.lag(o.number, p.number)-p.begin)
			if i < 0 {
				s.federations = append(s.federations, heardOf{said.genesis, "x", first, said.yields})
			} else {
				s.federations[i].yields = s.federations[i].yields && said.yields
			}
		}
	}
	switch d := (rendezvous{network: "lan", founds: true, heading: p.heading}).decide(l.now-p.begin, s); {
	case d.found:
		l.made++
		p.genesis = p2p.Genesis{byte(l.rng.IntN(256)), l.made}
	case !d.join.IsZero():
		p.genesis = d.join
		for _, o := range l.all { // it registers, if its founder is still there to make a block of it
			if o != p && o.genesis == d.join && !slices.Contains(o.left, d.join) {
				o.used, p.used = true, true
			}
		}
	}
}

// A hundred offsets between the starts of two to five platforms, in every order of
// their IDs, and with liars: all end in one federation.
func TestAHundredSimultaneousStartsEndInOneFederation(t *testing.T) {
	founded := map[int]int{} // how often so many federations were founded on the way
	for offset := range 100 {
		for n := 2; n <= 5; n++ {
			for liars := range 2 {
				rng := rand.New(rand.NewPCG(uint64(offset), uint64(n*10+liars)))
				l := &lanSim{rng: rng, lag: func(from, to int) time.Duration {
					return time.Duration(20+(from*7+to*13+offset)%280) * time.Millisecond
				}}
				order := rng.Perm(n)
				for i := range n {
					begin := time.Duration(i) * time.Duration(offset) * 100 * time.Millisecond
					l.all = append(l.all, &simPlatform{number: liars + order[i], begin: begin})
				}
				for i := range liars {
					l.all = append(l.all, &simPlatform{number: i, liar: true})
				}
				l.run(time.Duration(n)*time.Duration(offset)*100*time.Millisecond + time.Minute)
				first := l.all[0].genesis
				for _, p := range l.all {
					if !p.liar && (p.genesis.IsZero() || p.genesis != first) {
						t.Fatalf("offset %d ms, %d platforms, %d liars: %s", offset*100, n, liars, l)
					}
				}
				founded[int(l.made)]++
			}
		}
	}
	t.Logf("federations founded on the way: %v", founded)
	if founded[1] < 700 {
		t.Errorf("in %d of 800 runs one federation was founded, want nearly all", founded[1])
	}
}

// Lone federations that meet late end in one, whatever their number and hashes.
func TestLoneFederationsThatMeetEndInOne(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 1))
		l := &lanSim{lag: func(from, to int) time.Duration {
			return time.Duration(20+(from*31+to*17+int(seed))%5000) * time.Millisecond
		}}
		for i := range 2 + int(seed%4) {
			l.made++
			l.all = append(l.all, &simPlatform{number: i, up: true, genesis: p2p.Genesis{byte(rng.IntN(256)), l.made}})
		}
		lowest := slices.MinFunc(l.all, func(a, b *simPlatform) int { return bytes.Compare(a.genesis[:], b.genesis[:]) }).genesis
		l.run(2 * time.Minute)
		for _, p := range l.all {
			if p.genesis != lowest {
				t.Fatalf("seed %d: %s, want all in %x", seed, l, lowest[:2])
			}
		}
	}
}

// Two that are used stay apart, and whoever is not joins one of them.
func TestUsedFederationsStayApart(t *testing.T) {
	l := &lanSim{lag: func(int, int) time.Duration { return 100 * time.Millisecond }}
	a, b := p2p.Genesis{1}, p2p.Genesis{2}
	l.all = []*simPlatform{
		{number: 0, up: true, genesis: a, used: true}, {number: 1, up: true, genesis: b, used: true},
		{number: 2, up: true, genesis: p2p.Genesis{0}, used: false}, {number: 3, begin: time.Second},
	}
	l.all[2].genesis[5] = 1
	l.run(time.Minute)
	if l.all[0].genesis != a || l.all[1].genesis != b {
		t.Errorf("a used federation was left: %s", l)
	}
	for _, p := range l.all[2:] {
		if p.genesis != a && p.genesis != b {
			t.Errorf("platform %d is in neither: %s", p.number, l)
		}
	}
}

func (l *lanSim) String() string {
	var b strings.Builder
	for _, p := range l.all {
		fmt.Fprintf(&b, "platform %d of %x after %d moves (used %v, liar %v); ", p.number, p.genesis[:2], p.moves, p.used, p.liar)
	}
	return b.String()
}

func TestAFederationThatCouldNotBeJoinedIsTriedAgainLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLife()
		for i := range byte(3 * maxFailed) {
			l.fail(p2p.Genesis{i})
			time.Sleep(time.Second)
		}
		if n := l.failures(); n != maxFailed || l.avoids(p2p.Genesis{0}) || !l.avoids(p2p.Genesis{3*maxFailed - 1}) {
			t.Errorf("%d are avoided, want the last %d", n, maxFailed)
		}
		time.Sleep(avoidFor)
		if n := l.failures(); n != 0 {
			t.Errorf("%d are still avoided", n)
		}
	})
}
