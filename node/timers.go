package node

import (
	"slices"
	"time"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/node/replica"
)

// timers turns the replica's timers, which are data, into one real timer. It
// belongs to the loop's goroutine.
type timers struct {
	clock *time.Timer
	armed map[replica.TimerKind]armedTimer
}

type armedTimer struct {
	timer replica.Timer
	at    time.Time
}

func newTimers() *timers {
	return &timers{clock: newStopped(), armed: map[replica.TimerKind]armedTimer{}}
}

// newStopped returns a timer that does not run.
func newStopped() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// arm starts each timer in place of the armed one of its kind.
func (t *timers) arm(now time.Time, base atp.Span, list []replica.Timer) {
	if len(list) == 0 {
		return
	}
	for _, timer := range list {
		after := time.Duration(timer.After(base)) * time.Millisecond
		t.armed[timer.Kind] = armedTimer{timer, now.Add(after)}
	}
	t.rest(now)
}

// fired removes and returns the timers whose time has come, earliest first.
func (t *timers) fired(now time.Time) []replica.Timer {
	var due []armedTimer
	for kind, a := range t.armed {
		if !a.at.After(now) {
			due = append(due, a)
			delete(t.armed, kind)
		}
	}
	t.rest(now)
	slices.SortFunc(due, func(a, b armedTimer) int {
		if c := a.at.Compare(b.at); c != 0 {
			return c
		}
		return int(a.timer.Kind) - int(b.timer.Kind)
	})
	list := make([]replica.Timer, len(due))
	for i, a := range due {
		list[i] = a.timer
	}
	return list
}

// rest sets the clock for the earliest timer.
func (t *timers) rest(now time.Time) {
	var first time.Time
	for _, a := range t.armed {
		if first.IsZero() || a.at.Before(first) {
			first = a.at
		}
	}
	if first.IsZero() {
		t.clock.Stop()
		return
	}
	t.clock.Reset(max(0, first.Sub(now)))
}

// wallClock notices that the machine's clock was set.
type wallClock struct{ last time.Time }

// clockJump is how far a clock may be moved, by NTP's slewing or the machine's
// sleep, without being called set.
const clockJump = time.Second

// jump returns how much further the wall clock went since the last call than
// time did, or 0 if it was not set.
func (c *wallClock) jump(now time.Time) time.Duration {
	last := c.last
	c.last = now
	if last.IsZero() {
		return 0
	}
	return jumped(now.Round(0).Sub(last.Round(0)), now.Sub(last)) // Round strips what a clock that is set does not move
}

// jumped compares what the wall clock says has passed with what has.
func jumped(wall, passed time.Duration) time.Duration {
	if by := wall - passed; by > clockJump || by < -clockJump {
		return by
	}
	return 0
}
