package replica

import (
	"fmt"
	"slices"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
)

// clock is our time as consensus uses it. A clock that is behind the chain runs
// on from the chain's time; one that disagrees with its peers' says so.
type clock struct {
	raw     atp.Millis // of this step
	shift   atp.Millis // added to raw
	peers   []reading  // of validators, at most one each
	alarmed bool
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
	c.raw = raw
	if c.now().Add(clockLag) >= head {
		return Alarm{}, false
	}
	c.shift = head - raw
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

// compare takes another validator's clock.
func (c *clock) compare(id bft.ID, theirs bft.UnixMillis) (Alarm, bool) {
	const far = 1 << 50 // ms: some 35,000 years; keeps the subtraction in range
	ahead := min(int64(min(uint64(theirs), far))-int64(min(c.now(), far)), far)
	i := slices.IndexFunc(c.peers, func(r reading) bool { return r.of == id })
	if i < 0 {
		i, c.peers = len(c.peers), append(c.peers, reading{of: id})
	}
	c.peers[i].ahead = ahead
	m := c.median()
	if m < -loud && c.shift > 0 {
		c.shift -= min(c.shift, atp.Millis(-m)) // our own clock has been set since
		c.peers = nil
		return Alarm{}, false
	}
	was := c.alarmed
	c.alarmed = m < -loud || loud < m
	if !c.alarmed || was {
		return Alarm{}, false
	}
	return Alarm{AlarmClock, fmt.Sprintf("the clock differs by %d ms from the median of the validators': set it (NTP); beyond %d ms we do not propose", m, tooLarge)}, true
}

// median returns the median of all clocks known, our own included; of the two
// in the middle the nearer to ours.
func (c *clock) median() int64 {
	all := []int64{0}
	for _, r := range c.peers {
		all = append(all, r.ahead)
	}
	slices.Sort(all)
	low, high := all[(len(all)-1)/2], all[len(all)/2]
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
	c.peers = slices.DeleteFunc(c.peers, func(r reading) bool { return !set.Contains(r.of) })
}
