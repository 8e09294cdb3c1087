package node

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sage-p2p/sage-p2p/p2p"
)

// Times of a platform that looks for a federation on its LAN.
const (
	listenFor = 3 * time.Second        // whoever has a federation is heard within it
	heedFor   = 300 * time.Millisecond // after a first federation, for others to be heard
	turnFor   = 4 * time.Second        // that each forming platform before us has, to found one
	maxTurns  = 3                      // that are waited for, so that liars cost seconds
	chooseFor = 15 * time.Second       // for an operator to choose between two
	settleFor = 2 * chooseFor          // after which the first of those heard is joined, whoever else comes
	headFor   = 10 * time.Second       // for the federation that we left our own for
)

// maxFailed is how many federations that were heard and could not be joined are
// taken for what they are, liars, before the platform founds one of its own.
const maxFailed = 3

// rendezvous decides what a platform without a federation does on a LAN: join one,
// found one, or wait. It keeps no time and sends nothing. What it hears is the word
// of strangers, so every wait for them has an end:
//
//	R1  the platform with the lowest ID of those that hear one another founds,
//	    after listenFor; one that comes after others waits for their turns, at
//	    most maxTurns of them, and then founds without them;
//	R2  a federation that is heard is joined: one that would give way only if
//	    there is no other, and of several such the one with the lowest genesis;
//	R3  between two that would not give way the operator may choose for
//	    chooseFor; then the one that was heard first is joined. However many
//	    more come, that is at most settleFor after the first.
//
// What R1 lets two found all the same, givesWay unites.
type rendezvous struct {
	network string
	founds  bool        // otherwise it waits for a federation as long as need be
	heading p2p.Genesis // of the federation that it left its own for; zero: none
	failed  int         // federations that could not be joined
}

// sight is what a platform sees on the LAN at one moment.
type sight struct {
	before      int           // forming platforms whose turn to found comes before ours
	silent      time.Duration // the last moment at which no federation was heard
	federations []heardOf     // one for each genesis
}

// heardOf is a federation that was heard of.
type heardOf struct {
	genesis p2p.Genesis
	by      string        // a platform of it, for people
	first   time.Duration // when, since the beginning
	yields  bool          // all its platforms say that it would give way
}

// step is what to do: join a federation, found one, or wait.
type step struct {
	join    p2p.Genesis
	found   bool
	waiting string // for what
}

// decide returns the step for a moment since the beginning.
func (r rendezvous) decide(since time.Duration, s sight) step {
	if r.founds && r.failed >= maxFailed {
		s.federations = nil
	}
	if len(s.federations) > 0 {
		return r.choose(since, s)
	}
	turn := listenFor + time.Duration(min(s.before, maxTurns))*turnFor
	switch {
	case !r.heading.IsZero() && since < headFor:
		return step{waiting: fmt.Sprintf("the federation %s, for which this platform left its own", r.heading)}
	case !r.founds:
		return step{waiting: fmt.Sprintf("a federation named %q to observe on this network", r.network)}
	case since >= turn:
		return step{found: true}
	case since < listenFor:
		return step{waiting: fmt.Sprintf("a federation named %q to be heard on this network; it founds one if there is none", r.network)}
	}
	return step{waiting: fmt.Sprintf("another platform here to found %q; it founds one itself if none does", r.network)}
}

// choose keeps R2 and R3.
func (r rendezvous) choose(since time.Duration, s sight) step {
	all, late := slices.Clone(s.federations), since >= s.silent+settleFor
	slices.SortFunc(all, func(a, b heardOf) int {
		return cmp.Or(cmp.Compare(a.first, b.first), bytes.Compare(a.genesis[:], b.genesis[:]))
	})
	if slices.ContainsFunc(all, func(h heardOf) bool { return h.genesis == r.heading }) {
		return step{join: r.heading}
	}
	if !late && since < all[0].first+heedFor || !r.heading.IsZero() && since < listenFor {
		return step{waiting: fmt.Sprintf("the federation %q of %s, heard just now, genesis %s", r.network, all[0].by, all[0].genesis)}
	}
	stay := slices.DeleteFunc(slices.Clone(all), func(h heardOf) bool { return h.yields })
	switch {
	case len(stay) == 0:
		return step{join: slices.MinFunc(all, func(a, b heardOf) int { return bytes.Compare(a.genesis[:], b.genesis[:]) }).genesis}
	case len(stay) == 1 || late || since >= stay[1].first+chooseFor:
		return step{join: stay[0].genesis}
	}
	var texts []string
	for _, h := range stay[:2] {
		texts = append(texts, fmt.Sprintf("%s (of %s)", h.genesis, h.by))
	}
	return step{waiting: fmt.Sprintf("you to choose between federations named %q, %s, with --bootstrap ADDR of a platform of it; soon it joins the first",
		r.network, strings.Join(texts, " and "))}
}

// givesWay reports whether, of two federations of one name that meet, ours is
// left. Each of the two judges for itself whether it would be, from its own chain,
// and tells the other; of two that would, the one with the lower genesis stays.
//
// The other's word needs no proof. A stranger can make a real federation as used
// as it likes, so there is nothing that a proof would keep out; and ours is left
// only if our own chain says that nothing is lost by it, at most signer.MaxLeft
// times, and never for one that we have left.
func givesWay(ours p2p.Genesis, weWould bool, other p2p.Genesis, theyWould bool) bool {
	return weWould && other != ours && (!theyWould || bytes.Compare(other[:], ours[:]) < 0)
}
