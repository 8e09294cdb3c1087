package replica

import (
	"fmt"
	"slices"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
)

// clock is our time as consensus uses it. A clock that is behind the chain runs
// on from the chain's time, and follows its peers' from then on: when a block
// arrived says nothing about the time, so that two that ran on from one block
// differ by what lay between. One that disagrees with its peers' says so.
type clock struct {
	raw, head atp.Millis // of this step
	shift     atp.Millis // added to raw; not 0: we run on
	faulty    int        // f of the set
	peers     []reading  // of validators, at most one each
	alarmed   bool
}

// reading is how far a validator's clock was ahead of ours, in milliseconds.
type reading struct {
	of    bft.ID
	ahead int64
}

// Disagreement with the median of the validators' clocks.
const (
	loud     = 1_000 // ms: say so
	tooLarge = 2_000 // ms: do not propose
)

func (c *clock) now() atp.Millis { return c.raw + c.shift }

// step sets the time, given that of the newest final block.
func (c *clock) step(raw, head atp.Millis) (Alarm, bool) {
	c.raw, c.head = raw, head
	if c.now().Add(clockLag) >= head {
		return Alarm{}, false
	}
	c.move(int64(head - c.now()))
	return Alarm{AlarmClock, fmt.Sprintf("the clock is behind the chain: it says %d, the newest block %d (Unix ms); "+
		"we run on from the block's time. Set the clock (NTP)", raw, head)}, true
}

// set takes note that our own clock was set: one that runs on from the chain's
// time needs so much less of it, or it would be as far ahead as it was behind.
// What was read of the others' was read by the old one.
func (c *clock) set(by int64) {
	c.shift -= min(c.shift, atp.Millis(max(by, 0)))
	c.peers = nil
}

// move sets our time by so many milliseconds, back to our own clock at most; the
// others' stay where they are.
func (c *clock) move(by int64) {
	by = max(by, -int64(c.shift))
	c.shift = atp.Millis(int64(c.shift) + by)
	for i := range c.peers {
		c.peers[i].ahead -= by
	}
}

// compare takes another validator's clock.
func (c *clock) compare(id bft.ID, theirs bft.UnixMillis) (Alarm, bool) {
	const far = 1 << 50 // ms: some 35,000 years; keeps the subtraction in range
	ahead := min(int64(min(uint64(theirs), far))-int64(min(c.now(), far)), far)
	i := slices.IndexFunc(c.peers, func(r reading) bool { return r.of == id })
	if i < 0 {
		i, c.peers = len(c.peers), append(c.peers, reading{of: id})
	}
	c.peers[i].ahead = ahead
	if c.shift > 0 {
		c.follow()
	}
	m, was := c.median(), c.alarmed
	c.alarmed = m < -loud || loud < m
	if !c.alarmed || was {
		return Alarm{}, false
	}
	return Alarm{AlarmClock, fmt.Sprintf("the clock differs by %d ms from the median of the validators': set it (NTP); beyond %d ms we do not propose", m, tooLarge)}, true
}

// follow moves a clock that runs on. It is our own again once the chain allows
// that and a validator's agrees with it. Else it goes to the median, where f that
// lie cannot take it beyond those that do not; between two medians up alone, or
// two halves that both run on would change places for ever.
func (c *clock) follow() {
	_, high := c.middle()
	switch {
	case c.raw.Add(clockLag) >= c.head && slices.ContainsFunc(c.peers, c.agrees):
		c.move(-int64(c.shift))
	case len(c.peers) < 2*c.faulty: // with our own fewer than 2f + 1: liars could be the median
	case high > loud || high < -loud:
		c.move(high)
	}
}

// agrees reports whether a validator's clock says what our own does.
func (c *clock) agrees(r reading) bool {
	d := r.ahead + int64(c.shift)
	return -loud <= d && d <= loud
}

// middle returns the median of all clocks known, our own included: the two in the
// middle of an even number, the same one twice of an odd.
func (c *clock) middle() (low, high int64) {
	all := []int64{0}
	for _, r := range c.peers {
		all = append(all, r.ahead)
	}
	slices.Sort(all)
	return all[(len(all)-1)/2], all[len(all)/2]
}

// median returns the median of all clocks known; of two the nearer to ours.
func (c *clock) median() int64 {
	low, high := c.middle()
	if max(low, -low) < max(high, -high) {
		return low
	}
	return high
}

// astray reports whether our clock is too far from the others' to propose by.
func (c *clock) astray() bool {
	m := c.median()
	return m < -tooLarge || tooLarge < m
}

// keep forgets the readings of those who have left the set.
func (c *clock) keep(set bft.ValidatorSet) {
	c.faulty = set.F()
	c.peers = slices.DeleteFunc(c.peers, func(r reading) bool { return !set.Contains(r.of) })
}
