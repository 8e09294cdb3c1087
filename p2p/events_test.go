package p2p

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/libp2p/go-libp2p/core/peer"
)

// drain returns what waits, as a slow consumer that comes back sees it.
func drain(m *mailbox) (told []string) {
	for e, ok := m.next(); ok; e, ok = m.next() {
		switch e := e.(type) {
		case PeerUp:
			told = append(told, fmt.Sprintf("up %s %d", string(e.ID), e.Nonce))
		case PeerDown:
			told = append(told, "down "+string(e.ID))
		case Refused:
			told = append(told, "refused "+string(e.ID)+" "+e.Reason)
		case Clone:
			told = append(told, "clone "+string(e.Via))
		}
	}
	return told
}

func TestASlowConsumerIsToldTheNewestOfEachPeer(t *testing.T) {
	up := func(id string, nonce uint64) PeerUp { return PeerUp{ID: peer.ID(id), Nonce: nonce} }
	down := func(id string) PeerDown { return PeerDown{ID: peer.ID(id)} }
	for _, tt := range []struct {
		name string
		do   func(*mailbox)
		want []string
	}{
		{"in order of first news", func(m *mailbox) { m.up(up("b", 1)); m.up(up("a", 1)) }, []string{"up b 1", "up a 1"}},
		{"only the newest", func(m *mailbox) { m.up(up("a", 1)); m.up(up("a", 2)) }, []string{"up a 2"}},
		{"came and went", func(m *mailbox) { m.up(up("a", 1)); m.down(down("a")) }, nil},
		{"never came", func(m *mailbox) { m.down(down("a")) }, nil},
		{"went", func(m *mailbox) { m.up(up("a", 1)); drain(m); m.down(down("a")) }, []string{"down a"}},
		{"went and came", func(m *mailbox) { m.up(up("a", 1)); drain(m); m.down(down("a")); m.up(up("a", 2)) }, []string{"up a 2"}},
		{"went, came and went", func(m *mailbox) {
			m.up(up("a", 1))
			drain(m)
			m.down(down("a"))
			m.up(up("a", 2))
			m.down(down("a"))
		}, []string{"down a"}},
		{"refused twice", func(m *mailbox) {
			m.note(Refused{Refusal{ID: "a", Reason: "1"}})
			m.note(Clone{Via: "c"})
			m.note(Refused{Refusal{ID: "a", Reason: "2"}})
			m.note(Clone{Via: "c"})
		}, []string{"refused a 2", "clone c"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMailbox()
			tt.do(m)
			if diff := cmp.Diff(tt.want, drain(m)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// P4: strangers cannot fill the mailbox of a consumer that is stuck.
func TestAMailboxIsBounded(t *testing.T) {
	m := newMailbox()
	for i := range 10 * maxRefusals {
		id := peer.ID(fmt.Sprint(i))
		m.up(PeerUp{ID: id})
		m.down(PeerDown{ID: id})
		m.note(Refused{Refusal{ID: id}})
	}
	if len(m.waiting) != 0 || len(m.order) != 0 || len(m.notes) != maxRefusals {
		t.Errorf("have %d peers, %d in order, %d notes; want 0, 0, %d", len(m.waiting), len(m.order), len(m.notes), maxRefusals)
	}
}

// P4: while the consumer of events is stuck, everything else goes on.
func TestAStuckConsumerHoldsUpNothingElse(t *testing.T) {
	stuck := make(chan struct{})
	a := prepare(t, nil)
	a.mail.deliver = func(Event) { <-stuck }
	a.run()
	b := start(t, nil, WithFetch(func(context.Context, peer.ID, []byte) ([]byte, error) { return []byte("yes"), nil }))
	c := start(t, nil)
	for _, m := range []*member{b, c} {
		a.Keep(m.info())
		m.awaitUp(a.ID())
	}
	eventually(t, "a has both", func() bool { return len(a.Peers()) == 2 })
	if got, err := a.Request(t.Context(), b.ID(), []byte("x"), 10); err != nil || string(got) != "yes" {
		t.Errorf("have %q, %v", got, err)
	}
	close(stuck)
}

func TestRecentForgetsTheLeastRecent(t *testing.T) {
	r := newRecent[string, int](2)
	r.put("a", 1)
	r.put("b", 2)
	r.get("a")
	r.put("c", 3)
	if _, ok := r.peek("b"); ok {
		t.Error("b is remembered")
	}
	var got []int
	r.each(func(_ string, v int) { got = append(got, v) })
	if diff := cmp.Diff([]int{3, 1}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAQuotaCountsPerPeerAndInTotal(t *testing.T) {
	q := newQuota(2, 3, 0)
	var got []bool
	var giveA func()
	for _, id := range []peer.ID{"a", "a", "a", "b", "b"} {
		give, ok := q.take(id, asMember)
		if got = append(got, ok); giveA == nil {
			giveA = give
		}
	}
	if diff := cmp.Diff([]bool{true, true, false, true, false}, got); diff != "" {
		t.Error(diff)
	}
	giveA()
	giveA() // as often as one likes
	if _, ok := q.take("b", asMember); !ok {
		t.Error("what was given back is not free")
	}
}
