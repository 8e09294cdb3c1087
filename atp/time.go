package atp

import "math"

// Millis is a point of consensus time: milliseconds since the Unix epoch.
type Millis uint64

// Span is a length of consensus time in milliseconds.
type Span uint64

const (
	// Second is a second as a Span.
	Second Span = 1000
	// Day is a day as a Span; days begin at the Unix epoch.
	Day = 86_400 * Second
)

// Add returns the point d after m, at most the last there is.
func (m Millis) Add(d Span) Millis {
	if end := m + Millis(d); end >= m {
		return end
	}
	return math.MaxUint64
}

// Clock is the time of a block that is being executed. Deadlines are judged
// by the parent's time, so that a proposer who nudges the clock gains nothing
// and the order within a block does not matter. Windows begin at the block's
// own time, since its parent may be hours old.
type Clock struct {
	Parent Millis // time of the block's parent: it judges
	Block  Millis // time of the block itself: it begins windows
}

// InTime reports whether an operation in the block meets the deadline.
func (c Clock) InTime(deadline Millis) bool { return c.Parent <= deadline }
