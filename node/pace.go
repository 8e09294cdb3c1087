package node

import (
	"slices"
	"time"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/replica"
)

// pace measures how long a view takes from the arming of its timer to
// finality, and from that gives the base of view timers: four times what three
// of five decided views take at most, and at least replica.MinBase (consensus.md,
// Why it is live, says the 95th percentile). Less than a third of the leaders are
// faulty, so a correct one's view is at or above that share: with a higher
// percentile one leader that takes its time would set the base for all, higher
// each round. Only views that decided count, so that a timeout never lengthens
// the next.
type pace struct {
	height  bft.Height // of the view whose timer was armed last
	view    bft.View
	began   time.Time // when it was armed; zero if it has decided
	samples []time.Duration
	next    int
	usual   time.Duration // that three of five of the samples do not exceed
}

// paceSamples is how many of the newest decided views count.
const paceSamples = 64

// entered notes that a view's timer was armed.
func (p *pace) entered(now time.Time, h bft.Height, v bft.View) {
	if p.began.IsZero() || h != p.height || v != p.view {
		p.height, p.view, p.began = h, v, now
	}
}

// decided notes that a height became final in a view.
func (p *pace) decided(now time.Time, h bft.Height, v bft.View) {
	if p.began.IsZero() || h != p.height || v != p.view {
		return
	}
	took := now.Sub(p.began)
	p.began = time.Time{}
	if len(p.samples) < paceSamples {
		p.samples = append(p.samples, took)
	} else {
		p.samples[p.next] = took
		p.next = (p.next + 1) % paceSamples
	}
	sorted := slices.Sorted(slices.Values(p.samples))
	p.usual = sorted[(len(sorted)-1)*3/5]
}

// base returns the base of view timers.
func (p *pace) base() atp.Span {
	base := atp.Span(4 * p.usual / time.Millisecond)
	return min(max(base, replica.MinBase), replica.MaxView)
}
