package node

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/wire"
)

func honest(id peer.ID) teller { return teller{id: id, credible: true, now: time.Unix(1, 0)} }

func strange(id peer.ID, now int64) teller { return teller{id: id, now: time.Unix(now, 0)} }

func anybody(peer.ID) bool { return true }

func someone(i int) peer.ID { return newActor(fmt.Sprintf("contact %d", i)).ID().ID }

func says(about peer.ID, ports ...int) wire.Contact {
	c := wire.Contact{ID: bft.ID{ID: about}}
	for _, p := range ports {
		c.Addrs = append(c.Addrs, fmt.Sprintf("/ip4/10.0.0.1/tcp/%d", p))
	}
	return c
}

// of returns the known addresses of one, without what is alike in all.
func (c *contacts) of(id peer.ID, word whose) (ports []string) {
	for _, info := range c.list(word) {
		if info.ID != id {
			continue
		}
		for _, a := range info.Addrs {
			ports = append(ports, strings.TrimPrefix(a.String(), "/ip4/10.0.0.1/tcp/"))
		}
	}
	return ports
}

func TestAPlatformsOwnWordComesFirst(t *testing.T) {
	c := newContacts()
	v, other := someone(1), someone(2)
	c.heard(honest(other), []wire.Contact{says(v, 1)}, anybody)
	c.heard(honest(v), []wire.Contact{says(v, 7, 8)}, anybody)
	if got, want := c.of(v, anyones), []string{"7", "8", "1"}; !slices.Equal(got, want) {
		t.Errorf("known: %v, want %v", got, want)
	}
	if got, want := c.of(v, theirOwn), []string{"7", "8"}; !slices.Equal(got, want) {
		t.Errorf("passed on: %v, want %v: hearsay ends here", got, want)
	}
	c.heard(honest(v), []wire.Contact{says(v, 9)}, anybody)
	if got, want := c.of(v, theirOwn), []string{"9"}; !slices.Equal(got, want) {
		t.Errorf("after it has moved: %v, want %v", got, want)
	}
}

func TestALieAboutAPlatformDoesNotKeepOutTheTruth(t *testing.T) {
	c := newContacts()
	v, liar, other := someone(1), someone(2), someone(3)
	c.heard(honest(liar), []wire.Contact{says(v, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)}, anybody)
	c.heard(honest(other), []wire.Contact{says(v, 1000)}, anybody)
	for range 10 {
		c.heard(honest(liar), []wire.Contact{says(v, 1, 2, 3, 4, 5, 6)}, anybody)
	}
	got := c.of(v, anyones)
	if !slices.Contains(got, "1000") || len(got) > maxHearsay+1 {
		t.Errorf("known: %v, want 1000 among at most %d", got, maxHearsay+1)
	}
}

func TestOfManyTellersTheNewestAreHeard(t *testing.T) {
	c := newContacts()
	v := someone(1)
	for i := range maxTellers + 1 {
		c.heard(honest(someone(100+i)), []wire.Contact{says(v, 100+i)}, anybody)
	}
	if got, want := c.of(v, anyones), []string{"101", "102", "103", "104"}; !slices.Equal(got, want) {
		t.Errorf("known: %v, want %v", got, want)
	}
}

func TestContactsAreBounded(t *testing.T) {
	c := newContacts()
	liar := someone(-1)
	var crowd []wire.Contact
	for i := range 2 * maxContacts {
		crowd = append(crowd, says(someone(i), 1))
	}
	c.heard(honest(liar), crowd, anybody)
	if got := len(c.list(anyones)); got != maxContacts {
		t.Errorf("%d platforms, want %d", got, maxContacts)
	}
	late := someone(-2)
	c.heard(honest(late), []wire.Contact{says(late, 5)}, anybody)
	if got := c.of(late, theirOwn); !slices.Equal(got, []string{"5"}) {
		t.Errorf("one who speaks for itself is known at %v, want a place among rumours", got)
	}
	if got := len(c.list(anyones)); got != maxContacts {
		t.Errorf("%d platforms, want %d", got, maxContacts)
	}
	for i := range 10 {
		c.heard(honest(someone(1000+i)), []wire.Contact{says(late, 100+i, 200+i, 300+i, 400+i, 500+i)}, anybody)
	}
	if got := len(c.of(late, anyones)); got > maxContactAddrs {
		t.Errorf("%d addresses of one, want at most %d", got, maxContactAddrs)
	}
}

func TestOnlyWhoMattersIsRemembered(t *testing.T) {
	c := newContacts()
	v, stranger := someone(1), someone(2)
	onlyV := func(id peer.ID) bool { return id == v }
	c.heard(honest(stranger), []wire.Contact{says(stranger, 1), says(v, 2)}, onlyV)
	if c.of(stranger, anyones) != nil || c.of(v, anyones) == nil {
		t.Errorf("known: %v, want the validator alone", c.list(anyones))
	}
	c.heard(honest(stranger), []wire.Contact{says(stranger, 1)}, anybody)
	c.forget(time.Unix(2, 0), onlyV)
	if c.of(stranger, anyones) != nil || c.of(v, anyones) == nil {
		t.Errorf("after forget: %v, want the validator alone", c.list(anyones))
	}
}

func TestAddressesThatAreNoneAreLeftOut(t *testing.T) {
	id := someone(1)
	got := parseAddrs([]string{
		"/ip4/10.0.0.1/tcp/2", "", "10.0.0.1:3", "/ip4/300.0.0.1/tcp/1", "/ip4/10.0.0.1/tcp/1",
		"/ip4/10.0.0.1/tcp/1/p2p/" + id.String(), "/dns/" + strings.Repeat("a", maxAddrText) + "/tcp/1",
	})
	var texts []string
	for _, a := range got {
		texts = append(texts, a.String())
	}
	if want := []string{"/ip4/10.0.0.1/tcp/1", "/ip4/10.0.0.1/tcp/2"}; !slices.Equal(texts, want) {
		t.Errorf("parseAddrs = %v, want %v", texts, want)
	}
}

// However many strangers there are, and whatever they tell, what they have us
// dial is bounded, and takes the place of nobody's word but theirs.
func TestStrangersHaveUsDialABoundedNumberOfHosts(t *testing.T) {
	c := newContacts()
	v, validator := someone(1), someone(2)
	c.heard(honest(validator), []wire.Contact{says(v, 7)}, anybody)
	var told []string
	for i := range 1000 {
		c.heard(strange(someone(100+i), 1), []wire.Contact{says(v, 4*i+10, 4*i+11, 4*i+12, 4*i+13)}, anybody)
		for _, port := range c.of(v, anyones) {
			if !slices.Contains(told, port) {
				told = append(told, port)
			}
		}
	}
	if len(told) > maxStrange+1 || !slices.Contains(c.of(v, anyones), "7") {
		t.Errorf("%d addresses, at last %v; want at most %d, with 7", len(told), c.of(v, anyones), maxStrange+1)
	}
	if got := c.of(v, credible); !slices.Equal(got, []string{"7"}) {
		t.Errorf("kept for the next start: %v, want 7", got)
	}
	for i := range maxTellers { // who may be believed takes their places
		c.heard(honest(someone(10+i)), []wire.Contact{says(v, 1+i)}, anybody)
	}
	if got := c.of(v, anyones); !slices.Equal(got, c.of(v, credible)) || len(got) != maxTellers {
		t.Errorf("known: %v, want what those say who may be believed", got)
	}
}

func TestAStrangersWordIsForgotten(t *testing.T) {
	c := newContacts()
	v, stranger := someone(1), someone(2)
	c.heard(strange(stranger, 1), []wire.Contact{says(v, 1)}, anybody)
	c.heard(strange(stranger, 60), []wire.Contact{says(v, 1)}, anybody) // it is still here
	c.forget(time.Unix(1, 0).Add(strangeAge+time.Second), anybody)
	if got := c.of(v, anyones); len(got) != 1 {
		t.Errorf("known: %v, want what a stranger goes on saying", got)
	}
	c.forget(time.Unix(60, 0).Add(strangeAge+time.Second), anybody)
	if got := c.of(v, anyones); got != nil {
		t.Errorf("known: %v, want nothing", got)
	}
}

// Whoever tells that it listens at 127.0.0.1 would have every platform knock at the
// doors of its own machine.
func TestNobodyHasUsDialOurOwnMachine(t *testing.T) {
	for _, beside := range []bool{false, true} {
		c := newContacts()
		v := someone(1)
		by := honest(v)
		by.beside = beside
		told := says(v, 7)
		told.Addrs = append(told.Addrs, "/ip4/127.0.0.1/tcp/6379", "/ip4/127.1.2.3/tcp/22", "/ip6/::1/tcp/22", "/ip6/::ffff:127.0.0.1/tcp/22",
			"/ip4/0.0.0.0/tcp/22", "/ip6/::/udp/1/quic-v1", "/ip4/127.0.0.1/tcp/25/p2p/"+someone(2).String()+"/p2p-circuit")
		c.heard(by, []wire.Contact{told}, anybody)
		if got := len(c.of(v, anyones)); beside != (got == len(told.Addrs)) || !beside && got != 1 {
			t.Errorf("of one that runs here (%v) %d of %d addresses are taken", beside, got, len(told.Addrs))
		}
	}
}
