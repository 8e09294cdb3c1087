package replica_test

import (
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/replica"
)

// late starts a member that was connected with the others before it could hear:
// what they greeted it with is lost.
func (f *fed) late(i int) {
	f.t.Helper()
	for _, o := range f.members {
		o.take(replica.Connected{Peer: f.members[i].id})
	}
	f.quiet()
	f.members[i].boot()
	for _, o := range f.members {
		if o.replica != nil && o.index != i {
			f.members[i].take(replica.Connected{Peer: o.id})
		}
	}
}

// paidFor returns a federation of four, with observers that are off, in which so
// many blocks are final and nothing moves any more.
func paidFor(t *testing.T, observers int, blocks uint64) *fed {
	t.Helper()
	f := newFed(t, 4, observers)
	f.on(0, 1, 2, 3)
	f.quiet()
	for n := range blocks {
		f.submit(0, f.pay(0, n))
		f.settle(int(n) + 1)
	}
	return f
}

func TestANewcomerThatWasGreetedBeforeItCouldHearAsksForWhatItLacks(t *testing.T) {
	const blocks = 2 * replica.MaxRange
	f := paidFor(t, 1, blocks)
	newcomer := f.members[4]
	f.late(4)
	if p := newcomer.replica.Progress(); !p.Behind() {
		t.Errorf("connected with those who have told nothing yet, its progress is %+v: want it behind", p)
	}
	for len(f.mail) > 0 { // no timer helps
		f.round()
		if p := newcomer.replica.Progress(); len(newcomer.finals) < blocks && !p.Behind() {
			t.Fatalf("with %d final blocks its progress is %+v, want it behind", len(newcomer.finals), p)
		}
	}
	f.wantHeights(blocks, blocks, blocks, blocks, blocks)
	ranges := 0
	for _, q := range newcomer.fetches {
		if !q.Want.Range.IsZero() {
			ranges++
		}
	}
	if ranges == 0 || len(newcomer.fetches) > 8 {
		t.Errorf("it asked for %+v, want ranges of blocks", newcomer.fetches)
	}
	if p := newcomer.replica.Progress(); p.Behind() {
		t.Errorf("at the head its progress is %+v, want it not behind", p)
	}
}

// At the same height a machine on an old image is told what it has forgotten, too.
func TestAnOldImageThatWasGreetedBeforeItCouldHearIsFoundOut(t *testing.T) {
	f := newFed(t, 4, 0)
	f.on(0, 1, 2, 3)
	f.quiet()
	leader := f.leads(1, 0)
	f.cut = func(_, _ int, m bft.Message) bool { return m != nil && m.Position().Kind == bft.KindCommit }
	f.submit(leader, f.pay(leader, 0))
	f.quiet()
	m := f.members[(leader+1)%4]
	if m.record.Prepare == nil {
		t.Fatal("it has not voted")
	}
	f.off(m.index)
	m.record, m.bodies = bft.NewRecord(), map[cid.Cid]chain.Block{} // the image is from before it voted
	f.late(m.index)
	for len(f.mail) > 0 {
		f.round()
	}
	if m.mute == "" {
		t.Error("nobody tells it what it has said")
	}
}

// Two that meet greet each other, and answer the greeting once; an answer is not
// answered, however far apart they are.
func TestAnAnswerToAGreetingIsNotAnswered(t *testing.T) {
	for _, blocks := range []uint64{0, 3} {
		f := paidFor(t, 1, blocks)
		f.members[4].boot()
		f.mail = nil // that went to nobody
		told := map[[2]int]int{}
		f.cut = func(from, to int, m bft.Message) bool {
			if s, ok := m.(*bft.Status); ok && (from == 4 && s.FinalHeight == 0 || to == 4) {
				told[[2]int{from, to}]++
			}
			return false
		}
		for i, o := range f.members[:4] {
			o.take(replica.Connected{Peer: f.members[4].id})
			f.members[4].take(replica.Connected{Peer: f.members[i].id})
		}
		f.quiet()
		for i := range 4 {
			if there, back := told[[2]int{i, 4}], told[[2]int{4, i}]; there > 2 || back > 2 {
				t.Errorf("%d blocks apart: member %d told the newcomer %d times where it stands, and the newcomer it %d times; want twice at most", blocks, i, there, back)
			}
		}
	}
}

// A Status from far below is answered with ours at most once a second; one from
// above never.
func TestAStatusFromFarBelowIsAnsweredOncePerSecond(t *testing.T) {
	f := paidFor(t, 0, 4)
	m, from := f.members[2], f.members[1].id
	f.now += 1000 - f.now%1000
	answers := func(final bft.Height) (n int) {
		f.cut = func(_, to int, msg bft.Message) bool {
			if s, ok := msg.(*bft.Status); ok && to == 1 && s.FinalHeight == 4 {
				n++
			}
			return true
		}
		m.take(replica.Received{From: from, Message: &bft.Status{Height: final + 1, FinalHeight: final, Clock: bft.UnixMillis(f.now)}})
		return n
	}
	for _, tt := range []struct {
		name   string
		passed atp.Span
		final  bft.Height
		want   int
	}{
		{"from far below", 0, 1, 1},
		{"again, from another height", 1, 2, 0},
		{"again, a second later", 1000, 1, 1},
		{"from one height below", 1000, 3, 0}, // its certificate is enough
		{"from our height", 1000, 4, 0},
		{"from above", 1000, 9, 0},
	} {
		f.now = f.now.Add(tt.passed)
		if got := answers(tt.final); got != tt.want {
			t.Errorf("%s: %d answers, want %d", tt.name, got, tt.want)
		}
	}
}
