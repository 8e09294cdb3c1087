package sim

import (
	"context"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// Kind is one kind of schedule: [Theatre.Schedule] or [Theatre.Grow].
type Kind func(*Theatre, uint64) Result

// ahead is how many schedules may be finished before the one that is told next.
const ahead = 64

// Explore runs the schedules of seeds first … first+n−1 on as many goroutines as
// the program has cores, and tells their results in the order of the seeds,
// until tell answers false. No schedule knows of another, so that its trace is
// the one it has alone.
func Explore(kind Kind, first, n uint64, tell func(seed uint64, r Result) bool) {
	ctx, stop := context.WithCancel(context.Background())
	var (
		next    atomic.Uint64
		tickets = make(chan struct{}, ahead)
		results [ahead]chan Result
		workers errgroup.Group
	)
	for i := range results {
		results[i] = make(chan Result, 1) // two seeds of one slot are never under way together: there are as many tickets
		tickets <- struct{}{}
	}
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() error {
			var theatre Theatre
			for {
				select {
				case <-ctx.Done():
					return nil
				case <-tickets:
				}
				i := next.Add(1) - 1
				if i >= n {
					return nil
				}
				results[i%ahead] <- kind(&theatre, first+i)
			}
		})
	}
	for i := range n {
		r := <-results[i%ahead]
		tickets <- struct{}{}
		if !tell(first+i, r) {
			break
		}
	}
	stop()
	_ = workers.Wait() // none fails
}
