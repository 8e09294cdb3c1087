package node

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sage-p2p/sage-p2p/node/replica"
)

func TestTimersFireInTurnAndOnlyTheNewestOfAKind(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	timers := newTimers()
	timers.arm(start, replica.MinBase, []replica.Timer{
		{Kind: replica.TimerView, Height: 1},           // 300 ms
		{Kind: replica.TimerHalf, Height: 1},           // 150 ms
		{Kind: replica.TimerDue, Height: 1, Wait: 700}, // 700 ms
	})
	timers.arm(at(100), replica.MinBase, []replica.Timer{{Kind: replica.TimerView, Height: 2}}) // until 400 ms
	for _, step := range []struct {
		at   int
		want []replica.TimerKind
	}{
		{149, nil},
		{150, []replica.TimerKind{replica.TimerHalf}},
		{399, nil},
		{701, []replica.TimerKind{replica.TimerView, replica.TimerDue}},
		{10_000, nil},
	} {
		var got []replica.TimerKind
		for _, timer := range timers.fired(at(step.at)) {
			got = append(got, timer.Kind)
			if timer.Kind == replica.TimerView && timer.Height != 2 {
				t.Errorf("the timer of height %d fired, which another had replaced", timer.Height)
			}
		}
		if !slices.Equal(got, step.want) {
			t.Errorf("after %d ms: fired %v, want %v", step.at, got, step.want)
		}
	}
}

func TestTheClockWakesForTheEarliestTimer(t *testing.T) {
	timers := newTimers()
	now := time.Now()
	timers.arm(now, replica.MinBase, []replica.Timer{{Kind: replica.TimerDue, Wait: 1}, {Kind: replica.TimerStatus}})
	select {
	case <-timers.clock.C:
	case <-time.After(5 * time.Second):
		t.Fatal("the clock does not wake for a timer of 1 ms")
	}
	if got := timers.fired(time.Now()); len(got) != 1 || got[0].Kind != replica.TimerDue {
		t.Errorf("fired %v, want the one that was due", got)
	}
}

func TestPaceIsFourTimesWhatViewsTake(t *testing.T) {
	start := time.Unix(1000, 0)
	var p pace
	if got := p.base(); got != replica.MinBase {
		t.Errorf("base before any view = %d, want %d", got, replica.MinBase)
	}
	for h := range 20 {
		began := start.Add(time.Duration(h) * time.Hour)
		p.entered(began, 1, 0)
		p.entered(began.Add(50*time.Millisecond), 1, 0) // armed again: the view began before
		p.decided(began.Add(200*time.Millisecond), 1, 0)
	}
	if got := p.base(); got != 800 {
		t.Errorf("base = %d ms, want four times 200 ms", got)
	}
}

func TestPaceCountsOnlyTheViewThatDecided(t *testing.T) {
	start := time.Unix(1000, 0)
	var p pace
	p.entered(start, 5, 0)
	p.entered(start.Add(time.Minute), 5, 1) // view 0 timed out
	p.decided(start.Add(2*time.Minute), 5, 0)
	p.decided(start.Add(2*time.Minute), 4, 1) // another height: caught up
	if len(p.samples) != 0 {
		t.Errorf("samples = %v, want none", p.samples)
	}
	p.decided(start.Add(time.Minute+500*time.Millisecond), 5, 1)
	p.decided(start.Add(time.Hour), 5, 1)
	if want := []time.Duration{500 * time.Millisecond}; !slices.Equal(p.samples, want) {
		t.Errorf("samples = %v, want %v", p.samples, want)
	}
}

func TestPaceForgetsWhatIsLongAgo(t *testing.T) {
	start := time.Unix(1000, 0)
	var p pace
	for i := range 2 * paceSamples {
		took := 10 * time.Second
		if i >= paceSamples {
			took = 100 * time.Millisecond
		}
		p.entered(start, 1, 0)
		p.decided(start.Add(took), 1, 0)
	}
	if got := p.base(); got != 400 || len(p.samples) != paceSamples {
		t.Errorf("base = %d ms of %d samples, want 400 of %d", got, len(p.samples), paceSamples)
	}
}

func TestAQueueHandsEachItemToOneConsumer(t *testing.T) {
	const items, consumers = 1000, 4
	q := newQueue[int]()
	var (
		mu   sync.Mutex
		got  []int
		done = make(chan struct{})
		wg   sync.WaitGroup
	)
	for range consumers {
		wg.Go(func() {
			for {
				select {
				case <-q.ready:
				case <-done:
					return
				}
				taken := q.take(3)
				mu.Lock()
				if got = append(got, taken...); len(taken) > 0 && len(got) == items {
					close(done)
				}
				mu.Unlock()
			}
		})
	}
	for i := range items {
		q.put(i)
	}
	wg.Wait()
	slices.Sort(got)
	if len(got) != items || got[0] != 0 || got[items-1] != items-1 || len(slices.Compact(got)) != items {
		t.Errorf("%d items came out, want each of %d once", len(got), items)
	}
}

func TestAQueueKeepsItsOrder(t *testing.T) {
	q := newQueue[int]()
	q.put(1, 2, 3)
	q.put(4)
	<-q.ready
	if got := q.take(3); !slices.Equal(got, []int{1, 2, 3}) {
		t.Errorf("take(3) = %v", got)
	}
	<-q.ready // for the rest
	if got := q.take(3); !slices.Equal(got, []int{4}) {
		t.Errorf("take(3) = %v, want the rest", got)
	}
	select {
	case <-q.ready:
		t.Error("an empty queue says that something waits")
	default:
	}
}

// A clock is set if it and the time that has passed are over a second apart; what
// NTP slews is not.
func TestAClockIsSetIfItAndTimeDisagree(t *testing.T) {
	for _, tt := range []struct{ wall, passed, want time.Duration }{
		{time.Minute, time.Minute, 0},
		{time.Minute + time.Second/2, time.Minute, 0},
		{time.Hour + time.Millisecond, time.Millisecond, time.Hour},
		{-time.Hour, time.Minute, -time.Hour - time.Minute},
	} {
		if got := jumped(tt.wall, tt.passed); got != tt.want {
			t.Errorf("the clock went %v in %v: set by %v, want %v", tt.wall, tt.passed, got, tt.want)
		}
	}
	var c wallClock
	for range 3 {
		if by := c.jump(time.Now()); by != 0 {
			t.Errorf("nobody touched the clock, and it is said to be set by %v", by)
		}
	}
}
