package replica

import (
	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
)

// TimerKind says what a timer is for. One of each kind runs at a time.
type TimerKind uint8

// Timers.
const (
	TimerView   = TimerKind(bft.TimerView)   // R5: the view's leader had its time
	TimerHalf   = TimerKind(bft.TimerHalf)   // half of it has run: send Status
	TimerRepeat = TimerKind(bft.TimerRepeat) // R5: repeat our Timeout, with back-off by Attempt

	TimerStatus TimerKind = iota + 1 // every ten seconds while something is unfinished
	TimerDue                         // a deadline of the state passes, or the heartbeat is due
	TimerListen                      // after a start: sign without having heard from enough others
	TimerFetch                       // look again for somebody to fetch from
)

// Timer is data: what is to be waited for. [Timer.After] gives the duration.
// A timer whose height or view has passed is ignored when it fires, so that
// none need be stopped.
type Timer struct {
	Kind    TimerKind
	Height  bft.Height
	View    bft.View
	Attempt int
	Wait    atp.Span // TimerDue only: how long
}

const (
	// MinBase is the least base of view timers (consensus.md).
	MinBase = atp.Span(300)
	// MaxView caps the timer of a view and the pause between repeats.
	MaxView = 60 * atp.Second

	statusEvery = 10 * atp.Second
	fetchEvery  = 1 * atp.Second
	fetchFirst  = atp.Second / 10 // a block that we are behind by is given so long to arrive by itself
)

// After returns how long t runs, given the driver's measured base: for view v
// base × 1.5^v, at most MaxView.
func (t Timer) After(base atp.Span) atp.Span {
	switch t.Kind {
	case TimerView:
		return backoff(base, int64(t.View))
	case TimerHalf:
		return backoff(base, int64(t.View)) / 2
	case TimerRepeat:
		return backoff(base, int64(t.Attempt))
	case TimerStatus:
		return statusEvery
	case TimerListen:
		return 2 * max(base, MinBase)
	case TimerFetch:
		if t.Attempt == 0 {
			return fetchFirst
		}
		return fetchEvery
	default:
		return t.Wait
	}
}

// backoff returns base × 1.5^n, at most MaxView.
func backoff(base atp.Span, n int64) atp.Span {
	for d := max(base, 2); ; d += d / 2 {
		if d >= MaxView {
			return MaxView
		}
		if n <= 0 {
			return d
		}
		n--
	}
}
