package replica

import (
	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
)

// TimerKind says what a timer is for. One of each kind runs at a time.
type TimerKind uint8

// Timers.
const (
	TimerView   TimerKind = iota + 1 // R5: the view's leader had its time
	TimerHalf                        // half of it has run: send Status
	TimerRepeat                      // R5: repeat our Timeout, with back-off by Attempt
	TimerStatus                      // every ten seconds while something is unfinished
	TimerDue                         // a deadline of the state passes at At
	TimerSync                        // look again for somebody to catch up from
)

// Timer is data: what is to be waited for. [Timer.After] gives the duration.
// A timer whose height or view has passed is ignored when it fires, so that
// none need be stopped.
type Timer struct {
	Kind    TimerKind
	Height  bft.Height
	View    bft.View
	Attempt int
	Wait    atp.Millis // TimerDue only: how long
}

// Durations in milliseconds.
const (
	// MaxViewMillis caps the timer of a view and the pause between repeats.
	MaxViewMillis atp.Millis = 60_000
	// MinBaseMillis is the least base of view timers (consensus.md).
	MinBaseMillis atp.Millis = 300
	statusMillis  atp.Millis = 10_000
	syncMillis    atp.Millis = 1_000
)

// After returns how long t runs, given the driver's measured base: for view v
// base × 1.5^v, at most MaxViewMillis.
func (t Timer) After(base atp.Millis) atp.Millis {
	switch t.Kind {
	case TimerView:
		return backoff(base, int64(t.View))
	case TimerHalf:
		return backoff(base, int64(t.View)) / 2
	case TimerRepeat:
		return backoff(base, int64(t.Attempt))
	case TimerStatus:
		return statusMillis
	case TimerSync:
		return syncMillis
	default:
		return t.Wait
	}
}

// backoff returns base × 1.5^n, at most MaxViewMillis.
func backoff(base atp.Millis, n int64) atp.Millis {
	for d := max(base, 2); ; d += d / 2 {
		if d >= MaxViewMillis {
			return MaxViewMillis
		}
		if n <= 0 {
			return d
		}
		n--
	}
}
